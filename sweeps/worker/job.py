"""What the workers of a sweep are told."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sweeps.definition.find import SearchPath
from sweeps.errors import SweepsError

INSIDE = "SWEEPBOARD_TRIAL"
"""In the environment of a trial's process: the trial's folder."""

SEPARATOR = "\n"
"""Between the folders of an array's trials, in the one text that names the array to Ray Tune."""


@dataclass(frozen=True)
class Job:
    """What all workers of a sweep are told. ``cpu`` and ``gpu`` are one trial's share.

    Ray Tune unpickles this for every trial, so it stays small: what is a trial's own, the worker
    reads from its record. Time-outs are in seconds.

    Attributes:
        directory: a path, or the URI of other storage.
        search: where the trainable's module is looked for.
        code: a reference to a pickled function in Ray's object store, for one without a module.
        preload: modules that the trainable imports anyway, and whose import takes long.
        warm: whether a process is used for one attempt after another.
        patience: how many reports in a row may be not finite; ``None`` is any number.
        spare: processors that no trial is given.
    """

    directory: str
    train: str
    metric: str
    mode: str
    keep_best: int
    cpu: float
    gpu: float
    search: SearchPath
    code: Any
    preload: tuple[str, ...]
    warm: bool
    on_cluster: bool
    trial_timeout: float | None
    epoch_timeout: float | None
    patience: int | None
    max_failures: int
    spare: float

    @property
    def threads(self) -> int:
        """Of one trial's torch."""
        return max(1, int(self.cpu))


@dataclass(frozen=True)
class Order:
    """What a process is to do: one attempt of a trial, or of several as an array.

    Attributes:
        paths: of the trials' folders, relative to the sweep's directory.
        function: a pickled function, for one without a module.
        environment: the process's whole environment.
        folder: the working directory.
        where: the host, node and GPUs, in words.
    """

    job: Job
    paths: tuple[str, ...]
    function: bytes | None
    environment: Mapping[str, str]
    folder: str
    where: str


@dataclass(frozen=True)
class Failure:
    """Why an attempt failed, as text, so that it survives the way to the driver.

    Attributes:
        summary: in a line.
        fatal: the name of the error that the sweep ends with, if no other attempt and no other
            trial would fare better.
        lost: its process died, so that the next attempt goes on as this one began.
    """

    summary: str
    trace: str
    fatal: str | None = None
    lost: bool = False


def refuse_inside_a_trial() -> None:
    """Raise :class:`SweepsError` in the process of a trial, where no other sweep can begin."""
    if INSIDE in os.environ:
        raise SweepsError(
            "a sweep was made inside of a trial: a script that is imported as the module of train"
            ' must run its sweep under `if __name__ == "__main__":`'
        )

"""What the workers of a sweep are told."""

from dataclasses import dataclass

SEPARATOR = "\n"
"""Between the folders of an array's trials, in the one text that names the array to Ray Tune."""


@dataclass(frozen=True)
class Job:
    """What all workers of a sweep are told. ``cpu`` and ``gpu`` are one trial's share.

    Ray Tune unpickles this for every trial, so it stays small: what is a trial's own, the worker
    reads from its record. Time-outs are in seconds.
    """

    directory: str  # a path, or the URI of other storage
    train: str
    metric: str
    mode: str
    keep_best: int
    cpu: float
    gpu: float
    import_path: tuple[str, ...]
    on_cluster: bool
    trial_timeout: float | None
    epoch_timeout: float | None

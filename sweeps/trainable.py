"""The worker side: what runs inside a Ray worker, around the user's function.

The process that trains also records: a checkpoint lands, then the line of history that names it,
then TensorBoard's events are flushed, and only then is Ray told. Whatever dies after a report, the
report stays.
"""

import io
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import ray
from ray import tune

from sweeps.errors import MetricMissing, SweepsError, nearest
from sweeps.events import EventLog
from sweeps.ledger import (
    Report,
    Status,
    append_report,
    config_of,
    id_of,
    keep_checkpoint,
    read_history,
    rewrite_history,
    status_of,
)
from sweeps.resolve import Resolved, import_from, resolve

SEPARATOR = "\n"
"""Between the folders of an array's trials, in the one text that names the array to Ray Tune."""


@dataclass(frozen=True)
class Job:
    """What all workers of a sweep are told. ``cpu`` and ``gpu`` are one trial's share.

    Ray Tune unpickles this for every trial, so it stays small: what is a trial's own, the worker
    reads from its record.
    """

    directory: str
    train: str
    metric: str
    cpu: float
    gpu: float
    import_path: tuple[str, ...]


class TrialFailed(Exception):
    """An attempt failed; carries text only, so that it survives the way to the driver.

    ``fatal`` says that no other attempt and no other trial would fare better.
    """

    def __init__(self, summary: str, trace: str, fatal: bool = False) -> None:
        super().__init__(summary, trace, fatal)
        self.summary, self.trace, self.fatal = summary, trace, fatal

    def __str__(self) -> str:
        return self.summary


def ray_trainable(job: Job) -> Callable[[dict[str, Any]], None]:
    """A Ray Tune function that runs the trials whose folders its configuration names."""

    def trial(config: dict[str, Any]) -> None:
        run_trials(job, [Member(job, path) for path in config["array"].split(SEPARATOR)])

    return trial


class Member:
    """One of the trials that this worker runs."""

    def __init__(self, job: Job, path: str) -> None:
        self.id = id_of(path)
        self.folder = Path(job.directory) / path
        self.config = config_of(self.folder)
        self.job = job

    def is_running(self) -> bool:
        """Whether the driver wants it run; in an array started again, some may have ended."""
        return status_of(self.folder) is Status.RUNNING

    def begin(self, resolved: Resolved) -> dict[str, Any]:
        """The keyword arguments for its function, from its last checkpoint if it has one."""
        history: list[Report] = []
        checkpoint = None
        if "resume_from" in resolved.accepts:
            history, checkpoint = resume_point(self.folder)
        rewrite_history(self.folder, history)
        self.recorder = Recorder(self, len(history))
        if not resolved.logs:
            self.recorder.events = EventLog(self.folder, self.config, len(history))
        offered = {"report": self.recorder, "log_dir": self.folder, "resume_from": checkpoint}
        return {name: value for name, value in offered.items() if name in resolved.accepts}


def run_trials(job: Job, members: Sequence[Member]) -> None:
    """Call the user's function for one trial, or its array form for several.

    Raises:
        TrialFailed: whatever the function raised, as text.
    """
    members = [member for member in members if member.is_running()]
    if not members:
        unseen = f"{whereabouts()} does not see the records in {job.directory}"
        raise TrialFailed(f"{unseen}: it must be on storage that all nodes share", unseen)
    with ExitStack() as stack:
        try:
            output = stack.enter_context(Output([member.folder for member in members]))
            stack.enter_context(redirect_stdout(output))
            stack.enter_context(redirect_stderr(output))
            limit_to_share(job, len(members))
            import_from(job.import_path)
            resolved = resolve(job.train)
            if not resolved.reports:
                resolved.function(members[0].config)
            elif len(members) == 1:
                _run_one(resolved, members[0])
            else:
                _run_array(resolved, members)
        except Exception as error:  # whatever the user's function raised
            raise explain(error) from None


def _run_one(resolved: Resolved, member: Member) -> None:
    arguments = member.begin(resolved)
    finished = False
    try:
        resolved.function(member.config, **arguments)
        finished = True
    finally:
        member.recorder.close(finished=finished)


def _run_array(resolved: Resolved, members: Sequence[Member]) -> None:
    """Train the members together; those that failed are told of when the others have ended."""
    arguments = [member.begin(resolved) for member in members]
    errors = resolved.module.train_many(
        [member.config for member in members],
        reports=[member.recorder for member in members],
        log_dirs=[one["log_dir"] for one in arguments],
        resume_from=[one.get("resume_from") for one in arguments],
    )
    for member, error in zip(members, errors, strict=True):
        if error is not None:
            tune.report({"trial": member.id, "error": explain(error).args})


def explain(error: Exception) -> TrialFailed:
    """What to tell of an error, as text."""
    summary = f"{type(error).__name__}: {error}".strip().splitlines()[0]
    if isinstance(error, SweepsError):
        summary = str(error)
    return TrialFailed(summary, "".join(_traceback(error)), isinstance(error, MetricMissing))


def resume_point(folder: Path) -> tuple[list[Report], Path | None]:
    """The reports up to the last one whose checkpoint is there, and that checkpoint."""
    history = read_history(folder)
    while history:
        checkpoint = history[-1].checkpoint
        if checkpoint and (folder / checkpoint).exists():
            return history, folder / checkpoint
        history.pop()
    return [], None


class Recorder:
    """The ``report`` that a trainable calls: records, then tells Ray.

    Attributes:
        events: where the reports become scalars, unless the trainable writes its own.
    """

    def __init__(self, member: Member, next_step: int) -> None:
        self.events: EventLog | None = None
        self._member = member
        self._next_step = next_step
        self._where = whereabouts()
        self._last = time.perf_counter()

    def __call__(self, metrics: Mapping[str, Any], *, checkpoint: Path | None = None) -> None:
        tune.report(self._record(metrics, checkpoint))

    def close(self, *, finished: bool) -> None:
        if self.events:
            self.events.close(finished=finished)

    def _record(self, metrics: Mapping[str, Any], checkpoint: Path | None) -> dict[str, Any]:
        """Land a report, and say it in a message for the driver."""
        numbers = to_numbers(metrics)
        check_metric(self._member.job.metric, numbers)
        folder, step, now = self._member.folder, self._next_step, time.perf_counter()
        kept = keep_checkpoint(folder, step, checkpoint)
        report = Report(step, numbers, round(now - self._last, 6), kept)
        append_report(folder, report)
        if self.events:
            self.events.log(numbers, step)
        self._next_step, self._last = step + 1, now
        told = {"step": step, "metrics": numbers, "seconds": report.seconds}
        return {"trial": self._member.id, "where": self._where, **told}


class Output(io.TextIOBase):
    """What is printed goes to ``output.log``; what an array prints, to that of every member."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._files = [(f / "output.log").open("a", buffering=1, encoding="utf-8") for f in folders]

    def write(self, text: str) -> int:
        for file in self._files:
            file.write(text)
        return len(text)

    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()


def to_numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Metrics as plain numbers; tensors and arrays of one element are read."""
    numbers: dict[str, float] = {}
    for key, value in metrics.items():
        value = value.item() if hasattr(value, "item") else value
        if not isinstance(value, Real):
            raise TypeError(f"the metric {key!r} must be a number, got {value!r}")
        numbers[str(key)] = int(value) if isinstance(value, int) else float(value)
    return numbers


def check_metric(metric: str, numbers: Mapping[str, float]) -> None:
    """Raise :class:`MetricMissing` unless the sweep's metric was reported."""
    if metric not in numbers:
        reported = ", ".join(repr(key) for key in numbers) or "nothing"
        raise MetricMissing(
            f"the trainable reported no {metric!r}; it reported {reported}"
            f"{nearest(metric, numbers)}"
        )


def limit_to_share(job: Job, trials: int) -> None:
    """Keep torch to the threads of one trial, and its allocator to the trials' share of a GPU.

    On a worker that has not imported torch, and may never do so, the variables are enough. A Ray
    that others have started would let a trial without a share see every GPU.
    """
    os.environ["OMP_NUM_THREADS"] = str(max(1, int(job.cpu)))
    if not job.gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if not job.gpu and "torch" not in sys.modules:
        return
    import torch  # here, and not above: the driver imports this file too

    torch.set_num_threads(max(1, int(job.cpu)))
    share = job.gpu * trials
    if 0 < share <= 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(share)


def whereabouts() -> str:
    """The host this runs on, and its GPUs if it was given any."""
    gpus = ",".join(str(gpu) for gpu in ray.get_gpu_ids())
    return f"{socket.gethostname()} gpu {gpus}" if gpus else socket.gethostname()


def _traceback(error: Exception) -> list[str]:
    """The traceback from the user's function on, without the frames around it."""
    trace = traceback.TracebackException.from_exception(error)
    here = os.path.realpath(__file__)
    while len(trace.stack) > 1 and os.path.realpath(trace.stack[0].filename) == here:
        del trace.stack[0]
    return list(trace.format())

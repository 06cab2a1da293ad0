"""The worker side: what runs inside a Ray worker, around the user's function.

The process that trains also records: a checkpoint lands, then the line of history that names it,
then TensorBoard's events are flushed, and only then is Ray told. Whatever dies after a report, the
report stays.
"""

import contextlib
import os
import socket
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import ray
from ray import tune

from sweeps.errors import MetricMissing, SweepsError, did_you_mean
from sweeps.events import EventLog
from sweeps.ledger import (
    Report,
    append_report,
    keep_checkpoint,
    read_history,
    rewrite_history,
)
from sweeps.resolve import Resolved, import_from, resolve


@dataclass(frozen=True)
class Job:
    """What all trials of a sweep share. ``cpu`` and ``gpu`` are one trial's share."""

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
    """A Ray Tune function that runs the trial named by its configuration."""

    def trial(config: dict[str, Any]) -> None:
        chosen = config["trial"]
        run_trial(job, Path(job.directory) / chosen["path"], chosen["config"])

    return trial


def run_trial(job: Job, folder: Path, config: Mapping[str, Any]) -> None:
    """Call the user's function for one trial, from its last checkpoint if it has one.

    Raises:
        TrialFailed: whatever the function raised, as text.
    """
    with (folder / "output.log").open("a", buffering=1, encoding="utf-8") as output:
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                import_from(job.import_path)
                resolved = resolve(job.train)
                limit_to_share(job)
                if resolved.reports:
                    _run_reporting(job, resolved, folder, config)
                else:
                    resolved.function(dict(config))
        except Exception as error:
            summary = f"{type(error).__name__}: {error}".strip().splitlines()[0]
            if isinstance(error, SweepsError):
                summary = str(error)
            fatal = isinstance(error, MetricMissing)
            raise TrialFailed(summary, "".join(_traceback(error)), fatal) from None


def _run_reporting(job: Job, resolved: Resolved, folder: Path, config: Mapping[str, Any]) -> None:
    history, checkpoint = resume_point(folder) if "resume_from" in resolved.accepts else ([], None)
    rewrite_history(folder, history)
    recorder = Recorder(job, folder, len(history))
    arguments: dict[str, Any] = {"report": recorder}
    if "resume_from" in resolved.accepts:
        arguments["resume_from"] = checkpoint
    if resolved.logs:
        arguments["log_dir"] = folder
    else:
        recorder.events = EventLog(folder, config, recorder.next_step)
    finished = False
    try:
        resolved.function(dict(config), **arguments)
        finished = True
    finally:
        if recorder.events:
            recorder.events.close(finished=finished)


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
    """The ``report`` that a trainable calls: records, then tells Ray."""

    def __init__(self, job: Job, folder: Path, next_step: int) -> None:
        self.next_step = next_step
        self.events: EventLog | None = None
        self._job = job
        self._folder = folder
        self._where = whereabouts()
        self._last = time.perf_counter()

    def __call__(self, metrics: Mapping[str, Any], *, checkpoint: Path | None = None) -> None:
        numbers = to_numbers(metrics)
        check_metric(self._job.metric, numbers)
        now = time.perf_counter()
        report = Report(
            step=self.next_step,
            metrics=numbers,
            seconds=round(now - self._last, 6),
            checkpoint=keep_checkpoint(self._folder, self.next_step, checkpoint),
        )
        append_report(self._folder, report)
        if self.events:
            self.events.log(numbers, report.step)
        self.next_step, self._last = self.next_step + 1, now
        tune.report(message(report, self._where))


def message(report: Report, where: str) -> dict[str, Any]:
    """A report as it travels to the driver through Ray."""
    return {
        "step": report.step,
        "metrics": dict(report.metrics),
        "seconds": report.seconds,
        "where": where,
    }


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
        near = did_you_mean(metric, numbers)
        raise MetricMissing(
            f"the trainable reported no {metric!r}; it reported {reported}"
            + (near if "did you mean" in near else "")
        )


def limit_to_share(job: Job) -> None:
    """Keep torch to the trial's threads, and its allocator to the trial's share of a GPU."""
    import torch  # here, and not above: the driver imports this file too

    torch.set_num_threads(max(1, int(job.cpu)))
    if 0 < job.gpu < 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(job.gpu)


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

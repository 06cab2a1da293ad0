"""The ``report`` that a trainable calls: it records, then tells Ray."""

import errno
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from ray import tune

from sweeps.errors import CannotGoOn, MetricMissing, nearest
from sweeps.records.best import best_of
from sweeps.records.checkpoints import checksum, keep_best, keep_checkpoint
from sweeps.records.events import EventLog
from sweeps.records.history import Report, append_report
from sweeps.worker.job import Job

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}

TELL_EVERY = 0.05
"""Seconds between two messages to the driver; what is reported sooner is told with the next."""


class Diverged(Exception):
    """The loss or the sweep's metric is no finite number: to train on would be in vain."""


class Recorder:
    """Records the reports of one trial.

    Args:
        key: the trial's id.
        history: of the reports that it goes on after.
        events: where the reports become scalars, unless the trainable writes its own.
        store: writes the trial's folder to where the sweep's directory is, after every report.
        on_report: called after every report.
    """

    def __init__(
        self,
        job: Job,
        key: str,
        folder: Path,
        history: Sequence[Report],
        where: str,
        events: EventLog | None,
        *,
        store: Callable[[], None],
        on_report: Callable[[], None],
    ) -> None:
        self._job = job
        self._key = key
        self._folder = folder
        self._store = store
        self._next_step = len(history)
        best = best_of([report.metrics for report in history], job.metric, job.mode)
        self._best = best["value"] if best else None
        self._where = where
        self._events = events
        self._on_report = on_report
        self._last = time.perf_counter()
        self._untold: list[tuple[int, dict[str, float], float]] = []
        self._tell_at = 0.0

    def __call__(self, metrics: Mapping[str, Any], *, checkpoint: Path | None = None) -> None:
        step, numbers = self._next_step, to_numbers(metrics)
        check_metric(self._job.metric, numbers)
        self._record(numbers, checkpoint)
        self._on_report()
        why = divergence(self._job.metric, numbers, step + 1)
        if why or time.perf_counter() >= self._tell_at:
            self.tell()
        if why:
            raise Diverged(why)

    def tell(self) -> None:
        """Tell the driver what it has not been told; Ray waits until it has heard."""
        untold, self._untold = self._untold, []
        if untold:
            tune.report({"trial": self._key, "where": self._where, "reports": untold})
            self._tell_at = time.perf_counter() + TELL_EVERY

    def close(self, *, finished: bool) -> None:
        if self._events:
            self._events.close(finished=finished)
        self.tell()

    def _record(self, numbers: dict[str, float], checkpoint: Path | None) -> None:
        """Land a report, which is then to be told."""
        folder, step, now = self._folder, self._next_step, time.perf_counter()
        kept = keep_checkpoint(folder, step, checkpoint) if checkpoint else None
        if kept and self._is_best(numbers):
            keep_best(folder, step, kept)
        report = Report(
            step,
            numbers,
            round(now - self._last, 6),
            kept.relative_to(folder).as_posix() if kept else None,
            checksum(kept) if kept else None,
        )
        append_report(folder, report)
        self._log(numbers, step)
        self._store()
        self._next_step, self._last = step + 1, now
        self._untold.append((step, numbers, report.seconds))

    def _is_best(self, numbers: Mapping[str, float]) -> bool:
        """Whether the trial was never better, if the best of the sweep are kept at all."""
        job, value = self._job, numbers[self._job.metric]
        if not job.keep_best or not math.isfinite(value):
            return False
        better = self._best is None or (
            value < self._best if job.mode == "min" else value > self._best
        )
        self._best = value if better else self._best
        return better

    def _log(self, numbers: Mapping[str, float], step: int) -> None:
        """Scalars for TensorBoard; a trial does not fail for want of them."""
        if self._events is None:
            return
        try:
            self._events.log(numbers, step)
        except Exception as error:
            self._events = None
            warnings.warn(f"no more events for TensorBoard: {error!r}", stacklevel=2)


def no_room(error: OSError) -> CannotGoOn:
    """What to say where nothing can be written any more."""
    return CannotGoOn(
        f"{error.filename or 'a file'} cannot be written: {error.strerror}; what was recorded is"
        " kept: run the same command again once it can be"
    )


def divergence(metric: str, numbers: Mapping[str, float], epoch: int) -> str | None:
    """Why a trial is given up after this report, or ``None``: the metric, and losses, count."""
    for name, value in numbers.items():
        if (name == metric or "loss" in name.lower()) and not math.isfinite(value):
            return f"diverged: {name} is {value} at epoch {epoch}"
    return None


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

"""What becomes of a trainable's report: it is recorded, then told."""

import errno
import math
import os
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sweeps.errors import CannotGoOn, Misused, nearest, shown
from sweeps.planning.divergence import divergence
from sweeps.records.best import best_of, sort_key
from sweeps.records.checkpoints import checksum, keep_best, keep_checkpoint, path_of
from sweeps.records.event_files import positions
from sweeps.records.events import EventLog
from sweeps.records.history import Report, append_report, next_step
from sweeps.records.requests import asked_to_stop
from sweeps.worker.job import Job
from sweeps.worker.numbers import to_numbers
from sweeps.worker.writers import Writers

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}

TELL_EVERY = 0.05
"""Seconds between two messages to the driver; what is reported sooner is told with the next."""


class Over(Exception):
    """A trial's training ends here, though not by its own doing."""


class Reached(Over):
    """It has come to the epoch at which it stops for now."""


class Asked(Over):
    """Somebody has asked that it be stopped."""


class Diverged(Over):
    """The loss or the sweep's metric is no finite number: to train on would be in vain."""


class Recorder:
    """Records the reports of one trial.

    Args:
        key: the trial's id.
        history: of the reports that it goes on after.
        until: the epoch at which the trial stops for now.
        events: where the reports become scalars, unless the trainable writes all of them itself.
        writers: of the event files that the trainable writes.
        send: tells the driver.
        note: says something to the user, once.
        store: writes the trial's folder to where the sweep's directory is, after every report.
        on_report: called after every report.

    Attributes:
        has_reported: whether there was a report in this attempt.
    """

    def __init__(
        self,
        job: Job,
        key: str,
        folder: Path,
        history: Sequence[Report],
        where: str,
        events: EventLog | None,
        writers: Writers,
        *,
        until: int | None,
        send: Callable[[dict[str, Any]], None],
        note: Callable[[str], None],
        store: Callable[[], None],
        on_report: Callable[[], None],
    ) -> None:
        self._job = job
        self._key = key
        self._folder = folder
        self._send, self._note, self._store, self._on_report = send, note, store, on_report
        self._reports: list[Mapping[str, float]] = [report.metrics for report in history]
        self._step = next_step(history)
        best = best_of(self._reports, job.metric, job.mode)
        self._best = best["value"] if best else None
        self._where, self._until = where, until
        self._events, self._writers = events, writers
        self._process = os.getpid()
        self._one_at_a_time = threading.RLock()
        self._last = time.perf_counter()
        self._untold: list[tuple[int, dict[str, float], float]] = []
        self._outside: str | None = None
        self._tell_at = 0.0
        self.has_reported = False

    def __call__(self, *metrics: Any, checkpoint: Any = None, **named: Any) -> None:
        numbers, others = to_numbers(_only_mapping(metrics, named))
        if os.getpid() != self._process:
            raise Misused(
                "report was called in a process that the trainable started; call it where the"
                " function itself runs"
            )
        with self._one_at_a_time:  # threads may report, and each report is an epoch of its own
            self._take(numbers, others, checkpoint)

    def _take(self, numbers: dict[str, float], others: Mapping[str, str], checkpoint: Any) -> None:
        for name, kind in others.items():
            self._note(f"{name!r} is no number ({kind}), and is left out of the metrics")
        if self._job.metric not in numbers and not self._seen(self._job.metric):
            names = ", ".join(map(repr, numbers)) or "nothing"
            near = nearest(self._job.metric, numbers)
            self._note(f"no {self._job.metric!r} so far; reported was {names}{near}")
        path = path_of(checkpoint, self._folder) if checkpoint is not None else None
        self._record(numbers, path)
        self.has_reported = True
        self._on_report()
        over = self._over()
        if over or time.perf_counter() >= self._tell_at:
            self.tell()
        if over:
            raise over

    def check_course(self) -> None:
        """Raise :class:`Over` if that had come when it was killed, before it was told."""
        if over := self._over():
            raise over

    def _over(self) -> Over | None:
        if why := divergence(self._job.metric, self._reports, self._job.patience):
            return Diverged(why)
        if why := asked_to_stop(self._folder):
            return Asked(why)
        reached = self._until is not None and len(self._reports) >= self._until
        return Reached() if reached else None

    def tell(self) -> None:
        """Tell the driver what it has not been told."""
        untold, self._untold = self._untold, []
        if untold:
            message = {"trial": self._key, "where": self._where, "reports": untold}
            self._send(message | ({"outside": self._outside} if self._outside else {}))
            self._tell_at = time.perf_counter() + TELL_EVERY

    def close(self, *, finished: bool) -> None:
        if self._events:
            self._events.close(finished=finished, others=self._writers.tags)
        self.tell()

    def _record(self, numbers: dict[str, float], checkpoint: Path | None) -> None:
        """Land a report, which is then to be told."""
        folder, step, now = self._folder, self._step, time.perf_counter()
        kept = self._keep(step, checkpoint) if checkpoint is not None else None
        if self._is_best(numbers) and kept:
            keep_best(folder, step, kept)
        self._writers.flush()
        report = Report(
            step,
            numbers,
            round(now - self._last, 6),
            kept.relative_to(folder).as_posix() if kept else None,
            checksum(kept) if kept else None,
            positions(folder) if kept else None,
        )
        append_report(folder, report)
        self._log(numbers, step)
        self._store()
        self._reports.append(numbers)
        self._step += 1
        self._last = now
        self._untold.append((len(self._reports), numbers, report.seconds))

    def _keep(self, step: int, checkpoint: Path) -> Path:
        kept = keep_checkpoint(self._folder, step, checkpoint)
        if kept != (given := checkpoint.absolute()):
            self._outside = str(given.resolve())
        return kept

    def _seen(self, name: str) -> bool:
        return any(name in numbers for numbers in self._reports)

    def _is_best(self, numbers: Mapping[str, float]) -> bool:
        """Whether the trial was never better, if the best of the sweep are kept at all."""
        job, value = self._job, numbers.get(self._job.metric, math.nan)
        if not job.keep_best or not math.isfinite(value):
            return False
        if self._best is not None and sort_key(value, job.mode) >= sort_key(self._best, job.mode):
            return False
        self._best = value
        return True

    def _log(self, numbers: Mapping[str, float], step: int) -> None:
        """Scalars for TensorBoard; a trial does not fail for want of them."""
        if self._events is None:
            return
        try:
            self._events.log(numbers, step, self._writers.tags)
        except Exception as error:
            self._events = None
            warnings.warn(f"no more events for TensorBoard: {error!r}", stacklevel=2)


def _only_mapping(metrics: Sequence[Any], named: Mapping[str, Any]) -> Mapping[Any, Any]:
    """The one argument of a report.

    Raises:
        Misused: it was called in another way.
    """
    if not metrics and set(named) == {"metrics"}:
        metrics, named = (named["metrics"],), {}
    if len(metrics) == 1 and isinstance(metrics[0], Mapping) and not named:
        return metrics[0]
    got = [shown(value) for value in metrics] + [f"{k}={shown(v)}" for k, v in named.items()]
    raise Misused(
        "report takes a mapping of names to numbers, as in report({'loss': 0.1}), and by name a"
        f" checkpoint; it was called as report({', '.join(got)})"
    )


def no_room(error: OSError) -> CannotGoOn:
    """What to say where nothing can be written any more."""
    return CannotGoOn(
        f"{error.filename or 'a file'} cannot be written: {error.strerror}; what was recorded is"
        " kept: run the same command again once it can be"
    )

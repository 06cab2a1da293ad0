"""The driver's account of a run: what the workers tell becomes records, events and progress."""

import bisect
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sweeps.definition.resolve import Versions
from sweeps.definition.space import Trial
from sweeps.driver.progress import Progress
from sweeps.errors import AllFail, MetricMissing, StorageError, SweepsError
from sweeps.records.best import best_of
from sweeps.records.checkpoints import drop_best, drop_older
from sweeps.records.events import EventLog, clear_events, withdraw_failure, write_failure
from sweeps.records.history import Report, append_report, read_history, rewrite_history
from sweeps.records.ledger import Ledger
from sweeps.records.record import Record, Status

FEW = 4
"""Failed attempts, of at least two trials, after which a sweep that got no report is given up."""


class Book:
    """Keeps the records of the trials being run, and tells the display.

    Args:
        trials: all that are to be run.
        versions: the code and the data that each is run with, by id.
        keep_best: how many trials' best checkpoints are kept.
        max_failures: how often a trial that fails is tried again.
        records_reports: whether reports are recorded here, as for plain Ray Tune functions; any
            other trainable has recorded them itself, on the worker.

    Attributes:
        records: the latest record of each trial, by id.
        fatal: why the sweep cannot go on, once that is known.
    """

    def __init__(
        self,
        ledger: Ledger,
        trials: Sequence[Trial],
        progress: Progress,
        *,
        versions: Mapping[str, Versions],
        metric: str,
        mode: str,
        keep_best: int,
        max_failures: int,
        records_reports: bool,
    ) -> None:
        self.records = ledger.records(trials)
        self.fatal: SweepsError | None = None
        self.records_reports = records_reports
        self.directory = ledger.directory
        self.metric = metric
        self._best = BestKept(ledger.directory, metric, mode, keep_best)
        for record in ledger.records(ledger.overview().trials).values():
            if record.status is Status.FINISHED:
                self._best.add(record)
        self._ledger = ledger
        self._versions = versions
        self._max_failures = max_failures
        self._failures = dict.fromkeys(self.records, 0)
        self._alone: set[str] = set()
        self._together: dict[str, tuple[str, ...]] = {}
        self._reported = False
        self._progress = progress
        self._events: dict[str, EventLog] = {}
        for key in self.records:
            self._set(key, status=Status.PENDING)

    def __enter__(self) -> None:
        self._tell(self._progress.begin, self.records)

    def __exit__(self, *_: object) -> None:
        """Whatever is under way is interrupted."""
        self._tell(self._progress.end)
        for key, record in self.records.items():
            if record.status is Status.RUNNING:
                with suppress(
                    OSError, StorageError
                ):  # a full disk; nobody holds the sweep, so it reads the same
                    self._close_events(key, finished=False)
                    self._update(key, status=Status.INTERRUPTED)

    def waiting(self) -> list[str]:
        """The trials that have not run, or are to be tried again."""
        return [key for key in self.records if self.is_waiting(key)]

    def is_waiting(self, key: str) -> bool:
        return self.records[key].status in (Status.PENDING, Status.INTERRUPTED)

    def must_go_alone(self, key: str) -> bool:
        """Whether a trial failed inside an array, and is tried again without the others."""
        return key in self._alone

    def running(self, keys: Sequence[str]) -> list[str]:
        """Those of these trials that are under way."""
        return [key for key in keys if self.records[key].status is Status.RUNNING]

    def start(self, key: str, together: Sequence[str]) -> None:
        """An attempt begins, in an array with these trials."""
        record, versions = self.records[key], self._versions[key]
        folder = self._folder(key)
        self._together[key] = tuple(together)
        self._update(
            key,
            status=Status.RUNNING,
            attempts=record.attempts + 1,
            recorded=record.config,
            code=versions.code,
            data=versions.data,
        )
        withdraw_failure(folder)
        if not self.records_reports:  # a worker that died may have recorded more than it told
            self._ledger.fetch(record.path)
            self._set(key, history=read_history(folder))
        elif key not in self._events:
            rewrite_history(folder, [])  # Ray's checkpoints of an earlier run are gone
            clear_events(folder)
            self._events[key] = EventLog(folder, record.config, next_step=0)
        self._ledger.store(record.path)
        self._tell(self._progress.started, self.records[key])

    def report(self, key: str, report: Report, where: str) -> None:
        """A trial has reported."""
        self._reported = True
        record = self.records[key]
        if self.records_reports:
            self._record_here(key, report)
        del record.history[report.step :]  # what this attempt has gone back behind
        record.history.append(report)
        arrays = _with_array(record, report.step, self._together[key])
        if where != record.where or arrays != record.arrays:
            self._update(key, where=where, arrays=arrays)
        elif self.records_reports:
            self._ledger.store(record.path)
        self._tell(self._progress.reported, self.records[key])

    def fail(
        self,
        key: str,
        summary: str,
        trace: str,
        *,
        fatal: type[SweepsError] | None = None,
        array: bool = False,
        lost: bool = False,
    ) -> None:
        """An attempt has failed; for good, if there were too many and it was not in an array.

        Args:
            fatal: how the sweep ends, if no other attempt and no other trial would fare better.
            array: it was in an array. What brings a whole array down may be one of its members:
                the others are given a chance.
            lost: its process died, so that the next attempt goes on as this one began.
        """
        self._failures[key] += 1
        last = not array and self._failures[key] > self._max_failures
        if fatal:
            self.fatal = fatal(summary)
        elif not array:
            self._check_any_succeeds(summary, trace)
        attempt = self.records[key].attempts
        folder = self._folder(key)
        folder.mkdir(parents=True, exist_ok=True)  # its process may have died before it began
        with (folder / "errors.log").open("a", encoding="utf-8") as file:
            file.write(f"attempt {attempt}: {summary}\n{trace}\n")
        if last:
            self._end(key, Status.FAILED, summary)
            return
        self._update(key, status=Status.INTERRUPTED if lost else Status.PENDING, error=summary)
        if not self.fatal:
            self._tell(self._progress.retrying, self.records[key])

    def interrupt(self, key: str) -> None:
        """An attempt has ended with its node, as had been announced: nothing has failed."""
        self._update(key, status=Status.INTERRUPTED)
        self._tell(self._progress.moved, self.records[key])

    def send_alone(self, key: str) -> None:
        """Try a trial again without the array that it failed in."""
        self._alone.add(key)

    def diverge(self, key: str, summary: str) -> None:
        """A trial's loss or metric is no number any more: it is stopped, and keeps its place."""
        self._end(key, Status.STOPPED, summary)

    def finish(self, key: str) -> None:
        """A trial's function has returned."""
        if self.fatal:
            return
        self._ledger.fetch(self.records[key].path)
        if not self.records_reports:
            self._set(key, history=read_history(self._folder(key)))
        if not self.records[key].history:
            self.fatal = MetricMissing(f"the trainable returned without reporting {self.metric!r}")
            return
        self._close_events(key, finished=True)
        self._update(key, status=Status.FINISHED, error=None)  # last: it seals the others
        drop_older(self._folder(key), self.records[key].history)
        for path in {self.records[key].path, *self._best.add(self.records[key])}:
            self._ledger.store(path)
        self._tell(self._progress.ended, self.records[key])

    def _check_any_succeeds(self, summary: str, trace: str) -> None:
        """Give up a sweep whose every attempt so far failed before its first report."""
        failed = [count for count in self._failures.values() if count]
        if not self._reported and len(failed) > 1 and sum(failed) >= FEW:
            self.fatal = AllFail(
                f"no trial got as far as a first report, and {sum(failed)} attempts of"
                f" {len(failed)} trials failed; the last one with {summary}\n{trace.rstrip()}"
            )

    def _record_here(self, key: str, report: Report) -> None:
        folder, history = self._folder(key), self.records[key].history
        if report.step < len(history):  # tried again from Ray's checkpoint
            rewrite_history(folder, history[: report.step])
        append_report(folder, report)
        self._events[key].log(report.metrics, report.step)

    def _end(self, key: str, status: Status, summary: str) -> None:
        """A trial has ended without finishing."""
        self._ledger.fetch(self.records[key].path)
        self._close_events(key, finished=False)
        write_failure(self._folder(key))
        self._update(key, status=status, error=summary)
        self._tell(self._progress.ended, self.records[key])

    def _close_events(self, key: str, *, finished: bool) -> None:
        if events := self._events.pop(key, None):
            events.close(finished=finished)

    def _tell(self, method: Callable[..., None], *arguments: Any) -> None:
        """Tell the display; one that fails is not told again, and fails nothing else."""
        try:
            method(*arguments)
        except Exception as error:
            self._progress = Progress()
            with suppress(Exception):
                print(f"the display has failed ({error!r}); the sweep goes on", file=sys.stderr)

    def _folder(self, key: str) -> Path:
        return self.directory / self.records[key].path

    def _update(self, key: str, **changes: Any) -> None:
        self._set(key, **changes)
        self._ledger.write(self.records[key])

    def _set(self, key: str, **changes: Any) -> None:
        self.records[key] = replace(self.records[key], **changes)


class BestKept:
    """The finished trials whose best checkpoints are kept: the best ``count`` of the sweep."""

    def __init__(self, directory: Path, metric: str, mode: str, count: int) -> None:
        self._directory, self._metric, self._mode, self._count = directory, metric, mode, count
        self._ranked: list[tuple[float, str]] = []

    def add(self, record: Record) -> list[str]:
        """A trial has finished; the worst of those that are too many is dropped: its path."""
        best = best_of([report.metrics for report in record.history], self._metric, self._mode)
        if best:
            sign = 1 if self._mode == "min" else -1
            bisect.insort(self._ranked, (sign * best["value"], record.path))
        if len(self._ranked) <= self._count:
            return []
        _, path = self._ranked.pop()
        drop_best(self._directory / path)
        return [path]


def _with_array(
    record: Record, step: int, together: tuple[str, ...]
) -> tuple[Mapping[str, Any], ...]:
    """Who trained together, with who does so from this step on."""
    earlier = tuple(each for each in record.arrays if each["from"] < step)
    if earlier and earlier[-1]["trials"] == list(together):
        return earlier
    return (*earlier, {"from": step, "trials": list(together)})

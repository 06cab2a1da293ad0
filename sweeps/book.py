"""The driver's account of a run: what the workers tell becomes records, events and progress."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sweeps.display import Progress
from sweeps.errors import MetricMissing, SweepsError
from sweeps.events import EventLog, withdraw_failure, write_failure
from sweeps.ledger import Ledger, Report, Status, append_report, rewrite_history
from sweeps.space import Trial


class Book:
    """Keeps the records of the trials being run, and tells the display.

    Args:
        trials: all that are to be run.
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
        metric: str,
        max_failures: int,
        records_reports: bool,
    ) -> None:
        self.records = ledger.records(trials)
        self.fatal: SweepsError | None = None
        self.records_reports = records_reports
        self.directory = ledger.directory
        self._ledger = ledger
        self.metric = metric
        self._max_failures = max_failures
        self._failures = dict.fromkeys(self.records, 0)
        self._progress = progress
        self._events: dict[str, EventLog] = {}
        for key in self.records:
            self._set(key, status=Status.PENDING)

    def __enter__(self) -> None:
        self._progress.begin(self.records)

    def __exit__(self, *_: object) -> None:
        """Whatever is under way, or waits for its next attempt, is interrupted."""
        self._progress.end()
        for key, record in self.records.items():
            begun = record.status is Status.PENDING and record.attempts > 0
            if record.status is Status.RUNNING or begun:
                with suppress(OSError):  # a full disk; nobody holds the sweep, so it reads the same
                    self._close_events(key, finished=False)
                    self._update(key, status=Status.INTERRUPTED)

    def waiting(self) -> list[str]:
        """The trials that have not run, or failed inside an array and are to be tried again."""
        return [key for key in self.records if self.is_waiting(key)]

    def start(self, key: str) -> None:
        """An attempt begins."""
        attempts = self.records[key].attempts + 1
        self._update(key, status=Status.RUNNING, attempts=attempts)
        folder = self._folder(key)
        withdraw_failure(folder)
        if self.records_reports and key not in self._events:
            rewrite_history(folder, [])  # Ray's checkpoints of an earlier run are gone
            self._events[key] = EventLog(folder, self.records[key].config, next_step=0)
        self._progress.started(self.records[key])

    def report(self, key: str, report: Report, where: str) -> None:
        """A trial has reported."""
        history = self.records[key].history
        if self.records_reports:
            self._record_here(key, report)
        del history[report.step :]  # reports after the checkpoint that this attempt began from
        history.append(report)
        if where != self.records[key].where:
            self._update(key, where=where)
        self._progress.reported(self.records[key])

    def fail(
        self, key: str, summary: str, trace: str, *, fatal: bool = False, alone: bool = True
    ) -> None:
        """An attempt has failed; for good, if there were too many and it was not in an array.

        What brings a whole array down may be one of its members: the others are given a chance.
        """
        self._failures[key] += 1
        last = alone and self._failures[key] > self._max_failures
        if fatal:
            self.fatal = MetricMissing(summary)
        attempt = self.records[key].attempts
        with (self._folder(key) / "errors.log").open("a", encoding="utf-8") as file:
            file.write(f"attempt {attempt}: {summary}\n{trace}\n")
        self._update(key, status=Status.FAILED if last else Status.PENDING, error=summary)
        if last:
            self._close_events(key, finished=False)
            write_failure(self._folder(key))
            self._progress.ended(self.records[key])
        elif not self.fatal:
            self._progress.retrying(self.records[key])

    def finish(self, key: str) -> None:
        """A trial's function has returned."""
        if self.fatal:
            return
        if not self.records[key].history:
            self.fatal = MetricMissing(f"the trainable returned without reporting {self.metric!r}")
            return
        self._close_events(key, finished=True)
        self._update(key, status=Status.FINISHED, error=None)
        self._progress.ended(self.records[key])

    def is_waiting(self, key: str) -> bool:
        return self.records[key].status is Status.PENDING

    def running(self, keys: Sequence[str]) -> list[str]:
        """Those of these trials that are under way."""
        return [key for key in keys if self.records[key].status is Status.RUNNING]

    def _record_here(self, key: str, report: Report) -> None:
        folder, history = self._folder(key), self.records[key].history
        if report.step < len(history):  # tried again from Ray's checkpoint
            rewrite_history(folder, history[: report.step])
        append_report(folder, report)
        self._events[key].log(report.metrics, report.step)

    def _close_events(self, key: str, *, finished: bool) -> None:
        if events := self._events.pop(key, None):
            events.close(finished=finished)

    def _folder(self, key: str) -> Path:
        return self.directory / self.records[key].path

    def _update(self, key: str, **changes: Any) -> None:
        self._set(key, **changes)
        self._ledger.write(self.records[key])

    def _set(self, key: str, **changes: Any) -> None:
        self.records[key] = replace(self.records[key], **changes)

"""The driver's account of a run: what the workers tell becomes records, events and progress."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sweeps.definition.resolve import Versions
from sweeps.driver.best_kept import BestKept
from sweeps.driver.control import Ending
from sweeps.driver.failures import Failures
from sweeps.driver.progress import Progress
from sweeps.driver.sources import Sources
from sweeps.errors import (
    CannotGoOn,
    MetricMissing,
    Misused,
    StorageError,
    SweepsError,
)
from sweeps.planning.batch import Batch
from sweeps.planning.divergence import ended_diverged, metric_missing
from sweeps.records.checkpoints import drop_best, drop_older
from sweeps.records.event_files import hide_rows
from sweeps.records.events import withdraw_failure, write_failure
from sweeps.records.history import Report, next_step, read_history, rewrite_history
from sweeps.records.ledger import Ledger
from sweeps.records.record import Record, Status
from sweeps.records.requests import ask_to_stop, forget_to_stop
from sweeps.worker.job import Failure

FATAL: Mapping[str, type[SweepsError]] = {"MetricMissing": MetricMissing, "Misused": Misused}
"""What a sweep may end with, by name, beside :class:`CannotGoOn`."""


class Book:
    """Keeps the records of the trials being run, and tells the display.

    Args:
        keep_best: how many trials' best checkpoints are kept.
        max_failures: how often a trial that fails is tried again.
        patience: how many reports in a row may be not finite; ``None`` is any number.
        writes_events: whether the trainable writes the HParams rows itself.

    Attributes:
        records: the latest record of each trial, by id.
        ending: why the run ends before its trials do, once that is so.
        fatal: why the sweep cannot go on, once that is known.
        failures: of the attempts so far.
    """

    def __init__(
        self,
        ledger: Ledger,
        progress: Progress,
        *,
        metric: str,
        mode: str,
        keep_best: int,
        max_failures: int,
        patience: int | None,
        writes_events: bool,
    ) -> None:
        self.records: dict[str, Record] = {}
        self.fatal: SweepsError | None = None
        self.ending: Ending | None = None
        self.directory = ledger.directory
        self.metric = metric
        overview = ledger.overview()
        self._best = BestKept(ledger.directory, overview, keep_best)
        for record in ledger.records(overview.trials).values():
            if record.status is Status.FINISHED:
                self._best.add(record)
        self._ledger = ledger
        self._versions: dict[str, Versions] = {}
        self._patience = patience
        self._writes_events = writes_events
        self.failures = Failures(max_failures)
        self._together: dict[str, tuple[str, ...]] = {}
        self._reported = self._measured = False
        self._progress, self._is_shown = progress, False
        self._sources = Sources()
        self._mixed: set[str] = set()
        self._noted: set[str] = set()

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to begin."""
        return self.fatal is not None or self.ending is not None

    def expect(self, batch: Batch) -> None:
        """These trials are to be run now, as if for the first time, or on from where they stand."""
        trials = [trial for array in batch.arrays for trial in array]
        are_shown = batch.announce is None and all(trial.id in self.records for trial in trials)
        self.records |= self._ledger.records(trials)
        self._versions |= batch.versions
        self._best.expect(self._ledger.overview().trials)
        for trial in trials:
            self.failures.expect(trial.id)
            self._set(trial.id, status=Status.PENDING, until=batch.until.get(trial.id))
            if are_shown:
                self._tell(self._progress.goes_on, self.records[trial.id])
        if are_shown:
            return
        self._hide()
        if batch.announce:
            self._tell(batch.announce)
        self._tell(self._progress.begin, self.records)
        self._is_shown = True

    def _hide(self) -> None:
        if self._is_shown:
            self._tell(self._progress.end)
        self._is_shown = False

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        """Whatever is under way is interrupted, or stopped for good if that was asked."""
        self._hide()
        for key in self.running(list(self.records)):
            # a full disk; nobody holds the sweep, so it reads the same
            with suppress(OSError, StorageError):
                if self.ending and self.ending.kind == "stopped":
                    self._end(key, Status.STOPPED, self.ending.why)
                else:
                    self._update(key, status=Status.INTERRUPTED)
        for key in self._mixed:
            with suppress(OSError, StorageError, Timeout):
                self._forget_checkpoints(key)
                self._update(key, status=Status.INTERRUPTED)

    def _forget_checkpoints(self, key: str) -> None:
        """Its checkpoints may be another trial's: it is to start over."""
        folder = self._folder(key)
        with FileLock(folder / ".lock", timeout=10):  # its process may be ending still
            drop_best(folder)
            history = read_history(folder)
            rewrite_history(folder, [replace(r, checkpoint=None, sha256=None) for r in history])
            self._set(key, history=read_history(folder))

    def goal(self, key: str) -> int | None:
        """The epoch at which a trial stops for now; ``None`` if that is its end."""
        return self.records[key].until

    def is_waiting(self, key: str) -> bool:
        return self.records[key].status in (Status.PENDING, Status.INTERRUPTED)

    def running(self, keys: Sequence[str]) -> list[str]:
        """Those of these trials that are under way."""
        return [key for key in keys if self.records[key].status is Status.RUNNING]

    def start(self, key: str, together: Sequence[str]) -> None:
        """An attempt begins, in an array with these trials."""
        record, versions = self.records[key], self._versions[key]
        self._sources.begin(key)
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
        forget_to_stop(self._ledger.files, record.path)
        self._ledger.fetch(record.path)  # a process that died may have recorded more than it told
        self._set(key, history=read_history(folder))
        self._ledger.store(record.path)
        self._tell(self._progress.started, self.records[key])

    def report(
        self, key: str, epoch: int, metrics: Mapping[str, float], seconds: float, where: str
    ) -> None:
        """A trial has reported."""
        self._reported = True
        self._measured |= self.metric in metrics
        record = self.records[key]
        del record.history[epoch - 1 :]  # what this attempt has gone back behind
        arrays = _with_array(record, self._together[key])
        record.history.append(Report(next_step(record.history), metrics, seconds))
        if where != record.where or arrays != record.arrays:
            self._update(key, where=where, arrays=arrays)
        self._tell(self._progress.reported, self.records[key])

    def fail(self, key: str, failure: Failure, *, array: bool = False) -> None:
        """An attempt has failed; for good, if there were too many and it was not in an array.

        Args:
            array: it was in an array. What brings a whole array down may be one of its members:
                the others are given a chance.
        """
        epochs = len(self.records[key].history)
        last = self.failures.is_final(key, failure, epochs, array=array)
        if failure.fatal and not (self._measured and failure.fatal in FATAL):
            self.fatal = FATAL.get(failure.fatal, CannotGoOn)(failure.summary)
        elif not (array or self._reported):
            self._check_any_succeeds(key, failure)
        attempt = self.records[key].attempts
        folder = self._folder(key)
        folder.mkdir(parents=True, exist_ok=True)  # its process may have died before it began
        with (folder / "errors.log").open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"attempt {attempt}: {failure.summary}\n{failure.trace}\n")
        again = Status.INTERRUPTED if failure.lost else Status.PENDING
        if last:
            self._end(key, Status.FAILED, failure.summary)
            return
        self._update(key, status=again, error=failure.summary)
        if not self.fatal:
            self._tell(self._progress.retrying, self.records[key])

    def note(self, key: str, text: str) -> None:
        """A trial has something to say; what others have said as well is said once."""
        if text not in self._noted:
            self._noted.add(text)
            self._tell(self._progress.noted, self.records[key], text)

    def came_from(self, key: str, where: str, path: str) -> None:
        """A checkpoint was copied from outside of the trial's folder.

        Where two trials that ran at the same time have handed over the same file, what was copied
        for one may be what the other had written: neither's is believed.
        """
        other = self._sources.other(key, f"{where.partition(' gpu ')[0]} {path}")
        if other is not None:
            self._mixed |= {key, other}
            self.fatal = CannotGoOn(
                f"trials {other} and {key} ran at the same time and handed over the same"
                f" checkpoint, {path}: it may hold the other's state, so neither's is kept. Write"
                " it to a place of the trial's own: below log_dir, or in a temporary folder"
            )

    def interrupt(self, key: str) -> None:
        """An attempt has ended with its node, as had been announced: nothing has failed."""
        self._update(key, status=Status.INTERRUPTED)
        self._tell(self._progress.moved, self.records[key])

    def diverge(self, key: str, summary: str) -> None:
        """A trial has stopped: its loss is no number any more, or it was asked. Its place stays."""
        forget_to_stop(self._ledger.files, self.records[key].path)
        self._end(key, Status.STOPPED, summary)

    def reach(self, key: str) -> None:
        """A trial has come to the epoch at which it stops for now."""
        self._ledger.fetch(self.records[key].path)
        self._keep_one_row(key)
        self._set(key, history=read_history(self._folder(key)))
        self._update(key, status=Status.STOPPED, error=None)  # last: it seals the others
        self._ledger.store(self.records[key].path)
        self._sources.end(key)
        self._tell(self._progress.ended, self.records[key])

    def stop(self, key: str, why: str) -> None:
        """Somebody asks that a trial be stopped: at its next report, or before it begins."""
        if self.is_waiting(key):
            self._end(key, Status.STOPPED, why)
        elif self.running([key]):
            ask_to_stop(self._ledger.files, self.records[key].path, why)

    def finish(self, key: str) -> None:
        """A trial's function has returned."""
        if self.fatal or self.ending:
            return
        self._ledger.fetch(self.records[key].path)
        self._set(key, history=read_history(self._folder(key)))
        reports = [report.metrics for report in self.records[key].history]
        if not any(self.metric in metrics for metrics in reports):
            missing = metric_missing(self.metric, reports)
            if not self._measured:
                self.fatal = missing
            else:  # by others: the metric's name is right, and this trial alone is to blame
                self._end(key, Status.FAILED, str(missing))
            return
        if why := ended_diverged(reports, self._patience):
            self.diverge(key, why)
            return
        self._keep_one_row(key)
        # last: it seals the others
        self._update(key, status=Status.FINISHED, error=None, until=None)
        drop_older(self._folder(key), self.records[key].history)
        for path in {self.records[key].path, *self._best.add(self.records[key])}:
            self._ledger.store(path)
        self._sources.end(key)
        self._tell(self._progress.ended, self.records[key])

    def _keep_one_row(self, key: str) -> None:
        if not self._writes_events:
            hide_rows(self._folder(key))

    def _check_any_succeeds(self, key: str, failure: Failure) -> None:
        """Give up a sweep whose every attempt so far failed before its first report."""
        configs = {key: record.config for key, record in self.records.items()}
        verdict = self.failures.verdict(configs, failure)
        if isinstance(verdict, str):
            self.note(key, verdict)
        elif verdict:
            self.fatal = verdict

    def _end(self, key: str, status: Status, summary: str) -> None:
        """A trial has ended without finishing."""
        self._ledger.fetch(self.records[key].path)
        self._keep_one_row(key)
        write_failure(self._folder(key))
        self._update(key, status=status, error=summary, until=None)
        self._sources.end(key)
        self._tell(self._progress.ended, self.records[key])

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


def _with_array(record: Record, together: tuple[str, ...]) -> tuple[Mapping[str, Any], ...]:
    """Who trained together, with who does so from the next step on."""
    last = record.history[-1].step if record.history else -1
    earlier = tuple(each for each in record.arrays if each["from"] <= last)
    if earlier and earlier[-1]["trials"] == list(together):
        return earlier
    return (*earlier, {"from": next_step(record.history), "trials": list(together)})

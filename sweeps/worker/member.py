"""One of the trials that a process trains: its folder, and what becomes of its reports."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sweeps.definition.places import is_remote
from sweeps.definition.resolve import Resolved
from sweeps.errors import SweepsError
from sweeps.records.checkpoints import Start, starts
from sweeps.records.event_files import hide_rows, reopen
from sweeps.records.events import EventLog
from sweeps.records.folders import config_of, id_of, origin_of, status_of, until_of
from sweeps.records.history import rewrite_history
from sweeps.records.record import Status
from sweeps.storage.working_copy import WorkingCopy
from sweeps.worker.deadline import Deadline
from sweeps.worker.job import Failure, Order
from sweeps.worker.recorder import Asked, Diverged, Over, Reached, Recorder
from sweeps.worker.writers import Writers

PATIENCE = 60
"""Seconds to wait for the process before, whose sweep was killed."""


class Member:
    """A trial in this process.

    Attributes:
        resume_from: the checkpoint to go on from, once it has begun.
    """

    def __init__(self, order: Order, path: str, send: Callable[[dict[str, Any]], None]) -> None:
        self.id = id_of(path)
        self.resume_from: Path | None = None
        self._order, self._send = order, send
        self._noted: set[str] = set()
        self._recorder: Recorder | None = None
        directory = order.job.directory
        self._copy = WorkingCopy(directory, path) if is_remote(directory) else None
        self.folder = self._copy.folder if self._copy else Path(directory) / path
        self.config: Mapping[str, Any] = config_of(self.folder)
        if not self.config:
            raise SweepsError(
                f"{order.where} does not see the records in {directory}: it must be on storage"
                " that all nodes share"
            )

    def is_wanted(self) -> bool:
        """Whether the driver wants it run; in an array started again, some may have ended."""
        return status_of(self.folder) is Status.RUNNING

    def alone_in_it(self) -> FileLock:
        """Make sure that no other process writes to the trial's folder.

        The processes of a sweep that was killed end a moment after it.
        """
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout:
            raise SweepsError(
                f"another process has written to {self.folder} for {PATIENCE} s: end it, and run"
                " the sweep again"
            ) from None
        return lock

    def prepare(self, resolved: Resolved, deadline: Deadline) -> None:
        """What is known before it is known from where the trial goes on."""
        self._resolved, self._deadline = resolved, deadline
        self._writes_events = bool(resolved.offered("WRITES_EVENTS"))
        # in an array others of its members write too, each into its own folder
        note = (lambda text: None) if self._writes_events else self.note
        self._writers = Writers(self.folder, note)
        self._writers.watch(keep_rows=self._writes_events)

    def begin(self, start: Start) -> None:
        """Go on after these reports, and from this checkpoint.

        Raises:
            Over: it has diverged before, or is where it stops for now.
            SweepsError: what it has from its parent is gone.
        """
        origin = origin_of(self.folder)
        if origin and start.epoch < origin.epoch:
            raise SweepsError(
                f"it goes on from epoch {origin.epoch} of {origin.parent}, whose checkpoint is gone"
                " or was damaged: it cannot begin by itself"
            )
        rewrite_history(self.folder, start.history)
        reopen(self.folder, start.history, writes_events=self._writes_events)
        self.resume_from = start.checkpoint
        own = None if self._writes_events else EventLog(self.folder, self.config)
        self._recorder = Recorder(
            self._order.job,
            self.id,
            self.folder,
            start.history,
            self._order.where,
            own,
            self._writers,
            until=until_of(self.folder),
            send=self._send,
            note=self.note,
            store=self._store,
            on_report=self._deadline.extend,
        )
        self._recorder.check_course()

    def ask_checkpoint(self) -> Path | None:
        """A plain Ray Tune function asks: only then does it go on, and not start over."""
        if self._recorder is None:
            self.begin(next(starts(self.folder)))
        return self.resume_from

    def report(self, *metrics: Any, checkpoint: Any = None, **named: Any) -> None:
        """The ``report`` of a trainable."""
        if self._recorder is None:
            self.begin(Start([], None))
        assert self._recorder is not None  # noqa: S101
        self._recorder(*metrics, checkpoint=checkpoint, **named)

    def report_returned(self, value: Any) -> None:
        """What a function returned or yielded is a report, unless it has made its own."""
        reported = self._recorder is not None and self._recorder.has_reported
        if isinstance(value, Mapping) and not (reported and self._resolved.reports):
            self.report(value)
        elif value is not None and not reported:
            kind = type(value).__name__
            self.note(
                f"a value of type {kind} was returned or yielded, which is no report; a report is a"
                " mapping of names to numbers, such as {'loss': 0.1}"
            )

    def note(self, text: str) -> None:
        """Say something once, in the trial's output and to the driver."""
        if text not in self._noted:
            self._noted.add(text)
            print(f"note: {text}", file=sys.stderr)
            self._send({"trial": self.id, "note": text})

    def tell_over(self, why: Over) -> None:
        kind = {Diverged: "diverged", Asked: "stopped", Reached: "reached"}[type(why)]
        self._send({"trial": self.id, kind: str(why)})

    def tell_failed(self, failure: Failure) -> None:
        self._send({"trial": self.id, "failed": failure})

    def end(self, *, finished: bool) -> None:
        """The function has ended."""
        self._writers.flush()
        if self._recorder:
            self._recorder.close(finished=finished)
        if not self._writes_events:
            hide_rows(self.folder)

    def close(self) -> None:
        """After the attempt, however it ended."""
        if self._copy:
            self._copy.close()

    def _store(self) -> None:
        """After a report: write it to the sweep's directory, if that is elsewhere."""
        if self._copy:
            self._copy.store()

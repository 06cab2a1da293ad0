"""What ends a run before its trials do: what is asked of it from outside, its time, its success."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Protocol

from sweeps.errors import StorageError
from sweeps.records.ledger import Ledger
from sweeps.records.record import Record, Status
from sweeps.records.requests import Request, hear

LOOK_EVERY = 0.5
"""Seconds between two looks at what is asked."""

STOPPED = "stopped by `sweeps stop`"


@dataclass(frozen=True)
class Ending:
    """Why a run ends before its time.

    Attributes:
        kind: ``paused``: the same command goes on with what was under way; ``stopped``: that stays
            as it is; ``enough``: the sweep has what it was to bring.
    """

    kind: Literal["paused", "stopped", "enough"]
    why: str


class Account(Protocol):
    """What the control does to a run: its book."""

    ending: Ending | None
    records: dict[str, Record]

    def stop(self, key: str, why: str) -> None: ...


class Control:
    """Looks for requests, the time and success; for one run, over all its rounds.

    Args:
        hours: after which the run ends.
        enough: why no other trial is to begin, by these records; ``None`` if some may.

    Attributes:
        wider: what asks for more trials; they begin with the next round.
    """

    def __init__(
        self,
        ledger: Ledger,
        hours: float | None,
        enough: Callable[[Mapping[str, Record]], str | None],
    ) -> None:
        self._ledger, self._hours, self._enough = ledger, hours, enough
        self._started = time.monotonic()
        self._next_look = 0.0
        self.wider: list[Request] = []
        self._seen: list[Status] = []

    def look(self, book: Account) -> None:
        """Do what is asked, if it is time to look again."""
        self._look_whether_enough(book)  # each time: trials may be shorter than a look
        now = time.monotonic()
        if now < self._next_look or book.ending:
            return
        files = self._ledger.files
        self._next_look = now + max(LOOK_EVERY, files.look_every)
        with suppress(StorageError):  # whoever writes a record next finds out, and says so
            for request in hear(files):
                self._do(request, book)
        if self._hours is not None and now - self._started >= self._hours * 3600:
            why = f"the run has taken {self._hours:g} hours (stop_after.hours)"
            book.ending = book.ending or Ending("enough", why)

    def _look_whether_enough(self, book: Account) -> None:
        statuses = [record.status for record in book.records.values()]
        if statuses != self._seen:
            self._seen = statuses
            if found := self._enough(book.records):
                book.ending = book.ending or Ending("enough", found)

    def _do(self, request: Request, book: Account) -> None:
        if request.action == "widen":
            self.wider.append(request)
        elif request.action == "pause":
            book.ending = Ending("paused", "paused by `sweeps pause`")
        elif not request.trials:
            book.ending = Ending("stopped", STOPPED)
        for key in request.trials:
            if key in book.records:
                book.stop(key, STOPPED)

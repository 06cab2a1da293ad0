"""A trial's folder on the node that trains it, for a sweep whose directory is on other storage."""

import hashlib
import json
import os
import time
from pathlib import Path

from sweeps.definition.places import join
from sweeps.errors import SweepsError
from sweeps.records.atomic import land, remove
from sweeps.records.requests import STOP
from sweeps.storage.mirror import Mirror, is_event

EVENTS_EVERY = 10.0
"""Seconds between two writes of a growing event file: object stores take files only whole."""


def folder_of(uri: str, path: str) -> Path:
    """Where the copy of a trial is on each node; one that a killed worker left is used again."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    sweep = hashlib.sha256(uri.encode()).hexdigest()[:16]
    return cache / "sweepboard" / sweep / path.rpartition("/")[2]


class WorkingCopy:
    """The files of a trial, here for as long as it is trained here."""

    def __init__(self, uri: str, path: str) -> None:
        self.folder = folder_of(uri, path)
        remove(self.folder)
        self.folder.mkdir(mode=0o700, parents=True)
        self._mirror = Mirror(join(uri, path), self.folder)
        self._mirror.pull(contents=lambda file: not file.startswith("best/"))
        self._attempt = self._attempts()
        self._events_due = self._look_at = 0.0

    def store(self, *, last: bool = False) -> None:
        """Write what has changed to the sweep's directory: checkpoints, then history.

        Whether the trial is asked to stop is read on this occasion.

        Raises:
            SweepsError: another attempt has begun elsewhere; this one was taken for dead.
        """
        if self._attempts() != self._attempt:
            raise SweepsError("another attempt of this trial has begun elsewhere")
        now = time.monotonic()
        due = last or now >= self._events_due
        self._mirror.push(skip=lambda file: is_event(file) and not due)
        if due:
            self._events_due = now + EVENTS_EVERY
        if now >= self._look_at:
            self._look_at = now + self._mirror.look_every
            if asked := self._mirror.read(STOP):
                land(self.folder / STOP, asked)

    def close(self) -> None:
        """Write the rest, and leave nothing on this node."""
        try:
            self.store(last=True)
        finally:
            remove(self.folder)

    def _attempts(self) -> int | None:
        """How many attempts of the trial have begun, by its record."""
        try:
            found = json.loads(self._mirror.read("trial.json") or b"{}")
        except ValueError:
            return None
        return found.get("attempts") if isinstance(found, dict) else None

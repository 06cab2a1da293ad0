"""Who runs a sweep whose directory is on storage that has no locks.

``holder.json`` names the process, and is written again every few seconds. One that stands still for
as long as :data:`LASTS` belongs to a process that is gone. A process that finds it overwritten has
lost the sweep, and ends.
"""

import json
import os
import secrets
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from sweeps.errors import CannotGoOn, DirectoryError, StorageError
from sweeps.storage.mirror import Mirror

FILE = "holder.json"
BEATS = 5.0
LASTS = 30.0


class Lease:
    """The right to run the sweep in a mirror's storage; held from :meth:`take` to :meth:`give`."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._id = secrets.token_hex(8)
        self._ended = threading.Event()
        self._beating: threading.Thread | None = None
        self._lost: str | None = None

    def take(self) -> None:
        """Become the one that runs it.

        Raises:
            DirectoryError: another does.
        """
        found = self._read()
        if found and not _has_ended(found):
            self._watch(found)
        self._write()
        self._beating = threading.Thread(target=self._beat, daemon=True)
        self._beating.start()

    def give(self) -> None:
        """Let others have it."""
        self._ended.set()
        if self._beating:
            self._beating.join()
            self._beating = None
        with suppress(StorageError):  # then it ends by itself
            found = self._read()
            if found and found.get("id") == self._id:
                self._mirror.delete(FILE)

    def check(self) -> None:
        """Make sure that it is still ours.

        Raises:
            CannotGoOn: another has taken it.
        """
        if self._lost:
            raise CannotGoOn(
                f"{self._mirror.uri} has been taken over by another `sweeps run` ({self._lost});"
                " this one has ended, the other goes on"
            )

    def is_held(self) -> bool:
        """Whether some process runs it now, as far as clocks agree."""
        if self._beating:
            return True
        found = self._read()
        return found is not None and not _has_ended(found) and time.time() - found["time"] < LASTS

    def _watch(self, found: dict[str, Any]) -> None:
        """Wait until a holder that is not of this machine has either moved or stood still."""
        deadline = time.monotonic() + LASTS
        print(f"{_named(found)} held this sweep: waiting to see whether it runs", file=sys.stderr)
        while time.monotonic() < deadline:
            time.sleep(0.5)
            now = self._read()
            if now is None:
                return
            if now["time"] != found["time"]:
                raise DirectoryError(
                    f"{self._mirror.uri} is in use by another `sweeps run` ({_named(now)}); wait"
                    " for it, or choose another directory"
                )

    def _beat(self) -> None:
        while not self._ended.wait(BEATS):
            try:
                found = self._read()
                if found and found.get("id") != self._id:
                    self._lost = _named(found)
                    return
                self._write()
            except StorageError:  # whoever writes a record next finds out, and says so
                continue

    def _write(self) -> None:
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "id": self._id}
        self._mirror.write(FILE, json.dumps({**holder, "time": time.time()}).encode() + b"\n")

    def _read(self) -> dict[str, Any] | None:
        content = self._mirror.read(FILE)
        try:
            found = json.loads(content or b"null")
            return {**found, "time": float(found["time"])} if found else None
        except (ValueError, TypeError, KeyError):
            return None


def _named(holder: dict[str, Any]) -> str:
    return f"process {holder.get('pid')} on {holder.get('host')}"


def _has_ended(holder: dict[str, Any]) -> bool:
    """Whether it was a process of this machine, and is there no more."""
    if holder.get("host") != socket.gethostname() or not isinstance(holder.get("pid"), int):
        return False
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return bool(holder["pid"] == os.getpid())

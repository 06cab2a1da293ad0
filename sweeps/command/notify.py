"""`--notify`: tells a command or a URL of the first failure, of a stall, and of the end."""

import json
import os
import shlex
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Literal

from sweeps.driver.progress import Progress
from sweeps.errors import SweepsError
from sweeps.records.record import Record, Status

STALL = 600.0
"""Seconds without a report that count as a stall, or five times the longest wait so far."""

Event = Literal["failure", "stall", "end"]
Send = Callable[[Event, str], None]


def sender(target: str, directory: str) -> Send:
    """What tells a target: a URL gets a POST of JSON, a command the text as its last argument.

    Raises:
        SweepsError: there is no such command.
    """
    if target.startswith(("http://", "https://")):
        return lambda event, text: _post(target, event, text, directory)
    words = shlex.split(target)
    if not words or shutil.which(words[0]) is None:
        raise SweepsError(
            f"--notify {target!r}: must be a command or a URL, and there is no command"
            f" {words[0] if words else ''!r}"
        )
    return lambda event, text: _call(words, event, text, directory)


class Notifier(Progress):
    """Passes a sweep's course on to a display, and tells of what somebody should know."""

    def __init__(self, display: Progress, name: str, send: Send) -> None:
        self._display, self._name, self._send = display, name, send
        self._failed = False
        self._last, self._longest = time.monotonic(), 0.0
        self._over = threading.Event()
        self._watch: threading.Thread | None = None

    def begin(self, records: Mapping[str, Record]) -> None:
        self._over.clear()
        self._last = time.monotonic()
        self._watch = threading.Thread(target=self._look_for_stalls, daemon=True)
        self._watch.start()
        self._display.begin(records)

    def goes_on(self, record: Record) -> None:
        self._display.goes_on(record)

    def started(self, record: Record) -> None:
        self._last = time.monotonic()
        self._display.started(record)

    def reported(self, record: Record) -> None:
        now = time.monotonic()
        self._longest, self._last = max(self._longest, now - self._last), now
        self._display.reported(record)

    def noted(self, record: Record, text: str) -> None:
        self._display.noted(record, text)

    def retrying(self, record: Record) -> None:
        self._display.retrying(record)

    def moved(self, record: Record) -> None:
        self._display.moved(record)

    def ended(self, record: Record) -> None:
        if record.status is Status.FAILED and not self._failed:
            self._failed = True
            self._send("failure", f"{self._name}: {record.id} failed: {record.error}")
        self._display.ended(record)

    def end(self) -> None:
        self._over.set()
        self._display.end()

    def _look_for_stalls(self) -> None:
        told = 0.0
        while not self._over.wait(1.0):
            waited = time.monotonic() - self._last
            if waited > max(STALL, 5 * self._longest) and told != self._last:
                told = self._last
                self._send("stall", f"{self._name}: no report for {waited / 60:.0f} minutes")


def _call(words: list[str], event: Event, text: str, directory: str) -> None:
    environment = {**os.environ, "SWEEPS_EVENT": event, "SWEEPS_DIR": directory}
    with suppress(OSError):  # a notice that cannot be given fails nothing
        process = subprocess.Popen(
            [*words, text],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        threading.Thread(target=process.wait, daemon=True).start()


def _post(url: str, event: Event, text: str, directory: str) -> None:
    body = json.dumps({"text": text, "event": event, "directory": directory}).encode()
    request = urllib.request.Request(  # http or https, as checked  # noqa: S310
        url, body, {"Content-Type": "application/json"}
    )
    with suppress(OSError):
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310  # nosec B310

"""Ends what a driver that was killed has left running.

Ray's workers end with their driver, but two of its agents go on for a minute or more, and what a
trial has started itself for ever. So a local run has a guardian: a small process of its own that
waits for the driver's end. If the driver says goodbye, that is all; if it dies without a word, the
guardian ends the processes that carry the run's mark in their environment, and no others.

Needs /proc; where there is none, nobody stands guard.
"""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

VARIABLE = "SWEEPBOARD_RUN"
GOODBYE = b"goodbye"
ROUNDS = 20
"""Looks for processes, half a second apart: some may just be starting others."""


@contextmanager
def guarded() -> Iterator[None]:
    """Mark every process that is started in here, and leave none behind if this one is killed."""
    proc = Path("/proc/self/environ")
    if VARIABLE in os.environ or not proc.exists():  # a sweep within a sweep has its guardian
        yield
        return
    mark = secrets.token_hex(16)
    command = [sys.executable, "-I", "-S", __file__, mark]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as guardian:
        os.environ[VARIABLE] = mark
        try:
            yield
        finally:
            del os.environ[VARIABLE]
            with suppress(OSError):  # somebody has killed it
                guardian.communicate(GOODBYE)


def stand_guard(mark: str) -> None:
    """Wait for the driver's end; if it came without a word, end all that carries the mark."""
    import time

    if sys.stdin.buffer.read() == GOODBYE:
        return
    for _ in range(ROUNDS):
        for pid in marked(mark):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.5)


def marked(mark: str) -> list[int]:
    """The processes of this user that were started for the run."""
    wanted, found = f"{VARIABLE}={mark}".encode(), []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


if __name__ == "__main__":
    for each in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):  # of the driver's terminal, say
        signal.signal(each, signal.SIG_IGN)
    stand_guard(sys.argv[1])

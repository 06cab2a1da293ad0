"""Ends what a driver, also one that was killed, has left running.

Ray's workers end with their driver, but two of its agents may go on for a minute or more, and what
a trial has started itself for ever. So a local run has a guardian: a small process of its own that
waits for the end of the run, or of the driver, and then ends the processes that carry the run's
mark in their environment, and no others; and deletes the run's temporary folder.

Needs /proc; where there is none, nobody stands guard.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

VARIABLE = "SWEEPBOARD_RUN"
LOOKS = 40
"""Looks for processes at most, a quarter of a second apart: some may just be starting others."""


@contextmanager
def guarded(folder: Path) -> Iterator[str | None]:
    """Mark every process that is started in here, and leave none behind if this one is killed.

    Args:
        folder: deleted when all of them have ended.

    Yields:
        The mark, if there is one.
    """
    proc = Path("/proc/self/environ")
    if VARIABLE in os.environ or not proc.exists():  # a sweep within a sweep has its guardian
        yield None
        return
    mark = secrets.token_hex(16)
    command = [sys.executable, "-I", "-S", __file__, mark, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as guardian:
        os.environ[VARIABLE] = mark
        try:
            yield mark
        finally:
            del os.environ[VARIABLE]
            guardian.communicate()


def stand_guard(mark: str) -> None:
    """Wait for the end of the run, then end all that carries its mark, until nothing is found."""
    sys.stdin.buffer.read()
    for _ in range(LOOKS):
        found = marked(mark)
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.25 if found else 0.05)
        if not found and not marked(mark):
            return


def end_programs(mark: str, *endings: str) -> None:
    """End at once those of the run's processes that have a word of such an ending in a command."""
    for pid in marked(mark):
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            if any(word.endswith(endings) for word in words):
                os.kill(pid, signal.SIGKILL)


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
    shutil.rmtree(sys.argv[2], ignore_errors=True)

"""The processes that trials run in, and the program that they are forked by."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from filelock import FileLock

from sweeps.storage.scratch import LOCK, folder_of_run, private_folder
from sweeps.worker.job import Order
from sweeps.worker.nursery import ANSWER, BORN, UNTIL_UNUSED, end_group

SOCKET = "nursery"
"""In a folder: where the program that was started there is asked for processes."""

GRACE = 10.0
"""Seconds for a process to end by itself once its trial has; threads may keep it."""


@dataclass(frozen=True)
class Exit:
    """How a process ended: its status, or minus the signal's number; the most memory in bytes."""

    status: int
    memory: int


@contextmanager
def nursery(folder: Path, preload: Sequence[str], threads: int) -> Iterator[None]:
    """The program that forks them, for all who ask at the socket in a folder, while this lasts.

    Args:
        preload: modules that it imports first.
        threads: how many an attempt mostly has.
    """
    program = _start(folder / SOCKET, preload, threads)
    try:
        yield
    finally:
        program.communicate()


def connect(preload: Sequence[str], threads: int) -> "Nursery":
    """Ask the run's; where the driver has none, the one of all of the sweep's workers on this node.

    The first of them starts that one, and it ends soon after the last.
    """
    if of_run := folder_of_run():
        with suppress(OSError):  # it was killed
            return Nursery(of_run / SOCKET)
    alike = (os.environ.get(name, "") for name in ("RAY_JOB_ID", "PYTHONPATH"))
    name = sha256("\n".join((sys.executable, *alike, *preload)).encode()).hexdigest()
    path = private_folder() / name[:12]
    with FileLock(path.parent / LOCK):
        with suppress(OSError):
            return Nursery(path)
        path.unlink(missing_ok=True)  # of one that was killed
        with _start(path, preload, threads, UNTIL_UNUSED):
            pass
        return Nursery(path)


def _start(
    path: Path, preload: Sequence[str], threads: int, *how: str
) -> "subprocess.Popen[bytes]":
    ours = str(Path(__file__).parents[2])
    modules = os.pathsep.join(filter(None, (ours, os.environ.get("PYTHONPATH"))))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        number = listener.fileno()
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "sweeps.worker.nursery", str(number), *how, *preload],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": modules, "OMP_NUM_THREADS": str(threads)},
            pass_fds=[number],
            start_new_session=True,
        )


class Nursery:
    """A connection to such a program.

    Raises:
        OSError: there is none at this socket.
    """

    def __init__(self, path: Path) -> None:
        self._control = socket.socket(socket.AF_UNIX)
        try:
            self._control.connect(str(path))
        except OSError:
            self._control.close()
            raise
        self._gone: dict[int, Exit] = {}
        self._next: Process | None = None

    def process(self) -> "Process":
        """One that waits for an order."""
        ready, self._next = self._next, None
        return ready if ready and not self._has_ended(ready) else self._fork()

    def prepare(self) -> None:
        """Start the next process while this one's trial trains."""
        if self._next is None:
            self._next = self._fork()

    def close(self) -> None:
        """End all that were started from here."""
        self._control.close()

    def _fork(self) -> "Process":
        ours, theirs = socket.socketpair()
        with ours:
            with theirs, _lost_if_broken():
                socket.send_fds(self._control, [b"+"], [theirs.fileno()])
            while (pid := self._hear()) in self._gone:
                continue
            return Process(self, pid, Connection(ours.detach()))

    def _hear(self) -> int:
        """Wait for an answer; the process that it is about, which is ``gone`` or was born."""
        answer = b""
        while len(answer) < ANSWER.size:
            with _lost_if_broken():
                part = self._control.recv(ANSWER.size - len(answer))
            if not part:
                raise NurseryLost
            answer += part
        pid, status, memory = ANSWER.unpack(answer)
        if status != BORN:
            self._gone[pid] = Exit(status, memory << 10)
        return int(pid)

    def _has_ended(self, process: "Process", timeout: float | None = 0.0) -> bool:
        while process.pid not in self._gone and wait([self._control], timeout):
            self._hear()
        return process.pid in self._gone


class NurseryLost(Exception):
    """The program that starts the processes was ended, and they with it."""


@contextmanager
def _lost_if_broken() -> Iterator[None]:
    try:
        yield
    except OSError:
        raise NurseryLost from None


class Process:
    """One process; ``connection`` is to it."""

    def __init__(self, nursery: Nursery, pid: int, connection: Connection) -> None:
        self.pid = pid
        self._nursery = nursery
        self._connection = connection

    def order(self, order: Order) -> None:
        """Begin an attempt."""
        self._connection.send(order)

    def messages(self) -> Iterator[dict[str, Any]]:
        """What it tells, to the end of its attempt or its own; in the latter case no ``end``."""
        control = self._nursery._control
        while not self._nursery._has_ended(self):
            ready = wait([self._connection, control])
            if self._connection in ready:
                try:
                    yield (message := self._connection.recv())
                except (EOFError, OSError):
                    break
                if "end" in message:
                    return
        with suppress(EOFError, OSError):  # what it said before it ended
            while self._connection.poll():
                yield self._connection.recv()

    def end(self) -> Exit:
        """Wait for its end, for a moment, and then see to it."""
        self._connection.close()
        if not self._nursery._has_ended(self, GRACE):
            self.kill()
        if not self._nursery._has_ended(self, None):
            raise NurseryLost
        return self._nursery._gone.pop(self.pid)

    def kill(self) -> None:
        """End it and all that it has started."""
        end_group(self.pid)

"""The processes that trials run in, as the Ray worker sees them."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from sweeps.worker.job import Order
from sweeps.worker.nursery import ANSWER, BORN, end_group

GRACE = 10.0
"""Seconds for a process to end by itself once its trial has; threads may keep it."""


@dataclass(frozen=True)
class Exit:
    """How a process ended: its status, or minus the signal's number; the most memory in bytes."""

    status: int
    memory: int


class Nursery:
    """Starts processes for attempts, each by a fork of one that has imported what they need."""

    def __init__(self, preload: Sequence[str], environment: Mapping[str, str]) -> None:
        self._control, theirs = socket.socketpair()
        ours = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, (ours, environment.get("PYTHONPATH"))))
        with theirs:
            self._program = subprocess.Popen(
                [sys.executable, "-P", "-m", "sweeps.worker.nursery", *preload],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**environment, "PYTHONPATH": path},
                start_new_session=True,
            )
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
        """End all of them."""
        self._control.close()
        self._program.wait()

    def _fork(self) -> "Process":
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [b"+"], [theirs.fileno()])
            except OSError:
                raise NurseryLost from None
        while (pid := self._hear()) in self._gone:
            continue
        return Process(self, pid, Connection(ours.detach()))

    def _hear(self) -> int:
        """Wait for an answer; the process that it is about, which is ``gone`` or was born."""
        answer = b""
        while len(answer) < ANSWER.size:
            with suppress(ConnectionResetError):
                if part := self._control.recv(ANSWER.size - len(answer)):
                    answer += part
                    continue
            raise NurseryLost
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

"""A small program that forks a fresh process for every attempt, in milliseconds.

    python -P -m sweeps.worker.nursery LISTENER [--until-unused] [MODULE ...]

LISTENER is the number of a socket, inherited, at which Ray workers connect.

A new interpreter takes a second or more to import torch. This one has imported what every attempt
needs, and nothing of the user's: neither Ray nor CUDA has begun in it, so it may be forked. Each
child leads a process group of its own, and the group ends with it. The children of a Ray worker end
with that worker, however it ends; all end with this program. It ends with its standard input, or
is nobody's child, and ends when for a while no worker has been connected.

The standard library's forkserver would import Ray's own worker program in every child, says nothing
of the memory that a child used, and leaves the children be when their parent is killed.
"""

import atexit
import gc
import importlib
import os
import select
import selectors
import signal
import socket
import struct
import sys
import threading
import weakref
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from filelock import FileLock, Timeout

from sweeps.storage.scratch import LOCK

ANSWER = struct.Struct("<iiq")
"""A process's number; its status at its end, or ``BORN``; the most memory it had, in KiB."""

BORN = 1 << 20

NICE = 15
"""Ray's workers give way so far to what else the machine does, and so do the trials' processes."""

UNTIL_UNUSED = "--until-unused"

LINGER = 5.0
"""Seconds without a worker."""


def main() -> None:
    """Serve until the end."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    until_unused = UNTIL_UNUSED in sys.argv
    if until_unused and os.fork():
        os._exit(0)
    give_way()
    from sweeps.worker.child import live  # what a worker imports of this file costs nothing

    for name in sys.argv[2 + until_unused :]:
        with suppress(Exception):  # an attempt that imports it fails with the reason
            importlib.import_module(name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake)
    settle()
    gc.collect()
    gc.freeze()  # what is shared with the children is not touched, and so not copied
    orders = Server(listener, woken, until_unused=until_unused).serve()
    if orders is None:
        return
    for end in (woken, wake):
        os.close(end)
    live(orders)
    leave()


def settle() -> None:
    """What the imports have to do at the end of a program is done here, or nowhere.

    torch unregisters its operators one by one, and Ray imports more of itself to end: a tenth of a
    second for every child.
    """
    for finalizer in list(getattr(weakref.finalize, "_registry", ())):
        finalizer.atexit = False
    if ray := sys.modules.get("ray"):
        ray.shutdown()


def leave() -> None:
    """End as a program does, but that it unloads nothing.

    Each page in which an imported object is let go would be copied first: the memory of all that
    torch is, for nothing. The standard library's own forks end so too.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # closed, or on a full disk
            stream.flush()
    os._exit(0)


def give_way() -> None:
    """As Ray's workers do: to what else runs here, and first of all where memory runs out."""
    os.nice(max(0, NICE - os.nice(0)))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:  # noqa: PTH123
        score.write("1000")


class Server:
    """The Ray workers that are connected, and their children.

    Args:
        listener: where they connect.
        woken: can be read when a child may have ended.
    """

    def __init__(self, listener: socket.socket, woken: int, *, until_unused: bool) -> None:
        self._listener, self._woken, self._until_unused = listener, woken, until_unused
        self._workers: dict[int, socket.socket] = {}
        self._worker_of: dict[int, int] = {}
        self._selector = selectors.DefaultSelector()
        for each in (woken, listener) if until_unused else (0, woken, listener):
            self._selector.register(each, selectors.EVENT_READ)

    def serve(self) -> Connection | None:
        """Fork at every request; in a child, returns where its orders come from."""
        try:
            while True:
                linger = LINGER if self._until_unused and not self._workers else None
                ready = {key.fd for key, _ in self._selector.select(linger)}
                if 0 in ready or (not ready and self._is_unused()):
                    return None
                if self._woken in ready:
                    with suppress(BlockingIOError):
                        os.read(self._woken, 4096)
                    self._bury()
                if self._listener.fileno() in ready:
                    worker, _ = self._listener.accept()
                    self._workers[worker.fileno()] = worker
                    self._selector.register(worker, selectors.EVENT_READ)
                for number in ready & self._workers.keys():
                    if orders := self._hear(number):
                        return orders
        finally:
            for pid in self._worker_of:
                end_group(pid)

    def _is_unused(self) -> bool:
        """Whether nobody connects from now on: who would does so with the lock held."""
        path = Path(self._listener.getsockname())
        with suppress(Timeout), FileLock(path.parent / LOCK, blocking=False):
            if not select.select([self._listener], [], [], 0)[0]:
                path.unlink(missing_ok=True)
                return True
        return False

    def _hear(self, number: int) -> Connection | None:
        """A worker wants a child, or is gone; in the child, returns where its orders come from."""
        handles: list[int] = []
        with suppress(ConnectionResetError):
            _, handles, _, _ = socket.recv_fds(self._workers[number], 1, 1)
        if not handles:
            self._selector.unregister(self._workers[number])
            self._workers.pop(number).close()
            for pid in [pid for pid, worker in self._worker_of.items() if worker == number]:
                del self._worker_of[pid]
                end_group(pid)
            return None
        pid = os.fork()
        if pid == 0:
            self._become_a_child()
            return Connection(handles[0])
        with suppress(OSError):  # both do it: the worker may end the group at once
            os.setpgid(pid, pid)
        os.close(handles[0])
        self._worker_of[pid] = number
        self._tell(number, ANSWER.pack(pid, BORN, 0))
        return None

    def _tell(self, number: int, answer: bytes) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # it is gone; soon that is heard
            self._workers[number].sendall(answer)

    def _bury(self) -> None:
        """Tell of the children that have ended, and end what they have left."""
        with suppress(ChildProcessError):
            while True:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
                if pid == 0:
                    return
                end_group(pid)
                worker = self._worker_of.pop(pid, None)
                if worker is not None:
                    ended = os.waitstatus_to_exitcode(status)
                    self._tell(worker, ANSWER.pack(pid, ended, usage.ru_maxrss))

    def _become_a_child(self) -> None:
        """Nothing of the others' is open in it, nor would they end with it."""
        self._selector.close()
        for each in (self._listener, *self._workers.values()):
            each.close()
        self._worker_of.clear()
        _be_a_program()


def end_group(pid: int) -> None:
    """End a process and all that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _be_a_program() -> None:
    os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    main()

"""A small program that forks a fresh process for every attempt, in milliseconds.

    python -P -m sweeps.worker.nursery [MODULE ...]     its standard input is a socket

A new interpreter takes a second or more to import torch. This one has imported what every attempt
needs, and nothing of the user's: neither Ray nor CUDA has begun in it, so it may be forked. Each
child leads a process group of its own, and the group ends with it; all end with this program, and
it with the worker that started it, however that ends.

The standard library's forkserver would import Ray's own worker program in every child, says nothing
of the memory that a child used, and leaves the children be when their parent is killed.
"""

import gc
import importlib
import os
import selectors
import signal
import socket
import struct
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

from sweeps.worker import child

ANSWER = struct.Struct("<iiq")
"""A process's number; its status at its end, or ``BORN``; the most memory it had, in KiB."""

BORN = 1 << 20


def main() -> None:
    """Serve until the other end of the socket is closed."""
    control = socket.socket(fileno=0)
    for name in sys.argv[1:]:
        with suppress(Exception):  # an attempt that imports it fails with the reason
            importlib.import_module(name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake)
    gc.collect()
    gc.freeze()  # what is shared with the children is not touched, and so not copied
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        order = serve(control, woken, selector)
    if order is None:
        return
    for end in (woken, wake, control.detach()):
        os.close(end)
    child.live(order)


def serve(
    control: socket.socket, woken: int, selector: selectors.BaseSelector
) -> Connection | None:
    """Fork at every request; in a child, returns where its orders come from."""
    alive: set[int] = set()
    try:
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if woken in ready:
                with suppress(BlockingIOError):
                    os.read(woken, 4096)
                _bury(control, alive)
            if control.fileno() in ready:
                _, handles, _, _ = socket.recv_fds(control, 1, 1)
                if not handles:
                    break
                pid = os.fork()
                if pid == 0:
                    _become_a_child()
                    alive.clear()
                    return Connection(handles[0])
                os.close(handles[0])
                alive.add(pid)
                control.sendall(ANSWER.pack(pid, BORN, 0))
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        for pid in alive:
            end_group(pid)
    return None


def end_group(pid: int) -> None:
    """End a process and all that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _bury(control: socket.socket, alive: set[int]) -> None:
    """Tell of the children that have ended, and end what they have left."""
    while alive:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        end_group(pid)
        alive.discard(pid)
        control.sendall(ANSWER.pack(pid, os.waitstatus_to_exitcode(status), usage.ru_maxrss))


def _become_a_child() -> None:
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    main()

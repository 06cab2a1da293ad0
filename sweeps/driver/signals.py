"""Signals that end a program: turned into an interrupt, so that all is recorded and closed.

Ray answers SIGTERM in the driver with a stack trace. A Ray job, a Slurm job and `docker stop` all
send it, and kill after a few seconds; a terminal that goes away sends SIGHUP.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal other than Ctrl-C has asked for the end.

    Attributes:
        exit_status: 128 and the signal's number, as a shell has it.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_status = 128 + signum


@contextmanager
def stops_as_interrupts() -> Iterator[None]:
    """Raise :class:`Stopped` at a signal that ends programs; in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def stop(signum: int, frame: FrameType | None) -> None:
        if not received:  # a second one must not cut the ending short
            received.append(signum)
            raise KeyboardInterrupt

    before = {each: signal.signal(each, stop) for each in SIGNALS}
    try:
        yield
    except KeyboardInterrupt:
        if received:  # on its way here it may have been caught, and another been raised
            raise Stopped(received[0]) from None
        raise
    finally:
        for each, handler in before.items():
            signal.signal(each, handler or signal.SIG_DFL)

"""What keeps a local Ray from starting, told before it is tried; and what ends it, told at once.

By itself Ray waits for a minute for a part of it that is gone, and then ends the whole program with
lines of its own.
"""

import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sweeps.errors import CannotGoOn, ClusterError

SESSION = "/session_2000-01-01_00-00-00_000000_4194304/sockets/plasma_store.1"
"""What Ray adds to the path of its folder, at most."""
LONGEST_SOCKET = 107
LEAST_SPACE = 16 << 30
"""Bytes of addresses: Ray's processes reserve much more than they use."""
STORE = 0.3
"""The part of the memory that Ray's object store, one file, may have."""
LOOK_EVERY = 0.25
PATIENCE = 5.0
"""Seconds that the main thread has to end in order before the process is ended."""
PARTS = {"gcs_server": "its control process", "raylet": "its raylet"}


def check_machine(folder: Path) -> None:
    """Refuse to start a Ray that could not run.

    Raises:
        ClusterError: with the reason and what to do.
    """
    length = len(os.fsencode(f"{folder}{SESSION}"))
    if length > LONGEST_SOCKET:
        most = LONGEST_SOCKET - len(SESSION) - len(folder.name) - 1
        raise ClusterError(
            f"the temporary folder {folder.parent} has too long a path for Ray's sockets: it may"
            f" have {most} bytes; name a shorter one with TMPDIR"
        )
    space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if 0 <= space < LEAST_SPACE:
        raise ClusterError(
            f"the address space of a process is limited to {space / 2**30:.1f} GiB here, and Ray"
            f" needs at least {LEAST_SPACE >> 30} GiB; lift the limit with `ulimit -v unlimited`,"
            " or limit memory by a container or job in its place"
        )
    longest, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    store = STORE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if 0 <= longest < store:
        raise ClusterError(
            f"files are limited to {longest / 2**30:.1f} GiB here, and the one that Ray shares"
            f" memory by has up to {store / 2**30:.1f} GiB; lift the limit with"
            " `ulimit -f unlimited`"
        )


class Watch(threading.Thread):
    """Looks whether the processes that make up a local Ray are alive.

    When one is gone, the main thread is interrupted; where that is of no use, since it waits within
    Ray, the process says why and ends.

    Attributes:
        lost: which is gone, in words.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.lost: str | None = None
        self._watched = dict(PARTS)
        self._seen: dict[int, str] = {}
        self._is_settled = False
        self._ended = threading.Event()

    def error(self) -> CannotGoOn:
        """What to say of a Ray that is gone."""
        return CannotGoOn(
            f"Ray has ended: {self.lost} was killed, crashed, or ran out of memory, or of time on a"
            " busy machine; what was recorded is kept: run the same command again"
        )

    def settle(self) -> None:
        """Ray has started, and says itself that a raylet is gone; what starts now is another's."""
        self.look()
        self._is_settled = True
        del self._watched["raylet"]

    def stop(self) -> None:
        self._ended.set()

    def look(self) -> bool:
        """Whether all that was ever seen is still there."""
        if not self._is_settled:
            self._seen |= {pid: name for pid, name, _ in _children() if name in PARTS}
        for pid, name in self._seen.items():
            if name in self._watched and _stat(pid)[1] in ("", "Z", "X"):
                self.lost = self._watched[name]
        return self.lost is None

    def run(self) -> None:
        while not self._ended.wait(LOOK_EVERY):
            if not self.look():
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                break
        if self.lost and not self._ended.wait(PATIENCE):
            print(f"error: {self.error()}", file=sys.stderr, flush=True)
            os._exit(CannotGoOn.exit_status)


@contextmanager
def watched() -> Iterator[Watch]:
    """Watch over a Ray that is started and used in here; from the main thread only.

    Raises:
        CannotGoOn: it is gone.
    """
    watch = Watch()
    if threading.current_thread() is threading.main_thread() and Path("/proc/self/task").exists():
        watch.start()
    try:
        yield watch
    except BaseException:
        if watch.lost or (watch.is_alive() and not watch.look()):
            raise watch.error() from None
        raise
    finally:
        watch.stop()


def _children() -> list[tuple[int, str, str]]:
    """The processes that this one has started: number, name, state."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            for word in (task / "children").read_text().split():
                name, state = _stat(int(word))
                found.append((int(word), name, state))
    return found


def _stat(pid: int) -> tuple[str, str]:
    """A process's name and state, empty if it is gone."""
    try:
        head, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return "", ""
    return head.partition("(")[2], rest.split()[0]

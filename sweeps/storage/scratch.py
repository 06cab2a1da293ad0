"""Folders that last as long as a run, in the temporary folder of the machine.

Each holds a lock of the process that made it. What a killed process left behind is known by a lock
that nobody holds, and goes with the next folder that is made, if no guardian was there before.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISDIR

from filelock import FileLock, Timeout

from sweeps.errors import SweepsError

PREFIX = "sb-"
"""Short, as Ray makes sockets below, whose paths may have 107 bytes."""
VARIABLE = "SWEEPBOARD_SCRATCH"
"""In the environment of a run's processes: a folder that goes with the run."""
LOCK = ".lock"
LEAST_FREE = 64 << 20
"""Bytes: what Ray's logs and our copies of records take, generously."""


class NoScratch(SweepsError):
    """The temporary folder cannot be used."""

    exit_status = 2


class Scratch:
    """A folder of this process's own.

    Raises:
        NoScratch: the temporary folder is full, or cannot be written.
    """

    def __init__(self) -> None:
        base = temporary_folder()
        _remove_left(base)
        self.path = base / f"{PREFIX}{secrets.token_hex(3)}"
        begun = base / f".{self.path.name}"  # none is seen by others before it is locked
        self._lock = FileLock(begun / LOCK)
        try:
            _check_room(base)
            begun.mkdir(mode=0o700)
            self._lock.acquire(timeout=0)
            (begun / "probe").write_bytes(b"x" * 4096)
            (begun / "probe").unlink()
            begun.rename(self.path)
        except OSError as error:
            shutil.rmtree(begun, ignore_errors=True)
            raise NoScratch(
                f"the temporary folder {base} cannot be written: {error.strerror}; make room there,"
                " or name another with TMPDIR"
            ) from None

    def remove(self) -> None:
        """Delete it with all that is in it."""
        with suppress(OSError):
            self._lock.release()
        shutil.rmtree(self.path, ignore_errors=True)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for the length of a block."""
    made = Scratch()
    try:
        yield made.path
    finally:
        made.remove()


@contextmanager
def scratch_in_run() -> Iterator[Path]:
    """The same in a process of a run that has such a folder: inside of it, and gone with it."""
    of_run = folder_of_run()
    if of_run is None:
        with scratch() as folder:
            yield folder
        return
    made = Path(tempfile.mkdtemp(prefix="t", dir=of_run))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def folder_of_run() -> Path | None:
    """The folder that goes with the run that this process belongs to, if it has one."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None


def temporary_folder() -> Path:
    """Where temporary files go: what TMPDIR names, without passing over one that is full."""
    try:
        return Path(os.environ.get("TMPDIR") or tempfile.gettempdir()).absolute()
    except FileNotFoundError as error:
        raise NoScratch(f"{error.strerror}; make room, or name another with TMPDIR") from None


def private_folder() -> Path:
    """One in the temporary folder that is this user's, and stays; nobody else may look into it."""
    folder = temporary_folder() / f"{PREFIX}user-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or not S_ISDIR(found.st_mode) or found.st_mode & 0o077:
        raise NoScratch(f"{folder} must be a folder that is yours alone; delete it")
    return folder


def _check_room(base: Path) -> None:
    found = os.statvfs(base)
    free = found.f_bavail * found.f_frsize
    if free < LEAST_FREE:
        raise NoScratch(
            f"the temporary folder {base} has {free >> 20} MiB left, and a run needs"
            f" {LEAST_FREE >> 20} MiB there; make room, or name another with TMPDIR"
        )


def _remove_left(base: Path) -> None:
    """Delete what processes of this user have left that were killed."""
    for folder in base.glob(f"{PREFIX}[0-9a-f]*"):
        with suppress(OSError, Timeout):
            ours = folder.lstat().st_uid == os.getuid() and not folder.is_symlink()
            if ours and (folder / LOCK).is_file():
                with FileLock(folder / LOCK, blocking=False):
                    shutil.rmtree(folder, ignore_errors=True)

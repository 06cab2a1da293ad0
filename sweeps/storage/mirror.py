"""Storage that is no folder of this machine: ``s3://…``, ``gs://…``, and what fsspec knows besides.

Everything else works on folders. A :class:`Mirror` is a local copy of a folder on such storage: it
is brought up to date before it is read, and what has changed in it is written back. The file
systems are pyarrow's, or fsspec's where pyarrow has none; where credentials are found is theirs to
say (environment variables, files, the machine's role), and none is ever part of a URI here.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from sweeps.definition.places import join
from sweeps.errors import StorageError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

AT_ONCE = 16
"""Transfers at once: they wait for the network, not for a processor."""

RECORDS = (
    "sweep.json",
    "manifest.json",
    "trial.json",
    "history.jsonl",
    "errors.log",
    "examination.json",
)
_LAST = ("history.jsonl", "trial.json", "sweep.json")  # each names files that must be there first


def is_record(path: str) -> bool:
    """Whether a file is one of those that results are read from."""
    return PurePosixPath(path).name in RECORDS


def is_event(path: str) -> bool:
    """Whether a file holds events for TensorBoard."""
    return PurePosixPath(path).name.startswith("events.out.tfevents.")


class Mirror:
    """A local copy of a folder on other storage.

    Args:
        uri: of the folder.
        local: an empty folder, which this object has for itself.

    Raises:
        StorageError: of all its methods: the storage cannot be reached, or refuses.
    """

    look_every = 1.0

    def __init__(self, uri: str, local: Path) -> None:
        self.uri = uri
        self.local = local
        self._files, self._root = open_storage(uri)
        self._agreed: dict[str, tuple[int, int]] = {}  # files as they were when both were the same
        self._theirs: dict[str, tuple[int, int]] = {}  # what was last fetched

    def pull(self, below: str = "", contents: Callable[[str], bool] = lambda path: True) -> None:
        """Make the local copy like the storage, in a folder of it.

        Args:
            contents: which files are fetched; the others are there by name only, and empty.
        """
        found = self._list(below)
        for path in [p for p in self._agreed if _is_below(p, below) and p not in found]:
            (self.local / path).unlink(missing_ok=True)
            self._forget(path)
        due = [p for p, stamp in found.items() if contents(p) and self._theirs.get(p) != stamp]
        _all_at_once(self._fetch, due)
        for path, stamp in found.items():
            target = self.local / path
            if not target.exists() and not contents(path):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.touch()
                self._agreed[path] = _stamp(target)
            elif path in due and target.exists():
                self._theirs[path] = stamp

    def push(self, below: str = "", skip: Callable[[str], bool] = lambda path: False) -> None:
        """Make the storage like the local copy, where this was changed since they were the same."""
        here = {path: _stamp(self.local / path) for path in self._local_files(below)}
        gone = [p for p in self._agreed if _is_below(p, below) and p not in here]
        due = [p for p, stamp in here.items() if self._agreed.get(p) != stamp and not skip(p)]
        last = [path for path in due if PurePosixPath(path).name in _LAST]
        _all_at_once(self._send, [path for path in due if path not in last])
        _all_at_once(self._send, last)
        _all_at_once(self.delete, gone)
        self._agreed |= {path: here[path] for path in due}

    def read(self, path: str) -> bytes | None:
        """The content of one file on the storage, ``None`` if it is not there."""
        try:
            with self._files.open_input_stream(self._at(path)) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed("read", path, error) from None

    def write(self, path: str, content: bytes) -> None:
        """Write one file on the storage; the local copy is left as it is."""
        try:
            self._write(path, content)
        except OSError as error:
            raise self._failed("written", path, error) from None

    def delete(self, path: str) -> None:
        """Delete one file on the storage, if it is there."""
        try:
            with suppress(FileNotFoundError):
                self._files.delete_file(self._at(path))
        except OSError as error:
            raise self._failed("deleted", path, error) from None
        self._forget(path)

    def names(self, folder: str) -> list[str]:
        """The files in a folder on the storage, sorted; none if it is not there."""
        from pyarrow.fs import FileSelector, FileType

        try:
            infos = self._files.get_file_info(FileSelector(self._at(folder), allow_not_found=True))
        except OSError as error:
            raise self._failed("read", folder, error) from None
        return sorted(info.base_name for info in infos if info.type == FileType.File)

    def move(self, below: str, target: str) -> None:
        """Move all files of a folder on the storage; none is deleted before all are copied."""

        def copy(path: str) -> None:
            to = target + path.removeprefix(below)
            self._make_folder_of(to)
            self._files.copy_file(self._at(path), self._at(to))

        found = list(self._list(below))
        try:
            _all_at_once(copy, found)
        except OSError as error:
            raise self._failed("moved", below, error) from None
        _all_at_once(self.delete, found)

    def check_writable(self) -> None:
        """Write a file on the storage and delete it."""
        probe = f".probe-{os.getpid()}-{os.urandom(4).hex()}"
        self.write(probe, b"sweepboard")
        self.delete(probe)

    def _list(self, below: str) -> dict[str, tuple[int, int]]:
        """Size and time of each file in a folder on the storage, by path in it."""
        from pyarrow.fs import FileSelector, FileType

        top = self._at(below)
        selector = FileSelector(top, recursive=True, allow_not_found=True)
        try:
            infos = self._files.get_file_info(selector)
        except OSError as error:
            raise self._failed("read", below, error) from None
        found: dict[str, tuple[int, int]] = {}
        for info in infos:
            path = info.path.removeprefix(self._root).lstrip("/")
            parts = PurePosixPath(path).parts
            if info.type != FileType.File:
                continue
            if ".." in parts or "\\" in path or "\0" in path:
                raise StorageError(f"{self.uri} holds {path!r}, which names no file below it")
            if not any(part.startswith(".") for part in parts):
                found[path] = (info.size, info.mtime_ns or 0)
        return found

    def _local_files(self, below: str) -> Iterable[str]:
        top = self.local / below
        files = [top] if top.is_file() else top.rglob("*")
        return [
            file.relative_to(self.local).as_posix()
            for file in files
            if file.is_file() and not file.is_symlink() and not file.name.startswith(".")
        ]

    def _fetch(self, path: str) -> None:
        target = self.local / path
        part = target.with_name(f".{target.name}.part")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._files.open_input_stream(self._at(path)) as stream, part.open("wb") as file:
                shutil.copyfileobj(stream, file)
        except FileNotFoundError:  # deleted since it was listed
            part.unlink(missing_ok=True)
            return
        except OSError as error:
            raise self._failed("read", path, error) from None
        os.replace(part, target)  # noqa: PTH105
        self._agreed[path] = _stamp(target)

    def _send(self, path: str) -> None:
        try:
            self._write(path, self.local / path)
        except OSError as error:
            raise self._failed("written", path, error) from None
        self._theirs.pop(path, None)

    def _write(self, path: str, content: bytes | Path) -> None:
        self._make_folder_of(path)
        with self._files.open_output_stream(self._at(path)) as stream:
            if isinstance(content, bytes):
                stream.write(content)
            else:
                with content.open("rb") as file:
                    shutil.copyfileobj(file, stream)

    def _make_folder_of(self, path: str) -> None:
        if self._files.type_name not in ("s3", "gcs"):  # object stores have no folders
            self._files.create_dir(self._at(path).rpartition("/")[0], recursive=True)

    def _forget(self, path: str) -> None:
        self._agreed.pop(path, None)
        self._theirs.pop(path, None)

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _failed(self, done: str, path: str, error: OSError) -> StorageError:
        place = join(self.uri, path) if path else self.uri
        reason = " ".join(str(error).split()).partition(" (Request ID")[0]
        return StorageError(
            f"{place} cannot be {done}: {reason}; check the name, the network, and the credentials"
            " in the environment"
        )


def open_storage(uri: str) -> "tuple[FileSystem, str]":
    """The file system of a URI, and the path in it.

    Raises:
        StorageError: no library here knows the scheme.
    """
    from pyarrow import ArrowException, fs

    try:
        files, root = fs.FileSystem.from_uri(uri)
        return files, root.rstrip("/")
    except (ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
    if "Unrecognized filesystem type" not in reason:
        raise StorageError(f"{uri} cannot be used as storage: {reason}")
    import fsspec

    try:
        other, root = fsspec.core.url_to_fs(uri)
    except (ImportError, ValueError, OSError) as error:
        raise StorageError(
            f"{uri} cannot be used as storage: {error}; pyarrow knows s3://, gs://, abfss:// and"
            " hdfs://, others need the fsspec library of their scheme"
        ) from None
    return fs.PyFileSystem(fs.FSSpecHandler(other)), root.rstrip("/")


def _all_at_once(do: Callable[[str], None], paths: Iterable[str]) -> None:
    paths = list(paths)
    if len(paths) < 2:
        for path in paths:
            do(path)
        return
    with ThreadPoolExecutor(min(AT_ONCE, len(paths))) as pool:
        list(pool.map(do, paths))


def _is_below(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns

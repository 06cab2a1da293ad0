"""What `sweeps submit` ships: the caller's code, and no data, results, secrets or environments."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sweeps.errors import SweepsError

LARGEST_FILE = 10 * 2**20
LARGEST = 100 * 2**20
"""Bytes; Ray refuses a package that is larger."""

_NOT_CODE = {"venv", "env", "runs", "data", "node_modules", "__pycache__", "build", "dist"}


@dataclass
class Package:
    """A copy of a folder's code.

    Attributes:
        left_out: files that are too large, with their sizes in bytes.
    """

    folder: Path
    files: int = 0
    size: int = 0
    left_out: list[tuple[str, int]] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.files} {'file' if self.files == 1 else 'files'}, {megabytes(self.size)}"


def pack(source: Path, target: Path) -> Package:
    """Copy a folder's code to an empty one.

    Left out are what git ignores, hidden files and folders, environments, ``runs``, ``data``
    (unless it is a Python package), and files of more than 10 MiB.

    Raises:
        SweepsError: it is more than Ray takes; the largest files are named.
    """
    package = Package(target)
    chosen: list[tuple[int, Path]] = []
    for path in _code(source):
        size = (source / path).stat().st_size
        if size > LARGEST_FILE:
            package.left_out.append((path.as_posix(), size))
        else:
            chosen.append((size, path))
    package.files, package.size = len(chosen), sum(size for size, _ in chosen)
    if package.size > LARGEST:
        largest = sorted(chosen, reverse=True)[:5]
        listed = ", ".join(f"{path.as_posix()} ({megabytes(size)})" for size, path in largest)
        raise SweepsError(
            f"{source} holds {package} of what would be shipped, and Ray takes at most"
            f" {megabytes(LARGEST)}; the largest: {listed}; have git ignore what is no code, or"
            " submit from a smaller folder"
        )
    for _, path in chosen:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / path, target / path)
    return package


def megabytes(size: int) -> str:
    """``12.3 MB``, or ``4 kB`` if it is less than that."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{max(1, round(size / 1e3))} kB"


def _code(source: Path) -> Iterator[Path]:
    """The files to ship, relative to the folder."""
    tracked = _known_to_git(source)
    for path in tracked if tracked is not None else _walk(source):
        file = source / path
        if not _is_left_out(source, path) and file.is_file() and _is_inside(source, file):
            yield path


def _is_left_out(source: Path, path: Path) -> bool:
    folders = path.parts[:-1]
    if any(part.startswith(".") for part in path.parts):
        return True
    return any(part in _NOT_CODE and not _is_python(source, path, part) for part in folders)


def _is_python(source: Path, path: Path, part: str) -> bool:
    folder = source.joinpath(*path.parts[: path.parts.index(part) + 1])
    return (folder / "__init__.py").exists()


def _is_inside(source: Path, file: Path) -> bool:
    """Whether it is no link to elsewhere."""
    return not file.is_symlink() or file.resolve().is_relative_to(source.resolve())


def _known_to_git(source: Path) -> Sequence[Path] | None:
    """What git tracks or would, in the order of their names; ``None`` outside a repository."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        done = subprocess.run(command, cwd=source, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return None
    return sorted({Path(os.fsdecode(name)) for name in done.stdout.split(b"\0") if name})


def _walk(source: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(source):
        here = Path(folder).relative_to(source)
        names[:] = sorted(n for n in names if not _is_left_out(source, here / n / "x"))
        yield from (here / name for name in sorted(files))

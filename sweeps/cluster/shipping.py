"""What `sweeps submit` ships: the caller's code, and no data, results, secrets or environments."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sweeps.errors import SweepsError

LARGEST_FILE = 10 * 2**20
LARGEST = 100 * 2**20
"""Bytes; Ray refuses a package that is larger."""

NOT_CODE = {"venv", "env", "runs", "data", "node_modules", "build", "dist"}
"""Folders that are left out, unless they are Python packages."""


@dataclass
class Package:
    """A copy of a folder's code.

    Attributes:
        source: the folder; none if no code but ours is needed.
        left_out: folders and files that are not in it, and why; nothing of what git ignores.
    """

    source: Path | None
    files: int = 0
    size: int = 0
    left_out: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.files} {'file' if self.files == 1 else 'files'}, {megabytes(self.size)}"


def pack(source: Path | None, target: Path) -> Package:
    """Copy a folder's code to an empty one.

    Left out are what git ignores, hidden files and folders, environments, ``runs``, ``data``
    (unless it is a Python package), links to elsewhere, and files of more than 10 MiB.

    Raises:
        SweepsError: it is more than Ray takes; the largest files are named.
    """
    package = Package(source)
    if source is None:
        return package
    chosen: list[tuple[int, Path]] = []
    for path in _files(source, package):
        size = (source / path).stat().st_size
        if size > LARGEST_FILE:
            package.left_out[path.as_posix()] = megabytes(size)
        else:
            chosen.append((size, path))
    package.files, package.size = len(chosen), sum(size for size, _ in chosen)
    if package.size > LARGEST:
        largest = sorted(chosen, reverse=True)[:5]
        listed = ", ".join(f"{path.as_posix()} ({megabytes(size)})" for size, path in largest)
        raise SweepsError(
            f"{source}: what is shipped must be at most 100 MiB, got {package}; the"
            f" largest: {listed}; name what is no code in .gitignore, or keep it elsewhere"
        )
    for _, path in chosen:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / path, target / path)
    return package


def megabytes(size: int) -> str:
    """``12.3 MB``, or ``4 kB`` if it is less than that."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{max(1, round(size / 1e3))} kB"


def _files(source: Path, package: Package) -> Iterator[Path]:
    """The files of a folder that are shipped, if they are not too large, relative to it."""
    for listed in _known_to_git(source) or [Path()]:
        place = source / listed
        is_folder = place.is_dir() and not place.is_symlink()  # git names other repositories only
        for path in _walk(source, listed, package) if is_folder else [listed]:
            if not _is_left_out(source, path, package) and _is_inside(source, source / path):
                yield path


def _is_left_out(source: Path, path: Path, package: Package) -> bool:
    """Whether a file, or a folder that it is in, is no code."""
    if any(part.startswith(".") or part == "__pycache__" for part in path.parts):
        return True
    for folder in reversed(path.parents[:-1]):
        if folder.name in NOT_CODE and not (source / folder / "__init__.py").exists():
            package.left_out[f"{folder.as_posix()}/"] = "not code"
            return True
    return False


def _is_inside(source: Path, file: Path) -> bool:
    """Whether it is there, and no link to elsewhere."""
    return file.is_file() and file.resolve().is_relative_to(source.resolve())


def _known_to_git(source: Path) -> list[Path]:
    """What git tracks or would, in the order of their names; nothing outside a repository."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        done = subprocess.run(command, cwd=source, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    names = done.stdout.split(b"\0") if done.returncode == 0 else []
    return sorted({Path(os.fsdecode(name)) for name in names if name})


def _walk(source: Path, top: Path, package: Package) -> Iterator[Path]:
    """All files below a folder, but for those in folders that are left out."""
    for folder, names, files in os.walk(source / top):
        here = Path(folder).relative_to(source)
        names[:] = sorted(n for n in names if not _is_left_out(source, here / n / "x", package))
        yield from (here / name for name in sorted(files))

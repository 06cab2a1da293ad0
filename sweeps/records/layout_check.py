"""What lies in a sweep's directory is checked before a run writes to it.

Directories are copied, mounted, unpacked and shared: what has our names may be a link that leads
elsewhere, or another user's. A run that found that out half way would have written already.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from sweeps.errors import DirectoryError

_OF_SWEEP = {"sweep.json": False, "manifest.json": False, "holder.json": False, ".lock": False}
_OF_SWEEP |= {"trials": True, "earlier": True}
_OF_TRIAL = {"trial.json": False, "history.jsonl": False, "output.log": False, "errors.log": False}
_OF_TRIAL |= {".lock": False, "checkpoints": True, "best": True}
"""The names that we write, and whether each is a folder's."""


def check_tree(directory: Path) -> None:
    """Refuse links, files for folders or the reverse, and what this user cannot write.

    Only names that we write are looked at; what a trainable puts beside them is its own.

    Raises:
        DirectoryError: naming the first of them.
    """
    try:
        for path, is_folder in _ours(directory):
            _check(path, is_folder)
    except OSError as error:
        raise DirectoryError(f"{error.filename} cannot be read: {error.strerror}") from None


def _ours(directory: Path) -> Iterator[tuple[Path, bool]]:
    """What is there under our names, each before what it holds."""
    if not directory.is_dir():
        return
    yield from _named(directory, _OF_SWEEP)
    if (directory / "trials").is_dir():
        for entry in _entries(directory / "trials"):
            if entry.is_dir() or entry.is_symlink():
                folder = Path(entry.path)
                yield folder, True
                yield from _named(folder, _OF_TRIAL)


def _named(folder: Path, names: dict[str, bool]) -> Iterator[tuple[Path, bool]]:
    for entry in _entries(folder):
        if entry.name in names:
            yield Path(entry.path), names[entry.name]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return sorted(found, key=lambda entry: entry.name)


def _check(path: Path, is_folder: bool) -> None:
    if path.is_symlink():
        raise DirectoryError(
            f"{path} is a link to {path.readlink()}, and a run would write through it; replace it"
            " by what it leads to, or choose another directory with --dir"
        )
    if path.is_dir() is not is_folder:
        raise DirectoryError(
            f"{path} must be a {'folder' if is_folder else 'file'}; move it away, or choose another"
            " directory with --dir"
        )
    if not os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise DirectoryError(
            f"{path} cannot be written by this user: it belongs to {_owner(path)}; have it given to"
            " you, copy the directory, or choose another with --dir"
        )


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:  # a number without a name
        return f"user {path.stat().st_uid}"

"""A trial's checkpoints: which are kept, and from which of them an attempt goes on.

Only what is there whole counts: a checkpoint that is missing or was damaged is passed over for the
one before. A trial keeps its latest two while it runs and its latest once it has finished; the best
of the sweep are kept beside, in ``best/``.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sweeps.errors import Misused
from sweeps.records.atomic import remove
from sweeps.records.folders import origin_of
from sweeps.records.history import Report, read_history

KEEP = 2
"""Copies kept of the checkpoints that come from elsewhere: the latest and the one before."""


@dataclass(frozen=True)
class Start:
    """Where an attempt begins: after these reports, from the last one's checkpoint."""

    history: list[Report]
    checkpoint: Path | None

    @property
    def epoch(self) -> int:
        return len(self.history)


def path_of(checkpoint: Any, folder: Path) -> Path:
    """Where a checkpoint is that was reported: a path, or the one that Ray Tune's own kind has.

    Raises:
        Misused: it is the state itself, say, or would be copied into itself.
    """
    try:
        path = Path(getattr(checkpoint, "path", checkpoint))
    except TypeError:
        raise Misused(
            "a checkpoint must be the path of a file or folder, got a value of type"
            f" {type(checkpoint).__name__}; write it first, as with torch.save(state, path), and"
            " report that path"
        ) from None
    if folder.resolve().is_relative_to(path.resolve()):
        raise Misused(
            f"a checkpoint must be a file or folder of its own, got {path}, which holds all that is"
            " written of the trial; write it to a folder inside of that, and report that one"
        )
    return path


def keep_checkpoint(folder: Path, step: int, checkpoint: Path) -> Path:
    """A checkpoint in the trial's folder: the one given, or a copy if it lies elsewhere.

    Of the copies, the last two are kept.
    """
    source = Path(checkpoint).absolute()
    if source.is_relative_to(folder) and ".." not in source.relative_to(folder).parts:
        return source
    copies = folder / "checkpoints"
    target = copies / f"{step:05d}{source.suffix}"
    part = copies / f".{target.name}.part"
    copies.mkdir(exist_ok=True)
    remove(part)
    shutil.copytree(source, part) if source.is_dir() else shutil.copy2(source, part)
    remove(target)
    os.replace(part, target)  # noqa: PTH105
    for old in sorted(c for c in copies.iterdir() if c.name <= target.name)[:-KEEP]:
        remove(old)
    return target


def checksum(checkpoint: Path) -> str:
    """The SHA-256 of a file, or of all files of a folder with their names."""
    if not checkpoint.is_dir():
        with checkpoint.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file())
    listed = [f"{checksum(path)} {path.relative_to(checkpoint).as_posix()}" for path in files]
    return hashlib.sha256("\n".join(listed).encode()).hexdigest()


def starts(folder: Path) -> Iterator[Start]:
    """From where a trial can go on, latest first; at last, from its beginning.

    One that goes on from another trial has no beginning while that one's checkpoint is there.
    """
    history, origin = read_history(folder), origin_of(folder)
    inherited = origin.epoch if origin else 0
    found = False
    while len(history) > max(0, inherited - 1):
        last = history[-1]
        if last.checkpoint and is_whole(folder / last.checkpoint, last.sha256):
            found = True
            yield Start(list(history), folder / last.checkpoint)
        history.pop()
    if not (inherited and found):
        yield Start([], None)


def start_together(folders: Sequence[Path]) -> list[Start]:
    """From where several trials go on as one array: from one epoch, if that is near for all.

    An array that was killed while its members reported is one epoch ahead in some. These go back
    that epoch, so that the array goes on as it was. Where no epoch is common to all within the
    checkpoints kept, each goes on from its own latest.
    """
    options = [list(islice(starts(folder), KEEP + 1)) for folder in folders]
    common = set.intersection(*({start.epoch for start in each} for each in options))
    for epoch in sorted(common, reverse=True):
        if all(each[0].epoch - epoch <= KEEP for each in options):
            return [next(start for start in each if start.epoch == epoch) for each in options]
    return [each[0] for each in options]


def keep_best(folder: Path, step: int, checkpoint: Path) -> None:
    """Keep a checkpoint as the trial's best so far, in place of the one before."""
    target = folder / "best" / f"{step:05d}{checkpoint.suffix}"
    part = target.with_name(f".{target.name}.part")
    target.parent.mkdir(exist_ok=True)
    remove(part)
    if checkpoint.is_dir():
        shutil.copytree(checkpoint, part)
    else:
        shutil.copy2(checkpoint, part)
    remove(target)
    os.replace(part, target)  # noqa: PTH105
    for old in list(target.parent.iterdir()):
        if old != target:
            remove(old)


def checkpoint_of(
    folder: Path, history: Sequence[Report], best: Mapping[str, float]
) -> Path | None:
    """The checkpoint of a trial's best epoch, if it is still there.

    What is kept in ``best/`` may be of another epoch: of the metric, mode or budget that the sweep
    had when the trial was run.
    """
    report = history[int(best["epoch"]) - 1]
    last = [folder / report.checkpoint] if report.checkpoint else []
    found = [*folder.glob(f"best/{report.step:05d}*"), *last]
    return next((path for path in found if path.exists()), None)


def drop_best(folder: Path) -> None:
    """Do without a trial's best checkpoint: others are better."""
    remove(folder / "best")


def drop_older(folder: Path, history: Sequence[Report]) -> None:
    """Keep only the latest checkpoint, of a trial that has finished."""
    latest = history[-1].checkpoint if history else None
    for checkpoint in {report.checkpoint for report in history} - {latest, None}:
        path = folder / str(checkpoint)
        if path.resolve().is_relative_to(folder.resolve()):
            with suppress(OSError):
                remove(path)


def is_whole(checkpoint: Path, sha256: str | None) -> bool:
    """Whether a checkpoint is what it was when it was reported."""
    try:
        return checkpoint.exists() and checksum(checkpoint) == sha256
    except OSError:
        return False

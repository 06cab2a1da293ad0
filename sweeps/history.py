"""A trial's reports and checkpoints on disk, and from which of them an attempt goes on.

Each line of ``history.jsonl`` is one report and names the checkpoint that landed before it, with
its checksum. Only what is there whole counts: a line that was cut off, or a checkpoint that was
damaged, is as if it had not been, and the one before is used.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

KEEP = 2
"""Copies kept of the checkpoints that come from elsewhere: the latest and the one before."""


@dataclass(frozen=True)
class Report:
    """One report of a trial.

    Attributes:
        step: counts from 0.
        metrics: finite or not.
        seconds: since the report before.
        checkpoint: a file or folder, relative to the trial's folder.
        sha256: of that checkpoint.
    """

    step: int
    metrics: Mapping[str, float]
    seconds: float
    checkpoint: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Start:
    """Where an attempt begins: after these reports, from the last one's checkpoint."""

    history: list[Report]
    checkpoint: Path | None

    @property
    def step(self) -> int:
        return len(self.history)


def read_history(folder: Path) -> list[Report]:
    """The reports of a trial so far; what follows a damaged line is not read."""
    try:
        lines = (folder / "history.jsonl").read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    history: list[Report] = []
    for line in lines:
        try:
            data = json.loads(line)
            metrics = {key: _number(value) for key, value in data["metrics"].items()}
            saved = data["checkpoint"], data.get("sha256")
            report = Report(data["step"], metrics, data["seconds"], *saved)
        except (ValueError, KeyError, TypeError, AttributeError):
            break
        if report.step != len(history):
            break
        history.append(report)
    return history


def append_report(folder: Path, report: Report) -> None:
    """Add a line to a trial's history, whole or not at all."""
    with (folder / "history.jsonl").open("ab", buffering=0) as file:
        before = file.tell()
        line = _report_line(report)
        try:
            if file.write(line) != len(line):
                raise OSError(28, "No space left on device", file.name)
        except OSError:
            file.truncate(before)  # else the next line would be joined to a part of this one
            raise


def rewrite_history(folder: Path, history: Iterable[Report]) -> None:
    """Replace a trial's history, to go on from an earlier report."""
    land(folder / "history.jsonl", b"".join(map(_report_line, history)))


def keep_checkpoint(folder: Path, step: int, checkpoint: Path) -> Path:
    """A checkpoint in the trial's folder: the one given, or a copy if it lies elsewhere.

    Of the copies, the last two are kept.
    """
    source = Path(checkpoint).absolute()
    if source.is_relative_to(folder):
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
    """From where a trial can go on, latest first; at last, from its beginning."""
    history = read_history(folder)
    while history:
        last = history[-1]
        if last.checkpoint and _is_whole(folder / last.checkpoint, last.sha256):
            yield Start(list(history), folder / last.checkpoint)
        history.pop()
    yield Start([], None)


def start_together(folders: Sequence[Path]) -> list[Start]:
    """From where several trials go on as one array: from one step, if that is near for all.

    An array that was killed while its members reported is one step ahead in some. These go back
    that step, so that the array goes on as it was. Where no step is common to all within the
    checkpoints kept, each goes on from its own latest.
    """
    options = [list(islice(starts(folder), KEEP + 1)) for folder in folders]
    common = set.intersection(*({start.step for start in each} for each in options))
    for step in sorted(common, reverse=True):
        if all(each[0].step - step <= KEEP for each in options):
            return [next(start for start in each if start.step == step) for each in options]
    return [each[0] for each in options]


def land(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)  # noqa: PTH105


def remove(path: Path) -> None:
    """Delete a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_whole(checkpoint: Path, sha256: str | None) -> bool:
    try:
        return checkpoint.exists() and checksum(checkpoint) == sha256
    except OSError:
        return False


def _report_line(report: Report) -> bytes:
    """One line of strict JSON: NaN and infinities, which JSON lacks, are written as text."""
    metrics = {k: v if math.isfinite(v) else str(v) for k, v in report.metrics.items()}
    return json.dumps({**asdict(report), "metrics": metrics}, allow_nan=False).encode() + b"\n"


def _number(value: Any) -> float:
    return float(value) if isinstance(value, str) else value

"""A trial's reports on disk.

Each line of ``history.jsonl`` is one report and names the checkpoint that landed before it, with
its checksum. A line that was cut off is as if it had not been written.
"""

import errno
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sweeps.errors import DirectoryError
from sweeps.records.atomic import land
from sweeps.records.schema import ReportEntry


@dataclass(frozen=True)
class Report:
    """One report of a trial.

    Attributes:
        step: the epoch; one less in a trial that was begun when steps counted from 0.
        metrics: finite or not.
        seconds: since the report before.
        checkpoint: a file or folder, relative to the trial's folder.
        sha256: of that checkpoint.
        events: how long each event file of the trainable's own was, by its path relative to the
            trial's folder; ``None`` if that was not noted.
    """

    step: int
    metrics: Mapping[str, float]
    seconds: float
    checkpoint: str | None = None
    sha256: str | None = None
    events: Mapping[str, int] | None = None


def read_history(folder: Path) -> list[Report]:
    """The reports of a trial so far; what follows a damaged line is not read.

    Raises:
        DirectoryError: the history cannot be read.
    """
    return parse_history(read_bytes(folder))


def read_bytes(folder: Path) -> bytes:
    """A trial's history as it is on disk; nothing if it has none.

    Raises:
        DirectoryError: the history cannot be read.
    """
    path = folder / "history.jsonl"
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        raise DirectoryError(f"{path} cannot be read: {error.strerror}") from None


def parse_history(content: bytes) -> list[Report]:
    """The reports in a history, up to the first line that is damaged or out of order."""
    history: list[Report] = []
    for line in content.splitlines():
        try:
            entry = ReportEntry.model_validate_json(line)
            metrics = {key: _number(value) for key, value in entry.metrics.items()}
            report = Report(
                entry.step,
                metrics,
                entry.seconds,
                entry.checkpoint,
                entry.sha256,
                entry.events,
            )
        except ValueError:
            break
        began_at_0 = not history and report.step == 0  # as all did once
        if report.step != next_step(history) and not began_at_0:
            break
        history.append(report)
    return history


def next_step(history: Sequence[Report]) -> int:
    """The step of the report after these: a trial's numbering goes on from its last report."""
    return history[-1].step + 1 if history else 1


def append_report(folder: Path, report: Report) -> None:
    """Add a line to a trial's history, whole or not at all."""
    with (folder / "history.jsonl").open("ab", buffering=0) as file:
        before = file.tell()
        line = _report_line(report)
        try:
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)
        except OSError:
            file.truncate(before)  # else the next line would be joined to a part of this one
            raise


def rewrite_history(folder: Path, history: Iterable[Report]) -> None:
    """Replace a trial's history, to go on from an earlier report."""
    land(folder / "history.jsonl", b"".join(map(_report_line, history)))


def _report_line(report: Report) -> bytes:
    """One line of strict JSON: NaN and infinities, which JSON lacks, are written as text."""
    metrics = {k: v if math.isfinite(v) else str(v) for k, v in report.metrics.items()}
    line = {**asdict(report), "metrics": metrics}
    if report.events is None:
        del line["events"]
    return json.dumps(line, allow_nan=False).encode() + b"\n"


def _number(value: Any) -> float:
    return float(value) if isinstance(value, str) else value

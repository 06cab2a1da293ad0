"""What a trial's record keeps of its other files once the trial has ended.

Until then a history may be cut short at any moment, and the trial goes on from what is whole. After
its end nothing may change any more: so ``trial.json`` holds a checksum of the history and a copy of
it (packed: about a third of its size), and how long its event files were. Whatever is read later
is compared, and mended from the copy.
"""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sweeps.records.checkpoints import starts
from sweeps.records.history import Report, parse_history, read_bytes
from sweeps.records.record import Record, Status

TAKEN_FROM_COPY = "its history.jsonl was damaged, and is taken from the copy in its trial.json"
TRAINED_AGAIN = (
    "its history.jsonl was damaged, and its trial.json holds no whole copy: it is trained again"
    " from its last whole checkpoint"
)
EVENTS_LOST = "events for TensorBoard were lost; `sweeps run` writes its scalars again"
FAILED_SUFFIX = ".failed"


def seal(folder: Path) -> dict[str, Any] | None:
    """What is to be kept of a trial's files as they are now; ``None`` if it never reported."""
    content = read_bytes(folder)
    if not content:
        return None
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "history": base64.b64encode(zlib.compress(content)).decode(),
        "events": {path.name: path.stat().st_size for path in sorted(event_files(folder))},
    }


def checked(
    record: Record, folder: Path, sealed: Mapping[str, Any] | None, *, events: bool
) -> Record:
    """The record of a trial that has ended, with its history if that is what it was then.

    Args:
        events: whether its event files are looked for, too.
    """
    if (history := _history(record, folder, sealed)) is not None:
        lost = events and lost_events(folder, sealed)
        return replace(record, history=history, damage=EVENTS_LOST if lost else None)
    if (history := _copied(sealed)) is not None:
        return replace(record, history=history, damage=TAKEN_FROM_COPY)
    return replace(
        record,
        status=Status.FAILED if record.status is Status.FAILED else Status.INTERRUPTED,
        history=next(starts(folder)).history,
        error=record.error or "its history was damaged",
        damage=TRAINED_AGAIN,
    )


def lost_events(folder: Path, sealed: Mapping[str, Any] | None) -> bool:
    """Whether an event file that was there at the trial's end is gone, empty, or cut."""
    if not sealed:
        return False
    then, now = sealed["events"], {path.name: path.stat().st_size for path in event_files(folder)}
    if isinstance(then, list):  # their names alone, by an earlier version
        then = dict.fromkeys(then, 1)
    return any(now.get(name, 0) < size for name, size in then.items())


def event_files(folder: Path) -> list[Path]:
    """The event files of its attempts that hold anything, without the mark of a failure."""
    found = folder.glob("events.out.tfevents.*")
    return [p for p in found if not p.name.endswith(FAILED_SUFFIX) and p.stat().st_size]


def _history(record: Record, folder: Path, sealed: Mapping[str, Any] | None) -> list[Report] | None:
    """The reports on disk, ``None`` if they are not those of the trial's end.

    Of a trial that ended before histories were sealed, all that can be seen is whether every line
    can be read.
    """
    content = read_bytes(folder)
    if sealed:
        same = hashlib.sha256(content).hexdigest() == sealed["sha256"]
        return parse_history(content) if same else None
    reports = parse_history(content)
    some = bool(reports) or record.status is Status.FAILED
    return reports if some and len(reports) == len(content.splitlines()) else None


def _copied(sealed: Mapping[str, Any] | None) -> list[Report] | None:
    """The reports by the copy, ``None`` if that is damaged too."""
    if not sealed:
        return None
    try:
        content = zlib.decompress(base64.b64decode(sealed["history"], validate=True))
    except (binascii.Error, zlib.error):
        return None
    same = hashlib.sha256(content).hexdigest() == sealed["sha256"]
    return parse_history(content) if same else None

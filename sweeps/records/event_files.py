"""Event files as files: what of them belongs to a report, and what is taken out of them.

A trial's folder, and the folders in it, hold event files of the sweep's own, named so, and those
that the trainable writes: with its own steps, tags and plugins, of which nothing is assumed. What
stays of these when a trial goes on from a checkpoint is what had been written when the report was
made that the checkpoint belongs to; the report's line of history says how long each file was.
"""

import io
import os
import struct
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata
from tensorboard.summary.writer.record_writer import RecordWriter

from sweeps.records.atomic import land
from sweeps.records.event_order import order_for_next
from sweeps.records.event_writer import EventWriter
from sweeps.records.history import Report, next_step
from sweeps.records.seal import FAILED_SUFFIX

OWN_SUFFIX, RESTORED_SUFFIX = ".sweep", ".restored"
"""At the end of the names of the sweep's own files."""

ROW_TAGS = frozenset(
    {
        metadata.EXPERIMENT_TAG,
        metadata.SESSION_START_INFO_TAG,
        metadata.SESSION_END_INFO_TAG,
    }
)
"""What makes an HParams row, and its status."""

_HEADER, _CHECK = struct.Struct("<Q4x"), 4  # of a record: its length; its checksum after it


def is_own(path: Path) -> bool:
    """Whether an event file is the sweep's own."""
    return path.name.endswith((OWN_SUFFIX, RESTORED_SUFFIX, FAILED_SUFFIX))


def event_files(folder: Path) -> list[Path]:
    """All in the trial's folder and below it, in TensorBoard's order."""
    found = (
        Path(above, name)
        for above, _, names in os.walk(folder)
        for name in names
        if ".tfevents." in name and not name.endswith(".part")
    )
    return sorted(found)


def positions(folder: Path) -> dict[str, int]:
    """How long each event file of the trainable's is now, by its path in the trial's folder."""
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in event_files(folder)
        if not is_own(path)
    }


def clear_events(folder: Path) -> None:
    """Remove a trial's events, because it starts over."""
    for path in event_files(folder):
        path.unlink()


def reopen(folder: Path, history: Sequence[Report], *, writes_events: bool = False) -> None:
    """Make a trial's events those of these reports, so that another attempt can go on after them.

    What a killed writer left is cut to whole records; what was logged after the last of these
    reports goes, and the HParams row, which the attempt writes anew; scalars that were lost are
    written again from the history (histograms and images that were lost stay so).

    Args:
        writes_events: whether the trainable writes the reported scalars itself.
    """
    if not history:
        clear_events(folder)
        return
    at = history[-1].events
    for path in event_files(folder):
        if is_own(path) or at is None:  # written by an earlier version
            _cut_by_step(path, next_step(history))
        else:
            _cut_at(path, _length(path.relative_to(folder), at))
    hide_rows(folder)
    order_for_next(folder)
    _restore(folder, history, writes_events=writes_events)


def hide_rows(folder: Path) -> None:
    """Take the trainable's own HParams rows out of a trial: it has one, the sweep's.

    A record is overwritten by one of the same length, so that all others stay where they were.
    """
    for path in event_files(folder):
        if is_own(path) or b"_hparams_/" not in path.read_bytes():
            continue
        with path.open("r+b") as file:
            for start, record in _located(path):
                if ROW_TAGS & {value.tag for value in Event.FromString(record).summary.value}:
                    file.seek(start)
                    plugin = metadata.PLUGIN_NAME.encode()
                    file.write(_framed(record.replace(b"\n\x07" + plugin, b"\n\x07removed")))


def without_tags(folder: Path, tags: Collection[str]) -> None:
    """Take scalars of these names out of the sweep's own files."""
    for path in event_files(folder):
        if is_own(path):
            events = [Event.FromString(record) for record in _records(path)]
            for event in events:
                stay = [value for value in event.summary.value if value.tag not in tags]
                del event.summary.value[:]
                event.summary.value.extend(stay)
            land(path, _joined(event.SerializeToString() for event in events))


def _length(path: Path, at: Mapping[str, int]) -> int:
    """How long a file was then; it may have been named anew since, by another number."""
    if (name := path.as_posix()) in at:
        return at[name]
    key = path.parent, path.name.partition(".tfevents.")[2].partition(".")[2]
    for each, length in at.items():
        other = Path(each)
        if key == (other.parent, other.name.partition(".tfevents.")[2].partition(".")[2]):
            return length
    return 0


def _cut_at(path: Path, size: int) -> None:
    """Keep what was there then, up to the first damage."""
    content = path.read_bytes()
    whole = sum(_HEADER.size + len(record) + _CHECK for record in _records(path))
    size = min(size, whole)
    if size == 0:
        path.unlink()
    elif size < len(content):
        land(path, content[:size])


def _cut_by_step(path: Path, next_step: int) -> None:
    kept = [record for record in _records(path) if _stays(record, next_step)]
    content = _joined(kept)
    if content != path.read_bytes():
        land(path, content)


def _restore(folder: Path, history: Sequence[Report], *, writes_events: bool) -> None:
    """Write reported scalars again that are in no file any more."""
    steps: dict[str, set[int]] = defaultdict(set)
    theirs: set[str] = set()
    for path in folder.glob("*.tfevents.*"):
        for record in _records(path):
            event = Event.FromString(record)
            tags = {value.tag for value in event.summary.value}
            for tag in tags:
                steps[tag].add(event.step)
            theirs |= set() if is_own(path) else tags
    reported = Counter(tag for report in history for tag in report.metrics)
    # one that writes them itself may name them otherwise; what else it logs is its own affair
    ours = reported.keys() & theirs if writes_events else reported.keys() - theirs
    # and may number them otherwise: those that are all there are not lost
    ours -= {tag for tag, count in reported.items() if len(steps[tag]) >= count}
    lost = [
        Event(
            step=report.step,
            wall_time=time.time(),
            summary=Summary(value=[Summary.Value(tag=tag, simple_value=value)]),
        )
        for report in history
        for tag, value in report.metrics.items()
        if report.step not in steps[tag] and (tag in ours or not theirs)
    ]
    if lost:
        writer = EventWriter(folder, RESTORED_SUFFIX)
        for event in lost:
            writer.add_event(event)
        writer.close()


def _records(path: Path) -> Iterable[bytes]:
    """The serialised events of a file, up to its end or the first that is damaged."""
    loaded: Iterable[bytes] = RawEventFileLoader(str(path)).Load()
    return loaded


def _located(path: Path) -> Iterator[tuple[int, bytes]]:
    """Each record, and where it begins."""
    start = 0
    for record in _records(path):
        yield start, record
        start += _HEADER.size + len(record) + _CHECK


def _stays(record: bytes, next_step: int) -> bool:
    event = Event.FromString(record)
    values = event.summary.value
    if any(value.tag in ROW_TAGS for value in values):
        return False
    return event.step < next_step or (not values and event.step == next_step)


def _joined(records: Iterable[bytes]) -> bytes:
    """An event file's content."""
    content = io.BytesIO()
    writer: Any = RecordWriter(content)
    for record in records:
        writer.write(record)
    return content.getvalue()


def _framed(record: bytes) -> bytes:
    return _joined([record])

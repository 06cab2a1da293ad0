"""The TensorBoard events that the orchestrator writes, without torch.

A trainable that takes ``log_dir`` writes its own; for any other, its reports become scalars and
its configuration an HParams row here. Either way the end of a trial that failed for good is
written here, because only the orchestrator knows that it was the last attempt.

No record of the whole experiment is written: TensorBoard then finds the hyper-parameters itself,
puts those that differ first, and lists no extra run.
"""

import io
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.hparams import summary_v2 as hparams
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.summary.writer.record_writer import RecordWriter

from sweeps.definition.space import flat
from sweeps.records.atomic import land
from sweeps.records.event_order import SESSION_TAGS, order_for_next
from sweeps.records.history import Report
from sweeps.records.record import Record, Status
from sweeps.records.seal import FAILED_SUFFIX


class EventLog:
    """One event file of one trial.

    Args:
        folder: the trial's directory.
        config: its HParams row.
        next_step: events at this step and later, left by an earlier attempt, are superseded.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], next_step: int) -> None:
        self._writer = EventFileWriter(str(folder))
        start = Event(step=next_step, wall_time=time.time())
        start.session_log.status = start.session_log.START
        self._writer.add_event(start)
        self._add(hparams.hparams_pb(hparam_values(config), trial_id=folder.name), 0)
        self._writer.flush()

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in metrics.items()]
        self._add(Summary(value=values), step)
        self._writer.flush()

    def close(self, *, finished: bool) -> None:
        """Close the file; a trial that finished is marked as a success."""
        if finished:
            self._add(session_end(api_pb2.STATUS_SUCCESS), 0)
        self._writer.close()

    def _add(self, summary: Summary, step: int) -> None:
        self._writer.add_event(Event(summary=summary, step=step, wall_time=time.time()))


def clear_events(folder: Path) -> None:
    """Remove a trial's events, because it starts over."""
    for path in _event_files(folder):
        path.unlink()


def reopen(folder: Path, history: Sequence[Report]) -> None:
    """Make a trial's events those of these reports, so that another attempt can go on after them.

    What a killed writer left is cut to whole records; events after the last of these reports go,
    and the HParams row, which the attempt writes anew; scalars that were lost are written again
    from the history (histograms and images that were lost stay so).
    """
    if not history:
        clear_events(folder)
        return
    order_for_next(folder)
    seen: set[tuple[str, int]] = set()
    for path in _event_files(folder):
        kept = [record for record in _records(path) if _stays(record, len(history))]
        content = _joined(kept)
        if content != path.read_bytes():
            land(path, content)
        seen |= {(v.tag, e.step) for e in map(Event.FromString, kept) for v in e.summary.value}
    tags = {tag for tag, _ in seen}  # a trainable that logs for itself may name them otherwise
    lost = [
        Event(
            step=report.step,
            wall_time=time.time(),
            summary=Summary(value=[Summary.Value(tag=tag, simple_value=value)]),
        )
        for report in history
        for tag, value in report.metrics.items()
        if (tag, report.step) not in seen and (tag in tags or not tags)
    ]
    if lost:
        writer = EventFileWriter(str(folder), filename_suffix=".restored")
        for event in lost:
            writer.add_event(event)
        writer.close()


def write_again(folder: Path, record: Record) -> None:
    """Write the lost scalars of a trial that has ended, its HParams row and its end."""
    reopen(folder, record.history)
    log = EventLog(folder, record.recorded or record.config, len(record.history))
    log.close(finished=record.status is Status.FINISHED)
    if record.status is not Status.FINISHED:
        withdraw_failure(folder)
        write_failure(folder)


def _event_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("events.out.tfevents.*"))


def _records(path: Path) -> Iterable[bytes]:
    """The serialised events of a file, up to its end or the first that is damaged."""
    loaded: Iterable[bytes] = RawEventFileLoader(str(path)).Load()
    return loaded


def _stays(record: bytes, next_step: int) -> bool:
    event = Event.FromString(record)
    values = event.summary.value
    if any(value.tag in SESSION_TAGS for value in values):
        return False
    return event.step < next_step or (not values and event.step == next_step)


def _joined(records: Iterable[bytes]) -> bytes:
    """An event file's content."""
    content = io.BytesIO()
    writer = RecordWriter(content)
    for record in records:
        writer.write(record)
    return content.getvalue()


def write_failure(folder: Path) -> None:
    """Mark a trial as failed, in an event file of its own: a later retry can take it back."""
    writer = EventFileWriter(str(folder), filename_suffix=FAILED_SUFFIX)
    writer.add_event(
        Event(summary=session_end(api_pb2.STATUS_FAILURE), step=0, wall_time=time.time())
    )
    writer.close()


def withdraw_failure(folder: Path) -> None:
    """Take the mark back: TensorBoard keeps the first end it reads."""
    for path in folder.glob(f"events.out.tfevents.*{FAILED_SUFFIX}"):
        path.unlink()


def session_end(status: int) -> Summary:
    """The HParams plugin's record that a run has ended."""
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
    content = plugin_data_pb2.HParamsPluginData(
        session_end_info=end, version=metadata.PLUGIN_DATA_VERSION
    )
    value = Summary.Value(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=metadata.create_summary_metadata(content),
        tensor=metadata.NULL_TENSOR,
    )
    return Summary(value=[value])


def hparam_values(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration in the types HParams knows: truth values, numbers, text; groups opened."""
    return {k: v if isinstance(v, bool | int | float) else str(v) for k, v in flat(config).items()}

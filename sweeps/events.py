"""The TensorBoard events that the orchestrator writes, without torch.

A trainable that takes ``log_dir`` writes its own; for any other, its reports become scalars and
its configuration an HParams row here. Either way the end of a trial that failed for good is
written here, because only the orchestrator knows that it was the last attempt.

No record of the whole experiment is written: TensorBoard then finds the hyper-parameters itself,
puts those that differ first, and lists no extra run.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.hparams import summary_v2 as hparams
from tensorboard.summary.writer.event_file_writer import EventFileWriter

FAILED_SUFFIX = ".failed"


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
    """A configuration in the types HParams knows: truth values, numbers, text."""
    return {k: v if isinstance(v, bool | int | float) else str(v) for k, v in config.items()}

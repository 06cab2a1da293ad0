"""The TensorBoard events of a trial, without torch: those of the sweep, and care for all others.

The sweep writes an HParams row, the reported scalars and the end of every trial into files of its
own, unless the trainable says that it does all of that itself (``WRITES_EVENTS``). The end of a
trial that failed for good is always written here, because only the orchestrator knows that it was
the last attempt.

No record of the whole experiment is written: TensorBoard then finds the hyper-parameters itself,
puts those that differ first, and lists no extra run.
"""

import hashlib
import json
import re
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.hparams import summary_v2 as hparams

from sweeps.definition.space import flat
from sweeps.records.event_files import OWN_SUFFIX, reopen, without_tags
from sweeps.records.event_writer import EventWriter
from sweeps.records.record import Record, Status
from sweeps.records.seal import FAILED_SUFFIX


class EventLog:
    """One event file of one trial.

    Args:
        folder: the trial's directory.
        config: its HParams row.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self._writer = EventWriter(folder, OWN_SUFFIX)
        self._folder = folder
        self._logged: set[str] = set()
        row, group = session_group(folder.name, hparam_values(config))
        self._writer.add(hparams.hparams_pb(row, trial_id=group), 0)
        self._writer.flush()

    def log(self, metrics: Mapping[str, float], step: int, others: Collection[str] = ()) -> None:
        """Log a report, without what the trainable has logged itself."""
        values = [
            Summary.Value(tag=tag, simple_value=value)
            for tag, value in metrics.items()
            if tag not in others
        ]
        self._logged |= metrics.keys() - others
        self._writer.add(Summary(value=values), step)
        self._writer.flush()

    def close(self, *, finished: bool, others: Collection[str] = ()) -> None:
        """Close the file; a trial that finished is marked as a success."""
        if finished:
            self._writer.add(session_end(api_pb2.STATUS_SUCCESS), 0)
        self._writer.close()
        if twice := self._logged & set(others):  # it began to log them after it had reported them
            without_tags(self._folder, twice)


def write_failure(folder: Path) -> None:
    """Mark a trial as failed, in an event file of its own: a later retry can take it back."""
    _write_end(folder, api_pb2.STATUS_FAILURE)


def write_stop(folder: Path) -> None:
    """Mark a trial that a search has stopped as done, which can be taken back in the same way."""
    withdraw_failure(folder)
    _write_end(folder, api_pb2.STATUS_SUCCESS)


def _write_end(folder: Path, status: int) -> None:
    writer = EventWriter(folder, FAILED_SUFFIX)
    writer.add(session_end(status), 0)
    writer.close()


def withdraw_failure(folder: Path) -> None:
    """Take the mark back: TensorBoard keeps the first end it reads."""
    for path in folder.glob(f"events.out.tfevents.*{FAILED_SUFFIX}"):
        path.unlink()


def write_again(folder: Path, record: Record) -> None:
    """Write the lost scalars of a trial that has ended, its HParams row and its end."""
    reopen(folder, record.history)
    log = EventLog(folder, record.recorded or record.config)
    log.close(finished=record.status is Status.FINISHED)
    if record.status is not Status.FINISHED:
        withdraw_failure(folder)
        write_failure(folder)


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


def session_group(name: str, row: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The HParams row of a trial, and the group that it is shown in, by the name of its folder.

    The seeds of a configuration share a group, also those that are added later; the trials are its
    sessions. The group's row has no seed. A hash keeps apart what looks the same in a name.
    """
    *values, trial = name.split(",")
    if not re.fullmatch(r"[a-z2-7]{8}", trial):
        return dict(row), name
    rest = {key: value for key, value in row.items() if key != "seed"}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:4]
    swept = ",".join(value for value in values if not value.startswith("seed="))
    return rest, f"{swept or 'all'},{digest}"


def hparam_values(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration in the types HParams knows: truth values, numbers, text; groups opened.

    ``None`` is left out: in a column of numbers, text would keep TensorBoard from sorting.
    """
    return {
        k: v if isinstance(v, bool | int | float) else str(v)
        for k, v in flat(config).items()
        if v is not None
    }

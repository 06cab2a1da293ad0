"""The order of a trial's event files does not depend on anybody's clock."""

import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from sweeps.records.event_order import PREFIX, order_for_next, put_in_order

HOUR = 3600


def write(folder: Path, first: int, last: int, named: float) -> None:
    """An attempt's events as torch writes them, named by a clock that shows this time."""
    writer = EventFileWriter(str(folder))
    start = SessionLog(status=SessionLog.START)
    writer.add_event(Event(step=first, wall_time=time.time(), session_log=start))
    for step in range(first, last):
        value = Summary.Value(tag="loss", simple_value=float(step))
        writer.add_event(Event(step=step, wall_time=time.time(), summary=Summary(value=[value])))
    writer.close()
    newest = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    rest = newest.name.removeprefix(PREFIX).partition(".")[2]
    newest.rename(folder / f"{PREFIX}{int(named):010d}.{rest}")


def steps(folder: Path) -> list[int]:
    events = EventAccumulator(str(folder), size_guidance={SCALARS: 0})
    events.Reload()
    return [event.step for event in events.Scalars("loss")]


@pytest.mark.parametrize("back", [0, 1, HOUR, -HOUR])
def test_what_is_written_next_is_read_last_whatever_the_clock_shows(
    tmp_path: Path, back: int
) -> None:
    now = time.time()
    write(tmp_path, 0, 3, named=now + back)
    for attempt in range(1, 4):  # each goes on from the last but one
        order_for_next(tmp_path)
        write(tmp_path, 3 * attempt, 3 * attempt + 3, named=now)
        assert steps(tmp_path) == list(range(3 * attempt + 3))


def test_what_was_written_before_is_put_in_the_order_of_its_steps(tmp_path: Path) -> None:
    now = time.time()
    for number, first in enumerate((0, 3, 6)):
        write(tmp_path, first, first + 3, named=now - number * HOUR)
    assert steps(tmp_path) == [0, 1, 2]
    assert put_in_order(tmp_path)
    assert steps(tmp_path) == list(range(9))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert not put_in_order(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == names

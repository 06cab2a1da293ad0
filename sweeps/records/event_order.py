"""A trial's event files, and their order.

TensorBoard reads the files of a run in the order of their names, and each that begins with a step
takes back what it has read from that step on. The names begin with the time by the clock of
whoever wrote them: where a clock goes back, or another node's is behind, what was written last
would be read first and be taken back. Then the files are named anew, by numbers below all times.
"""

import time
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams import metadata

from sweeps.records.seal import event_files

PREFIX = "events.out.tfevents."
SESSION_TAGS = {metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG}
_LARGEST_NUMBER = 999_999_999
"""A time is larger (since 2001), and has ten digits as our numbers have."""


def put_in_order(folder: Path, *, before: float | None = None) -> bool:
    """Let files sort by the steps that they begin with; whether any was named anew.

    A file that is cut short here leaves an order that is at least not worse.

    Args:
        before: let them also sort before a file that is named by this time, or later.
    """
    files = sorted(event_files(folder))
    ordered = sorted(files, key=lambda path: (_first_step(path), path.name))
    late = before is not None and any(_number(path) >= int(before) for path in files)
    if ordered == files and not late:
        return False
    given = [number for path in files if (number := _number(path)) <= _LARGEST_NUMBER]
    for number, path in enumerate(ordered, 1 + max(given, default=0)):
        rest = path.name.removeprefix(PREFIX).partition(".")[2]
        path.rename(path.with_name(f"{PREFIX}{number:010d}.{rest}"))
    return True


def order_for_next(folder: Path) -> None:
    """Let whatever file is written from now on, by whomever, be read last."""
    put_in_order(folder, before=time.time())


def _number(path: Path) -> int:
    digits = path.name.removeprefix(PREFIX).partition(".")[0]
    return int(digits) if digits.isdigit() else 0


def _first_step(path: Path) -> int:
    """The step of the first thing in a file that TensorBoard orders by."""
    for record in RawEventFileLoader(str(path)).Load():
        event = Event.FromString(record)
        values = [value for value in event.summary.value if value.tag not in SESSION_TAGS]
        if values or event.session_log.status == event.session_log.START:
            return int(event.step)
    return 0

"""Event files for TensorBoard, written as they are told.

TensorBoard's own writer has a thread for each file, through which every event goes: as much work as
all else that recording a report takes. The records and their checksums are its.
"""

import itertools
import os
import socket
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

_numbers = itertools.count()
"""Of the files of this process."""


class EventWriter:
    """A new event file in a folder; what is added is in it after :meth:`flush`.

    Args:
        suffix: at the end of its name.
    """

    def __init__(self, folder: Path, suffix: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        begun = f"{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        file = (folder / f"events.out.tfevents.{begun}{suffix}").open("wb")
        self._records = RecordWriter(file)
        self.add_event(Event(wall_time=time.time(), file_version="brain.Event:2"))
        self.flush()

    def add(self, summary: Summary, step: int) -> None:
        """What is to be seen at a step."""
        self.add_event(Event(summary=summary, step=step, wall_time=time.time()))

    def add_event(self, event: Event) -> None:
        self._records.write(event.SerializeToString())

    def flush(self) -> None:
        self._records.flush()

    def close(self) -> None:
        self._records.close()

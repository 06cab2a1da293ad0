"""The event files that a trainable writes itself, by TensorBoard's own writer.

torch's ``SummaryWriter``, and with it Lightning's and Hugging Face's loggers, write through one
class, which is watched here, for three things that no file tells in time. What was logged before a
report belongs to that report, so it is written out then (a writer keeps it back for up to two
minutes). A trial has one HParams row, the sweep's. And a scalar that the trainable has logged under
a reported name is not written a second time.
"""

import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from sweeps.records.event_files import ROW_TAGS

_begin, _add = EventFileWriter.__init__, EventFileWriter.add_event


class Writers:
    """The writers made in this process; those of the sweep are of another kind.

    Args:
        folder: the trial's.
        note: is told, once, of a writer whose files lie elsewhere.

    Attributes:
        tags: what they have logged into the trial's folder itself.
    """

    def __init__(self, folder: Path, note: Callable[[str], None]) -> None:
        self.tags: set[str] = set()
        self._folder = folder
        self._note = note
        self._alive: weakref.WeakSet[Any] = weakref.WeakSet()

    def watch(self, *, keep_rows: bool) -> None:
        """Watch from here on, and let no HParams rows be written, unless they are kept."""
        alive, tags = self._alive, self.tags

        def begin(writer: Any, *args: Any, **kwargs: Any) -> None:
            _begin(writer, *args, **kwargs)
            alive.add(writer)
            self._locate(Path(writer.get_logdir()))

        def add_event(writer: Any, event: Event) -> None:
            if writer in alive and isinstance(event, Event) and event.summary.value:
                names = {value.tag for value in event.summary.value}
                if names & ROW_TAGS and not keep_rows:
                    return
                if Path(writer.get_logdir()).absolute() == self._folder:
                    tags.update(names)
            _add(writer, event)

        EventFileWriter.__init__, EventFileWriter.add_event = begin, add_event

    def flush(self) -> None:
        """Write out what they hold; one that is closed, or broken, is the trainable's affair."""
        for writer in list(self._alive):
            with suppress(Exception):
                writer.flush()

    def _locate(self, folder: Path) -> None:
        if not folder.absolute().is_relative_to(self._folder):
            self._note(
                f"a SummaryWriter writes to {folder}, where `sweeps board` does not look: take"
                " log_dir, the trial's folder, and give it that"
            )

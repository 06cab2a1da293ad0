"""An end to what never ends: a worker whose trial takes too long is ended, whatever it is doing.

The watch is kept by a thread of ``faulthandler``'s, which needs no Python to run: a trial that
sleeps, loops, waits for a device or ignores signals is ended all the same, and the stacks of its
threads say where it was.
"""

import faulthandler
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

FILE = "timeout.log"


class Deadline:
    """Ends this process when a trial, or one epoch of it, takes too long.

    Args:
        folder: of the trial; ``timeout.log`` in it says what the time-out was and where it struck.
        trial: seconds for the whole attempt.
        epoch: seconds between two reports, and up to the first.
    """

    def __init__(self, folder: Path, trial: float | None, epoch: float | None) -> None:
        self._path = folder / FILE
        self._trial, self._epoch = trial, epoch
        self._end = time.monotonic() + trial if trial else None
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        if self._trial or self._epoch:
            self._file = self._path.open("w", encoding="utf-8")
            self.extend()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file:
            faulthandler.cancel_dump_traceback_later()
            self._file.close()
            self._path.unlink(missing_ok=True)

    def extend(self) -> None:
        """A report was made: the next epoch begins."""
        if self._file is None:
            return
        left = max(0.001, self._end - time.monotonic()) if self._end else None
        by_trial = self._epoch is None or (left is not None and left < self._epoch)
        name, limit = ("trial", self._trial) if by_trial else ("epoch", self._epoch)
        self._file.seek(0)
        self._file.truncate()
        self._file.write(f"{limit:g} s ({name}_timeout)\n")
        self._file.flush()
        seconds = left if by_trial else self._epoch
        faulthandler.dump_traceback_later(seconds or 0.001, exit=True, file=self._file)


def struck(folder: Path) -> tuple[str, str] | None:
    """Which time-out ended an attempt, and the stacks of its threads; ``None`` if none did."""
    try:
        content = (folder / FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    name, _, stacks = content.partition("\n")
    (folder / FILE).unlink(missing_ok=True)
    return (f"took longer than {name}, and was ended", stacks) if stacks.strip() else None

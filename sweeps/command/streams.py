"""Standard output and error as whoever started the program left them: open, full, closed or gone.

What is shown never decides what is trained. A command that trains goes on where its output is lost,
and says so once on standard error; one that reads ends, as others do in a pipe. Either way the lost
output becomes the null device, so that whatever else writes to it finds a place.
"""

import errno
import io
import os
import sys
from typing import Any, TextIO


class OutputLost(Exception):
    """What a command is there to show cannot be shown; not an ``OSError``, as nothing failed here.

    Attributes:
        exit_status: of a pipe whose reader has left, that of a program that the signal ended.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(f"standard output cannot be written: {error.strerror}")
        self.is_pipe = error.errno == errno.EPIPE
        self.exit_status = 141 if self.is_pipe else 1


class Stream(io.TextIOBase):
    """One of the two standard streams, in place of Python's own.

    Args:
        stream: Python's, ``None`` if it was closed.

    Attributes:
        goes_on: whether the command goes on without it.
    """

    def __init__(self, descriptor: int, stream: TextIO | None) -> None:
        self._descriptor = descriptor
        self._closed = stream is None
        self._stream = stream or _null(descriptor)
        self.goes_on = descriptor == 2
        if isinstance(self._stream, io.TextIOWrapper):
            self._stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        if not isinstance(text, str):  # click tries, to see what kind of stream this is
            raise TypeError(f"text must be str, got {type(text).__name__}")
        if text:
            self._do(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        self._do(self._stream.flush)

    def write_bytes(self, content: bytes) -> None:
        """Write what is no text, at once."""
        self._do(self._stream.flush)
        self._do(self._stream.buffer.write, content)
        self._do(self._stream.buffer.flush)

    def _do(self, method: Any, *arguments: Any) -> None:
        try:
            if self._closed:
                raise OSError(errno.EBADF, "it is closed")
            method(*arguments)
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        self._closed = False
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, self._descriptor)
        os.close(null)
        if self._descriptor == 2:
            return
        if not self.goes_on:
            raise OutputLost(error) from None
        print(f"note: {OutputLost(error)}; the sweep goes on", file=sys.stderr)

    @property
    def buffer(self) -> Any:
        return self._stream.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self._stream.errors

    def isatty(self) -> bool:
        return not self._closed and self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        """What else people's modules may ask of a stream: ``reconfigure``, ``line_buffering``."""
        if name == "_stream":
            raise AttributeError(name)
        return getattr(self._stream, name)


def take_over() -> None:
    """Let all that writes to the standard streams write to ours; closed ones become harmless.

    The number of one that is closed would else be given to the next file that is opened, a record
    say, and what others print would land in it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    sys.stdout, sys.stderr = Stream(1, sys.stdout), Stream(2, sys.stderr)


def go_on_without() -> None:
    """From here on, what cannot be shown is passed over."""
    if isinstance(sys.stdout, Stream):
        sys.stdout.goes_on = True


def _null(descriptor: int) -> TextIO:
    return open(descriptor, "w", encoding="utf-8", closefd=False)

"""Where the command writes, and how it exits."""

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from sweeps.command.streams import Stream
from sweeps.definition.text import harmless
from sweeps.errors import Interrupted, SweepsError


class Plain(Console):
    """Shows text as it is: nothing in it is markup, an emoji's name or an escape sequence."""

    def __init__(self, *, stderr: bool = False, quiet: bool = False) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, stderr=stderr, quiet=quiet)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print lines as long as they are; a terminal wraps them, a pipe does not."""
        plain = [str(each) if isinstance(each, Path) else each for each in objects]
        texts = [Text(harmless(o, keep="\n")) if isinstance(o, str) else o for o in plain]
        super().print(*texts, **{"soft_wrap": True, **options})


out = Plain()
err = Plain(stderr=True)


def exits(command: Callable[..., int]) -> Callable[..., None]:
    """Turn a command's return value, and our errors, into its exit status."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            status = command(*args, **kwargs)
        except Interrupted as stop:
            err.print(str(stop))
            status = stop.exit_status
        except SweepsError as error:
            err.print(f"error: {error}")
            status = error.exit_status
        raise typer.Exit(status)

    return wrapped


def write_bytes(content: bytes, output: Path | None) -> None:
    """To a file, or to standard output as it is."""
    if output is None:
        if isinstance(sys.stdout, Stream):
            sys.stdout.write_bytes(content)
        else:
            sys.stdout.buffer.write(content)
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        raise SweepsError(
            f"--output {output} cannot be written: {error.strerror}; name a file in a folder"
            " that exists"
        ) from None

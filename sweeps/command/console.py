"""Where the command writes, and how it exits."""

import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from sweeps.errors import Interrupted, SweepsError

out = Console(highlight=False, markup=False, emoji=False)
err = Console(highlight=False, markup=False, emoji=False, stderr=True)


def exits(command: Callable[..., int]) -> Callable[..., None]:
    """Turn a command's return value, and our errors, into its exit status."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            status = command(*args, **kwargs)
        except Interrupted as stop:
            with suppress(OSError):  # the terminal may be gone
                err.print(str(stop), soft_wrap=True)
            status = stop.exit_status
        except SweepsError as error:
            err.print(f"error: {error}", soft_wrap=True)
            status = error.exit_status
        raise typer.Exit(status)

    return wrapped


def write_bytes(content: bytes, output: Path | None) -> None:
    """To a file, or to standard output as it is."""
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        raise SweepsError(
            f"--output {output} cannot be written: {error.strerror}; name a file in a folder"
            " that exists"
        ) from None

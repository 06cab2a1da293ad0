"""What is asked of a run under way, by small files in the sweep's directory.

Whoever asks writes one; the process that runs the sweep looks for them, and deletes each when it
has taken it over. So any terminal can ask, and any machine that sees the directory.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sweeps.records.files import Files

FOLDER = ".requests"
STOP = ".stop"
PATIENCE = 30
"""Seconds in which a run that is alive hears what is asked; starting Ray takes some of them."""

if TYPE_CHECKING:
    from sweeps.records.ledger import Ledger


@dataclass(frozen=True)
class Request:
    """What is asked.

    Attributes:
        action: ``stop`` some trials or all; ``pause`` the run; ``widen`` it by a file.
        trials: which are to be stopped; none means all.
        definition: the sweep file's content, of the one that asks for more.
        file: where it is, if it is a file.
    """

    action: Literal["stop", "pause", "widen"]
    trials: list[str] = field(default_factory=list)
    definition: dict[str, Any] | None = None
    file: str | None = None


def ask(files: Files, request: Request) -> str:
    """Write a request; the path of its file, which is gone once it has been heard."""
    path = f"{FOLDER}/{time.time_ns()}-{os.getpid()}.json"
    files.write(path, json.dumps(asdict(request)).encode())
    return path


def heard(ledger: "Ledger", request: Request) -> bool:
    """Ask the run under way in a directory, and wait until it has heard; whether it has."""
    files = ledger.files
    path = ask(files, request)
    deadline = time.monotonic() + PATIENCE
    while path.rpartition("/")[2] in files.names(FOLDER):
        if time.monotonic() > deadline or not ledger.is_held():
            files.delete(path)
            return False
        time.sleep(files.look_every)
    return True


def hear(files: Files) -> Iterator[Request]:
    """What has been asked and not been heard yet, oldest first; what is no request is deleted.

    A request is taken over when the next is asked for: until then it can be heard again.
    """
    for name in files.names(FOLDER):
        path = f"{FOLDER}/{name}"
        if not (content := files.read(path)):  # some storage shows a file before it is whole
            continue
        if request := _understood(content):
            yield request
        files.delete(path)


def _understood(content: bytes) -> Request | None:
    try:
        return Request(**json.loads(content))
    except (ValueError, TypeError, RecursionError):
        return None


def forget(files: Files) -> None:
    """Delete all requests: those of a run that was killed are nobody's."""
    for name in files.names(FOLDER):
        files.delete(f"{FOLDER}/{name}")


def ask_to_stop(files: Files, trial: str, why: str) -> None:
    """Ask the process that trains a trial to stop at its next report.

    Args:
        trial: its folder in the sweep's directory.
    """
    files.write(f"{trial}/{STOP}", why.encode())


def asked_to_stop(folder: Path) -> str | None:
    """Why a trial is to stop, if it is."""
    try:
        return (folder / STOP).read_text("utf-8")
    except FileNotFoundError:
        return None


def forget_to_stop(files: Files, trial: str) -> None:
    """A trial begins: what was asked before is done with."""
    files.delete(f"{trial}/{STOP}")

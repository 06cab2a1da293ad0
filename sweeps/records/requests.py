"""What is asked of a run under way, by small files in the sweep's directory.

Whoever asks writes one; the process that runs the sweep looks for them, and removes each when it
has done what it says. So any terminal can ask, and any machine that sees the directory.
"""

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sweeps.records.atomic import DamagedRecord, land, land_json, read_json

FOLDER = ".requests"
STOP = ".stop"
ACCEPTED = ".accepted"
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


def ask(directory: Path, request: Request) -> Path:
    """Write a request; the file is gone once it has been heard."""
    folder = directory / FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / f"{time.time_ns()}-{os.getpid()}.json"
    land_json(path, asdict(request))
    return path


def heard(ledger: "Ledger", request: Request) -> bool:
    """Ask the run under way in a directory, and wait until it has heard; whether it has."""
    path = ask(ledger.directory, request)
    deadline = time.monotonic() + PATIENCE
    while path.exists():
        if time.monotonic() > deadline or not ledger.is_held():
            path.unlink(missing_ok=True)
            return False
        time.sleep(0.05)
    return True


def pending(directory: Path) -> Iterator[tuple[Path, Request]]:
    """What has been asked and not been heard yet, oldest first; what is no request is removed."""
    for path in sorted((directory / FOLDER).glob("*.json")):
        try:
            yield path, Request(**(read_json(path) or {}))
        except (DamagedRecord, TypeError):
            path.unlink(missing_ok=True)


def accept(path: Path) -> None:
    """Keep a request for the end of the round; whoever asks sees that it was heard."""
    path.replace(path.with_suffix(ACCEPTED))


def accepted(directory: Path) -> list[Request]:
    """The requests that were kept, oldest first; they are done with."""
    found = []
    for path in sorted((directory / FOLDER).glob(f"*{ACCEPTED}")):
        found.append(Request(**(read_json(path) or {})))
        path.unlink()
    return found


def forget(directory: Path) -> None:
    """Remove all requests: those of a run that has ended are nobody's."""
    shutil.rmtree(directory / FOLDER, ignore_errors=True)


def ask_to_stop(folder: Path, why: str) -> None:
    """Ask the process that trains a trial to stop at its next report."""
    land(folder / STOP, why.encode())


def asked_to_stop(folder: Path) -> str | None:
    """Why a trial is to stop, if it is."""
    try:
        return (folder / STOP).read_text("utf-8")
    except FileNotFoundError:
        return None


def forget_to_stop(folder: Path) -> None:
    """A trial begins: what was asked before is done with."""
    (folder / STOP).unlink(missing_ok=True)

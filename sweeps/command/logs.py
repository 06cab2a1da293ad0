"""`sweeps logs`: what a trial printed, and the tracebacks of its failed attempts."""

import time
from contextlib import suppress
from typing import Annotated

import typer

from sweeps.command.console import exits, out, write_bytes
from sweeps.command.options import Directory, TrialId
from sweeps.definition.text import harmless
from sweeps.errors import SweepsError, nearest
from sweeps.records.ledger import Ledger
from sweeps.records.record import Record, Status
from sweeps.storage.remote_ledger import open_ledger

EVERY = 0.5
"""Seconds between two looks for more."""


@exits
def logs(
    directory: Directory,
    trial: TrialId,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="go on until the trial ends, or Ctrl-C")
    ] = False,
) -> int:
    """Show what a trial printed, and why its attempts failed."""
    ledger = open_ledger(directory)
    record = find(ledger, trial)
    shown = _show(ledger, record, "output.log", 0)
    with suppress(KeyboardInterrupt):
        while follow and _is_running(ledger, trial):
            time.sleep(EVERY)
            shown = _show(ledger, record, "output.log", shown)
    errors = _show(ledger, record, "errors.log", 0)
    if not shown + errors:
        out.print(f"{trial} has printed nothing")
    return 0


def find(ledger: Ledger, key: str) -> Record:
    """A trial of a sweep by its id; raises :class:`SweepsError` if there is none."""
    listed = ledger.overview().trials
    known = {trial.id: trial for trial in [*listed, *ledger.unlisted(listed)]}
    if key not in known:
        raise SweepsError(
            f"{ledger.where} holds no trial {key!r}{nearest(key, known)}; `sweeps status` lists all"
        )
    return ledger.record(known[key])


def _is_running(ledger: Ledger, key: str) -> bool:
    ledger.fetch()
    return ledger.is_held() and find(ledger, key).status in (Status.RUNNING, Status.PENDING)


def _show(ledger: Ledger, record: Record, name: str, start: int) -> int:
    """Show a file from a byte on; its length."""
    content = ledger.files.read(f"{record.path}/{name}") or b""
    new = content[start:]
    if not out.is_terminal:
        write_bytes(new, None)
    elif new:
        lines = new.decode(errors="replace").split("\n")
        last = [line.rstrip("\r").rpartition("\r")[2] for line in lines]  # as it was left
        out.print(harmless("\n".join(last), keep="\n\t"), end="")
    return len(content)

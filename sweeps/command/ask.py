"""`sweeps stop` and `sweeps pause`: what can be asked of a run under way, from any terminal."""

from typing import Annotated

import typer

from sweeps.command.console import exits, out
from sweeps.command.options import Directory
from sweeps.errors import DirectoryError, SweepsError, nearest
from sweeps.records.ledger import Ledger
from sweeps.records.requests import PATIENCE, Request, heard
from sweeps.storage.remote_ledger import open_ledger


@exits
def stop(
    directory: Directory,
    trials: Annotated[
        list[str] | None, typer.Argument(metavar="[TRIAL]...", help="ids; all that run, if none")
    ] = None,
) -> int:
    """Stop trials of a sweep that is running, or the run; what is stopped stays so."""
    ledger = _running(directory)
    known = [trial.id for trial in ledger.overview().trials]
    for trial in trials or ():
        if trial not in known:
            raise SweepsError(f"{trial}: no trial of {directory}{nearest(trial, known)}")
    _ask(ledger, Request("stop", trials or []))
    what = f"{', '.join(trials)}: to stop at the next report" if trials else "the run is to end"
    out.print(f"{what}; `sweeps run` with --retry ID goes on with one")
    return 0


@exits
def pause(directory: Directory) -> int:
    """End a run; the same `sweeps run` goes on with what was under way."""
    _ask(_running(directory), Request("pause"))
    out.print("the run is to end; the same command goes on")
    return 0


def _ask(ledger: Ledger, request: Request) -> None:
    """Ask the run under way, and wait until it has heard."""
    if not heard(ledger, request):
        raise SweepsError(
            f"the run in {ledger.where} has not heard within {PATIENCE} s; it may be starting or"
            " ending: try again"
        )


def _running(directory: str) -> Ledger:
    """The records of a sweep that is running.

    Raises:
        DirectoryError: nobody runs it.
    """
    ledger = open_ledger(directory)
    ledger.overview()
    if not ledger.is_held():
        raise DirectoryError(f"{directory}: no run is under way, so there is nothing to end")
    return ledger

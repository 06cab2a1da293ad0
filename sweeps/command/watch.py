"""`sweeps status --watch`: a sweep that runs elsewhere, looked at until it ends."""

import time
from collections import Counter

from rich.live import Live

from sweeps.answer.results import swept
from sweeps.command.console import out
from sweeps.command.live import Glance
from sweeps.records.best import best_of
from sweeps.records.ledger import Ledger
from sweeps.records.record import Record, Status

EVERY = 1.0
"""Seconds between two looks; each reads all records of the sweep."""


def watch(ledger: Ledger) -> None:
    """Show a sweep as it goes on: a table redrawn on a terminal, a line for each change elsewhere.

    Ends with the run, or with Ctrl-C, which does nothing to the sweep.
    """
    if not out.is_terminal:
        _tell(ledger)
        return
    with Live(console=out, auto_refresh=False, transient=True) as live:
        while True:
            running, (glance, records, best, line) = ledger.is_held(), _look(ledger)
            size = out.width, out.height
            live.update(glance.draw(records, best, line, size), refresh=True)
            if not running:
                return
            time.sleep(EVERY)
            ledger.fetch()


def _tell(ledger: Ledger) -> None:
    said = ""
    while True:
        running, line = ledger.is_held(), _look(ledger)[-1]
        if line != said:
            out.print(line)
            said = line
        if not running:
            return
        time.sleep(EVERY)
        ledger.fetch()


def _look(ledger: Ledger) -> tuple[Glance, list[Record], dict[str, dict[str, float]], str]:
    """All that a look at a sweep shows: how, which records, their best values, and a last line."""
    overview = ledger.overview()
    records = list(ledger.records(overview.trials).values())
    glance = Glance(swept(r.config for r in records), overview.metric, overview.mode)
    best: dict[str, dict[str, float]] = {}
    for record in records:
        reports = [report.metrics for report in record.history]
        if found := best_of(reports, overview.metric, overview.mode):
            best[record.id] = found
    counts = Counter(record.status for record in records)
    told = ", ".join(f"{counts[status]} {status}" for status in Status if counts[status])
    epochs = sum(len(record.history) for record in records)
    return glance, records, best, f"{len(records)} trials: {told}; {epochs} epochs"

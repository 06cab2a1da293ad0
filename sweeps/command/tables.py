"""Plans and results as text for a terminal, a pipe or a log."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from sweeps.answer.replay import Replay
from sweeps.answer.results import Results, Row, swept, with_loss
from sweeps.answer.summary import (
    epochs_text,
    mean_text,
    runs_text,
    standing_text,
    swept_names,
)
from sweeps.answer.summary import number as shown
from sweeps.definition.space import Trial, cell
from sweeps.planning.arrays import Array
from sweeps.planning.plan import Plan
from sweeps.sweep import Outlook

if TYPE_CHECKING:
    from sweeps.answer.configurations import Configuration


def configurations_table(
    results: Results, configurations: Sequence["Configuration"], metrics: Sequence[str]
) -> Table:
    """One line a configuration: its mean over the seeds, and whether it differs from the best.

    Args:
        metrics: beside the sweep's own, of which the mean of the last values is told.
    """
    names = swept_names(results)
    table = _table(*names)
    behind = "below the best" if results.mode == "max" else "above the best"
    for name in ("seeds", results.metric, *metrics, "best epoch", behind, "told apart"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in configurations:
        values = [cell(each.config, name) for name in names]
        means = [each.metric(name) for name in metrics]
        last = ["" if mean is None else shown(mean) for mean in means]
        table.add_row(
            *values,
            runs_text(each),
            mean_text(each),
            *last,
            epochs_text(each),
            *standing_text(results, each),
        )
    return table


def results_table(results: Results, rows: Sequence[Row]) -> Table:
    """One line a trial: its swept values, last metrics, and best value with its epoch."""
    names = swept(row.config for row in results)
    reported = dict.fromkeys(name for row in results for name in row.metrics)
    metrics = with_loss(results.metric, reported) if reported else [results.metric]
    table = _table("trial", *names, "status")
    for name in ("epochs", *metrics, f"best {results.metric}", "at epoch", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    failures = any(row.error for row in results)
    if failures:
        table.add_column("error", no_wrap=True)
    for row in rows:
        best = [shown(row.best["value"]), f"{row.best['epoch']}"] if row.best else ["", ""]
        last = [shown(row.metrics[name]) if name in row.metrics else "" for name in metrics]
        values = [cell(row.config, name) for name in names]
        cells = [row.id, *values, row.status, str(row.epochs), *last, *best, f"{row.seconds:.1f}"]
        table.add_row(*cells, *([row.error or ""] if failures else []))
    return table


def history_table(results: Results) -> Table:
    """One line a report, with all that it told."""
    names = swept(row.config for row in results)
    reported = dict.fromkeys(
        name for row in results for report in results.reports(row) for name in report.metrics
    )
    table = _table("trial", *names)
    for name in ("epoch", *reported, "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in results:
        values = [cell(row.config, name) for name in names]
        for epoch, report in enumerate(results.reports(row), start=1):
            told = [shown(report.metrics[n]) if n in report.metrics else "" for n in reported]
            table.add_row(row.id, *values, str(epoch), *told, f"{report.seconds:.1f}")
    return table


def status_table(results: Results) -> Table:
    """One line a trial: where it stands."""
    names = swept(row.config for row in results)
    table = _table("trial", *names, "status", "epochs", "attempts", "where", "error")
    for row in results:
        values = [cell(row.config, name) for name in names]
        counts = [str(row.epochs), str(row.attempts)]
        table.add_row(row.id, *values, row.status, *counts, row.where or "", row.error or "")
    return table


def plan_table(plan: Plan, arrays: Sequence[Array]) -> Table:
    """One line a trial: its values, what happens to it, and in which array it trains."""
    number = {trial.id: n for n, array in enumerate(arrays, 1) for trial in array}
    groups = {"keep": plan.keep, "continue": plan.resume, "retry": plan.retry, "new": plan.new}
    trials = [trial for group in groups.values() for trial in group]
    names = swept(trial.config for trial in trials)
    table = _table("trial", *names, "action", "array")
    for action, group in groups.items():
        for trial in group:
            array = str(number.get(trial.id, ""))
            table.add_row(trial.id, *_values(trial, names), action, array)
    return table


def arrays_line(outlook: Outlook) -> str:
    """How the trials to run are put into arrays, or why they are not."""
    sizes = [len(array) for array in outlook.arrays]
    if not sizes:
        return "no trial to train"
    if outlook.why_alone:
        return f"trials train alone, as {outlook.why_alone}"
    listed = ", ".join(map(str, sizes)) if len(sizes) <= 12 else f"up to {max(sizes)}"
    return f"trials train in {len(sizes)} arrays of {listed}"


def print_table(console: Console, table: Table) -> None:
    """Print a table; outside a terminal nothing is cut to a width that nobody sees."""
    if console.is_terminal:
        console.print(table)
    else:
        console.file.write(as_text(table))


def as_text(table: Table) -> str:
    """A table as plain lines, as wide as they need to be."""
    console = Console(width=10_000, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def replay_lines(done: Replay) -> list[str]:
    """Whether a replayed trial gave the same numbers, and what differs from then if not."""
    array = f", in an array of {done.together} as then" if done.together > 1 else ""
    what = f"{done.record.id}: {done.epochs} {'epoch' if done.epochs == 1 else 'epochs'}{array}"
    if not done.differences:
        return [f"{what}; the same to the bit"]
    first = done.differences[0]
    largest = max(each.relative for each in done.differences)
    lines = [
        f"{what}; not the same: at most {largest:.2g} apart, relative to what is recorded",
        f"first {first.metric} at epoch {first.epoch}: {first.recorded!r}, now {first.now!r}",
    ]
    return [*lines, f"not as it was then: {'; '.join(done.changed) or 'nothing that is known of'}"]


def _values(trial: Trial, names: Sequence[str]) -> list[str]:
    return [cell(trial.config, name) for name in names]


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, no_wrap=True)
    return table

"""Plans and results as text for a terminal, a pipe or a log.

The rank of a column says what goes first where a terminal is narrow: the id and the sweep's metric
stay, and so do the swept values unless there are too many.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from sweeps.answer.lineage import origin_text
from sweeps.answer.replay import Replay
from sweeps.answer.results import Results, Row, swept, with_loss
from sweeps.answer.summary import (
    change_text,
    epochs_text,
    mean_text,
    runs_text,
    standing_text,
)
from sweeps.command.columns import VALUES, Table
from sweeps.definition.space import cell
from sweeps.definition.text import format_value, numbers
from sweeps.planning.arrays import Array
from sweeps.planning.plan import Plan
from sweeps.state import Outlook

if TYPE_CHECKING:
    from sweeps.answer.compare import SideBySide
    from sweeps.answer.configurations import Configuration


def configurations_table(
    results: Results, configurations: Sequence["Configuration"], metrics: Sequence[str]
) -> Table:
    """One line a configuration: its mean over the seeds, and whether it differs from the best.

    Args:
        metrics: beside the sweep's own, of which the mean of the last values is told.
    """
    table, names = Table(), results.swept
    _add_values(table, (each.config for each in configurations), names)
    table.add("seeds", [runs_text(each) for each in configurations], 4, right=True)
    table.add(results.metric, [mean_text(each) for each in configurations], right=True)
    for name in metrics:
        table.add(name, numbers([each.metric(name) for each in configurations]), 6, right=True)
    table.add("best epoch", [epochs_text(each) for each in configurations], 5, right=True)
    behind = "below the best" if results.mode == "max" else "above the best"
    if any(row.origin for each in configurations for row in each.trials):
        table.add("goes on from", [origin_text(each.trials[0]) for each in configurations], 4)
    standing = [standing_text(results, each) for each in configurations]
    table.add(behind, [text for text, _ in standing], 2, right=True)
    table.add("told apart", [text for _, text in standing], 1, right=True)
    return table


def results_table(results: Results, rows: Sequence[Row]) -> Table:
    """One line a trial: its swept values, last metrics, and best value with its epoch."""
    reported = dict.fromkeys(name for row in results for name in row.metrics)
    metrics = with_loss(results.metric, reported) if reported else [results.metric]
    table = _trials_table(rows, results)
    table.add("status", [row.status for row in rows], 1)
    table.add("epochs", [str(row.epochs) for row in rows], 7, right=True)
    for name, rank in zip(metrics, (0, 8), strict=False):
        table.add(name, numbers([row.metrics.get(name) for row in rows]), rank, right=True)
    best = [row.best or {} for row in rows]
    values = numbers([each.get("value") for each in best])
    table.add(f"best {results.metric}", values, 3, right=True)
    table.add("at epoch", [str(each.get("epoch", "")) for each in best], 6, right=True)
    table.add("seconds", [f"{row.seconds:.1f}" for row in rows], 9, right=True)
    if any(row.origin for row in rows):
        table.add("goes on from", [origin_text(row) for row in rows], 4)
    _add_errors(table, [row.error for row in rows])
    return table


def comparison_table(found: "SideBySide") -> Table:
    """One line a configuration: its mean in each sweep, and what changed from the first."""
    table = Table()
    _add_values(table, [match.config for match in found.matches], list(found.matches[0].config))
    for place, name in enumerate(found.names):
        means = [mean_text(one) if (one := m.found[place]) else "" for m in found.matches]
        table.add(name, means, right=True)
        if place:
            changes = [match.changes[place - 1] for match in found.matches]
            table.add("change", [change_text(change) for change in changes], 1, right=True)
            clear = [("yes" if c.is_clear else "no") if c and c.margin else "" for c in changes]
            table.add("clear", clear, 2, right=True)
    return table


def comparison_lines(found: "SideBySide") -> list[str]:
    """The changes over all configurations, and what else differs between the sweeps."""
    lines = []
    for constant, values in found.constants.items():
        told = zip(values, found.names, strict=True)
        lines.append(f"{constant}: {', '.join(f'{format_value(v)} in {n}' for v, n in told)}")
    for name, change in zip(found.names[1:], found.overall, strict=True):
        if change is None:
            lines.append(f"{name}: no configuration of {found.names[0]} has finished in it")
            continue
        better = (change.difference > 0) == (found.mode == "max")
        sure = f"is {'better' if better else 'worse'}" if change.is_clear else "can't be told apart"
        over = "1 configuration" if change.pairs == 1 else f"{change.pairs} configurations"
        lines.append(
            f"{name} {sure}{'' if change.is_clear else f' from {found.names[0]}'}:"
            f" {found.metric} {change_text(change)} over {over}"
        )
    return lines


def history_table(results: Results) -> Table:
    """One line a report, with all that it told."""
    reports = [
        (row, epoch, report)
        for row in results
        for epoch, report in enumerate(results.reports(row), start=1)
    ]
    table = _trials_table([row for row, _, _ in reports], results)
    table.add("epoch", [str(epoch) for _, epoch, _ in reports], right=True)
    for name in dict.fromkeys(name for _, _, report in reports for name in report.metrics):
        rank = 0 if name == results.metric else 5
        told = [report.metrics.get(name) for _, _, report in reports]
        table.add(name, numbers(told), rank, right=True)
    table.add("seconds", [f"{report.seconds:.1f}" for _, _, report in reports], 9, right=True)
    return table


def status_table(results: Results) -> Table:
    """One line a trial: where it stands."""
    rows = list(results)
    table = _trials_table(rows, results)
    table.add("status", [row.status for row in rows])
    table.add("epochs", [str(row.epochs) for row in rows], 3, right=True)
    table.add("attempts", [str(row.attempts) for row in rows], 5, right=True)
    table.add("where", [row.where or "" for row in rows], 6)
    _add_errors(table, [row.error for row in rows])
    return table


def plan_table(plan: Plan, arrays: Sequence[Array]) -> Table:
    """One line a trial: its values, what happens to it, and in which array it trains."""
    number = {trial.id: str(n) for n, array in enumerate(arrays, 1) for trial in array}
    groups = {"keep": plan.keep, "continue": plan.resume, "retry": plan.retry, "new": plan.new}
    planned = [(trial, action) for action, group in groups.items() for trial in group]
    table = Table()
    table.add("trial", [trial.id for trial, _ in planned])
    configs = [trial.config for trial, _ in planned]
    _add_values(table, configs, swept(configs))
    table.add("action", [action for _, action in planned])
    table.add("array", [number.get(trial.id, "") for trial, _ in planned], 1, right=True)
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
    """Print a table, on a terminal no wider than that if what matters most allows it."""
    lines, left_out = table.fit(console.width if console.is_terminal else None)
    for number, line in enumerate(lines):
        console.print(Text(line, style="bold" if number == 0 else ""))
    if left_out:
        names = ", ".join(left_out)
        said = f"(left out, for want of width: {names}; a pipe, as to `less -S`, shows all)"
        console.print(Text(said, style="dim"))


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


def _trials_table(rows: Sequence[Row], results: Results) -> Table:
    """A table that begins with the trials' ids and swept values."""
    table = Table()
    table.add("trial", [row.id for row in rows])
    _add_values(table, (row.config for row in rows), swept(row.config for row in results))
    return table


def _add_values(table: Table, configs: Iterable[Mapping[str, Any]], names: Sequence[str]) -> None:
    rows = list(configs)
    for name in names:
        table.add(name, [cell(config, name) for config in rows], VALUES)


def _add_errors(table: Table, errors: Sequence[str | None]) -> None:
    if any(errors):
        table.add("error", [error or "" for error in errors], 2, cut=True)

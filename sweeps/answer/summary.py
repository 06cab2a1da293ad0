"""What came out, in a line: how many trials stand where, and which configuration is best."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sweeps.answer.results import Results
from sweeps.definition.places import join
from sweeps.definition.space import cell
from sweeps.definition.text import number
from sweeps.records.record import Status

if TYPE_CHECKING:
    from sweeps.answer.compare import Change
    from sweeps.answer.configurations import Configuration


def summary(results: Results) -> str:
    """``12 trials: 11 finished, 1 failed``."""
    return counted([row.status for row in results])


def counted(statuses: Sequence[str]) -> str:
    """The same, of trials that stand so."""
    counts = [(status, statuses.count(status)) for status in Status]
    detail = ", ".join(f"{count} {status}" for status, count in counts if count)
    return f"{len(statuses)} {'trial' if len(statuses) == 1 else 'trials'}: {detail}"


def best_line(results: Results) -> str | None:
    """The best configuration in one line, and how sure that is; ``None`` if no trial counts."""
    leader = results.standings.leader
    if leader is None:
        return None
    values = label(results, leader)
    from sweeps.answer.certainty import sureness

    flatters = ", the best of its epochs" if results.select.rule == "best" else ""
    return (
        f"best: {values + ', ' if values else ''}{results.metric} {mean_text(leader)}"
        f" ({seeds_text(leader.n)}{flatters}){sureness(results)}"
    )


def checkpoint_line(results: Results, folder: str) -> str | None:
    """Where the checkpoint of the best trial is, or why not; ``None`` if it saves none."""
    row = results.best
    reports = results.reports(row) if row else ()
    if row is None or row.selected is None or not any(report.checkpoint for report in reports):
        return None
    if path := results.compared_checkpoint(row):
        return f"its checkpoint: {join(folder, path)}"
    epoch = int(row.selected["epoch"])
    was = "kept" if reports[epoch - 1].checkpoint else "saved"
    why = f"that of epoch {epoch}, which is compared, was not {was}"
    if path := row.checkpoint:
        return f"its checkpoint: {join(folder, path)}, of its best epoch; {why}"
    if was == "kept":
        why += (
            ": a trial keeps its last, and the best of a sweep keep their best, by the metric, mode"
            " and select that they ran with (keep_best)"
        )
    return f"its checkpoint: {why}"


def label(results: Results, configuration: "Configuration") -> str:
    """``lr=0.001 batch_size=64``: the swept values; with single trials, after the trial's id."""
    names = results.swept
    values = [f"{name}={text}" for name in names if (text := cell(configuration.config, name))]
    if not results.standings.has_seeds:
        values.insert(0, configuration.trials[0].id)
    return " ".join(values)


def mean_text(configuration: "Configuration") -> str:
    """``0.8890 ± 0.0031``, with the standard deviation if there is one; empty without a value."""
    if configuration.mean is None:
        return ""
    if configuration.sd is None:
        return number(configuration.mean)
    places = decimals(configuration.sd)
    return f"{configuration.mean:,.{places}f} ± {configuration.sd:,.{places}f}"


def runs_text(configuration: "Configuration") -> str:
    """``5``, or ``4 of 5`` where not all trials count."""
    count, asked = configuration.n, len(configuration.trials)
    return f"{count}" if count == asked else f"{count} of {asked}"


def epochs_text(configuration: "Configuration") -> str:
    """At which epochs its trials had their best value: ``5``, or ``3-5``."""
    epochs = configuration.best_epochs
    if not epochs:
        return ""
    return f"{min(epochs)}" if min(epochs) == max(epochs) else f"{min(epochs)}-{max(epochs)}"


def standing_text(results: Results, configuration: "Configuration") -> tuple[str, str]:
    """How far it is behind the best, with the margin of that; and whether that is sure."""
    if configuration is results.standings.leader:
        return "", "best"
    if configuration.difference is None:
        return "", ""
    behind = -configuration.difference if results.mode == "max" else configuration.difference
    if configuration.margin is None:
        return number(behind), ""
    text = with_margin(behind, configuration.margin)
    return text, "yes" if configuration.apart else "no"


def with_margin(value: float, margin: float | None) -> str:
    """``0.0042 ± 0.0036``: two digits of the margin, or of the value if there is none."""
    if margin is not None and margin <= 1e-9 * abs(value):
        margin = None  # what is left of nothing, by rounding
    places = decimals(margin or abs(value))
    return f"{value:,.{places}f}" + (f" ± {margin:,.{places}f}" if margin else "")


def change_text(change: "Change | None") -> str:
    """``+0.0042 ± 0.0036``; empty without one."""
    if change is None:
        return ""
    sign = "-" if change.difference < 0 else "+"
    return sign + with_margin(abs(change.difference), change.margin)


def decimals(spread: float) -> int:
    """How many decimals show two digits of a spread; values are shown with as many."""
    if spread <= 0 or not math.isfinite(spread):
        return 4
    return min(max(1 - math.floor(math.log10(spread)), 0), 12)


def seeds_text(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"

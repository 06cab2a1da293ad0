"""What a report says, as plain values for its template."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweeps.answer.certainty import seeds_advice
from sweeps.answer.configurations import Configuration
from sweeps.answer.lineage import lineage
from sweeps.answer.report import series
from sweeps.answer.report.advice import advice
from sweeps.answer.results import Results, with_loss
from sweeps.answer.summary import (
    best_line,
    epochs_text,
    mean_text,
    runs_text,
    standing_text,
    summary,
    with_margin,
)
from sweeps.definition.space import cell
from sweeps.definition.text import format_value, number
from sweeps.records.record import Status

MOST_ROWS = 2000
"""Lines of the table; the best are shown."""


def answer(results: Results, found: series.Findings) -> dict[str, Any]:
    return {
        "name": results.name,
        "metric": results.metric,
        "compared": results.select.words(results.metric),
        "best": best_line(results) or "No trial has finished yet.",
        "summary": summary(results),
        "advice": advice(results, found),
        "judged": results.standings.comparison.noise is not None,
        "seeds": seeds_advice(results) if results.standings.leader else "",
    }


def table(results: Results) -> dict[str, Any]:
    """One line a configuration: cells with what they are sorted by."""
    names = results.swept
    reported = dict.fromkeys(name for row in results for name in row.metrics)
    metrics = with_loss(results.metric, reported)[1:]
    behind = "below the best" if results.mode == "max" else "above the best"
    heads = [*names, "seeds", results.metric, *metrics, "best epoch", behind, "told apart", "state"]
    single = not results.standings.has_seeds
    drawn = {id(c): index for index, c in enumerate(series.chosen(results))}
    lines = [
        _line(results, each, names, metrics, drawn.get(id(each)))
        for each in results.standings.ranked[:MOST_ROWS]
    ]
    columns = zip(*(line.keys for line in lines), strict=True)
    numeric = [all(key == "" or isinstance(key, float) for key in column) for column in columns]
    return {
        "heads": ["trial", *heads] if single else heads,
        "numeric": numeric,
        "lines": lines,
        "more": max(len(results.standings) - MOST_ROWS, 0),
        "curves": len(drawn),
        "all": len(results.standings),
        "lineage": lineage(results),
    }


@dataclass(frozen=True)
class Line:
    """A configuration in the table: what stands in its cells, and by what these are sorted."""

    texts: Sequence[str]
    keys: Sequence[float | str]
    curve: int | None
    leads: bool


def _line(
    results: Results,
    one: Configuration,
    names: Sequence[str],
    metrics: Sequence[str],
    curve: int | None,
) -> Line:
    behind, apart = standing_text(results, one)
    last = [one.metric(name) for name in metrics]
    state = _state(one.trials)
    cells: list[tuple[str, Any]] = [
        *((cell(one.config, name), one.values.get(name)) for name in names),
        (runs_text(one), one.n),
        (mean_text(one), one.mean),
        *(("" if mean is None else number(mean), mean) for mean in last),
        (epochs_text(one), max(one.best_epochs, default=None)),
        (behind, one.difference),
        (apart, apart),
        (state, state),
    ]
    if not results.standings.has_seeds:
        cells.insert(0, (one.trials[0].id, one.trials[0].id))
    texts, keys = zip(*cells, strict=True)
    leads = one is results.standings.leader
    return Line(texts, [_sort_key(key) for key in keys], curve, leads)


def _state(trials: Any) -> str:
    counts = {status: sum(row.status == status for row in trials) for status in Status}
    known = [(count, status) for status, count in counts.items() if count]
    if len(known) == 1:
        return str(known[0][1])
    return ", ".join(f"{count} {status}" for count, status in known)


def _sort_key(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return format_value(value)


def parameters(results: Results, found: series.Findings) -> dict[str, Any]:
    """What the charts of the parameters say, in words."""
    effects = [
        {
            "name": effect.name,
            "best": format_value(effect.values[0]),
            "worst": format_value(effect.values[-1]),
            "difference": with_margin(effect.difference, margin),
            "judged": margin is not None,
            "sure": effect.is_clear,
            "leads": effect.leads,
            "pairs": effect.pairs,
        }
        for effect in found.factors
        for margin in [effect.margin if np.isfinite(effect.margin) else None]
    ]
    return {
        "effects": effects,
        "inseparable": list(found.inseparable),
        "drawn": list(found.drawn),
        "together": _together(results, found),
        "importance": found.importance,
    }


def _together(results: Results, found: series.Findings) -> dict[str, Any] | None:
    """The interaction that matters: which value of the second is best for each of the first."""
    one = found.interaction
    if one is None:
        return None
    find_best = np.nanargmin if results.mode == "min" else np.nanargmax
    wants = []
    for value, means in zip(one.rows, one.means, strict=True):
        if np.isfinite(means).any():
            best = int(find_best(means))
            wants.append(
                f"{one.first}={format_value(value)} is best with {one.second}="
                f"{format_value(one.columns[best])} ({number(float(means[best]))})"
            )
    chance = "less than 0.001" if one.chance < 0.001 else f"{one.chance:.2g}"
    return {"first": one.first, "second": one.second, "wants": wants, "chance": chance}

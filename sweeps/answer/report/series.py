"""The numbers behind the charts of a report, few enough for a page to open at once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweeps.answer.configurations import Configuration
from sweeps.answer.results import Results
from sweeps.answer.statistics.effects import Effect, Factors, Interaction
from sweeps.answer.statistics.importance import Importance, importances
from sweeps.answer.statistics.noise import Array
from sweeps.answer.summary import label
from sweeps.definition.space import cell
from sweeps.definition.text import number

MOST_LEVELS = 12
"""A parameter with more values than this is rather drawn: it gets a scatter and a curve."""

MOST_CURVES = 40
MOST_EPOCHS = 200
MOST_LINES = 300
"""What a chart shows at most: the best configurations, and epochs evenly thinned out."""

SURE = 0.05


@dataclass(frozen=True)
class Findings:
    """What parameters do.

    Attributes:
        factors: parameters with a few values, by how sure their effect is.
        inseparable: those of which nothing can be said, as they change together.
        drawn: numeric parameters with many values, and whether by their logarithm.
        interactions: the surest first.
    """

    factors: Sequence[Effect]
    inseparable: Sequence[str]
    drawn: Mapping[str, bool]
    interactions: Sequence[Interaction]
    importance: Importance | None

    @property
    def interaction(self) -> Interaction | None:
        """The one that matters: the surest, if it is sure at all."""
        first = next(iter(self.interactions), None)
        return first if first and first.chance < SURE else None


def find(results: Results) -> Findings:
    """What the parameters of a sweep do to its metric."""
    levels = {name: _column(results, name) for name in results.swept}
    drawn = {
        name: is_log(results, name, values)
        for name, values in levels.items()
        if _is_drawn(results, name, values)
    }
    few = {n: v for n, v in levels.items() if n not in drawn and len(set(map(repr, v))) <= 50}
    points = math.prod(len(set(map(repr, column))) for column in few.values())
    crossed = not drawn and points == len(results.standings)
    factors = Factors(few, results.standings.values, results.mode, crossed=crossed)
    return Findings(
        factors.effects() if few else [],
        factors.inseparable if few else [],
        drawn,
        factors.interactions() if 1 < len(few) <= 12 and not drawn else [],
        importance_of(results),
    )


def importance_of(results: Results) -> Importance | None:
    """How much each parameter matters; ``None`` of a single one, or if too few have trained."""
    levels = {name: _column(results, name) for name in results.swept}
    if len(levels) < 2:
        return None
    logs = [name for name, values in levels.items() if is_log(results, name, values)]
    return importances(levels, results.standings.comparison.means, log=logs)


def curves(results: Results, shown: Sequence[Configuration], metric: str) -> list[dict[str, Any]]:
    """The mean of a metric over the seeds by epoch, with one standard deviation either way.

    The best comes last, and so is drawn over the others.
    """
    found = []
    for index, configuration in reversed(list(enumerate(shown))):
        values = _by_epoch(results, configuration, metric)
        for epoch in _thinned(sorted(values)):
            here = values[epoch]
            mean, sd = float(np.mean(here)), float(np.std(here, ddof=1)) if len(here) > 1 else 0.0
            point = {"c": index, "e": epoch, "m": _short(mean), "n": len(here)}
            found.append({**point, "lo": _short(mean - sd), "hi": _short(mean + sd)})
    return found


def chosen(results: Results) -> list[Configuration]:
    """The configurations whose curves are drawn: the best, and what has reported but not ended."""
    begun = [c for c in results.standings.ranked if any(row.epochs for row in c.trials)]
    return begun[:MOST_CURVES]


def captions(results: Results, shown: Sequence[Configuration]) -> list[str]:
    return [label(results, configuration) for configuration in shown]


def parallel(results: Results) -> tuple[list[dict[str, Any]], list[str]]:
    """Each configuration as a line over the parameters and the metric; the axes in order.

    A place on an axis lies in 0 … 1, by rank where values are not numbers.
    """
    names = results.swept
    ranked = [c for c in results.standings.ranked if c.mean is not None][:MOST_LINES]
    places = {name: _places(results, name, ranked) for name in names}
    means = np.array([each.mean for each in ranked], dtype=float)
    places[results.metric] = _spread_out(means) if len(means) else []
    lines = [
        {
            "c": index,
            "axis": name,
            "at": places[name][index],
            "value": number(each.mean or 0.0)
            if name == results.metric
            else cell(each.config, name),
            "mean": each.mean,
        }
        for index, each in enumerate(ranked)
        for name in [*names, results.metric]
    ]
    return lines, [*names, results.metric]


def is_log(results: Results, name: str, values: Sequence[Any]) -> bool:
    """Whether a parameter counts by its logarithm: drawn so, or listed over decades."""
    known = [value for value in values if value is not None]
    if not known or not _is_numeric(known) or min(known) <= 0:
        return False
    asked = results.asked(name)
    if isinstance(asked, Mapping) and any(
        "uniform" in kind or "normal" in kind for kind in map(str, asked)
    ):
        return any("log" in str(kind) for kind in asked)
    return len(set(known)) > 1 and max(known) / min(known) >= 10


def _is_drawn(results: Results, name: str, values: Sequence[Any]) -> bool:
    """Whether a parameter's values are numbers of a range rather than a few that were chosen."""
    if not _is_numeric(values):
        return False
    asked = results.asked(name)
    ranges = isinstance(asked, Mapping) and any("uniform" in str(kind) for kind in asked)
    return ranges or len(set(values)) > MOST_LEVELS


def _column(results: Results, name: str) -> list[Any]:
    return [configuration.values.get(name) for configuration in results.standings]


def _is_numeric(values: Sequence[Any]) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _by_epoch(results: Results, one: Configuration, metric: str) -> dict[int, list[float]]:
    values: dict[int, list[float]] = {}
    for row in one.trials:
        for epoch, report in enumerate(results.reports(row), start=1):
            value = report.metrics.get(metric, math.nan)
            if math.isfinite(value):
                values.setdefault(epoch, []).append(value)
    return values


def _thinned(epochs: Sequence[int]) -> list[int]:
    """At most :data:`MOST_EPOCHS`, with the first and the last."""
    if len(epochs) <= MOST_EPOCHS:
        return list(epochs)
    places = np.linspace(0, len(epochs) - 1, MOST_EPOCHS).round().astype(int)
    return [epochs[i] for i in places]


def _places(results: Results, name: str, shown: Sequence[Configuration]) -> list[float]:
    values = [each.values.get(name) for each in shown]
    if _is_numeric(values) and values:
        numbers = np.array(values, dtype=float)
        return _spread_out(np.log(numbers) if is_log(results, name, values) else numbers)
    order = list(dict.fromkeys(map(repr, _column(results, name))))
    return [order.index(repr(v)) / max(len(order) - 1, 1) for v in values]


def _spread_out(numbers: Array) -> list[float]:
    """From 0 for the lowest to 1 for the highest."""
    low, high = numbers.min(), numbers.max()
    return [float((v - low) / (high - low)) if high > low else 0.5 for v in numbers]


def _short(value: float) -> float:
    """Six digits are more than a screen shows, and keep a page small."""
    return float(f"{value:.6g}")

"""What to do next, as far as the records tell: each in a sentence, with how to do it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sweeps.answer.certainty import one_point, run_spread, seeds_advice, seeds_are_equal
from sweeps.answer.configurations import Configuration
from sweeps.answer.report.series import Findings, is_log
from sweeps.answer.results import Results
from sweeps.answer.statistics.power import MOST_SEEDS, seeds_needed
from sweeps.answer.summary import with_margin
from sweeps.definition.text import format_value
from sweeps.records.record import Status


def advice(results: Results, findings: Findings) -> list[str]:
    """The most pressing first; empty if nothing is left to do."""
    found = [_unfinished(results), _failed(results)]
    if results.standings.leader is not None:
        found += [_seeds(results), *_edges(results, findings), _longer(results), _flattery(results)]
    return [sentence for sentence in found if sentence]


def _unfinished(results: Results) -> str | None:
    left = results.count(Status.PENDING, Status.RUNNING, Status.INTERRUPTED)
    if not left:
        return None
    return f"Wait for {left} of {len(results)} trials, or run the sweep again if it was stopped."


def _failed(results: Results) -> str | None:
    failed = results.count(Status.FAILED)
    if not failed:
        return None
    what = "1 trial has failed" if failed == 1 else f"{failed} trials have failed"
    return f"{what}: the reasons are below; once they are gone, --retry failed runs them again."


def _seeds(results: Results) -> str | None:
    standings, point = results.standings, one_point(results)
    count = sum(each.n > 0 for each in standings)
    rivals = len(standings.rivals)
    if count < 2 or (standings.comparison.noise is not None and not rivals):
        return None
    spread = run_spread(results)
    if seeds_are_equal(results):
        return "All seeds gave equal values: does the function use config['seed']?"
    if not rivals or spread is None:
        return f"Noise can't be judged from one seed: {seeds_advice(results)}."
    why = _untold(rivals)
    needed = seeds_needed(point, spread, count)
    now = max(each.n for each in standings)
    if needed is None:
        return (
            f"{why}. A run varies by {with_margin(spread, None)}: a difference of {point:g} would"
            f" take more than {MOST_SEEDS} seeds; look for larger effects, or less noise."
        )
    if needed <= now:
        return (
            f"{why}: they differ by less than {point:g}, or are noisier than the rest. Take the"
            " cheapest of them."
        )
    return f"{why}: seeds={max(needed, 3)} would show a difference of {point:g}, if there is one."


def _untold(rivals: int) -> str:
    who = "1 configuration" if rivals == 1 else f"{rivals} configurations"
    return f"{who} can't be told apart from the best"


def _edges(results: Results, findings: Findings) -> list[str]:
    """Axes of numbers at whose end the best lies, and all that can't be told apart from it."""
    standings = results.standings
    assert standings.leader is not None  # the caller has looked  # noqa: S101
    good = [standings.leader, *standings.rivals]
    names = [effect.name for effect in findings.factors] + list(findings.drawn)
    return [text for name in names if (text := _edge(results, name, good))]


def _edge(results: Results, name: str, good: Sequence[Configuration]) -> str | None:
    values: list[Any] = [each.values.get(name) for each in results.standings if each.n]
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return None
    log = is_log(results, name, values)
    tried = sorted(set(values))
    if len(tried) < 2:
        return None
    at = [_share(each.values[name], tried, log=log) for each in good]
    low, high = max(at) <= 0.05, min(at) >= 0.95
    if not (low or high):
        return None
    planned = [each.values.get(name) for each in results.standings if not each.n]
    further = [v for v in planned if isinstance(v, int | float) and not isinstance(v, bool)]
    if any(value < tried[0] if low else value > tried[-1] for value in further):
        return None  # it is on its way, or has come to nothing
    beyond, end = _beyond(tried, low=low, log=log), "low" if low else "high"
    best = format_value(good[0].values[name])
    hint = f": try {format_value(beyond)} too" if beyond is not None else ""
    return f"{name}={best} lies at the {end} end of what was tried{hint}."


def _share(value: float, tried: Sequence[float], *, log: bool) -> float:
    change = math.log if log else float
    low, high = change(tried[0]), change(tried[-1])
    return (change(value) - low) / (high - low)


def _beyond(tried: Sequence[Any], *, low: bool, log: bool) -> Any:
    """One step further than an end of an axis, as far as its last step was."""
    end, inner = (tried[0], tried[1]) if low else (tried[-1], tried[-2])
    if log:
        factor = max(end / inner, inner / end)
        factor = factor if factor >= 2 else 3.0  # draws lie close to one another
        further = end / factor if low else end * factor
    else:
        step = max(abs(end - inner), (tried[-1] - tried[0]) / 10)
        further = end - step if low else end + step
    if tried[0] > 0 >= further:
        return None
    if all(isinstance(value, int) for value in tried):
        return round(further) if round(further) not in (0, end) else None
    return float(f"{further:.2g}")


def _longer(results: Results) -> str | None:
    """Whether the best configuration's curves still rise where they end."""
    leader = results.standings.leader
    assert leader is not None  # noqa: S101
    gains, length = [], 0
    for row in leader.counted:
        curve = [report.metrics.get(results.metric, math.nan) for report in results.reports(row)]
        length = max(length, len(curve))
        if len(curve) >= 3:
            steps = max(len(curve) // 5, 1)
            gains.append((curve[-1] - curve[-1 - steps]) / steps)
    gains = [gain if results.mode == "max" else -gain for gain in gains if math.isfinite(gain)]
    if not gains or np.mean(gains) <= 0:
        return None
    error = np.std(gains, ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else run_spread(results)
    if np.mean(gains) <= 2 * (error or 0.0):
        return None
    moves = "rises" if results.mode == "max" else "falls"
    longer = f"{results.budget}={2 * length}" if results.budget else f"{2 * length} epochs"
    gain = with_margin(float(np.mean(gains)), None)
    return (
        f"The best configuration's {results.metric} still {moves} by {gain} an epoch at the end:"
        f" train longer ({longer}); others may gain more by it."
    )


def _flattery(results: Results) -> str | None:
    if results.select.rule != "best":
        return None
    return "The best of many epochs is compared, which flatters: let a validation metric choose."

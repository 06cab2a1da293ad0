"""How sure an answer is, and how many seeds would make it surer."""

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sweeps.answer.results import Results, Row

FEW_SEEDS = 5
"""What is asked for where nothing tells how many would do."""


def sureness(results: "Results") -> str:
    """Whether others could be as good."""
    standings = results.standings
    others = sum(c.n > 0 for c in standings) - 1
    if others == 0:
        return ""
    if standings.comparison.noise is None:
        if seeds_are_equal(results):
            return ": all seeds gave equal values; does the function use config['seed']?"
        return f": noise can't be judged; {seeds_advice(results)}"
    rivals, unknown = len(standings.rivals), sum(c.n > 0 and c.apart is None for c in standings)
    if rivals + unknown == 0:
        return "; it can be told apart from all others"
    who = "1 other" if rivals + unknown == 1 else f"{rivals + unknown} others"
    return f"; {who} can't be told apart from it"


def seeds_are_equal(results: "Results") -> bool:
    """Whether no seed has changed anything."""
    found = results.standings
    known = [(c.sd, c.mean) for c in found if c.sd is not None and c.mean is not None]
    return bool(known) and all(sd <= 1e-9 * abs(mean) for sd, mean in known)


def one_point(results: "Results") -> float:
    """A difference that people would call one: 0.01 of a share, or a hundredth of the value."""
    values = results.standings.values
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.01
    if known.min() >= 0 and known.max() <= 1 and "loss" not in results.metric:
        return 0.01
    leader = results.standings.leader
    mean = abs(leader.mean) if leader and leader.mean else float(np.abs(known).mean())
    return float(f"{mean / 100:.1g}") if mean else 0.01


def seeds_advice(results: "Results") -> str:
    """``seeds=9 would show a difference of 0.01``, from the spread that is there."""
    from sweeps.answer.statistics.power import difference_shown, seeds_needed

    point = one_point(results)
    spread = run_spread(results)
    count = sum(c.n > 0 for c in results.standings)
    if spread is None or count < 2:
        return f"seeds={FEW_SEEDS} would tell how large it is"
    needed = seeds_needed(point, spread, count)
    if needed is None:
        seen = difference_shown(FEW_SEEDS, spread, count)
        return f"seeds={FEW_SEEDS} would show a difference of {seen:.1g}"
    return f"seeds={max(needed, 3)} would show a difference of {point:g}"


def run_spread(results: "Results") -> float | None:
    """The standard deviation of a run: from the seeds, else from how curves jump at their ends.

    The latter only tells the size: it is what an epoch more or less changes, with the trend taken
    off, by the second differences of the last half of each curve.
    """
    noise = results.standings.comparison.noise
    if noise is not None:
        return noise.sd
    jumps = [jump for row in results for jump in _jumps(results, row)]
    spread = float(np.sqrt(np.mean(np.square(jumps)) / 6)) if jumps else 0.0
    return spread or None


def _jumps(results: "Results", row: "Row") -> list[float]:
    curve = [report.metrics.get(results.metric, math.nan) for report in results.reports(row)]
    half = curve[-max(len(curve) // 2 + 1, 3) :]
    return [float(jump) for jump in np.diff(half, n=2) if math.isfinite(jump)]

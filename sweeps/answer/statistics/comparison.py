"""Which configurations can be told apart from the one in the lead.

The lead was chosen by looking at the values, so a comparison with it is one of all pairs: Tukey's
honestly significant difference, with Kramer's correction for configurations that have not the same
seeds (Tukey 1949; Kramer 1956). Under it, among configurations that do not differ at all, the
leader is called better than any other in at most one sweep of twenty.

Seeds are blocks: two configurations are compared seed by seed. The noise of a pair is that of the
whole sweep, or the pair's own where that is larger: noise is rarely the same everywhere, and a
quiet majority would make a noisy leader look sure.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sweeps.answer.statistics.noise import Array, Flags, Noise, estimate_noise

LEVEL = 0.05
"""In how many sweeps without any difference some configuration is called worse than the leader."""


@dataclass(frozen=True)
class Comparison:
    """Configurations beside their leader; all arrays are (configurations,), in the metric's units.

    Attributes:
        means, sds, runs: of the values of each; a standard deviation needs two, else it is NaN.
        leader: the one with the best mean, ``None`` if there are no values.
        noise: of a single run, ``None`` if it cannot be judged.
        differences: value less the leader's, seed by seed where both have a value.
        margins: half the width of the simultaneous 95 % intervals of the differences; NaN where
            there is none.
        apart: whether zero lies outside of the interval.
    """

    means: Array
    sds: Array
    runs: Array
    leader: int | None
    noise: Noise | None
    differences: Array
    margins: Array
    apart: Flags


def compare(values: Array, mode: str) -> Comparison:
    """Compare every configuration with the best.

    Args:
        values: (configurations, seeds), NaN where a trial has no value.
        mode: ``max`` or ``min``: which is better.
    """
    present = np.isfinite(values)
    runs = present.sum(axis=1)
    known = np.where(present, values, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = known.sum(axis=1) / runs
        squares = (np.where(present, values - means[:, None], 0.0) ** 2).sum(axis=1)
        sds = np.sqrt(squares / np.where(runs > 1, runs - 1, np.nan))
    unknown = np.full(len(values), np.nan)
    nothing = np.zeros(len(values), dtype=bool)
    if not present.any():
        return Comparison(means, sds, runs, None, None, unknown, unknown, nothing)
    leader = int(np.nanargmin(means) if mode == "min" else np.nanargmax(means))
    noise = estimate_noise(values)
    differences, shared, own = _pairs(values, leader)
    if noise is None:
        return Comparison(means, sds, runs, leader, None, differences, unknown, nothing)
    margins = _margins(noise, leader, shared, own, int((runs > 0).sum()))
    with np.errstate(invalid="ignore"):
        apart = np.abs(differences) > margins
    return Comparison(means, sds, runs, leader, noise, differences, margins, apart)


def _pairs(values: Array, leader: int) -> tuple[Array, NDArray[np.int64], Array]:
    """Each configuration and the leader over the seeds that both have.

    Returns:
        The mean differences, how many seeds these are, and the sd of one run by the differences.
    """
    pairs = values - values[leader]
    shared = np.isfinite(pairs).sum(axis=1)
    differences, own = np.full(len(values), np.nan), np.full(len(values), np.nan)
    differences[shared > 0] = np.nanmean(pairs[shared > 0], axis=1)
    own[shared > 1] = np.nanstd(pairs[shared > 1], axis=1, ddof=1) / np.sqrt(2)
    return differences, shared, own


def _margins(noise: Noise, leader: int, shared: NDArray[np.int64], own: Array, count: int) -> Array:
    """Half the widths of the intervals, for the noise that each pair is judged by."""
    margins = np.full(len(own), np.nan)
    for i in np.flatnonzero(shared):
        if noise.pooled[i] and noise.pooled[leader]:
            sd, degrees = np.fmax(own[i], noise.sd), noise.degrees
        else:  # one of them is far noisier than the rest, and is judged by itself
            sd, degrees = own[i], int(shared[i]) - 1
        if degrees > 0:
            margins[i] = sd * np.sqrt(2 / shared[i]) * critical_range(count, degrees)
    margins[leader] = 0.0
    return margins


@lru_cache(maxsize=1024)
def critical_range(count: int, degrees: int) -> float:
    """How many standard errors apart two of ``count`` means are by chance once in twenty times."""
    from statsmodels.stats.libqsturng import qsturng  # two seconds, with what it imports

    return float(qsturng(1 - LEVEL, max(count, 2), degrees)) / math.sqrt(2)

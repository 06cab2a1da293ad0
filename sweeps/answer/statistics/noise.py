"""How much one run differs from the next: configurations x seeds, with the seeds as blocks.

The model is ``value = configuration + seed + noise``, fitted by least squares; a value that is
missing (a trial that failed, or has not finished) is left out. The noise is pooled over the
configurations, but for those that are far noisier than the rest (they diverge now and then, say):
these would hide every difference between the others, so they answer for themselves.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

OUTLYING = 0.01
"""Of how many sweeps without any such configuration one is taken for far noisier than the rest."""

_EXACT = 1e-12
"""Relative to the values, what is only rounding."""


@dataclass(frozen=True)
class Noise:
    """What is left after configurations and seeds.

    Attributes:
        sd: standard deviation of one run, pooled.
        degrees: degrees of freedom that it was estimated with.
        pooled: (configurations,) those that it was estimated from.
        seeds: (seeds,) effect of each seed; zero on average.
    """

    sd: float
    degrees: int
    pooled: Flags
    seeds: Array


def estimate_noise(values: Array) -> Noise | None:
    """The noise in a table of values.

    Args:
        values: (configurations, seeds), NaN where there is none.

    Returns:
        ``None`` if no configuration has a second seed, or if there is nothing left to vary: seeds
        that change nothing at all are no sample of the noise.
    """
    pooled: Flags = np.isfinite(values).sum(axis=1) > 0
    fit = _fit(values, pooled)
    if fit.degrees < 1 or fit.is_rounding(values):
        return None
    while True:
        without = pooled & (np.arange(len(values)) != fit.noisiest)
        rest = _fit(values, without)
        if not _is_outlying(values, fit.noisiest, rest):
            return Noise(fit.sd, fit.degrees, pooled, fit.seeds)
        pooled, fit = without, rest


def pure_error(values: Array) -> tuple[float, int]:
    """The standard deviation of a run over all configurations alike, and its degrees of freedom.

    Without a second seed the degrees are 0.
    """
    fit = _fit(values, np.isfinite(values).sum(axis=1) > 0)
    return (fit.sd, fit.degrees) if fit.degrees > 0 else (float("nan"), 0)


@dataclass(frozen=True)
class _Fit:
    """Least squares for some configurations.

    Attributes:
        degrees: of freedom, of the residuals.
        seeds: the seeds' effects.
        squares, own: (configurations,) sum of squared residuals, and share of the degrees.
    """

    degrees: int
    seeds: Array
    squares: Array
    own: Array

    @property
    def sd(self) -> float:
        return float(np.sqrt(self.squares.sum() / self.degrees))

    @property
    def noisiest(self) -> int:
        return int(np.argmax(self.squares / np.maximum(self.own, 0.5)))

    def is_rounding(self, values: Array) -> bool:
        """Whether what is left is no more than the last bits of the values."""
        return bool(np.sqrt(self.squares.sum()) <= _EXACT * np.nanmax(np.abs(values)))


def _fit(values: Array, chosen: Flags) -> _Fit:
    present = np.isfinite(values) & chosen[:, None]
    known = np.where(present, values, 0.0)
    runs = present.sum(axis=1)
    weights = present / np.maximum(runs, 1)[:, None]
    between, vectors = np.linalg.eigh(np.diag(present.sum(axis=0)) - present.T @ weights)
    real = between > 1e-9 * max(present.sum(), 1)  # as many as seeds can be told from each other
    inverse = (vectors[:, real] / between[real]) @ vectors[:, real].T
    means = (weights * known).sum(axis=1)
    seeds = inverse @ (known.sum(axis=0) - present.T @ means)
    fitted = (means - weights @ seeds)[:, None] + seeds
    squares = (np.where(present, values - fitted, 0.0) ** 2).sum(axis=1)
    # the diagonal of the projection: what of each value the fit has taken up
    spread = weights @ inverse
    taken = weights + np.diag(inverse) - 2 * spread + (spread * weights).sum(axis=1)[:, None]
    own = (present * (1 - taken)).sum(axis=1)
    return _Fit(int(runs.sum() - (runs > 0).sum() - real.sum()), seeds, squares, own)


def _is_outlying(values: Array, chosen: int, rest: _Fit) -> bool:
    """Whether a configuration is far noisier than the rest: F test, Bonferroni's correction."""
    runs, count = int(np.isfinite(values[chosen]).sum()), int((rest.own > 0).sum()) + 1
    if runs < 2 or count < 3 or rest.degrees < 1 or rest.is_rounding(values):
        return False
    own = np.nanvar(values[chosen] - rest.seeds, ddof=1) / (1 + 1 / (count - 1))
    return bool(fdtrc(runs - 1, rest.degrees, own / rest.sd**2) * count < OUTLYING)

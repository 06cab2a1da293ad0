"""A curve through drawn values: how the metric goes with a parameter that was sampled.

A polynomial of low degree by least squares, in the logarithm where the parameter is drawn so; the
degree is the one with the best corrected Akaike criterion (Hurvich and Tsai 1989), so that a flat
cloud gets a flat line.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from sweeps.answer.statistics.comparison import LEVEL
from sweeps.answer.statistics.noise import Array

POINTS = 60
"""Of the curve that is drawn."""

HIGHEST_DEGREE = 4


@dataclass(frozen=True)
class Curve:
    """A fitted curve with its pointwise 95 % band; all (points,)."""

    x: Array
    mean: Array
    low: Array
    high: Array
    degree: int


def fit_curve(x: Array, y: Array, *, log: bool) -> Curve | None:
    """The trend of y over x; ``None`` with fewer than five points or a single x.

    Args:
        log: x is positive, and its logarithm counts.
    """
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) < 5 or x.min() == x.max():
        return None
    at = np.log(x) if log else x
    centre, half = (at.max() + at.min()) / 2, (at.max() - at.min()) / 2
    scaled = (at - centre) / half
    degrees = range(min(HIGHEST_DEGREE, len(x) - 4, len(np.unique(x)) - 1) + 1)
    degree = min(degrees, key=lambda d: _criterion(scaled, y, d))
    design = np.polynomial.chebyshev.chebvander(scaled, degree)
    solution = np.linalg.lstsq(design, y)[0]
    left = len(y) - degree - 1
    variance = float(((y - design @ solution) ** 2).sum()) / left
    grid = np.linspace(-1, 1, POINTS)
    there = np.polynomial.chebyshev.chebvander(grid, degree)
    inverse = np.linalg.inv(design.T @ design)
    error = np.sqrt(variance * np.einsum("ij,jk,ik->i", there, inverse, there))
    mean, wide = there @ solution, stdtrit(left, 1 - LEVEL / 2) * error
    places = centre + half * grid
    return Curve(np.exp(places) if log else places, mean, mean - wide, mean + wide, degree)


def _criterion(x: Array, y: Array, degree: int) -> float:
    design = np.polynomial.chebyshev.chebvander(x, degree)
    squares = float(((y - design @ np.linalg.lstsq(design, y)[0]) ** 2).sum())
    count, used = len(y), degree + 2
    least = np.finfo(float).tiny
    return float(
        count * np.log(max(squares / count, least))
        + 2 * used
        + 2 * used * (used + 1) / max(count - used - 1, 1e-9)
    )

"""How many seeds a difference needs to be seen."""

from bisect import bisect_left

import numpy as np
from scipy.special import ndtri

from sweeps.answer.statistics.comparison import critical_range

POWER = 0.8
"""How often a difference of the size in question is to be found."""

MOST_SEEDS = 200
"""More than this is no advice."""


def difference_shown(seeds: int, sd: float, count: int) -> float:
    """How large a difference from the leader so many seeds would find, four times of five."""
    critical = critical_range(count, (count - 1) * (seeds - 1))
    return float((critical + ndtri(POWER)) * sd * np.sqrt(2 / seeds))


def seeds_needed(difference: float, sd: float, count: int) -> int | None:
    """With how many seeds a difference from the leader would be found, four times of five.

    Args:
        difference: between two configurations' true means, in the metric's units.
        sd: of one run.
        count: how many configurations are compared.

    Returns:
        At least 2; ``None`` if :data:`MOST_SEEDS` are too few.
    """

    tried = range(2, MOST_SEEDS + 1)
    found = bisect_left(
        tried, True, key=lambda seeds: difference_shown(seeds, sd, count) <= difference
    )
    return tried[found] if found < len(tried) else None

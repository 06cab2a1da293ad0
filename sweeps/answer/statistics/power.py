"""How many seeds a difference needs to be seen."""

from bisect import bisect_left

import numpy as np
from scipy.special import ndtri

from sweeps.answer.statistics.comparison import critical_range

POWER = 0.8
"""How often a difference of the size in question is to be found."""

MOST_SEEDS = 200
"""More than this is no advice."""


def seeds_needed(difference: float, sd: float, count: int) -> int | None:
    """With how many seeds a difference from the leader would be found, four times of five.

    Args:
        difference: between two configurations' true means, in the metric's units.
        sd: of one run.
        count: how many configurations are compared.

    Returns:
        At least 2; ``None`` if :data:`MOST_SEEDS` are too few.
    """

    def is_enough(seeds: int) -> bool:
        critical = critical_range(count, (count - 1) * (seeds - 1))
        error = sd * np.sqrt(2 / seeds)
        return bool((critical + ndtri(POWER)) * error <= difference)

    tried = range(2, MOST_SEEDS + 1)
    found = bisect_left(tried, True, key=is_enough)
    return tried[found] if found < len(tried) else None

"""The leader is called better than another only where it is: proved on simulated sweeps."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from sweeps.answer.statistics.comparison import LEVEL, compare, critical_range
from sweeps.answer.statistics.noise import estimate_noise
from sweeps.answer.statistics.power import seeds_needed

Array = NDArray[np.float64]
SWEEPS = 1000
HIGHEST = LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / SWEEPS)
"""Of the simulated sweeps, within three standard errors of the simulation."""


def false_calls(shape: tuple[int, int], draw: Callable[[np.random.Generator], Array]) -> float:
    """In how many sweeps, whose configurations do not differ, one is told apart from the leader.

    Every seed has an effect of its own, as large as the noise.
    """
    generator = np.random.default_rng(0)
    found = 0
    for _ in range(SWEEPS):
        values = draw(generator) + generator.normal(size=(1, shape[1]))
        found += bool(compare(values, "max").apart.any())
    return found / SWEEPS


@pytest.mark.parametrize("configurations", [2, 12])
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_without_an_effect_the_leader_is_called_better_in_one_sweep_of_twenty_at_most(
    configurations: int, seeds: int
) -> None:
    shape = (configurations, seeds)
    assert false_calls(shape, lambda generator: generator.normal(size=shape)) <= HIGHEST


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_same_holds_where_trials_are_missing(seeds: int) -> None:
    shape = (8, seeds)
    missing = np.random.default_rng(1).random(shape) < 0.3
    missing[:, 0] = False

    def draw(generator: np.random.Generator) -> Array:
        return np.where(missing, np.nan, generator.normal(size=shape))

    assert false_calls(shape, draw) <= HIGHEST


def test_the_same_holds_where_one_configuration_is_ten_times_as_noisy() -> None:
    shape, noise = (12, 5), np.array([10.0, *[1.0] * 11])
    assert false_calls(shape, lambda g: g.normal(size=shape) * noise[:, None]) <= HIGHEST


@pytest.mark.parametrize("mode", ["max", "min"])
def test_what_differs_by_far_is_told_apart_and_what_does_not_is_not(mode: str) -> None:
    generator = np.random.default_rng(2)
    sign = 1 if mode == "max" else -1
    levels = sign * np.array([0.70, 0.90, 0.899, 0.60])
    values = levels[:, None] + 0.01 * generator.normal(size=(4, 5))
    found = compare(values, mode)
    assert found.leader in (1, 2)
    assert list(found.apart[[0, 3]]) == [True, True]
    assert not found.apart[[1, 2]].any()
    assert found.differences[3] == pytest.approx(sign * -0.3, abs=0.02)
    assert found.noise is not None
    assert found.noise.sd == pytest.approx(0.01, rel=0.5)


def test_an_effect_of_the_seed_is_taken_off_as_pairs_do() -> None:
    generator = np.random.default_rng(3)
    seeds = generator.normal(size=(1, 4))  # a hundred times the noise
    values = np.array([[0.1], [0.0], [0.05]]) + seeds + 0.01 * generator.normal(size=(3, 4))
    found = compare(values, "max")
    assert found.leader == 0
    assert found.apart[1]
    assert found.sds[0] > 0.3


def test_one_that_diverges_now_and_then_hides_no_difference_between_the_others() -> None:
    generator = np.random.default_rng(4)
    values = np.array([[0.9], [0.8], [0.5], [0.7]]) + 0.01 * generator.normal(size=(4, 5))
    values[2] += [0.3, -0.4, 0.3, -0.4, 0.35]
    found = compare(values, "max")
    assert found.noise is not None
    assert list(found.noise.pooled) == [True, True, False, True]
    assert list(found.apart) == [False, True, False, True]


@pytest.mark.parametrize(
    "values",
    [
        np.array([[0.8], [0.9]]),  # one seed
        np.array([[0.8, np.nan], [np.nan, 0.9]]),  # no two in common
        np.array([[0.8, 0.8], [0.9, 0.9]]),  # seeds that change nothing are no noise
    ],
)
def test_noise_that_cannot_be_judged_is_not_judged(values: Array) -> None:
    found = compare(values, "max")
    assert found.leader == 1
    assert found.noise is None
    assert not found.apart.any()
    assert np.isnan(found.margins).all()


def test_a_sweep_without_a_value_has_no_leader() -> None:
    assert compare(np.full((3, 2), np.nan), "max").leader is None


def test_the_noise_is_that_of_an_analysis_of_variance_with_blocks() -> None:
    values = np.random.default_rng(5).normal(size=(4, 3))
    residuals = values - values.mean(1)[:, None] - values.mean(0) + values.mean()
    noise = estimate_noise(values)
    assert noise is not None
    assert noise.degrees == 6
    assert noise.sd == pytest.approx(np.sqrt((residuals**2).sum() / 6))


def test_the_critical_range_is_tukeys() -> None:
    exact = stats.studentized_range.isf(LEVEL, 12, 44) / np.sqrt(2)
    assert critical_range(12, 44) == pytest.approx(exact, rel=1e-3)


def test_smaller_differences_and_more_noise_need_more_seeds() -> None:
    some, more = seeds_needed(0.01, 0.005, 12), seeds_needed(0.005, 0.005, 12)
    assert some is not None
    assert more is not None
    assert 2 < some < more
    assert seeds_needed(0.01, 0.00001, 12) == 2
    assert seeds_needed(0.01, 1.0, 12) is None

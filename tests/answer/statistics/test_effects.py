"""What a parameter does is found whatever else spreads the values, and what it does not is not."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from sweeps.answer.statistics.curve import fit_curve
from sweeps.answer.statistics.effects import Effect, Factors
from sweeps.answer.statistics.importance import importances

GRID = list(product([0.1, 0.01], [32, 64, 128], [True, False]))
LEVELS = {name: [point[i] for point in GRID] for i, name in enumerate(("lr", "batch", "shuffle"))}


def grid_values(seeds: int, *, noise: float = 0.01, together: float = 0.0) -> NDArray[np.float64]:
    """lr is worth 0.02, batch 0.3, shuffle nothing; lr and batch may act together."""
    generator = np.random.default_rng(0)
    rows = [
        0.02 * (lr == 0.01)
        + 0.3 * (batch == 32)
        + together * ((lr == 0.01) == (batch == 32))
        + 0.05 * np.arange(seeds)
        + noise * generator.normal(size=seeds)
        for lr, batch, _ in GRID
    ]
    return np.array(rows)


def by_name(values: NDArray[np.float64], mode: str = "max") -> dict[str, Effect]:
    found = Factors(LEVELS, values, mode, crossed=True).effects()
    return {effect.name: effect for effect in found}


def test_an_effect_is_not_hidden_by_what_other_parameters_and_seeds_do() -> None:
    effects = by_name(grid_values(3))
    assert [name for name, effect in effects.items() if effect.is_clear] == ["batch", "lr"]
    lr = effects["lr"]
    assert lr.values == (0.01, 0.1)
    assert lr.difference == pytest.approx(0.02, abs=lr.margin)
    assert lr.pairs == 18
    assert lr.leads >= 15


def test_the_worse_direction_is_turned_round_with_the_mode() -> None:
    assert by_name(grid_values(3), "min")["lr"].values == (0.1, 0.01)
    assert by_name(grid_values(3), "min")["lr"].difference > 0


def test_with_one_seed_the_noise_is_what_the_parameters_leave() -> None:
    effects = by_name(grid_values(1))
    assert effects["batch"].is_clear
    assert not effects["shuffle"].is_clear


def test_an_effect_of_nothing_is_called_clear_in_one_sweep_of_twenty_at_most() -> None:
    generator, sweeps = np.random.default_rng(1), 400
    found = sum(by_name(generator.normal(size=(12, 3)))["batch"].is_clear for _ in range(sweeps))
    assert found / sweeps <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / sweeps)


def test_two_parameters_that_act_together_are_found_and_no_others() -> None:
    first, *others = Factors(
        LEVELS, grid_values(3, together=0.1), "max", crossed=True
    ).interactions()
    assert (first.first, first.second) == ("lr", "batch")
    assert first.chance < 0.001
    assert all(other.chance > 0.05 for other in others)
    assert first.means.shape == (2, 3)
    assert first.means[1, 0] == first.means.max()
    apart = Factors(LEVELS, grid_values(3), "max", crossed=True).interactions()
    assert all(each.chance > 0.01 for each in apart)


def test_missing_trials_are_done_without() -> None:
    values = grid_values(3)
    values[0] = np.nan
    values[5, 1] = np.nan
    assert by_name(values)["batch"].is_clear
    assert by_name(np.full((12, 3), np.nan)) == {}


def test_seeds_of_drawn_configurations_count_as_one_draw() -> None:
    generator = np.random.default_rng(2)
    levels = {"net": ["a", "b"] * 10}
    values = generator.normal(size=(20, 1)) + 0.001 * generator.normal(size=(20, 5))
    [effect] = Factors(levels, values, "max", crossed=False).effects()
    assert effect.margin > 0.3
    assert (effect.leads, effect.pairs) == (0, 0)


def test_a_curve_follows_what_draws_show_in_the_logarithm() -> None:
    generator = np.random.default_rng(3)
    x = 10 ** generator.uniform(-5, -1, 60)
    y = 0.9 - 0.1 * (np.log10(x) + 3) ** 2 + 0.02 * generator.normal(size=60)
    curve = fit_curve(x, y, log=True)
    assert curve is not None
    best = curve.x[np.argmax(curve.mean)]
    assert 10**-3.3 < best < 10**-2.7
    assert ((curve.low < curve.mean) & (curve.mean < curve.high)).all()


def test_a_cloud_without_a_trend_has_a_flat_line_and_a_few_points_have_none() -> None:
    generator = np.random.default_rng(4)
    x, y = generator.uniform(size=200), generator.normal(size=200)
    curve = fit_curve(x, y, log=False)
    assert curve is not None
    assert curve.degree <= 1
    assert fit_curve(x[:4], y[:4], log=False) is None
    assert fit_curve(np.ones(9), y[:9], log=False) is None


def test_importance_goes_to_what_matters_and_is_indicative_where_few_were_run() -> None:
    found = importances(LEVELS, grid_values(3).mean(axis=1))
    assert found is not None
    assert next(iter(found.shares)) == "batch"
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.is_indicative
    assert importances(LEVELS, np.ones(12)) is None
    odd = {"net": [None, [1, 2], "a", True] * 3, "lr": list(range(1, 13))}
    assert importances(odd, np.arange(12.0), log=["lr"]) is not None


def test_parameters_that_change_together_are_not_told_apart() -> None:
    """A pair of values that goes with each other would share what one of them does, by half."""
    levels = {"width": [8, 8, 16, 16], "norm": [False, False, True, True], "lr": [1, 2, 1, 2]}
    values = np.array([[0.1, 0.11], [0.3, 0.31], [0.2, 0.21], [0.4, 0.41]])
    factors = Factors(levels, values, "max", crossed=False)
    assert factors.inseparable == ["width", "norm"]
    [lr] = factors.effects()
    assert (lr.name, lr.difference) == ("lr", pytest.approx(0.2))


def test_a_parameter_that_some_do_not_have_is_judged_among_those_that_do() -> None:
    levels = {
        "optimizer": ["adam", "sgd", "sgd"] * 2,
        "momentum": [None, 0.8, 0.9] * 2,
        "lr": [1, 1, 1, 2, 2, 2],
    }
    values = np.array([0.6, 0.5, 0.5, 0.7, 0.6, 0.6])[:, None] + [0.0, 0.01, 0.002]
    factors = Factors(levels, values, "max", crossed=False)
    assert factors.inseparable == []
    effects = {effect.name: effect for effect in factors.effects()}
    assert effects["optimizer"].values == ("adam", "sgd")
    assert effects["optimizer"].difference == pytest.approx(0.1)
    assert effects["momentum"].values in ((0.8, 0.9), (0.9, 0.8))
    assert effects["momentum"].difference == pytest.approx(0, abs=1e-9)


def test_a_level_of_which_nothing_came_has_no_mean() -> None:
    levels = {"lr": [1.0, 0.01, 0.001], "one": [1, 1, 1]}
    values = np.array([[np.nan, np.nan], [0.9, 0.91], [0.85, 0.86]])
    [lr] = Factors(levels, values, "max", crossed=True).effects()
    assert (lr.values, lr.difference) == ((0.01, 0.001), pytest.approx(0.05))


def test_a_parameter_of_many_texts_is_weighed_as_quickly_as_one_of_few() -> None:
    """Each of them by itself would double the time; of twenty, it would not end."""
    points = list(product([f"net{n}" for n in range(20)], [0.1, 0.01]))
    levels = {"net": [net for net, _ in points], "lr": [lr for _, lr in points]}
    means = np.array([int(net[3:]) % 7 + (lr == 0.01) for net, lr in points], dtype=float)
    found = importances(levels, means)
    assert found is not None
    assert found.shares["net"] > 0.7

"""Pairs, exclusions, conditions, groups, listed configurations, and draws of every kind."""

import math
from collections import Counter
from typing import Any

import pytest

from sweeps.definition.draws import Draws
from sweeps.definition.parameters import parse_parameter
from sweeps.definition.space import cell, flat
from sweeps.definition.sweep_file import SweepFile, examine


def file(**keys: Any) -> SweepFile:
    base = {"name": "s", "train": "a:b", "metric": "loss", "mode": "min", "parameters": {}}
    found, problems = examine({**base, **keys})
    assert found and not problems
    return found


def configs(**keys: Any) -> list[dict[str, Any]]:
    found = [dict(trial.config) for trial in file(**keys).trials()]
    return [{k: v for k, v in config.items() if k != "seed"} for config in found]


def test_paired_parameters_change_together_at_the_place_of_the_first() -> None:
    parameters = {"lr": [1, 2], "opt": ["a", "b"], "wd": [10, 20]}
    assert configs(parameters=parameters, zip=["lr", "wd"]) == [
        {"lr": 1, "opt": "a", "wd": 10},
        {"lr": 1, "opt": "b", "wd": 10},
        {"lr": 2, "opt": "a", "wd": 20},
        {"lr": 2, "opt": "b", "wd": 20},
    ]
    assert configs(parameters=parameters, zip=[["lr", "wd"]]) == configs(
        parameters=parameters, zip=["lr", "wd"]
    )


def test_excluded_points_are_left_out() -> None:
    parameters = {"lr": [0.1, 0.01], "batch": [8, 16, 32]}
    exclude = [{"lr": 0.1, "batch": [16, 32]}, {"batch": {"min": 32}}]
    found = configs(parameters=parameters, exclude=exclude)
    assert [(c["lr"], c["batch"]) for c in found] == [(0.1, 8), (0.01, 8), (0.01, 16)]


def test_true_is_not_one_in_a_condition() -> None:
    found = configs(parameters={"a": [True, 1], "b": [1, 2]}, exclude=[{"a": 1}])
    assert found == [{"a": True, "b": 1}, {"a": True, "b": 2}]


def test_a_parameter_exists_only_where_another_has_a_value_and_is_blank_elsewhere() -> None:
    parameters = {"opt": ["adam", "sgd"], "momentum": [0.5, 0.9], "nesterov": [True, False]}
    when = {"momentum": {"opt": "sgd"}, "nesterov": {"momentum": {"min": 0.6}}}
    found = configs(parameters=parameters, when=when)
    assert found == [
        {"opt": "adam"},
        {"opt": "sgd", "momentum": 0.5},
        {"opt": "sgd", "momentum": 0.9, "nesterov": True},
        {"opt": "sgd", "momentum": 0.9, "nesterov": False},
    ]
    assert [cell(each, "momentum") for each in found] == ["", "0.5", "0.9", "0.9"]
    names = [t.name for t in file(parameters=parameters, when=when).trials()]
    assert names[0].startswith("opt=adam,") and "momentum" not in names[0]


def test_groups_are_nested_in_the_configuration_and_dotted_where_shown() -> None:
    parameters = {"model": {"width": [8, 16], "deep": {"act": "relu"}}, "lr": 0.1}
    trials = file(parameters=parameters).trials()
    assert trials[0].config == {
        "model": {"width": 8, "deep": {"act": "relu"}},
        "lr": 0.1,
        "seed": 0,
    }
    assert trials[1].name.startswith("model.width=16,")
    assert flat(trials[0].config)["model.deep.act"] == "relu"
    whole = {"model": {"opt": "a"}, "opt": ["a", "b"]}
    assert configs(parameters=whole, when={"model": {"opt": "a"}}) == [
        {"model": {"opt": "a"}, "opt": "a"},
        {"opt": "b"},
    ]


def test_listed_configurations_are_one_more_axis_over_the_fixed_values() -> None:
    found = configs(
        parameters={"lr": 0.1, "opt": ["a", "b"], "model": {"width": 1}},
        configurations=[{"lr": 0.5, "wd": 1}, {"model": {"width": 2, "depth": 3}}],
    )
    assert found == [
        {"lr": 0.5, "opt": "a", "model": {"width": 1}, "wd": 1},
        {"lr": 0.5, "opt": "b", "model": {"width": 1}, "wd": 1},
        {"lr": 0.1, "opt": "a", "model": {"width": 2, "depth": 3}},
        {"lr": 0.1, "opt": "b", "model": {"width": 2, "depth": 3}},
    ]


def test_draws_do_not_repeat_until_a_small_space_is_used_up() -> None:
    parameters = {"n": {"int_uniform": [1, 4]}, "c": {"choice": ["a", "b"], "weights": [999, 1]}}
    twenty = configs(parameters=parameters, samples=20)
    assert len(twenty) == 8
    assert configs(parameters=parameters, samples=5) == twenty[:5]
    left = configs(parameters=parameters, samples=20, exclude=[{"n": 1, "c": "b"}])
    assert len(left) == 7


def test_draws_go_on_where_only_a_part_of_the_space_is_small() -> None:
    parameters = {"opt": {"choice": ["adam", "sgd"]}, "momentum": {"uniform": [0, 1]}}
    found = configs(parameters=parameters, samples=12, when={"momentum": {"opt": "sgd"}})
    assert Counter(c["opt"] for c in found) == {"adam": 1, "sgd": 11}


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        ({"uniform": [0, 1], "step": 0.25}, [0, 0.25, 0.5, 0.75, 1]),
        ({"uniform": [0.1, 0.45], "step": 0.1}, [0.1, 0.2, 0.3, 0.4]),
        ({"int_uniform": [16, 64], "step": 16}, [16, 32, 48, 64]),
        ({"int_log_uniform": [1, 5]}, [1, 2, 3, 4, 5]),
        ({"log_uniform": [0.5, 2], "step": 0.5}, [0.5, 1, 1.5, 2]),
        ({"choice": ["a", "b"], "weights": [1, 2]}, ["a", "b"]),
    ],
)
@pytest.mark.parametrize("draws", ["independent", "sobol", "halton"])
def test_every_value_of_a_small_range_is_drawn_and_no_other(
    distribution: dict[str, Any], values: list[Any], draws: str
) -> None:
    found = configs(parameters={"x": distribution}, samples=50, draws=draws)
    assert sorted(c["x"] for c in found) == values


def test_weights_and_logarithms_decide_how_often_a_value_is_drawn() -> None:
    choice = parse_parameter({"choice": ["a", "b", "c"], "weights": [1, 2, 1]})
    parts = [n / 100 for n in range(100)]
    assert Counter(choice.at(p) for p in parts) == {"a": 25, "b": 50, "c": 25}  # type: ignore[union-attr]
    whole = parse_parameter({"int_log_uniform": [1, 1000]})
    below = sum(whole.at(p) <= math.sqrt(1000) for p in parts)  # type: ignore[union-attr]
    assert 48 <= below <= 56


@pytest.mark.parametrize("draws", ["sobol", "halton"])
def test_spread_points_are_even_and_the_first_ones_stay_with_more_samples(draws: Draws) -> None:
    parameters = {"x": {"uniform": [0, 1]}, "y": {"uniform": [0, 1]}}
    found = configs(parameters=parameters, samples=64, draws=draws)
    assert configs(parameters=parameters, samples=20, draws=draws) == found[:20]
    assert configs(parameters=parameters, samples=20, draws=draws, sample_seed=1) != found[:20]
    boxes = Counter((int(c["x"] * 4), int(c["y"] * 4)) for c in found)
    assert len(boxes) == 16 and max(boxes.values()) <= 6


def test_another_sample_seed_draws_another_set() -> None:
    parameters = {"x": {"uniform": [0, 1]}}
    first, second = (configs(parameters=parameters, samples=5, sample_seed=s) for s in (0, 1))
    assert not {c["x"] for c in first} & {c["x"] for c in second}

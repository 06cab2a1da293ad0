"""Samplers: Optuna's own suggestions, from the records alone."""

import math
from collections.abc import Callable
from typing import Any

import optuna
import pytest

from sweeps.definition.search import Search
from sweeps.definition.space import Space
from sweeps.definition.sweep_file import examine
from sweeps.planning.samplers import Sampled
from sweeps.planning.search import Told


def space_of(parameters: dict[str, Any], **keys: Any) -> Space:
    base = {"name": "s", "train": "a:b", "metric": "loss", "mode": "min", "search": "tpe"}
    file, problems = examine({**base, "parameters": parameters, **keys})
    assert file, problems
    return file.space


def sampled(space: Space, search: Search, before: Any = ()) -> Sampled:
    return Sampled(space, search, lambda flat: tuple(space.repeated(flat, "a:b")), before)


def run(proposer: Sampled, function: Callable[[dict[str, Any]], float]) -> list[dict[str, Any]]:
    """Ask and tell until there is no more."""
    found = []
    while groups := proposer.propose():
        for group in groups:
            found.append(dict(group[0].config))
            proposer.tell(group, Told("complete", function(found[-1]), 1))
    return found


def branin(x: float, y: float) -> float:
    """A function with a known minimum, 0.397887."""
    return (
        (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2
        + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x)
        + 10
    )


def mixed(config: dict[str, Any]) -> float:
    act = {"relu": 0.0, "tanh": 1.0, "gelu": 0.5}[config["act"]]
    return (math.log10(config["lr"]) + 2) ** 2 + abs(config["width"] - 40) / 40 + act


BRANIN = {"x": {"uniform": [-5, 10]}, "y": {"uniform": [0, 15]}}
MIXED = {
    "lr": {"log_uniform": [1e-5, 1.0]},
    "width": {"int_uniform": [8, 64], "step": 8},
    "act": {"choice": ["relu", "tanh", "gelu"]},
}


def direct(name: str, trials: int, seed: int) -> tuple[list[Any], list[Any]]:
    """What Optuna suggests by itself, for both functions."""
    samplers = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, constant_liar=False),
        "gp": lambda: optuna.samplers.GPSampler(seed=seed),
        "cmaes": lambda: optuna.samplers.CmaEsSampler(
            seed=seed,
            independent_sampler=optuna.samplers.TPESampler(seed=seed),
            warn_independent_sampling=False,
        ),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
    }

    def on_branin(trial: optuna.Trial) -> float:
        return branin(trial.suggest_float("x", -5, 10), trial.suggest_float("y", 0, 15))

    def on_mixed(trial: optuna.Trial) -> float:
        lr = trial.suggest_float("lr", 1e-5, 1.0, log=True)
        width = trial.suggest_int("width", 8, 64, step=8)
        act = trial.suggest_categorical("act", ["relu", "tanh", "gelu"])
        return mixed({"lr": lr, "width": width, "act": act})

    found = []
    for objective in (on_branin, on_mixed):
        study = optuna.create_study(sampler=samplers[name]())
        study.optimize(objective, n_trials=trials)
        found.append([t.params for t in study.trials])
    return found[0], found[1]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(
    ("name", "trials"), [("tpe", 40), ("cmaes", 30), ("random", 20), ("gp", 11)]
)
def test_where_the_batch_is_one_ours_equals_optuna_trial_for_trial(name: Any, trials: int) -> None:
    search = Search(sampler=name, trials=trials, at_once=1, seed=3)
    on_branin, on_mixed = direct(name, trials, 3)
    ours = run(sampled(space_of(BRANIN), search), lambda c: branin(c["x"], c["y"]))
    assert [{k: c[k] for k in "xy"} for c in ours] == on_branin
    ours = run(sampled(space_of(MIXED), search), mixed)
    distinct = [p for n, p in enumerate(on_mixed) if p not in on_mixed[:n]]
    assert [{k: c[k] for k in MIXED} for c in ours][: len(distinct)] == distinct


def test_tpe_finds_the_minimum_of_a_known_function_sooner_than_chance() -> None:
    best = {}
    for name in ("tpe", "random"):
        values = []
        for seed in range(4):
            search = Search(sampler=name, trials=48, at_once=8, seed=seed)
            ours = run(sampled(space_of(BRANIN), search), lambda c: branin(c["x"], c["y"]))
            values.append(min(branin(c["x"], c["y"]) for c in ours) - 0.397887)
        best[name] = sum(values) / len(values)
    assert best["tpe"] < 0.7 * best["random"]


def test_a_small_space_is_used_up_without_a_repeat_and_then_ends() -> None:
    parameters = {"a": [1, 2, 3], "b": {"choice": ["x", "y"]}, "c": [True, 1]}
    space = space_of(parameters, exclude=[{"a": 1, "b": "x"}])
    ours = run(sampled(space, Search(sampler="tpe", trials=50, at_once=4)), lambda c: c["a"])
    assert len({repr(c) for c in ours}) == len(ours) == 10


def test_pairs_conditions_and_groups_are_suggested_as_they_are_written() -> None:
    parameters = {
        "momentum": {"uniform": [0.1, 0.9]},
        "opt": {"name": ["adam", "sgd"]},
        "lr": [1, 2],
        "wd": [3, 4],
    }
    space = space_of(parameters, zip=["lr", "wd"], when={"momentum": {"opt.name": "sgd"}})
    ours = run(sampled(space, Search(sampler="tpe", trials=30)), lambda c: c["lr"])
    assert all(c["wd"] - c["lr"] == 2 for c in ours)
    assert all(("momentum" in c) == (c["opt"]["name"] == "sgd") for c in ours)
    assert any("momentum" in c for c in ours)


def test_results_of_before_are_told_first_if_they_lie_within_the_space() -> None:
    space = space_of(BRANIN)
    points = [(x / 2, y / 2) for x in range(-10, 21, 3) for y in range(0, 31, 4)]
    grid = [({"x": x, "y": y}, branin(x, y)) for x, y in points]
    far = [({"x": -100.0, "y": 0.0}, -50.0), ({"x": 1.0}, -50.0)]
    search = Search(sampler="tpe", trials=8, at_once=1)

    def mean(before: Any) -> float:
        ours = run(sampled(space, search, before), lambda c: branin(c["x"], c["y"]))
        return sum(branin(c["x"], c["y"]) for c in ours) / len(ours)

    assert mean(grid) < mean([]) / 2
    assert mean(grid + far) == mean(grid)


def test_what_diverged_counts_as_worse_than_all_and_what_failed_counts_for_nothing() -> None:
    space = space_of({"x": {"uniform": [0, 1]}})

    def late(told: Told) -> float:
        """How many of the later suggestions lie where half of the space comes to nothing."""
        bad = 0
        for seed in range(3):
            proposer = sampled(space, Search(sampler="tpe", trials=40, at_once=1, seed=seed))
            for number in range(40):
                [group] = proposer.propose()
                x = group[0].config["x"]
                bad += number >= 20 and x < 0.5
                proposer.tell(group, told if x < 0.5 else Told("complete", abs(x - 0.55), 1))
        return bad

    assert late(Told("diverged", None, 1)) < late(Told("failed", None, 1))

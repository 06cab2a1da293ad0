"""The search space: which trials a file stands for, and what makes them the same."""

import random
from pathlib import Path

import pytest

from sweeps.definition.parameters import parse_parameter
from sweeps.definition.space import Space, Trial
from sweeps.records.folders import id_of


def trials(parameters: dict[str, object], samples: int = 1, seeds: int = 1) -> list[Trial]:
    parsed = {name: parse_parameter(value) for name, value in parameters.items()}
    return Space(parsed, samples=samples, seeds=seeds).trials("module:function")


def test_a_grid_is_the_product_of_its_axes_the_last_changing_fastest() -> None:
    found = trials({"a": [1, 2], "fixed": "x", "b": [True, False]})
    assert [(t.config["a"], t.config["b"]) for t in found] == [
        (1, True),
        (1, False),
        (2, True),
        (2, False),
    ]
    assert all(t.config["fixed"] == "x" and t.seed == 0 for t in found)


def test_a_trials_name_carries_its_swept_values_and_its_id() -> None:
    [first, _] = trials({"lr": [0.01, 1e-5], "shuffle": True, "batch_size": 32})
    assert first.name == f"lr=0.01,{first.id}"
    assert trials({"lr": 0.1})[0].name == trials({"lr": 0.1})[0].id


def test_no_name_or_value_can_lead_out_of_the_directory_or_be_too_long_for_it(
    tmp_path: Path,
) -> None:
    generator = random.Random(0)  # noqa: S311
    awkward = "/\\.\0\n\t ,=~$*:|<>&;'\"-a1\u00e9\u4e2d\u202e\U0001f600\u0301"
    for number in range(300):
        texts = [
            "".join(generator.choices(awkward, k=generator.choice((1, 2, 9, 400)))) for _ in "12"
        ]
        texts += generator.choices(["..", "../../etc", "/abs", "/../" * 99, ".", "", "\0"])
        found = trials({f"{texts[0]}{number}": [*set(texts)], texts[1]: [number, "/"]})
        for trial in found:
            folder = tmp_path / trial.name
            folder.mkdir()
            assert folder.resolve().parent == tmp_path.resolve()
            assert id_of(trial.name) == trial.id


def test_identity_depends_on_function_configuration_and_seed_and_nothing_else() -> None:
    [one] = trials({"a": 1, "b": 2})
    assert [t.id for t in trials({"b": 2, "a": 1})] == [one.id]
    assert [t.id for t in trials({"a": 1.0, "b": 2})] == [one.id]
    assert one.id in {t.id for t in trials({"a": [0, 1], "b": [2, 3]}, seeds=3)}
    assert trials({"a": 1, "b": 3})[0].id != one.id
    [other], [same] = Space({}).trials("module:other"), Space({}).trials("module:function")
    assert other.id != same.id


def test_true_and_one_are_different_values() -> None:
    assert trials({"a": True})[0].id != trials({"a": 1})[0].id


def test_every_configuration_runs_once_per_seed() -> None:
    found = trials({"a": [1, 2]}, seeds=3)
    assert [(t.config["a"], t.seed) for t in found] == [(a, s) for a in (1, 2) for s in range(3)]
    assert len({t.id for t in found}) == 6


def test_a_swept_seed_is_kept() -> None:
    assert [t.seed for t in trials({"seed": [7, 8]})] == [7, 8]


def test_draws_are_the_same_each_time_and_survive_more_samples_and_other_axes() -> None:
    space = {"wd": {"log_uniform": [1e-6, 1e-2]}}
    three = [t.config["wd"] for t in trials(space, samples=3)]
    assert three == [t.config["wd"] for t in trials(space, samples=5)][:3]
    assert len(set(three)) == 3
    assert {t.config["wd"] for t in trials({**space, "a": [1, 2]}, samples=3)} == set(three)


@pytest.mark.parametrize(
    ("distribution", "low", "high"),
    [
        ({"uniform": [-1, 1]}, -1, 1),
        ({"log_uniform": [1e-6, 1e-2]}, 1e-6, 1e-2),
    ],
)
def test_draws_lie_within_their_bounds(
    distribution: dict[str, list[float]], low: float, high: float
) -> None:
    drawn = [t.config["x"] for t in trials({"x": distribution}, samples=200)]
    assert all(low <= value <= high for value in drawn)
    middle = (low * high) ** 0.5 if "log_uniform" in distribution else (low + high) / 2
    below = sum(value < middle for value in drawn)
    assert 40 < below < 160


def test_whole_numbers_are_drawn_from_both_ends_included() -> None:
    drawn = trials({"x": {"int_uniform": [1, 3]}}, samples=50)
    assert sorted(t.config["x"] for t in drawn) == [1, 2, 3]


def test_equal_configurations_run_once() -> None:
    drawn = trials({"x": {"choice": ["a", "b"]}}, samples=50)
    assert sorted(t.config["x"] for t in drawn) == ["a", "b"]


def test_the_identities_of_todays_grids_and_draws_never_change() -> None:
    """A directory of an earlier version is continued only as long as these stay."""
    grid = {"lr": [0.01, 0.001], "batch_size": [32, 64, 128], "shuffle": [True, False]}
    found = trials({**grid, "epochs": 5, "dataset": "digits"})
    assert " ".join(t.id for t in found) == (
        "zl7qb4ik y4t2ccig gbwrwd3p 5rlblzyk bw44swqo q4l67crq"
        " aavdlali rplu6ymq 42r7gsbx clddovwh a47qcjq4 zhoraujb"
    )
    assert found[0].name == "lr=0.01,batch_size=32,shuffle=true,zl7qb4ik"
    drawn = {
        "lr": {"log_uniform": [1e-4, 1e-1]},
        "width": {"int_uniform": [8, 64]},
        "act": {"choice": ["relu", "gelu", "tanh"]},
        "x": {"uniform": [-1, 1]},
        "opt": ["adam", "sgd"],
    }
    assert " ".join(t.id for t in trials(drawn, samples=3, seeds=2)) == (
        "nhdq7mqu 57czw6uv ajm7zhel fwnovl3c bjh6dxu6 jhigpoae"
        " 4lbjdiwj wd63w4jk zit5b6a7 o6gamm2d v6ateu4r keufmrdd"
    )
    small = {"n": {"int_uniform": [1, 3]}, "c": {"choice": ["a", "b"]}}
    before = ["zsbxpbvc", "ydviz7i2", "2cr2ktnc", "wi2yugzm"]
    assert {t.id for t in trials(small, samples=6)} >= set(before)
    assert [t.id for t in trials({"model.width": [1, 2], "seed": [3, 4]})] == (
        ["nw2qomwc", "mf2r2uup", "kxnidhnv", "wb5lcxn6"]
    )

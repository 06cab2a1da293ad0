"""Another tool's sweep file in the form meant here."""

from typing import Any

import pytest

from sweeps.definition import yaml12
from sweeps.definition.sweep_file import examine
from sweeps.definition.wandb import Converted

FILE = """
program: src/train.py
method: bayes
metric: {name: val/loss, goal: minimize}
run_cap: 30
parameters:
  lr: {distribution: log_uniform_values, min: 1e-5, max: 1e-1}
  dropout: {min: 0.0, max: 0.5}
  width: {distribution: q_uniform, min: 16, max: 64, q: 16}
  layers: {min: 1, max: 4}
  batch_size: {values: [32, 64]}
  epochs: {value: 27}
  optimizer:
    parameters:
      name: {values: [adam, sgd]}
      wd: {distribution: normal, mu: 0, sigma: 1}
early_terminate: {type: hyperband, min_iter: 3}
"""


def test_a_wandb_file_becomes_a_valid_sweep_file_with_what_it_asks_for() -> None:
    found = Converted(yaml12.load(FILE), "mine")
    definition = yaml12.load(found.text)
    file, problems = examine(definition)
    assert file and not problems
    assert definition["parameters"] == {
        "lr": {"log_uniform": [1e-5, 0.1]},
        "dropout": {"uniform": [0.0, 0.5]},
        "width": {"int_uniform": [16, 64], "step": 16},
        "layers": {"int_uniform": [1, 4]},
        "batch_size": [32, 64],
        "epochs": 27,
        "optimizer": {"name": ["adam", "sgd"]},
    }
    assert definition["train"] == "train:train" and definition["mode"] == "min"
    assert definition["search"] == {
        "sampler": "tpe",
        "trials": 30,
        "halving": {"factor": 3, "first": 3},
    }
    assert any("parameters.optimizer.wd: left out: normal" in note for note in found.notes)


@pytest.mark.parametrize(
    ("method", "key"), [("grid", "stop_after"), ("random", "samples"), ("bayes", "search")]
)
def test_each_method_has_its_form(method: str, key: str) -> None:
    data: dict[str, Any] = {
        "method": method,
        "run_cap": 9,
        "metric": {"name": "acc", "goal": "maximize"},
        "parameters": {"lr": {"values": [1, 2]}, "wd": {"min": 0.1, "max": 0.2}},
    }
    found = Converted(data, "mine")
    file, problems = examine(yaml12.load(found.text))
    assert file and not problems and key in found.definition
    assert (method == "random") == (found.definition["parameters"]["lr"] == {"choice": [1, 2]})


@pytest.mark.parametrize(
    ("method", "given", "ours"),
    [
        ("grid", {"value": [64, 64]}, [[64, 64]]),
        ("random", {"value": {"h": [1, 2], "w": 3}}, [{"h": [1, 2], "w": 3}]),
        (
            "random",
            {"parameters": {"name": {"values": ["a", "b"]}}},
            {"name": {"choice": ["a", "b"]}},
        ),
        ("bayes", {"values": ["a", "b"], "probabilities": [0.7, 0.3]}, ["a", "b"]),
        ("random", {"distribution": "q_uniform", "min": 1, "max": 10}, {"int_uniform": [1, 10]}),
        ("grid", {"distribution": "inv_log_uniform_values", "min": 1, "max": 10}, None),
    ],
)
def test_a_parameter_means_what_it_meant_and_the_file_can_be_planned(
    method: str, given: dict[str, Any], ours: Any
) -> None:
    parameters = {"x": given, "lr": {"min": 0.1, "max": 0.2}}
    found = Converted({"method": method, "parameters": parameters}, "mine")
    assert found.definition["parameters"].get("x") == ours
    assert (ours is None) == any("parameters.x: left out" in note for note in found.notes)
    file, problems = examine(yaml12.load(found.text))
    assert file and not problems, problems

"""What a training run may be told, and that asking costs nothing."""

import json
import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from trainer import METRICS, TrainConfig, check, prepare


def test_importing_the_package_and_checking_a_config_imports_neither_torch_nor_ray() -> None:
    code = (
        "import json, sys, trainer\n"
        "trainer.check({'lr': 0.1, 'dataset': 'digits'})\n"
        "trainer.prepare([{'dataset': 'digits'}])\n"
        "heavy = {'torch', 'torchvision', 'ray', 'tensorboard', 'sklearn', 'sweeps'}\n"
        "print(json.dumps(sorted(heavy & set(sys.modules))))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(shown.stdout) == []


def test_an_empty_config_is_valid_and_takes_every_default() -> None:
    check({})
    assert TrainConfig.model_validate({}) == TrainConfig()
    assert all(field.description for field in TrainConfig.model_fields.values())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lr", 0.0),
        ("lr", -0.1),
        ("lr", float("nan")),
        ("lr", float("inf")),
        ("lr", "0.1"),
        ("lr", True),
        ("batch_size", 0),
        ("batch_size", 64.0),
        ("batch_size", True),
        ("shuffle", 1),
        ("shuffle", "yes"),
        ("epochs", 0),
        ("epochs", 1.5),
        ("optimizer", "rmsprop"),
        ("optimizer", "Adam"),
        ("weight_decay", -1e-9),
        ("weight_decay", float("nan")),
        ("momentum", 1.0),
        ("momentum", -0.1),
        ("seed", -1),
        ("seed", 2**31),
        ("seed", None),
        ("dataset", "mnist"),
        ("data_dir", 1),
        ("learning_rate", 0.1),
    ],
)
def test_a_value_that_is_out_of_range_or_of_another_type_is_refused_by_name(
    key: str, value: Any
) -> None:
    with pytest.raises(ValidationError) as raised:
        check({key: value})
    assert [problem["loc"] for problem in raised.value.errors()] == [(key,)]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lr", 1),
        ("lr", 1e-12),
        ("weight_decay", 0),
        ("momentum", 0.0),
        ("seed", 2**31 - 1),
        ("batch_size", 1),
        ("data_dir", None),
    ],
)
def test_a_value_at_the_edge_of_its_range_is_accepted(key: str, value: Any) -> None:
    check({key: value})


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ValidationError) as raised:
        check({"lr": -1.0, "epochs": 0, "bogus": 1})
    wrong = {problem["loc"][0] for problem in raised.value.errors()}
    assert wrong == {"lr", "epochs", "bogus"}


def test_prepare_refuses_an_invalid_config_as_check_does() -> None:
    with pytest.raises(ValidationError, match="bogus"):
        prepare([{"dataset": "digits"}, {"dataset": "digits", "bogus": 1}])


def test_a_validated_config_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TrainConfig().lr = 0.5


def test_the_names_of_the_metrics_are_public_and_stay() -> None:
    assert METRICS == (
        "loss/train",
        "loss/test",
        "accuracy/train",
        "accuracy/test",
        "correct/train",
        "correct/test",
        "images_per_second",
    )

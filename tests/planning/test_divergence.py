"""When a loss that is no number ends a trial, and when it only was not measured."""

import math
from typing import Any

import pytest

from sweeps.planning.divergence import divergence, ended_diverged, is_training_loss

NAN, INF = math.nan, math.inf


def reports(name: str, *values: Any) -> list[dict[str, float]]:
    return [{} if value is None else {name: value} for value in values]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ((1.0, NAN, NAN), None),
        ((NAN, NAN, NAN), "diverged: loss is nan from epoch 1 to 3"),
        ((1.0, NAN, INF, NAN), "diverged: loss is nan from epoch 2 to 4"),
        ((NAN, NAN, 1.0), None),
        ((NAN, NAN, None, NAN), "diverged: loss is nan from epoch 1 to 4"),
        ((), None),
    ],
)
def test_the_metric_must_stay_not_finite_for_as_long_as_the_file_says(
    values: tuple[Any, ...], says: str | None
) -> None:
    assert divergence("loss", reports("loss", *values), 3) == says


def test_one_report_is_enough_if_the_file_says_so_and_none_if_it_says_never() -> None:
    found = reports("loss", 1.0, NAN)
    assert divergence("loss", found, 1) == "diverged: loss is nan at epoch 2"
    assert divergence("loss", found * 9, None) is None
    assert ended_diverged(found, None) is None


@pytest.mark.parametrize("name", ["val_loss", "best_loss", "loss/test", "gradient", "lossless"])
def test_other_metrics_may_be_anything(name: str) -> None:
    assert divergence("accuracy", reports(name, *[NAN] * 9), 3) is None
    assert ended_diverged(reports(name, NAN), 3) is None


@pytest.mark.parametrize("name", ["loss", "train_loss", "loss/train", "train/total_loss", "Loss"])
def test_a_training_loss_that_is_lost_at_the_end_ends_a_trial_badly(name: str) -> None:
    assert is_training_loss(name)
    assert ended_diverged(reports(name, 1.0, NAN), 3) == f"diverged: {name} is nan at epoch 2"
    assert ended_diverged(reports(name, NAN, 1.0), 3) is None

"""Training: to the same bits, with numbers that are right."""

import copy
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from tests.trainer.conftest import Recorder
from trainer import METRICS, TrainConfig, print_metrics, train
from trainer.images import load_dataset
from trainer.loop import evaluate, train_epoch
from trainer.state import SHUFFLE_STREAM, TrainState, build_model

CPU = torch.device("cpu")
DIGITS = load_dataset("digits", None)


def fresh(**values: Any) -> TrainState:
    return TrainState.fresh(train.setup({"dataset": "digits", **values}), CPU)


def trained(epochs: int = 2, **values: Any) -> tuple[TrainState, list[dict[str, float]]]:
    """The state and the metrics after some epochs of the loop's own functions."""
    state = fresh(**values)
    metrics = []
    for _ in range(epochs):
        numbers = train_epoch(state, DIGITS.train)
        del numbers["images_per_second"]  # never twice the same
        metrics.append(numbers | evaluate(state, DIGITS.test, "test"))
    return state, metrics


def same(first: TrainState, second: TrainState) -> bool:
    pairs = zip(first.model.parameters(), second.model.parameters(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_the_same_config_trains_to_the_same_bits(optimizer: str) -> None:
    first, first_metrics = trained(optimizer=optimizer, seed=3)
    torch.rand(7)  # what else draws random numbers must not matter
    second, second_metrics = trained(optimizer=optimizer, seed=3)
    assert same(first, second)
    assert first_metrics == second_metrics


def test_another_seed_starts_from_other_weights() -> None:
    assert same(fresh(seed=1), fresh(seed=1))
    assert not same(fresh(seed=0), fresh(seed=1))
    assert not same(fresh(seed=0), fresh(seed=2**31 - 1))


def test_shuffling_changes_the_result_and_not_the_weights_to_start_from() -> None:
    assert same(fresh(shuffle=True), fresh(shuffle=False))
    assert not same(trained(shuffle=True, epochs=1)[0], trained(shuffle=False, epochs=1)[0])


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_the_order_of_batches_is_drawn_from_another_stream_than_the_weights(seed: int) -> None:
    shuffling = fresh(seed=seed).shuffling
    of_weights = torch.Generator().manual_seed(seed)
    assert not torch.equal(
        torch.rand(100, generator=shuffling), torch.rand(100, generator=of_weights)
    )


def test_no_seed_of_a_batch_order_is_a_seed_of_weights() -> None:
    largest = TrainConfig(seed=SHUFFLE_STREAM - 1).seed
    with pytest.raises(ValidationError):
        TrainConfig(seed=SHUFFLE_STREAM)
    assert SHUFFLE_STREAM + largest < 2**32  # more bits than these the generator drops


def test_building_a_model_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    build_model(train.setup({"seed": 5}))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    first = build_model(train.setup({"seed": 5}))
    torch.manual_seed(2)
    again = build_model(train.setup({"seed": 5}))
    pairs = zip(first.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_every_optimizer_lowers_the_loss(optimizer: str) -> None:
    lr = 0.02 if optimizer == "sgd" else 0.003
    _, metrics = trained(optimizer=optimizer, lr=lr, batch_size=16, epochs=3)
    assert metrics[-1]["loss/train"] < metrics[0]["loss/train"] / 2
    assert metrics[-1]["accuracy/test"] > 0.7


@pytest.mark.parametrize(
    ("values", "changed"),
    [
        ({"optimizer": "sgd"}, {"momentum": 0.0}),
        ({"optimizer": "sgd"}, {"weight_decay": 0.1}),
        ({"optimizer": "adam"}, {"weight_decay": 0.1}),
        ({"optimizer": "adamw"}, {"weight_decay": 0.1}),
        ({"optimizer": "adam", "weight_decay": 0.1}, {"optimizer": "adamw"}),
        ({"optimizer": "adam"}, {"lr": 0.002}),
        ({"optimizer": "adam"}, {"batch_size": 32}),
    ],
)
def test_every_setting_changes_what_is_learned(
    values: dict[str, Any], changed: dict[str, Any]
) -> None:
    one, other = trained(epochs=1, **values)[0], trained(epochs=1, **values | changed)[0]
    assert not same(one, other)


def test_the_training_loss_is_the_mean_over_examples_and_not_over_batches() -> None:
    state = fresh(batch_size=64, shuffle=False)
    by_hand = copy.deepcopy(state)
    losses: list[torch.Tensor] = []
    correct = 0
    by_hand.optimizer = torch.optim.Adam(by_hand.model.parameters(), lr=0.001, fused=True)
    for images, labels in DIGITS.train.batches(64):
        logits = by_hand.model(images)
        each = F.cross_entropy(logits, labels, reduction="none")
        by_hand.optimizer.zero_grad()
        each.mean().backward()
        by_hand.optimizer.step()
        losses.append(each.detach().double())
        correct += sum(
            int(row.argmax()) == int(label) for row, label in zip(logits, labels, strict=True)
        )
    metrics = train_epoch(state, DIGITS.train)
    assert metrics["loss/train"] == pytest.approx(torch.cat(losses).mean().item(), rel=1e-5)
    # the short last batch weighs less: the mean of the batches' means is another number
    of_batches = torch.stack([batch.mean() for batch in losses]).mean().item()
    assert metrics["loss/train"] != pytest.approx(of_batches, rel=1e-5)
    assert metrics["correct/train"] == correct
    assert metrics["accuracy/train"] == correct / 1500


def test_the_test_metrics_are_those_of_all_test_images_at_once_in_evaluation_mode() -> None:
    state = fresh()
    train_epoch(state, DIGITS.train)
    metrics = evaluate(state, DIGITS.test, "test")
    assert not state.model.training
    with torch.no_grad():
        logits = state.model(DIGITS.test.inputs.float() / 255)
    loss = F.cross_entropy(logits, DIGITS.test.targets).item()
    assert metrics["loss/test"] == pytest.approx(loss, rel=1e-5)
    assert metrics["correct/test"] == int((logits.argmax(1) == DIGITS.test.targets).sum())
    # 1,500 images go through in two batches of different size: the same holds there
    larger = evaluate(state, DIGITS.train, "test")
    with torch.no_grad():
        logits = state.model(DIGITS.train.inputs.float() / 255)
    loss = F.cross_entropy(logits, DIGITS.train.targets).item()
    assert larger["loss/test"] == pytest.approx(loss, rel=1e-5)
    train_epoch(state, DIGITS.train)
    assert state.model.training


def test_every_epoch_reports_every_metric_under_its_public_name() -> None:
    report = Recorder()
    train({"dataset": "digits", "epochs": 2}, report=report)
    assert len(report.metrics) == 2
    for metrics in report.metrics:
        assert set(metrics) == set(METRICS)
        assert all(type(value) in (int, float) for value in metrics.values())
        for split, count in [("train", 1500), ("test", 297)]:
            assert type(metrics[f"correct/{split}"]) is int
            assert metrics[f"accuracy/{split}"] == metrics[f"correct/{split}"] / count
        assert metrics["images_per_second"] > 0


def test_the_run_reports_what_the_loops_functions_measure() -> None:
    report = Recorder()
    train({"dataset": "digits", "epochs": 2, "seed": 4, "batch_size": 50}, report=report)
    _, metrics = trained(seed=4, batch_size=50)
    assert report.learned == metrics


def test_an_invalid_config_ends_the_run_before_it_begins() -> None:
    report = Recorder()
    with pytest.raises(ValidationError, match="epochs"):
        train({"dataset": "digits", "epochs": 0}, report=report)
    assert report.metrics == []


def test_the_default_report_prints_a_line_of_what_matters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_metrics(dict.fromkeys(METRICS, 0.25) | {"images_per_second": 12_345.6})
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1
    assert "loss 0.2500 train, 0.2500 test" in shown
    assert "accuracy 0.2500 train, 0.2500 test" in shown
    assert "12,346 images/s" in shown

"""An array's optimizer does for each member what that member's own would, schedules included."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, OneCycleLR, StepLR

from tests.trainer.fused.both import Both, Schedule, build, loss_of
from trainer.fused import ArrayOptimizer, CannotFuse, ModuleArray


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 8), nn.SiLU(), nn.LayerNorm(8), nn.Linear(8, 10))


EXAMPLE = (2, 20)

OPTIMIZERS: dict[str, Callable[[nn.Module, int], Optimizer]] = {
    "adam": lambda m, i: Adam(m.parameters(), lr=0.01 / (i + 1), weight_decay=0.1 * i),
    "adam, with betas and eps": lambda m, i: Adam(
        m.parameters(), lr=0.01, betas=(0.9 - 0.2 * i, 0.99 - 0.1 * i), eps=10.0**-i
    ),
    "adamw": lambda m, i: AdamW(m.parameters(), lr=0.01 / (i + 1), weight_decay=0.1 * i),
    "sgd": lambda m, i: SGD(m.parameters(), lr=0.05 * (i + 1)),
    "momentum": lambda m, i: SGD(m.parameters(), lr=0.05, momentum=0.4 * i, weight_decay=0.1),
    "nesterov": lambda m, i: SGD(m.parameters(), lr=0.05, momentum=0.4, nesterov=i == 1),
}
OPTIMIZERS["one of each kind"] = lambda m, i: OPTIMIZERS[("adam", "momentum", "adamw")[i % 3]](m, i)
OPTIMIZERS["one between two alike"] = lambda m, i: OPTIMIZERS["nesterov" if i == 1 else "adam"](
    m, i
)
SCHEDULES: dict[str, Schedule] = {
    "steps": lambda o, i: StepLR(o, step_size=2 + i, gamma=0.1),
    "cosine": lambda o, i: CosineAnnealingLR(o, T_max=5 + i),
    "warm-up": lambda o, i: LambdaLR(o, lambda step: min(1.0, (step + 1) / (4 + i))),
    "one cycle": lambda o, i: OneCycleLR(o, max_lr=0.1, total_steps=31 + i),
}


def both(name: str, schedule: Schedule | None = None) -> Both:
    models = build(perceptron)
    optimizers = [OPTIMIZERS[name](model, i) for i, model in enumerate(models)]
    return Both(models, optimizers, torch.rand(*EXAMPLE), schedule)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_steps_as_torchs_does_with_settings_of_its_own(name: str) -> None:
    trained = both(name)
    trained.train(30)
    trained.assert_same()


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", ["adam", "adamw", "nesterov", "one of each kind"])
def test_every_members_schedule_is_obeyed_at_every_step(name: str, schedule: str) -> None:
    trained = both(name, SCHEDULES[schedule])
    before = copy.deepcopy(trained.models)
    trained.train(12)
    trained.assert_same()
    unscheduled = both(name)
    unscheduled.train(12)
    for model, other, start in zip(trained.models, unscheduled.models, before, strict=True):
        ours, theirs, first = (next(m.parameters()) for m in (model, other, start))
        assert not torch.allclose(ours, theirs) and not torch.allclose(ours, first)


def test_settings_written_by_hand_are_obeyed_and_stay_where_a_captured_step_reads_them() -> None:
    trained = both("adamw")
    (group,) = trained.optimizer._groups
    place = group._settings.data_ptr()
    for optimizer in (*trained.optimizers, *trained._own):
        optimizer.param_groups[0].update(lr=0.5, weight_decay=0.3, betas=(0.5, 0.6))
    trained.train(3)
    trained.assert_same()
    assert group._settings.data_ptr() == place


def test_a_rate_that_is_a_tensor_is_read_at_every_step() -> None:
    models = build(perceptron)
    rates = [torch.tensor(0.1) for _ in models]
    pairs = zip(models, rates, strict=True)
    optimizers = [Adam(m.parameters(), lr=rate, foreach=False) for m, rate in pairs]
    trained = Both(models, optimizers, torch.rand(*EXAMPLE))
    for rate, own in zip(rates, trained._own, strict=True):
        rate.mul_(0.1)
        own.param_groups[0]["lr"].mul_(0.1)
    trained.train(3)
    trained.assert_same()


def grouped(model: nn.Module, i: int) -> Optimizer:
    """No decay on biases and norms, and another learning rate for the last layer."""
    named = list(model.named_parameters())
    plain = [p for name, p in named if p.dim() < 2]
    last = [p for name, p in named if p.dim() == 2 and name.startswith("3")]
    rest = [p for name, p in named if p.dim() == 2 and not name.startswith("3")]
    groups: Any = [
        {"params": plain, "weight_decay": 0.0},
        {"params": rest},
        {"params": last, "lr": 0.1},
    ]
    return AdamW(groups, lr=0.01 * (i + 1), weight_decay=0.5)


def test_parameter_groups_keep_their_own_settings_and_schedules() -> None:
    models = build(perceptron)
    optimizers = [grouped(model, i) for i, model in enumerate(models)]
    trained = Both(models, optimizers, torch.rand(*EXAMPLE), SCHEDULES["steps"])
    trained.train(10)
    trained.assert_same()


def test_what_an_optimizer_was_not_given_stays_as_it_is() -> None:
    models = build(perceptron)
    optimizers = [Adam(list(model.parameters())[-2:], lr=0.1) for model in models]
    trained = Both(models, optimizers, torch.rand(*EXAMPLE))
    before = models[0].get_parameter("0.weight").clone()
    trained.train(3)
    trained.assert_same()
    assert torch.equal(models[0].get_parameter("0.weight"), before)


@pytest.mark.parametrize("name", ["sgd", "one of each kind"])
def test_each_members_gradients_are_clipped_to_its_own_norm(name: str) -> None:
    trained = both(name)
    trained.train(10, clip=[0.01, 1.0, float("inf")])
    trained.assert_same()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_array_goes_on_from_optimizers_that_stepped_alone(name: str) -> None:
    models = build(perceptron)
    optimizers = [OPTIMIZERS[name](model, i) for i, model in enumerate(models)]
    for steps, (model, optimizer) in enumerate(zip(models, optimizers, strict=True)):
        for _ in range(steps):  # none, one and two
            optimizer.zero_grad()
            loss_of(model(torch.rand(4, 20)), torch.arange(4)).backward()
            optimizer.step()
    trained = Both(models, optimizers, torch.rand(*EXAMPLE))
    trained.train(5)
    trained.assert_same()


def test_each_member_counts_its_own_steps_and_can_go_on_alone() -> None:
    trained = both("adam")
    trained.train(2)
    model, optimizer = trained.models[0], OPTIMIZERS["adam"](trained.models[0], 0)
    optimizer.load_state_dict(copy.deepcopy(trained.optimizers[0].state_dict()))
    loss_of(model(torch.rand(4, 20)), torch.arange(4)).backward()
    optimizer.step()
    assert {float(state["step"]) for state in optimizer.state.values()} == {3.0}
    assert {float(state["step"]) for state in trained.optimizers[1].state.values()} == {2.0}


class Own(Adam):
    def step(self, closure: Any = None) -> None:
        """Nothing that torch's Adam does."""


def test_optimizers_that_differ_or_have_no_array_form_are_refused_with_the_reason() -> None:
    models = build(perceptron)
    array = ModuleArray(models, torch.rand(*EXAMPLE))

    def refused(make: Callable[[nn.Module, int], Optimizer], reason: str) -> None:
        with pytest.raises(CannotFuse, match=reason):
            ArrayOptimizer(array.stacked(), [make(m, i) for i, m in enumerate(models)])

    refused(lambda m, i: (RMSprop if i else SGD)(m.parameters(), lr=0.1), "RMSprop has no array")
    refused(lambda m, i: RMSprop(m.parameters()), "RMSprop has no array form")
    refused(
        lambda m, i: SGD(m.parameters(), momentum=0.5, dampening=0.2 * i),
        "SGD: dampening has no array form",
    )
    refused(lambda m, i: Adam(m.parameters(), amsgrad=True), "amsgrad has no array form")
    refused(lambda m, i: Adam(m.parameters(), maximize=i == 1), "differ in maximize")
    refused(lambda m, i: Own(m.parameters()), "Own has a step of its own")
    others = build(perceptron)
    refused(lambda m, i: Adam(others[i].parameters()), "parameters are not its model's")


def test_a_setting_that_changes_on_the_way_and_cannot_be_obeyed_is_refused() -> None:
    trained = both("adam")
    trained.optimizers[1].param_groups[0]["maximize"] = True
    with pytest.raises(CannotFuse, match="an array cannot change"):
        trained.train(1)
    trained = both("sgd")
    trained.optimizers[1].param_groups[0]["momentum"] = 0.9
    with pytest.raises(CannotFuse, match="SGD: a momentum cannot become"):
        trained.train(1)

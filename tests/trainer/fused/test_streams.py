"""Dropout and other random numbers: each member's own, and the same alone as in an array."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from tests.trainer.fused.both import SIZE, Make, build, learns_the_same
from trainer.fused import CannotFuse, ModuleArray
from trainer.fused.streams import drawing


def dropping(rate: float, kind: Callable[[float], nn.Module] = nn.Dropout) -> nn.Module:
    return nn.Sequential(nn.Linear(20, 20), kind(rate), nn.Linear(20, 10))


class Noisy(nn.Module):
    """Draws in its forward, as diffusion models and regularisers do."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            x = x + 0.1 * torch.randn_like(x) + torch.rand(20)
            x = F.alpha_dropout(x, 0.2, self.training)
        return self.out(x)  # type: ignore[no-any-return]


DRAWING: dict[str, tuple[Make, tuple[int, ...]]] = {
    "dropout": (lambda: dropping(0.3), (20,)),
    "dropout of steps": (lambda: nn.Sequential(nn.Dropout1d(0.4), dropping(0.1)), (3, 20)),
    "dropout of channels": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.Dropout2d(0.5), nn.Flatten(), dropping(0.5)),
        (1, 3, 7),
    ),
    "alpha dropout": (lambda: dropping(0.3, nn.AlphaDropout), (20,)),
    "in place": (lambda: dropping(0.3, lambda rate: nn.Dropout(rate, inplace=True)), (20,)),
    "noise": (Noisy, (20,)),
    "random slopes": (lambda: dropping(0.1, lambda rate: nn.RReLU()), (20,)),
}


@pytest.mark.parametrize("name", DRAWING)
def test_random_numbers_are_those_that_each_member_draws_alone(name: str) -> None:
    make, shape = DRAWING[name]
    learns_the_same(make, torch.rand(2, *shape))


@pytest.mark.parametrize("kind", [nn.Dropout, nn.AlphaDropout, nn.Dropout1d])
def test_rates_are_each_members_own(kind: Callable[[float], nn.Module]) -> None:
    models = [dropping(rate, kind) for rate in (0.0, 0.2, 0.7)]
    streams = [Generator().manual_seed(seed) for seed in range(SIZE)]
    own = [Generator().manual_seed(seed) for seed in range(SIZE)]
    array = ModuleArray(models, torch.rand(2, 3, 20), streams)
    for _ in range(3):
        inputs = torch.rand(SIZE, 8, 3, 20)
        for model, one, stream, got in zip(models, inputs, own, array(inputs), strict=True):
            with drawing(stream):
                torch.testing.assert_close(got, model(one))


def test_a_stream_that_is_saved_goes_on_alone() -> None:
    models = build(lambda: dropping(0.5))
    streams = [Generator().manual_seed(seed) for seed in range(SIZE)]
    array = ModuleArray(models, torch.rand(2, 20), streams)
    inputs = torch.rand(SIZE, 8, 20)
    array(inputs)
    saved = [stream.get_state() for stream in streams]
    torch.manual_seed(5)
    before = torch.get_rng_state()
    outputs = array(inputs)
    alone = Generator()
    alone.set_state(saved[1])
    with drawing(alone):
        torch.testing.assert_close(outputs[1], models[1](inputs[1]))
    assert torch.equal(alone.get_state(), streams[1].get_state())
    assert torch.equal(torch.get_rng_state(), before)  # nobody else's numbers were drawn


def test_evaluation_draws_nothing_and_a_comparison_leaves_streams_as_they_were() -> None:
    streams = [Generator().manual_seed(seed) for seed in range(SIZE)]
    states = [stream.get_state() for stream in streams]
    array = ModuleArray(build(lambda: dropping(0.5)), torch.rand(2, 20), streams)
    array.eval()(torch.rand(SIZE, 8, 20))
    for stream, state in zip(streams, states, strict=True):
        assert torch.equal(stream.get_state(), state)


class Computing(nn.Module):
    def __init__(self, rate: float) -> None:
        super().__init__()
        self.drop, self.out = nn.Dropout(rate), nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.drop(x) * (1 - self.drop.p))  # type: ignore[no-any-return]


def test_a_forward_that_computes_with_rates_that_differ_is_refused() -> None:
    with pytest.raises(CannotFuse, match="computes with a dropout rate"):
        ModuleArray([Computing(0.1), Computing(0.2)], torch.rand(2, 20))
    same = [Computing(0.1), copy.deepcopy(Computing(0.1))]
    assert ModuleArray(same, torch.rand(2, 20)).layout == "recorded"

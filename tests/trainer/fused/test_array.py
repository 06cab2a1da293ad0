"""Models as one array compute and learn what each would alone, or are refused with the reason."""

import copy
import random

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam

from tests.trainer.fused.both import SIZE, Both, Make, build, learns_the_same
from trainer.fused import ArrayOptimizer, CannotFuse, ModuleArray
from trainer.model import CNN


class Residual(nn.Module):
    """Functions, a skip connection, an inner module, reshaping by size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4))
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.norm = nn.LayerNorm(64)
        self.out = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.conv1(x))
        x = F.gelu(x + self.block(x))
        x = self.pool(x)
        return self.out(self.norm(x.view(x.size(0), -1)))  # type: ignore[no-any-return]


def in_lanes() -> nn.Module:
    """What has a form in lanes: padding, statistics, dropout, all orders."""
    return nn.Sequential(
        nn.Conv2d(1, 5, 3, padding=(1, 2), bias=False),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(5, 4, (2, 3), bias=False),
        nn.BatchNorm2d(4),
        nn.Tanh(),
        nn.Dropout(0.3),
        nn.Conv2d(4, 3, 3),
        nn.MaxPool2d((2, 2), stride=2),
        nn.Dropout(0.0),
        nn.Flatten(),
        nn.Linear(6, 12),
        nn.LayerNorm(12),
        nn.Dropout(0.5),
        nn.Linear(12, 10, bias=False),
    )


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 8), nn.SiLU(), nn.LayerNorm(8), nn.Linear(8, 10))


class Odd(nn.Module):
    """What people write between layers: slices, joins, reductions, tensors of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(20))
        self.unused = nn.Parameter(torch.ones(3))
        self.first = nn.Linear(10, 10)
        self.first.bias.requires_grad_(requires_grad=False)
        self.register_buffer("mean", torch.zeros(10))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.slope = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = (x - x.mean(dim=1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-3) * self.scale
        a, b = x[:, :10], x[:, 10:]
        places = torch.arange(10, dtype=x.dtype)
        joined = torch.cat([self.first(a) - b, self.slope(b) * places], dim=-1)
        joined = joined.view(len(x), 2, 10).transpose(1, 2)
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * joined.detach().mean(dim=(0, 2))
            self.seen += 1
        table = torch.zeros(len(x), 10)
        table[:, 3:5] = joined[:, 3:5, 0]
        table[:, 0] = joined.max(dim=1)[0].sum(1)
        picked = joined[:, torch.tensor([1, 2]), :].flatten(1).logsumexp(1, keepdim=True)
        return table + self.mean + joined.amax(2).squeeze(-1) * picked + joined.std(dim=2)


class Counted(nn.Module):
    """Takes its tensor apart by the number of its examples, and training differs."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        half = x.shape[0] // 2
        x = torch.cat((x[half:], x[:half] * 2)) if self.training and half else x
        return self.out(F.relu_(x + 0.5)) / len(x)  # type: ignore[no-any-return]


MODELS: dict[str, tuple[Make, tuple[int, ...]]] = {
    "the CNN": (CNN, (1, 28, 28)),
    "a user's module": (Residual, (1, 12, 12)),
    "a sequence in lanes": (in_lanes, (1, 13, 14)),
    "a perceptron": (perceptron, (20,)),
    "a linear layer": (lambda: nn.Linear(20, 10), (20,)),
    "a linear layer over steps": (lambda: nn.Linear(20, 10), (3, 20)),
    "an odd one": (Odd, (20,)),
    "one that counts": (Counted, (20,)),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_member_learns_what_it_would_alone(name: str) -> None:
    make, shape = MODELS[name]
    both = learns_the_same(make, torch.rand(2, *shape))
    lanes = name in ("the CNN", "a sequence in lanes")
    assert both.array.layout == ("lanes" if lanes else "recorded")


def test_batches_of_any_size_follow_one_another() -> None:
    models = build(Counted)
    array = ModuleArray(models, torch.rand(2, 20))
    for count in (8, 3, 1, 8):
        inputs = torch.rand(SIZE, count, 20)
        for model, own, got in zip(models, inputs, array(inputs), strict=True):
            torch.testing.assert_close(got, model(own))


class Several(nn.Module):
    """Two inputs and several outputs, as a variational autoencoder has."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor, y: Tensor) -> dict[str, Tensor | tuple[Tensor, Tensor]]:
        a, b = self.first(x), self.second(y)
        return {"sum": a + b, "both": (a, b)}


def test_inputs_and_outputs_may_be_several() -> None:
    models = build(Several)
    array = ModuleArray(models, (torch.rand(2, 4), torch.rand(2, 4)))
    x, y = torch.rand(SIZE, 3, 4), torch.rand(SIZE, 3, 4)
    outputs = array(x, y)
    named = ModuleArray(models, {"y": torch.rand(2, 4), "x": torch.rand(2, 4)})(y=y, x=x)
    torch.testing.assert_close(named["sum"], outputs["sum"])
    for index, model in enumerate(models):
        alone = model(x[index], y[index])
        torch.testing.assert_close(outputs["sum"][index], alone["sum"])
        torch.testing.assert_close(outputs["both"][1][index], alone["both"][1])


@pytest.mark.parametrize("make", [CNN, Residual])
def test_a_member_that_diverges_does_not_touch_the_others(make: Make) -> None:
    models = build(make)
    size = 28 if make is CNN else 12
    alone = [copy.deepcopy(model) for model in models]
    array = ModuleArray(models, torch.rand(2, 1, size, size))
    with torch.no_grad():
        for parameter in models[1].parameters():
            parameter.fill_(torch.nan)
    images = torch.rand(SIZE, 4, 1, size, size)
    outputs = array(images)
    gradients = torch.autograd.grad(outputs.square().sum(), array.stacked())
    assert outputs[1].isnan().all()
    for i in (0, 2):
        torch.testing.assert_close(outputs[i], alone[i](images[i]))
        assert all(gradient[i].isfinite().all() for gradient in gradients)


def test_members_stay_whole_models_whose_tensors_are_views_of_the_arrays() -> None:
    models = build(Residual)
    array = ModuleArray(models, torch.rand(2, 1, 12, 12))
    ArrayOptimizer(array.stacked(), [Adam(model.parameters()) for model in models])
    for index, model in enumerate(models):
        for parameter, whole in zip(model.parameters(), array.stacked(), strict=True):
            assert parameter.data_ptr() == whole[index].data_ptr()
    array(torch.rand(SIZE, 4, 1, 12, 12))
    means = [model.get_buffer("block.1.running_mean") for model in models]
    assert not torch.equal(means[0], torch.zeros(4)) and not torch.equal(means[0], means[1])


@pytest.mark.parametrize("name", ["a sequence in lanes", "a user's module", "an odd one"])
def test_members_may_go_and_the_others_are_what_they_were(name: str) -> None:
    make, shape = MODELS[name]
    models = build(make, 4)
    optimizers = [Adam(model.parameters(), lr=0.001) for model in models]
    both = Both(models, optimizers, torch.rand(2, *shape))
    both.train(3)
    gone = copy.deepcopy(models[1].state_dict())
    before = [{k: v.clone() for k, v in m.state_dict().items()} for m in models]
    both.drop([1, 2])
    for model, own in zip(both.models, (before[0], before[3]), strict=True):
        assert all(torch.equal(value, own[key]) for key, value in model.state_dict().items())
    both.train(3)
    both.assert_same()
    assert both.array.size == 2
    for name, value in models[1].state_dict().items():  # its own, and at rest
        assert torch.equal(value, gone[name])
    optimizers[1].step()


class Branching(nn.Module):
    """A path that depends on the input."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x) if x.sum() > 0 else self.out(-x)  # type: ignore[no-any-return]


class Wild(Branching):
    """Computes where nobody can follow, or remembers what it should not."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.calls = kind, 0

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "numpy":
            return self.out(torch.from_numpy(np.sin(x.detach().numpy())))  # type: ignore[no-any-return]
        if self.kind == "python's chance":
            return self.out(x * random.random())  # type: ignore[no-any-return]  # noqa: S311
        if self.kind == "numpy's chance":
            return self.out(x * float(np.random.rand()))  # type: ignore[no-any-return]
        if self.kind == "seed":
            torch.manual_seed(3)
            return self.out(x * torch.rand(20))  # type: ignore[no-any-return]
        if self.kind == "count":
            self.calls += 1
        return self.out(Twice.apply(x) if self.kind == "function" else x)  # type: ignore[no-any-return]


class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        return gradients[0] * 2


def hooked() -> nn.Module:
    model = perceptron()
    model[1].register_forward_hook(lambda module, inputs, output: output * 2)
    return model


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Branching, "depends on numbers in a tensor"),
        (lambda: Wild("numpy"), "depends on numbers in a tensor"),
        (lambda: Wild("python's chance"), "random numbers from Python or NumPy"),
        (lambda: Wild("numpy's chance"), "random numbers from Python or NumPy"),
        (lambda: Wild("seed"), "seeds torch's random numbers"),
        (lambda: Wild("count"), "changes its attributes: the model"),
        (lambda: Wild("function"), "an autograd function of its own"),
        (hooked, "1: SiLU has hooks"),
        (lambda: torch.jit.script(nn.Linear(20, 10)), "torch.jit"),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_what_cannot_be_fused_is_named_with_the_reason(make: Make, message: str) -> None:
    models = build(make)
    with pytest.raises(CannotFuse, match=message) as refused:
        ModuleArray(models, torch.rand(2, 20))
    assert all(model.training for model in models)
    assert "\n" not in str(refused.value)


def test_models_that_differ_are_refused() -> None:
    with pytest.raises(CannotFuse, match=r"out_features=2.* in one of the models"):
        ModuleArray([nn.Linear(2, 2), nn.Linear(2, 3)], torch.rand(1, 2))


class Named(nn.Module):
    """A network whose layers have names that mislead."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.relu = nn.ReLU6() if kind == "relu" else nn.ReLU()
        self.a = nn.Sequential(nn.Tanh() if kind == "names" else nn.Identity())
        self.a_0 = nn.Identity()
        self.pool = nn.MaxPool2d(2)
        self.out = nn.Linear(36, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.conv(x)))
        return self.out(self.a_0(self.a(x)).flatten(1))  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", ["relu", "names"])
def test_a_layer_is_what_it_is_and_not_what_it_is_called(kind: str) -> None:
    models = build(lambda: Named(kind))
    array = ModuleArray(models, torch.rand(2, 1, 8, 8))
    inputs = 30 * torch.randn(SIZE, 4, 1, 8, 8)
    for model, own, got in zip(models, inputs, array(inputs), strict=True):
        torch.testing.assert_close(got, model(own))


def test_a_member_and_its_array_do_not_put_one_another_into_modes() -> None:
    models: list[nn.Module] = build(in_lanes)
    models[0].eval()
    models[1].get_submodule("4").eval()  # a norm whose statistics are frozen
    array = ModuleArray(models, torch.rand(2, 1, 13, 14))
    assert [model.training for model in models] == [False, True, True]
    assert not models[1].get_submodule("4").training and models[1].get_submodule("3").training
    assert array.training

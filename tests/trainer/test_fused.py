"""Models as one array compute and learn what each would alone, or are refused by name."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam, Optimizer

from trainer.fused import ArrayOptimizer, CannotFuse, ModuleArray
from trainer.model import CNN

SIZE = 3


class Residual(nn.Module):
    """A user's module: functions, a skip connection, an inner module, reshaping by size."""

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
        return self.out(self.norm(x.view(x.size(0), -1)))


def sequential() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, stride=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 6, 3, groups=3, dilation=2),
        nn.LeakyReLU(),
        nn.Flatten(),
        nn.Linear(24, 10, bias=False),
    )


def in_lanes() -> nn.Module:
    """What has a form in lanes: padding, statistics, dropout that does nothing, all orders."""
    return nn.Sequential(
        nn.Conv2d(1, 5, 3, padding=(1, 2), bias=False),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(5, 4, (2, 3), bias=False),
        nn.BatchNorm2d(4),
        nn.Tanh(),
        nn.Conv2d(4, 3, 3),
        nn.MaxPool2d((2, 2), stride=2),
        nn.Dropout(0.0),
        nn.Flatten(),
        nn.Linear(6, 12),
        nn.LayerNorm(12),
        nn.Linear(12, 10, bias=False),
    )


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 8), nn.SiLU(), nn.LayerNorm(8), nn.Linear(8, 10))


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "the CNN": (CNN, (1, 28, 28)),
    "a user's module": (Residual, (1, 12, 12)),
    "a sequence": (sequential, (1, 28, 28)),
    "a sequence in lanes": (in_lanes, (1, 13, 14)),
    "a perceptron": (perceptron, (20,)),
}


@pytest.fixture(autouse=True)
def double_precision() -> object:
    """In 64 bits, sums in another order agree to twelve digits even after many steps."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def build(make: Callable[[], nn.Module]) -> list[nn.Module]:
    models = []
    for seed in range(SIZE):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            models.append(make())
    return models


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels)


def train_both(
    models: list[nn.Module], optimizers: list[Optimizer], shape: tuple[int, ...], steps: int
) -> list[nn.Module]:
    """Train copies one by one, and the models as an array, on the same batches; the copies."""
    pairs = [copy.deepcopy(pair) for pair in zip(models, optimizers, strict=True)]
    alone, own = [model for model, _ in pairs], [optimizer for _, optimizer in pairs]
    array = ModuleArray(models, torch.rand(2, *shape))
    optimizer = ArrayOptimizer(array.stacked(), optimizers)
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        inputs = torch.rand(SIZE, 8, *shape, generator=generator)
        labels = torch.randint(0, 10, (SIZE, 8), generator=generator)
        outputs = array(inputs)
        losses = [loss_of(out, want) for out, want in zip(outputs, labels, strict=True)]
        optimizer.step(torch.autograd.grad(sum(losses[1:], losses[0]), array.stacked()))
        for i in range(SIZE):
            own[i].zero_grad()
            loss_of(alone[i](inputs[i]), labels[i]).backward()
            own[i].step()
    return alone


def assert_same(models: list[nn.Module], others: list[nn.Module]) -> None:
    for model, other in zip(models, others, strict=True):
        for (name, value), want in zip(
            model.state_dict().items(), other.state_dict().values(), strict=True
        ):
            torch.testing.assert_close(value, want, rtol=1e-9, atol=1e-10, msg=name)


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("the CNN", "lanes"),
        ("a sequence in lanes", "lanes"),
        ("a sequence", "planes"),
        ("a user's module", "planes"),
        ("a perceptron", "planes"),
    ],
)
def test_on_a_cpu_plain_convolutions_are_in_lanes(name: str, layout: str) -> None:
    make, shape = MODELS[name]
    assert ModuleArray(build(make), torch.randn(2, *shape)).layout == layout


@pytest.mark.parametrize("name", MODELS)
def test_every_member_learns_what_it_would_alone(name: str) -> None:
    make, shape = MODELS[name]
    models = build(make)
    optimizers = [Adam(model.parameters(), lr=0.01 / (i + 1)) for i, model in enumerate(models)]
    assert_same(models, train_both(models, optimizers, shape, steps=12))


def test_a_member_that_diverges_does_not_touch_the_others() -> None:
    models = build(CNN)
    alone = [copy.deepcopy(model) for model in models]
    array = ModuleArray(models, torch.rand(2, 1, 28, 28))
    with torch.no_grad():
        for parameter in models[1].parameters():
            parameter.fill_(torch.nan)
    images = torch.rand(SIZE, 4, 1, 28, 28)
    outputs = array(images)
    gradients = torch.autograd.grad(outputs.square().sum(), array.stacked())
    assert outputs[1].isnan().all()
    for i in (0, 2):
        torch.testing.assert_close(outputs[i], alone[i](images[i]))
        assert all(gradient[i].isfinite().all() for gradient in gradients)


def test_members_stay_whole_models_whose_parameters_are_views_of_the_arrays() -> None:
    models = build(CNN)
    array = ModuleArray(models, torch.rand(2, 1, 28, 28))
    ArrayOptimizer(array.stacked(), [Adam(model.parameters()) for model in models])
    for index, model in enumerate(models):
        for parameter, whole in zip(model.parameters(), array.stacked(), strict=True):
            assert parameter.data_ptr() == whole[index].data_ptr()


class Own(nn.Module):
    """A module with a parameter of its own, outside of any layer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.out = nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x * self.scale)


class Branching(nn.Module):
    """A module whose path depends on its input."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x) if x.sum() > 0 else self.out(-x)


class Tied(nn.Module):
    """Two layers that share their weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(20, 20), nn.Linear(20, 20)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


class Noisy(nn.Module):
    """Does something else in training than in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x * 2 if self.training else x)


def frozen() -> nn.Module:
    model = perceptron()
    model.get_parameter("0.weight").requires_grad_(False)
    return model


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (Tied, (20,), "second.weight: a parameter that is shared"),
        (Noisy, (20,), "something else in training"),
        (frozen, (20,), "0.weight: a parameter that is not trained"),
        (lambda: nn.Sequential(nn.Linear(8, 4)), (1, 8, 8), "another shape than alone"),
        (lambda: nn.Sequential(nn.LSTM(20, 10)), (20,), "0: LSTM has no array form"),
        (
            lambda: nn.Sequential(nn.Linear(20, 8), nn.PReLU()),
            (20,),
            "1: PReLU has no array form",
        ),
        (
            lambda: nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular")),
            (1, 8, 8),
            "0: Conv2d pads with circular",
        ),
        (Own, (20,), "scale: a tensor used outside a layer"),
        (Branching, (20,), "cannot be traced"),
    ],
)
def test_what_cannot_be_fused_is_named_with_the_reason(
    make: Callable[[], nn.Module], shape: tuple[int, ...], message: str
) -> None:
    models = build(make)
    with pytest.raises(CannotFuse, match=message):
        ModuleArray(models, torch.rand(2, *shape))
    assert all(model.training for model in models)


def test_models_that_differ_are_refused() -> None:
    with pytest.raises(CannotFuse, match="differ in their layers"):
        ModuleArray([nn.Linear(2, 2), nn.Linear(2, 3)], torch.rand(1, 2))


class Named(nn.Module):
    """A network whose layers have names that mislead, or that takes its tensors apart."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.conv = nn.Conv2d(1, 4, 3)
        self.relu = nn.ReLU6() if kind == "relu" else nn.ReLU()
        self.a = nn.Sequential(nn.Tanh() if kind == "names" else nn.Identity())
        self.a_0 = nn.Identity()
        self.pool = nn.MaxPool2d(2)
        self.out = nn.Linear(36, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.conv(x)))
        x = self.a_0(self.a(x))
        if self.kind == "sizes":
            x = x * x.size(0)
        return self.out(x.flatten(1))


@pytest.mark.parametrize("kind", ["relu", "names"])
def test_a_layer_is_what_it_is_and_not_what_it_is_called(kind: str) -> None:
    models = build(lambda: Named(kind))
    array = ModuleArray(models, torch.rand(2, 1, 8, 8))
    inputs = 30 * torch.randn(SIZE, 4, 1, 8, 8)
    for model, own, got in zip(models, inputs, array(inputs), strict=True):
        torch.testing.assert_close(got, model(own))


def test_what_computes_with_sizes_is_refused() -> None:
    models = build(lambda: Named("sizes"))
    with pytest.raises(CannotFuse, match="computes with sizes"):
        ModuleArray(models, torch.rand(SIZE, 1, 8, 8))


def test_a_frozen_parameter_of_any_member_is_refused() -> None:
    models = build(CNN)
    models[1].get_parameter("out.bias").requires_grad_(requires_grad=False)
    with pytest.raises(CannotFuse, match=r"out\.bias: a parameter that is not trained"):
        ModuleArray(models, torch.rand(2, 1, 28, 28))


def test_a_member_and_its_array_do_not_put_one_another_into_modes() -> None:
    models = build(in_lanes)
    models[0].eval()
    array = ModuleArray(models, torch.rand(2, 1, 13, 14))
    assert [model.training for model in models] == [False, True, True]
    assert all(module.training for module in array.modules())

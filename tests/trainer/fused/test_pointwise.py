"""Activations, arithmetic, reductions and reshaping in an array do what they do alone."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.trainer.fused.both import build, learns_the_same
from trainer.fused import ModuleArray


class Between(nn.Module):
    """A function of (N, 4, 6) between two layers."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(6, 6), nn.LazyLinear(10)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.function(self.first(x)).flatten(1))  # type: ignore[no-any-return]


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda x: x.softmax(dim=1) + F.log_softmax(x, dim=-1),
    "mean": lambda x: x.mean(dim=(1, 2), keepdim=True) + x.mean(1, keepdim=True),
    "sum": lambda x: torch.sum(x, dim=2) * x.sum(),
    "extremes": lambda x: x.max(dim=1).values + torch.min(x, 1)[0] + x.amax() - x.min(),
    "spread": lambda x: x.std(dim=1) + x.var(2, keepdim=True).squeeze(2).sum(1, keepdim=True),
    "norm": lambda x: F.normalize(x, dim=2) + x.norm(dim=1, keepdim=True),
    "order": lambda x: x.sort(dim=2, descending=True)[0] + x.topk(2, dim=1)[0].sum(1, keepdim=True),
    "running": lambda x: x.cumsum(dim=1) + x.flip(1).cumsum(2),
    "slices": lambda x: x[:, 1:, ::2] + x[:, :-1, 1::2] * x[:, 0, None, :3],
    "ellipsis": lambda x: x[..., -1] + x[:, -1, :4],
    "picked": lambda x: x[:, [0, 2]] + x[:, torch.tensor([1, 3])],
    "joined": lambda x: torch.cat((x, x * 2), dim=-1) + torch.stack((x, x), dim=3).flatten(2),
    "split": lambda x: torch.cat([p * n for n, p in enumerate(x.chunk(3, dim=2))], dim=1),
    "turned": lambda x: x.transpose(1, 2).reshape(len(x), 4, 6) + x.permute(0, 2, 1).mT,
    "unflattened": lambda x: x.unflatten(2, (2, 3)).movedim(1, -1).squeeze().expand(-1, -1, -1, 4),
    "repeated": lambda x: (
        x.repeat(1, 1, 2) + x.unsqueeze(1).expand(-1, 2, -1, -1).reshape(len(x), 4, 12)
    ),
    "padded": lambda x: F.pad(x, (1, 2)) + F.pad(x, (1, 2), mode="reflect"),
    "product": lambda x: x @ x.mT @ x + torch.einsum("nij,nkj->nik", x, x) @ x,
    "chosen": lambda x: torch.where(x > 0, x, 0.1 * x).masked_fill(x > 0.5, 0.5).clamp(-1, 1),
    "arithmetic": lambda x: 1 / (2 + x**2) - (3 - x.div(3)) + (-x).abs().sqrt(),
    "against numbers": lambda x: x * torch.arange(6) + torch.linspace(0, 1, 4)[:, None],
    "in place": lambda x: (x * 2).add_(1).mul_(x).relu_(),
    "gated": lambda x: F.glu(x, dim=-1) + F.glu(x.transpose(1, 2), dim=1).transpose(1, 2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name: str) -> None:
    example = torch.rand(2, 4, 6)

    def make() -> nn.Module:
        model = Between(FUNCTIONS[name])
        model(example)  # the last layer learns its size
        return model

    learns_the_same(make, example)


ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Tanh,
    nn.Sigmoid, nn.Softplus, nn.Softsign, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Tanhshrink,
    nn.LogSigmoid, nn.PReLU, lambda: nn.PReLU(6), lambda: nn.Softmax(dim=-1), lambda: nn.GLU(dim=1),
)  # fmt: skip


@pytest.mark.parametrize("make", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(6,), (6, 5)])
def test_activation(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    learns_the_same(
        lambda: nn.Sequential(nn.Linear(shape[-1], shape[-1]), make()), torch.rand(2, *shape)
    )


def test_what_has_a_form_is_not_left_to_vmap() -> None:
    with torch.no_grad():
        array = ModuleArray(
            build(lambda: nn.Sequential(nn.Linear(6, 6), nn.PReLU(6))), torch.rand(2, 6)
        )
    (notes, *_) = array._layout._notes.values()  # type: ignore[union-attr]
    assert "prelu" in notes.module.code and "vmapped" not in notes.module.code

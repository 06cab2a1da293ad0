"""Norms in an array keep each member's own statistics."""

import pytest
import torch
from torch import nn

from tests.trainer.fused.both import Make, learns_the_same

NORMS: dict[str, tuple[Make, tuple[int, ...]]] = {
    "BatchNorm1d": (lambda: nn.BatchNorm1d(6), (6,)),
    "BatchNorm1d over sequences": (lambda: nn.BatchNorm1d(6, momentum=0.3), (6, 5)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(6, affine=False), (6, 4, 4)),
    "BatchNorm3d": (lambda: nn.BatchNorm3d(6, eps=1e-3), (6, 2, 3, 2)),
    "BatchNorm2d without statistics": (
        lambda: nn.BatchNorm2d(6, track_running_stats=False), (6, 4, 4),
    ),
    "GroupNorm": (lambda: nn.GroupNorm(3, 6), (6, 4, 4)),
    "GroupNorm of features": (lambda: nn.GroupNorm(2, 6), (6,)),
    "GroupNorm plain": (lambda: nn.GroupNorm(2, 6, affine=False), (6, 5)),
    "LayerNorm": (lambda: nn.LayerNorm(6), (5, 6)),
    "LayerNorm over two dimensions": (lambda: nn.LayerNorm((5, 6)), (5, 6)),
    "LayerNorm plain": (lambda: nn.LayerNorm(6, elementwise_affine=False), (6,)),
    "LayerNorm without bias": (lambda: nn.LayerNorm(6, bias=False), (6,)),
    "RMSNorm": (lambda: nn.RMSNorm(6), (5, 6)),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(6, affine=True), (6, 5)),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(6, track_running_stats=True), (6, 4, 4)),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(3), (6, 4, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", NORMS)
def test_norm(name: str) -> None:
    make, shape = NORMS[name]
    size = int(torch.Size(shape).numel())
    learns_the_same(
        lambda: nn.Sequential(
            nn.Linear(shape[-1], shape[-1]), make(), nn.Flatten(), nn.Linear(size, 10)
        ),
        torch.rand(2, *shape),
    )

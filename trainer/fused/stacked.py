"""Layers of K models as one: parameters become (K, *shape)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Stacked(nn.Module):
    """K layers as one: their weights and biases, stacked."""

    weight: Any
    bias: Any

    def __init__(self, layers: Sequence[Any]) -> None:
        super().__init__()
        self.weight = _stack([layer.weight for layer in layers])
        self.bias = _stack([layer.bias for layer in layers])


class StackedBatchNorm2d(Stacked):
    """K batch normalisations; as each channel has its own statistics, one over all channels."""

    def __init__(self, layers: Sequence[nn.BatchNorm2d]) -> None:
        super().__init__(layers)
        first = layers[0]
        self.running_mean = _stack_buffers(layers, "running_mean")
        self.running_var = _stack_buffers(layers, "running_var")
        self._counts = [layer.num_batches_tracked for layer in layers]
        self._momentum, self._eps = first.momentum or 0.0, first.eps

    def normalise(self, channels: Tensor) -> Tensor:
        """Normalise (N, K C, ...), each channel over all that it holds."""
        if self.training:
            for count in self._counts:
                if count is not None:
                    count.add_(1)
        return F.batch_norm(
            channels,
            self.running_mean.flatten(),
            self.running_var.flatten(),
            None if self.weight is None else self.weight.flatten(),
            None if self.bias is None else self.bias.flatten(),
            self.training,
            self._momentum,
            self._eps,
        )


def _stack(tensors: Sequence[Tensor | None]) -> Any:
    if tensors[0] is None:
        return None
    return nn.Parameter(torch.stack([t.detach() for t in tensors if t is not None]))


def _stack_buffers(layers: Sequence[nn.Module], name: str) -> Tensor:
    """The layers' own become views of the stack."""
    stacked = torch.stack([getattr(layer, name) for layer in layers])
    for layer, own in zip(layers, stacked, strict=True):
        setattr(layer, name, own)
    return stacked

"""Convolutions: one with K times the groups, over planes.

Cost: a library's convolution makes vectors of channels, so a few channels leave them empty; here
the channels of all members stand side by side. Small networks of plain convolutions alone lie in
lanes instead, see `laned.py`.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainer.fused.forms.planes import from_planes, to_planes
from trainer.fused.forms.registry import chosen

PLAIN = {torch.conv1d: 3, torch.conv2d: 4, torch.conv3d: 5}
TRANSPOSED = {
    torch.conv_transpose1d: 3, torch.conv_transpose2d: 4, torch.conv_transpose3d: 5,
}  # fmt: skip
"""The functions, and the dimensions of their batches."""


@chosen(*PLAIN)
def plain(function: Any, x: Tensor, *args: Any, **kwargs: Any) -> Callable[..., Any] | None:
    if x.dim() != PLAIN[function]:
        return None

    def convolution(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        """input (K, N, C, ...), weight (K, out, C, ...), bias (K, out)."""
        size = len(weight)
        biases = None if bias is None else bias.flatten()
        planes, weights = to_planes(input), weight.flatten(0, 1)
        outputs = function(planes, weights, biases, stride, padding, dilation, groups * size)
        return from_planes(outputs, size)

    return convolution


@chosen(*TRANSPOSED)
def transposed(function: Any, x: Tensor, *args: Any, **kwargs: Any) -> Callable[..., Any] | None:
    if x.dim() != TRANSPOSED[function]:
        return None

    def convolution(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Tensor:
        """input (K, N, C, ...), weight (K, C, out, ...), bias (K, out)."""
        size = len(weight)
        biases = None if bias is None else bias.flatten()
        planes, weights = to_planes(input), weight.flatten(0, 1)
        if weight.shape[2] == 1:  # 1.16 ms in place of 1.84 for 8 to 1 channels of 14 x 14
            planes = planes.contiguous()
        settings = (stride, padding, output_padding, groups * size, dilation)
        return from_planes(function(planes, weights, biases, *settings), size)

    return convolution

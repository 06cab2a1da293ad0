"""Pooling and resizing: channel by channel, so over the planes of all members at once."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.fused.forms.planes import from_planes, to_planes
from trainer.fused.forms.registry import chosen, named

POOLINGS = named(
    "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d lp_pool1d lp_pool2d"
    " adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d"
    " adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d interpolate upsample",
    F,
    torch,
)
DIMENSIONS = {"1d": 3, "2d": 4, "3d": 5}
"""Of their batches."""


@chosen(*POOLINGS)
def pooling(function: Any, x: Tensor, *args: Any, **kwargs: Any) -> Callable[..., Any] | None:
    wanted = DIMENSIONS.get(function.__name__[-2:], x.dim())
    if x.dim() != wanted or kwargs.get("return_indices"):
        return None

    def over_planes(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return from_planes(function(to_planes(input), *args, **kwargs), len(input))

    return over_planes

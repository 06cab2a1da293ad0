"""Dropout: each member at its own rate, by its own stream of random numbers.

Cost: numbers are drawn for one member after another, as alone; all else is one kernel.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.fused.forms.registry import RANDOM, chosen
from trainer.fused.streams import Streams

CHANNELS = (F.dropout1d, F.dropout2d, F.dropout3d)
RANDOM.update((F.dropout, *CHANNELS))


@chosen(F.dropout)
def dropout(function: Any, x: Tensor, *args: Any, **kwargs: Any) -> Callable[..., Any]:
    """Numbers are drawn in the order in which a member's x lies in its memory."""
    order = sorted(range(x.dim()), key=torch.empty_like(x).stride().__getitem__, reverse=True)
    ordered = [] if order == list(range(x.dim())) else order

    def dropped(
        x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, streams: Streams
    ) -> Tensor:
        if not training or p == 0:
            return x
        kept = streams.kept(x.shape[1:], p, x, ordered)
        return x.mul_(kept) if inplace else x * kept

    return dropped


@chosen(*CHANNELS)
def dropout_channels(function: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Whole channels of an example are dropped."""
    batched = {F.dropout1d: 3, F.dropout2d: 4, F.dropout3d: 5}[function]
    return _dropped if x.dim() == batched else None


def _dropped(
    x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, streams: Streams
) -> Tensor:
    """x (K, N, C, ...)"""
    if not training or p == 0:
        return x
    kept = streams.kept((*x.shape[1:3], *[1] * (x.dim() - 3)), p, x)
    return x.mul_(kept) if inplace else x * kept

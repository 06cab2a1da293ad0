"""Images of all members as planes of one batch: (N, K C, ...), channels last.

What works channel by channel, or in groups of channels, then works on all members at once. In
torch's default layout grouped convolutions on a CPU are slower than none. A result is turned back
without a copy, and the next layer turns it again without one.
"""

import torch
from torch import Tensor


def to_planes(x: Tensor) -> Tensor:
    """(K, N, C, ...) as (N, K C, ...), in memory with the channels last."""
    planes = x.transpose(0, 1).flatten(1, 2)
    if x.dim() == 5:
        return planes.contiguous(memory_format=torch.channels_last)
    return planes


def from_planes(planes: Tensor, size: int) -> Tensor:
    """(N, K C, ...) as (K, N, C, ...): a view."""
    members: Tensor = planes.unflatten(1, (size, -1))
    return members.transpose(0, 1)

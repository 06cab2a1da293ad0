"""Norms: over planes where channels have statistics of their own; layer by layer otherwise."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.fused.forms.planes import from_planes, to_planes
from trainer.fused.forms.registry import aligned, form


@form(F.batch_norm)
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """input (K, N, C, ...), all others (K, C); running statistics are changed in their place."""
    mean, var, w, b = (_flat(one) for one in (running_mean, running_var, weight, bias))
    planes = F.batch_norm(to_planes(input), mean, var, w, b, training, momentum, eps)
    return from_planes(planes, len(input))


@form(F.instance_norm)
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """input (K, N, C, ...), all others (K, C)."""
    mean, var, w, b = (_flat(one) for one in (running_mean, running_var, weight, bias))
    planes = to_planes(input)
    normal = F.instance_norm(planes, mean, var, w, b, use_input_stats, momentum, eps)
    return from_planes(normal, len(input))


@form(F.group_norm)
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """input (K, N, C, ...), weight and bias (K, C)."""
    size = len(input)
    planes = F.group_norm(to_planes(input), num_groups * size, _flat(weight), _flat(bias), eps)
    return from_planes(planes, size)


@form(F.layer_norm)
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """input (K, ..., *shape), weight and bias (K, *shape)."""
    normal = F.layer_norm(input, normalized_shape, eps=eps)
    if weight is None:
        return normal
    _, factors = aligned(normal, weight)
    if bias is None:
        return normal * factors
    return torch.addcmul(aligned(normal, bias)[1], normal, factors)


@form(*([F.rms_norm] if hasattr(F, "rms_norm") else []))
def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """input (K, ..., *shape), weight (K, *shape)."""
    normal = F.rms_norm(input, list(normalized_shape), eps=eps)
    return normal if weight is None else normal * aligned(normal, weight)[1]


def _flat(values: Any) -> Any:
    return None if values is None else values.flatten()

"""What treats all numbers alike: activations, arithmetic, comparisons, conversions.

The form is the function itself, whatever the number of models: one kernel for all of them. Tensors
of different numbers of dimensions are given the missing ones first.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.fused.forms.registry import aligned, chosen, form, named

ONE = named(
    "relu relu_ relu6 leaky_relu leaky_relu_ elu elu_ selu selu_ celu celu_ gelu silu mish softplus"
    " softsign hardtanh hardtanh_ hardswish hardsigmoid hardshrink softshrink tanhshrink logsigmoid"
    " threshold threshold_ tanh tanh_ sigmoid sigmoid_ exp exp_ expm1 log log1p log2 log10 sqrt"
    " rsqrt square abs neg negative sign sin cos tan atan sinh cosh erf reciprocal floor ceil round"
    " trunc frac clamp_min clamp_max isnan isinf isfinite logical_not nan_to_num"
    " float double half bfloat16 long int bool clone contiguous detach zeros_like ones_like"
    " full_like fill_ zero_ __neg__ __abs__ __invert__",
    F,
    torch,
    Tensor,
)
"""Of one tensor, with or without numbers beside it."""

MANY = named(
    "add add_ sub sub_ subtract mul mul_ multiply div div_ divide true_divide floor_divide"
    " remainder fmod pow pow_ maximum minimum fmax fmin atan2 where lerp lerp_ addcmul addcdiv"
    " clamp clamp_ clip eq ne lt le gt ge logical_and logical_or logical_xor masked_fill"
    " masked_fill_ hypot xlogy logaddexp copy_ to type_as rsub"
    " __add__ __radd__ __iadd__ __sub__ __rsub__ __isub__ __mul__ __rmul__ __imul__ __truediv__"
    " __rtruediv__ __itruediv__ __rdiv__ __floordiv__ __mod__ __pow__ __rpow__ __eq__ __ne__"
    " __lt__ __le__ __gt__ __ge__ __and__ __or__ __xor__",
    torch,
    Tensor,
)
"""Of several tensors, whose shapes are made to agree."""


@chosen(*ONE, *MANY)
def itself(function: Any, *args: Any, **kwargs: Any) -> Callable[..., Any]:
    tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    if len({tensor.dim() for tensor in tensors}) < 2:
        return function  # type: ignore[no-any-return]

    def agreeing(*args: Any, **kwargs: Any) -> Any:
        values = [*args, *kwargs.values()]
        places = [n for n, value in enumerate(values) if isinstance(value, Tensor)]
        for n, tensor in zip(places, aligned(*(values[n] for n in places)), strict=True):
            values[n] = tensor
        return function(*values[: len(args)], **dict(zip(kwargs, values[len(args) :], strict=True)))

    return agreeing


@form(F.prelu, torch.prelu)
def prelu(x: Tensor, weight: Tensor) -> Tensor:
    """x (K, N, C, ...), weight (K, C) or (K, 1): one slope per channel, or one for all."""
    slopes = weight if x.dim() == 2 else weight.reshape(len(weight), 1, -1, *[1] * (x.dim() - 3))
    return torch.where(x > 0, x, slopes * x)


@chosen(F.glu)
def glu(function: Any, x: Tensor, dim: int = -1) -> Callable[..., Any] | None:
    return F.glu if dim < 0 else None

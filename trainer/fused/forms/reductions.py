"""What goes over a dimension: sums, means, extremes, softmax. Over all of them: over a member's."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.fused.forms.registry import after, chosen, named

WHOLE = {
    torch.sum: torch.sum, torch.mean: torch.mean, torch.std: torch.std, torch.var: torch.var,
    torch.amax: torch.amax, torch.amin: torch.amin, torch.max: torch.amax, torch.min: torch.amin,
    torch.logsumexp: torch.logsumexp, torch.nansum: torch.nansum, torch.nanmean: torch.nanmean,
    torch.count_nonzero: torch.count_nonzero, torch.all: torch.all, torch.any: torch.any,
}  # fmt: skip
"""Functions that may go over several dimensions; what they are over all of a member's."""

ALONG = named("softmax log_softmax", torch, F, Tensor) + named(
    "max min argmax argmin cumsum cumprod sort argsort topk kthvalue median prod"
    " log_softmax softmax softmin normalize cosine_similarity",
    torch,
    Tensor,
    F,
)
"""Functions that go along the dimension they are given, as ``dim`` or as their last number."""


@chosen(*WHOLE, *(method for f in WHOLE for method in named(f.__name__, Tensor)))
def over(function: Any, x: Tensor, *args: Any, **kwargs: Any) -> Callable[..., Any] | None:
    name = function.__name__
    plain = getattr(torch, name)
    rest = [*args, *([kwargs["dim"]] if "dim" in kwargs else [])]
    if rest and (isinstance(rest[0], Tensor) or "axis" in kwargs):
        return None
    if name in ("std", "var") and (len(args) > 1 or (args and isinstance(args[0], bool))):
        return None
    if name in ("max", "min"):
        return along(function, x, *args, **kwargs) if rest else _over(WHOLE[plain])
    return _over(plain)


def _over(plain: Any) -> Callable[..., Any]:
    def reduced(x: Tensor, dim: Any = None, *rest: Any, **kwargs: Any) -> Any:
        if x.dim() == 1:
            return x if plain is not torch.count_nonzero else (x != 0).long()
        if dim is None or dim == ():
            dims = list(range(1, x.dim()))
        else:
            dims = [after(one) for one in ([dim] if isinstance(dim, int) else dim)]
        if rest:
            kwargs["keepdim"] = rest[0]
        return plain(x, dim=dims, **kwargs)

    return reduced


@chosen(*(f for f in ALONG if f not in WHOLE and f not in (Tensor.max, Tensor.min)))
def along(function: Any, x: Tensor, *args: Any, **kwargs: Any) -> Callable[..., Any] | None:
    """With the dimension by name, or as the first number: its place among the arguments."""
    if isinstance(kwargs.get("dim"), int):
        dim = after(kwargs["dim"])
        return lambda *a, **k: function(*a, **{**k, "dim": dim})
    if args and type(args[0]) is int and function.__name__ not in ("topk", "kthvalue", "normalize"):
        dim = after(args[0])
        return lambda x, _, *a, **k: function(x, dim, *a, **k)
    return None

"""Linear layers and matrix products: one batched product for all models.

Cost: a model of 64 features starts a product of some 10 µs; K of them start one.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.fused.forms.registry import chosen, form


@form(F.linear)
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (K, ..., in), weight (K, out, in), bias (K, out)."""
    rows = x if x.dim() == 3 else x.reshape(len(x), -1, x.shape[-1])
    turned = weight.transpose(1, 2)
    if bias is None:
        outputs = torch.bmm(rows, turned)
    else:
        outputs = torch.baddbmm(bias.unsqueeze(1), rows, turned)
    return outputs if x.dim() == 3 else outputs.view(*x.shape[:-1], -1)


@chosen(torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm, torch.mm, Tensor.mm)
def matmul(function: Any, a: Tensor, b: Tensor) -> Callable[..., Any] | None:
    return _matmul if min(a.dim(), b.dim()) >= 2 else None


def _matmul(a: Tensor, b: Tensor) -> Tensor:
    """(K, ..., n, m) and (K, ..., m, p)."""
    dims = max(a.dim(), b.dim())
    first, second = (t.reshape(t.shape[0], *[1] * (dims - t.dim()), *t.shape[1:]) for t in (a, b))
    return torch.matmul(first, second)

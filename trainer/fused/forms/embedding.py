"""Embeddings: the members' tables as one, each index moved on to its member's part of it."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.fused.common import CannotFuse
from trainer.fused.forms.registry import form


@form(F.embedding)
def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """input (K, ...) of indices, weight (K, entries, features)."""
    _check(max_norm, sparse)
    table, moved = _one_table(input, weight)
    found = F.embedding(moved, table, scale_grad_by_freq=scale_grad_by_freq)
    if padding_idx is None or padding_idx < 0 > padding_idx + weight.shape[1]:
        return found
    padding = (input == padding_idx % weight.shape[1]).unsqueeze(-1)  # whose entry is not trained
    return torch.where(padding, found.detach(), found)


@form(F.embedding_bag)
def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """input (K, N, bag) of indices, or (K, all bags) with offsets (K, N); weight as above."""
    _check(max_norm, sparse)
    size = len(weight)
    table, moved = _one_table(input, weight)
    if padding_idx is not None:
        padding_idx %= weight.shape[1]
        if mode == "max" or offsets is not None or per_sample_weights is not None:
            raise CannotFuse("embedding_bag: a padding_idx with max, offsets or weights")
        counted = (input != padding_idx).to(weight.dtype)
        if mode == "mean":
            counted = counted / counted.sum(dim=-1, keepdim=True).clamp(min=1)
        per_sample_weights, mode = counted, "sum"
    weights = None if per_sample_weights is None else per_sample_weights.flatten(0, 1)
    if offsets is not None:
        if include_last_offset:
            offsets = offsets[:, :-1]
        starts = torch.arange(size, device=input.device).unsqueeze(1) * input.shape[1]
        offsets = (offsets + starts).flatten()
    bags = F.embedding_bag(
        moved.flatten(0, 1),
        table,
        offsets,
        scale_grad_by_freq=scale_grad_by_freq,
        mode=mode,
        per_sample_weights=weights,
    )
    members: Tensor = bags.unflatten(0, (size, -1))
    return members


def _one_table(input: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    size, entries = weight.shape[:2]
    first = torch.arange(size, device=input.device) * entries
    return weight.flatten(0, 1), input + first.view(size, *[1] * (input.dim() - 1))


def _check(max_norm: Any, sparse: bool) -> None:
    if max_norm is not None or sparse:
        raise CannotFuse("embeddings with max_norm or sparse gradients have no array form")

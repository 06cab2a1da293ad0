"""Attention: the members as so many more examples of one batch."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.fused.common import CannotFuse
from trainer.fused.forms.linear import linear
from trainer.fused.forms.registry import aligned, form
from trainer.fused.streams import Streams


@form(F.scaled_dot_product_attention, random=True)
def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    streams: Streams,
) -> Tensor:
    """query, key and value (K, ..., length, features); mask (K, ..., length, length).

    With dropout the weights are written out, as torch does on a CPU, so that the masks are those
    that each member would draw alone.
    """
    if attn_mask is not None:
        attn_mask = aligned(query, attn_mask)[1]
    if dropout_p == 0:
        settings: dict[str, Any] = {"is_causal": is_causal, "scale": scale}
        if enable_gqa:
            settings["enable_gqa"] = True
        return F.scaled_dot_product_attention(query, key, value, attn_mask, **settings)
    if enable_gqa:
        raise CannotFuse("scaled_dot_product_attention: grouped queries with dropout")
    if is_causal:
        ones = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device)
        attn_mask = ones.tril()
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    weights = _weigh(scores, attn_mask, dropout_p, streams)
    return weights @ value


def _weigh(scores: Tensor, mask: Tensor | None, dropout: float, streams: Streams) -> Tensor:
    if mask is not None and mask.dtype is torch.bool:
        scores = scores.masked_fill(~mask, float("-inf"))
    elif mask is not None:
        scores = scores + mask
    weights = scores.softmax(dim=-1)
    if dropout == 0:
        return weights
    return weights * streams.kept(weights.shape[1:], dropout, weights)


@form(F.multi_head_attention_forward, random=True)
def multi_head_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
    *,
    streams: Streams,
) -> tuple[Tensor, Tensor | None]:
    """query (K, L, N, E), key and value (K, S, N, E); weights (K, out, in), biases (K, out)."""
    if add_zero_attn or any(one is not None for one in (bias_k, bias_v, static_k, static_v)):
        raise CannotFuse("MultiheadAttention with bias_k, add_zero_attn or static keys")
    if query.dim() != 4:
        raise CannotFuse("MultiheadAttention over one example without a batch")
    if use_separate_proj_weight or in_proj_weight is None:
        weights = [q_proj_weight, k_proj_weight, v_proj_weight]
    else:
        weights = list(in_proj_weight.chunk(3, dim=1))
    biases = [None] * 3 if in_proj_bias is None else list(in_proj_bias.chunk(3, dim=1))
    if query is key is value and in_proj_weight is not None:
        projected = list(linear(query, in_proj_weight, in_proj_bias).chunk(3, dim=-1))
    else:
        inputs = zip((query, key, value), weights, biases, strict=True)
        projected = [linear(x, _given(w), b) for x, w, b in inputs]
    size, length, count = query.shape[:3]
    q, k, v = (  # (K, N, heads, L, features of a head)
        x.unflatten(3, (num_heads, -1)).permute(0, 2, 3, 1, 4) for x in projected
    )
    mask = _joined(attn_mask, key_padding_mask, q, count)
    rate = dropout_p if training else 0.0
    if need_weights:
        attention = _weigh(q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1), mask, rate, streams)
        attended = attention @ v
    else:
        attention = None
        causal = is_causal and key_padding_mask is None
        attended = attend(
            q, k, v, None if causal else mask, rate, is_causal=causal, streams=streams
        )
    rows = attended.permute(0, 3, 1, 2, 4).reshape(size, length, count, -1)
    outputs = linear(rows, out_proj_weight, out_proj_bias)
    if attention is not None and average_attn_weights:
        attention = attention.mean(dim=2)
    return outputs, attention


def _joined(
    mask: Tensor | None, padding: Tensor | None, query: Tensor, count: int
) -> Tensor | None:
    """Both masks as one that is added, (K, N or 1, heads or 1, L or 1, S)."""
    joined = None
    if mask is not None:
        joined = _added(mask, query.dtype)
        several = mask.dim() == 4  # (K, N heads, L, S)
        joined = joined.unflatten(1, (count, -1)) if several else joined[:, None, None]
    if padding is not None:
        own = _added(padding, query.dtype)[:, :, None, None]
        joined = own if joined is None else joined + own
    return joined


def _added(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask of what is left out as what is added."""
    if mask.dtype is not torch.bool:
        return mask.to(dtype)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(mask, -torch.inf)


def _given(weight: Tensor | None) -> Tensor:
    if weight is None:
        raise CannotFuse("MultiheadAttention without one of its projections")
    return weight

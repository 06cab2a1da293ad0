"""Attention and transformers in an array learn what each would alone."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.trainer.fused.both import Make, learns_the_same

EXAMPLE = torch.rand(2, 5, 8, dtype=torch.float64)
"""Sequences of five steps of eight numbers."""


class Own(nn.Module):
    """Attention as people write it themselves: heads by reshaping, a causal or a random mask."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)
        self.register_buffer("hidden", torch.ones(5, 5).triu(1).bool())

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, 2, 4).permute(2, 0, 3, 1, 4)
        if self.kind == "by hand":
            weights = (q @ k.transpose(-2, -1)) / 4**0.5
            weights = weights.masked_fill(self.hidden[:t, :t], float("-inf")).softmax(dim=-1)
            seen = weights @ v
        elif self.kind == "masked":
            seen = F.scaled_dot_product_attention(q, k, v, ~self.hidden)
        else:
            rate = 0.3 if self.training and self.kind == "dropout" else 0.0
            seen = F.scaled_dot_product_attention(q, k, v, dropout_p=rate, is_causal=True)
        return self.out(seen.transpose(1, 2).reshape(n, t, 8)).mean(dim=1)  # type: ignore[no-any-return]


class Heads(nn.Module):
    """MultiheadAttention with masks, its weights looked at."""

    def __init__(self, **settings: object) -> None:
        super().__init__()
        self.heads = nn.MultiheadAttention(8, 2, **settings)  # type: ignore[arg-type]
        self.other = nn.Linear(8, int(settings.get("kdim", 8)))  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        padding = x[..., 0] > 0.95
        mask = torch.ones(5, 5).triu(1).bool()
        other = self.other(x)
        if not self.heads.batch_first:
            x, other = x.transpose(0, 1), other.transpose(0, 1)
        seen, weights = self.heads(x, other, other, key_padding_mask=padding)
        again, _ = self.heads(x, other, other, attn_mask=mask, need_weights=False)
        seen = seen + again if self.heads.batch_first else (seen + again).transpose(0, 1)
        return seen.mean(dim=1) + weights.amax(dim=(1, 2)).unsqueeze(1)  # type: ignore[no-any-return]


class Encoder(nn.Module):
    def __init__(self, *, masked: bool = False, **settings: object) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, **settings)  # type: ignore[arg-type]
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(5))
        self.masked = masked

    def forward(self, x: Tensor) -> Tensor:
        mask = self.mask if self.masked else None
        return self.layers(x, mask=mask, is_causal=self.masked).mean(dim=1)  # type: ignore[no-any-return]


MODELS: dict[str, Make] = {
    "by hand": lambda: Own("by hand"),
    "masked": lambda: Own("masked"),
    "causal": lambda: Own("causal"),
    "attention with dropout": lambda: Own("dropout"),
    "heads": lambda: Heads(batch_first=True),
    "heads, steps first": lambda: Heads(dropout=0.2),
    "heads of other sizes": lambda: Heads(kdim=6, vdim=6, batch_first=True, bias=False),
    "encoder": lambda: Encoder(batch_first=True),
    "encoder with norms first": lambda: Encoder(norm_first=True, activation="gelu", dropout=0.0),
    "encoder with a mask": lambda: Encoder(batch_first=True, masked=True, dropout=0.3),
}


@pytest.mark.parametrize("name", MODELS)
def test_model(name: str) -> None:
    learns_the_same(MODELS[name], EXAMPLE)

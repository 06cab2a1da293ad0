"""The forms of torch's functions for arrays, a file for each family; see `registry.py`."""

from trainer.fused.forms import (
    attention,
    convolution,
    dropout,
    embedding,
    linear,
    norms,
    pointwise,
    pooling,
    recurrent,
    reductions,
    shapes,
)
from trainer.fused.forms.registry import FORMS, RANDOM

__all__ = [
    "FORMS",
    "RANDOM",
    "attention",
    "convolution",
    "dropout",
    "embedding",
    "linear",
    "norms",
    "pointwise",
    "pooling",
    "recurrent",
    "reductions",
    "shapes",
]

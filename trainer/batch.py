"""Batches, whatever their form: a tensor, or a tuple or dict of tensors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

Batch: TypeAlias = tuple[Any, Any]
"""Inputs as a model takes them, and targets as a loss takes them."""


@dataclass(frozen=True)
class Order:
    """The order of one epoch.

    Attributes:
        positions: int64 (N), each example once.
        seed: decides what is random in reading the examples one by one.
    """

    positions: Tensor
    seed: int = 0

    def same(self, other: "Order") -> bool:
        return self.seed == other.seed and torch.equal(self.positions, other.positions)


def each(function: Callable[[Tensor], Tensor], values: Any) -> Any:
    """Apply a function to every tensor of a tuple or dict, or to the one."""
    if values is None:
        return None
    if isinstance(values, dict) or (isinstance(values, tuple | list) and not _is_numbers(values)):
        return like(values, [each(function, value) for value in parts(values)])
    return function(values)


def parts(values: Any) -> list[Any]:
    """What a tuple, list or dict holds."""
    return list(values.values() if isinstance(values, dict) else values)


def like(values: Any, new: Sequence[Any]) -> Any:
    """Other parts in the place of a tuple's, list's or dict's, also one with names of its own.

    A list comes as a tuple, but those of named tuples and of classes derived from dict as they are.
    """
    if isinstance(values, dict):
        named = dict(zip(values, new, strict=True))
        return named if type(values) is dict else type(values)(**named)
    return type(values)(*new) if hasattr(values, "_fields") else tuple(new)


def stack(values: Sequence[Any]) -> Any:
    """Equal trees of tensors as one, along a new first dimension."""
    first = values[0]
    if first is None:
        return None
    if isinstance(first, dict):  # by name: another member's may stand in another order
        return like(first, [stack([one[name] for one in values]) for name in first])
    if isinstance(first, tuple | list):
        return like(first, [stack(same) for same in zip(*values, strict=True)])
    return torch.stack(list(values))


def leaves(values: Any) -> list[Any]:
    """Every tensor of a tuple or dict, or the one."""
    if values is None:
        return []
    if isinstance(values, dict):
        return [leaf for value in values.values() for leaf in leaves(value)]
    if isinstance(values, tuple | list) and not _is_numbers(values):
        return [leaf for value in values for leaf in leaves(value)]
    return [values]


def form(values: Any) -> Any:
    """How a tree of tensors is made, but for the tensors: equal for trees that are alike."""
    if isinstance(values, dict):
        return type(values), tuple((name, form(value)) for name, value in values.items())
    if isinstance(values, tuple | list) and not _is_numbers(values):
        return type(values), tuple(form(value) for value in values)
    return values is None


def length(values: Any) -> int:
    """How many examples."""
    return len(leaves(values)[0])


def as_inputs(values: Any) -> Any:
    """As layers take them: images in [0, 1], numbers in the default type, others int64."""
    return each(_as_input, values)


def as_targets(values: Any) -> Any:
    """As losses take them: numbers in the default type, others int64."""
    return each(_as_target, values)


def is_images(tensor: Tensor) -> bool:
    """Whether bytes are images: (N, C, H, W)."""
    return tensor.dtype is torch.uint8 and tensor.dim() == 4


def to_float(images: Tensor) -> Tensor:
    """Bytes to numbers in [0, 1], of torch's default type."""
    return images.to(torch.get_default_dtype()).div_(255)


def call(model: nn.Module, inputs: Any) -> Any:
    """A model's outputs for one tensor, a tuple of arguments, or a dict of them by name."""
    if isinstance(inputs, dict):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)


def _as_input(tensor: Tensor) -> Tensor:
    return to_float(tensor) if is_images(tensor) else _as_target(tensor)


def _as_target(tensor: Tensor) -> Tensor:
    if tensor.dtype is torch.bool:
        return tensor
    return tensor.to(torch.get_default_dtype() if tensor.is_floating_point() else torch.int64)


def _is_numbers(values: Any) -> bool:
    """Whether a list is of plain numbers, or rows of them, and not of tensors or arrays."""
    while isinstance(values, tuple | list) and values:
        values = values[0]
    return isinstance(values, bool | int | float)

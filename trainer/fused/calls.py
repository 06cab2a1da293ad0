"""What has no form for arrays: one of torch's own functions, for all members by ``torch.vmap``.

Where torch has no rule for it either, it is called for one member after another: right, and as slow
as alone.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from trainer.fused.common import CannotFuse
from trainer.fused.streams import Rates, together


class Call:
    """One of torch's functions with its arguments, but for the tensors that are the members'.

    Args:
        tensors: those, as of one member, in the order in which calls are given the members'.
    """

    def __init__(
        self, function: Any, args: Any, kwargs: Any, tensors: Sequence[Tensor], size: int
    ) -> None:
        self._function, self._size = function, size
        self._args, self._kwargs = _slots(args, tensors), _slots(kwargs, tensors)
        self._strides = [torch.empty_like(tensor).stride() for tensor in tensors]
        own_rates = any(isinstance(one, Rates) for one in (*args, *kwargs.values()))
        self._batches: bool | None = False if own_rates else None

    def of(self, member: int, *tensors: Tensor) -> Any:
        """For this member: at its own rates, its tensors in memory as it has them alone."""
        pairs = zip(tensors, self._strides, strict=True)
        lying = [_lying(tensor[member], strides) for tensor, strides in pairs]
        args, kwargs = _filled((self._args, self._kwargs), lying, member)
        return self._function(*args, **kwargs)

    def batched(self, *tensors: Tensor) -> Any:
        """For all members at once, if torch knows how; else for one after another."""
        if self._batches is None:
            self._batches = self._can_batch(tensors)
        if self._batches:
            return torch.vmap(self._any)(*tensors)
        return together([self.of(member, *tensors) for member in range(self._size)])

    def _any(self, *tensors: Tensor) -> Any:
        args, kwargs = _filled((self._args, self._kwargs), tensors, 0)
        return self._function(*args, **kwargs)

    def _can_batch(self, tensors: Sequence[Tensor]) -> bool:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("error")  # torch warns where it takes one after another itself
            try:
                torch.vmap(self._any)(*(tensor.clone() for tensor in tensors))
            except Exception:  # whatever it is, members alone will show it again
                return False
        return True


def vmapped(call: Call, *tensors: Tensor) -> Any:
    """The form of what has none."""
    return call.batched(*tensors)


def _lying(tensor: Tensor, strides: tuple[int, ...]) -> Tensor:
    """The tensor, in this order in memory: random numbers are drawn in it."""
    if tensor.stride() == strides:
        return tensor
    like = torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype, device=tensor.device)
    return like.copy_(tensor)


class _Slot(int):
    """The place of a member's tensor among a call's."""


def _slots(value: Any, tensors: Sequence[Tensor]) -> Any:
    if isinstance(value, Tensor):
        for place, tensor in enumerate(tensors):
            if tensor is value:
                return _Slot(place)
        check_constant(value)
        return value.detach()
    return _mapped(value, lambda one: _slots(one, tensors))


def _filled(value: Any, tensors: Sequence[Tensor], member: int) -> Any:
    if isinstance(value, _Slot):
        return tensors[value]
    if isinstance(value, Rates):
        return value.members[member]
    return _mapped(value, lambda one: _filled(one, tensors, member))


def _mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(value, tuple | list):
        kind = list if isinstance(value, list) else tuple
        return kind(function(one) for one in value)
    if isinstance(value, dict):
        return {key: function(one) for key, one in value.items()}
    return value


def check_constant(tensor: Tensor) -> None:
    if tensor.requires_grad:
        raise CannotFuse("its forward computes by other means than functions of torch")

"""Batches for an array: what each member trains on next, for all of them at once."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from trainer.batch import Batch, Order, as_inputs, as_targets, each, is_images, stack
from trainer.data import Examples, Split
from trainer.fused import ModuleArray

Augment = Callable[[Any], Any]
"""Of the members' inputs, (K, N, ...), each under its member's own random numbers."""


class Gathered:
    """Batches of tensors that lie where the array trains: picked by position, all on the device.

    A step's positions are found by a cursor that lies there too, so that a captured step, replayed,
    takes the next batch.
    """

    def __init__(self, split: Split, members: int, augment: Augment | None) -> None:
        self._split, self._augment = split, augment
        device = split.positions(None).device
        self._order = torch.empty(members, len(split), dtype=torch.int64, device=device)
        self._cursor = torch.zeros((), dtype=torch.int64, device=device)

    def begin(self, orders: Sequence[Order | None]) -> None:
        """Start an epoch, with an order for each member."""
        self._order.copy_(torch.stack([self._split.positions(order) for order in orders]))
        self._cursor.zero_()

    def outputs(self, model: ModuleArray, size: int) -> tuple[Any, Any]:
        """The members' outputs for their next batch, and its targets."""
        positions = self._cursor + torch.arange(size, device=self._cursor.device)
        index = self._order.index_select(1, positions)
        self._cursor += size
        targets = as_targets(each(lambda tensor: tensor[index], self._split.targets))
        images = self._split.inputs
        if self._augment is None and isinstance(images, Tensor) and is_images(images):
            return model.outputs(model.gather(images, index), size), targets
        inputs = as_inputs(each(lambda tensor: tensor[index], images))
        return run(model, inputs if self._augment is None else self._augment(inputs)), targets


class Streamed:
    """Batches that come from elsewhere; those of members with one order are read once."""

    def __init__(
        self, split: Examples, batch_size: int, device: torch.device, augment: Augment | None
    ) -> None:
        self._split, self._augment = split, augment
        self._size, self._device = batch_size, device
        self._streams: list[Iterator[Batch]] = []
        self._stream_of: list[int] = []

    def begin(self, orders: Sequence[Order | None]) -> None:
        """Start an epoch, with an order for each member."""
        distinct: list[Order | None] = []
        self._stream_of = []
        for order in orders:
            same = (n for n, other in enumerate(distinct) if _same(order, other))
            index = next(same, len(distinct))
            if index == len(distinct):
                distinct.append(order)
            self._stream_of.append(index)
        self._streams = [
            iter(self._split.batches(self._size, order, self._device)) for order in distinct
        ]

    def outputs(self, model: ModuleArray, size: int) -> tuple[Any, Any]:
        """The members' outputs for their next batch, and its targets."""
        read = [next(stream) for stream in self._streams]
        inputs = stack([read[n][0] for n in self._stream_of])
        targets = stack([read[n][1] for n in self._stream_of])
        return run(model, inputs if self._augment is None else self._augment(inputs)), targets


def run(model: ModuleArray, inputs: Any) -> Any:
    """The outputs of an array for all members' inputs, as :func:`trainer.batch.call` for one."""
    if isinstance(inputs, dict):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)


def _same(one: Order | None, other: Order | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.same(other)

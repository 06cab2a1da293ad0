"""Map-style data sets, read item by item through torch's DataLoader, in worker processes if asked.

A worker seeds Python's, NumPy's and torch's generators for every item: the item does not depend on
which worker reads it, nor on what was read before. That costs some 20 µs an item.
"""

import multiprocessing
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from trainer.batch import Batch, Order, as_inputs, as_targets, each

LARGEST_SEED = 2**31


@dataclass(frozen=True)
class Items:
    """A data set's items, or the chosen ones; as :class:`trainer.data.Split` for tensors."""

    dataset: Any
    workers: int
    collate: Callable[[list[Any]], Any] | None
    one_order: bool = False
    chosen: Tensor | None = None
    resident = False

    def __len__(self) -> int:
        return len(self.dataset) if self.chosen is None else len(self.chosen)

    def choose(self, chosen: Tensor) -> "Items":
        return replace(self, chosen=chosen if self.chosen is None else self.chosen[chosen])

    def to(self, device: torch.device) -> "Items":
        return self

    def few(self, count: int) -> Batch:
        """The first examples as a batch, read here: no process is started for them."""
        return self.beginning(count, 1)[0]

    def beginning(self, size: int, count: int) -> list[Batch]:
        """The first full batches of this size, at most so many, at least one."""
        full = max(1, min(count, len(self) // size))
        first = self.choose(torch.arange(min(full * size, len(self))))
        return list(replace(first, workers=0).batches(size))

    def example(self, count: int) -> Any:
        """The first inputs, as a model takes them."""
        return self.few(count)[0]

    def batches(
        self, size: int, order: Order | None = None, device: torch.device | None = None
    ) -> Iterator[Batch]:
        """Batches in an order, or as stored; the last may be smaller."""
        positions = torch.arange(len(self)) if order is None else order.positions
        picked = positions if self.chosen is None else self.chosen[positions]
        seed = 0 if order is None else order.seed
        pairs = [(i, (seed + i) % LARGEST_SEED) for i in picked.tolist()]
        plan = [pairs[start : start + size] for start in range(0, len(pairs), size)]
        loader: DataLoader[Any] = DataLoader(
            _Seeded(self.dataset),
            batch_sampler=plan,
            num_workers=self.workers,
            collate_fn=self.collate or default_collate,
            pin_memory=device is not None and device.type == "cuda",
            multiprocessing_context=_context() if self.workers else None,
            generator=Generator(),  # else it would draw from the run's own random numbers
        )
        move: Callable[[Tensor], Tensor] = lambda t: t.to(device, non_blocking=True)  # noqa: E731
        for inputs, targets in loader:
            yield as_inputs(each(move, inputs)), as_targets(each(move, targets))


class _Seeded(Dataset[Any]):
    """Reads an item under a seed of its own."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._read = _one_of_many(dataset) if _reads_many(dataset) else dataset.__getitem__

    def __getitem__(self, index: tuple[int, int]) -> Any:
        position, seed = index
        with seeded(seed):
            return self._read(position)


def check_map_style(name: str, dataset: Any) -> None:
    """Raise ``ValueError`` for what has no items that can be asked for by number."""
    if not (hasattr(dataset, "__len__") and (hasattr(dataset, "__getitem__"))):
        raise ValueError(
            f"Datasets: {name} must have a length and items that can be asked for by number, as its"
            f" order is the run's; {type(dataset).__name__} has not: read it into Tensors, or give"
            " it __len__ and __getitem__"
        )


def _reads_many(dataset: Any) -> bool:
    """Whether a data set is asked for several items at once, and cannot be for one."""
    one = getattr(type(dataset), "__getitem__", None)
    return one is Dataset.__getitem__ and hasattr(dataset, "__getitems__")


def _one_of_many(dataset: Any) -> Callable[[int], Any]:
    return lambda position: dataset.__getitems__([position])[0]


@contextmanager
def seeded(seed: int, *, torchs: bool = True) -> Iterator[None]:
    """Seed every generator that augmentation may draw from, and put them back.

    Args:
        torchs: whether torch's, on the CPU, is one of them.
    """
    python, numpy, of_torch = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    if torchs:
        torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        if torchs:
            torch.set_rng_state(of_torch)


def _context() -> Any:
    """Never a fork of this process, which may hold a GPU, and has Ray's threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch"])
    return context

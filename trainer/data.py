"""What a task's `data` gives: tensors that are held once, or data sets that are read item by item.

Tensors stay as they are stored until a batch of them is used: bytes stay bytes, what is mapped from
a file stays in the file, and all runs of a process share one copy.
"""

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Generator, Tensor

from trainer.batch import Batch, Order, as_inputs, as_targets, each, leaves, length
from trainer.reader import Items, check_map_style

EVALUATED = 1000
"""Examples in a batch that is evaluated, if they are small,"""
EVALUATED_NUMBERS = 1 << 22
"""and their numbers, if they are not."""
HELD_OUT = 0x5EED
"""Seeds which examples are held out: the same for every run on the same data."""


@dataclass(frozen=True)
class Split:
    """Examples in tensors of one length, on one device.

    Attributes:
        inputs: a tensor (N, ...), or a tuple or dict of such, as the model takes them.
        targets: the same, as the loss takes them.
        chosen: int64, which of the examples are used, in this order; ``None``: all.
    """

    inputs: Any
    targets: Any
    chosen: Tensor | None = None

    def __len__(self) -> int:
        return length(self.inputs) if self.chosen is None else len(self.chosen)

    @property
    def resident(self) -> bool:
        """Whether the examples lie on a GPU."""
        return bool(leaves(self.inputs)[0].is_cuda)

    def first(self, part: float) -> "Split":
        """The first of the examples: this part of them, at least one."""
        count = max(1, int(part * len(self)))
        if self.chosen is not None:
            return replace(self, chosen=self.chosen[:count])
        return Split(
            each(lambda t: t[:count], self.inputs), each(lambda t: t[:count], self.targets)
        )

    def choose(self, chosen: Tensor) -> "Split":
        """Some of the examples, by their positions; nothing is copied."""
        chosen = chosen.to(leaves(self.inputs)[0].device)
        return replace(self, chosen=chosen if self.chosen is None else self.chosen[chosen])

    def to(self, device: torch.device) -> "Split":
        """On a device; on a GPU only if at least half of its free memory stays free."""
        if device.type == "cuda":
            whole = [*leaves(self.inputs), *leaves(self.targets)]
            free, _ = torch.cuda.mem_get_info(device)
            if sum(tensor.nbytes for tensor in whole) > free / 2:
                return self
        move: Callable[[Tensor], Tensor] = lambda tensor: tensor.to(device)  # noqa: E731
        chosen = None if self.chosen is None else self.chosen.to(device)
        return Split(each(move, self.inputs), each(move, self.targets), chosen)

    def few(self, count: int) -> Batch:
        """The first examples as a batch."""
        return self.beginning(count, 1)[0]

    def beginning(self, size: int, count: int) -> list[Batch]:
        """The first full batches of this size, at most so many, at least one."""
        full = max(1, min(count, len(self) // size))
        return list(islice(self.batches(size), full))

    def example(self, count: int) -> Any:
        """The first inputs, as a model takes them."""
        return self.few(count)[0]

    def batches(
        self, size: int, order: Order | None = None, device: torch.device | None = None
    ) -> Iterator[Batch]:
        """Batches in an order, or as stored; the last may be smaller.

        Numbers come in torch's default type, bytes of four dimensions as images in [0, 1], other
        whole numbers as int64.
        """
        if order is None and self.chosen is None:
            for start in range(0, len(self), size):
                yield self._take(slice(start, start + size), device)
            return
        for index in self.positions(order).split(size):
            yield self._take(index, device)

    def positions(self, order: Order | None) -> Tensor:
        """Where the examples lie, in an order, or as stored."""
        home = leaves(self.inputs)[0].device
        if order is None:
            return torch.arange(len(self), device=home) if self.chosen is None else self.chosen
        drawn = order.positions.to(home)
        return drawn if self.chosen is None else self.chosen[drawn]

    def _take(self, index: slice | Tensor, device: torch.device | None) -> Batch:
        def taken(convert: Callable[[Any], Any], whole: Any) -> Any:
            def own(tensor: Tensor) -> Tensor:
                part: Tensor = convert(tensor[index].to(device))
                shared = part.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr()
                return part.clone() if shared else part  # a forward may change it in place

            return each(own, whole)

        return taken(as_inputs, self.inputs), taken(as_targets, self.targets)


Examples: TypeAlias = "Split | Items"


@dataclass(frozen=True, eq=False)
class Tensors:
    """Examples in memory, or mapped from a file: torch tensors or NumPy arrays of any type.

    Args:
        train: pairs of inputs and targets, of one length. Inputs may be a tuple or a dict for a
            model of several arguments; what is bytes of (N, C, H, W) reaches the model as numbers
            in [0, 1].
        test: examples that are not trained on.
        validation: more of those; else the parameter ``validation`` holds some of ``train`` out.

    Raises:
        ValueError: the lengths differ, or there are no examples.
    """

    train: Any
    test: Any
    validation: Any = None

    def __post_init__(self) -> None:
        for name in ("train", "test", "validation"):
            pair = getattr(self, name)
            if pair is not None and not isinstance(pair, Split):
                object.__setattr__(self, name, _split(name, pair))


@dataclass(frozen=True, eq=False)
class Datasets:
    """Map-style data sets of (inputs, target), read through torch's DataLoader.

    Each item is read under a seed of its own, so that random augmentation in ``__getitem__`` is the
    same whatever the number of workers, and when a run goes on from a checkpoint.

    Args:
        train, test, validation: as in :class:`Tensors`.
        workers: processes that read, for each order that is read in; 0 reads in the trial's own.
        collate: makes a batch of items; by default torch's.
        one_order: every epoch has an order of its own that all runs share, so that an array reads
            each item once for all of its members. Else each run has the order of its seed.
    """

    train: Any
    test: Any
    validation: Any = None
    workers: int = 0
    collate: Callable[[list[Any]], Any] | None = None
    one_order: bool = False

    def __post_init__(self) -> None:
        for name in ("train", "test", "validation"):
            dataset = getattr(self, name)
            if dataset is not None and not isinstance(dataset, Items):
                check_map_style(name, dataset)
                items = Items(dataset, self.workers, self.collate, self.one_order)
                if not len(items):
                    raise ValueError(f"Datasets: {name} has no examples")
                object.__setattr__(self, name, items)


Data: TypeAlias = "Tensors | Datasets"


@lru_cache(maxsize=4)
def splits_of(
    data: Data, held_out: float, device: torch.device | None = None
) -> dict[str, Examples]:
    """``train``, ``test`` and, if there is one, ``validation``, kept for who asks again.

    Args:
        device: where tensors are to lie, if they fit.
        held_out: the part of the training examples that becomes the validation split, drawn by a
            seed that is the same for all runs.

    Raises:
        ValueError: the data cannot be split so.
    """
    whole = {"train": data.train, "test": data.test, "validation": data.validation}
    splits: dict[str, Examples] = {
        name: split.to(device) if device else split
        for name, split in whole.items()
        if split is not None
    }
    if not held_out:
        return splits
    if data.validation is not None:
        raise ValueError("validation must be 0 where the data bring a validation split")
    count = len(data.train)
    held = round(held_out * count)
    if not 0 < held < count:
        raise ValueError(f"validation must hold out some of {count} examples, got {held_out}")
    drawn = torch.randperm(count, generator=Generator().manual_seed(HELD_OUT))
    train = splits["train"]
    splits["train"] = train.choose(drawn[held:].sort().values)
    splits["validation"] = train.choose(drawn[:held].sort().values)
    return splits


def batch_sizes(count: int, size: int) -> list[int]:
    """The sizes of the batches of so many examples; the last may be smaller."""
    full, rest = divmod(count, size)
    return [size] * full + [rest] * (rest > 0)


def evaluated_at_once(example: Any) -> int:
    """How many examples to evaluate in a batch."""
    numbers: int = sum(math.prod(tensor.shape[1:]) for tensor in leaves(example))
    return max(1, min(EVALUATED, EVALUATED_NUMBERS // max(1, numbers)))


def _split(name: str, pair: Any) -> Split:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise ValueError(f"Tensors: {name} must be (inputs, targets), got {type(pair).__name__}")
    inputs, targets = (each(_tensor, part) for part in pair)
    lengths = {len(tensor) for tensor in (*leaves(inputs), *leaves(targets))}
    if len(lengths) != 1 or 0 in lengths:
        shown = ", ".join(map(str, sorted(lengths))) or "none"
        raise ValueError(f"Tensors: {name} must be of one length above 0, got lengths {shown}")
    return Split(inputs, targets)


def _tensor(values: Any) -> Tensor:
    """The same memory as a tensor; what is mapped from a file stays there."""
    if isinstance(values, Tensor):
        return values
    with warnings.catch_warnings():  # of an array that is read-only; nobody writes to it
        warnings.simplefilter("ignore")
        return torch.from_numpy(np.asarray(values))

"""Random numbers for an array: each member has a stream of its own, the same alone as in an array.

A model alone draws from torch's own generator; inside ``drawing(stream)`` that is the member's
stream. In an array dropout draws from each member's stream in turn, as many numbers and in the
order that the member would alone, so both have the same masks. So does anything else that draws
random numbers in a forward, one member after another.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Generator, Tensor

from trainer.fused.common import CannotFuse


class Rates(float):
    """A rate that is each member's own; it may be compared with a number, as the highest of them,
    but not computed with."""

    members: tuple[float, ...]

    def __new__(cls, members: Sequence[float]) -> "Rates":
        rates = super().__new__(cls, max(members))
        rates.members = tuple(members)
        return rates

    def __deepcopy__(self, memo: Any) -> "Rates":
        return self

    def _refuse(self, *others: Any) -> Any:
        raise CannotFuse("its forward computes with a dropout rate, and the rates differ")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse
    __truediv__ = __rtruediv__ = __pow__ = __rpow__ = __neg__ = _refuse


class Streams:
    """The members' generators, one each, on the device of their models."""

    def __init__(self, generators: Sequence[Generator]) -> None:
        self.generators = list(generators)

    def kept(
        self, shape: Sequence[int], rate: float, like: Tensor, order: Sequence[int] = ()
    ) -> Tensor:
        """What dropout multiplies by: 0, or what keeps the mean, (K, *shape).

        ``order``: of the dimensions in a member's memory, the outermost first, as numbers are
        drawn; empty if it is theirs.
        """
        if order:
            drawn = self.kept([shape[dim] for dim in order], rate, like)
            places = sorted(range(len(order)), key=order.__getitem__)
            return drawn.permute(0, *(place + 1 for place in places))
        rates = rate.members if isinstance(rate, Rates) else (rate,) * len(self.generators)
        kept = torch.empty(len(rates), *shape, dtype=like.dtype, device=like.device)
        for own, one, generator in zip(kept, rates, self.generators, strict=True):
            if one == 0:  # alone nothing is drawn either
                own.fill_(1)
            elif one == 1:
                own.zero_()
            else:
                own.bernoulli_(1 - one, generator=generator).div_(1 - one)
        return kept


def incomparable(streams: Sequence[Generator], before: Sequence[Tensor]) -> bool:
    """Whether what has been computed since these states cannot equal what a member computes alone.

    On a GPU torch's own kernels, dropout's say, take their numbers from a stream in another order.
    """
    if all(stream.device.type == "cpu" for stream in streams):
        return False
    pairs = zip(streams, before, strict=True)
    return any(not torch.equal(stream.get_state(), state) for stream, state in pairs)


@contextmanager
def drawing(stream: Generator) -> Iterator[None]:
    """All that torch draws in here comes from this stream, and takes it further."""
    if stream.device.type == "cuda":
        saved = torch.cuda.get_rng_state(stream.device)
        torch.cuda.set_rng_state(stream.get_state(), stream.device)
        try:
            yield
        finally:
            stream.set_state(torch.cuda.get_rng_state(stream.device))
            torch.cuda.set_rng_state(saved, stream.device)
        return
    saved = torch.get_rng_state()
    torch.set_rng_state(stream.get_state())
    try:
        yield
    finally:
        stream.set_state(torch.get_rng_state())
        torch.set_rng_state(saved)


def drawn(streams: Streams, call: Any, *tensors: Tensor) -> Any:
    """What draws random numbers and has no form: for one member after another."""
    if any(generator.device.type == "cuda" for generator in streams.generators):
        raise CannotFuse("random numbers other than dropout's, on a GPU")
    results = []
    for index, generator in enumerate(streams.generators):
        with drawing(generator):
            results.append(call.of(index, *tensors))
    return together(results)


def together(results: Sequence[Any]) -> Any:
    """What each member has got, with the members in front."""
    if isinstance(results[0], Tensor):
        return torch.stack(list(results))
    return tuple(together(same) for same in zip(*results, strict=True))

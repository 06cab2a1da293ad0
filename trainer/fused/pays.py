"""Whether an array pays: its step beside a member's step alone, timed on the device at hand."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

ROUNDS = 5
"""How often both are timed, if there is time; the fastest of each counts."""

SECONDS = 0.5
"""After which no round is begun, but the second."""

LEAST = 0.97
"""How many times as fast an array must be; below 1 by what timing cannot tell."""


@dataclass(frozen=True)
class Timing:
    """Seconds for a step of one member alone, and for one of the array of ``size`` members."""

    alone: float
    together: float
    size: int

    @property
    def ratio(self) -> float:
        """How many times as fast the array is as its members one after another."""
        return self.size * self.alone / self.together

    @property
    def pays(self) -> bool:
        return self.ratio >= LEAST


def measure(
    alone: Callable[[], None], together: Callable[[], None], size: int, device: torch.device
) -> Timing:
    """Time a step of one member and a step of an array, by turns.

    Both are run once before, so that what is set up once does not count.
    """

    # on one thread the processor's own time, which what else the machine does hardly changes
    alone_on_it = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone_on_it else time.perf_counter

    def seconds(step: Callable[[], None]) -> float:
        begun = clock()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return clock() - begun

    seconds(alone), seconds(together)
    begun = time.perf_counter()
    rounds: list[tuple[float, float]] = []
    while len(rounds) < 2 or (len(rounds) < ROUNDS and time.perf_counter() - begun < SECONDS):
        rounds.append((min(seconds(alone) for _ in range(2)), seconds(together)))
    best_alone, best_together = (min(times) for times in zip(*rounds, strict=True))
    return Timing(best_alone, best_together, size)


@contextmanager
def unchanged(
    models: Sequence[nn.Module], optimizers: Sequence[Optimizer], streams: Sequence[Generator]
) -> Iterator[None]:
    """Whatever is trained in here, models, optimizers and streams are afterwards as before.

    In place: an array whose members they are goes back with them.
    """
    held = [tensor for model in models for tensor in (*model.parameters(), *model.buffers())]
    held += [
        value
        for optimizer in optimizers
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, Tensor)
    ]
    # in the host's memory: on a GPU there may be no room for as much again
    saved = [tensor.detach().to("cpu", copy=True) for tensor in held]
    states = [stream.get_state() for stream in streams]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, before in zip(held, saved, strict=True):
                tensor.copy_(before)
        for stream, state in zip(streams, states, strict=True):
            stream.set_state(state)

"""How the learning rate goes over a run: a factor, from the time alone, so that nothing is stored.

A time is in epochs, with fractions: half-way through the third epoch it is 2.5.
"""

import math
from collections.abc import Callable
from typing import TypeAlias

from trainer.config import Settings

Schedule: TypeAlias = Callable[[float], float]
"""From the time to what the learning rate is multiplied by."""

OVER_ALL = ("linear", "cosine")
"""Schedules that end with the last epoch: with more epochs, every one of them is another."""


def schedule_of(settings: Settings) -> Schedule | None:
    """The schedule that a configuration names; ``None`` if the rate never changes."""
    kind, warmup, epochs = settings.schedule, settings.warmup, settings.epochs
    if kind == "constant" and not warmup:
        return None

    def factor(time: float) -> float:
        if time < warmup:
            return time / warmup
        match kind:
            case "step":
                return float(settings.gamma ** (int(time) // settings.step_size))
            case "constant":
                return 1.0
        done = min(1.0, (time - warmup) / max(epochs - warmup, 1e-9))
        return 1 - done if kind == "linear" else (1 + math.cos(math.pi * done)) / 2

    return factor

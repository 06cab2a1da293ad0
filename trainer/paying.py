"""Whether to train as an array: timed on a batch, before anything is trained."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch

from trainer.batch import each
from trainer.data import Examples
from trainer.fused import Timing, drawing, measure
from trainer.loop import precisely, train_batch
from trainer.state import TrainState
from trainer.together import TrainingArray

SHORT = 100
"""Steps of a whole training; where there are no more, timing would cost more than it could gain."""

_found: dict[tuple[str, int], Timing] = {}
"""What has been timed in this process, by what an array's members agree in, and their number."""


def time_array(
    array: TrainingArray, states: Sequence[TrainState], train: Examples
) -> Timing | None:
    """A step of an array beside one of its first member alone; ``None`` if it is too short.

    Args:
        states: the members' own, tied to the array's. Nothing is changed by it.
    """
    first = states[0]
    setup, device = first.setup, first.noise.device
    settings = setup.settings
    if math.ceil(len(train) / settings.batch_size) * settings.epochs <= SHORT:
        return None
    key = (setup.task.fuse_key(setup.config), len(states))
    if key not in _found:
        few = train.few(settings.batch_size)
        inputs, targets = (each(lambda tensor: tensor.to(device), part) for part in few)
        model, optimizer = copy.deepcopy((first.model, first.optimizer))
        wide_inputs, wide_targets = (
            each(lambda tensor: tensor.expand(len(states), *tensor.shape).contiguous(), one)
            for one in (inputs, targets)
        )
        noise = torch.Generator(device)
        model.train()
        with array.unchanged(), precisely(settings.precision), drawing(noise):
            _found[key] = measure(
                lambda: _ignore(train_batch(setup, model, optimizer, inputs, targets)),
                lambda: array.update(array.differentiate(wide_inputs, wide_targets)[1]),
                len(states),
                device,
            )
    return _found[key]


def _ignore(result: Any) -> None:
    """What a step gives is of no interest to timing."""

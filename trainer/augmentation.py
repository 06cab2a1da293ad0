"""A batch as a task's ``augment`` changes it, under the run's own random numbers."""

import zlib
from typing import Any

from trainer.reader import seeded
from trainer.state import TrainState


def augmented(state: TrainState, inputs: Any, step: int) -> Any:
    """The inputs of an epoch's step, changed.

    What torch draws comes from the run's stream, which the caller has put in place; Python's and
    NumPy's random numbers follow from seed, epoch and step, and so do torch's on the CPU where the
    run is on a GPU.
    """
    change = state.setup.task.augment
    if change is None:
        return inputs
    seed = zlib.crc32(f"{state.setup.settings.seed} {state.epoch} {step}".encode()) >> 1
    with seeded(seed, torchs=state.noise.device.type != "cpu"):
        return change(inputs)

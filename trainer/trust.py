"""Whether an array may be trusted: two of its steps beside two of each member's own.

What a model does besides its forward, hooks say, shows in the gradients; what it keeps from one
step to the next, in the second step. Each member sees other examples, if there are enough, so that
what should be its own, and is not, shows as well. That the optimizers step as torch's do is known.
"""

import copy
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Generator, Tensor, nn

from trainer.batch import Batch, each, stack
from trainer.config import Settings
from trainer.data import Examples, batch_sizes
from trainer.fused import CannotFuse, drawing, incomparable
from trainer.loop import backward, forward, precisely
from trainer.state import TrainState
from trainer.task import Task
from trainer.together import TrainingArray

STEPS = 2
TOLERANCES = {"fp32": 1e-3, "tf32": 1e-2, "bf16": 5e-2}
"""How far apart losses may be, as a part of them, and ten times as far gradients, as a part of the
largest one of a model."""

Gradients = Mapping[str, Tensor | None]
"""By the names of a model's parameters; ``None`` of those that its loss does not depend on."""

_trusted: dict[str, Task] = {}
"""What has been found right in this process: tasks, by what their members agree and differ in."""


def check_array(array: TrainingArray, states: Sequence[TrainState], train: Examples) -> None:
    """Nothing is changed by it, but what the task itself keeps.

    Args:
        states: the members' own, tied to the array's.

    Raises:
        CannotFuse: the array does not do what its members do.
    """
    setup, device = states[0].setup, states[0].noise.device
    key = _key(states)
    if _trusted.get(key) is setup.task:
        return
    compared = False
    models, streams = [state.model for state in states], [state.noise for state in states]
    names = _names(array.parameters, models[0])
    first = train.beginning(setup.settings.batch_size, STEPS)
    steps = len(batch_sizes(len(train), setup.settings.batch_size))
    with array.unchanged(), precisely(setup.settings.precision):
        copies = copy.deepcopy(models)
        own = [_copied(stream) for stream in streams]
        for step in range(STEPS):
            batches = [_batch_of(first, train, step, index, device) for index in range(len(states))]
            expected = [
                _alone(state, model, stream, batch)
                for state, model, stream, batch in zip(states, copies, own, batches, strict=True)
            ]
            for model in models:
                model.train()
            drawn_before = [stream.get_state() for stream in streams]
            losses, gradients = array.differentiate(*stack(batches))
            if incomparable(streams, drawn_before):
                expected, compared = [], True  # that it can be done at all has been seen
            for index, (loss, wanted) in enumerate(expected):
                got = {name: every[index] for name, every in zip(names, gradients, strict=True)}
                _check_reached(wanted, got)
                tolerance = TOLERANCES[setup.settings.precision]
                compared |= _check_same(losses[index], loss, got, wanted, tolerance)
            for state in states:
                state.set_rates(state.epoch + (step + 0.5) / steps)
            array.update(gradients)
            for model, copied in zip(models, copies, strict=True):
                _take_over(copied, model)
    if compared:
        _trusted[key] = setup.task


def _key(states: Sequence[TrainState]) -> str:
    """What members agree in, and what they differ in that only the user's own code reads."""
    setup = states[0].setup
    kinds = [type(state.optimizer).__name__ for state in states]
    own = [
        {
            name: value
            for name, value in state.setup.config.items()
            if name not in Settings.model_fields
        }
        for state in states
    ]
    return repr((setup.task.fuse_key(setup.config), kinds, own))


def why_not(error: Exception) -> str:
    """Why an array could not be formed, in a line."""
    said = str(error).strip().splitlines() or [""]
    if isinstance(error, CannotFuse):
        return said[0]
    return f"a step of it fails: {type(error).__name__}: {said[0]}"


def _batch_of(
    first: Sequence[Batch], train: Examples, step: int, index: int, device: torch.device
) -> Batch:
    """Members with orders of their own see other examples in a step; others see the same."""
    turn = step if getattr(train, "one_order", False) else step + index
    inputs, targets = first[turn % len(first)]
    return tuple(each(lambda t: t.to(device), part) for part in (inputs, targets))


def _alone(
    state: TrainState, model: nn.Module, stream: Generator, batch: Batch
) -> tuple[Tensor, Gradients]:
    """A member's loss on a batch, and its gradients."""
    model.train()
    with drawing(stream):
        loss, _ = forward(state.setup, model, *(each(torch.clone, part) for part in batch))
        backward(model, loss)
    return loss.detach(), {name: p.grad for name, p in model.named_parameters()}


@torch.no_grad()
def _take_over(copied: nn.Module, member: nn.Module) -> None:
    """The member's parameters, as the array has stepped; all else is the copy's own."""
    for name, parameter in copied.named_parameters():
        parameter.copy_(member.get_parameter(name))


def _names(parameters: Sequence[nn.Parameter], member: nn.Module) -> list[str]:
    """What the first member calls the array's parameters, which its own are parts of."""
    called = {parameter.data_ptr(): name for name, parameter in member.named_parameters()}
    return [called[parameter[0].data_ptr()] for parameter in parameters]


def _check_reached(own: Gradients, array: Mapping[str, Tensor]) -> None:
    """An optimizer passes over what has no gradient; so it must be the same parameters always."""
    for name, gradient in own.items():
        if (gradient is not None) != (name in array):
            raise CannotFuse(f"whether the loss depends on {name} changes from batch to batch")


def _check_same(
    loss: Tensor, own_loss: Tensor, array: Mapping[str, Tensor], own: Gradients, tolerance: float
) -> bool:
    """Whether they could be compared."""
    if not own_loss.isfinite():
        return False  # it has diverged, and so it may have here, sooner or later
    if not torch.allclose(
        loss.double(), own_loss.double(), rtol=tolerance, atol=1e-6, equal_nan=True
    ):
        raise CannotFuse(
            f"the array does not train as its members do: a loss of {float(loss):.6g}"
            f" in place of {float(own_loss):.6g}"
        )
    wanted = {name: gradient for name, gradient in own.items() if gradient is not None}
    peak = max((float(g.abs().max()) for g in wanted.values() if g.numel()), default=0.0)
    if not math.isfinite(peak):
        return False
    for name, gradient in wanted.items():
        got, atol = array[name].double(), 10 * tolerance * peak
        if not torch.allclose(got, gradient.double(), rtol=0, atol=atol, equal_nan=True):
            raise CannotFuse("the array does not have its members' gradients")
    return True


def _copied(stream: Generator) -> Generator:
    copied = Generator(stream.device)
    copied.set_state(stream.get_state())
    return copied

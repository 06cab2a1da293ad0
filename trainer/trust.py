"""Whether an array may be trusted: two of its steps beside two of each member's own.

What a model does besides its forward, hooks say, shows in the gradients; what it keeps from one
step to the next, in the second step. Each member sees other examples, so that what should be its
own, and is not, shows as well.
"""

import copy
import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from trainer.batch import Batch, each, stack
from trainer.data import Examples
from trainer.fused import CannotFuse, drawing, incomparable, unchanged
from trainer.loop import backward, forward, precisely
from trainer.state import TrainState
from trainer.together import TrainingArray

STEPS = 2
TOLERANCES = {"fp32": 1e-3, "tf32": 1e-2, "bf16": 5e-2}
"""How far apart losses may be, as a part of them, and ten times as far gradients, as a part of the
largest one of a model."""

_trusted: set[tuple[str, int]] = set()
"""What has been found right in this process: what members agree in, and their number."""


def check_array(array: TrainingArray, states: Sequence[TrainState], train: Examples) -> None:
    """Nothing is changed by it.

    Args:
        states: the members' own, tied to the array's.

    Raises:
        CannotFuse: the array does not do what its members do.
    """
    setup, device = states[0].setup, states[0].noise.device
    kinds = {type(state.optimizer).__name__ for state in states}
    key = (f"{setup.task.fuse_key(setup.config)} {sorted(kinds)} {id(setup.task)}", len(states))
    if key in _trusted:
        return
    models, optimizers, streams = zip(
        *((state.model, state.optimizer, state.noise) for state in states), strict=True
    )
    names = _names(array.parameters, models[0])
    first = train.beginning(setup.settings.batch_size, STEPS)
    with unchanged(models, optimizers, streams), precisely(setup.settings.precision):
        copies = copy.deepcopy(list(models))
        own = [_copied(stream) for stream in streams]
        for step in range(STEPS):
            batches = [_batch_of(first, train, step, index, device) for index in range(len(states))]
            expected = [
                _alone(state, model, stream, names, batch)
                for state, model, stream, batch in zip(states, copies, own, batches, strict=True)
            ]
            for model in models:
                model.train()
            drawn_before = [stream.get_state() for stream in streams]
            losses, gradients = array.differentiate(*stack(batches))
            if incomparable(streams, drawn_before):
                expected = []  # that it can be done at all has been seen
            for index, (loss, wanted) in enumerate(expected):
                got = [gradient[index] for gradient in gradients]
                tolerance = TOLERANCES[setup.settings.precision]
                _check_same(losses[index], loss, got, wanted, tolerance)
            array.update(gradients)
            for model, copied in zip(models, copies, strict=True):
                _take_over(copied, model)
    _trusted.add(key)


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
    return tuple(each(lambda t: t.to(device).clone(), part) for part in (inputs, targets))


def _alone(
    state: TrainState,
    model: nn.Module,
    stream: Generator,
    names: Sequence[str],
    batch: Batch,
) -> tuple[Tensor, list[Tensor | None]]:
    """A member's loss on a batch, and its gradients."""
    model.train()
    with drawing(stream):
        loss, _ = forward(state.setup, model, *(each(torch.clone, part) for part in batch))
        backward(model, loss)
    return loss.detach(), [model.get_parameter(name).grad for name in names]


@torch.no_grad()
def _take_over(copied: nn.Module, member: nn.Module) -> None:
    """The member's parameters, as the array has stepped; all else is the copy's own."""
    for name, parameter in copied.named_parameters():
        parameter.copy_(member.get_parameter(name))


def _names(parameters: Sequence[nn.Parameter], member: nn.Module) -> list[str]:
    """What the first member calls the array's parameters, which its own are parts of."""
    called = {parameter.data_ptr(): name for name, parameter in member.named_parameters()}
    return [called[parameter[0].data_ptr()] for parameter in parameters]


def _check_same(
    loss: Tensor,
    own_loss: Tensor,
    gradients: Sequence[Tensor],
    own: Sequence[Tensor | None],
    tolerance: float,
) -> None:
    if not own_loss.isfinite():
        return  # it has diverged, and so it may have here, sooner or later
    if not torch.allclose(
        loss.double(), own_loss.double(), rtol=tolerance, atol=1e-6, equal_nan=True
    ):
        raise CannotFuse(
            f"the array does not train as its members do: a loss of {float(loss):.6g}"
            f" in place of {float(own_loss):.6g}"
        )
    peaks = [float(g.abs().max()) for g in own if g is not None and g.numel()]
    if not all(map(math.isfinite, peaks)):
        return
    for one, other in zip(gradients, own, strict=True):
        wanted = torch.zeros_like(one) if other is None else other
        if not torch.allclose(
            one.double(),
            wanted.double(),
            rtol=0,
            atol=10 * tolerance * max(peaks, default=0.0),
            equal_nan=True,
        ):
            raise CannotFuse("the array does not have its members' gradients")


def _copied(stream: Generator) -> Generator:
    copied = Generator(stream.device)
    copied.set_state(stream.get_state())
    return copied

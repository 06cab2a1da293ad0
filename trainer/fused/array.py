"""A list of equal modules as one module.

The members' own parameters and buffers become views of the array's, so a member can be read, saved
and loaded as if it were alone. On a CPU small convolutional networks lie in lanes (`laned.py`);
any other forward is recorded (`recorded.py`).
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Generator, Tensor, nn

from trainer.batch import call, each, leaves, length
from trainer.fused.common import CannotFuse
from trainer.fused.recorded import Recorded
from trainer.fused.streams import Streams, drawing, incomparable
from trainer.fused.structure import difference, structure, tensors_of

if TYPE_CHECKING:
    from trainer.fused.laned import Laned

Inputs: TypeAlias = Any
"""A tensor, or a tuple or dict of tensors, as a forward takes them."""

Layout: TypeAlias = "Recorded | Laned"


class ModuleArray:
    """K modules of one structure as one; their parameters become views of its own.

    Args:
        members: modules that differ in their values, and in rates of dropout, only.
        example: one member's input, (N, ...), or a tuple of arguments, or a dict of them by name,
            to check the array against the members before it is trusted.
        streams: for each member the generator that its dropout draws from, on its device; without
            them, new ones.

    Attributes:
        training: as of a module; :meth:`train` and :meth:`eval` set it.

    Raises:
        CannotFuse: naming the layer or operation, and the reason.
    """

    def __init__(
        self,
        members: Sequence[nn.Module],
        example: Inputs,
        streams: Sequence[Generator] | None = None,
    ) -> None:
        self.training = True
        self._members = list(members)
        first = leaves(example)[0]
        if streams is None:
            seeds = range(torch.initial_seed(), torch.initial_seed() + len(members))
            streams = [Generator(first.device).manual_seed(seed % 2**63) for seed in seeds]
        self._streams = Streams(streams)
        _check_equal(members)
        modes = [[module.training for module in member.modules()] for member in members]
        try:
            self._layout, self._trained = self._build(example)
        finally:
            for member, own in zip(members, modes, strict=True):
                for module, mode in zip(member.modules(), own, strict=True):
                    module.training = mode

    @property
    def layout(self) -> str:
        """``lanes`` or ``recorded``."""
        return self._layout.name

    @property
    def size(self) -> int:
        return len(self._members)

    def __call__(self, *inputs: Tensor, **named: Tensor) -> Any:
        """Map the members' inputs, (K, N, ...) each, to their outputs, (K, N, ...)."""
        if named or len(inputs) > 1:
            given: Inputs = named or inputs
            return self.outputs(given, leaves(given)[0].shape[1])
        return self.outputs(self.arrange(inputs[0]), inputs[0].shape[1])

    def arrange(self, inputs: Tensor) -> Tensor:
        """The members' inputs, of any type of number, as :meth:`outputs` takes them."""
        return self._layout.arrange(inputs)

    def gather(self, images: Tensor, index: Tensor) -> Tensor:
        """Images for :meth:`outputs`: bytes (M, C, H, W) at an index (K, N), as [0, 1]."""
        return self._layout.gather(images, index)

    def outputs(self, arranged: Inputs, count: int) -> Any:
        """The outputs for arranged inputs, the members in front; ``count``: their N."""
        return self._layout.run(arranged, count, training=self.training)

    def stacked(self) -> list[nn.Parameter]:
        """The parameters that are trained, (K, *shape) each, in the order of ``parameters()``.

        Not those without ``requires_grad``, nor those that no output depends on.
        """
        return self._trained

    def passed_over(self) -> list[nn.Parameter]:
        """The others that could be trained, and on which nothing depends."""
        parameters = self._layout.parameters.values()
        return [p for p in parameters if p.requires_grad and not self._is_trained(p)]

    def keep_trained(self, chosen: Sequence[bool]) -> None:
        """Train only those of :meth:`stacked` that are chosen: a loss may not depend on all."""
        self._trained = [p for p, one in zip(self._trained, chosen, strict=True) if one]

    def train(self, mode: bool = True) -> "ModuleArray":
        self.training = mode
        return self

    def eval(self) -> "ModuleArray":
        return self.train(False)

    def drop(self, indices: Sequence[int]) -> None:
        """Let members go, whose tensors become their own; the others stay as they are, to the bit.

        An optimizer follows with :meth:`ArrayOptimizer.drop`.
        """
        gone = set(indices)
        for index in gone:
            for tensor in (*self._members[index].parameters(), *self._members[index].buffers()):
                tensor.data = tensor.data.clone()
        kept = [index for index in range(self.size) if index not in gone]
        trained = {name for name, p in self._layout.parameters.items() if self._is_trained(p)}
        self._members = [self._members[index] for index in kept]
        self._streams = Streams([self._streams.generators[index] for index in kept])
        self._layout = type(self._layout)(self._members, self._streams)
        self._layout.tie(self._members)
        self._trained = [p for name, p in self._layout.parameters.items() if name in trained]

    def _is_trained(self, parameter: nn.Parameter) -> bool:
        return any(parameter is one for one in self._trained)

    def _build(self, example: Inputs) -> tuple[Layout, list[nn.Parameter]]:
        """In lanes on a CPU, if the layers have such a form, and recorded otherwise."""
        if _may_be_laned(example):
            from trainer.fused.laned import Laned  # LLVM, which GPUs do not need

            with suppress(CannotFuse):  # what is recorded can be more, and says what it cannot
                laned = Laned(self._members, self._streams)
                laned.tie(self._members)
                return laned, self._compare(laned, example)
        recorded = Recorded(self._members, self._streams)
        recorded.tie(self._members)
        return recorded, self._compare(recorded, example)

    def _compare(self, layout: Layout, example: Inputs) -> list[nn.Parameter]:
        """Refuse an array whose outputs are not its members'; the parameters that are trained."""
        reached: list[nn.Parameter] = []
        for training, tolerance in ((False, 1e-3), (True, 1e-2)):
            with _unchanged(self._members, self._streams):
                expected = [
                    _alone(member, example, stream, training=training)
                    for member, stream in zip(self._members, self._streams.generators, strict=True)
                ]
            generators = self._streams.generators
            before = [generator.get_state() for generator in generators]
            with _unchanged(self._members, self._streams), torch.enable_grad():
                outputs = _together(layout, example, self.size, training=training)
                if incomparable(generators, before):
                    expected = []
                reached = _reached(layout, outputs) if training else []
            for index, own in enumerate(expected):
                got = [tensor[index] for tensor in tensors_of(outputs)]
                _check_same(got, list(tensors_of(own)), tolerance, training=training)
        return reached


def _may_be_laned(example: Inputs) -> bool:
    if not isinstance(example, Tensor) or example.device.type != "cpu" or example.dim() != 4:
        return False
    return example.dtype in (torch.float32, torch.float64)


def _alone(member: nn.Module, example: Inputs, stream: Generator, *, training: bool) -> Any:
    with torch.no_grad(), drawing(stream):
        return call(copy.deepcopy(member).train(training), each(torch.clone, example))


def _together(layout: Layout, example: Inputs, size: int, *, training: bool) -> Any:
    wide = each(lambda one: one.expand(size, *one.shape), example)
    arranged = layout.arrange(wide) if isinstance(wide, Tensor) else wide
    try:
        return layout.run(arranged, length(example), training=training)
    except CannotFuse:
        raise
    except Exception as error:  # a user's forward may raise anything
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise CannotFuse(f"its forward fails in an array: {reason[0]}") from error


def _reached(layout: Layout, outputs: Any) -> list[nn.Parameter]:
    """The parameters that outputs depend on."""
    loss = sum(t.double().sum() for t in tensors_of(outputs) if t.requires_grad)
    if not isinstance(loss, Tensor):
        raise CannotFuse("its outputs depend on no parameter that is trained")
    parameters = [p for p in layout.parameters.values() if p.requires_grad]
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    return [p for p, g in zip(parameters, gradients, strict=True) if g is not None]


def _check_same(
    got: Sequence[Tensor], own: Sequence[Tensor], tolerance: float, *, training: bool
) -> None:
    """One that diverged may be NaN; in training a norm over few examples widens rounding."""
    for one, other in zip(got, own, strict=True):
        least = 0.1 * tolerance * max(1.0, float(other.double().nan_to_num().abs().max()))
        if one.shape != other.shape or not torch.allclose(
            one.double(), other.double(), rtol=tolerance, atol=least, equal_nan=True
        ):
            mode = "training" if training else "evaluation"
            raise CannotFuse(f"the array does not compute what its members do in {mode}")


@contextmanager
def _unchanged(members: Sequence[nn.Module], streams: Streams) -> Iterator[None]:
    """Buffers and random numbers are afterwards as they were."""
    saved = [[buffer.clone() for buffer in member.buffers()] for member in members]
    states = [generator.get_state() for generator in streams.generators]
    try:
        yield
    finally:
        for generator, state in zip(streams.generators, states, strict=True):
            generator.set_state(state)
        for member, own in zip(members, saved, strict=True):
            for buffer, before in zip(member.buffers(), own, strict=True):
                with torch.no_grad():
                    buffer.copy_(before)


def _check_equal(members: Sequence[nn.Module]) -> None:
    first = structure(members[0])
    for member in members[1:]:
        if reason := difference(first, structure(member)):
            raise CannotFuse(f"the models differ: {reason}")

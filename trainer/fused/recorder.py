"""The forward of one model as a list of an array's operations.

A user's forward is run once, on one member, for each shape of its inputs; every function of torch
that it calls is noted in its form for arrays (`forms/`), and from then on the notes are what runs:
no line of the forward, and none of torch's machinery for batching. What a note cannot hold is
refused: a path that depends on numbers in a tensor, state outside of parameters and buffers.
"""

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, fx, nn
from torch.overrides import TorchFunctionMode

from trainer.batch import call, each, leaves
from trainer.fused.calls import Call, check_constant, vmapped
from trainer.fused.common import CannotFuse
from trainer.fused.forms import FORMS, RANDOM
from trainer.fused.streams import Streams, drawn
from trainer.fused.structure import (
    attributes,
    changed_attribute,
    difference,
    structure,
    tensors_of,
)

LITERALS = (int, float, bool, str, type(None), torch.dtype, torch.device, type(Ellipsis))
"""What is written into the notes as it is."""

SIZES = {
    "size", "dim", "numel", "nelement", "ndimension", "stride", "is_contiguous", "element_size",
    "is_floating_point", "is_complex", "__len__", "get_device", "__hash__", "storage_offset",
    "is_same_size", "result_type", "is_tensor", "__get__", "__format__", "__repr__", "is_cuda",
    "is_inference", "can_cast", "is_storage", "type", "is_nested", "is_signed", "broadcast_tensors",
}  # fmt: skip
"""Functions whose answer is no tensor, and does not depend on the numbers in one."""

SIZED_BY_NUMBERS = {
    "nonzero", "argwhere", "masked_select", "unique", "unique_consecutive", "_unique2", "bincount",
    "unique_dim", "combinations",
}  # fmt: skip
"""Functions whose answer has a size that the numbers in a tensor decide."""

FILLS = {
    "bernoulli_", "cauchy_", "exponential_", "geometric_", "log_normal_", "normal_", "random_",
    "uniform_",
}  # fmt: skip
"""Functions that put random numbers in a tensor's place."""

RETURNED = "what the forward returns"

PUTS = {"__setitem__", "__iadd__", "__isub__", "__imul__", "__itruediv__", "__ior__", "__iand__"}
"""Functions that change their first tensor; so do those whose name ends with one underscore."""


def record(
    member: nn.Module,
    inputs: Any,
    held: Callable[[str], Tensor],
    size: int,
    streams: Streams,
) -> "Notes":
    """What an array of this many models computes for inputs of these shapes.

    Args:
        member: one of the models, in the mode that is to be recorded; a copy that may be changed.
        inputs: one member's: a tensor, or a tuple or dict of them.
        held: the array's tensor for a parameter or buffer of this name, (K, *shape).
        size: the number of models.
        streams: where random numbers come from.

    Raises:
        CannotFuse: naming what cannot be part of an array.
    """
    recorder = Recorder(size, streams)
    for name, tensor in (*member.named_parameters(), *member.named_buffers()):
        recorder.know(tensor, recorder.hold(name, held(name)))
    buffers = dict(member.named_buffers())
    arguments = each(recorder.take, inputs)
    outside, described, kept = _outside(), structure(member), attributes(member)
    with torch.random.fork_rng(), torch.enable_grad():
        with recorder:
            outputs = call(member, arguments)
        recorder.finish()
    if _outside() != outside:
        raise CannotFuse("its forward draws random numbers from Python or NumPy")
    if changed := difference(described, structure(member)):
        raise CannotFuse(f"its forward changes its attributes: {changed}")
    if name := changed_attribute(kept, attributes(member)):
        raise CannotFuse(f"its forward changes its attributes: {name}, which is no buffer")
    for name, buffer in member.named_buffers():
        if buffer is not buffers[name]:
            recorder.keep(name, buffer)
    recorder.graph.output(tuple(recorder.note_of(one, RETURNED) for one in leaves(outputs)))
    like = each(lambda tensor: tensor.new_empty(0), outputs)
    return Notes(fx.GraphModule(recorder.root, recorder.graph), like)


@dataclass(frozen=True)
class Notes:
    """A recorded forward.

    Attributes:
        module: of the array's inputs, (K, N, ...) each; gives its outputs, (K, ...) each.
        like: what the forward returns them in: a tensor, or a tree of tensors without numbers.
    """

    module: fx.GraphModule
    like: Any

    def run(self, *inputs: Tensor) -> Any:
        """What the forward gives."""
        # not called as a module: fx would print where an error arose
        outputs = iter(self.module.forward(*inputs))
        return each(lambda _: next(outputs), self.like)


class Recorder(TorchFunctionMode):
    """Notes every function of torch that is called while it is entered."""

    def __init__(self, size: int, streams: Streams) -> None:
        super().__init__()
        self.graph, self.root = fx.Graph(), nn.Module()
        self._size, self._streams = size, streams
        self._nodes: dict[int, fx.Node] = {}
        self._alive: list[Any] = []  # so that no other tensor is given the same id
        self._detached: set[int] = set()
        self._held: dict[str, fx.Node] = {}
        self._random = _random_states()

    def know(self, tensor: Tensor, node: fx.Node) -> None:
        self._nodes[id(tensor)] = node
        self._alive.append(tensor)

    def take(self, given: Tensor) -> Tensor:
        """One of the forward's inputs; its own, as it may be changed."""
        own = given.detach().clone()
        if own.is_floating_point():  # what is computed of it without our knowing will show
            own = own.requires_grad_().clone()
        self.know(own, self.graph.placeholder(f"input{len(self._alive)}"))
        return own

    def hold(self, name: str, value: Any) -> fx.Node:
        """A node for something that the array has, or that does not change."""
        flat = "held_" + name.replace("_", "_u").replace(".", "_d")
        setattr(self.root, flat, value)
        self._held[name] = self.graph.get_attr(flat)
        return self._held[name]

    def keep(self, name: str, buffer: Tensor) -> None:
        """The forward has put another tensor in the place of a buffer: its values are kept."""
        new = self.note_of(buffer, f"buffer {name}")
        self.graph.call_function(torch.Tensor.copy_, (self._held[name], new))

    def finish(self) -> None:
        if _differ(self._random, _random_states()):
            raise CannotFuse("its forward seeds torch's random numbers")

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", str(func))
        known = any(id(tensor) in self._nodes for tensor in tensors_of((args, kwargs)))
        changes = name in PUTS or (name.endswith("_") and not name.endswith("__"))
        changed_in_place = changes and (known or name in FILLS)
        if changed_in_place or (known and kwargs.get("inplace")):
            if id(args[0]) not in self._nodes:
                self._adopt(args[0])  # as it is before it is changed
            known = True
        if name == "_nested_tensor_from_mask_left_aligned":
            return False  # so torch's transformer asks whether it may skip what is masked
        if any(isinstance(one, Generator) for one in (*args, *kwargs.values())):
            raise CannotFuse(f"its forward has a random generator of its own ({name})")
        if known and (size := self._sized_by_numbers(name, args, kwargs)):
            raise CannotFuse(f"its forward makes a tensor as large as numbers say ({size})")
        if _differ(self._random, _random_states()):
            raise CannotFuse("its forward seeds torch's random numbers")
        result = func(*args, **kwargs)
        states = _random_states()
        draws, self._random = _differ(self._random, states), states
        tensors = list(tensors_of(result))
        if not (known or draws):
            return result
        if draws and kwargs.get("out") is not None:
            raise CannotFuse(f"its forward draws random numbers into another tensor ({name})")
        if not tensors and name != "__setitem__":
            if known and name not in SIZES:
                raise CannotFuse(f"its forward depends on numbers in a tensor ({name})")
            return result
        node = self._note(func, args, kwargs, draws)
        self._know_result(result, node)
        if not torch.is_grad_enabled():
            self._detach(tensors)
        return result

    def _detach(self, tensors: Sequence[Tensor]) -> None:
        """What the forward has computed without gradients has none in an array either."""
        for tensor in tensors:
            if tensor.is_floating_point():
                self.know(
                    tensor, self.graph.call_function(Tensor.detach, (self._nodes[id(tensor)],))
                )
                self._detached.add(id(tensor))

    def _node(self, tensor: Tensor) -> fx.Node:
        if id(tensor) in self._detached and tensor.requires_grad:
            raise CannotFuse("its forward has an autograd function of its own")
        return self._nodes[id(tensor)]

    def _note(self, func: Any, args: Any, kwargs: Any, draws: bool) -> fx.Node:
        choose = FORMS.get(func)
        physical = choose(func, *args, **kwargs) if choose else None
        if physical is not None:
            notes = self._notes(args), self._notes(kwargs)
            if func in RANDOM:
                notes[1]["streams"] = self._constant(self._streams)
            return self.graph.call_function(_written(physical), *notes)
        if func is Tensor.__setitem__:
            raise CannotFuse("its forward assigns to places that numbers in a tensor choose")
        tensors = [t for t in tensors_of((args, kwargs)) if id(t) in self._nodes]
        own = Call(func, args, kwargs, tensors, self._size)
        nodes = [self._node(tensor) for tensor in tensors]
        if draws:
            extra = (self._constant(self._streams), self._constant(own), *nodes)
            return self.graph.call_function(drawn, extra)
        return self.graph.call_function(vmapped, (self._constant(own), *nodes))

    def _know_result(self, result: Any, node: fx.Node) -> None:
        if isinstance(result, Tensor):
            self.know(result, node)
        elif isinstance(result, tuple | list):
            for place, one in enumerate(result):
                if list(tensors_of(one)):
                    item = self.graph.call_function(_item, (node, place))
                    self._know_result(one, item)

    def note_of(self, value: Any, what: str) -> fx.Node:
        """The note for what has been computed."""
        if not isinstance(value, Tensor):
            raise CannotFuse(f"{what} is a {type(value).__name__}, not a tensor")
        if id(value) not in self._nodes:
            raise CannotFuse(f"{what} is not computed from the inputs by functions of torch")
        return self._node(value)

    def _sized_by_numbers(self, name: str, args: Sequence[Any], kwargs: Any) -> str:
        """What makes the size of a function's answer depend on numbers in a tensor, if it does.

        A mask that is the same for all members and in all steps does not.
        """
        if name in SIZED_BY_NUMBERS or (name == "where" and len(args) + len(kwargs) == 1):
            return name
        if name == "__getitem__":
            kinds = [t.dtype for t in tensors_of(args[1:]) if id(t) in self._nodes]
            return "a mask as an index" if {torch.bool, torch.uint8} & {*kinds} else ""
        if name == "one_hot":
            given = args[1] if len(args) > 1 else kwargs.get("num_classes", -1)
            return "one_hot without num_classes" if given == -1 else ""
        if name == "repeat_interleave" and kwargs.get("output_size") is None:
            repeats = args[1] if len(args) > 1 else kwargs.get("repeats")
            fixed = repeats is not None and id(repeats) not in self._nodes
            return "" if fixed else name
        return ""

    def _notes(self, value: Any) -> Any:
        """Arguments as they stand in the notes; tensors that do not change, for all members."""
        if isinstance(value, Tensor):
            if id(value) not in self._nodes:
                check_constant(value)
                return self._constant(value.detach().expand(self._size, *value.shape))
            return self._node(value)
        if isinstance(value, tuple | list):
            kind = list if isinstance(value, list) else tuple
            return kind(self._notes(one) for one in value)
        if isinstance(value, dict):
            return {key: self._notes(one) for key, one in value.items()}
        if isinstance(value, slice):
            return slice(*(self._notes(v) for v in (value.start, value.stop, value.step)))
        return value if type(value) in LITERALS else self._constant(value)

    def _constant(self, value: Any) -> fx.Node:
        return self.hold(f"constant{len(self._held)}", value)

    def _adopt(self, tensor: Tensor) -> None:
        """A tensor that was the same for all members, and is not any more: a copy for each."""
        check_constant(tensor)
        before = self._constant(tensor.detach().clone().expand(self._size, *tensor.shape))
        self.know(tensor, self.graph.call_function(torch.clone, (before,)))


def _written(function: Any) -> Any:
    """A function as notes can name it: some of torch's own are not where they say they are."""
    if not isinstance(function, FunctionType):
        return function
    module = sys.modules.get(function.__module__)
    if getattr(module, function.__name__, None) is function:
        return function

    def written(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return written


def _item(values: Any, place: int) -> Any:
    return values[place]


def _random_states() -> list[Tensor]:
    states = [torch.get_rng_state()]
    if torch.cuda.is_initialized():
        states.append(torch.cuda.get_rng_state())
    return states


def _differ(one: list[Tensor], other: list[Tensor]) -> bool:
    return not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def _outside() -> tuple[Any, ...]:
    """The random numbers that torch does not draw."""
    kind, keys, *rest = np.random.get_state(legacy=True)
    return random.getstate(), kind, bytes(np.asarray(keys)), *rest

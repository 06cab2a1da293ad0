"""A list of equal modules as one module; how it computes is its layout's (planes or lanes).

One member's operations are traced; each of its layers becomes the layout's form of that layer, and
what treats all numbers alike stays as it is. The members' own parameters become views of the
array's, so a member can be read, saved and loaded as if it were alone.
"""

import copy
import operator
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from trainer.fused.common import CannotFuse
from trainer.fused.planes import Planes

if TYPE_CHECKING:
    from trainer.fused.lanes import Lanes

ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish, nn.Tanh, nn.Sigmoid,
    nn.Softplus, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Identity, nn.Dropout,
)  # fmt: skip
FUNCTIONS = {
    F.relu, F.relu6, F.leaky_relu, F.elu, F.gelu, F.silu, F.mish, F.tanh, F.sigmoid, F.softplus,
    F.hardtanh, F.hardswish, torch.relu, torch.tanh, torch.sigmoid, torch.add, torch.mul,
    operator.add, operator.mul, operator.iadd,
}  # fmt: skip
METHODS = {"relu", "tanh", "sigmoid", "add", "mul", "contiguous"}
SIZES = {"size", "shape", "dim"}

Layout: TypeAlias = "Planes | Lanes"


class ModuleArray(nn.Module):
    """K modules of one structure as one; their parameters become views of its own.

    Args:
        members: modules that differ in their values only.
        example: one member's input, (N, C, H, W) or (N, F), to check the array against the
            members before it is trusted.

    Attributes:
        layout: ``lanes`` or ``planes``, see there.

    Raises:
        CannotFuse: naming the layer and the reason.
    """

    def __init__(self, members: Sequence[nn.Module], example: Tensor) -> None:
        super().__init__()
        self.size = len(members)
        _check_equal(members)
        modes = [member.training for member in members]
        try:
            with torch.no_grad():
                expected = [member.eval()(example) for member in members]
            self._layout, self._body = self._build(members, expected, example)
            self._stacked = _adopt(self._body, members)
        finally:
            for member, mode in zip(members, modes, strict=True):
                member.train(mode)
        self.train()

    @property
    def layout(self) -> str:
        return self._layout.name

    def forward(self, inputs: Tensor) -> Tensor:
        """Map the members' inputs, (K, N, C, H, W) or (K, N, F), to their outputs (K, N, out)."""
        return self.outputs(self.arrange(inputs), inputs.shape[1])

    def arrange(self, inputs: Tensor) -> Tensor:
        """The members' inputs, of any type of number, as :meth:`outputs` takes them."""
        return self._layout.arrange(inputs)

    def gather(self, images: Tensor, index: Tensor) -> Tensor:
        """Images for :meth:`outputs`: bytes (M, C, H, W) at an index (K, N), as [0, 1]."""
        return self._layout.gather(images, index)

    def outputs(self, arranged: Tensor, count: int) -> Tensor:
        """The outputs, (K, N, out), for arranged inputs; ``count``: their N."""
        return self._layout.run(self._body, arranged, count)

    def stacked(self) -> list[nn.Parameter]:
        """The parameters, (K, *shape) each, in the order of a member's ``parameters()``."""
        return self._stacked

    def _build(
        self, members: Sequence[nn.Module], expected: Sequence[Tensor], example: Tensor
    ) -> tuple[Layout, fx.GraphModule]:
        """In lanes on a CPU, if the layers have such a form, and in planes otherwise."""
        graph = _trace(members[0])
        inputs = example.expand(self.size, *example.shape)
        if example.device.type == "cpu" and example.dtype in (torch.float32, torch.float64):
            from trainer.fused.lanes import Lanes  # LLVM, which GPUs do not need

            with suppress(CannotFuse):  # planes can do more, and say what they cannot
                lanes = Lanes(self.size)
                body = _fuse(graph, members, lanes)
                _compare(lanes, body, inputs, expected)
                return lanes, body
        planes = Planes(self.size)
        body = _fuse(graph, members, planes)
        _compare(planes, body, inputs, expected)
        return planes, body


def _compare(
    layout: Layout, body: fx.GraphModule, inputs: Tensor, expected: Sequence[Tensor]
) -> None:
    """Refuse an array whose outputs are not its members'; one that diverged may be NaN."""
    body.eval()
    try:
        with torch.no_grad():
            got = layout.run(body, layout.arrange(inputs), inputs.shape[1])
    except (RuntimeError, IndexError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise CannotFuse(f"a layer gets another shape than alone: {reason}") from None
    for one, own in zip(got, expected, strict=True):
        same = one.shape == own.shape
        if not same or not torch.allclose(one, own, rtol=1e-3, atol=1e-4, equal_nan=True):
            raise CannotFuse("the array does not compute what its members do")


def _fuse(traced: fx.Graph, members: Sequence[nn.Module], layout: Layout) -> fx.GraphModule:
    """Put the array's layer in the place of each of a member's layers."""
    graph = fx.Graph()
    graph.output(graph.graph_copy(traced, {}))
    layout.absorb(graph, members[0])
    root = nn.Module()
    for node in list(graph.nodes):
        match node.op:
            case "call_module":
                layers = [member.get_submodule(str(node.target)) for member in members]
                name = _flat_name(str(node.target))
                root.add_module(name, _fuse_layer(str(node.target), layers, layout))
                node.target = name
            case "call_function" | "call_method":
                _rewrite_call(graph, node, layout)
            case "get_attr":
                raise CannotFuse(f"{node.target}: a tensor used outside a layer")
    body = fx.GraphModule(root, graph)
    body.graph.eliminate_dead_code()
    for node in body.graph.nodes:
        if _reads_sizes(node):
            raise CannotFuse(f"{node.name}: computes with sizes, or takes a part of a tensor")
    body.recompile()
    return body


def _flat_name(name: str) -> str:
    """A layer's name without dots, and no other layer's."""
    return name.replace("_", "_u").replace(".", "_d")


def _reads_sizes(node: fx.Node) -> bool:
    return node.target in SIZES or node.target in (getattr, operator.getitem)


def _trace(member: nn.Module) -> fx.Graph:
    """A module's operations; they must be the same in training and evaluation."""
    try:
        evaluated = fx.Tracer().trace(member.eval())
        trained = fx.Tracer().trace(member.train())
    except Exception as error:  # tracing runs the user's forward, which may raise anything
        raise CannotFuse(f"its forward cannot be traced: {error}") from None
    if str(evaluated) != str(trained):
        raise CannotFuse("its forward does something else in training than in evaluation")
    return trained


class Flatten(nn.Module):
    """A Flatten layer, in a layout."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self._layout = layout

    def forward(self, features: Tensor) -> Tensor:
        return self._layout.flatten(features)


def _fuse_layer(name: str, layers: Sequence[Any], layout: Layout) -> nn.Module:
    """The array's form of one layer; raises :class:`CannotFuse` with the layer's name."""
    first = layers[0]
    match first:
        case nn.Conv2d():
            if first.padding_mode != "zeros":
                raise CannotFuse(f"{name}: {type(first).__name__} pads with {first.padding_mode}")
            return layout.convolution(name, layers)
        case nn.Linear():
            return layout.linear(layers)
        case nn.BatchNorm2d():
            if first.running_mean is None or first.momentum is None:
                raise CannotFuse(f"{name}: BatchNorm2d without running statistics or momentum")
            return layout.batch_norm(layers)
        case nn.LayerNorm():
            if len(first.normalized_shape) != 1:
                raise CannotFuse(f"{name}: LayerNorm over more than the last dimension")
            return layout.layer_norm(layers)
        case nn.Flatten():
            if (first.start_dim, first.end_dim) != (1, -1):
                raise CannotFuse(f"{name}: Flatten other than from dimension 1 to the last")
            return Flatten(layout)
    if type(first) in ACTIVATIONS or type(first) in layout.kept:
        kept: nn.Module = copy.deepcopy(first)  # its member may be put into another mode
        return kept
    raise CannotFuse(f"{name}: {type(first).__name__} has no array form")


def _rewrite_call(graph: fx.Graph, node: fx.Node, layout: Layout) -> None:
    """Keep calls that treat every channel or element alike; turn flattening into rows."""
    flattens = node.target in (torch.flatten, "flatten") and _arguments(node) in ([1], [1, -1])
    reshapes = node.target in ("view", "reshape", torch.reshape) and len(_arguments(node)) == 2
    if flattens or reshapes:
        with graph.inserting_before(node):
            flat = graph.call_function(layout.flatten, (node.args[0],))
        node.replace_all_uses_with(flat)
        graph.erase_node(node)
    elif _reads_sizes(node):
        return  # may be used only to flatten; then it is dead once that is replaced
    elif node.target not in FUNCTIONS | METHODS | layout.kept:
        shown = getattr(node.target, "__name__", str(node.target))
        raise CannotFuse(f"{node.name}: {shown}() has no array form")


def _arguments(node: fx.Node) -> list[Any]:
    """The arguments after the tensor, however they were given."""
    rest = [*node.args[1:], *node.kwargs.values()]
    return list(rest[0]) if len(rest) == 1 and isinstance(rest[0], tuple | list) else rest


def _check_equal(members: Sequence[nn.Module]) -> None:
    for member in members:
        for name, parameter in member.named_parameters(remove_duplicate=False):
            if not parameter.requires_grad:
                raise CannotFuse(f"{name}: a parameter that is not trained")
            if name not in dict(member.named_parameters()):
                raise CannotFuse(f"{name}: a parameter that is shared between layers")
    described = [(repr(m), {n: p.shape for n, p in m.state_dict().items()}) for m in members]
    if any(type(m) is not type(members[0]) for m in members) or any(
        one != described[0] for one in described
    ):
        raise CannotFuse("the models differ in their layers or shapes")


def _adopt(root: nn.Module, members: Sequence[nn.Module]) -> list[nn.Parameter]:
    """Tie each member's parameters to their slices of the array's; the array's, in order."""
    stacked = []
    for name, parameter in members[0].named_parameters():
        layer, _, kind = name.rpartition(".")
        fused = dict(root.named_children()).get(_flat_name(layer))
        whole = getattr(fused, kind, None)
        if whole is None or whole.shape[1:] != parameter.shape:
            raise CannotFuse(f"{name}: a parameter that no fused layer holds")
        for index, member in enumerate(members):
            member.get_parameter(name).data = whole.data[index]
        stacked.append(whole)
    return stacked

"""An array of small convolutional networks on a CPU, in lanes.

One member's operations are traced; each of its layers becomes its form in lanes, and what treats
all numbers alike stays as it is. What has no such form is refused, and recorded instead.
"""

import copy
import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.utils.parametrize import is_parametrized

from trainer.fused.common import CannotFuse
from trainer.fused.lanes import Lanes
from trainer.fused.streams import Streams

ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish, nn.Tanh, nn.Sigmoid,
    nn.Softplus, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Identity,
)  # fmt: skip
FUNCTIONS = {
    F.relu, F.relu6, F.leaky_relu, F.elu, F.gelu, F.silu, F.mish, F.tanh, F.sigmoid, F.softplus,
    F.hardtanh, F.hardswish, torch.relu, torch.tanh, torch.sigmoid, torch.add, torch.mul,
    operator.add, operator.mul, operator.iadd,
}  # fmt: skip
METHODS = {"relu", "tanh", "sigmoid", "add", "mul", "contiguous"}
SIZES = {"size", "shape", "dim"}


class Laned:
    """The stacked tensors of models of one structure, and what is computed of them in lanes.

    Attributes:
        parameters: by a member's name for them, (K, *shape) each.

    Raises:
        CannotFuse: a layer has no form in lanes.
    """

    name = "lanes"

    def __init__(self, members: Sequence[nn.Module], streams: Streams) -> None:
        names = [name for name, _ in members[0].named_parameters()]
        if len(names) < len([*members[0].named_parameters(remove_duplicate=False)]):
            raise CannotFuse("a parameter is shared between layers")
        if not all(parameter.requires_grad for parameter in members[0].parameters()):
            raise CannotFuse("a parameter is not trained")
        for name, module in members[0].named_modules():
            if is_parametrized(module):  # to read its weight may change it, as a spectral norm does
                raise CannotFuse(f"{name}: a parametrized weight")
        self._lanes = Lanes(len(members), streams)
        self._body = _fuse(_trace(copy.deepcopy(members[0])), members, self._lanes)
        self.parameters = {name: self._parameter(name) for name in names}

    def arrange(self, inputs: Tensor) -> Tensor:
        return self._lanes.arrange(inputs)

    def gather(self, images: Tensor, index: Tensor) -> Tensor:
        return self._lanes.gather(images, index)

    def run(self, arranged: Any, count: int, *, training: bool) -> Tensor:
        if self._body.training != training:
            self._body.train(training)
        return self._lanes.run(self._body, arranged, count)

    def tie(self, members: Sequence[nn.Module]) -> None:
        """Parameters become views of the array's; buffers are, since the layers were made."""
        for name, whole in self.parameters.items():
            for member, own in zip(members, whole.data, strict=True):
                member.get_parameter(name).data = own

    def _parameter(self, name: str) -> nn.Parameter:
        layer, _, kind = name.rpartition(".")
        fused = dict(self._body.named_children()).get(_flat_name(layer))
        whole: nn.Parameter | None = getattr(fused, kind, None)
        if whole is None:
            raise CannotFuse(f"{name}: a parameter that no layer in lanes holds")
        return whole


def _fuse(traced: fx.Graph, members: Sequence[nn.Module], layout: Lanes) -> fx.GraphModule:
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
    """A Flatten layer, in lanes."""

    def __init__(self, layout: Lanes) -> None:
        super().__init__()
        self._layout = layout

    def forward(self, features: Tensor) -> Tensor:
        return self._layout.flatten(features)


def _fuse_layer(name: str, layers: Sequence[Any], layout: Lanes) -> nn.Module:
    """A layer's form in lanes; raises :class:`CannotFuse` with the layer's name."""
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
        case nn.Dropout():
            return layout.dropout(layers)
        case nn.Flatten():
            if (first.start_dim, first.end_dim) != (1, -1):
                raise CannotFuse(f"{name}: Flatten other than from dimension 1 to the last")
            return Flatten(layout)
    if type(first) in ACTIVATIONS:
        kept: nn.Module = copy.deepcopy(first)  # its member may be put into another mode
        return kept
    raise CannotFuse(f"{name}: {type(first).__name__} has no form in lanes")


def _rewrite_call(graph: fx.Graph, node: fx.Node, layout: Lanes) -> None:
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
    elif node.target not in FUNCTIONS | METHODS:
        shown = getattr(node.target, "__name__", str(node.target))
        raise CannotFuse(f"{node.name}: {shown}() has no form in lanes")


def _arguments(node: fx.Node) -> list[Any]:
    """The arguments after the tensor, however they were given."""
    rest = [*node.args[1:], *node.kwargs.values()]
    return list(rest[0]) if len(rest) == 1 and isinstance(rest[0], tuple | list) else rest

"""Several models of one shape as a single array that trains them all at once.

Why this exists: a small network cannot fill a processor. Its kernels are short, so most of a step
is spent on starting them, and a convolution from 1 to 6 channels uses a fraction of a vector unit.
K models of one shape, side by side, do K times the work in each kernel:

- images become *planes* (N, K C, H, W), channels last, and each convolution one grouped
  convolution with K groups (in this layout; in torch's default one it would be slower than none);
- flat features become *rows* (K, N, F), and each linear layer one batched matrix product.

No member sees another: groups and batches are independent, so each computes what it would alone,
up to the order of floating-point sums. `torch.func.vmap` expresses the same and is slower than
training one after another on a CPU.

The members' own parameters become views of the array's, so a member can be read, saved and loaded
as if it were alone. What cannot be fused is refused by name, never approximated.
"""

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F


class CannotFuse(Exception):
    """These modules cannot become an array; says which layer, and why."""


ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish, nn.Tanh, nn.Sigmoid,
    nn.Softplus, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Identity, nn.Dropout,
)  # fmt: skip
POOLING = (
    nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Dropout2d,
    nn.ZeroPad2d,
)  # fmt: skip
FUNCTIONS = {
    F.relu, F.relu6, F.leaky_relu, F.elu, F.gelu, F.silu, F.mish, F.tanh, F.sigmoid, F.softplus,
    F.hardtanh, F.hardswish, F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, torch.relu,
    torch.tanh, torch.sigmoid, torch.add, torch.mul, operator.add, operator.mul, operator.iadd,
}  # fmt: skip
METHODS = {"relu", "tanh", "sigmoid", "add", "mul", "contiguous"}
SIZES = {"size", "shape", "dim"}


class ModuleArray(nn.Module):
    """K modules of one structure as one; their parameters become views of its own.

    Args:
        members: modules that differ in their values only.
        example: one member's input, (N, C, H, W) or (N, F), to check the array against the
            members before it is trusted.

    Raises:
        CannotFuse: naming the layer and the reason.
    """

    def __init__(self, members: Sequence[nn.Module], example: Tensor) -> None:
        super().__init__()
        self.size = len(members)
        _check_equal(members)
        try:
            with torch.no_grad():
                expected = [member.eval()(example) for member in members]
            self._body = self._build(members)
            self._compare(expected, example)
        finally:
            for member in members:
                member.train()
        self.train()

    def _compare(self, expected: Sequence[Tensor], example: Tensor) -> None:
        """Refuse an array whose outputs are not its members'; one that diverged may be NaN."""
        self.eval()
        try:
            with torch.no_grad():
                got = self(example.expand(self.size, *example.shape))
        except (RuntimeError, IndexError) as error:
            reason = str(error).splitlines()[0]
            raise CannotFuse(f"a layer gets another shape than alone: {reason}") from None
        for one, own in zip(got, expected, strict=True):
            same = one.shape == own.shape
            if not same or not torch.allclose(one, own, rtol=1e-3, atol=1e-4, equal_nan=True):
                raise CannotFuse("the array does not compute what its members do")

    def forward(self, inputs: Tensor) -> Tensor:
        """Map the members' inputs, (K, N, C, H, W) or (K, N, F), to their outputs (K, N, out)."""
        if inputs.dim() == 5:
            inputs = to_planes(inputs)
        outputs: Tensor = self._body(inputs)
        return outputs

    def stacked(self) -> list[nn.Parameter]:
        """The parameters, (K, *shape) each, in the order of a member's ``parameters()``."""
        return self._stacked

    def _build(self, members: Sequence[nn.Module]) -> fx.GraphModule:
        """Trace one member, and put the array's layer in the place of each of its layers."""
        graph = _trace(members[0])
        root = nn.Module()
        for node in list(graph.nodes):
            match node.op:
                case "call_module":
                    layers = [member.get_submodule(str(node.target)) for member in members]
                    name = str(node.target).replace(".", "_")
                    root.add_module(name, _fuse_layer(str(node.target), layers))
                    node.target = name
                case "call_function" | "call_method":
                    _rewrite_call(graph, node, self.size)
                case "get_attr":
                    raise CannotFuse(f"{node.target}: a tensor used outside a layer")
        self._stacked = _adopt(root, members)
        body = fx.GraphModule(root, graph)
        body.graph.eliminate_dead_code()
        body.recompile()
        return body


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


def to_planes(images: Tensor) -> Tensor:
    """(K, N, C, H, W) to (N, K C, H, W), channels last in memory."""
    return images.transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)


def to_rows(planes: Tensor, size: int) -> Tensor:
    """(N, K C, H, W), each member's features flattened, to (K, N, C H W); rows stay as they are."""
    if planes.dim() == 3:
        return planes
    return planes.reshape(planes.shape[0], size, -1).transpose(0, 1)


class ArrayConv2d(nn.Module):
    """K convolutions as one of K times the groups."""

    def __init__(self, layers: Sequence[nn.Conv2d]) -> None:
        super().__init__()
        first = layers[0]
        self.weight = _stack([layer.weight for layer in layers])
        self.bias = _stack([layer.bias for layer in layers])
        self._stride, self._padding, self._dilation = first.stride, first.padding, first.dilation
        self._groups = first.groups * len(layers)

    def forward(self, planes: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.flatten()
        weight = self.weight.flatten(0, 1)
        return F.conv2d(
            planes, weight, bias, self._stride, self._padding, self._dilation, self._groups
        )


class ArrayLinear(nn.Module):
    """K linear layers as one batched matrix product."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = _stack([layer.weight for layer in layers])
        self.bias = _stack([layer.bias for layer in layers])

    def forward(self, rows: Tensor) -> Tensor:
        weight = self.weight.transpose(1, 2)
        if self.bias is None:
            return torch.bmm(rows, weight)
        return torch.baddbmm(self.bias.unsqueeze(1), rows, weight)


class ArrayBatchNorm2d(nn.Module):
    """K batch normalisations; as each channel has its own statistics, one over all channels."""

    def __init__(self, layers: Sequence[nn.BatchNorm2d]) -> None:
        super().__init__()
        first = layers[0]
        self.weight = _stack([layer.weight for layer in layers])
        self.bias = _stack([layer.bias for layer in layers])
        self.running_mean = _stack_buffers(layers, "running_mean")
        self.running_var = _stack_buffers(layers, "running_var")
        self._counts = [layer.num_batches_tracked for layer in layers]
        self._momentum, self._eps = first.momentum or 0.0, first.eps

    def forward(self, planes: Tensor) -> Tensor:
        if self.training:
            for count in self._counts:
                if count is not None:
                    count.add_(1)
        return F.batch_norm(
            planes,
            self.running_mean.flatten(),
            self.running_var.flatten(),
            None if self.weight is None else self.weight.flatten(),
            None if self.bias is None else self.bias.flatten(),
            self.training,
            self._momentum,
            self._eps,
        )


class ArrayLayerNorm(nn.Module):
    """K layer normalisations over the features of rows."""

    def __init__(self, layers: Sequence[nn.LayerNorm]) -> None:
        super().__init__()
        self.weight = _stack([layer.weight for layer in layers])
        self.bias = _stack([layer.bias for layer in layers])
        self._shape, self._eps = layers[0].normalized_shape, layers[0].eps

    def forward(self, rows: Tensor) -> Tensor:
        normal = F.layer_norm(rows, self._shape, eps=self._eps)
        if self.weight is not None:
            normal = normal * self.weight.unsqueeze(1)
        return normal if self.bias is None else normal + self.bias.unsqueeze(1)


class ToRows(nn.Module):
    """A Flatten layer: planes to rows."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def forward(self, planes: Tensor) -> Tensor:
        return to_rows(planes, self._size)


def _fuse_layer(name: str, layers: Sequence[Any]) -> nn.Module:
    """The array's form of one layer; raises :class:`CannotFuse` with the layer's name."""
    first = layers[0]
    match first:
        case nn.Conv2d():
            if first.padding_mode != "zeros":
                raise CannotFuse(f"{name}: {type(first).__name__} pads with {first.padding_mode}")
            return ArrayConv2d(layers)
        case nn.Linear():
            return ArrayLinear(layers)
        case nn.BatchNorm2d():
            if first.running_mean is None or first.momentum is None:
                raise CannotFuse(f"{name}: BatchNorm2d without running statistics or momentum")
            return ArrayBatchNorm2d(layers)
        case nn.LayerNorm():
            if len(first.normalized_shape) != 1:
                raise CannotFuse(f"{name}: LayerNorm over more than the last dimension")
            return ArrayLayerNorm(layers)
        case nn.Flatten():
            if (first.start_dim, first.end_dim) != (1, -1):
                raise CannotFuse(f"{name}: Flatten other than from dimension 1 to the last")
            return ToRows(len(layers))
    if isinstance(first, nn.Module) and type(first) in (*ACTIVATIONS, *POOLING):
        return first
    raise CannotFuse(f"{name}: {type(first).__name__} has no array form")


def _rewrite_call(graph: fx.Graph, node: fx.Node, size: int) -> None:
    """Keep calls that treat every channel or element alike; turn flattening into rows."""
    flattens = node.target in (torch.flatten, "flatten") and _arguments(node) in ([1], [1, -1])
    reshapes = node.target in ("view", "reshape", torch.reshape) and len(_arguments(node)) == 2
    if flattens or reshapes:
        with graph.inserting_before(node):
            rows = graph.call_function(to_rows, (node.args[0], size))
        node.replace_all_uses_with(rows)
        graph.erase_node(node)
    elif node.target in SIZES or node.target is getattr or node.target is operator.getitem:
        return  # only used to flatten, and dead once that is replaced
    elif node.target not in FUNCTIONS and node.target not in METHODS:
        shown = getattr(node.target, "__name__", str(node.target))
        raise CannotFuse(f"{node.name}: {shown}() has no array form")


def _arguments(node: fx.Node) -> list[Any]:
    """The arguments after the tensor, however they were given."""
    rest = [*node.args[1:], *node.kwargs.values()]
    return list(rest[0]) if len(rest) == 1 and isinstance(rest[0], tuple | list) else rest


def _check_equal(members: Sequence[nn.Module]) -> None:
    for name, parameter in members[0].named_parameters(remove_duplicate=False):
        if not parameter.requires_grad:
            raise CannotFuse(f"{name}: a parameter that is not trained")
        if name not in dict(members[0].named_parameters()):
            raise CannotFuse(f"{name}: a parameter that is shared between layers")
    described = [(repr(m), {n: p.shape for n, p in m.state_dict().items()}) for m in members]
    if any(type(m) is not type(members[0]) for m in members) or any(
        one != described[0] for one in described
    ):
        raise CannotFuse("the models differ in their layers or shapes")


def _stack(tensors: Sequence[Tensor | None]) -> Any:
    """Parameters of K members as one (K, *shape); the members' become views of it."""
    if tensors[0] is None:
        return None
    return nn.Parameter(torch.stack([t.detach() for t in tensors if t is not None]))


def _stack_buffers(layers: Sequence[nn.Module], name: str) -> Tensor:
    stacked = torch.stack([getattr(layer, name) for layer in layers])
    for layer, own in zip(layers, stacked, strict=True):
        setattr(layer, name, own)
    return stacked


def _adopt(root: nn.Module, members: Sequence[nn.Module]) -> list[nn.Parameter]:
    """Tie each member's parameters to their slices of the array's; the array's, in order."""
    stacked = []
    for name, parameter in members[0].named_parameters():
        layer, _, kind = name.rpartition(".")
        fused = dict(root.named_children()).get(layer.replace(".", "_"))
        whole = getattr(fused, kind, None)
        if whole is None or whole.shape[1:] != parameter.shape:
            raise CannotFuse(f"{name}: a parameter that no fused layer holds")
        for index, member in enumerate(members):
            member.get_parameter(name).data = whole.data[index]
        stacked.append(whole)
    return stacked

"""An array's layers with images beside images, for CPUs.

Images become (K, C, H, W, N), N filled up with zeros to a multiple of 16, and features (K, F, N):
a vector unit works on as many images as it is wide, whatever the number of channels, and a linear
layer is one batched matrix product. A max pooling and a ReLU after a convolution are done by its
kernel.
"""

import inspect
from collections.abc import Callable, Sequence, Set

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from trainer.fused.common import MULTIPLE, CannotFuse
from trainer.fused.convolution import Convolve
from trainer.fused.gather import gather
from trainer.fused.stacked import Stacked, StackedBatchNorm2d
from trainer.fused.streams import Rates, Streams

MOST_CHANNELS = 64
"""Into a convolution; from there on a library's convolutions are as fast, or faster."""

POOL = inspect.signature(nn.MaxPool2d)


class Lanes:
    """The layout of tensors in an array of this many models, and the layers for it."""

    def __init__(self, size: int, streams: Streams) -> None:
        self._size, self._streams = size, streams
        self._followed: dict[str, set[str]] = {}
        self._images = 0

    def absorb(self, graph: fx.Graph, member: nn.Module) -> None:
        """Take out of the graph what convolutions will do themselves."""
        convolutions = [node for node in graph.nodes if _is_convolution(node, member)]
        if not convolutions:
            raise CannotFuse("there is no convolution")
        for node in convolutions:
            followers = _followers(node, member)
            if self._followed.setdefault(str(node.target), {*followers}) != {*followers}:
                raise CannotFuse(f"{node.target}: used in more than one way")
            for follower in reversed(followers.values()):
                follower.replace_all_uses_with(node)
                graph.erase_node(follower)

    def arrange(self, inputs: Tensor) -> Tensor:
        """The members' inputs, (K, N, C, H, W) or (K, N, F), in this layout."""
        missing = -inputs.shape[1] % MULTIPLE
        shared = inputs.stride(0) == 0  # the same images for all
        images = (inputs[:1] if shared else inputs).movedim(1, -1)
        if missing:
            filling = images.new_zeros(*images.shape[:-1], missing)
            images = torch.cat((images, filling), dim=-1)
        images = images.contiguous()
        return images.expand(self._size, *images.shape[1:]) if shared else images

    def gather(self, images: Tensor, index: Tensor) -> Tensor:
        """Bytes (M, C, H, W) at an index (K, N), as numbers in [0, 1], in this layout."""
        missing = -index.shape[1] % MULTIPLE
        if missing:  # by images that nobody looks at
            index = F.pad(index, (0, missing))
        return gather(images, index)

    def run(self, body: nn.Module, arranged: Tensor, count: int) -> Tensor:
        """The outputs of an array's body for this many inputs, (K, N, out)."""
        self._images = count
        outputs: Tensor = body(arranged)
        return outputs[..., :count].transpose(1, 2)

    def flatten(self, features: Tensor) -> Tensor:
        """Each member's features of an image as one column."""
        return features.flatten(1, -2)

    def convolution(self, name: str, layers: Sequence[nn.Conv2d]) -> nn.Module:
        first = layers[0]
        plain = first.stride == first.dilation == (1, 1) and first.groups == 1
        if not plain or isinstance(first.padding, str):
            raise CannotFuse(f"{name}: not a plain convolution of stride 1")
        if first.in_channels > MOST_CHANNELS:
            raise CannotFuse(f"{name}: more than {MOST_CHANNELS} channels")
        return LanesConv2d(layers, self._followed[name])

    def linear(self, layers: Sequence[nn.Linear]) -> nn.Module:
        return LanesLinear(layers)

    def batch_norm(self, layers: Sequence[nn.BatchNorm2d]) -> nn.Module:
        return LanesBatchNorm2d(layers, lambda: self._images)

    def dropout(self, layers: Sequence[nn.Dropout]) -> nn.Module:
        rates = [layer.p for layer in layers]
        rate = rates[0] if len(set(rates)) == 1 else Rates(rates)
        return LanesDropout(self._streams, rate, lambda: self._images)

    def layer_norm(self, layers: Sequence[nn.LayerNorm]) -> nn.Module:
        return LanesLayerNorm(layers)


def _is_convolution(node: fx.Node, member: nn.Module) -> bool:
    if node.op != "call_module":
        return False
    return isinstance(member.get_submodule(str(node.target)), nn.Conv2d)


def _followers(node: fx.Node, member: nn.Module) -> dict[str, fx.Node]:
    """The pooling after a convolution and the ReLU beside it, if nothing is between; by kind."""
    found: dict[str, fx.Node] = {}
    while len(node.users) == 1:
        node = next(iter(node.users))
        kind = _kind(node, member)
        if kind is None or kind in found:
            break
        found[kind] = node
    return found if "pool" in found else {}


def _kind(node: fx.Node, member: nn.Module) -> str | None:
    if node.op == "call_module":
        layer = member.get_submodule(str(node.target))
        if type(layer) is nn.ReLU:
            return "relu"
        if type(layer) is not nn.MaxPool2d:
            return None
        settings = {name: getattr(layer, name) for name in POOL.parameters}
    elif node.target in (F.relu, torch.relu) or (node.op, node.target) == ("call_method", "relu"):
        return "relu"
    elif node.target is F.max_pool2d:
        settings = POOL.bind(*node.args[1:], **node.kwargs).arguments
    else:
        return None
    defaults = {name: parameter.default for name, parameter in POOL.parameters.items()}
    given = {name: value for name, value in settings.items() if value != defaults[name]}
    by_two = given.pop("kernel_size") in (2, (2, 2)) and given.pop("stride", 2) in (2, (2, 2))
    return "pool" if by_two and not given else None


class LanesConv2d(Stacked):
    """K convolutions, each with the 2 x 2 max pooling and the ReLU that follow it."""

    def __init__(self, layers: Sequence[nn.Conv2d], followed: Set[str]) -> None:
        super().__init__(layers)
        down, right = map(int, layers[0].padding)
        self._padding = (0, 0, right, right, down, down)
        self._pooled, self._rectified = "pool" in followed, "relu" in followed

    def forward(self, images: Tensor) -> Tensor:
        images = images.to(self.weight.dtype)  # after layers in bfloat16
        if any(self._padding):
            images = F.pad(images, self._padding)
        bias = self.weight.new_zeros(self.weight.shape[:2]) if self.bias is None else self.bias
        outputs: Tensor = Convolve.apply(images, self.weight, bias, self._pooled, self._rectified)
        return outputs


class LanesLinear(Stacked):
    """K linear layers as one batched matrix product."""

    def forward(self, columns: Tensor) -> Tensor:
        if self.bias is None:
            return torch.bmm(self.weight, columns)
        return torch.baddbmm(self.bias.unsqueeze(2), self.weight, columns)


class LanesBatchNorm2d(StackedBatchNorm2d):
    """K batch normalisations as one over all channels; what fills the images up does not count."""

    def __init__(self, layers: Sequence[nn.BatchNorm2d], images: Callable[[], int]) -> None:
        super().__init__(layers)
        self._images = images

    def forward(self, images: Tensor) -> Tensor:
        count, whole = self._images(), images.shape
        if count < whole[-1]:
            images = images[..., :count]
        channels = images.reshape(1, whole[0] * whole[1], -1)
        normal = self.normalise(channels).view(*whole[:-1], count)
        return F.pad(normal, (0, whole[-1] - count))


class LanesLayerNorm(Stacked):
    """K layer normalisations over the features of columns."""

    def __init__(self, layers: Sequence[nn.LayerNorm]) -> None:
        super().__init__(layers)
        self._shape, self._eps = layers[0].normalized_shape, layers[0].eps

    def forward(self, columns: Tensor) -> Tensor:
        normal = F.layer_norm(columns.transpose(1, 2), self._shape, eps=self._eps).transpose(1, 2)
        if self.weight is not None:
            normal = normal * self.weight.unsqueeze(2)
        return normal if self.bias is None else normal + self.bias.unsqueeze(2)


class LanesDropout(nn.Module):
    """K dropouts: what each member would draw alone, turned so that images lie beside images."""

    def __init__(self, streams: Streams, rate: float, images: Callable[[], int]) -> None:
        super().__init__()
        self._streams, self._rate, self._images = streams, rate, images

    def forward(self, images: Tensor) -> Tensor:
        if not self.training or self._rate == 0:
            return images
        count = self._images()
        kept = self._streams.kept((count, *images.shape[1:-1]), self._rate, images)
        return images * F.pad(kept.movedim(1, -1), (0, images.shape[-1] - count))

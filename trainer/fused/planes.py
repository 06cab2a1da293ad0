"""An array's layers with models beside models: for GPUs, and for what lanes cannot do.

Images become *planes* (N, K C, H, W), channels last, and each convolution one grouped convolution
with K groups (in torch's default layout it would be slower than none); flat features become *rows*
(K, N, F), and each linear layer one batched matrix product.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from trainer.fused.stacked import Stacked, StackedBatchNorm2d


class Planes:
    """The layout of tensors in an array of this many models, and the layers for it."""

    name = "planes"
    kept = frozenset(
        {nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Dropout2d,
         nn.ZeroPad2d, F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d}
    )  # fmt: skip

    def __init__(self, size: int) -> None:
        self._size = size

    def absorb(self, graph: fx.Graph, member: nn.Module) -> None:
        """Nothing is computed together with the layer before it."""

    def arrange(self, inputs: Tensor) -> Tensor:
        """The members' inputs, (K, N, C, H, W) or (K, N, F), in this layout."""
        if inputs.dim() == 3:
            return inputs
        planes = inputs.transpose(0, 1).flatten(1, 2)
        return planes.contiguous(memory_format=torch.channels_last)

    def gather(self, images: Tensor, index: Tensor) -> Tensor:
        """Bytes (M, C, H, W) at an index (K, N), as numbers in [0, 1], in this layout."""
        return self.arrange(images[index]).to(torch.get_default_dtype()).div_(255)

    def run(self, body: nn.Module, arranged: Tensor, count: int) -> Tensor:
        """The outputs of an array's body for this many inputs, (K, N, out)."""
        outputs: Tensor = body(arranged)
        return outputs

    def flatten(self, features: Tensor) -> Tensor:
        """Each member's features of an image as one row."""
        if features.dim() == 3:
            return features
        return features.reshape(len(features), self._size, -1).transpose(0, 1)

    def convolution(self, name: str, layers: Sequence[nn.Conv2d]) -> nn.Module:
        return PlanesConv2d(layers)

    def linear(self, layers: Sequence[nn.Linear]) -> nn.Module:
        return RowsLinear(layers)

    def batch_norm(self, layers: Sequence[nn.BatchNorm2d]) -> nn.Module:
        return PlanesBatchNorm2d(layers)

    def layer_norm(self, layers: Sequence[nn.LayerNorm]) -> nn.Module:
        return RowsLayerNorm(layers)


class PlanesConv2d(Stacked):
    """K convolutions as one of K times the groups."""

    def __init__(self, layers: Sequence[nn.Conv2d]) -> None:
        super().__init__(layers)
        first = layers[0]
        self._stride, self._padding, self._dilation = first.stride, first.padding, first.dilation
        self._groups = first.groups * len(layers)

    def forward(self, planes: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.flatten()
        weight = self.weight.flatten(0, 1)
        return F.conv2d(
            planes, weight, bias, self._stride, self._padding, self._dilation, self._groups
        )


class RowsLinear(Stacked):
    """K linear layers as one batched matrix product."""

    def forward(self, rows: Tensor) -> Tensor:
        weight = self.weight.transpose(1, 2)
        if self.bias is None:
            return torch.bmm(rows, weight)
        return torch.baddbmm(self.bias.unsqueeze(1), rows, weight)


class PlanesBatchNorm2d(StackedBatchNorm2d):
    """K batch normalisations as one over all channels."""

    def forward(self, planes: Tensor) -> Tensor:
        return self.normalise(planes)


class RowsLayerNorm(Stacked):
    """K layer normalisations over the features of rows."""

    def __init__(self, layers: Sequence[nn.LayerNorm]) -> None:
        super().__init__(layers)
        self._shape, self._eps = layers[0].normalized_shape, layers[0].eps

    def forward(self, rows: Tensor) -> Tensor:
        normal = F.layer_norm(rows, self._shape, eps=self._eps)
        if self.weight is not None:
            normal = normal * self.weight.unsqueeze(1)
        return normal if self.bias is None else normal + self.bias.unsqueeze(1)

"""Convolutions and pooling in an array learn what each member would alone."""

import pytest
import torch
from torch import nn

from tests.trainer.fused.both import Make, learns_the_same

LAYERS: dict[str, tuple[Make, tuple[int, ...]]] = {
    "strided": (lambda: nn.Conv2d(3, 4, 3, stride=2), (3, 9, 9)),
    "dilated": (lambda: nn.Conv2d(3, 4, 3, dilation=2, padding=1), (3, 9, 9)),
    "grouped": (lambda: nn.Conv2d(4, 8, 3, groups=2, bias=False), (4, 9, 9)),
    "depthwise": (lambda: nn.Conv2d(4, 4, 3, groups=4, padding="same"), (4, 9, 9)),
    "circular": (lambda: nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), (3, 9, 9)),
    "1-d": (lambda: nn.Conv1d(3, 4, 3, stride=2, padding=1), (3, 11)),
    "3-d": (lambda: nn.Conv3d(2, 3, 2), (2, 4, 4, 4)),
    "transposed": (lambda: nn.ConvTranspose2d(3, 4, 2, stride=2), (3, 5, 5)),
    "transposed, padded": (
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
        (4, 5, 5),
    ),
    "transposed, 1-d": (lambda: nn.ConvTranspose1d(3, 4, 4, stride=2, bias=False), (3, 5)),
    "transposed, 3-d": (lambda: nn.ConvTranspose3d(2, 3, 2), (2, 3, 3, 3)),
    "max pooling": (lambda: nn.MaxPool2d(3, stride=2, padding=1), (3, 9, 9)),
    "max pooling, 1-d": (lambda: nn.MaxPool1d(2), (3, 8)),
    "average pooling": (lambda: nn.AvgPool2d(2, ceil_mode=True), (3, 9, 9)),
    "adaptive pooling": (lambda: nn.AdaptiveAvgPool2d(2), (3, 9, 9)),
    "adaptive pooling, 1-d": (lambda: nn.AdaptiveMaxPool1d(2), (3, 9)),
    "resizing": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), (3, 5, 5)),
    "pixel shuffle": (lambda: nn.PixelShuffle(2), (4, 3, 3)),
    "unfold": (lambda: nn.Unfold(2), (3, 5, 5)),
    "reflection": (lambda: nn.ReflectionPad2d(1), (3, 5, 5)),
    "zeros": (lambda: nn.ZeroPad2d((1, 2, 0, 1)), (3, 5, 5)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str) -> None:
    make, shape = LAYERS[name]
    example = torch.rand(2, *shape)
    size = make()(example)[0].numel()
    # a layer with weights on either side, whatever the tested one has
    learns_the_same(
        lambda: nn.Sequential(
            nn.Linear(shape[-1], shape[-1]), make(), nn.Tanh(), nn.Flatten(), nn.Linear(size, 10)
        ),
        example,
    )

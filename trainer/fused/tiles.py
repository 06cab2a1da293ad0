"""What the kernels of a convolution work on: its shape, volumes of numbers, and tiles of them."""

from dataclasses import dataclass
from typing import Any

from trainer.fused.vectors import Code, Index, Machine

INDICES = ("first", "last", "images", "of_input")
"""What every kernel is told: to run the models from the first to before the last; how many images
(a multiple of 16); and how far one model's input is from the next one's (0: they share it)."""


@dataclass(frozen=True)
class Shape:
    """What kernels are compiled for: one model's convolution, of stride 1, without padding.

    ``pooled``: a 2 x 2 max pooling follows; ``rectified``: and ReLU after or before it.
    """

    inputs: int
    outputs: int
    height: int
    width: int
    kernel: tuple[int, int]
    pooled: bool
    rectified: bool
    double: bool

    @property
    def result(self) -> tuple[int, int]:
        """Height and width of the convolution's output, less what pooling leaves out."""
        tall, wide = self.height - self.kernel[0] + 1, self.width - self.kernel[1] + 1
        return (tall // 2 * 2, wide // 2 * 2) if self.pooled else (tall, wide)

    @property
    def stored(self) -> tuple[int, int]:
        """Height and width of what comes out."""
        tall, wide = self.result
        return (tall // 2, wide // 2) if self.pooled else (tall, wide)


@dataclass(frozen=True)
class Volume:
    """Vectors in memory by channel, row and column, ``step`` numbers from one to the next."""

    code: Code
    pointer: Any
    start: Index
    size: tuple[int, int]
    step: Index | int

    def at(self, channel: Index, row: Index, column: Index) -> Index:
        return self.start + ((channel * self.size[0] + row) * self.size[1] + column) * self.step

    def load(self, channel: Index, row: Index, column: Index) -> Any:
        return self.code.load(self.pointer, self.at(channel, row, column))

    def store(self, vector: Any, channel: Index, row: Index, column: Index) -> None:
        self.code.store(vector, self.pointer, self.at(channel, row, column))


class Tile:
    """What is computed together: some channels at 2 x 2 places, or fewer where a size is odd."""

    def __init__(self, code: Code, machine: Machine, channels: int, size: tuple[int, int]) -> None:
        self.height, self.width = (2 if length % 2 == 0 else 1 for length in size)
        self.rows, self.columns = size[0] // self.height, size[1] // self.width
        self.places = [(down, right) for down in range(self.height) for right in range(self.width)]
        # the other 8 registers are for inputs, and for the weight that passes by
        most = (24 if machine.registers == 32 else 8) // len(self.places)
        self.channels = max(n for n in range(1, channels + 1) if channels % n == 0 and n <= most)
        self.sums = [code.variables(len(self.places)) for _ in range(self.channels)]


def multiply_add(
    code: Code,
    tile: Tile,
    source: Volume,
    place: tuple[Index, Index, Index],
    weight: Any,
    factors: list[Index],
) -> None:
    """Add to the tile's sums one weight per channel, times the inputs at a place."""
    channel, row, column = place
    values = [source.load(channel, row + below, column + beside) for below, beside in tile.places]
    for factor, sums in zip(factors, tile.sums, strict=True):
        everywhere = code.load_everywhere(weight, factor)
        for value, one in zip(values, sums, strict=True):
            one.set(code.multiply_add(value, everywhere, one.get()))

"""The gradients of a convolution's weights, biases and inputs.

For as many images as a vector holds: the output's gradient is spread from the pooled places to
those it came from, with a border of zeros; then the gradients of a kernel are held in registers
while inputs and outputs pass by; then those of a tile of inputs, while the weights do.
"""

from typing import Any, TypeAlias

from trainer.fused.forward import DROPPED
from trainer.fused.tiles import INDICES, Shape, Tile, Volume, multiply_add
from trainer.fused.vectors import Code, Holds, Index, Machine, Program, Variable

Taps: TypeAlias = dict[tuple[int, int], Variable]
"""Sums for weights, by their row and column in the kernel."""

BACKWARD: dict[str, Holds] = {
    "gradient": "numbers",
    "winners": "bytes",
    "input": "numbers",
    "weight": "numbers",
    "to_input": "numbers",
    "to_weight": "numbers",
    "to_bias": "numbers",
    "scratch": "numbers",
}


def write_backward(program: Program, machine: Machine, shape: Shape, *, to_input: bool) -> int:
    """The gradients of weight, bias and input; the numbers that it needs for itself.

    For as many images as a vector holds, the output's gradient is spread from the pooled places to
    those it came from, with a border of zeros, and the gradients of weights are summed image by
    image in a vector each.
    """
    code = Code(program, "backward", BACKWARD, INDICES)
    scratch = Scratch(code, shape, bordered=to_input)
    backward = _Backward(code, machine, shape, scratch)
    scratch.clear(scratch.spread)
    with code.loop(code.indices["first"], code.indices["last"]) as model:
        scratch.clear(scratch.weights)
        scratch.clear(scratch.biases)
        with code.loop(0, code.indices["images"], code.width) as image:
            backward.spread_gradient(model, image, stored=to_input or not shape.pooled)
            backward.sum_weights(model, image)
            if to_input:
                backward.sum_inputs(model, image)
        backward.store_sums(model)
    code.end()
    return scratch.numbers


class Scratch:
    """Memory of a kernel's own, for as many images as a vector holds.

    Attributes:
        border: rows and columns of zeros before and after the spread gradient.
        spread: the output's gradient by output channel, row and column, as before pooling.
        weights: sums by output channel, input channel, and place in the kernel.
        biases: sums by output channel.
        numbers: how many there are in all.
    """

    def __init__(self, code: Code, shape: Shape, *, bordered: bool) -> None:
        self._code, self._outputs = code, shape.outputs
        down, right = shape.kernel
        self.border = (down - 1, right - 1) if bordered else (0, 0)
        self.numbers = 0
        self.spread = self._volume(shape.height + self.border[0], shape.width + self.border[1])
        self.weights = self._volume(shape.inputs, down * right)
        self.biases = self._volume(1, 1)

    def _volume(self, rows: int, columns: int) -> Volume:
        code = self._code
        start = code.index(self.numbers)
        self.numbers += self._outputs * rows * columns * code.width
        return Volume(code, code.pointers["scratch"], start, (rows, columns), code.width)

    def clear(self, volume: Volume) -> None:
        """Set all of it to zero."""
        code, (rows, columns) = self._code, volume.size
        with code.loop(0, self._outputs * rows * columns * code.width, code.width) as at:
            code.store(code.constant(0), volume.pointer, volume.start + at)


class _Backward:
    """The three sums of the way back, for as many images as a vector holds."""

    def __init__(self, code: Code, machine: Machine, shape: Shape, scratch: Scratch) -> None:
        self._code, self._machine, self._shape = code, machine, shape
        self._border = scratch.border
        self._spread, self._weights, self._biases = scratch.spread, scratch.weights, scratch.biases
        self._images = code.indices["images"]

    def _gradient(self, model: Index, image: Index) -> Volume:
        """The gradient of what was stored."""
        code, shape = self._code, self._shape
        of_model = shape.outputs * shape.stored[0] * shape.stored[1]
        start = model * self._images * of_model + image
        return Volume(code, code.pointers["gradient"], start, shape.stored, self._images)

    def spread_gradient(self, model: Index, image: Index, *, stored: bool) -> None:
        """Each pooled place's gradient to the one of its four that was the largest; and biases."""
        code, shape = self._code, self._shape
        source = self._gradient(model, image)
        with (
            code.loop(0, shape.outputs) as channel,
            code.loop(0, shape.stored[0]) as row,
            code.loop(0, shape.stored[1]) as column,
        ):
            gradient = source.load(channel, row, column)
            parts = [gradient]
            if shape.pooled:
                at = source.at(channel, row, column)
                winner = code.load_bytes(code.pointers["winners"], at)
                zero = code.constant(0)
                parts = [
                    code.select(code.same(winner, code.constant_bytes(n)), gradient, zero)
                    for n in range(4)
                ]
            side = 2 if shape.pooled else 1
            total = self._biases.load(channel, code.index(0), code.index(0))
            for n, part in enumerate(parts):
                down, right = row * side + n // 2, column * side + n % 2
                if stored:
                    top, left = down + self._border[0], right + self._border[1]
                    self._spread.store(part, channel, top, left)
                total = code.add(total, part)
            self._biases.store(total, channel, code.index(0), code.index(0))

    def sum_weights(self, model: Index, image: Index) -> None:
        """A weight's gradient: outputs' gradients times the inputs that it met; some rows at once.

        After pooling, only one of four outputs has a gradient: the input that it met is selected
        from four, which takes less than multiplying all of them.
        """
        code, shape = self._code, self._shape
        start = model * code.indices["of_input"] + image
        size = (shape.height, shape.width)
        source = Volume(code, code.pointers["input"], start, size, self._images)
        tall, wide = shape.kernel
        # sums in registers; the others are for a row of inputs, chosen ones of it, and gradients
        many = self._machine.registers == 32
        most = (15 if many else 5) if shape.pooled else (25 if many else 10)
        at_once = max(1, most // wide)
        with code.loop(0, shape.outputs) as output, code.loop(0, shape.inputs) as channel:
            for top in range(0, tall, at_once):
                rows = range(top, min(tall, top + at_once))
                taps = [(down, right) for down in rows for right in range(wide)]
                sums = dict(zip(taps, code.variables(len(taps)), strict=True))
                places = {tap: code.index(tap[0] * wide + tap[1]) for tap in taps}
                for tap, one in sums.items():
                    one.set(self._weights.load(output, channel, places[tap]))
                if shape.pooled:
                    self._sum_selected(source, self._gradient(model, image), output, channel, sums)
                else:
                    self._sum_all(source, output, channel, sums)
                for tap, one in sums.items():
                    self._weights.store(one.get(), output, channel, places[tap])

    def _sum_all(self, source: Volume, output: Index, channel: Index, sums: Taps) -> None:
        code = self._code
        tile = Tile(code, self._machine, 1, self._shape.result)
        (first, left), (last, right) = min(sums), max(sums)
        with code.loop(0, tile.rows) as row, code.loop(0, tile.columns) as column:
            y, x = row * tile.height, column * tile.width
            gradients = {
                (below, beside): self._spread.load(
                    output, y + self._border[0] + below, x + self._border[1] + beside
                )
                for below, beside in tile.places
            }
            for down in range(first, last + tile.height):
                for across in range(left, right + tile.width):
                    value = source.load(channel, y + down, x + across)
                    for (below, beside), gradient in gradients.items():
                        if met := sums.get((down - below, across - beside)):
                            met.set(code.multiply_add(value, gradient, met.get()))

    def _sum_selected(
        self, source: Volume, gradients: Volume, output: Index, channel: Index, sums: Taps
    ) -> None:
        code, shape = self._code, self._shape
        (first, _), (last, _) = min(sums), max(sums)
        wide = shape.kernel[1]
        with code.loop(0, shape.stored[0]) as row, code.loop(0, shape.stored[1]) as column:
            at = gradients.at(output, row, column)
            winner = code.load_bytes(code.pointers["winners"], at)
            counts = code.select(
                code.same(winner, code.constant_bytes(DROPPED)),
                code.constant(0),
                code.load(gradients.pointer, at),
            )
            right, below = code.has_bit(winner, 1), code.has_bit(winner, 2)
            before: list[Any] = []
            for down in range(first, last + 2):
                y, x = row * 2 + down, column * 2
                values = [source.load(channel, y, x + across) for across in range(wide + 1)]
                chosen = [code.select(right, values[n + 1], values[n]) for n in range(wide)]
                for across, (above, under) in enumerate(zip(before, chosen, strict=False)):
                    met = sums[down - 1, across]
                    value = code.select(below, under, above)
                    met.set(code.multiply_add(value, counts, met.get()))
                before = chosen

    def sum_inputs(self, model: Index, image: Index) -> None:
        """An input's gradient: all weights times the gradients of the outputs that they led to."""
        code, shape = self._code, self._shape
        tile = Tile(code, self._machine, shape.inputs, (shape.height, shape.width))
        start = model * self._images * (shape.inputs * shape.height * shape.width) + image
        size, taps = (shape.height, shape.width), shape.kernel[0] * shape.kernel[1]
        target = Volume(code, code.pointers["to_input"], start, size, self._images)
        with (
            code.loop(0, tile.rows) as row,
            code.loop(0, tile.columns) as column,
            code.loop(0, shape.inputs, tile.channels) as first,
        ):
            top, left = row * tile.height, column * tile.width
            for sums in tile.sums:
                for one in sums:
                    one.set(code.constant(0))
            with (
                code.loop(0, shape.outputs) as output,
                code.loop(*self._inside(top, 0, tile.height)) as down,
                code.loop(*self._inside(left, 1, tile.width)) as right,
            ):
                at = ((model * shape.outputs + output) * shape.inputs + first + 1) * taps - 1
                at = at - down * shape.kernel[1] - right  # the kernel, turned round
                factors = [at + n * taps for n in range(tile.channels)]
                place = (output, top + down, left + right)
                weight = code.pointers["weight"]
                multiply_add(code, tile, self._spread, place, weight, factors)
            for n, sums in enumerate(tile.sums):
                for (below, beside), one in zip(tile.places, sums, strict=True):
                    target.store(one.get(), first + n, top + below, left + beside)

    def _inside(self, start: Index, side: int, length: int) -> tuple[Index, Index]:
        """Which rows (or columns) of weights do not meet the border alone."""
        border, size = self._border[side], self._shape.result[side]
        first = self._code.index(border - length + 1) - start
        last = self._code.index(border + size) - start
        return first.at_least(0), last.at_most(self._shape.kernel[side])

    def store_sums(self, model: Index) -> None:
        """The sums over the images."""
        code, shape = self._code, self._shape
        of_weights = shape.outputs * shape.inputs * shape.kernel[0] * shape.kernel[1]
        for volume, name, count in (
            (self._weights, "to_weight", of_weights),
            (self._biases, "to_bias", shape.outputs),
        ):
            with code.loop(0, count) as n:
                total = code.load(volume.pointer, volume.start + n * code.width)
                code.store_sum(total, code.pointers[name], model * count + n)

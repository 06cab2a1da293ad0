"""The gradients of a convolution's weights, biases and inputs.

For as many images as a vector holds: the output's gradient is spread from the pooled places to
those it came from, with a border of zeros; then the gradients of a kernel are held in registers
while inputs and outputs pass by; then those of a tile of inputs, while the weights do.
"""

from typing import Any, TypeAlias

from trainer.fused.forward import DROPPED
from trainer.fused.tiles import INDICES, Shape, Tile, Volume, multiply_add
from trainer.fused.vectors import Code, Index, Machine, Program, Variable

Taps: TypeAlias = dict[tuple[int, int], Variable]
"""Sums for weights, by their row and column in the kernel."""

BACKWARD = (
    "gradient", "codes", "input", "weight", "to_input", "to_weight", "to_bias", "scratch",
)  # fmt: skip


def write_backward(program: Program, machine: Machine, shape: Shape, *, to_input: bool) -> int:
    """The gradients of weight, bias and input; the numbers that it needs for itself.

    For as many images as a vector holds, the output's gradient is spread from the pooled places to
    those it came from, with a border of zeros, and the gradients of weights are summed image by
    image in a vector each.
    """
    code = Code(program, "backward", BACKWARD, INDICES)
    border = (shape.kernel[0] - 1, shape.kernel[1] - 1) if to_input else (0, 0)
    tall, wide = shape.height + border[0], shape.width + border[1]
    taps = shape.kernel[0] * shape.kernel[1]
    of_spread = shape.outputs * tall * wide * code.width
    of_weights = shape.outputs * shape.inputs * taps * code.width
    of_biases = shape.outputs * code.width
    images, scratch = code.indices["images"], code.pointers["scratch"]
    spread = Volume(code, scratch, code.index(0), (tall, wide), code.width)
    weights = Volume(code, scratch, code.index(of_spread), (shape.inputs, taps), code.width)
    biases = Volume(code, scratch, code.index(of_spread + of_weights), (1, 1), code.width)
    backward = _Backward(code, machine, shape, border, spread, weights, biases)
    _clear(code, spread, of_spread)
    with code.loop(code.indices["first"], code.indices["last"]) as model:
        _clear(code, weights, of_weights + of_biases)
        with code.loop(0, images, code.width) as image:
            backward.spread_gradient(model, image, stored=to_input or not shape.pooled)
            backward.sum_weights(model, image)
            if to_input:
                backward.sum_inputs(model, image)
        backward.store_sums(model)
    code.end()
    return of_spread + of_weights + of_biases


def _clear(code: Code, volume: Volume, numbers: int) -> None:
    with code.loop(0, numbers, code.width) as at:
        code.store(code.constant(0), volume.pointer, volume.start + at)


class _Backward:
    """The three sums of the way back, for as many images as a vector holds."""

    def __init__(
        self,
        code: Code,
        machine: Machine,
        shape: Shape,
        border: tuple[int, int],
        spread: Volume,
        weights: Volume,
        biases: Volume,
    ) -> None:
        self._code, self._machine, self._shape, self._border = code, machine, shape, border
        self._spread, self._weights, self._biases = spread, weights, biases
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
                which = code.load_codes(code.pointers["codes"], source.at(channel, row, column))
                zero = code.constant(0)
                parts = [
                    code.select(code.same(which, code.codes(n)), gradient, zero) for n in range(4)
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
        most = (15, 5) if shape.pooled else (25, 10)
        at_once = max(1, most[0 if self._machine.registers == 32 else 1] // wide)
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
            which = code.load_codes(code.pointers["codes"], at)
            counts = code.select(
                code.same(which, code.codes(DROPPED)),
                code.constant(0),
                code.load(gradients.pointer, at),
            )
            right, below = code.has_bit(which, 1), code.has_bit(which, 2)
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

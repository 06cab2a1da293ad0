"""A convolution, and the pooling and ReLU after it.

A tile of some output channels is held in registers while all weights pass by. Pooling and ReLU are
done on that tile before it is stored: a byte says which of four places was the largest (or, after
ReLU, that none counts), and that is all that the way back needs.
"""

from typing import Any

from trainer.fused.tiles import INDICES, Shape, Tile, Volume, multiply_add
from trainer.fused.vectors import Code, Holds, Index, Machine, Program

DROPPED = 4
"""The winner of a pooled value that ReLU made zero: none of its four places gets the gradient."""

FORWARD: dict[str, Holds] = {
    "input": "numbers",
    "weight": "numbers",
    "bias": "numbers",
    "output": "numbers",
    "winners": "bytes",
}


def write_forward(program: Program, machine: Machine, shape: Shape) -> None:
    """Each output: its bias, and the products of all weights with the inputs below them."""
    code = Code(program, "forward", FORWARD, INDICES)
    tile = Tile(code, machine, shape.outputs, shape.result)
    images, taps = code.indices["images"], shape.kernel[0] * shape.kernel[1]
    weight, bias = code.pointers["weight"], code.pointers["bias"]
    with (
        code.loop(code.indices["first"], code.indices["last"]) as model,
        code.loop(0, images, code.width) as image,
    ):
        start = model * code.indices["of_input"] + image
        source = Volume(code, code.pointers["input"], start, (shape.height, shape.width), images)
        start = model * images * (shape.outputs * shape.stored[0] * shape.stored[1]) + image
        target = Volume(code, code.pointers["output"], start, shape.stored, images)
        with (
            code.loop(0, tile.rows) as row,
            code.loop(0, tile.columns) as column,
            code.loop(0, shape.outputs, tile.channels) as first,
        ):
            corner = (row * tile.height, column * tile.width)
            for n, sums in enumerate(tile.sums):
                for one in sums:
                    one.set(code.load_everywhere(bias, model * shape.outputs + first + n))
            with (
                code.loop(0, shape.inputs) as channel,
                code.loop(0, shape.kernel[0]) as down,
                code.loop(0, shape.kernel[1]) as right,
            ):
                output = model * shape.outputs + first
                at = (output * shape.inputs + channel) * taps + down * shape.kernel[1] + right
                factors = [at + n * shape.inputs * taps for n in range(tile.channels)]
                place = (channel, corner[0] + down, corner[1] + right)
                multiply_add(code, tile, source, place, weight, factors)
            for n, sums in enumerate(tile.sums):
                results = [one.get() for one in sums]
                if shape.pooled:
                    _pool(code, target.at(first + n, row, column), results, shape.rectified)
                    continue
                for (below, beside), result in zip(tile.places, results, strict=True):
                    target.store(result, first + n, corner[0] + below, corner[1] + beside)
    code.end()


def _pool(code: Code, at: Index, four: list[Any], rectified: bool) -> None:
    """Store the largest of four vectors, and which it was; the first of equals, as in torch."""
    largest, winner = four[0], code.constant_bytes(0)
    for number, one in enumerate(four[1:], start=1):
        larger = code.larger(one, largest)
        largest = code.select(larger, one, largest)
        winner = code.select(larger, code.constant_bytes(number), winner)
    if rectified:
        dropped = code.not_above(largest, code.constant(0))
        largest = code.select(dropped, code.constant(0), largest)
        winner = code.select(dropped, code.constant_bytes(DROPPED), winner)
    code.store(largest, code.pointers["output"], at)
    code.store(winner, code.pointers["winners"], at)

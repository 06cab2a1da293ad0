"""What an LSTM's step does between two matrix products, in one pass over memory.

On a CPU torch would take a dozen operations for it, each a pass over all gates of all models. Its
own kernel for one LSTM alone does it in one, and so do these, compiled by LLVM.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from torch import Tensor

from trainer.fused.vectors import Code, Index, Program, this_machine

INDICES = ("models", "steps", "step", "rows", "size")
THERE = ("now", "active", "cells", "squashed", "outputs")
BACK = ("to_state", "to_cell", "to_outputs", "active", "cells", "squashed", "to_gates")
"""The tensors of each kernel, contiguous, all of numbers.

now (K, N, 4 H); active and to_gates (K, T, N, 4 H), gates in the order i, f, o, g;
cells (K, T + 1, N, H), the first those before the first step; squashed, outputs and to_outputs
(K, T, N, H); to_state and to_cell (K, N, H). H is a multiple of 16.
"""


def there(step: int, *tensors: Tensor) -> None:
    """From the gates as a product gave them to the states after this step."""
    _run(there_kernel, step, tensors, tensors[THERE.index("outputs")])


def back(step: int, *tensors: Tensor) -> None:
    """From the gradients of a step's states to those of its gates, and of the cells before it."""
    _run(back_kernel, step, tensors, tensors[BACK.index("to_outputs")])


def _run(kernel: Callable[..., Any], step: int, tensors: tuple[Tensor, ...], like: Tensor) -> None:
    models, steps, rows, size = like.shape
    addresses = [tensor.data_ptr() for tensor in tensors]
    kernel(like.element_size() == 8)(*addresses, models, steps, step, rows, size)


@lru_cache(maxsize=2)
def there_kernel(double: bool) -> Callable[..., None]:
    program = Program(this_machine(), double=double)
    code = Code(program, "there", dict.fromkeys(THERE, "numbers"), INDICES)
    now, active, cells, squashed, outputs = (code.pointers[name] for name in THERE)
    size = code.indices["size"]
    with (
        code.loop(0, code.indices["models"]) as model,
        code.loop(0, code.indices["rows"]) as row,
        code.loop(0, size, code.width) as column,
    ):
        at, cell, after = _places(code, model, row)
        given = (model * code.indices["rows"] + row) * size * 4 + column
        gates = [code.load(now, given + size * n) for n in range(4)]
        i, f, o = (code.sigmoid(gate) for gate in gates[:3])
        g = code.tanh(gates[3])
        for n, gate in enumerate((i, f, o, g)):
            code.store(gate, active, at * size * 4 + size * n + column)
        kept = code.multiply(f, code.load(cells, cell * size + column))
        new = code.multiply_add(i, g, kept)
        small = code.tanh(new)
        code.store(new, cells, after * size + column)
        code.store(small, squashed, at * size + column)
        code.store(code.multiply(o, small), outputs, at * size + column)
    code.end()
    return program.compile("there", len(THERE), len(INDICES))


@lru_cache(maxsize=2)
def back_kernel(double: bool) -> Callable[..., None]:
    program = Program(this_machine(), double=double)
    code = Code(program, "back", dict.fromkeys(BACK, "numbers"), INDICES)
    to_state, to_cell, to_outputs, active, cells, squashed, to_gates = (
        code.pointers[name] for name in BACK
    )
    size, one = code.indices["size"], code.constant(1)

    def slope(gate: Any) -> Any:
        """Of a sigmoid, where it is this."""
        return code.multiply(gate, code.subtract(one, gate))

    def slope_of_tanh(value: Any) -> Any:
        return code.subtract(one, code.multiply(value, value))

    with (
        code.loop(0, code.indices["models"]) as model,
        code.loop(0, code.indices["rows"]) as row,
        code.loop(0, size, code.width) as column,
    ):
        at, cell, _ = _places(code, model, row)
        own = (model * code.indices["rows"] + row) * size + column
        i, f, o, g = (code.load(active, at * size * 4 + size * n + column) for n in range(4))
        small = code.load(squashed, at * size + column)
        of_state = code.add(code.load(to_state, own), code.load(to_outputs, at * size + column))
        through = code.multiply(code.multiply(of_state, o), slope_of_tanh(small))
        of_cell = code.add(code.load(to_cell, own), through)
        before = code.load(cells, cell * size + column)
        for n, gradient in enumerate(
            (
                code.multiply(code.multiply(of_cell, g), slope(i)),
                code.multiply(code.multiply(of_cell, before), slope(f)),
                code.multiply(code.multiply(of_state, small), slope(o)),
                code.multiply(code.multiply(of_cell, i), slope_of_tanh(g)),
            )
        ):
            code.store(gradient, to_gates, at * size * 4 + size * n + column)
        code.store(code.multiply(of_cell, f), to_cell, own)
    code.end()
    return program.compile("back", len(BACK), len(INDICES))


def _places(code: Code, model: Index, row: Index) -> tuple[Index, Index, Index]:
    """A row's number among those of all steps, among the cells before, and those after."""
    steps, step, rows = (code.indices[name] for name in ("steps", "step", "rows"))
    at = (model * steps + step) * rows + row
    cell = (model * (steps + 1) + step) * rows + row
    return at, cell, cell + rows

"""A step of Adam or AdamW in one pass over memory, for an array's optimizer on a CPU.

torch's own does so for models of one learning rate; written as a dozen operations on tensors that
are larger than the caches, a step takes three times as long.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from torch import Tensor

from trainer.fused.vectors import Code, Program, this_machine

POINTERS = ("parameters", "gradients", "means", "squares", "rates", "decays", "corrections")
"""All of them are of numbers."""


@dataclass(frozen=True)
class Settings:
    """What a step is compiled for; ``decoupled``: the decay is AdamW's."""

    beta1: float
    beta2: float
    eps: float
    decays: bool
    decoupled: bool
    double: bool


@lru_cache(maxsize=16)
def adam_step(settings: Settings) -> Callable[..., None]:
    """A function of the number of the step, and the tensors of :data:`POINTERS` but the last.

    The tensors are flat, of one length, a multiple of 16.
    """
    program = Program(this_machine(), double=settings.double)
    code = Code(program, "step", dict.fromkeys(POINTERS, "numbers"), ("count",))
    with code.loop(0, code.indices["count"], code.width) as at:
        parameter, gradient, mean, square, rate = (
            code.load(code.pointers[name], at) for name in POINTERS[:5]
        )
        first, second = (
            code.load_everywhere(code.pointers["corrections"], code.index(n)) for n in (0, 1)
        )
        if settings.decays:
            decay = code.load(code.pointers["decays"], at)
            if settings.decoupled:
                shrunk = code.multiply(rate, decay)
                parameter = code.subtract(parameter, code.multiply(parameter, shrunk))
            else:
                gradient = code.multiply_add(parameter, decay, gradient)
        change = code.subtract(gradient, mean)
        mean = code.multiply_add(change, code.constant(1 - settings.beta1), mean)
        squared = code.multiply(
            code.multiply(gradient, gradient), code.constant(1 - settings.beta2)
        )
        square = code.multiply_add(square, code.constant(settings.beta2), squared)
        size = code.multiply_add(code.root(square), second, code.constant(settings.eps))
        moved = code.divide(code.multiply(code.multiply(rate, first), mean), size)
        code.store(code.subtract(parameter, moved), code.pointers["parameters"], at)
        code.store(mean, code.pointers["means"], at)
        code.store(square, code.pointers["squares"], at)
    code.end()
    function = program.compile("step", len(POINTERS), 1)
    two_numbers = (ctypes.c_double if settings.double else ctypes.c_float) * 2

    def step(number: float, *tensors: Tensor) -> None:
        corrections = two_numbers(
            1 / (1 - settings.beta1**number), (1 - settings.beta2**number) ** -0.5
        )
        addresses = [tensor.data_ptr() for tensor in tensors]
        function(*addresses, ctypes.addressof(corrections), tensors[0].numel())

    return step

"""Adam and AdamW for an array: every member's learning rate, decay, betas and epsilon are its own.

On a CPU a step is one pass over memory, compiled by LLVM: as a dozen operations on tensors that
are larger than the caches it takes three times as long. torch's own kernel does so for models of
one learning rate.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from trainer.fused.blocks import Block, Rule

POINTERS = ("parameters", "gradients", "means", "squares", "settings")
"""What the compiled step is given; all are rows of numbers, one row a member."""

FACTORS = 8
"""Numbers in a member's row of settings, as :meth:`AdamRule._factors` lists them."""


class AdamRule(Rule):
    """A step of Adam, or of AdamW where the decay is decoupled."""

    counts = True

    def __init__(self, block: Block, *, decoupled: bool) -> None:
        super().__init__(block)
        self._decoupled = decoupled
        self._means, self._squares = block.state("exp_avg"), block.state("exp_avg_sq")
        self._compiled: Callable[..., None] | None = None
        values = block.values
        if values.device.type == "cpu" and values.dtype in (torch.float32, torch.float64):
            self._compiled = adam_step(decoupled, values.dtype is torch.float64)

    def read(self, group: Mapping[str, Any]) -> tuple[float, ...]:
        beta1, beta2 = group["betas"]
        return group["lr"], group["weight_decay"], beta1, beta2, group["eps"]

    def update(self, settings: Tensor, steps: Tensor) -> None:
        factors = self._factors(settings, steps)
        if self._compiled:
            block = self.block
            tensors = (block.values, block.gradients, self._means, self._squares, factors)
            addresses = [tensor.data_ptr() for tensor in tensors]
            self._compiled(*addresses, *block.values.shape)
            return
        columns = (column.unsqueeze(1) for column in factors.unbind(1))
        shrink, decay, toward, keep, add, rate, root, eps = columns
        values, gradients = self.block.values, self.block.gradients
        if self._decoupled:
            values.mul_(shrink)
        else:
            gradients = torch.addcmul(gradients, values, decay)
        self._means.lerp_(gradients, toward)
        self._squares.mul_(keep).addcmul_(gradients, gradients * add)
        size = self._squares.sqrt().mul_(root).add_(eps)
        values.addcmul_(self._means / size, rate, value=-1)

    def _factors(self, settings: Tensor, steps: Tensor) -> Tensor:
        """What a step multiplies and adds, (members, FACTORS), taken in 64 bits as torch does."""
        lr, decay, beta1, beta2, eps = settings.unbind(1)
        corrected, root = 1 - beta1**steps, (1 - beta2**steps).rsqrt()
        factors = (1 - lr * decay, decay, 1 - beta1, beta2, 1 - beta2, lr / corrected, root, eps)
        return torch.stack(factors, dim=1).to(self.block.values.dtype)


@lru_cache(maxsize=4)
def adam_step(decoupled: bool, double: bool) -> Callable[..., None]:
    """A function of the addresses of :data:`POINTERS`, of the members and of a row's length.

    Rows are a multiple of 16 numbers long.
    """
    from trainer.fused.vectors import Code, Program, this_machine  # LLVM, which GPUs do not need

    program = Program(this_machine(), double=double)
    code = Code(program, "step", dict.fromkeys(POINTERS, "numbers"), ("members", "length"))
    parameters, gradients, means, squares, settings = (code.pointers[name] for name in POINTERS)
    with code.loop(0, code.indices["members"]) as member:
        shrink, decay, toward, keep, add, rate, root, eps = (
            code.load_everywhere(settings, member * FACTORS + n) for n in range(FACTORS)
        )
        with code.loop(0, code.indices["length"], code.width) as column:
            at = member * code.indices["length"] + column
            parameter, gradient = code.load(parameters, at), code.load(gradients, at)
            if decoupled:
                parameter = code.multiply(parameter, shrink)
            else:
                gradient = code.multiply_add(parameter, decay, gradient)
            mean, square = code.load(means, at), code.load(squares, at)
            mean = code.multiply_add(code.subtract(gradient, mean), toward, mean)
            squared = code.multiply(code.multiply(gradient, gradient), add)
            square = code.multiply_add(square, keep, squared)
            size = code.multiply_add(code.root(square), root, eps)
            moved = code.divide(code.multiply(rate, mean), size)
            code.store(code.subtract(parameter, moved), parameters, at)
            code.store(mean, means, at)
            code.store(square, squares, at)
    code.end()
    return program.compile("step", len(POINTERS), 2)

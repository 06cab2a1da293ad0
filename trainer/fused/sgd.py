"""SGD for an array: every member's learning rate, decay and momentum are its own."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trainer.fused.blocks import Block, Rule


class SGDRule(Rule):
    """A step of SGD, with or without momentum; torch's, but for dampening."""

    def __init__(self, block: Block) -> None:
        super().__init__(block)
        self._moving = {id(group): bool(group["momentum"]) for group in block.groups}
        self._moves = any(self._moving.values())
        if self._moves:
            self._check_dampening()
            self._momentum = block.state("momentum_buffer")

    def read(self, group: Mapping[str, Any]) -> tuple[float, ...]:
        if bool(group["momentum"]) != self._moving[id(group)]:
            self.refuse("a momentum cannot become 0, or more than that, on the way")
        self._check_dampening()
        nesterov = float(bool(group["nesterov"]))
        return group["lr"], group["weight_decay"], group["momentum"], nesterov

    def _check_dampening(self) -> None:
        """It would not hold for the first gradient, and so make a step depend on another state."""
        if any(group["dampening"] for group in self.block.groups):
            self.refuse("dampening has no array form")

    def update(self, settings: Tensor, steps: Tensor) -> None:
        values, gradients = self.block.values, self.block.gradients
        columns = settings.to(values.dtype).unbind(1)
        lr, decay, momentum, nesterov = (column.unsqueeze(1) for column in columns)
        gradients = torch.addcmul(gradients, values, decay)
        if self._moves:
            self._momentum.mul_(momentum).add_(gradients)
            ahead = torch.addcmul(gradients, self._momentum, momentum)
            gradients = torch.where(nesterov > 0, ahead, self._momentum)
        values.addcmul_(gradients, lr, value=-1)

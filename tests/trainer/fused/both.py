"""The same training twice: each model alone, and all of them as an array."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Optimizer

from trainer.fused import ArrayOptimizer, ModuleArray
from trainer.fused.streams import drawing

SIZE = 3
SHARED = 8
"""Examples in a batch."""

Make = Callable[[], nn.Module]
Schedule = Callable[[Optimizer, int], Any]


def build(make: Make, size: int = SIZE) -> list[nn.Module]:
    """Models that differ in their seeds."""
    models = []
    for seed in range(size):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            models.append(make())
    return models


def loss_of(outputs: Tensor, labels: Tensor) -> Tensor:
    classes = outputs.flatten(1)
    return F.cross_entropy(classes, labels % classes.shape[1])


class Both:
    """Models and optimizers, and copies of them that are trained alone on the same batches."""

    def __init__(
        self,
        models: Sequence[nn.Module],
        optimizers: Sequence[Optimizer],
        example: Tensor,
        schedule: Schedule | None = None,
    ) -> None:
        pairs = [copy.deepcopy(pair) for pair in zip(models, optimizers, strict=True)]
        self.alone = [model for model, _ in pairs]
        self._own = [optimizer for _, optimizer in pairs]
        self.models, self.optimizers = list(models), list(optimizers)
        self._schedules: list[Any] = [
            schedule(optimizer, index % len(self._own))
            for index, optimizer in enumerate([*self._own, *optimizers])
            if schedule
        ]
        self._example = example
        self._streams = [torch.Generator().manual_seed(100 + n) for n in range(len(models))]
        streams = [torch.Generator().manual_seed(100 + n) for n in range(len(models))]
        self.array = ModuleArray(models, example, streams)
        self.optimizer = ArrayOptimizer(self.array.stacked(), optimizers)

    def train(self, steps: int, clip: Sequence[float] | None = None) -> None:
        for step in range(steps):
            generator = torch.Generator().manual_seed(step)
            inputs, labels = self.batch(generator)
            outputs = self.array(inputs)
            pairs = zip(outputs, labels, strict=True)
            losses = torch.stack([loss_of(got, want) for got, want in pairs])
            gradients = torch.autograd.grad(losses.sum(), self.array.stacked())
            self.optimizer.step(gradients, torch.tensor(clip) if clip else None)
            for index, (model, own) in enumerate(zip(self.alone, self._own, strict=True)):
                own.zero_grad()
                with drawing(self._streams[index]):
                    outputs = model(inputs[index])
                loss_of(outputs, labels[index]).backward()
                if clip:
                    nn.utils.clip_grad_norm_(model.parameters(), clip[index])
                own.step()
            for schedule in self._schedules:
                schedule.step()

    def batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Each member's own inputs, like the example, and labels."""
        size, shape = len(self.models), self._example.shape[1:]
        if self._example.is_floating_point():
            inputs = torch.rand(size, SHARED, *shape, generator=generator)
        else:
            highest = int(self._example.max()) + 1
            inputs = torch.randint(0, highest, (size, SHARED, *shape), generator=generator)
        return inputs, torch.randint(0, 10, (size, SHARED), generator=generator)

    def drop(self, indices: Sequence[int]) -> None:
        self.array.drop(indices)
        self.optimizer.drop(self.array.stacked(), indices)
        for held in (self.models, self.optimizers, self.alone, self._own, self._streams):
            held[:] = [one for index, one in enumerate(held) if index not in indices]

    def assert_same(self) -> None:
        """All that a model holds agrees with what it holds alone, to nine digits in 64 bits."""
        for model, other in zip(self.models, self.alone, strict=True):
            own = other.state_dict()
            for name, value in model.state_dict().items():
                torch.testing.assert_close(value, own[name], rtol=1e-9, atol=1e-10, msg=name)


def learns_the_same(make: Make, example: Tensor, steps: int = 6) -> Both:
    """Train both ways and compare, after training and in evaluation."""
    models = build(make)
    optimizers = [
        SGD(m.parameters(), lr=0.05 * (i + 1), momentum=0.9) for i, m in enumerate(models)
    ]
    both = Both(models, optimizers, example)
    both.train(steps)
    both.assert_same()
    inputs, _ = both.batch(torch.Generator().manual_seed(99))
    with torch.no_grad():
        outputs = both.array.eval()(inputs)
        for model, own, got in zip(both.alone, inputs, outputs, strict=True):
            torch.testing.assert_close(got, model.eval()(own), rtol=1e-9, atol=1e-10)
    return both

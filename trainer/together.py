"""The step that members of an array share, and an epoch of such steps.

On a GPU the step is captured as a CUDA graph and replayed.
"""

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from trainer.augmentation import augmented
from trainer.batch import each, stack
from trainer.captured import CapturedStep
from trainer.config import SPEED
from trainer.data import Examples, Split, batch_sizes, evaluated_at_once
from trainer.feeds import Gathered, Streamed, run
from trainer.fused import ArrayOptimizer, CannotFuse, ModuleArray, drawing, unchanged
from trainer.loop import autocast, precisely
from trainer.objectives import (
    Totals,
    detached,
    in_full,
    losses_of,
    member_of,
    on_device,
    resolve_loss,
)  # fmt: skip
from trainer.state import TrainState


class TrainingArray:
    """The members' models and optimizers as one, and the steps that train them."""

    def __init__(
        self, states: Sequence[TrainState], splits: Mapping[str, Examples], device: torch.device
    ) -> None:
        self._states = list(states)
        self._setup = states[0].setup
        self._splits, self._device = splits, device
        self._loss = on_device(resolve_loss(self._setup.task.loss), device)
        example = each(lambda tensor: tensor.to(device), splits["train"].example(2))
        with precisely("fp32"):
            self._model = ModuleArray(
                [state.model for state in self._states],
                example,
                [state.noise for state in self._states],
            )
        self._smoothings = [state.setup.settings.label_smoothing for state in self._states]
        self._model.keep_trained(self._reached())
        self._parameters = self._model.stacked()
        self._optimizer = ArrayOptimizer(
            self._parameters, [state.optimizer for state in self._states]
        )
        self._steps: dict[int, Callable[[], None]] = {}
        self._measure()

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Those that the loss depends on, (K, *shape) each."""
        return self._parameters

    def unchanged(self) -> AbstractContextManager[None]:
        """Whatever is trained in here, the members are afterwards as before."""
        members = ((state.model, state.optimizer, state.noise) for state in self._states)
        return unchanged(*zip(*members, strict=True))

    def _reached(self) -> list[bool]:
        """Which of the parameters the loss depends on: a second output may play no part in it."""
        inputs, targets = (
            each(lambda t: t.to(self._device).expand(len(self._states), *t.shape).contiguous(), one)
            for one in self._splits["train"].beginning(self._setup.settings.batch_size, 1)[0]
        )
        with self.unchanged(), precisely("fp32"):
            losses = self._losses(in_full(run(self._model, inputs)), targets)
            found = torch.autograd.grad(losses.sum(), self._model.stacked(), allow_unused=True)
        return [gradient is not None for gradient in found]

    def _measure(self) -> None:
        """What is of the members' number."""
        task, states = self._setup.task, self._states
        self._clips = _clips(states, self._device)
        self._passed_over = self._model.passed_over()
        self._totals = Totals(task.metrics, task.counts, self._device, len(states))
        self._feed = self._feed_of(self._splits["train"])

    def epoch(self) -> list[dict[str, float]]:
        """Train one epoch and evaluate; each member's metrics."""
        started = time.perf_counter()
        train, settings = self._splits["train"], self._setup.settings
        self._feed.begin([state.draw_order(train) for state in self._states])
        sizes = batch_sizes(len(train), settings.batch_size)
        first = self._states[0]
        with precisely(settings.precision):
            self._totals.reset()
            for step, size in enumerate(sizes):
                self._position = step
                for state in self._states:
                    state.set_rates(first.epoch + (step + 0.5) / len(sizes))
                self._step(size)
            found = self._totals.read("train", len(train))
            seconds = time.perf_counter() - started
            for metrics in found:
                metrics[self._setup.task.unit + SPEED] = len(train) / seconds
            for name, split in self._splits.items():
                if name != "train":
                    tested = self._evaluate(name, split)
                    found = [one | other for one, other in zip(found, tested, strict=True)]
        return found

    def drop(self, indices: Sequence[int]) -> None:
        """Let members go; the others go on as they would have, on less."""
        gone = set(indices)
        self._model.drop(indices)
        self._parameters = self._model.stacked()
        self._optimizer.drop(self._parameters, indices)
        self._states = [state for n, state in enumerate(self._states) if n not in gone]
        self._smoothings = [state.setup.settings.label_smoothing for state in self._states]
        self.close()
        self._measure()

    def close(self) -> None:
        """Let go of the captured steps, and of the memory that they hold on a GPU."""
        self._steps.clear()
        if self._device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()

    def _feed_of(self, split: Examples) -> Gathered | Streamed:
        augment = self._augment if self._setup.task.augment else None
        here = self._device.type == "cpu" or split.resident
        if isinstance(split, Split) and here:
            return Gathered(split, len(self._states), augment)
        return Streamed(split, self._setup.settings.batch_size, self._device, augment)

    def _augment(self, inputs: Any) -> Any:
        """Each member's inputs, changed under its own random numbers."""
        changed = []
        for index, state in enumerate(self._states):
            with drawing(state.noise):
                changed.append(augmented(state, member_of(inputs, index), self._position))
        return stack(changed)

    def _step(self, size: int) -> None:
        """One step of this many examples; on a GPU it is captured and replayed if it can be."""
        step = self._steps.get(size)
        if step is None:
            train: Callable[[], None] = lambda: self._train_batch(size)  # noqa: E731
            fixed = isinstance(self._feed, Gathered) and not self._setup.task.augment
            captured = self._device.type == "cuda" and fixed
            step = self._steps[size] = (
                CapturedStep(train, [state.noise for state in self._states]) if captured else train
            )
        self._optimizer.refresh()  # a captured step cannot look what a schedule has set
        step()

    def _train_batch(self, size: int) -> None:
        with autocast(self._device, self._setup.settings.precision):
            outputs, targets = self._feed.outputs(self._model, size)
        self._update(outputs, targets, size)

    def differentiate(self, inputs: Any, targets: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The members' losses, (K), on inputs (K, N, ...), and the gradients of their sum."""
        with autocast(self._device, self._setup.settings.precision):
            outputs = run(self._model, inputs)
        losses = self._losses(in_full(outputs), targets)
        return losses.detach(), self._gradients(losses)

    def _gradients(self, losses: Tensor) -> tuple[Tensor, ...]:
        trained, others = self._parameters, self._passed_over
        found = torch.autograd.grad(losses.sum(), [*trained, *others], allow_unused=True)
        reached = [gradient is not None for gradient in found]
        if reached != [True] * len(trained) + [False] * len(others):
            raise CannotFuse("which parameters the loss depends on changes from batch to batch")
        return found[: len(trained)]

    def update(self, gradients: Sequence[Tensor]) -> None:
        """Let the members' optimizers step."""
        self._optimizer.step(gradients, self._clips)

    def _losses(self, outputs: Any, targets: Any) -> Tensor:
        return losses_of(self._loss, outputs, targets, self._smoothings)

    def _update(self, outputs: Any, targets: Any, size: int) -> None:
        outputs = in_full(outputs)
        losses = self._losses(outputs, targets)
        self.update(self._gradients(losses))
        self._totals.add(losses.detach(), detached(outputs), targets, size)

    @torch.no_grad()
    def _evaluate(self, name: str, split: Examples) -> list[dict[str, float]]:
        self._model.eval()
        self._totals.reset()
        members, nothing = len(self._states), [0.0] * len(self._states)
        asked = [state.asked(name, split) for state in self._states]
        size = evaluated_at_once(split.example(1))
        batches = zip(
            split.batches(size, None, self._device), batch_sizes(len(split), size), strict=True
        )
        with ExitStack() as evaluation:
            for state in self._states:
                evaluation.enter_context(state.evaluating())
            for (inputs, targets), count in batches:
                shared = each(lambda t: t.expand(members, *t.shape), inputs)
                answers = each(lambda t: t.expand(members, *t.shape), targets)
                with autocast(self._device, self._setup.settings.precision):
                    outputs = run(self._model, shared)
                outputs = in_full(outputs)
                losses = losses_of(self._loss, outputs, answers, nothing)
                self._totals.add(losses, outputs, answers, count)
                for index, one in enumerate(asked):
                    if one:
                        one.add(outputs[index], targets)
        self._model.train()
        return self._totals.read(name, len(split))


def _clips(states: Sequence[TrainState], device: torch.device) -> Tensor | None:
    """Each member's largest norm, (K); ``None`` if no gradient is clipped."""
    clips = [state.setup.settings.clip for state in states]
    if not any(clips):
        return None
    return torch.tensor([clip or math.inf for clip in clips], device=device)

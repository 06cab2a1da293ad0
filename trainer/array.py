"""Several training runs as one array: the loop of `loop.py`, for all of them at once.

Each run keeps what it has alone: its seed, its order of examples, its optimizer's settings and
schedule, its random numbers, its TensorBoard file and its checkpoints, which continue alone or in
any array. What is shared is the step. On a GPU the step is captured as a CUDA graph and replayed.
"""

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainer import choice
from trainer.batch import each, length, stack
from trainer.captured import CapturedStep
from trainer.config import SPEED, Report
from trainer.data import Examples, Split, evaluated_at_once, splits_of
from trainer.feeds import Gathered, Streamed, run
from trainer.fused import ArrayOptimizer, CannotFuse, ModuleArray, Timing, drawing
from trainer.loop import autocast, end_epoch, one_epoch, pick_device, precisely
from trainer.objectives import (
    Totals,
    detached,
    in_full,
    losses_of,
    member_of,
    on_device,
    resolve_loss,
)  # fmt: skip
from trainer.paying import time_array
from trainer.state import TrainState
from trainer.task import Setup
from trainer.tensorboard import TensorBoardLogger


def run_array(
    setups: Sequence[Setup],
    *,
    reports: Sequence[Report],
    log_dirs: Sequence[Path | None],
    resume_from: Sequence[Path | None],
) -> list[Exception | None]:
    """See :meth:`trainer.Task.train_many`."""
    device = pick_device()
    members = [
        Member(setup, report, log_dir)
        for setup, report, log_dir in zip(setups, reports, log_dirs, strict=True)
    ]
    interrupted: BaseException | None = None
    try:
        for member, checkpoint_path in zip(members, resume_from, strict=True):
            with member.own_failures():
                member.begin(checkpoint_path, device)
        ready = sorted((member for member in members if not member.error), key=_epoch)
        for _, together in groupby(ready, key=_epoch):
            train_together(list(together), device)
    except BaseException as error:
        interrupted = error
        raise
    finally:
        for member in members:
            member.close(interrupted)
    return [member.error for member in members]


@dataclass
class Member:
    """One run in an array."""

    setup: Setup
    report: Report
    log_dir: Path | None
    error: Exception | None = None

    def begin(self, resume_from: Path | None, device: torch.device) -> None:
        """Build the model, from a checkpoint if there is one, and open the log."""
        self.state = TrainState.fresh(self.setup, device)
        if resume_from:
            self.state.restore(resume_from)
        self.logger = TensorBoardLogger(self.log_dir, self.setup.shown, self.state.purge_step)

    def log_model(self, inputs: Any) -> None:
        with self.own_failures():
            if self.state.epoch == 0:
                self.logger.log_model(self.state.model, inputs)

    def end_epoch(self, metrics: Mapping[str, float]) -> None:
        """Log, save and report."""
        with self.own_failures():
            end_epoch(self.state, metrics, self.logger, self.log_dir, self.report)

    @contextmanager
    def own_failures(self) -> Iterator[None]:
        """A failure in here stays this member's own."""
        try:
            yield
        except Exception as error:  # from the caller's report, the disk, a checkpoint
            self.error = error

    def close(self, interrupted: BaseException | None) -> None:
        error = interrupted or self.error
        if hasattr(self, "logger"):
            self.logger.__exit__(type(error) if error else None, error, None)


def train_together(members: list[Member], device: torch.device) -> None:
    """Train members that stand at the same epoch to their end."""
    setup = members[0].setup
    splits = splits_of(setup.task.load(setup.config), setup.settings.validation, device)
    example = splits["train"].example(100)
    for member in members:
        member.log_model(example)
    array, reason = form(members, splits, device)
    if array is None:
        print(f"not trained as an array, but one after the other: {reason}", flush=True)
        for member in members:
            train_alone(member, splits)
        return
    try:
        while members and members[0].state.epoch < setup.settings.epochs:
            for member, metrics in zip(members, array.epoch(), strict=True):
                if not member.error:
                    member.end_epoch(metrics)
            ended = [index for index, member in enumerate(members) if member.error]
            if len(ended) == len(members):
                break
            if len(ended) >= len(members) / 2:
                array.drop(ended)
                members = [member for member in members if not member.error]
    finally:
        array.close()


def form(
    members: Sequence[Member], splits: Mapping[str, Examples], device: torch.device
) -> tuple["TrainingArray | None", str]:
    """An array of the members, if there is one and it pays, and the reason.

    What was chosen when they began holds to their end.
    """
    folders = [member.log_dir for member in members]
    chosen = choice.read(folders)
    if chosen and not chosen["together"]:
        return None, str(chosen["because"])
    try:
        array = TrainingArray(members, splits, device)
    except CannotFuse as error:
        choice.write(folders, together=False, because=str(error))
        return None, str(error)
    if chosen:
        return array, str(chosen["because"])
    timing = array.time()
    reason = f"an array is {timing.ratio:.2f} times as fast here" if timing else "it is short"
    together = timing is None or timing.pays
    choice.write(folders, together=together, because=reason)
    if not together:
        array.close()
    return (array if together else None), reason


def train_alone(member: Member, splits: Mapping[str, Examples]) -> None:
    """Train one member to its end, or to its own failure."""
    with member.own_failures():
        while not member.error and member.state.epoch < member.setup.settings.epochs:
            member.end_epoch(one_epoch(member.state, splits))


class TrainingArray:
    """The members' models and optimizers as one, and the steps that train them."""

    def __init__(
        self, members: Sequence[Member], splits: Mapping[str, Examples], device: torch.device
    ) -> None:
        self._states = [member.state for member in members]
        self._setup = members[0].setup
        self._splits, self._device = splits, device
        self._loss = on_device(resolve_loss(self._setup.task.loss), device)
        example = each(lambda tensor: tensor.to(device), splits["train"].example(2))
        with precisely("fp32"):
            self._model = ModuleArray(
                [state.model for state in self._states],
                example,
                [state.noise for state in self._states],
            )
        self._parameters = self._model.stacked()
        self._optimizer = ArrayOptimizer(
            self._parameters, [state.optimizer for state in self._states]
        )
        self._steps: dict[int, Callable[[], None]] = {}
        self._measure()

    def _measure(self) -> None:
        """What is of the members' number."""
        task, states = self._setup.task, self._states
        self._smoothings = [state.setup.settings.label_smoothing for state in states]
        self._clips = _clips(states, self._device)
        self._totals = Totals(task.metrics, task.counts, self._device, len(states))
        self._feed = self._feed_of(self._splits["train"])

    def epoch(self) -> list[dict[str, float]]:
        """Train one epoch and evaluate; each member's metrics."""
        started = time.perf_counter()
        train, settings = self._splits["train"], self._setup.settings
        self._feed.begin([state.draw_order(train) for state in self._states])
        sizes = list(_batch_sizes(len(train), settings.batch_size))
        first = self._states[0]
        with precisely(settings.precision):
            self._totals.reset()
            for step, size in enumerate(sizes):
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

    def time(self) -> Timing | None:
        """A step of the array beside one of a member alone; nothing is changed by it."""
        return time_array(self._states, self._learn, self._splits["train"])

    def drop(self, indices: Sequence[int]) -> None:
        """Let members go; the others go on as they would have, on less."""
        gone = set(indices)
        self._model.drop(indices)
        self._parameters = self._model.stacked()
        self._optimizer.drop(self._parameters, indices)
        self._states = [state for n, state in enumerate(self._states) if n not in gone]
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
        change = self._setup.task.augment
        changed = []
        for index, state in enumerate(self._states):
            with drawing(state.noise):
                changed.append(change(member_of(inputs, index)) if change else None)
        return stack(changed)

    def _step(self, size: int) -> None:
        """One step of this many examples; on a GPU it is captured and replayed if it can be."""
        step = self._steps.get(size)
        if step is None:
            train: Callable[[], None] = lambda: self._train_batch(size)  # noqa: E731
            fixed = isinstance(self._feed, Gathered) and not self._setup.task.augment
            captured = self._device.type == "cuda" and fixed
            step = self._steps[size] = CapturedStep(train) if captured else train
        self._optimizer.refresh()  # a captured step cannot look what a schedule has set
        step()

    def _train_batch(self, size: int) -> None:
        with autocast(self._device, self._setup.settings.precision):
            outputs, targets = self._feed.outputs(self._model, size)
        self._update(outputs, targets, size)

    def _learn(self, inputs: Any, targets: Any, size: int) -> None:
        """A step on these inputs and targets, (K, N, ...), in place of the next of the epoch."""
        with autocast(self._device, self._setup.settings.precision):
            outputs = run(self._model, inputs)
        self._update(outputs, targets, size)

    def _update(self, outputs: Any, targets: Any, size: int) -> None:
        outputs = in_full(outputs)
        losses = losses_of(self._loss, outputs, targets, self._smoothings)
        gradients = torch.autograd.grad(losses.sum(), self._parameters)
        self._optimizer.step(gradients, self._clips)
        self._totals.add(losses.detach(), detached(outputs), targets, size)

    @torch.no_grad()
    def _evaluate(self, name: str, split: Examples) -> list[dict[str, float]]:
        self._model.eval()
        self._totals.reset()
        members, nothing = len(self._states), [0.0] * len(self._states)
        asked = [state.asked(name, split) for state in self._states]
        for inputs, targets in split.batches(
            evaluated_at_once(split.example(1)), None, self._device
        ):
            shared = each(lambda t: t.expand(members, *t.shape), inputs)
            answers = each(lambda t: t.expand(members, *t.shape), targets)
            with autocast(self._device, self._setup.settings.precision):
                outputs = run(self._model, shared)
            outputs = in_full(outputs)
            losses = losses_of(self._loss, outputs, answers, nothing)
            self._totals.add(losses, outputs, answers, length(inputs))
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


def _batch_sizes(count: int, size: int) -> Iterator[int]:
    """The sizes of an epoch's batches; the last may be smaller."""
    full, rest = divmod(count, size)
    yield from (size for _ in range(full))
    if rest:
        yield rest


def _epoch(member: Member) -> int:
    return member.state.epoch

"""Several training runs as one array: the loop of `loop.py`, for all of them at once.

Each run keeps what it has alone: its seed, its order of images, its optimizer's settings, its
TensorBoard file and its checkpoints, which continue alone or in any array. What is shared is the
step. On a GPU the step is captured as a CUDA graph and replayed; the data lie there as bytes.
"""

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from trainer import checkpoint
from trainer.config import Report, TrainConfig
from trainer.data import Dataset, Split, batches, load_for
from trainer.fused import ArrayOptimizer, ModuleArray
from trainer.loop import TrainState, autocast, in_full, pick_device, precisely
from trainer.tensorboard import TensorBoardLogger

WARM_UP = 2
"""Steps of a shape that run before it is captured as a CUDA graph, so that libraries are set up."""


def run_array(
    configs: Sequence[Mapping[str, Any]],
    *,
    reports: Sequence[Report],
    log_dirs: Sequence[Path | None],
    resume_from: Sequence[Path | None],
) -> list[Exception | None]:
    """See :func:`trainer.train_many`."""
    device = pick_device()
    members = [
        Member(TrainConfig.model_validate(config), report, log_dir)
        for config, report, log_dir in zip(configs, reports, log_dirs, strict=True)
    ]
    interrupted: BaseException | None = None
    try:
        for member, config, checkpoint_path in zip(members, configs, resume_from, strict=True):
            with member.own_failures():
                member.begin(config, checkpoint_path, device)
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

    settings: TrainConfig
    report: Report
    log_dir: Path | None
    error: Exception | None = None

    def begin(
        self, config: Mapping[str, Any], resume_from: Path | None, device: torch.device
    ) -> None:
        """Build the model, from a checkpoint if there is one, and open the log."""
        self.state = TrainState.fresh(self.settings, device)
        if resume_from:
            self.state.restore(resume_from)
        shown = self.settings.model_dump(include={*config, "seed"})
        self.logger = TensorBoardLogger(self.log_dir, shown, self.state.next_epoch)

    def log_model(self, images: Tensor) -> None:
        with self.own_failures():
            if self.state.next_epoch == 0:
                self.logger.log_model(self.state.model, images)

    def end_epoch(self, metrics: Mapping[str, float]) -> None:
        """Log, save and report, unless it has failed."""
        if self.error:
            return
        epoch = self.state.next_epoch
        self.state.next_epoch += 1
        with self.own_failures():
            self.logger.log_epoch(metrics, self.state.model, epoch)
            saved = None
            if self.log_dir:
                saved = checkpoint.save(self.log_dir, self.state.to_dict(), epoch)
            self.report(metrics, checkpoint=saved)

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
    settings = members[0].settings
    data = load_for(settings, device)
    images, _ = next(batches(data.train, 100, generator=None))
    for member in members:
        member.log_model(images)
    array = TrainingArray(members, data, images[:2])
    try:
        for _ in range(members[0].state.next_epoch, settings.epochs):
            for member, metrics in zip(members, array.epoch(), strict=True):
                member.end_epoch(metrics)
            if all(member.error for member in members):
                break
    finally:
        array.close()


class TrainingArray:
    """The members' models and optimizers as one, and the steps that train them."""

    def __init__(self, members: Sequence[Member], data: Dataset, example: Tensor) -> None:
        settings = members[0].settings
        self._size = len(members)
        self._data = data
        self._batch_size = settings.batch_size
        self._precision = settings.precision
        self._orders = [
            member.state.shuffling if member.settings.shuffle else None for member in members
        ]
        with precisely("fp32"):
            self._model = ModuleArray([member.state.model for member in members], example)
        self._parameters = self._model.stacked()
        self._optimizer = ArrayOptimizer(
            self._parameters, [member.state.optimizer for member in members]
        )
        device = data.train.labels.device
        self._order = torch.empty(self._size, len(data.train), dtype=torch.int64, device=device)
        self._cursor = torch.zeros((), dtype=torch.int64, device=device)
        self._loss = torch.zeros(self._size, dtype=torch.float64, device=device)
        self._correct = torch.zeros(self._size, dtype=torch.int64, device=device)
        self._steps: dict[int, Callable[[], None]] = {}

    def epoch(self) -> list[dict[str, float]]:
        """Train one epoch and evaluate; each member's metrics."""
        started = time.perf_counter()
        count = len(self._data.train)
        self._order.copy_(torch.stack([_epoch_order(count, g) for g in self._orders]))
        with precisely(self._precision):
            self._reset()
            for size in _batch_sizes(count, self._batch_size):
                self._step(size)
            trained = self._metrics("train", count)
            seconds = time.perf_counter() - started
            self._reset()
            self._evaluate(self._data.test)
            tested = self._metrics("test", len(self._data.test))
        speed = {"images_per_second": count / seconds}
        return [one | other | speed for one, other in zip(trained, tested, strict=True)]

    def close(self) -> None:
        """Let go of the captured steps, and of the memory that they hold on a GPU."""
        self._steps.clear()
        if self._order.device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()

    def _step(self, size: int) -> None:
        """One step of this many images, at the cursor; on a GPU it is captured and replayed."""
        step = self._steps.get(size)
        if step is None:
            train: Callable[[], None] = lambda: self._train_batch(size)  # noqa: E731
            on_gpu = self._order.device.type == "cuda"
            step = self._steps[size] = CapturedStep(train) if on_gpu else train
        self._optimizer.refresh()  # a captured step cannot look what a schedule has set
        step()

    def _train_batch(self, size: int) -> None:
        positions = self._cursor + torch.arange(size, device=self._cursor.device)
        index = self._order.index_select(1, positions)
        arranged = self._model.gather(self._data.train.images, index)
        labels = self._data.train.labels[index]
        with autocast(self._order.device, self._precision):
            logits = self._model.outputs(arranged, size)
        losses = self._losses(in_full(logits), labels)
        gradients = torch.autograd.grad(losses.sum(), self._parameters)
        self._optimizer.step(gradients)
        self._add(losses.detach(), logits.detach(), labels)
        self._cursor += size

    @torch.no_grad()
    def _evaluate(self, split: Split) -> None:
        self._model.eval()
        for images, labels in batches(split, 1000, generator=None):
            with autocast(self._order.device, self._precision):
                logits = self._model(images.expand(self._size, *images.shape))
            shared = labels.expand(self._size, -1)
            self._add(self._losses(in_full(logits), shared), logits, shared)
        self._model.train()

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Each member's mean loss, (K)."""
        return F.cross_entropy(logits.transpose(1, 2), labels, reduction="none").mean(dim=1)

    def _reset(self) -> None:
        self._cursor.zero_()
        self._loss.zero_()
        self._correct.zero_()

    def _add(self, losses: Tensor, logits: Tensor, labels: Tensor) -> None:
        self._loss += losses * labels.shape[1]
        self._correct += (logits.argmax(dim=2) == labels).sum(dim=1)

    def _metrics(self, split: str, count: int) -> list[dict[str, float]]:
        """Read the sums: the epoch's one wait for the device."""
        pairs = zip(self._loss.tolist(), self._correct.tolist(), strict=True)
        return [
            {
                f"loss/{split}": loss / count,
                f"accuracy/{split}": correct / count,
                f"correct/{split}": correct,
            }
            for loss, correct in pairs
        ]


class CapturedStep:
    """A step that runs as it is at first, and from then on as one CUDA graph.

    Starting some sixty small kernels takes longer than running them; a graph starts them as one.
    """

    def __init__(self, step: Callable[[], None]) -> None:
        self._step = step
        self._left = WARM_UP
        self._graph = torch.cuda.CUDAGraph()

    def __call__(self) -> None:
        if self._left > 0:
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                self._step()
            torch.cuda.current_stream().wait_stream(stream)
        else:
            if self._left == 0:
                with torch.cuda.graph(self._graph):
                    self._step()
            self._graph.replay()
        self._left -= 1


def _batch_sizes(count: int, size: int) -> Iterator[int]:
    """The sizes of an epoch's batches; the last may be smaller."""
    full, rest = divmod(count, size)
    yield from (size for _ in range(full))
    if rest:
        yield rest


def _epoch_order(count: int, generator: torch.Generator | None) -> Tensor:
    return torch.arange(count) if generator is None else torch.randperm(count, generator=generator)


def _epoch(member: Member) -> int:
    return member.state.next_epoch

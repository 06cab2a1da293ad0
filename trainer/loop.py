"""The training loop.

    python -m trainer lr=0.01 batch_size=64 epochs=2 dataset=digits

An epoch never waits for the device: sums stay on it and are read once at the epoch's end. A run
interrupted after any epoch and resumed ends with the same bits on CPU as one left alone.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from trainer import checkpoint
from trainer.config import Report, TrainConfig
from trainer.data import Split, batches, load_for
from trainer.model import build_model
from trainer.optimizers import build_optimizer
from trainer.tensorboard import TensorBoardLogger

SHUFFLE_STREAM = 1 << 31
"""Added to the seed for the order of batches, so that it is not the stream of the weights.

torch's generator for the CPU uses the low 32 bits of a seed, so nothing above them would do."""


def run(
    config: Mapping[str, Any], *, report: Report, log_dir: Path | None, resume_from: Path | None
) -> None:
    """See :func:`trainer.train`."""
    settings = TrainConfig.model_validate(config)
    device = pick_device()
    data = load_for(settings, device)
    state = TrainState.fresh(settings, device)
    if resume_from:
        state.restore(resume_from)
    shown = settings.model_dump(include={*config, "seed"})
    with TensorBoardLogger(log_dir, shown, state.next_epoch) as logger:
        if state.next_epoch == 0:
            images, _ = next(batches(data.train, 100, generator=None))
            logger.log_model(state.model, images)
        while state.next_epoch < settings.epochs:
            with precisely(settings.precision):
                metrics = train_epoch(state, data.train, settings)
                metrics |= evaluate(state.model, data.test, settings.precision)
            logger.log_epoch(metrics, state.model, step := state.next_epoch)
            state.next_epoch += 1
            saved = checkpoint.save(log_dir, state.to_dict(), step) if log_dir else None
            report(metrics, checkpoint=saved)


@dataclass
class TrainState:
    """All that changes while training, and so all that a checkpoint holds."""

    model: nn.Module
    optimizer: Optimizer
    shuffling: Generator
    next_epoch: int

    @classmethod
    def fresh(cls, settings: TrainConfig, device: torch.device) -> Self:
        model = build_model(settings.seed).to(device)
        shuffling = Generator().manual_seed(SHUFFLE_STREAM + settings.seed)
        return cls(model, build_optimizer(settings, model), shuffling, next_epoch=0)

    def to_dict(self) -> dict[str, Any]:
        return {
            "model": _copied(self.model.state_dict()),
            "optimizer": _copied(self.optimizer.state_dict()),
            "shuffling": self.shuffling.get_state(),
            "next_epoch": self.next_epoch,
        }

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint; raises ``CheckpointError`` if it is not one of this model."""
        saved = checkpoint.load(path)
        try:
            self.model.load_state_dict(saved["model"])
            # load_state_dict would take over another optimizer's settings without a word
            if saved["optimizer"]["param_groups"] != self.optimizer.state_dict()["param_groups"]:
                raise ValueError("the optimizer's settings differ")
            self.optimizer.load_state_dict(saved["optimizer"])
            self.shuffling.set_state(saved["shuffling"])
            self.next_epoch = int(saved["next_epoch"])
        except Exception as error:  # the file may hold anything
            raise checkpoint.CheckpointError(
                f"{path} is not a checkpoint of this model and optimizer: {error}"
            ) from error


def _copied(value: Any) -> Any:
    """Tensors of their own: in an array they are views, and a view is saved with all of it."""
    if isinstance(value, Tensor):
        return value.clone()
    return {k: _copied(v) for k, v in value.items()} if isinstance(value, dict) else value


def pick_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def precisely(precision: str) -> Iterator[None]:
    """Allow TensorFloat-32 on GPUs only if asked for; torch allows it to convolutions."""
    allowed = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = allowed


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Layers in bfloat16 if asked for; weights, losses and updates stay in 32 bits."""
    return torch.autocast(
        device.type, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False
    )


def in_full(logits: Tensor) -> Tensor:
    """Logits in the type of the weights, whatever the layers computed in."""
    return logits.to(torch.get_default_dtype())


def train_epoch(state: TrainState, split: Split, settings: TrainConfig) -> dict[str, float]:
    """One pass over the training images; means per example, taken while the weights change."""
    started = time.perf_counter()
    state.model.train()
    totals = Totals(split.labels.device)
    order = state.shuffling if settings.shuffle else None
    for images, labels in batches(split, settings.batch_size, order):
        with autocast(labels.device, settings.precision):
            logits = state.model(images)
        loss = F.cross_entropy(in_full(logits), labels)
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()
        totals.add(loss.detach(), logits.detach(), labels)
    metrics = totals.metrics("train", len(split))
    metrics["images_per_second"] = len(split) / (time.perf_counter() - started)
    return metrics


@torch.no_grad()
def evaluate(model: nn.Module, split: Split, precision: str = "fp32") -> dict[str, float]:
    """Loss and accuracy on images the model is not trained on."""
    model.eval()
    totals = Totals(split.labels.device)
    for images, labels in batches(split, 1000, generator=None):
        with autocast(labels.device, precision):
            logits = model(images)
        totals.add(F.cross_entropy(in_full(logits), labels), logits, labels)
    return totals.metrics("test", len(split))


class Totals:
    """Sums over an epoch, kept on the device; reading them is the epoch's one synchronisation."""

    def __init__(self, device: torch.device) -> None:
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._correct = torch.zeros((), dtype=torch.int64, device=device)

    def add(self, mean_loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        self._loss += mean_loss * len(labels)
        self._correct += (logits.argmax(dim=1) == labels).sum()

    def metrics(self, split: str, count: int) -> dict[str, float]:
        correct = int(self._correct)
        return {
            f"loss/{split}": float(self._loss) / count,
            f"accuracy/{split}": correct / count,
            f"correct/{split}": correct,
        }

"""The training loop.

    python -m trainer lr=0.01 batch_size=64 epochs=2 dataset=digits

An epoch never waits for the device: sums stay on it and are read once at the epoch's end. A run
interrupted after any epoch and resumed ends with the same bits on CPU as one left alone.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from trainer import checkpoint, examination
from trainer.augmentation import augmented
from trainer.batch import call, leaves
from trainer.config import SPEED, Report
from trainer.data import Examples, batch_sizes, evaluated_at_once, splits_of
from trainer.fused import drawing
from trainer.objectives import Totals, detached, in_full, loss_of, on_device, resolve_loss
from trainer.state import TrainState
from trainer.tensorboard import TensorBoardLogger

if TYPE_CHECKING:
    from trainer.task import Setup


def run(setup: "Setup", *, report: Report, log_dir: Path | None, resume_from: Path | None) -> None:
    """See :class:`trainer.Task`."""
    device = pick_device()
    splits = splits_of(setup.task.load(setup.config), setup.settings.validation, device)
    state = TrainState.fresh(setup, device)
    if resume_from:
        state.restore(resume_from)
    with TensorBoardLogger(log_dir, setup.shown, state.purge_step) as logger:
        if state.epoch == 0:
            logger.log_model(state.model, splits["train"].example(100))
        while state.epoch < setup.settings.epochs:
            metrics = one_epoch(state, splits)
            end_epoch(state, metrics, logger, log_dir, report)


def one_epoch(state: TrainState, splits: Mapping[str, Examples]) -> dict[str, float]:
    """Train on one split, and evaluate on the others."""
    metrics = train_epoch(state, splits["train"])
    for name, split in splits.items():
        if name != "train":
            metrics |= evaluate(state, split, name)
    return metrics


def end_epoch(
    state: TrainState,
    metrics: Mapping[str, float],
    logger: TensorBoardLogger,
    log_dir: Path | None,
    report: Report,
) -> None:
    """Log, save, and then report: what has been reported is never lost."""
    state.epoch += 1
    state.step += 1
    logger.log_epoch(metrics, state.model, state.step)
    saved = checkpoint.save(log_dir, state.to_dict(), state.step) if log_dir else None
    if log_dir and state.answers:
        found = examination.examine(state.answers, state.setup.classes)
        examination.write(log_dir, found, state.epoch)
        logger.log_examination(found, examination.curves(state.answers), state.step)
    report(metrics, checkpoint=saved)


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


def train_epoch(state: TrainState, split: Examples) -> dict[str, float]:
    """One pass over the training examples; means over them, taken while the weights change."""
    started = time.perf_counter()
    setup, model, optimizer = state.setup, state.model, state.optimizer
    task, settings = setup.task, setup.settings
    totals = Totals(task.metrics, task.counts, state.noise.device)
    sizes = batch_sizes(len(split), settings.batch_size)
    model.train()
    order = state.draw_order(split)
    with drawing(state.noise), precisely(settings.precision):
        batches = split.batches(settings.batch_size, order, state.noise.device)
        for step, ((inputs, targets), size) in enumerate(zip(batches, sizes, strict=True)):
            state.set_rates(state.epoch + (step + 0.5) / len(sizes))
            inputs = augmented(state, inputs, step)
            loss, outputs = train_batch(setup, model, optimizer, inputs, targets)
            totals.add(loss, outputs, targets, size)
    [metrics] = totals.read("train", len(split))
    metrics[task.unit + SPEED] = len(split) / (time.perf_counter() - started)
    return metrics


def train_batch(
    setup: "Setup", model: nn.Module, optimizer: Optimizer, inputs: Any, targets: Any
) -> tuple[Tensor, Any]:
    """One step; the batch's mean loss and the outputs, as they were before it."""
    loss, outputs = forward(setup, model, inputs, targets)
    backward(model, loss)
    update(setup, optimizer)
    return loss.detach(), detached(outputs)


def backward(model: nn.Module, loss: Tensor) -> None:
    """Gradients of this loss alone, also of parameters that the optimizer does not have."""
    model.zero_grad()
    loss.backward()


def update(setup: "Setup", optimizer: Optimizer) -> None:
    """Let the optimizer step, on its gradients clipped if that is asked for."""
    if setup.settings.clip:
        stepped = [p for group in optimizer.param_groups for p in group["params"]]
        clip_grad_norm_(stepped, setup.settings.clip)
    optimizer.step()


@torch.no_grad()
def evaluate(state: TrainState, split: Examples, name: str) -> dict[str, float]:
    """Loss and metrics on examples that the model is not trained on, as ``loss/<name>``, …"""
    setup = state.setup
    totals = Totals(setup.task.metrics, setup.task.counts, state.noise.device)
    state.model.eval()
    answers = state.asked(name, split)
    size = evaluated_at_once(split.example(1))
    batches = zip(
        split.batches(size, None, state.noise.device), batch_sizes(len(split), size), strict=True
    )
    with state.evaluating(), drawing(state.noise), precisely(setup.settings.precision):
        for (inputs, targets), count in batches:
            loss, outputs = forward(setup, state.model, inputs, targets)
            totals.add(loss, outputs, targets, count)
            if answers:
                answers.add(outputs, targets)
    [metrics] = totals.read(name, len(split))
    return metrics


def forward(setup: "Setup", model: nn.Module, inputs: Any, targets: Any) -> tuple[Tensor, Any]:
    """A batch's mean loss and the outputs, in the type of the weights."""
    task, settings = setup.task, setup.settings
    device = leaves(inputs)[0].device
    with autocast(device, settings.precision):
        if task.step:
            return task.step(model, inputs, targets, setup.config)
        outputs = call(model, inputs)
    outputs = in_full(outputs)
    loss = on_device(resolve_loss(task.loss), device)
    smoothing = settings.label_smoothing if model.training else 0.0
    return loss_of(loss, outputs, targets, smoothing), outputs

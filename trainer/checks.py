"""What is wrong with a configuration, found before anything is trained."""

import difflib
import hashlib
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import create_model

from trainer.config import Settings
from trainer.reading import MissingParameter, Reading

if TYPE_CHECKING:
    from trainer.task import Setup

SAMPLED = 4096
"""Examples that a fingerprint of tensors is made of."""


def check(setup: "Setup") -> None:
    """See :meth:`trainer.Task.check`."""
    task, settings = setup.task, setup.settings
    if settings.label_smoothing and (task.step or not takes_smoothing(task.loss)):
        raise ValueError("label_smoothing: this task's loss does not take it")
    if task.verify:
        task.verify(setup.config)
    if task.config is Settings:  # else the parameters are declared, and all of these are valid
        _check_names(setup)
    if not task.fetch:  # else the data may not be there yet
        check_size(setup)


def _check_names(setup: "Setup") -> None:
    """Raise ``ValidationError`` for parameters that nobody reads."""
    read = _read(setup)
    if setup.task.step:  # what a step reads is seen only when it is called
        return
    free = {k: v for k, v in setup.config.items() if k not in Settings.model_fields}
    fields: Any = dict.fromkeys(read, (Any, None))
    create_model("Parameters", __base__=Settings, **fields).model_validate(free)


def takes_smoothing(loss: Any) -> bool:
    """Whether a loss has the argument ``label_smoothing``."""
    if isinstance(loss, str):
        return loss == "cross_entropy"
    if type(loss).__name__ == "CrossEntropyLoss":
        return True
    try:
        return "label_smoothing" in inspect.signature(loss).parameters
    except (TypeError, ValueError):  # it is not written in Python
        return False


def check_size(setup: "Setup") -> None:
    """Raise ``ValueError`` if a batch would be larger than the training set."""
    from trainer.data import splits_of

    splits = splits_of(setup.task.load(setup.config), setup.settings.validation)
    if setup.settings.batch_size > (count := len(splits["train"])):
        raise ValueError(
            f"batch_size must be at most {count:,}, the training examples;"
            f" got {setup.settings.batch_size:,}"
        )


def known(setup: "Setup") -> list[str]:
    """The parameters that a configuration may have."""
    return list(dict.fromkeys((*_read(setup), *Settings.model_fields)))


def _read(setup: "Setup") -> list[str]:
    """The parameters that the task's functions read of a configuration.

    Raises:
        ValueError: one that they need is not set.
    """
    task, config = setup.task, setup.config
    names: dict[str, None] = {}
    try:
        names |= dict.fromkeys(task.shape.reads(config))
        names |= dict.fromkeys(task.load.reads(config))
        if task.schedule:
            reading = Reading(config, "schedule")
            task.schedule(0.0, reading)
            names |= reading.names
        if task.optimizer:
            names |= dict.fromkeys(task.optimizer_kind.reads(config))
    except MissingParameter as missing:
        unread = config.keys() - Settings.model_fields.keys() - names.keys()
        near = difflib.get_close_matches(missing.name, unread, n=1)
        hint = f"; did you mean it by {near[0]!r}?" if near else ""
        raise ValueError(f"{missing}{hint}") from None
    return list(names)


def rehearse(setups: Sequence["Setup"]) -> None:
    """Try a batch of each kind of model and data, in evaluation, before anything is started.

    Raises:
        ValueError: the model does not take the inputs, or the loss not the outputs.
    """
    seen: set[str] = set()
    for setup in setups:
        task, config = setup.task, setup.config
        kind = f"{task.shape(config)} {task.load.reads(config)}"
        if kind not in seen:
            seen.add(kind)
            check_size(setup)
            _try_batch(setup)


def _try_batch(setup: "Setup") -> None:
    import torch

    from trainer.batch import leaves
    from trainer.loop import forward
    from trainer.optimizers import build_optimizer
    from trainer.state import build_model

    data = setup.task.load(setup.config)
    inputs, targets = data.train.few(2)
    model = build_model(setup).eval()
    build_optimizer(setup, model)
    try:
        with torch.no_grad():
            loss, outputs = forward(setup, model, inputs, targets)
    except Exception as error:  # of the user's model and loss
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in leaves(inputs))
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ValueError(f"the model or the loss fails on inputs of {shapes}: {reason}") from error
    if not isinstance(loss, torch.Tensor) or loss.dim() != 0:
        got = f"shape {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else repr(loss)
        raise ValueError(f"the loss must be one number, the mean of a batch; got {got}")
    if setup.classes and tuple(getattr(outputs, "shape", ())) != (len(targets), len(setup.classes)):
        raise ValueError(
            f"classes: the outputs must be scores of {len(setup.classes)} classes for each"
            f" example, got {tuple(getattr(outputs, 'shape', ())) or type(outputs).__name__}"
        )


def fingerprint(setup: "Setup") -> str:
    """A checksum of the data: of tensors a sample of examples, of data sets their lengths.

    Of data that are fetched nothing is known before; such a task says itself what version they are.
    """
    if setup.task.fetch:
        return "unknown"
    from trainer.batch import leaves
    from trainer.data import Tensors

    data = setup.task.load(setup.config)
    splits = [split for split in (data.train, data.test, data.validation) if split is not None]
    lengths = " ".join(str(len(split)) for split in splits)
    if not isinstance(data, Tensors):
        return f"examples {lengths}"
    digest = hashlib.sha256()
    for split in splits:
        for tensor in (*leaves(split.inputs), *leaves(split.targets)):
            step = -(-len(tensor) // SAMPLED)
            sample = tensor[::step].cpu().contiguous()
            digest.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(sample.numpy().tobytes())
    return f"examples {lengths} {digest.hexdigest()[:16]}"

"""Which configurations may train as one array, and why two may not.

Their models must have the same structure and shapes, and they the same data, batches and epochs.
All else is each member's own: optimizer, rates, decays, schedule, smoothing, order, seed.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from trainer.reading import MissingParameter

if TYPE_CHECKING:
    from trainer.task import Setup

ALONE = "alone: "
"""Begins what stands for a model's structure or an optimizer's kind, if no array could hold it."""

AGREE = ("batch_size", "epochs", "precision", "validation")


def agreement(setup: "Setup") -> dict[str, str]:
    """What an array's members must agree in, by name.

    Raises:
        ValueError: this configuration trains alone, for the reason told.
    """
    task, config = setup.task, setup.config
    if task.step:
        raise ValueError("a step of one's own sees one model at a time")
    read = task.load.reads(config)
    parts = {name: repr(read[name]) for name in read.keys() - set(task.neutral)}
    parts = dict(sorted(parts.items()))
    parts |= {name: str(config[name]) for name in AGREE if name in config}
    if task.optimizer:
        _alone_or(task.optimizer_kind(config))
    if task.model_keys is None:
        structure = _alone_or(task.shape(config))
        parts["model"] = hashlib.sha256(structure.encode()).hexdigest()[:12]
    else:
        parts |= {name: repr(config.get(name)) for name in task.model_keys}
    return parts


def _alone_or(found: str) -> str:
    """What was found, unless that is a reason to train alone."""
    if found.startswith(ALONE):
        raise ValueError(found.removeprefix(ALONE))
    return found


def why_apart(one: "Setup", other: "Setup") -> str | None:
    """Why two configurations cannot train in one array; ``None`` if they can."""
    mine, others = agreement(one), agreement(other)
    differ = [name for name in (mine | others) if mine.get(name) != others.get(name)]
    for name in differ:
        if name != "model":
            return f"{name} is {mine.get(name)} and {others.get(name)}"
    if not differ:
        return None
    from trainer.fused import difference  # imports torch

    if reason := _parameter_apart(one, other):
        return reason
    return difference(one.task.shape(one.config), other.task.shape(other.config))


def _parameter_apart(one: "Setup", other: "Setup") -> str | None:
    """The parameter that by itself makes another structure of the model, if there is one."""
    shape = one.task.shape
    for name in shape.reads(one.config):
        mine, others = one.config.get(name), other.config.get(name)
        if mine == others:
            continue
        with suppress(Exception):  # the other value does not go with the rest
            if shape({**one.config, name: others}) != shape(one.config):
                shown = (str(c.get(name, "not set")) for c in (one.config, other.config))
                return f"{name} is {' and '.join(shown)}, which are other models"
    return None


def structure_of(model: Callable[[Mapping[str, Any]], Any]) -> Callable[[Mapping[str, Any]], str]:
    """A function of a configuration: the layers and shapes of its model, as text."""

    def structure_text(config: Mapping[str, Any]) -> str:
        from trainer.fused import CannotFuse, structure

        built = build_without_memory(model, config)
        try:
            return structure(built)
        except CannotFuse as reason:
            return f"{ALONE}{reason}"

    return structure_text


def kind_of(
    optimizer: Callable[[Iterable[Any], Mapping[str, Any]], Any] | None,
    model: Callable[[Mapping[str, Any]], Any],
) -> Callable[[Mapping[str, Any]], str]:
    """A function of a configuration: the class of the optimizer that is made for it."""

    def kind(config: Mapping[str, Any]) -> str:
        from torch import nn, optim

        if optimizer is None:
            return optim.Adam.__name__
        try:
            made = optimizer(nn.Linear(1, 1).parameters(), config)
        except IndexError:  # it picks out layers
            made = optimizer(build_without_memory(model, config).parameters(), config)
        if not isinstance(made, optim.Adam | optim.AdamW | optim.SGD):
            return f"{ALONE}{type(made).__name__} has no array form"
        for group in made.param_groups:
            for name in ("amsgrad", "maximize", "dampening"):
                if group.get(name):
                    return f"{ALONE}{name} has no array form"
        return type(made).__name__

    return kind


def build_without_memory(
    model: Callable[[Mapping[str, Any]], Any], config: Mapping[str, Any]
) -> Any:
    """A model on the meta device, or on the CPU if it cannot be built there."""
    import torch

    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                return model(config)
        except MissingParameter:
            raise
        except Exception:  # it reads the values of its weights, or its configuration is bad
            return model(config)

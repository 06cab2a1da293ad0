"""Train a small image classifier and show all of it in TensorBoard.

One call is one training run; it needs no cluster and knows of none:

    python -m trainer lr=0.01 batch_size=64 epochs=2 dataset=digits

A sweep names this package as ``train: trainer:train``. Beside ``train`` it finds
here what lets it refuse a bad sweep before anything starts: ``check`` (is this a
valid configuration?), ``prepare`` (are the data in place?) and ``METRICS`` (what
will be reported?). Importing the package does not import torch.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.config import METRICS, Report, TrainConfig, print_metrics

__all__ = [
    "BUDGET",
    "METRICS",
    "NEUTRAL",
    "Report",
    "TrainConfig",
    "check",
    "data_version",
    "fuse_key",
    "prepare",
    "print_metrics",
    "train",
    "train_many",
]

BUDGET = "epochs"
"""A run that has ended goes on from its checkpoint where this is raised."""

NEUTRAL = ("data_dir",)
"""What does not change a result."""


def train(
    config: Mapping[str, Any],
    *,
    report: Report = print_metrics,
    log_dir: Path | None = None,
    resume_from: Path | None = None,
) -> None:
    """Train one model; report metrics and a checkpoint after every epoch.

    Args:
        config: fields of :class:`TrainConfig`; what is missing takes its default.
        report: called once per epoch as ``report(metrics, checkpoint=path)`` with every key of
            ``METRICS``. Without a ``log_dir`` the checkpoint is ``None``.
        log_dir: folder for TensorBoard's event file and the checkpoints; created. Without one,
            nothing is written.
        resume_from: a checkpoint reported earlier for the same config; training goes on with the
            epoch after it, to the same bits (on CPU) as if it had never stopped.

    Raises:
        pydantic.ValidationError: the config is not a valid :class:`TrainConfig`.
        trainer.sources.DataError: the data set is missing or damaged.
        trainer.checkpoint.CheckpointError: ``resume_from`` cannot be read or does not fit.
    """
    from trainer.loop import run  # imports torch

    run(config, report=report, log_dir=log_dir, resume_from=resume_from)


def train_many(
    configs: Sequence[Mapping[str, Any]],
    *,
    reports: Sequence[Report],
    log_dirs: Sequence[Path | None] | None = None,
    resume_from: Sequence[Path | None] | None = None,
) -> list[Exception | None]:
    """Train several models as one array: each as :func:`train` would, up to rounding, but faster.

    Args:
        configs: of one :func:`fuse_key`.
        reports: one per config. A report that raises ends its own member; the others go on.
        log_dirs: one per config, as for :func:`train`.
        resume_from: one per config, as for :func:`train`; a checkpoint may come from either.

    Returns:
        For each config what ended it early, or ``None``.

    Raises:
        trainer.fused.CannotFuse: the configs cannot be trained as one array.
    """
    from trainer.array import run_array  # imports torch
    from trainer.fused import CannotFuse

    if len(keys := {fuse_key(config) for config in configs}) > 1:
        raise CannotFuse(f"the configs differ in what must agree: {'; '.join(sorted(keys))}")

    nothing: list[Path | None] = [None] * len(configs)
    return run_array(
        configs,
        reports=reports,
        log_dirs=log_dirs or nothing,
        resume_from=resume_from or nothing,
    )


def fuse_key(config: Mapping[str, Any]) -> str:
    """What configs must agree in to be trained as one array."""
    settings = TrainConfig.model_validate(config)
    names = ("dataset", "subset", "batch_size", "epochs", "optimizer", "precision")
    return " ".join(f"{name}={getattr(settings, name)}" for name in names)


def check(config: Mapping[str, Any]) -> None:
    """Raise an error with the reason if the config is no valid :class:`TrainConfig`.

    Raises:
        pydantic.ValidationError: a field breaks its rule, or is unknown.
        trainer.sources.DataError: a batch would be larger than its training set.
    """
    from trainer.sources import check_batch_size

    check_batch_size(TrainConfig.model_validate(config))


def data_version(config: Mapping[str, Any]) -> str:
    """Identifies the images of a data set, the same on every machine."""
    from trainer.sources import version

    return version(TrainConfig.model_validate(config).dataset)


def prepare(configs: Iterable[Mapping[str, Any]]) -> None:
    """Bring the data of these configs into place, once, and check that the configs fit them.

    Downloads Fashion-MNIST if it is missing. Processes that call this at the same time wait for
    one another.

    Raises:
        trainer.sources.DataError: the data are missing, damaged, or too few for a batch.
    """
    from trainer.sources import check_batch_size, locate

    settings = [TrainConfig.model_validate(config) for config in configs]
    for one in settings:
        check_batch_size(one)
    for dataset, data_dir in dict.fromkeys((s.dataset, s.data_dir) for s in settings):
        locate(dataset, data_dir)

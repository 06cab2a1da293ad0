"""Train any model, and show all of it in TensorBoard; a small image classifier is shipped.

    from trainer import Task, Tensors

    task = Task(model=build, data=load, loss="cross_entropy", metrics={"accuracy": "accuracy"})

One call of a task is one training run; it needs no cluster and knows of none:

    python -m trainer mine:task lr=0.01
    python -m trainer lr=0.01 batch_size=64 epochs=2 dataset=digits

The second is the shipped task, which a sweep names as ``train: trainer:train``. Beside ``train`` a
sweep finds here what lets it refuse a bad sweep before anything starts: ``check`` (is this a valid
configuration?), ``prepare`` (are the data in place?) and ``METRICS`` (what will be reported?).
Importing the package does not import torch.
"""

from typing import TYPE_CHECKING, Any

from trainer.config import Report, Settings, TrainConfig, print_metrics
from trainer.shipped import task as train
from trainer.task import Task

if TYPE_CHECKING:
    from trainer.data import Datasets, Tensors
    from trainer.objectives import accuracy

__all__ = [
    "BUDGET",
    "CHANGEABLE",
    "METRICS",
    "NEUTRAL",
    "Datasets",
    "Report",
    "Settings",
    "Task",
    "Tensors",
    "TrainConfig",
    "accuracy",
    "check",
    "data_version",
    "fuse_key",
    "prepare",
    "print_metrics",
    "train",
    "train_many",
]

BUDGET, METRICS, NEUTRAL = train.BUDGET, train.METRICS, train.NEUTRAL
CHANGEABLE = train.CHANGEABLE
check, prepare, data_version = train.check, train.prepare, train.data_version
fuse_key, train_many = train.fuse_key, train.train_many

_LATER = {"Datasets": "data", "Tensors": "data", "accuracy": "objectives"}
"""What needs torch, and the module that it is in."""


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is asked for."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)

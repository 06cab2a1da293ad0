"""What a training run may be told, and what it tells."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

METRICS = (
    "loss/train",
    "loss/test",
    "accuracy/train",
    "accuracy/test",
    "correct/train",
    "correct/test",
    "images_per_second",
)
"""Every metric a run reports after each epoch, under the same names as in TensorBoard."""


SPEED = "_per_second"
"""Ends the name of the metric that says how fast a run trains."""


class Settings(BaseModel):
    """What every training run may be told; a task's own parameters come beside these.

    A subclass declares a task's parameters with their types, bounds and defaults.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    lr: float = Field(default=0.001, gt=0, description="learning rate")
    batch_size: int = Field(default=64, ge=1, description="examples per step")
    shuffle: bool = Field(default=True, description="a new order of the examples every epoch")
    epochs: int = Field(default=5, ge=1, description="passes over the training examples")
    optimizer: Literal["adam", "adamw", "sgd"] = Field(default="adam", description="the optimizer")
    weight_decay: float = Field(default=0.0, ge=0, description="L2 penalty (adamw: decoupled)")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of sgd; others do not use it")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="of adam and adamw: of the mean")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="the same, of the mean square")
    schedule: Literal["constant", "linear", "cosine", "step"] = Field(
        default="constant", description="of lr; linear and cosine fall to 0 over all epochs"
    )
    step_size: int = Field(default=10, ge=1, description="epochs between the drops of step")
    gamma: float = Field(default=0.1, gt=0, le=1, description="what step multiplies lr by")
    warmup: float = Field(default=0.0, ge=0, description="epochs in which lr rises from 0")
    clip: float | None = Field(default=None, gt=0, description="largest norm of a step's gradient")
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="of cross entropy")
    validation: float = Field(
        default=0.0, ge=0, lt=1, description="part of the training examples that is held out"
    )
    precision: Literal["fp32", "tf32", "bf16"] = Field(
        default="fp32", description="of the arithmetic; tf32 needs a GPU, weights stay fp32"
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="of initialisation and shuffling")


class TrainConfig(Settings):
    """The settings of the shipped task."""

    dataset: Literal["fashion_mnist", "digits"] = Field(
        default="fashion_mnist", description="digits comes with scikit-learn, no download"
    )
    subset: float = Field(
        default=1.0, gt=0, le=1, description="the first part of the images, for a quick look"
    )
    data_dir: str | None = Field(
        default=None, description="where data lie; else $SWEEPS_DATA, else the user's cache"
    )


class Report(Protocol):
    """What the loop calls after every epoch."""

    def __call__(self, metrics: Mapping[str, Any], *, checkpoint: Path | None = None) -> None: ...


def print_metrics(metrics: Mapping[str, Any], *, checkpoint: Path | None = None) -> None:
    """The default report: one line to standard output; counts are left to TensorBoard."""
    shown: dict[str, list[str]] = {}
    for name, value in metrics.items():
        group, _, split = name.partition("/")
        if split and not isinstance(value, int):
            shown.setdefault(group, []).append(f"{value:.4f} {split}")
    parts = [f"{group} {', '.join(values)}" for group, values in shown.items()]
    speeds = [(k.removesuffix(SPEED), v) for k, v in metrics.items() if k.endswith(SPEED)]
    parts += [f"{speed:,.0f} {unit}/s" for unit, speed in speeds]
    print("   ".join(parts), flush=True)

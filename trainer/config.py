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


class TrainConfig(BaseModel):
    """The settings of one training run."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    lr: float = Field(default=0.001, gt=0, description="learning rate")
    batch_size: int = Field(default=64, ge=1, description="images per step")
    shuffle: bool = Field(default=True, description="a new order of the images every epoch")
    epochs: int = Field(default=5, ge=1, description="passes over the training images")
    optimizer: Literal["adam", "adamw", "sgd"] = Field(default="adam", description="the optimizer")
    weight_decay: float = Field(default=0.0, ge=0, description="L2 penalty (adamw: decoupled)")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of sgd; others do not use it")
    seed: int = Field(default=0, ge=0, lt=2**31, description="of initialisation and shuffling")
    dataset: Literal["fashion_mnist", "digits"] = Field(
        default="fashion_mnist", description="digits comes with scikit-learn, no download"
    )
    subset: float = Field(
        default=1.0, gt=0, le=1, description="the first part of the images, for a quick look"
    )
    precision: Literal["fp32", "tf32", "bf16"] = Field(
        default="fp32", description="of the arithmetic; tf32 needs a GPU, weights stay fp32"
    )
    data_dir: str | None = Field(
        default=None, description="where data lie; else $SWEEPS_DATA, else the user's cache"
    )


class Report(Protocol):
    """What the loop calls after every epoch."""

    def __call__(self, metrics: Mapping[str, Any], *, checkpoint: Path | None = None) -> None: ...


def print_metrics(metrics: Mapping[str, Any], *, checkpoint: Path | None = None) -> None:
    """The default report: one line to standard output."""
    print(
        f"loss {metrics['loss/train']:.4f} train, {metrics['loss/test']:.4f} test   "
        f"accuracy {metrics['accuracy/train']:.4f} train, {metrics['accuracy/test']:.4f} test   "
        f"{metrics['images_per_second']:,.0f} images/s",
        flush=True,
    )

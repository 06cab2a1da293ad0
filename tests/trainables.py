"""Training functions for tests, imported by Ray's workers from the folder that holds this file."""

import importlib
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeps import Report


def steady(config: Mapping[str, Any], *, report: Report) -> None:
    """Reports; leaves TensorBoard and everything else to the sweep."""
    print("hello from", config["lr"])
    for epoch in range(config.get("epochs", 3)):
        report({"loss": config["lr"] / (epoch + 1)})


def brief(config: Mapping[str, Any], *, report: Report) -> None:
    """Takes no time, and reports more often than the driver is told."""
    for epoch in range(5):
        report({"loss": config["lr"] / (epoch + 1)})


def fails_at_two(config: Mapping[str, Any], *, report: Report, resume_from: Path | None) -> None:
    """Fails after two epochs for lr 0.2, always; goes on from its checkpoint."""
    begin = int(resume_from.read_text()) if resume_from else 0
    saved = Path(__file__).parent / f"{config['lr']}.txt"
    for epoch in range(begin, 4):
        if config["lr"] == 0.2 and epoch == 2:
            raise ValueError("cannot go on")
        saved.write_text(str(epoch + 1))
        report({"loss": config["lr"] / (epoch + 1)}, checkpoint=saved)


def killed_once(config: Mapping[str, Any], *, report: Report, resume_from: Path | None) -> None:
    """Its process is killed after the first epoch, the first time."""
    saved = Path(__file__).parent / f"{config['lr']}.txt"
    for epoch in range(1 if resume_from else 0, 3):
        saved.write_text(str(epoch))
        report({"loss": float(epoch)}, checkpoint=saved)
        if resume_from is None:
            os.kill(os.getpid(), signal.SIGKILL)


def misnamed(config: Mapping[str, Any], *, report: Report) -> None:
    """Never reports `loss`."""
    report({"los": config["lr"]})


def silent(config: Mapping[str, Any], *, report: Report) -> None:
    """Reports nothing at all."""


def threads(config: Mapping[str, Any], *, report: Report) -> None:
    """Tells how many threads torch uses."""
    torch = importlib.import_module("torch")  # every run would prepare for an `import torch`
    report({"loss": torch.get_num_threads(), "gpus": len(_visible_gpus())})


def endless(config: Mapping[str, Any], *, report: Report) -> None:
    """Reports until it is stopped."""
    epoch = 0
    while True:
        epoch += 1
        report({"loss": 1.0 / epoch})
        time.sleep(0.05)


def _visible_gpus() -> list[str]:
    return [gpu for gpu in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu]


def many(config: Mapping[str, Any], *, report: Report, log_dir: Path) -> None:
    """A function with an array form; alone, it does without."""
    for epoch in range(2):
        report({"loss": config["lr"] / (epoch + 1)})


def fuse_key(config: Mapping[str, Any]) -> str:
    return "all alike"


def train_many(
    configs: list[dict[str, Any]], *, reports: list[Report], **_: object
) -> list[Exception | None]:
    """The array form of `many`; the member with lr 0.2 fails in its second epoch."""
    print("together:", len(configs))
    errors: list[Exception | None] = [None] * len(configs)
    for epoch in range(2):
        for index, (config, report) in enumerate(zip(configs, reports, strict=True)):
            if config["lr"] == 0.2 and epoch == 1:  # this member's own; the others go on
                errors[index] = ValueError("no second epoch for 0.2")
            else:
                report({"loss": config["lr"] / (epoch + 1)})
    return errors

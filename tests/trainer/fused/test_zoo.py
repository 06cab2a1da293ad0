"""The models of `make bench-models`: trials of an array end where they would alone."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from trainer.checkpoint import load
from trainer.fused import Timing

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
MODELS = ("mlp", "lenet", "cnn", "resnet", "autoencoder", "gru", "lstm", "transformer", "bag")


class Interrupted(Exception):
    """In the middle of a sweep."""


class Kept(list[dict[str, Any]]):
    """A report that keeps what it is told, and may be the last."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit

    def __call__(self, metrics: Mapping[str, Any], *, checkpoint: Path | None = None) -> None:
        self.append(dict(metrics))
        if len(self) == self._limit:
            raise Interrupted


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The models, with few examples."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    found = importlib.import_module("zoo")
    found.dataset.cache_clear()
    monkeypatch.setattr(found, "TRAIN", 100)
    monkeypatch.setattr(found, "TEST", 40)
    return found


def configs_of_two_epochs() -> list[dict[str, Any]]:
    return [
        {"lr": 0.01 / (i + 1), "weight_decay": 0.01 * i, "seed": i, "epochs": 2, "batch_size": 32}
        for i in range(3)
    ]


@pytest.mark.parametrize("model", MODELS)
def test_two_epochs_of_every_model_agree_to_six_digits(
    model: str, zoo: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Timing, "pays", True)
    assert tuple(zoo.MODELS) == MODELS
    task = getattr(zoo, model)
    configs = configs_of_two_epochs()
    together = [Kept() for _ in configs]
    assert task.train_many(configs, reports=together) == [None] * 3
    for config, found in zip(configs, together, strict=True):
        alone = Kept()
        task(config, report=alone)
        assert len(found) == len(alone) == 2
        for one, other in zip(found, alone, strict=True):
            for name in one.keys() - {"examples_per_second"}:
                assert one[name] == pytest.approx(other[name], rel=1e-6), name


@pytest.mark.parametrize("model", MODELS)
def test_every_model_goes_on_from_its_checkpoints_to_the_same_bits(
    model: str, zoo: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Timing, "pays", True)
    task, configs = getattr(zoo, model), configs_of_two_epochs()
    folders = [[tmp_path / root / str(i) for i in range(3)] for root in ("whole", "parts")]
    whole, parts = ([Kept() for _ in configs] for _ in folders)
    assert task.train_many(configs, reports=whole, log_dirs=folders[0]) == [None] * 3
    first = [Kept(limit=1) for _ in configs]
    ended = task.train_many(configs, reports=first, log_dirs=folders[1])
    assert [type(error) for error in ended] == [Interrupted] * 3
    saved = [folder / "checkpoint-00001.pt" for folder in folders[1]]
    rest = task.train_many(configs, reports=parts, log_dirs=folders[1], resume_from=saved)
    assert rest == [None] * 3
    for one, other in zip(parts, whole, strict=True):
        assert len(one) == 1
        del one[0]["examples_per_second"], other[1]["examples_per_second"]
        assert one[0] == other[1]
    for one, other in zip(*folders, strict=True):
        mine, want = (load(folder / "checkpoint-00002.pt")["model"] for folder in (one, other))
        assert all(torch.equal(mine[name], want[name]) for name in want)

"""The models of `make bench-models`: trials of an array end where they would alone."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from trainer.fused import Timing

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
MODELS = ("mlp", "lenet", "cnn", "resnet", "autoencoder", "gru", "lstm", "transformer", "bag")


class Kept(list[dict[str, Any]]):
    """A report that keeps what it is told."""

    def __call__(self, metrics: Mapping[str, Any], *, checkpoint: Path | None = None) -> None:
        self.append(dict(metrics))


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The models, with few examples."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    found = importlib.import_module("zoo")
    found.dataset.cache_clear()
    monkeypatch.setattr(found, "TRAIN", 100)
    monkeypatch.setattr(found, "TEST", 40)
    return found


@pytest.mark.parametrize("model", MODELS)
def test_two_epochs_of_every_model_agree_to_six_digits(
    model: str, zoo: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Timing, "pays", True)
    assert tuple(zoo.MODELS) == MODELS
    task = getattr(zoo, model)
    configs = [
        {"lr": 0.01 / (i + 1), "weight_decay": 0.01 * i, "seed": i, "epochs": 2, "batch_size": 32}
        for i in range(3)
    ]
    together = [Kept() for _ in configs]
    assert task.train_many(configs, reports=together) == [None] * 3
    for config, found in zip(configs, together, strict=True):
        alone = Kept()
        task(config, report=alone)
        assert len(found) == len(alone) == 2
        for one, other in zip(found, alone, strict=True):
            for name in one.keys() - {"examples_per_second"}:
                assert one[name] == pytest.approx(other[name], rel=1e-6), name

"""An array is used where it is timed to be no slower than its members one after another."""

import time
from collections.abc import Iterator
from itertools import chain, cycle

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from tests.trainer.fused.both import Both, build
from trainer.fused import Timing, measure, unchanged

CPU = torch.device("cpu")


def test_the_fastest_of_each_counts_and_the_first_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    for clock in ("process_time", "perf_counter"):
        monkeypatch.setattr(time, clock, lambda: now)

    def step(seconds: Iterator[float]) -> None:
        nonlocal now
        now += next(seconds)

    alone = chain([1 / 1024], cycle([6 / 1024, 4 / 1024, 5 / 1024]))
    together = chain([1 / 1024], cycle([9 / 1024, 8 / 1024]))
    timing = measure(lambda: step(alone), lambda: step(together), 4, CPU)
    assert timing == Timing(alone=4 / 1024, together=8 / 1024, size=4)


def test_an_array_pays_unless_it_is_slower_than_timing_can_tell() -> None:
    assert Timing(alone=1.0, together=2.0, size=4).ratio == 2.0
    assert Timing(alone=1.0, together=4.0, size=4).pays
    assert not Timing(alone=1.0, together=4.4, size=4).pays


def test_timing_changes_nothing_that_is_trained() -> None:
    kinds = (Adam, lambda p, lr: SGD(p, lr=lr, momentum=0.9))
    for kind in kinds:
        models = build(perceptron)
        trained = Both(models, [kind(m.parameters(), lr=0.1) for m in models], torch.rand(2, 4))
        trained.train(2)
        with unchanged(models, trained.optimizers, trained.array._streams.generators):
            trained.array(torch.rand(3, 8, 4))
            trained.optimizer.step([torch.ones_like(p) for p in trained.array.stacked()])
        trained.train(2)
        trained.assert_same()


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), nn.Dropout(0.5))

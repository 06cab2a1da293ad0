"""An array is used where it is timed to be no slower than its members one after another."""

import time

import torch
from torch import nn
from torch.optim import SGD, Adam

from tests.trainer.fused.both import Both, build
from trainer.fused import Timing, measure, unchanged

CPU = torch.device("cpu")


def test_the_fastest_of_each_counts_and_the_first_does_not() -> None:
    calls: list[str] = []

    def step(name: str, seconds: float) -> None:
        calls.append(name)
        time.sleep(seconds if calls.count(name) > 1 else 10 * seconds)

    timing = measure(lambda: step("a", 0.002), lambda: step("b", 0.004), 4, CPU)
    assert 0.002 <= timing.alone < 0.01 and 0.004 <= timing.together < 0.02
    assert calls[:2] == ["a", "b"]


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

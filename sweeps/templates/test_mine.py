"""Run with: pytest"""

from pathlib import Path

from mine import task
from sweeps import Sweep


def test_it_learns():
    epochs = []
    config = {"lr": 0.01, "width": 32, "epochs": 3}
    task(config, report=lambda metrics, checkpoint=None: epochs.append(metrics))
    assert epochs[-1]["loss/test"] < epochs[0]["loss/test"]


def test_the_sweep_is_one():
    sweep = Sweep.from_yaml(Path(__file__).with_name("sweep.yaml"))
    assert len(sweep.trials) > 1

"""A user's task killed on purpose: the same command ends with the table of one left alone."""

import json
from pathlib import Path
from typing import Any

from tests.commands import in_process, run_command, wait_until
from tests.faults.conftest import Sweep
from tests.shared import RunHere

MINE = """
import time

import torch
from torch import nn
from trainer import Task, Tensors


class Net(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.gru = nn.GRU(4, 8, batch_first=True)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        return self.out(self.drop(self.norm(self.gru(x)[0][:, -1])))


def data(config):
    x = torch.randn(2400, 6, 4, generator=torch.Generator().manual_seed(0))
    y = torch.bucketize(x.sum(dim=(1, 2)), torch.tensor([-2.0, 2.0]))
    return Tensors(train=(x[:2000], y[:2000]), test=(x[2000:], y[2000:]))


def noisy(x):
    time.sleep(0.03)  # so that there is something to interrupt
    return x + 0.1 * torch.randn_like(x)


task = Task(
    model=lambda config: Net(config["dropout"]),
    data=data,
    augment=noisy,
    metrics={"accuracy": "accuracy"},
)
"""
SWEEP = """
name: mine
train: mine:task
metric: accuracy/validation
mode: max
parameters:
  lr: [0.01, 0.003]
  dropout: [0.0, 0.3]
  schedule: cosine
  clip: 1.0
  validation: 0.2
  batch_size: 128
  epochs: 6
"""


def results(folder: Path, directory: str) -> dict[str, Any]:
    shown = in_process("results", directory, "--format", "json", cwd=folder)
    rows = {row["id"]: row for row in json.loads(shown.stdout)}
    for row in rows.values():
        del row["metrics"]["examples_per_second"]
    kept = ("status", "epochs", "metrics", "best")
    return {key: {name: row[name] for name in kept} for key, row in rows.items()}


def test_a_task_killed_twice_ends_with_the_same_table_and_is_replayed_to_the_bit(
    sweep: Sweep, run_here: RunHere
) -> None:
    """Dropout, augmentation, batch norm and a schedule, in arrays of two."""
    folder = sweep.folder
    (folder / "mine.py").write_text(MINE)
    (folder / "mine.yaml").write_text(SWEEP)
    whole = run_here("run", "mine.yaml", "--dir", "whole", cwd=folder)
    assert (whole.returncode, whole.stderr) == (0, "")
    assert "trials train in 2 arrays of 2, 2" in whole.stdout
    for epochs in (2, 4):
        process = sweep.start("--dir", "killed", file="mine.yaml")
        try:
            wait_until(
                lambda: any(
                    len(file.read_text().splitlines()) >= epochs  # noqa: B023
                    for file in folder.glob("killed/trials/*/history.jsonl")
                ),
                f"a trial with {epochs} epochs",
            )
        finally:
            sweep.kill(process)
    done = run_here("run", "mine.yaml", "--dir", "killed", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    expected = results(folder, "whole")
    assert len(expected) == 4
    assert results(folder, "killed") == expected
    replayed = run_command("replay", "whole", next(iter(expected)), cwd=folder)
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr

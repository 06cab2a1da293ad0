"""LSTM and GRU on a signal: which of four waves is this, under noise?

    python -m trainer sequences:task cell=gru lr=0.003    # one run
    sweeps run sweep.yaml                                 # both cells, in arrays of their own

The waves are made here: 64 samples each, of any frequency and phase.
"""

import math

import torch
from torch import nn

from trainer import Task, Tensors

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}
WAVES = {
    "sine": torch.sin,
    "square": lambda phase: torch.sin(phase).sign(),
    "saw": lambda phase: (phase / math.pi) % 2 - 1,
    "triangle": lambda phase: 2 * ((phase / math.pi) % 2 - 1).abs() - 1,
}


class Classifier(nn.Module):
    def __init__(self, cell, hidden, layers, dropout):
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.cell = CELLS[cell](1, hidden, num_layers=layers, dropout=between, batch_first=True)
        self.out = nn.Linear(hidden, len(WAVES))

    def forward(self, signal):
        """(N, 64, 1) to scores (N, 4)."""
        states, _ = self.cell(signal)
        return self.out(states.mean(dim=1))


def model(config):
    return Classifier(
        config["cell"], config["hidden"], config.get("layers", 1), config.get("dropout", 0.0)
    )


def data(config):
    generator = torch.Generator().manual_seed(0)
    count, length = config.get("count", 4000), 64
    time = torch.arange(length)
    frequency = torch.rand(count, 1, generator=generator) * 0.4 + 0.2
    shift = torch.rand(count, 1, generator=generator) * 2 * math.pi
    phase, kind = time * frequency + shift, torch.arange(count) % len(WAVES)
    signal = torch.zeros(count, length)
    for number, wave in enumerate(WAVES.values()):
        signal[kind == number] = wave(phase[kind == number])
    signal += 0.2 * torch.randn(count, length, generator=generator)
    signal = signal.unsqueeze(2)
    cut = count * 4 // 5
    return Tensors(train=(signal[:cut], kind[:cut]), test=(signal[cut:], kind[cut:]))


task = Task(
    model=model,
    data=data,
    loss="cross_entropy",
    metrics={"accuracy": "accuracy"},
    unit="signals",
)

"""A model, its data and its loss. Replace each with your own.

python -m trainer mine:task lr=0.01 width=32    # one run
sweeps plan sweep.yaml                          # what a sweep would do
sweeps run sweep.yaml
"""

import torch
from torch import nn
from torch.nn import functional as F

from trainer import Task, Tensors


class Net(nn.Module):
    def __init__(self, width, dropout):
        super().__init__()
        self.hidden = nn.Linear(2, width)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, 2)

    def forward(self, points):
        return self.out(self.dropout(F.relu(self.hidden(points))))


def model(config):
    """Any nn.Module; what it reads of the configuration can be swept."""
    return Net(config["width"], config.get("dropout", 0.0))


def data(config):
    """Pairs of inputs and targets: tensors or NumPy arrays, also memory-mapped."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(5000, 2, generator=generator) * 4 - 2
    inside = (points.norm(dim=1) < 1.5).long()  # within a circle, or not
    return Tensors(train=(points[:4000], inside[:4000]), test=(points[4000:], inside[4000:]))


task = Task(model=model, data=data, loss=F.cross_entropy, metrics={"accuracy": "accuracy"})

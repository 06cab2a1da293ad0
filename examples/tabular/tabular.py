"""A perceptron on a table of numbers: what a house costs, from ten of its properties.

    python -m trainer tabular:task lr=0.003 width=64    # one run
    sweeps run sweep.yaml                               # twelve, in arrays

The table is made by scikit-learn, without a download: ten columns, of which five matter.
"""

from sklearn.datasets import make_friedman1
from torch import nn
from torch.nn import functional as F

from trainer import Task, Tensors


def model(config):
    width, dropout = config["width"], config.get("dropout", 0.0)
    return nn.Sequential(
        nn.Linear(10, width), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(width, 1), nn.Flatten(0),
    )  # fmt: skip


def data(config):
    table, price = make_friedman1(n_samples=6000, noise=1.0, random_state=0)
    return Tensors(train=(table[:5000], price[:5000]), test=(table[5000:], price[5000:]))


def error(outputs, targets):
    """How far each price is off."""
    return (outputs - targets).abs()


task = Task(model=model, data=data, loss=F.mse_loss, metrics={"error": error}, unit="rows")

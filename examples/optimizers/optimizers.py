"""Adam, AdamW, SGD and RMSprop with schedules, on the article's network.

    python -m trainer optimizers:task rule=sgd schedule=cosine epochs=2
    sweeps run sweep.yaml

The shipped task with one part replaced: the optimizer. `rate` is relative to what each rule is
usually given, so that one axis serves all four. On Fashion-MNIST with dataset=fashion_mnist.
"""

from dataclasses import replace
from typing import Literal

from pydantic import Field
from torch import optim

from trainer import TrainConfig, train

USUAL = {"adam": 0.001, "adamw": 0.001, "sgd": 0.05, "rmsprop": 0.001}


class Config(TrainConfig):
    """The shipped task's parameters, and two more."""

    rule: Literal["adam", "adamw", "sgd", "rmsprop"] = Field(default="adam")
    rate: float = Field(default=1.0, gt=0, description="of the rule's usual learning rate")
    dataset: Literal["fashion_mnist", "digits"] = Field(default="digits")


def optimizer(parameters, config):
    lr, decay = config["rate"] * USUAL[config["rule"]], config["weight_decay"]
    match config["rule"]:
        case "adam":
            return optim.Adam(parameters, lr=lr, weight_decay=decay)
        case "adamw":
            return optim.AdamW(parameters, lr=lr, weight_decay=decay)
        case "sgd":
            return optim.SGD(parameters, lr=lr, weight_decay=decay, momentum=config["momentum"])
        case "rmsprop":
            return optim.RMSprop(parameters, lr=lr, weight_decay=decay)


task = replace(train, config=Config, optimizer=optimizer)

"""The optimizers of the shipped trainer."""

import inspect
from typing import Any

from torch import nn, optim

from trainer.config import TrainConfig


class _Unguarded:
    """An optimizer's methods as they are, without torch's guards against its own compiler.

    The guards import that compiler, which takes a second in every worker that trains an array.
    """

    add_param_group: Any = inspect.unwrap(optim.Optimizer.add_param_group)
    state_dict: Any = inspect.unwrap(optim.Optimizer.state_dict)
    load_state_dict: Any = inspect.unwrap(optim.Optimizer.load_state_dict)


class Adam(_Unguarded, optim.Adam):
    pass


class AdamW(_Unguarded, optim.AdamW):
    pass


class SGD(_Unguarded, optim.SGD):
    pass


def build_optimizer(settings: TrainConfig, model: nn.Module) -> optim.Optimizer:
    """The optimizer the config names, in torch's fused form: one kernel for all parameters."""
    parameters = model.parameters()
    lr, decay = settings.lr, settings.weight_decay
    match settings.optimizer:
        case "adam":
            return Adam(parameters, lr=lr, weight_decay=decay, fused=True)
        case "adamw":
            return AdamW(parameters, lr=lr, weight_decay=decay, fused=True)
        case "sgd":
            return SGD(
                parameters, lr=lr, weight_decay=decay, momentum=settings.momentum, fused=True
            )

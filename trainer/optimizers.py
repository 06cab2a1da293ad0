"""Adam, AdamW and SGD, as a configuration names them."""

import inspect
from typing import TYPE_CHECKING, Any

from torch import nn, optim

if TYPE_CHECKING:
    from trainer.task import Setup


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


def build_optimizer(setup: "Setup", model: nn.Module) -> optim.Optimizer:
    """The task's own optimizer, or the one that the configuration names.

    That is in torch's fused form: one kernel for all parameters.
    """
    if setup.task.optimizer:
        made: optim.Optimizer = setup.task.optimizer(model.parameters(), setup.config)
        closure = inspect.signature(made.step).parameters.get("closure")
        if closure and closure.default is inspect.Parameter.empty:
            raise ValueError(
                f"optimizer: {type(made).__name__} evaluates a loss several times in a step (it"
                " needs a closure), which a Task does not; write a training function of your own"
            )
        return made
    settings, parameters = setup.settings, model.parameters()
    lr, decay, betas = settings.lr, settings.weight_decay, (settings.beta1, settings.beta2)
    match settings.optimizer:
        case "adam":
            return Adam(parameters, lr=lr, betas=betas, weight_decay=decay, fused=True)
        case "adamw":
            return AdamW(parameters, lr=lr, betas=betas, weight_decay=decay, fused=True)
        case "sgd":
            return SGD(
                parameters, lr=lr, weight_decay=decay, momentum=settings.momentum, fused=True
            )

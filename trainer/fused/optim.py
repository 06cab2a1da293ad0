"""Adam, AdamW and SGD for an array of models, each with settings of its own.

torch.optim wants one learning rate per parameter, and here one parameter holds K models. All
parameters lie in one flat buffer, their settings beside them, one number per element: a step is a
handful of passes over it, however many layers and members there are. The arithmetic is torch's.

Each member keeps a real ``torch.optim`` optimizer, whose state tensors are views of this one's:
it can be saved and loaded as if its model were trained alone.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam, AdamW, Optimizer

from trainer.fused.common import MULTIPLE, CannotFuse


class ArrayOptimizer:
    """One optimizer for an array, made of its members' optimizers.

    Args:
        parameters: the array's stacked parameters, (K, *shape) each.
        members: an optimizer of one type per member, each with one parameter group over the
            member's parameters, in the same order. Their settings are read now, and their state
            is taken over.

    Raises:
        CannotFuse: the optimizers differ in more than their numbers, or have no array form.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], members: Sequence[Optimizer]) -> None:
        _check_equal(parameters, members)
        self._parameters = list(parameters)
        self._groups = [member.param_groups[0] for member in members]
        self._members = list(members)
        self._flat = self._flatten([p.data for p in parameters])
        self._grad = torch.zeros_like(self._flat)
        for parameter, whole in zip(parameters, self._segments(self._flat), strict=True):
            parameter.data = whole
        self._tie(self._flat, lambda state, parameter, view: setattr(parameter, "data", view))
        self._tie(self._grad, lambda state, parameter, view: setattr(parameter, "grad", view))
        self._lr = self._per_element("lr")
        self._decay = self._per_element("weight_decay")
        self._decays = any(group["weight_decay"] for group in self._groups)
        match members[0]:
            case AdamW():
                self._prepare_adam(decoupled=True)
            case Adam():
                decoupled = bool(self._groups[0].get("decoupled_weight_decay"))
                self._prepare_adam(decoupled=decoupled)
            case _:
                self._prepare_sgd()

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """Update every member with the gradients of the array's parameters."""
        used = self._grad[: sum(gradient.numel() for gradient in gradients)]
        torch.cat([gradient.reshape(-1) for gradient in gradients], out=used)
        self._update()

    def _prepare_adam(self, *, decoupled: bool) -> None:
        beta1, beta2 = self._groups[0]["betas"]
        eps = self._groups[0]["eps"]
        mean, square = self._state("exp_avg"), self._state("exp_avg_sq")
        steps = self._tie_steps()
        step = steps[0, 0]
        if self._flat.device.type == "cpu" and self._flat.dtype in (torch.float32, torch.float64):
            from trainer.fused.adam import Settings, adam_step  # LLVM, which GPUs do not need

            double = self._flat.dtype is torch.float64
            one_pass = adam_step(Settings(beta1, beta2, eps, self._decays, decoupled, double))

            def update_at_once() -> None:
                steps.add_(1)
                one_pass(step.item(), self._flat, self._grad, mean, square, self._lr, self._decay)

            self._update = update_at_once
            return
        shrink = 1 - self._lr * self._decay
        scratch = torch.empty_like(self._flat)

        def update() -> None:
            gradient = self._grad
            steps.add_(1)
            if self._decays and decoupled:
                self._flat.mul_(shrink)
            elif self._decays:
                gradient = torch.addcmul(gradient, self._flat, self._decay)
            mean.lerp_(gradient, 1 - beta1)
            square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            torch.sqrt(square, out=scratch)
            scratch.div_((1 - beta2**step).sqrt_()).add_(eps)
            torch.div(mean, scratch, out=scratch)
            self._flat.addcmul_(scratch.mul_(self._lr), 1 / (1 - beta1**step), value=-1)

        self._update = update

    def _prepare_sgd(self) -> None:
        momentum = self._per_element("momentum")
        nesterov = self._groups[0]["nesterov"]
        buffer = self._state("momentum_buffer")
        moves = any(group["momentum"] for group in self._groups)

        def update() -> None:
            gradient = self._grad
            if self._decays:
                gradient = torch.addcmul(gradient, self._flat, self._decay)
            if moves:
                buffer.mul_(momentum).add_(gradient)
                gradient = torch.addcmul(gradient, buffer, momentum) if nesterov else buffer
            self._flat.addcmul_(gradient, self._lr, value=-1)

        self._update = update

    def _flatten(self, stacked: Sequence[Tensor]) -> Tensor:
        """One flat buffer, filled up to whole vectors."""
        flat = torch.cat([tensor.reshape(-1) for tensor in stacked])
        return F.pad(flat, (0, -len(flat) % MULTIPLE))

    def _segments(self, flat: Tensor) -> list[Tensor]:
        """The flat buffer's parts, in the shapes of the array's parameters."""
        sizes = [parameter.numel() for parameter in self._parameters]
        parts = flat[: sum(sizes)].split(sizes)
        return [part.view(p.shape) for part, p in zip(parts, self._parameters, strict=True)]

    def _per_element(self, setting: str) -> Tensor:
        """Each member's setting, beside each of its elements in the flat buffer."""
        values = torch.tensor([float(g[setting]) for g in self._groups], device=self._flat.device)
        rows = [values[:, None].expand(len(values), p[0].numel()) for p in self._parameters]
        return self._flatten(rows)

    def _state(self, name: str) -> Tensor:
        """A flat buffer of the members' optimizer state, zero where they have none yet."""
        flat = torch.zeros_like(self._flat)

        def take_over(state: dict[str, Any], parameter: Tensor, view: Tensor) -> None:
            if state.get(name) is not None:
                view.copy_(state[name])
            state[name] = view

        self._tie(flat, take_over)
        return flat

    def _tie(self, flat: Tensor, tie: Callable[[dict[str, Any], Any, Tensor], None]) -> None:
        """Hand each member, for each of its parameters, its slice of a flat buffer."""
        for position, whole in enumerate(self._segments(flat)):
            for index, member in enumerate(self._members):
                parameter = _parameters(member)[position]
                tie(member.state[parameter], parameter, whole[index])

    def _tie_steps(self) -> Tensor:
        """The members' counts of steps, one number: (members, parameters), views of theirs."""
        taken = _steps(self._members[0])[0]
        shape = (len(self._members), len(self._parameters))
        steps = torch.full(shape, taken, device=self._flat.device, dtype=torch.float32)
        for member, counts in zip(self._members, steps, strict=True):
            for parameter, count in zip(_parameters(member), counts, strict=True):
                member.state[parameter]["step"] = count
        return steps

    _update: Callable[[], None]


def _parameters(member: Optimizer) -> list[Any]:
    parameters: list[Any] = member.param_groups[0]["params"]
    return parameters


def _steps(member: Optimizer) -> list[float]:
    """How many steps an optimizer has taken, by parameter."""
    states = [member.state.get(parameter, {}) for parameter in _parameters(member)]
    return [float(state.get("step", 0)) for state in states]


def _check_equal(parameters: Sequence[nn.Parameter], members: Sequence[Optimizer]) -> None:
    """All but lr, weight decay and SGD's momentum must agree, and be a form we know."""
    free = {"params", "lr", "weight_decay", "momentum"}
    kinds = {type(member) for member in members}
    if len(kinds) > 1:
        raise CannotFuse(f"the optimizers differ: {', '.join(sorted(k.__name__ for k in kinds))}")
    if not isinstance(members[0], Adam | AdamW | SGD):
        raise CannotFuse(f"{type(members[0]).__name__} has no array form")
    if any(len(member.param_groups) != 1 for member in members):
        raise CannotFuse("an optimizer has several parameter groups")
    settings = [{k: v for k, v in m.param_groups[0].items() if k not in free} for m in members]
    if any(one != settings[0] for one in settings):
        raise CannotFuse("the optimizers differ in more than lr, weight decay and momentum")
    for unsupported in ("amsgrad", "maximize", "dampening"):
        if settings[0].get(unsupported):
            raise CannotFuse(f"{unsupported} has no array form")
    shapes = [parameter.shape[1:] for parameter in parameters]
    if any([p.shape for p in _parameters(member)] != shapes for member in members):
        raise CannotFuse("an optimizer's parameters are not its model's, in their order")
    if len({step for member in members for step in _steps(member)}) > 1:
        raise CannotFuse("the members have taken different numbers of steps")

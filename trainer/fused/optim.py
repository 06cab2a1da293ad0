"""Adam, AdamW and SGD for an array of models, each with settings of its own.

torch.optim wants one learning rate per parameter, and here one parameter holds K models. All
parameters of a group lie in one block, a row for each member, its settings beside it: a step is a
handful of passes over it, however many layers and members there are. The arithmetic is torch's.
Members may have optimizers of different kinds; those of one kind, side by side, share a pass.

Each member keeps a real ``torch.optim`` optimizer, whose state tensors are views of this one's:
it can be saved and loaded as if its model were trained alone. Its ``param_groups`` are what a
schedule writes to, and they are read before every step.
"""

import inspect
from collections.abc import Sequence
from operator import itemgetter

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from trainer.fused.adam import AdamRule
from trainer.fused.blocks import Block, Rule
from trainer.fused.common import CannotFuse
from trainer.fused.sgd import SGDRule

OBEYED = {"lr", "weight_decay", "betas", "eps", "momentum", "dampening", "nesterov"}
"""Settings that are each member's own, at every step."""

FIXED = {"amsgrad", "decoupled_weight_decay", "maximize"}
"""Settings that members share and keep; all others say how a step is computed, not what."""


class ArrayOptimizer:
    """One optimizer for an array, made of its members' optimizers.

    Args:
        parameters: the array's stacked parameters, (K, *shape) each, as ``ModuleArray.stacked()``
            gives them.
        members: an optimizer per member, with the same parameter groups. Their state is taken
            over; their settings are read before every step, so schedules are obeyed.

    Raises:
        CannotFuse: an optimizer has no array form, or those of one kind differ in more than their
            numbers.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], members: Sequence[Optimizer]) -> None:
        self._members = list(members)
        self._build(list(parameters))

    def _build(self, parameters: list[nn.Parameter]) -> None:
        self._check_kinds()
        for member in self._members:  # whose schedules would warn that it never steps
            vars(member)["_opt_called"] = True
        self._blocks = self._blocks_of(parameters)
        self._groups = [_Group(part) for block in self._blocks for part in block.parts()]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], max_norms: Tensor | None = None) -> None:
        """Update every member with the gradients of the array's parameters.

        Args:
            gradients: one for each of the parameters, (K, *shape).
            max_norms: what each member's gradients are clipped to, (K); infinity: not at all.
        """
        if not torch.cuda.is_available() or not torch.cuda.is_current_stream_capturing():
            self.refresh()
        for block in self._blocks:
            block.take(gradients)
        if max_norms is not None:
            self._clip(max_norms)
        for group in self._groups:
            group.update()

    def refresh(self) -> None:
        """Read the members' settings, as :meth:`step` does.

        A captured step cannot: call this before each replay. It waits for nothing, and copies
        only what has changed.

        Raises:
            CannotFuse: a setting has changed that cannot be obeyed.
        """
        for group in self._groups:
            group.refresh()

    def drop(self, parameters: Sequence[nn.Parameter], indices: Sequence[int]) -> None:
        """Let members go, after ``ModuleArray.drop`` has; the others go on from where they are."""
        gone = set(indices)
        for index in gone:
            for state in self._members[index].state.values():
                state.update({k: v.clone() for k, v in state.items() if isinstance(v, Tensor)})
        self._members = [m for index, m in enumerate(self._members) if index not in gone]
        self._build(list(parameters))

    def _clip(self, max_norms: Tensor) -> None:
        """As ``torch.nn.utils.clip_grad_norm_`` does for one model."""
        squares = sum(block.gradients.square().sum(dim=1) for block in self._blocks)
        norms = torch.as_tensor(squares).sqrt()
        factors = (max_norms / (norms + 1e-6)).clamp(max=1).to(norms.dtype)
        for block in self._blocks:
            block.gradients.mul_(factors.unsqueeze(1))

    def _check_kinds(self) -> None:
        for kind in {type(member): None for member in self._members}:
            if not issubclass(kind, Adam | AdamW | SGD):
                raise CannotFuse(f"{kind.__name__} has no array form")
            known = [inspect.unwrap(each.step) for each in (Adam, AdamW, SGD)]
            if inspect.unwrap(kind.step) not in known:
                raise CannotFuse(f"{kind.__name__} has a step of its own")
        for member in self._members:
            if member._optimizer_step_pre_hooks or member._optimizer_step_post_hooks:
                raise CannotFuse(f"{type(member).__name__} has hooks on its step")

    def _blocks_of(self, parameters: list[nn.Parameter]) -> list[Block]:
        """The members' parameter groups, of the same parameters in the same order."""
        places = [_places(parameters, index) for index in range(len(self._members))]
        sorted_out = []
        for place, member in zip(places, self._members, strict=True):
            groups = [[place.get(p.data_ptr()) for p in g["params"]] for g in member.param_groups]
            sorted_out.append([[n for n in group if n is not None] for group in groups])
        if any(one != sorted_out[0] for one in sorted_out) or not any(sorted_out[0]):
            raise CannotFuse("an optimizer's parameters are not its model's, in the same groups")
        blocks = []
        for number, positions in enumerate(sorted_out[0]):
            if not positions:
                continue
            own = [
                [p for p in m.param_groups[number]["params"] if p.data_ptr() in place]
                for m, place in zip(self._members, places, strict=True)
            ]
            chosen = [parameters[n] for n in positions]
            blocks.append((chosen, positions, self._members, number, own))
        return [Block(*block) for block in blocks]  # only now: they move the parameters


class _Group:
    """A block, its rule, and its members' settings where the rule finds them."""

    def __init__(self, block: Block) -> None:
        self.block = block
        fixed = sorted(block.groups[0].keys() & FIXED)
        for name in fixed:
            values = [group.get(name) for group in block.groups]
            if any(value != values[0] for value in values):
                raise CannotFuse(f"the optimizers differ in {name}")
            if values[0] and name != "decoupled_weight_decay":
                raise CannotFuse(f"{name} has no array form")
        self._rule = _rule(block)
        size = len(block.groups)
        self._steps = block.count_steps() if self._rule.counts else torch.zeros(size, 1)
        self._look = itemgetter(*fixed, *sorted(block.groups[0].keys() & OBEYED))
        self._fixed, self._seen = len(fixed), [self._look(group) for group in block.groups]
        self._settings = self._read().to(block.values.device)

    def refresh(self) -> None:
        seen = [self._look(group) for group in self.block.groups]
        settled = not any(isinstance(value, Tensor) for value in seen[0])  # may change in place
        if settled and seen == self._seen:
            return
        if any(a[: self._fixed] != b[: self._fixed] for a, b in zip(seen, self._seen, strict=True)):
            raise CannotFuse("an optimizer's setting has changed that an array cannot change")
        self._seen = seen
        self._settings.copy_(self._read(), non_blocking=True)  # in its place: captured steps look

    def update(self) -> None:
        if self._rule.counts:
            self._steps.add_(1)
        self._rule.update(self._settings, self._steps[:, 0].double())

    def _read(self) -> Tensor:
        rows = [[float(v) for v in self._rule.read(group)] for group in self.block.groups]
        return torch.tensor(rows, dtype=torch.float64)


def _rule(block: Block) -> Rule:
    if issubclass(block.kind, SGD):
        return SGDRule(block)
    decoupled = bool(block.groups[0].get("decoupled_weight_decay"))
    return AdamRule(block, decoupled=decoupled or issubclass(block.kind, AdamW))


def _places(parameters: Sequence[nn.Parameter], index: int) -> dict[int, int]:
    """Where a member's parameters stand among the array's, by their address."""
    return {p[index].data_ptr(): n for n, p in enumerate(parameters) if p.numel()}

"""The parameters of an array's optimizer: a block for each parameter group, a row for each member.

A row holds all parameters of one member, one after another: a setting is one number a row, a
member's norm is one sum, and a member that ends is a row less. Members whose optimizers are of one
kind and stand side by side are stepped together, as a part of the block.
"""

import copy
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from trainer.fused.common import MULTIPLE, CannotFuse


class Block:
    """One parameter group of all members.

    Args:
        parameters: the array's stacked parameters in the group, (K, *shape) each.
        positions: which they are among all of the array's.
        members: the members' optimizers.
        number: which of their groups this is.
        own: for each member its own parameters, in the order of ``parameters``.

    Attributes:
        values: the parameters, (K, length), filled up with zeros to whole vectors.
        gradients: in the same order.
        groups: the members' settings.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        positions: Sequence[int],
        members: Sequence[Optimizer],
        number: int,
        own: Sequence[Sequence[nn.Parameter]],
    ) -> None:
        self.groups: list[dict[str, Any]] = [member.param_groups[number] for member in members]
        self._parameters, self._positions, self._own = parameters, positions, own
        self._members = members
        rows = [parameter.data.reshape(len(members), -1) for parameter in parameters]
        length = sum(row.shape[1] for row in rows)
        self.values = F.pad(torch.cat(rows, dim=1), (0, -length % MULTIPLE))
        self.gradients = torch.zeros_like(self.values)
        self._filling = self.values.new_zeros(len(members), -length % MULTIPLE)
        for parameter, part in zip(parameters, self._parts(self.values), strict=True):
            parameter.data = part
        self._tie(self.values, lambda _, parameter, view: setattr(parameter, "data", view))
        self._tie(self.gradients, lambda _, parameter, view: setattr(parameter, "grad", view))

    def take(self, gradients: Sequence[Tensor]) -> None:
        """Put the gradients of the array's parameters into rows."""
        rows = [gradients[n].reshape(len(self.values), -1) for n in self._positions]
        torch.cat([*rows, self._filling], dim=1, out=self.gradients)

    @property
    def kind(self) -> type[Optimizer]:
        """Of the members' optimizers, in a part; of the first, where they differ."""
        return type(self._members[0])

    def parts(self) -> list["Block"]:
        """Blocks of rows of this one, whose members have optimizers of one kind."""
        kinds = [
            (type(member), bool(group.get("decoupled_weight_decay")))
            for member, group in zip(self._members, self.groups, strict=True)
        ]
        runs = [len(list(run)) for _, run in itertools.groupby(kinds)]
        ends = list(itertools.accumulate(runs, initial=0))
        return [self._part(slice(a, b)) for a, b in itertools.pairwise(ends)]

    def _part(self, rows: slice) -> "Block":
        part = copy.copy(self)
        part.groups, part._members = self.groups[rows], self._members[rows]
        part._own = self._own[rows]
        part.values, part.gradients = self.values[rows], self.gradients[rows]
        return part

    def state(self, name: str) -> Tensor:
        """A row each of the members' optimizer state, zero where they have none yet."""
        rows = torch.zeros_like(self.values)

        def take_over(state: dict[str, Any], parameter: Tensor, view: Tensor) -> None:
            if state.get(name) is not None:
                view.copy_(state[name])
            state[name] = view

        self._tie(rows, take_over)
        return rows

    def count_steps(self) -> Tensor:
        """The members' counts of steps, (K, parameters); their own become views of them."""
        pairs = list(zip(self._members, self._own, strict=True))
        taken = [[float(m.state[p].get("step", 0)) for p in own] for m, own in pairs]
        if any(len(set(row)) > 1 for row in taken):
            raise CannotFuse("the parameters of a member have taken different numbers of steps")
        steps = torch.tensor(taken, device=self.values.device, dtype=torch.float32)
        for (member, own), counts in zip(pairs, steps, strict=True):
            for parameter, count in zip(own, counts, strict=True):
                member.state[parameter]["step"] = count
        return steps

    def _parts(self, rows: Tensor) -> list[Tensor]:
        """The rows' columns in the shapes of the array's parameters."""
        sizes = [parameter[0].numel() for parameter in self._parameters]
        parts = rows[:, : sum(sizes)].split(sizes, dim=1)
        shapes = [(len(rows), *parameter.shape[1:]) for parameter in self._parameters]
        return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]

    def _tie(self, rows: Tensor, tie: Callable[[dict[str, Any], Any, Tensor], None]) -> None:
        """Hand each member, for each of its parameters, its part of a row."""
        for position, part in enumerate(self._parts(rows)):
            for member, own, view in zip(self._members, self._own, part, strict=True):
                tie(member.state[own[position]], own[position], view)


class Rule:
    """How a kind of optimizer changes a block; ``counts``: it needs the number of the step."""

    counts = False

    def __init__(self, block: Block) -> None:
        self.block = block

    def read(self, group: Mapping[str, Any]) -> tuple[float, ...]:
        """The settings of a member that :meth:`update` obeys, from its parameter group."""
        raise NotImplementedError

    def update(self, settings: Tensor, steps: Tensor) -> None:
        """One step, given each member's settings in 64 bits, (K, settings), and its number (K)."""
        raise NotImplementedError

    def refuse(self, reason: str) -> NoReturn:
        raise CannotFuse(f"{self.block.kind.__name__}: {reason}")

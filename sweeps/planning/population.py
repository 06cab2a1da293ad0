"""Population based training: which members there are now, and how far each trains.

At each rung, when all members are where they should be, these are ranked by the mean over their
seeds. The worst are stopped; in the place of each a new configuration goes on from the checkpoint
of one of the best, with its parent's values changed a little (Jaderberg et al. 2017). Which parent,
and how the values change, is drawn from numbers that the file, the rung and the place decide. So
the course follows from the file and the records alone.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from sweeps.definition.parameters import Distribution, Fixed, Grid, same_key
from sweeps.definition.search import Population
from sweeps.definition.space import Space, flat
from sweeps.planning.search import (
    Decision,
    Group,
    Look,
    Measure,
    Told,
    has_reached,
    is_lost,
    state_of,
)

TRIES = 20
"""How often values are drawn again that are excluded, or there already."""

Continue = Callable[[Mapping[str, Any], Group, int], Group]
"""The trials of a configuration that go on from an epoch of others."""


@dataclass
class _Member:
    """A place in the population, and who holds it; nobody, once there is no one to go on from."""

    group: Group | None

    @property
    def key(self) -> str:
        return self.group[0].id if self.group else ""


class Perturbing:
    """Changes the values of a configuration a little.

    Args:
        names: the parameters that may change, by dotted names.
    """

    def __init__(self, space: Space, names: Sequence[str], factors: Sequence[float]) -> None:
        self._space, self._names, self._factors = space, names, factors

    def __call__(self, config: Mapping[str, Any], key: str) -> dict[str, Any] | None:
        """Another configuration; the same for the same key, ``None`` if it is excluded."""
        changed = {
            name: self._changed(name, config[name], f"{key}/{name}")
            for name in self._names
            if name in config
        }
        return self._space.finish({**config, **changed})

    def _changed(self, name: str, value: Any, key: str) -> Any:
        generator = random.Random(key)  # noqa: S311  # nosec B311
        parameter = self._space.leaves[name]
        if isinstance(parameter, Distribution) and parameter.kind != "choice":
            scaled = float(f"{value * generator.choice(self._factors):.6g}")
            return parameter.nearest(scaled)
        listed = parameter.values if isinstance(parameter, Grid) else ()
        listed = parameter.arguments if isinstance(parameter, Distribution) else listed
        return _neighbour(list(listed), value, generator)


class Populating:
    """A population, as far as the records that it was shown reach.

    Args:
        groups: the configurations that it begins with.
        rungs: the epochs of each rung, the last one the whole budget.
        measure: the value at a rung, the smaller the better.
        seed: another number draws other parents and values.
        settled: what has been told before, by the id of a configuration's first trial. It stays,
            even if a trial that had failed was tried again since.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        rungs: Sequence[int],
        keys: Population,
        measure: Measure,
        perturb: Perturbing,
        go_on: Continue,
        seed: int,
        settled: Mapping[str, Told] | None = None,
    ) -> None:
        self._groups = list(groups)
        self._members = [_Member(group) for group in groups]
        self._rungs, self._measure = tuple(rungs), measure
        self._replaced = replaced(len(groups), keys.quantile)
        self._perturb, self._continue, self._seed = perturb, go_on, seed
        self._settled = dict(settled or {})
        self._told: dict[str, Told] = {}
        self._rung = 0

    def advance(self, look: Look) -> Decision:
        """Go through all rungs that the records complete."""
        while self._rung < len(self._rungs):
            held = [member.group for member in self._members if member.group]
            if any(self._is_under_way(group, look) for group in held):
                break
            values = {group[0].id: self._value(group, look) for group in held}
            if self._rung == len(self._rungs) - 1:
                for group in held:
                    self._finish(group, values[group[0].id], look)
            else:
                self._replace(values, look)
            self._rung += 1
        return self._decision()

    @property
    def _budget(self) -> int:
        return self._rungs[self._rung]

    def _lost(self, group: Group, look: Look) -> Told | None:
        """What it came to at this rung, if that is no result."""
        told = self._settled.get(group[0].id)
        if told and told.step == self._budget and told.value is None:
            return told
        found = [record for trial in group if (record := look(trial))]
        lost = next((record for record in found if is_lost(record)), None)
        return Told(state_of(lost), None, self._budget) if lost else None

    def _is_under_way(self, group: Group, look: Look) -> bool:
        if self._lost(group, look):
            return False
        found = [look(trial) for trial in group]
        return not all(r is not None and has_reached(r, self._budget) for r in found)

    def _value(self, group: Group, look: Look) -> float | None:
        """The mean over seeds at the rung."""
        if self._lost(group, look):
            return None
        records = [record for trial in group if (record := look(trial))]
        values = [self._measure(record.history[: self._budget]) for record in records]
        known = [value for value in values if value is not None]
        return fmean(known) if len(known) == len(group) else None

    def _finish(self, group: Group, value: float | None, look: Look) -> None:
        bad = self._lost(group, look) or Told("diverged", None, self._budget)
        complete = Told("complete", value, self._budget)
        self._told[group[0].id] = bad if value is None else complete

    def _replace(self, values: Mapping[str, float | None], look: Look) -> None:
        """Put in the place of each of the worst a changed copy of one of the best."""
        order = sorted(values, key=lambda key: math.inf if (v := values[key]) is None else v)
        place = {key: number for number, key in enumerate(order, 1)}
        by_key = {member.key: member.group for member in self._members if member.group}
        parents = [by_key[key] for key in order[: self._replaced] if values[key] is not None]
        worst = set(order[max(len(order) - self._replaced, len(parents)) :])
        worst |= {key for key in order if values[key] is None}
        for number, member in enumerate(self._members):
            if member.group is None or member.key not in worst:
                continue
            lost = self._lost(member.group, look)
            child = self._child(parents, number) if parents else None
            if child is None and lost is None and values[member.key] is not None:
                continue  # nothing else is left to try: it goes on itself
            why = f"rank {place[member.key]} of {len(order)} at epoch {self._budget}"
            if child and child[0].origin:
                why += f"; {child[0].id} goes on from {child[0].origin.parent} in its place"
            self._told[member.key] = lost or Told("stopped", values[member.key], self._budget, why)
            member.group = child
            self._groups += [child] if child else []

    def _child(self, parents: Sequence[Group], number: int) -> Group | None:
        """What goes on in a place; ``None`` if there is nothing that was not tried."""
        there = {group[0].id for group in self._groups}
        tried = {same_key(_values(group)) for group in self._groups}
        repeated: Group | None = None
        key = f"{self._seed}/population/{self._budget}/{number}"
        for attempt in range(TRIES):
            generator = random.Random(f"{key}/{attempt}")  # noqa: S311  # nosec B311
            parent = generator.choice(list(parents))
            config = _values(parent)
            changed = self._perturb(config, f"{key}/{attempt}")
            if changed is None or same_key(changed) == same_key(config):
                continue
            child = self._continue(changed, parent, self._budget)
            if child[0].id in there:
                continue
            if same_key(_values(child)) not in tried:
                return child
            repeated = repeated or child  # these values again, from another beginning
        return repeated

    def _decision(self) -> Decision:
        until: dict[str, int] = {}
        last = self._rung >= len(self._rungs) - 1
        for group in self._groups:
            told = self._told.get(group[0].id)
            if told and told.state != "complete":
                until |= {trial.id: told.step for trial in group}
            elif told is None and not last:
                until |= {trial.id: self._budget for trial in group}
        told_of = [(group, self._told.get(group[0].id)) for group in self._groups]
        return Decision(
            tuple(trial for group in self._groups for trial in group),
            until,
            {t.id: told.why for group, told in told_of if told and told.why for t in group},
            dict(self._told),
            len(self._told) == len(self._groups),
            self._rung,
        )


def replaced(members: int, quantile: float) -> int:
    """How many of a population are replaced at a rung: at least one, and at most half."""
    return max(1, min(int(members * quantile), members // 2))


def rungs_of(population: Population, budget: int) -> tuple[int, ...]:
    """The epochs of each rung, up to the whole budget."""
    every = population.every or max(1, budget // 5)
    return (*range(every, budget, every), budget)


def perturbable(space: Space) -> list[str]:
    """The parameters whose values can change alone: those of an axis or a distribution."""
    paired = {name for pair in space.paired for name in pair}
    return [n for n, p in space.leaves.items() if not isinstance(p, Fixed) and n not in paired]


def _values(group: Group) -> dict[str, Any]:
    return {name: value for name, value in flat(group[0].config).items() if name != "seed"}


def _neighbour(values: list[Any], value: Any, generator: random.Random) -> Any:
    """The value before or after, of numbers by their size; any other, if there is no order."""
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        values.sort()
        at = [same_key(v) for v in values].index(same_key(value))
        near = [n for n in (at - 1, at + 1) if 0 <= n < len(values)]
        return values[generator.choice(near)] if near else value
    others = [v for v in values if same_key(v) != same_key(value)]
    return generator.choice(others) if others else value

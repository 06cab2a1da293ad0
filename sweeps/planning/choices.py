"""A search space as Optuna has it: one distribution a parameter or pair, asked for in order."""

import itertools
import random
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sweeps.definition.draws import Flat
from sweeps.definition.parameters import MOST_LISTED, Fixed, same_key
from sweeps.definition.space import Space

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.distributions import BaseDistribution

Params = dict[str, Any]
"""What Optuna is told of a configuration: numbers, and the places of values in their lists."""


class Choices:
    """What there is to choose in a space.

    Attributes:
        kinds: Optuna's distribution of each choice, by the name of its parameter; those that change
            together are one, as ``lr+weight_decay``.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._fixed = {n: p.value for n, p in space.leaves.items() if isinstance(p, Fixed)}
        self._listed: dict[str, tuple[Flat, ...]] = {
            "+".join(axis.names): axis.points for axis in space.axes
        }
        for name, one in space.drawn.items():
            if one.kind == "choice":
                self._listed[name] = tuple({name: value} for value in one.arguments)
        self.kinds: dict[str, BaseDistribution] = {n: self._kind(n) for n in self._in_order()}

    def suggest(self, trial: "Trial") -> Flat:
        """Ask for one value after the other; for none that does not exist with those before."""
        params: Params = {}
        for name, kind in self.kinds.items():
            if self._exists(name, self.flat(params)):
                params[name] = _ask(trial, name, kind)
        return self.flat(params)

    def flat(self, params: Params) -> Flat:
        """The values that are meant, by dotted names, with those that are fixed."""
        values = dict(self._fixed)
        for name, value in params.items():
            if name in self._listed:
                values |= self._listed[name][value]
            else:
                values[name] = self._space.drawn[name].nearest(value)
        return values

    def params(self, flat: Flat) -> Params | None:
        """The other way round; ``None`` for a configuration that the space does not have."""
        found: Params = {}
        for name in self.kinds:
            own = {n: flat[n] for n in name.split("+") if n in flat}
            if not own:
                if self._exists(name, self.flat(found)):
                    return None
                continue
            if name in self._listed:
                keys = [same_key(point) for point in self._listed[name]]
                if same_key(own) not in keys:
                    return None
                found[name] = keys.index(same_key(own))
            elif self._space.drawn[name].has(flat[name]):
                found[name] = flat[name]
            else:
                return None
        again = self._space.finish(self.flat(found))
        return found if again is not None and same_key(again) == same_key(dict(flat)) else None

    def all_params(self) -> Iterator[Params]:
        """Every choice of a space that can be listed, in an order of no meaning."""
        lists: dict[str, list[Any]] = {}
        for name in self.kinds:
            values = self._space.drawn[name].values() if name in self._space.drawn else None
            places = range(len(self._listed[name])) if name in self._listed else values
            if places is None:
                return
            lists[name] = list(places)
            random.Random(name).shuffle(lists[name])  # noqa: S311  # nosec B311
        for point in itertools.islice(itertools.product(*lists.values()), MOST_LISTED):
            yield dict(zip(lists, point, strict=True))

    def _kind(self, name: str) -> "BaseDistribution":
        from optuna.distributions import (
            CategoricalDistribution,
            FloatDistribution,
            IntDistribution,
        )

        if name in self._listed:
            return CategoricalDistribution(range(len(self._listed[name])))
        one = self._space.drawn[name]
        low, high = one.arguments
        if one.is_whole:
            return IntDistribution(low, high, log=one.is_log, step=int(one.step or 1))
        if one.step and not one.is_log:
            return FloatDistribution(low, one.nearest(high), step=one.step)
        return FloatDistribution(low, high, log=one.is_log)

    def _in_order(self) -> list[str]:
        """All choices, in the order of the file, but after those on which they depend."""
        names = ["+".join(axis.names) for axis in self._space.axes]
        of_pair = {each: name for name in names for each in name.split("+")}
        waiting = list(dict.fromkeys(of_pair.get(n, n) for n in self._space.leaves))
        waiting = [
            name for name in waiting if name in of_pair.values() or name in self._space.drawn
        ]
        ordered: list[str] = []
        while waiting:
            free = [
                n
                for n in waiting
                if not self._needs(n) & {m for w in waiting for m in w.split("+")}
            ]
            ordered.append(free[0] if free else waiting[0])
            waiting.remove(ordered[-1])
        return ordered

    def _needs(self, name: str) -> set[str]:
        conditions = [self._space.when[n] for n in name.split("+") if n in self._space.when]
        return {need for condition in conditions for need in condition.wanted}

    def _exists(self, name: str, before: Mapping[str, Any]) -> bool:
        """Whether some parameter of a choice exists, with the values that are chosen already."""
        known = self._space.finish(before, excluding=False) or {}
        conditions = self._space.when
        return any(n not in conditions or conditions[n].holds(known) for n in name.split("+"))


def _ask(trial: "Trial", name: str, kind: "BaseDistribution") -> Any:
    """What the sampler suggests for one choice."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match kind:
        case CategoricalDistribution():
            return trial.suggest_categorical(name, kind.choices)
        case IntDistribution():
            return trial.suggest_int(name, kind.low, kind.high, step=kind.step, log=kind.log)
        case FloatDistribution():
            return trial.suggest_float(name, kind.low, kind.high, step=kind.step, log=kind.log)

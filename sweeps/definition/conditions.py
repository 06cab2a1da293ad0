"""Which points of a space make sense: what is excluded, and what exists only where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeps.definition.parameters import (
    Distribution,
    Fixed,
    Grid,
    Parameter,
    same_key,
    unknown_name,
)
from sweeps.errors import nearest, shown


@dataclass(frozen=True)
class Wanted:
    """What a parameter's value must be: one of some values, or within a range, ends included."""

    keys: frozenset[str] = frozenset()
    low: float | None = None
    high: float | None = None

    def __contains__(self, value: Any) -> bool:
        if self.low is None and self.high is None:
            return same_key(value) in self.keys
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


@dataclass(frozen=True)
class Condition:
    """Holds for a configuration all of whose named parameters are as wanted."""

    wanted: Mapping[str, Wanted]

    def holds(self, flat: Mapping[str, Any]) -> bool:
        return all(name in flat and flat[name] in one for name, one in self.wanted.items())


def read_condition(raw: Mapping[str, Any]) -> Condition:
    """A condition as a file has it: to each name a value, a list of values, or a range."""
    return Condition({name: _wanted(value) for name, value in raw.items()})


def condition_problems(
    where: str, raw: Any, parameters: Mapping[str, Parameter], extra: Mapping[str, Sequence[Any]]
) -> list[str]:
    """What is wrong with a condition.

    Args:
        extra: the values that listed configurations give to a parameter, by its name.
    """
    if not isinstance(raw, Mapping) or not raw:
        return [f"{where}: must be a mapping of parameters to values, got {shown(raw)}"]
    names = list(dict.fromkeys([*parameters, *extra]))
    problems = []
    for name, value in raw.items():
        if name not in names:
            problems.append(f"{where}.{name}: {unknown_name(name, names)}")
        elif problem := _value_problem(value, parameters.get(name), extra.get(name, ())):
            problems.append(f"{where}.{name}: {problem}")
    return problems


def _wanted(value: Any) -> Wanted:
    if isinstance(value, Mapping):
        return Wanted(low=value.get("min"), high=value.get("max"))
    values = value if isinstance(value, list) else [value]
    return Wanted(frozenset(same_key(one) for one in values))


def _value_problem(value: Any, parameter: Parameter | None, extra: Sequence[Any]) -> str | None:
    """Why a condition on a parameter can never hold, or is not one."""
    if isinstance(value, Mapping):
        ends = value.values()
        numbers = all(isinstance(e, int | float) and not isinstance(e, bool) for e in ends)
        if not value or not value.keys() <= {"min", "max"} or not numbers:
            return (
                "must be a value, a list of values or a range {min: …, max: …},"
                f" got {shown(dict(value))}"
            )
        return None
    possible = _possible(parameter, extra)
    if possible is None:
        return None
    known = {same_key(one): one for one in possible}
    for one in value if isinstance(value, list) else [value]:
        if same_key(one) not in known:
            listed = ", ".join(shown(each) for each in list(known.values())[:8])
            near = nearest(one, [str(v) for v in known.values()]) if isinstance(one, str) else ""
            return f"it never has the value {shown(one)}{near or f'; it has {listed}'}"
    return None


def _possible(parameter: Parameter | None, extra: Sequence[Any]) -> list[Any] | None:
    """All values that a parameter can have, ``None`` if they are too many."""
    match parameter:
        case Fixed(value):
            return [value, *extra]
        case Grid(values):
            return [*values, *extra]
        case Distribution():
            drawn = parameter.values()
            return None if drawn is None else [*drawn, *extra]
        case _:
            return [*extra]

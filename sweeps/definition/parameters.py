"""One entry of `parameters`: a fixed value, a grid axis, a distribution, or a group."""

import bisect
import itertools
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeps.definition.habits import flow, form_meant
from sweeps.errors import did_you_mean, nearest, shown

KINDS = ("uniform", "log_uniform", "int_uniform", "int_log_uniform", "choice")
OPTIONS = ("step", "weights")
MOST_LISTED = 100_000
"""A distribution of more values than this counts as one of endlessly many."""


@dataclass(frozen=True)
class Fixed:
    """A parameter with one value."""

    value: Any


@dataclass(frozen=True)
class Grid:
    """A parameter of which every value is tried."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Distribution:
    """A parameter that is drawn anew for every sample.

    Attributes:
        kind: one of ``KINDS``; those of whole numbers have both ends included.
        arguments: low and high, or the values to choose from.
        step: only ``low``, ``low + step``, … are drawn; of a ``log_uniform``, multiples of it.
        weights: how often each value of a ``choice`` is drawn, relative to the others.
    """

    kind: str
    arguments: tuple[Any, ...]
    step: float | None = None
    weights: tuple[float, ...] | None = None

    @property
    def is_log(self) -> bool:
        return "log" in self.kind

    @property
    def is_whole(self) -> bool:
        return self.kind.startswith("int")

    def draw(self, generator: random.Random) -> Any:
        if self.step or self.weights or self.kind == "int_log_uniform":
            return self.at(generator.random())
        if self.kind == "choice":
            return generator.choice(self.arguments)
        low, high = self.arguments
        if self.kind == "int_uniform":
            return generator.randint(low, high)
        if self.kind == "log_uniform":
            return math.exp(generator.uniform(math.log(low), math.log(high)))
        return generator.uniform(low, high)

    def at(self, part: float) -> Any:
        """The value below which this part of all draws lies; ``part`` is in [0, 1)."""
        if self.kind == "choice":
            weights = self.weights or (1.0,) * len(self.arguments)
            ends = list(itertools.accumulate(weights))
            return self.arguments[bisect.bisect(ends[:-1], part * ends[-1])]
        low, high = self.arguments
        if self.is_log:
            half = 0.5 if self.is_whole else 0.0
            bottom, top = math.log(low - half), math.log(high + half)
            return self.nearest(math.exp(bottom + part * (top - bottom)))
        if self.is_whole or self.step:
            return self._rung(min(int(part * self._count()), self._count() - 1))
        return low + part * (high - low)

    def nearest(self, value: float) -> Any:
        """The value of a range that is nearest to a number."""
        low, high = self.arguments
        if self.step:
            start = 0 if self.is_log else low  # a logarithm has no step of its own
            first = math.ceil((low - start) / self.step - 1e-9)
            last = math.floor((high - start) / self.step + 1e-9)
            number = min(max(round((value - start) / self.step), first), last)
            value = round(start + number * self.step, 12)
        value = min(max(value, low), high)
        return round(value) if self.is_whole else value

    def has(self, value: Any) -> bool:
        """Whether a value can be drawn."""
        if self.kind == "choice":
            return same_key(value) in map(same_key, self.arguments)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return math.isclose(self.nearest(value), value, rel_tol=1e-12)

    def values(self) -> tuple[Any, ...] | None:
        """All values there are, ``None`` if they are too many to be listed."""
        if self.kind == "choice":
            return self.arguments
        if not (self.is_whole or self.step) or self._count() > MOST_LISTED:
            return None
        if self.is_log and self.step:
            low, high = (round(end / self.step) for end in self.arguments)
            listed = (self.nearest(n * self.step) for n in range(low, high + 1))
            return tuple(dict.fromkeys(listed))
        return tuple(self._rung(n) for n in range(self._count()))

    def _count(self) -> int:
        low, high = self.arguments
        return int((high - low) / (self.step or 1) + 1e-9) + 1

    def _rung(self, number: int) -> Any:
        low, _ = self.arguments
        value = low + number * (self.step or 1)
        return round(value) if self.is_whole else round(value, 12)


@dataclass(frozen=True)
class Group:
    """Parameters under a common name, which the trainable gets as a mapping."""

    members: Mapping[str, "Parameter"]


Parameter = Fixed | Grid | Distribution | Group


class BadMembers(ValueError):
    """Several entries of a group are wrong.

    Attributes:
        problems: for each, its dotted name within the group and what is wrong.
    """

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {problem}" for name, problem in problems))
        self.problems = tuple(problems)


def parse_parameter(value: Any) -> Parameter:
    """Read one entry of ``parameters``; raises ``ValueError`` with the rule that it breaks."""
    if meant := form_meant(value):
        raise ValueError(meant)
    if isinstance(value, dict) and isinstance(value.get("when"), dict):
        condition = flow(value["when"])
        raise ValueError(f"when stands beside parameters, not within: when: {{NAME: {condition}}}")
    match value:
        case list():
            return Grid(distinct(value, "a grid axis"))
        case dict() if _is_group(value):
            return _parse_group(value)
        case dict():
            return _parse_distribution(value)
        case _:
            return Fixed(plain(value))


def leaves(parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """All parameters by their dotted names, in order; groups are opened."""
    found: dict[str, Parameter] = {}
    for name, parameter in parameters.items():
        if isinstance(parameter, Group):
            found |= {f"{name}.{key}": p for key, p in leaves(parameter.members).items()}
        else:
            found[name] = parameter
    return found


def paths(parameters: Mapping[str, Parameter]) -> dict[str, tuple[str, ...]]:
    """Where each parameter stands in a configuration, by its dotted name."""
    found: dict[str, tuple[str, ...]] = {}
    for name, parameter in parameters.items():
        if isinstance(parameter, Group):
            inside = paths(parameter.members)
            found |= {f"{name}.{key}": (name, *path) for key, path in inside.items()}
        else:
            found[name] = (name,)
    return found


def canonical(value: Any) -> Any:
    """The same for values that are equal: 1 and 1.0 are one learning rate."""
    if isinstance(value, Mapping):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def same_key(value: Any) -> str:
    """A text that is the same for equal values, and differs for all others."""
    return json.dumps(canonical(value), sort_keys=True)


def distinct(values: list[Any], what: str) -> tuple[Any, ...]:
    if not values:
        raise ValueError(f"{what} needs at least one value, got []")
    seen: list[str] = []
    for value in values:
        key = same_key(plain(value))
        if key in seen:
            raise ValueError(f"{what} needs distinct values, got {shown(value)} twice")
        seen.append(key)
    return tuple(values)


def plain(value: Any) -> Any:
    """Pass a value that JSON and TensorBoard can show; refuse any other."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"must be a finite number, got {value}")
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"must be a number, text, true, false or null, got {shown(value)}")


def _is_group(value: dict[Any, Any]) -> bool:
    """Whether a mapping names parameters, rather than a distribution or what is nearly one."""
    known = {*KINDS, *OPTIONS}
    if not value or known & value.keys():
        return False
    [first, *others] = value
    return bool(others) or not (nearest(str(first), KINDS) and isinstance(value[first], list))


def _parse_group(value: dict[str, Any]) -> Group:
    members: dict[str, Parameter] = {}
    problems: list[tuple[str, str]] = []
    for name, entry in value.items():
        try:
            members[str(name)] = parse_parameter(entry)
        except BadMembers as error:
            problems += [(f"{name}.{inner}", problem) for inner, problem in error.problems]
        except ValueError as error:
            problems.append((str(name), str(error)))
    if problems:
        raise BadMembers(problems)
    return Group(members)


def _parse_distribution(value: dict[str, Any]) -> Distribution:
    kinds = [key for key in value if key not in OPTIONS]
    if len(kinds) != 1:
        raise ValueError(
            f"a distribution has exactly one of the keys {_one_of(KINDS)}; got {shown(value)}"
        )
    [kind] = kinds
    if kind not in KINDS:
        near = nearest(str(kind), KINDS)
        raise ValueError(f"a distribution must be {_one_of(KINDS)}; got {shown(kind)}{near}")
    arguments, step, weights = value[kind], value.get("step"), value.get("weights")
    if "step" in value and kind == "choice":
        raise ValueError("step is for ranges of numbers; a choice has the values it lists")
    if "weights" in value and kind != "choice":
        raise ValueError(f"weights are for choice; {kind} has none")
    if kind == "choice":
        if not isinstance(arguments, list):
            raise ValueError(f"choice needs a list of values, got {shown(arguments)}")
        values = distinct(arguments, "choice")
        return Distribution(kind, values, weights=_weights(weights, len(values)))
    bounds = _bounds(kind, arguments)
    return Distribution(kind, bounds, step=_step(kind, bounds, step))


def _bounds(kind: str, arguments: Any) -> tuple[Any, Any]:
    whole = kind.startswith("int")
    wanted, numbers = ("whole numbers", int) if whole else ("numbers", (int, float))
    if not (
        isinstance(arguments, list)
        and len(arguments) == 2
        and all(isinstance(a, numbers) and not isinstance(a, bool) for a in arguments)
        and all(math.isfinite(a) for a in arguments)
    ):
        raise ValueError(f"{kind} needs two finite {wanted} [low, high], got {shown(arguments)}")
    low, high = arguments
    if not low < high:
        raise ValueError(f"{kind} needs low < high in [low, high], got {arguments}")
    if not math.isfinite(high - low):
        raise ValueError(f"{kind} needs high - low to be a finite number, got {arguments}")
    if "log" in kind and low <= 0:
        raise ValueError(f"{kind} needs low > 0 in [low, high], got {arguments}")
    return low, high


def _step(kind: str, bounds: tuple[Any, Any], step: Any) -> float | None:
    if step is None:
        return None
    low, high = bounds
    numbers = int if kind.startswith("int") else (int, float)
    if kind == "int_log_uniform":
        raise ValueError("step is for uniform, log_uniform and int_uniform; leave it out")
    if not isinstance(step, numbers) or isinstance(step, bool) or not 0 < step <= high - low:
        wanted = "a whole number" if numbers is int else "a number"
        raise ValueError(
            f"step must be {wanted} more than 0 and at most high - low = {high - low:g},"
            f" got {shown(step)}"
        )
    return step


def _weights(weights: Any, count: int) -> tuple[float, ...] | None:
    if weights is None:
        return None
    good = isinstance(weights, list) and all(
        isinstance(w, int | float) and not isinstance(w, bool) and 0 < w < math.inf for w in weights
    )
    if not good or len(weights) != count:
        raise ValueError(
            f"weights must be one number more than 0 for each of the {count} values,"
            f" got {shown(weights)}"
        )
    return tuple(weights)


def unknown_name(name: Any, names: Sequence[str]) -> str:
    """What to say of a name that is no parameter's."""
    return f"there is no parameter {shown(name)}{did_you_mean(str(name), names)}"


def _one_of(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"

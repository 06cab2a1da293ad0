"""The rules that bind several keys of a file: pairs, exclusions, conditions, listed points."""

from collections.abc import Mapping, Sequence
from typing import Any

from sweeps.definition.conditions import condition_problems
from sweeps.definition.parameters import (
    Distribution,
    Fixed,
    Grid,
    Parameter,
    leaves,
    plain,
    same_key,
    unknown_name,
)
from sweeps.errors import shown

Flat = dict[str, Any]


def pairs_of(raw: Sequence[Any]) -> list[Any]:
    """The pairs of ``zip``: one may be given as it is, several as a list of lists."""
    return [raw] if raw and all(isinstance(name, str) for name in raw) else list(raw)


def flat_point(raw: Mapping[str, Any]) -> Flat:
    """A listed configuration by dotted names."""
    found: Flat = {}
    for name, value in raw.items():
        inside = flat_point(value) if isinstance(value, Mapping) and value else None
        found |= {f"{name}.{key}": v for key, v in inside.items()} if inside else {name: value}
    return found


def seed_problems(parameters: Mapping[str, Parameter], points: Sequence[Flat]) -> list[str]:
    """A seed that is given must be one: generators take no others, and records list them sorted."""
    parameter = parameters.get("seed")
    values = [point["seed"] for point in points if "seed" in point]
    match parameter:
        case Fixed():
            values.append(parameter.value)
        case Grid():
            values += parameter.values
        case Distribution(kind="choice"):
            values += parameter.arguments
        case Distribution(kind="uniform" | "log_uniform"):
            return ["parameters.seed: must be a whole number; draw it by int_uniform"]
    wrong = [value for value in values if type(value) is not int]
    return [f"parameters.seed: must be a whole number, got {shown(wrong[0])}"] if wrong else []


def zip_problems(raw: Sequence[Any], parameters: Mapping[str, Parameter]) -> list[str]:
    problems: list[str] = []
    places: dict[str, int] = {}
    for number, pair in enumerate(pairs_of(raw)):
        where = "zip" if pair is raw else f"zip.{number}"
        if not isinstance(pair, list) or len(pair) < 2:
            problems.append(f"{where}: must be a list of two or more parameters, got {shown(pair)}")
            continue
        lengths: dict[str, int] = {}
        for name in pair:
            parameter = parameters.get(name) if isinstance(name, str) else None
            if parameter is None:
                problems.append(f"{where}: {unknown_name(name, list(parameters))}")
            elif not isinstance(parameter, Grid):
                kind = "a distribution" if isinstance(parameter, Distribution) else "one value"
                problems.append(f"{where}: {name} must be a list of values, and is {kind}")
            elif places.setdefault(name, number) != number or name in lengths:
                problems.append(f"{where}: {name} is paired twice")
            else:
                lengths[name] = len(parameter.values)
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name} has {count}" for name, count in lengths.items())
            problems.append(f"{where}: needs as many values of each, and {listed}")
    return problems


def exclude_problems(
    raw: Sequence[Any], parameters: Mapping[str, Parameter], listed: Sequence[Flat]
) -> list[str]:
    extra = _given(listed)
    return [
        problem
        for number, one in enumerate(raw)
        for problem in condition_problems(f"exclude.{number}", one, parameters, extra)
    ]


def when_problems(
    raw: Mapping[str, Any], parameters: Mapping[str, Parameter], listed: Sequence[Flat]
) -> list[str]:
    extra = _given(listed)
    names = list(dict.fromkeys([*parameters, *extra]))
    problems: list[str] = []
    for name, condition in raw.items():
        if not members(name, names):
            groups = {known.rpartition(".")[0] for known in names} - {""}
            problems.append(f"when.{name}: {unknown_name(name, [*names, *groups])}")
        problems += condition_problems(f"when.{name}", condition, parameters, extra)
    return problems or _circle(raw, names)


def members(name: str, names: Sequence[str]) -> list[str]:
    """The parameter of this name, or all of the group of this name."""
    return [each for each in names if each == name or each.startswith(f"{name}.")]


def listed_problems(raw: Sequence[Any], parameters: Mapping[str, Parameter]) -> list[str]:
    """What is wrong with ``configurations``."""
    problems: list[str] = []
    seen: dict[str, int] = {}
    for number, one in enumerate(raw):
        where = f"configurations.{number}"
        if not isinstance(one, Mapping) or not one:
            problems.append(f"{where}: must be a mapping of parameters to values, got {shown(one)}")
            continue
        for name, value in flat_point(one).items():
            if isinstance(parameters.get(name), Grid | Distribution):
                problems.append(
                    f"{where}.{name}: has values in parameters already; leave it out there"
                )
            try:
                plain(value)
            except ValueError as error:
                problems.append(f"{where}.{name}: {error}")
        key = same_key(flat_point(one)) if not problems else f"{number}"
        if (first := seen.setdefault(key, number)) != number:
            problems.append(f"{where}: is the same as configurations.{first}")
    return problems


def sampler_problems(file: Any) -> list[str]:
    """What a sampler cannot search."""
    problems = []
    for name, parameter in leaves(file.parameters).items():
        if isinstance(parameter, Distribution) and parameter.weights:
            problems.append(
                f"parameters.{name}: a sampler finds out by itself which values are good;"
                " leave weights out"
            )
    if file.samples > 1:
        problems.append(
            f"samples: must be 1 with a sampler, got {file.samples}; give search.trials"
        )
    if file.draws != "independent":
        problems.append(
            f"draws: is without a meaning for a sampler, got {file.draws}; leave it out"
        )
    if file.configurations:
        problems.append("configurations: a sampler suggests its own; leave them out")
    if all(isinstance(p, Fixed) for p in leaves(file.parameters).values()):
        problems.append("search: there is nothing to search, each parameter has one value")
    return problems


def _given(listed: Sequence[Flat]) -> dict[str, list[Any]]:
    """The values that listed configurations give, by name."""
    given: dict[str, list[Any]] = {}
    for point in listed:
        for name, value in point.items():
            given.setdefault(name, []).append(value)
    return given


def _circle(raw: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Whether a parameter's existence depends on itself."""
    needs: dict[str, set[str]] = {}
    for name, condition in raw.items():
        for member in members(name, names):
            needs.setdefault(member, set()).update(condition)
    for start in needs:
        reached: set[str] = set()
        front = set(needs[start])
        while front:
            reached |= front
            front = {n for each in front for n in needs.get(each, ())} - reached
        if start in reached:
            return [f"when.{start}: depends on itself"]
    return []

"""Pydantic's findings as lines for a person: where, the rule, the value received."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from sweeps.definition.parameters import BadMembers
from sweeps.errors import did_you_mean, nearest, shown

_WANTED = {
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "invalid_key": "a key must be text",
    "model_type": "must be a mapping",
    "string_type": "must be text",
}
_NUMBER = re.compile(r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?")


def describe(
    error: ValidationError, prefix: str = "", keys: Mapping[str, Iterable[str]] | None = None
) -> list[str]:
    """One line per finding.

    Args:
        error: what pydantic raised.
        prefix: put before each path, such as ``parameters.``.
        keys: the valid keys at a path (``""`` for the top), for suggestions.
    """
    return [
        line
        for finding in error.errors()
        for line in _members(dict(finding), prefix) or [_line(dict(finding), prefix, keys or {})]
    ]


def model_keys(model: type[BaseModel], path: str = "") -> dict[str, list[str]]:
    """The valid keys of a model and of the models inside it, by dotted path."""
    keys = {path: list(model.model_fields)}
    for name, field in model.model_fields.items():
        for kind in get_args(field.annotation) or (field.annotation,):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                keys |= model_keys(kind, f"{path}.{name}".lstrip("."))
    return keys


def _members(finding: dict[str, Any], prefix: str) -> list[str]:
    """The lines of a finding on several entries of one group of parameters."""
    error = finding.get("ctx", {}).get("error")
    if not isinstance(error, BadMembers):
        return []
    path = prefix + ".".join(str(part) for part in finding["loc"])
    return [f"{path}.{name}: {problem}" for name, problem in error.problems]


def _line(finding: dict[str, Any], prefix: str, keys: Mapping[str, Iterable[str]]) -> str:
    location = [str(part) for part in finding["loc"]]
    path = prefix + ".".join(location)
    received = shown(finding["input"])
    match finding["type"]:
        case "extra_forbidden":
            siblings = keys.get(".".join(location[:-1]), ())
            return f"{path}: unknown key{did_you_mean(location[-1], siblings)}"
        case "missing":
            return f"{path}: required, but missing"
        case "value_error":
            return f"{path}: {finding['ctx']['error']}"
        case "literal_error":
            expected = finding["ctx"]["expected"]
            near = nearest(str(finding["input"]), _choices(expected))
            return f"{path}: must be {expected}, got {received}{near}"
        case kind if kind in _WANTED:
            return f"{path}: {_WANTED[kind]}, got {received}{_quotes(kind, finding['input'])}"
        case _:
            return f"{path}: {_rule(finding['msg'])}, got {received}"


def _choices(expected: str) -> list[str]:
    return [part.strip(" '") for part in expected.replace(" or ", ",").split(",")]


def _quotes(kind: str, value: Any) -> str:
    """What to do about a number where text is wanted, or the other way round."""
    if kind == "string_type" and isinstance(value, int | float):
        return "; write it in quotes"
    if kind in ("float_type", "int_type") and isinstance(value, str) and _NUMBER.fullmatch(value):
        return "; write it without quotes"
    return ""


def _rule(message: str) -> str:
    """Pydantic's sentence as a rule: ``Input should be greater than or equal to 1``."""
    rule = re.sub(r"^\w+ should", "must", message)
    return rule.replace("greater than or equal to", "at least").replace(
        "less than or equal to", "at most"
    )

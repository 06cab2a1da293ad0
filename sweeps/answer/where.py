"""Conditions on trials, as people type them: ``lr=0.01``, ``status!=failed``, ``loss/test<0.5``."""

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeps.answer.rows import Row
from sweeps.definition import yaml12
from sweeps.definition.space import flat
from sweeps.errors import SweepsError, did_you_mean, shown

FIELDS = ("id", "seed", "status", "epochs", "seconds", "attempts", "where", "error")

_FORM = re.compile(r"(?P<name>[^=!<>]+)(?P<sign>==|!=|<=|>=|=|<|>)(?P<value>.*)", re.DOTALL)
_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Condition:
    """One condition: a name that trials have, a sign, and a value of the sweep file's types."""

    name: str
    sign: str
    value: Any

    @classmethod
    def parse(cls, text: str) -> "Condition":
        found = _FORM.fullmatch(text.strip())
        if not found:
            raise SweepsError(
                "--where: a condition must be NAME=VALUE, or with !=, <, <=, > or >=, such as"
                f" 'lr=0.01'; got {shown(text)}"
            )
        try:
            value = yaml12.load(found["value"])
        except yaml12.YamlError as error:
            raise SweepsError(f"--where: {shown(text)}: {yaml12.explain(error)}") from None
        name, sign = found["name"].strip(), found["sign"]
        if sign in _ORDERS and not _is_number(value):
            raise SweepsError(f"--where: {sign} needs a number, got {shown(value)}")
        return cls(name, sign, value)

    def holds(self, value: Any) -> bool:
        if order := _ORDERS.get(self.sign):
            return _is_number(value) and order(value, self.value)
        same = value == self.value and isinstance(value, bool) == isinstance(self.value, bool)
        return same if self.sign in ("=", "==") else not same


def matching(rows: Sequence[Row], conditions: Iterable[str]) -> list[Row]:
    """The rows that meet all conditions.

    Raises:
        SweepsError: a condition cannot be read, or names nothing that some row has.
    """
    parsed = [Condition.parse(text) for text in conditions]
    found = [named(row) for row in rows]
    known = {name for names in found for name in names}
    for condition in parsed:
        if rows and condition.name not in known:
            near = did_you_mean(condition.name, known)
            raise SweepsError(f"--where: no trial has {condition.name!r}{near}")
    return [
        row
        for row, names in zip(rows, found, strict=True)
        if all(condition.holds(names.get(condition.name)) for condition in parsed)
    ]


def of_outcomes(rows: Sequence[Row], conditions: Iterable[str]) -> list[str]:
    """The conditions on what came of trials, and not on parameters that all seeds share."""
    parameters = {name for row in rows for name in flat(row.config)} - {"seed"}
    return [text for text in conditions if Condition.parse(text).name not in parameters]


def named(row: Row) -> dict[str, Any]:
    """What can be asked of a row by name: its fields, then metrics, then parameters."""
    return {**{name: getattr(row, name) for name in FIELDS}, **row.metrics, **flat(row.config)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

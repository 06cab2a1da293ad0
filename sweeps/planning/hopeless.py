"""When a sweep is given up because every trial would fail: a pure function of those that have.

The first trials of a grid may fail because their values cannot go together, and the rest be fine. A
bug fails all of them: so it must have been seen on several values of every parameter.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SEVERAL = 4
"""Values of each parameter that must have failed, or all if it has fewer."""

MANY = 50
"""Trials whose failure is enough, whatever their values."""


def all_would_fail(
    failed: Sequence[Mapping[str, Any]], wanted: Iterable[Mapping[str, Any]]
) -> bool:
    """Whether no other configuration can be expected to fare better.

    Args:
        failed: the configurations that have failed, where none has got anywhere.
        wanted: all that are to be run.
    """
    if len(failed) < 2:
        return False
    return len(failed) >= MANY or all(
        len(_values(failed, name)) >= min(SEVERAL, len(values))
        for name, values in _all_values(wanted).items()
    )


def _all_values(configs: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for config in configs:
        for name, value in config.items():
            found.setdefault(name, set()).add(repr(value))
    return found


def _values(configs: Iterable[Mapping[str, Any]], name: str) -> set[str]:
    return {repr(config[name]) for config in configs if name in config}

"""Several sweeps side by side: the same configurations matched, and what the difference is.

"Did my change help?" is this on two runs: each configuration is compared seed by seed with itself
in the first sweep.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from scipy.special import stdtrit

from sweeps.answer.configurations import Configuration
from sweeps.answer.results import Results, read_results
from sweeps.answer.statistics.comparison import LEVEL
from sweeps.definition.space import flat
from sweeps.errors import SweepsError


@dataclass(frozen=True)
class Change:
    """What became of something from the first sweep to another, in the metric's units.

    Attributes:
        difference: the mean, positive where the value is larger.
        margin: half the width of its 95 % interval; ``None`` where there is no noise to judge by.
        pairs: over how many pairs of trials, or configurations.
    """

    difference: float
    margin: float | None
    pairs: int

    @property
    def is_clear(self) -> bool:
        return self.margin is not None and abs(self.difference) > self.margin


@dataclass(frozen=True)
class Match:
    """One configuration in every sweep that has it.

    Attributes:
        config: the parameters that some sweep varies, by dotted names.
        found: its standing in each sweep, ``None`` where it is not.
        changes: from the first sweep to each of the others; ``None`` where there is no pair.
    """

    config: Mapping[str, Any]
    found: Sequence[Configuration | None]
    changes: Sequence[Change | None]


@dataclass(frozen=True)
class SideBySide:
    """Sweeps compared.

    Attributes:
        names: of the sweeps, told apart.
        constants: what differs between the sweeps and not within them, a value for each.
        matches: the configurations, in the order of the first sweep, then of the others.
        overall: from the first sweep to each of the others, over all configurations of both.
    """

    metric: str
    mode: str
    names: Sequence[str]
    constants: Mapping[str, Sequence[Any]]
    matches: Sequence[Match]
    overall: Sequence[Change | None]


def compare_sweeps(directories: Sequence[str | os.PathLike[str]]) -> SideBySide:
    """Compare sweeps with the first of them.

    Raises:
        SweepsError: fewer than two are given, they have not the same metric or mode, or no
            configuration is in two of them.
    """
    if len(directories) < 2:
        raise SweepsError(f"compare needs at least two directories, got {len(directories)}")
    sweeps = [read_results(directory) for directory in directories]
    first = sweeps[0]
    for directory, other in zip(directories[1:], sweeps[1:], strict=True):
        if (other.metric, other.mode) != (first.metric, first.mode):
            raise SweepsError(
                f"sweeps must have one metric and mode to be compared: {directories[0]} has"
                f" {first.metric} ({first.mode}), {directory} has {other.metric} ({other.mode})"
            )
    names = _names([os.fspath(directory) for directory in directories], sweeps)
    matches = _matches(sweeps)
    overall = [_overall(matches, place) for place in range(1, len(sweeps))]
    if not any(overall):
        raise SweepsError(
            f"no configuration with a finished trial is in both {directories[0]} and another:"
            " nothing can be compared"
        )
    return SideBySide(first.metric, first.mode, names, _constants(sweeps), matches, overall)


def _names(directories: Sequence[str], sweeps: Sequence[Results]) -> list[str]:
    """By the sweeps' names, or where these are the same by their directories."""
    names = [results.name for results in sweeps]
    return names if len(set(names)) == len(names) else list(directories)


def _matches(sweeps: Sequence[Results]) -> list[Match]:
    """Configurations that agree in whatever some sweep varies."""
    swept = list(dict.fromkeys(name for results in sweeps for name in results.swept))
    by_key = [
        {tuple(repr(c.values.get(name)) for name in swept): c for c in results.standings}
        for results in sweeps
    ]
    keys = dict.fromkeys(key for found in by_key for key in found)
    rows = [[found.get(key) for found in by_key] for key in keys]
    columns = [
        judge([_differences(row[0], row[place]) for row in rows]) for place in range(1, len(sweeps))
    ]
    changes = zip(*columns, strict=True)
    return [
        Match({name: _first(row).values.get(name) for name in swept}, row, each)
        for row, each in zip(rows, changes, strict=True)
    ]


def _first(row: Sequence[Configuration | None]) -> Configuration:
    return next(one for one in row if one)


def judge(differences: Sequence[Sequence[float]]) -> list[Change | None]:
    """What became of each configuration, by its differences over seeds; judged for all at once.

    The noise is pooled, or a configuration's own where that is larger; Bonferroni's correction.
    """
    several = [each for each in differences if len(each) > 1]
    degrees = sum(len(each) - 1 for each in several)
    squares = sum(float(np.var(each)) * len(each) for each in several)
    pooled = np.sqrt(squares / degrees) if degrees else 0.0
    count = sum(map(bool, differences))
    quantile = float(stdtrit(degrees, 1 - LEVEL / 2 / count)) if degrees and count else 0.0
    found: list[Change | None] = []
    for each in differences:
        own = float(np.std(each, ddof=1)) if len(each) > 1 else 0.0
        margin = quantile * max(pooled, own) / np.sqrt(max(len(each), 1))
        found.append(Change(fmean(each), margin or None, len(each)) if each else None)
    return found


def _differences(first: Configuration | None, other: Configuration | None) -> list[float]:
    """Seed by seed."""
    if first is None or other is None:
        return []
    before, after = _by_seed(first), _by_seed(other)
    return [after[seed] - before[seed] for seed in before if seed in after]


def _overall(matches: Sequence[Match], place: int) -> Change | None:
    """Over the configurations of both: each counts once, as its seeds are no independent cases.

    Student's t for pairs.
    """
    changes = [change for match in matches if (change := match.changes[place - 1])]
    if len(changes) < 2:
        return next(iter(changes), None)
    differences = [change.difference for change in changes]
    error = float(np.std(differences, ddof=1)) / np.sqrt(len(differences))
    margin = float(stdtrit(len(differences) - 1, 1 - LEVEL / 2)) * error
    return Change(fmean(differences), margin or None, len(differences))


def _by_seed(one: Configuration) -> dict[Any, float]:
    return {row.seed: row.selected["value"] for row in one.counted if row.selected}


def _constants(sweeps: Sequence[Results]) -> dict[str, list[Any]]:
    """What is the same within each sweep and not between them."""
    swept = {name for results in sweeps for name in (*results.swept, "seed")}
    configs = [flat(results[0].config) if results else {} for results in sweeps]
    names = dict.fromkeys(name for config in configs for name in config if name not in swept)
    values = {name: [config.get(name) for config in configs] for name in names}
    return {name: found for name, found in values.items() if len(set(map(repr, found))) > 1}

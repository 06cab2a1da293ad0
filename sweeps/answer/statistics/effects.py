"""What changing one parameter does on average, and which two act together.

Parameters with a few values are factors of a linear model with the seeds as blocks, so that a
spread that other parameters cause does not hide what one does. In a grid the noise is what the
seeds leave; where other parameters are drawn, their part is noise too, and is taken from what the
model leaves between configurations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc, stdtrit

from sweeps.answer.statistics.comparison import LEVEL, critical_range
from sweeps.answer.statistics.noise import Array, pure_error


@dataclass(frozen=True)
class Effect:
    """What one parameter does to the metric, the others averaged over.

    Attributes:
        values: its levels, best first.
        means: the adjusted mean of each level.
        margins: half the width of the 95 % interval of each mean's distance to their average; NaN
            where there is no noise to judge by.
        difference: of the best level and the worst; positive, whichever way is better.
        margin: half the width of that difference's interval, for all pairs of levels at once.
        leads, pairs: in how many pairs of trials that differ in nothing else the best level is
            ahead of another, and of how many.
    """

    name: str
    values: tuple[Any, ...]
    means: tuple[float, ...]
    margins: tuple[float, ...]
    difference: float
    margin: float
    leads: int
    pairs: int

    @property
    def is_clear(self) -> bool:
        return self.difference > self.margin


@dataclass(frozen=True)
class Interaction:
    """How two parameters act together.

    Attributes:
        means: (levels of the first, levels of the second), NaN where nothing was run.
        chance: of so much interaction if there were none, corrected for all pairs looked at.
    """

    first: str
    second: str
    rows: tuple[Any, ...]
    columns: tuple[Any, ...]
    means: Array
    chance: float


class Factors:
    """The parameters of a sweep that have a few values each, and the values measured.

    Levels of which nothing was measured are none. A parameter that some configurations do not have
    is a factor within those that do, unless its absence is a level like any other.

    Args:
        levels: for each parameter, the value of every configuration.
        values: (configurations, seeds), NaN where there is none.
        crossed: whether configurations differ in nothing else.
    """

    def __init__(
        self, levels: Mapping[str, Sequence[Any]], values: Array, mode: str, *, crossed: bool
    ) -> None:
        self._sign = -1.0 if mode == "min" else 1.0
        if not crossed:  # seeds of one draw are no more than one draw
            with np.errstate(invalid="ignore"):
                values = _row_means(values)[:, None]
        self._table = values
        self._config, self._seed = np.nonzero(np.isfinite(values))
        self._y = values[self._config, self._seed]
        measured = np.unique(self._config)
        self._values = {name: _distinct([v[i] for i in measured]) for name, v in levels.items()}
        self._codes = {name: self._coded(name, column) for name, column in levels.items()}
        self._crossed = crossed
        for name in self.inseparable:
            if None in self._values[name]:
                self._values[name].remove(None)
                self._codes[name] = self._coded(name, levels[name])

    def effects(self) -> list[Effect]:
        """The effect of each parameter, the largest for its margin first."""
        blocks, design = self._blocks(), self._design()
        if len(self._y) < 2 or not blocks:
            return []
        unclear = self.inseparable
        inverse = np.linalg.pinv(design.T @ design)
        solution: Array = inverse @ design.T @ self._y
        sd, degrees = self._noise(design, solution)
        found, start = [], 1 + self._seed_blocks().shape[1]
        for name, block in blocks.items():
            part = slice(start, start := start + block.shape[1])
            if name not in unclear:
                found.append(self._effect(name, solution[part], inverse[part, part], sd, degrees))
        return sorted(found, key=lambda e: -e.difference / e.margin if e.margin else -np.inf)

    @property
    def inseparable(self) -> list[str]:
        """Parameters whose effect is also that of others, as they change together."""
        rank = int(np.linalg.matrix_rank(self._design()))
        found = []
        for name, block in self._blocks().items():
            others = int(np.linalg.matrix_rank(self._design(without=name)))
            if rank < others + block.shape[1]:
                found.append(name)
        return found

    def interactions(self) -> list[Interaction]:
        """Pairs of parameters by how surely they act together, the surest first."""
        names = [name for name in self._codes if self._varies(name)]
        pairs = list(combinations(names, 2))
        base = self._design()
        found = [self._interaction(base, *pair, count=len(pairs)) for pair in pairs]
        return sorted((each for each in found if each), key=lambda each: each.chance)

    def _varies(self, name: str) -> bool:
        return len(self._values[name]) > 1

    def _coded(self, name: str, column: Sequence[Any]) -> NDArray[np.int64]:
        """The level of each configuration; -1: it has none."""
        return np.array([_index(self._values[name], value) for value in column])

    def _blocks(self) -> dict[str, Array]:
        return {name: self._contrasts(name) for name in self._codes if self._varies(name)}

    def _design(self, without: str | None = None) -> Array:
        blocks = [block for name, block in self._blocks().items() if name != without]
        return np.column_stack([np.ones(len(self._y)), self._seed_blocks(), *blocks])

    def _contrasts(self, name: str) -> Array:
        """(values, levels - 1) sum coding: the effects of all levels add up to nothing."""
        codes, count = self._codes[name][self._config], len(self._values[name])
        coded = np.eye(count + 1)[codes, :count]  # a row of zeros where it has no level
        contrasts: Array = coded[:, :-1] - coded[:, -1:]
        return contrasts

    def _seed_blocks(self) -> Array:
        coded = np.eye(self._table.shape[1])[self._seed]
        blocks: Array = coded[:, :-1] - coded[:, -1:]
        return blocks

    def _noise(self, design: Array, solution: Array) -> tuple[float, int]:
        sd, degrees = pure_error(self._table)
        if self._crossed and degrees > 0:
            return sd, degrees
        degrees = len(self._y) - int(np.linalg.matrix_rank(design))
        squares = float(((self._y - design @ solution) ** 2).sum())
        return (np.sqrt(squares / degrees), degrees) if degrees > 0 else (np.nan, 0)

    def _effect(
        self, name: str, solution: Array, covariance: NDArray[Any], sd: float, degrees: int
    ) -> Effect:
        every = np.vstack([np.eye(len(solution)), -np.ones(len(solution))])
        offsets = every @ solution
        errors = sd * np.sqrt(np.einsum("ij,jk,ik->i", every, covariance, every))
        order = np.argsort(-self._sign * offsets, kind="stable")
        best, worst = order[0], order[-1]
        apart = every[best] - every[worst]
        error = sd * np.sqrt(apart @ covariance @ apart)
        critical = critical_range(len(every), degrees) if degrees else np.nan
        quantile = stdtrit(degrees, 1 - LEVEL / 2) if degrees else np.nan
        means = self._y.mean() + offsets
        leads, pairs = self._leads(name, int(best))
        return Effect(
            name,
            tuple(self._values[name][i] for i in order),
            tuple(float(means[i]) for i in order),
            tuple(float(errors[i] * quantile) for i in order),
            float(abs(offsets[best] - offsets[worst])),
            float(error * critical),
            leads,
            pairs,
        )

    def _leads(self, name: str, best: int) -> tuple[int, int]:
        """Pairs of values of one seed whose configurations differ in this parameter alone."""
        others = [codes for other, codes in self._codes.items() if other != name]
        place: dict[tuple[Any, ...], dict[int, float]] = {}
        for config, seed, value in zip(self._config, self._seed, self._y, strict=True):
            key = (seed, *(codes[config] for codes in others))
            place.setdefault(key, {})[int(self._codes[name][config])] = self._sign * value
        ahead = [
            group[best] > value
            for group in place.values()
            if best in group
            for level, value in group.items()
            if level != best
        ]
        return (int(sum(ahead)), len(ahead)) if self._crossed else (0, 0)

    def _interaction(self, base: Array, first: str, second: str, count: int) -> Interaction | None:
        """The F test of the pair's interaction beside the main effects, Bonferroni-corrected."""
        a, b = self._contrasts(first), self._contrasts(second)
        products = np.einsum("ij,ik->ijk", a, b).reshape(len(a), -1)
        full = np.column_stack([base, products])
        more = int(np.linalg.matrix_rank(full) - np.linalg.matrix_rank(base))
        if more < 1:
            return None
        sd, degrees = self._noise(full, np.linalg.lstsq(full, self._y)[0])
        if degrees < 1:
            return None
        gained = _squares(base, self._y) - _squares(full, self._y)
        chance = float(fdtrc(more, degrees, max(gained, 0.0) / more / max(sd**2, 1e-300)))
        rows, columns = self._values[first], self._values[second]
        means = np.full((len(rows), len(columns)), np.nan)
        row, column = self._codes[first][self._config], self._codes[second][self._config]
        for i, j in np.ndindex(means.shape):
            if (here := (row == i) & (column == j)).any():
                means[i, j] = self._y[here].mean()
        return Interaction(
            first, second, tuple(rows), tuple(columns), means, min(chance * count, 1.0)
        )


def _squares(design: Array, y: Array) -> float:
    return float(((y - design @ np.linalg.lstsq(design, y)[0]) ** 2).sum())


def _row_means(values: Array) -> Array:
    known = np.isfinite(values)
    counts = known.sum(axis=1)
    sums = np.where(known, values, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _distinct(values: Sequence[Any]) -> list[Any]:
    """In order of appearance; 1 and True are two."""
    found: list[Any] = []
    for value in values:
        if _index(found, value) < 0:
            found.append(value)
    return found


def _index(values: Sequence[Any], value: Any) -> int:
    same = (i for i, v in enumerate(values) if v == value and type(v) is type(value))
    return next(same, -1)

"""The trials of a sweep by configuration: one line for all seeds of one, and how sure it is."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from sweeps.answer.rows import Row
from sweeps.answer.statistics.comparison import Comparison, compare
from sweeps.definition.space import flat
from sweeps.records.record import Status

if TYPE_CHECKING:
    from sweeps.answer.statistics.noise import Array


@dataclass(frozen=True)
class Configuration:
    """One configuration with its trials, one a seed. The names of the fields are public.

    Attributes:
        config: the parameters, without the seed.
        trials: all of them, whatever became of them.
        n: how many count: those that finished with a finite value.
        mean, sd: of the values that count; ``None`` without one, or without a second.
        best_epochs: at which epoch each trial that counts had its best value.
        difference: its values less the leader's, on the mean over the seeds of both.
        margin: half the width of the 95 % interval of that difference, for all configurations at
            once; ``None`` where noise can't be judged.
        apart: whether it can be told apart from the leader; ``None`` where noise can't be judged.
    """

    config: Mapping[str, Any]
    trials: tuple[Row, ...]
    n: int
    mean: float | None
    sd: float | None
    best_epochs: tuple[int, ...]
    difference: float | None = None
    margin: float | None = None
    apart: bool | None = None

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """The parameters by dotted names, ``model.width`` for what is within ``model``."""
        return flat(self.config)

    @property
    def counted(self) -> tuple[Row, ...]:
        """The trials that count."""
        return tuple(row for row in self.trials if counts(row))

    def best_trial(self, mode: str) -> Row | None:
        """Of the trials that count, the one with the best value."""
        pick = min if mode == "min" else max
        return pick(self.counted, key=_value, default=None)

    def metric(self, name: str) -> float | None:
        """The mean of what its trials that count reported last."""
        found = [row.metrics[name] for row in self.counted if name in row.metrics]
        return fmean(found) if found else None

    def to_dict(self) -> dict[str, Any]:
        """As plain values; the trials by id."""
        fields = {name: getattr(self, name) for name in FIELDS}
        return {**fields, "trials": [row.id for row in self.trials]}


FIELDS = ("config", "n", "mean", "sd", "best_epochs", "difference", "margin", "apart")


class Standings(Sequence[Configuration]):
    """The configurations of a sweep, in the order of its file, compared with the best of them.

    Only trials that finished count.
    """

    def __init__(self, rows: Iterable[Row], mode: str) -> None:
        self.mode = mode
        groups: dict[str, list[Row]] = {}
        rows = list(rows)
        by_id = {row.id: row for row in rows}
        for row in rows:
            groups.setdefault(_key(row, by_id), []).append(row)
        self._groups = list(groups.values())

    @cached_property
    def seeds(self) -> list[Any]:
        """All seeds, in order of appearance."""
        return list(dict.fromkeys(row.seed for group in self._groups for row in group))

    @cached_property
    def values(self) -> "Array":
        """(configurations, seeds): the values that count; NaN where there is none."""
        column = {seed: i for i, seed in enumerate(self.seeds)}
        table = np.full((len(self._groups), len(self.seeds)), np.nan)
        for index, group in enumerate(self._groups):
            for row in group:
                if counts(row):
                    table[index, column[row.seed]] = _value(row)
        return table

    @cached_property
    def comparison(self) -> Comparison:
        return compare(self.values, self.mode)

    @cached_property
    def _configurations(self) -> tuple[Configuration, ...]:
        return tuple(self._describe(i) for i in range(len(self._groups)))

    def __len__(self) -> int:
        return len(self._groups)

    def __getitem__(self, index: Any) -> Any:
        return self._configurations[index]

    @property
    def leader(self) -> Configuration | None:
        """The configuration with the best mean; ``None`` if no trial counts."""
        leader = self.comparison.leader
        return None if leader is None else self._configurations[leader]

    @property
    def has_seeds(self) -> bool:
        """Whether some configuration has, or is to have, more than one trial."""
        return any(len(group) > 1 for group in self._groups)

    @property
    def ranked(self) -> list[Configuration]:
        """Best mean first; those without a value last."""
        sign = 1 if self.mode == "min" else -1
        return sorted(self, key=lambda c: (c.mean is None, sign * (c.mean or 0.0)))

    @property
    def rivals(self) -> list[Configuration]:
        """The others that can't be told apart from the leader, best first."""
        return [c for c in self.ranked if c is not self.leader and c.n and c.apart is False]

    def _describe(self, index: int) -> Configuration:
        group, found = self._groups[index], self.comparison
        config = {key: value for key, value in group[0].config.items() if key != "seed"}
        judged = found.noise is not None and np.isfinite(found.margins[index])
        epochs = tuple(int(row.best["epoch"]) for row in group if counts(row) and row.best)
        return Configuration(
            config=config,
            trials=tuple(group),
            n=int(found.runs[index]),
            mean=_known(found.means[index]),
            sd=_known(found.sds[index]),
            best_epochs=epochs,
            difference=_known(found.differences[index]),
            margin=_known(found.margins[index]),
            apart=bool(found.apart[index]) if judged else None,
        )


def counts(row: Row) -> bool:
    """Whether a trial is compared with others: it finished, with a finite value."""
    return row.status == Status.FINISHED and row.selected is not None


def _value(row: Row) -> float:
    return row.selected["value"] if row.selected else float("nan")


def _key(row: Row, by_id: Mapping[str, Row]) -> str:
    """The same for the seeds of a configuration: also of what they have gone on from."""
    rest = {key: value for key, value in row.config.items() if key != "seed"}
    key = json.dumps(rest, sort_keys=True, default=str)
    if row.origin is None:
        return key
    parent = by_id.get(row.origin["parent"])
    return f"{key} {row.origin['epoch']} {_key(parent, by_id) if parent else row.origin['parent']}"


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

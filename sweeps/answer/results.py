"""What came out: one row a trial, as a table, JSON, CSV or Parquet. Pure; no Ray, no torch."""

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.errors import SweepsError, did_you_mean
from sweeps.records.best import best_of
from sweeps.records.checkpoints import best_checkpoint
from sweeps.records.ledger import Ledger
from sweeps.records.record import Overview, Record, Status
from sweeps.storage.remote_ledger import open_ledger

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Row:
    """One trial's result. The names of the fields are public.

    Attributes:
        epochs: how many times the trial reported.
        metrics: what it reported last.
        best: the best value of the sweep's metric as ``value``, and its ``epoch`` from 1 on;
            ``None`` if there is no finite one.
        path: the trial's folder, relative to the sweep's directory.
        seconds: wall time of the reported epochs; in an array, those of the whole array.
        where: the host, and the GPU if it had one.
        checkpoint: of the best epoch, relative to the sweep's directory, if it is kept.
    """

    id: str
    config: Mapping[str, Any]
    seed: int
    status: str
    epochs: int
    metrics: Mapping[str, float]
    best: Mapping[str, float] | None
    path: str
    seconds: float
    attempts: int
    error: str | None
    where: str | None
    checkpoint: str | None


class Results(Sequence[Row]):
    """The rows of a sweep, in the order of its file."""

    def __init__(self, rows: Sequence[Row], overview: Overview) -> None:
        self._rows = tuple(rows)
        self.name, self.metric, self.mode = overview.name, overview.metric, overview.mode

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    @property
    def best(self) -> Row | None:
        """The trial with the best value of the sweep's metric, of those that came to no bad end."""
        lost = (Status.FAILED, Status.STOPPED)
        return next((row for row in self.sorted() if row.best and row.status not in lost), None)

    def count(self, *statuses: str) -> int:
        return sum(row.status in statuses for row in self._rows)

    def sorted(self, metric: str | None = None) -> list[Row]:
        """The rows, best first; those without a finite value come last.

        By the sweep's metric they are ranked by the best value that each reported; by another,
        by its last value, the largest first unless its name contains ``loss``.

        Raises:
            SweepsError: no trial reported this metric.
        """
        if metric is None or metric == self.metric:
            values = [row.best["value"] if row.best else math.nan for row in self]
            lower = self.mode == "min"
        else:
            reported = {name for row in self for name in row.metrics}
            if metric not in reported:
                raise SweepsError(f"no trial reported {metric!r}{did_you_mean(metric, reported)}")
            values = [row.metrics.get(metric, math.nan) for row in self]
            lower = "loss" in metric
        sign = 1 if lower else -1
        keys = [(not math.isfinite(v), sign * v if math.isfinite(v) else 0) for v in values]
        return [self._rows[i] for i in sorted(range(len(keys)), key=keys.__getitem__)]

    def to_dicts(self) -> list[dict[str, Any]]:
        """One plain mapping a trial; numbers that JSON lacks (NaN, infinities) become ``None``."""
        return [_finite(asdict(row)) for row in self._rows]

    def to_dataframe(self) -> "pd.DataFrame":
        """One line a trial; nested values as ``config.lr``, ``metrics.loss/test``, and so on."""
        import pandas as pd

        rows = [{**asdict(row), "best": row.best or {"value": None, "epoch": None}} for row in self]
        return pd.json_normalize(rows)

    def export(self, kind: str, rows: Sequence[Row] | None = None) -> bytes:
        """The results as ``json``, ``csv`` or ``parquet``."""
        chosen = self if rows is None else Results(rows, self._overview())
        if kind == "json":
            return json.dumps(chosen.to_dicts(), indent=2, allow_nan=False).encode() + b"\n"
        frame = chosen.to_dataframe()
        if kind == "csv":
            return bytes(frame.to_csv(index=False), "utf-8")
        for name in frame:  # Parquet wants one type a column
            kinds = {type(value) for value in frame[name].dropna()}
            if frame[name].dtype == object and (len(kinds) > 1 or kinds & {list, dict}):
                frame[name] = frame[name].map(json.dumps)
        return frame.to_parquet(index=False)

    def _overview(self) -> Overview:
        return Overview(self.name, self.metric, self.mode, {}, ())


def to_row(record: Record, overview: Overview, directory: Path) -> Row:
    """The result of one trial, as far as its budget goes: it may have trained for longer once."""
    limit = record.config.get(overview.budget) if overview.budget else None
    history = record.history[:limit] if isinstance(limit, int) else record.history
    best = best_checkpoint(directory / record.path)
    return Row(
        id=record.id,
        config=record.config,
        seed=record.config.get("seed", 0),
        status=str(record.status),
        epochs=len(history),
        metrics=history[-1].metrics if history else {},
        best=best_of([report.metrics for report in history], overview.metric, overview.mode),
        path=record.path,
        seconds=round(sum(report.seconds for report in history), 3),
        attempts=record.attempts,
        error=record.error,
        where=record.where,
        checkpoint=best.relative_to(directory).as_posix() if best else None,
    )


def with_loss(metric: str, names: Iterable[str]) -> list[str]:
    """The metric, and of these names the loss that belongs to it: that of the same split."""
    split = metric.partition("/")[2]
    losses = [name for name in names if name.startswith("loss") and name != metric]
    return [metric, *sorted(losses, key=lambda name: name.partition("/")[2] != split)[:1]]


def swept(configs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The parameters in which configurations differ, in their order."""
    configs = list(configs)
    names = dict.fromkeys(name for config in configs for name in config)
    return [name for name in names if len({repr(c.get(name)) for c in configs}) > 1]


def read_results(directory: str | os.PathLike[str], *, everything: bool = False) -> Results:
    """The results of the sweep in a directory, also while it runs.

    Args:
        directory: a path, or the URI of a folder on other storage.
        everything: also of trials that the sweep no longer asks for.

    Raises:
        DirectoryError: there is no sweep, or its records cannot be read.
    """
    return results_of(open_ledger(directory), everything=everything)


def results_of(ledger: Ledger, *, everything: bool = False) -> Results:
    """The results that a ledger holds now."""
    overview = ledger.overview()
    trials = [*overview.trials, *(ledger.unlisted(overview.trials) if everything else ())]
    records = ledger.records(trials)
    return Results([to_row(records[t.id], overview, ledger.directory) for t in trials], overview)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

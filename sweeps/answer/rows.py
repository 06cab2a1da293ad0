"""One trial's result, as a row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sweeps.definition.selection import Selection
from sweeps.definition.space import flat
from sweeps.records.best import best_of, selected
from sweeps.records.checkpoints import checkpoint_of
from sweeps.records.history import Report
from sweeps.records.record import Overview, Record


@dataclass(frozen=True)
class Row:
    """One trial's result. The names of the fields are public.

    Attributes:
        epochs: how many times the trial reported.
        metrics: the last value that it reported of each.
        best: the best value of the sweep's metric as ``value``, and its ``epoch`` from 1 on;
            ``None`` if there is no finite one.
        path: the trial's folder, relative to the sweep's directory.
        seconds: wall time of the reported epochs; in an array, those of the whole array.
        where: the host, and the GPU if it had one.
        checkpoint: of the best epoch, relative to the sweep's directory, if it is kept.
        origin: the ``parent`` trial that it has gone on from, and the ``epoch``; mostly ``None``.
        selected: the value that is compared with other trials', and its ``epoch``, by the sweep
            file's ``select``; ``None`` if it is not finite.
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
    selected: Mapping[str, float] | None
    origin: Mapping[str, Any] | None = None


def to_row(record: Record, overview: Overview, directory: Path) -> Row:
    """The result of one trial, as far as its budget goes: it may have trained for longer once."""
    history = history_of(record, overview)
    reports = [report.metrics for report in history]
    best = best_of(reports, overview.metric, overview.mode)
    kept = checkpoint_of(directory / record.path, record.history, best) if best else None
    return Row(
        id=record.id,
        config=record.config,
        seed=record.config.get("seed", 0),
        status=str(record.status),
        epochs=len(history),
        metrics={name: value for metrics in reports for name, value in metrics.items()},
        best=best,
        path=record.path,
        seconds=round(sum(report.seconds for report in history), 3),
        attempts=record.attempts,
        error=record.error,
        where=record.where,
        checkpoint=kept.relative_to(directory).as_posix() if kept else None,
        selected=selected(reports, overview.metric, overview.mode, selection_of(overview)),
        origin=asdict(record.origin) if record.origin else None,
    )


def history_of(record: Record, overview: Overview) -> Sequence[Report]:
    """A trial's reports, as far as its budget goes."""
    limit = record.config.get(overview.budget) if overview.budget else None
    return record.history[:limit] if isinstance(limit, int) else record.history


def selection_of(overview: Overview) -> Selection:
    """By which epoch the trials of a sweep are compared."""
    return Selection.parse(overview.sweep.get("select", "last"))


def with_loss(metric: str, names: Iterable[str]) -> list[str]:
    """The metric, and of these names the loss that belongs to it: that of the same split."""
    split = metric.partition("/")[2]
    losses = [name for name in names if name.startswith("loss") and name != metric]
    return [metric, *sorted(losses, key=lambda name: name.partition("/")[2] != split)[:1]]


def swept(configs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The parameters in which configurations differ, by dotted names, in their order."""
    configs = [flat(config) for config in configs]
    names = dict.fromkeys(name for config in configs for name in config)
    return [name for name in names if len({(name in c, repr(c.get(name))) for c in configs}) > 1]

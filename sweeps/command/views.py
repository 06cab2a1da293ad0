"""What `sweeps results` shows: trials, configurations or reports; as a table or a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Protocol

from sweeps.answer import export
from sweeps.answer.results import Results, Row, with_loss
from sweeps.command import tables
from sweeps.command.columns import Table

if TYPE_CHECKING:
    from sweeps.answer.configurations import Configuration


class View(Protocol):
    """One way to look at results."""

    def table(self) -> Table: ...

    def export(self, kind: str) -> bytes: ...


@dataclass(frozen=True)
class Trials:
    """One line a trial."""

    results: Results
    rows: Sequence[Row]

    def table(self) -> Table:
        return tables.results_table(self.results, self.rows)

    def export(self, kind: str) -> bytes:
        return self.results.export(kind, self.rows)


@dataclass(frozen=True)
class Configurations:
    """One line a configuration, over its seeds."""

    results: Results
    chosen: Sequence["Configuration"]

    def table(self) -> Table:
        reported = dict.fromkeys(name for row in self.results for name in row.metrics)
        metrics = with_loss(self.results.metric, reported)[1:]
        return tables.configurations_table(self.results, self.chosen, metrics)

    def export(self, kind: str) -> bytes:
        if kind == "json":
            return export.as_json([each.to_dict() for each in self.chosen])
        return export.write(export.configuration_table(self.chosen), kind)


@dataclass(frozen=True)
class History:
    """One line a report."""

    results: Results

    def table(self) -> Table:
        return tables.history_table(self.results)

    def export(self, kind: str) -> bytes:
        if kind == "json":
            return export.as_json(export.history_dicts(self.results))
        return export.write(export.history_table(self.results), kind)


def usual(results: Results) -> View:
    """Best first: one line a configuration if there are seeds, else one a trial."""
    if results.standings.has_seeds:
        return Configurations(results, results.standings.ranked)
    return Trials(results, results.sorted())


def of(
    results: Results, *, by_configuration: bool, history: bool, sort: str | None, top: int | None
) -> View:
    """The view that is asked for, in the order that is asked for.

    Raises:
        SweepsError: no trial has what it is to be sorted by.
    """
    if by_configuration:
        return Configurations(results, _ranked(results, sort)[:top])
    rows = results.sorted(sort) if sort or top else list(results)
    if history:
        return History(results.only(rows[:top]))
    return Trials(results, rows[:top])


def _ranked(results: Results, sort: str | None) -> list["Configuration"]:
    """By the mean over the seeds, of the place that each trial would have alone."""
    if sort is None or sort == results.metric:
        return results.standings.ranked
    place = {row.id: index for index, row in enumerate(results.sorted(sort))}
    return sorted(results.standings, key=lambda c: fmean(place[row.id] for row in c.trials))

"""What came out: one row a trial, and how the configurations stand. Pure; no Ray, no torch."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from sweeps.answer import export
from sweeps.answer.rows import Row, history_of, selection_of, swept, to_row, with_loss
from sweeps.answer.where import matching, named
from sweeps.errors import DirectoryError, SweepsError, did_you_mean, nearest
from sweeps.records.checkpoints import checkpoint_of
from sweeps.records.history import Report
from sweeps.records.ledger import Ledger
from sweeps.records.record import Overview, Status, damage_notes
from sweeps.storage.remote_ledger import open_ledger

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from sweeps.answer.configurations import Standings

__all__ = ["Results", "Row", "read_results", "results_of", "swept", "to_row", "with_loss"]


class Results(Sequence[Row]):
    """The trials of a sweep, in the order of its file; by number, slice or id.

    Attributes:
        name, metric, mode: the sweep's.
        directory: where it is, a path or URI.
        notes: what was found damaged, and what is shown in its place, in sentences.
        select: at which epoch a trial's value is compared with others'.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        overview: Overview,
        ledger: Ledger | None = None,
        histories: Mapping[str, Sequence[Report]] | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self._rows, self.notes = tuple(rows), tuple(notes)
        self._overview, self._ledger, self._histories = overview, ledger, histories or {}
        self.name, self.metric, self.mode = overview.name, overview.metric, overview.mode
        self.directory = ledger.where if ledger else None
        self.select = selection_of(overview)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    @overload
    def __getitem__(self, index: int | str) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> "Results": ...
    def __getitem__(self, index: int | str | slice) -> "Row | Results":
        if isinstance(index, slice):
            return self.only(self._rows[index])
        if isinstance(index, int):
            return self._rows[index]
        rows = {row.id: row for row in self._rows}
        if index not in rows:
            raise KeyError(f"there is no trial {index!r}{nearest(index, rows)}")
        return rows[index]

    def __repr__(self) -> str:
        from sweeps.answer.summary import best_line, summary

        best = best_line(self)
        return f"<Results of {self.name}: {summary(self)}{f'; {best}' if best else ''}>"

    def _repr_html_(self) -> str:
        from sweeps.answer.notebook import as_html

        return as_html(self)

    def asked(self, name: str) -> Any:
        """A parameter as the sweep's file has it, by its dotted name: axis, distribution, value."""
        found: Any = self._overview.sweep.get("parameters")
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return found

    @property
    def budget(self) -> str | None:
        """The parameter that says how long a trial trains, if it can be raised."""
        return self._overview.budget

    @cached_property
    def standings(self) -> "Standings":
        """The configurations, compared with the best of them."""
        from sweeps.answer.configurations import Standings  # imports NumPy

        return Standings(self, self.mode)

    @property
    def best(self) -> Row | None:
        """The best trial of the best configuration, by what is compared; ``None`` if none counts.

        Its value is the best of several seeds: what to expect is its configuration's mean,
        ``results.standings.leader``.
        """
        leader = self.standings.leader
        return leader.best_trial(self.mode) if leader else None

    @cached_property
    def swept(self) -> list[str]:
        """The parameters in which trials differ, but for the seed, whose effect is noise."""
        return [name for name in swept(row.config for row in self) if name != "seed"]

    def count(self, *statuses: str) -> int:
        return sum(row.status in statuses for row in self._rows)

    def only(self, rows: Sequence[Row]) -> "Results":
        """The results of some of these trials."""
        return Results(rows, self._overview, self._ledger, self._histories)

    def where(self, *conditions: str) -> "Results":
        """Those trials that meet all conditions, such as ``lr=0.01`` or ``loss/test<0.5``.

        Raises:
            SweepsError: a condition names nothing that trials have, or cannot be read.
        """
        return self.only(matching(self._rows, conditions))

    def sorted(self, by: str | None = None) -> list[Row]:
        """The rows, best first; those without a finite value come last.

        By the sweep's metric they are ranked by the value that is compared, those that have not
        finished after those that have; by another metric,
        parameter or field by its last value, the smallest first unless it is another metric, whose
        largest comes first if its name does not contain ``loss`` or ``error``.

        Raises:
            SweepsError: no trial has this.
        """
        if by is None or by == self.metric:
            keys = [row.selected["value"] if row.selected else math.nan for row in self]
            late = [row.status != Status.FINISHED for row in self]
            lower = self.mode == "min"
        else:
            found = [named(row) for row in self]
            known = {name for names in found for name in names}
            if by not in known:
                raise SweepsError(f"no trial reported {by!r}{did_you_mean(by, known)}")
            keys = [_number(names.get(by)) for names in found]
            late = [False] * len(keys)
            is_metric = any(by in row.metrics for row in self)
            lower = not is_metric or "loss" in by or "error" in by
        sign = 1 if lower else -1
        order = [
            (not math.isfinite(key), after, sign * key if math.isfinite(key) else 0.0)
            for key, after in zip(keys, late, strict=True)
        ]
        return [self._rows[i] for i in sorted(range(len(order)), key=order.__getitem__)]

    def reports(self, trial: Row | str) -> Sequence[Report]:
        """What a trial reported, epoch by epoch from 1 on."""
        return self._histories.get(trial if isinstance(trial, str) else trial.id, ())

    def checkpoint(self, trial: Row | str) -> Path:
        """The checkpoint of the epoch that is compared, on this machine, ready to be opened.

        If that was not kept, it is the checkpoint of the trial's best epoch.

        Raises:
            DirectoryError: none was kept.
        """
        row = self[trial] if isinstance(trial, str) else trial
        path = self.kept_checkpoint(row)
        if path is None or self._ledger is None:
            raise DirectoryError(f"no checkpoint of trial {row.id} was kept")
        self._ledger.bring(path)
        return self._ledger.directory / path

    def kept_checkpoint(self, row: Row) -> str | None:
        """The same, relative to the sweep's directory; ``None`` if none was kept."""
        return self.compared_checkpoint(row) or row.checkpoint

    def compared_checkpoint(self, row: Row) -> str | None:
        """The same, but of the epoch that is compared, and of no other."""
        if self._ledger is None or row.selected is None:
            return None
        folder = self._ledger.directory / row.path
        found = checkpoint_of(folder, self.reports(row), row.selected)
        return f"{row.path}/{found.relative_to(folder).as_posix()}" if found else None

    def to_dicts(self) -> list[dict[str, Any]]:
        """One plain mapping a trial; numbers that JSON lacks (NaN, infinities) become ``None``."""
        return [export.finite(asdict(row)) for row in self._rows]

    @overload
    def to_dataframe(self) -> "pd.DataFrame": ...
    @overload
    def to_dataframe(self, library: str) -> "pd.DataFrame | pl.DataFrame": ...
    def to_dataframe(self, library: str = "pandas") -> Any:
        """One line a trial, as a frame of ``pandas`` or ``polars``.

        Nested values have a column each: ``config.lr``, ``metrics.loss/test``, and so on.
        """
        return export.to_frame(export.trial_table(self), library)

    def history(self, library: str = "pandas") -> Any:
        """One line a report, of every trial, as a frame of ``pandas`` or ``polars``."""
        return export.to_frame(export.history_table(self), library)

    def export(self, kind: str, rows: Sequence[Row] | None = None) -> bytes:
        """The trials as ``json``, ``csv`` or ``parquet``."""
        chosen = self if rows is None else self.only(rows)
        if kind == "json":
            return export.as_json(chosen.to_dicts())
        return export.write(export.trial_table(chosen), kind)


def read_results(directory: str | os.PathLike[str], *, everything: bool = False) -> Results:
    """The results of the sweep in a directory, also while it runs.

    Args:
        directory: a path, or the URI of a folder on other storage.
        everything: also of trials that the sweep no longer asks for.

    Raises:
        DirectoryError: there is no sweep, or its records cannot be read.
    """
    return results_of(open_ledger(directory), everything=everything)


def results_of(ledger: Ledger, *, everything: bool = False, notes: Sequence[str] = ()) -> Results:
    """The results that a ledger holds now, with more notes if there are any."""
    overview = ledger.overview()
    trials = [*overview.trials, *(ledger.unlisted(overview.trials) if everything else ())]
    records = ledger.records(trials)
    histories = {key: history_of(record, overview) for key, record in records.items()}
    rows = [to_row(records[t.id], overview, ledger.directory) for t in trials]
    found = [*notes, *damage_notes(records.values())]
    return Results(rows, overview, ledger, histories, found)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan

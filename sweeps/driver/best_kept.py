"""Of which trials the best checkpoint is kept: the one rule of what is best, for retention."""

import bisect
import math
from pathlib import Path

from sweeps.definition.selection import Selection
from sweeps.records.best import selected, sort_key
from sweeps.records.checkpoints import drop_best
from sweeps.records.record import Overview, Record


class BestKept:
    """The finished trials whose best checkpoints are kept: the best ``count`` of the sweep."""

    def __init__(self, directory: Path, overview: Overview, count: int) -> None:
        self._directory, self._count = directory, count
        self._metric, self._mode = overview.metric, overview.mode
        self._selection = Selection.parse(overview.sweep.get("select", "last"))
        self._places = {trial.id: place for place, trial in enumerate(overview.trials)}
        self._ranked: list[tuple[float, int, str]] = []

    def add(self, record: Record) -> list[str]:
        """A trial has finished; the worst of those that are too many is dropped: its path."""
        reports = [report.metrics for report in record.history]
        found = selected(reports, self._metric, self._mode, self._selection)
        key = sort_key(found["value"] if found else math.nan, self._mode)
        bisect.insort(self._ranked, (key, self._places.get(record.id, 0), record.path))
        if len(self._ranked) <= self._count:
            return []
        *_, path = self._ranked.pop()
        drop_best(self._directory / path)
        return [path]

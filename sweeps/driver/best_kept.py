"""Of which trials the best checkpoint is kept: the one rule of what is best, for retention."""

import math
from collections.abc import Sequence
from pathlib import Path

from sweeps.definition.selection import Selection
from sweeps.definition.space import Trial
from sweeps.records.best import selected, sort_key
from sweeps.records.checkpoints import drop_best
from sweeps.records.record import Overview, Record


class BestKept:
    """The finished trials whose best checkpoints are kept: the best ``count`` of the sweep."""

    def __init__(self, directory: Path, overview: Overview, count: int) -> None:
        self._directory, self._count = directory, count
        self._metric, self._mode = overview.metric, overview.mode
        self._selection = Selection.parse(overview.sweep.get("select", "last"))
        self._places: dict[str, int] = {}
        self._kept: dict[str, tuple[float, str]] = {}
        self.expect(overview.trials)

    def expect(self, trials: Sequence[Trial]) -> None:
        """These are the sweep's now, in the order in which they win ties."""
        self._places = {trial.id: place for place, trial in enumerate(trials)}

    def add(self, record: Record) -> list[str]:
        """A trial has finished; the worst of those that are too many is dropped: its path."""
        reports = [report.metrics for report in record.history]
        found = selected(reports, self._metric, self._mode, self._selection)
        key = sort_key(found["value"] if found else math.nan, self._mode)
        self._kept[record.id] = key, record.path
        if len(self._kept) <= self._count:
            return []
        worst = max(self._kept, key=lambda id_: (self._kept[id_][0], self._places.get(id_, 0)))
        _, path = self._kept.pop(worst)
        drop_best(self._directory / path)
        return [path]

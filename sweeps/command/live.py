"""A sweep at a glance while it runs: what trains now, and the best so far."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group
from rich.text import Text

from sweeps.answer.results import with_loss
from sweeps.command.columns import Table
from sweeps.definition.space import cell
from sweeps.definition.text import numbers
from sweeps.records.record import Record, Status

STYLES = {
    Status.RUNNING: "cyan",
    Status.FINISHED: "green",
    Status.STOPPED: "green",
    Status.FAILED: "red",
    Status.INTERRUPTED: "yellow",
    Status.PENDING: "dim",
}
FRAME = 7
"""Lines of a screen that are no trials."""


@dataclass(frozen=True)
class Glance:
    """How the trials of a sweep are shown at a glance.

    Attributes:
        names: of the swept parameters.
    """

    names: Sequence[str]
    metric: str
    mode: str

    def draw(
        self,
        records: Collection[Record],
        best: Mapping[str, Mapping[str, float]],
        last_line: str,
        size: tuple[int, int],
    ) -> Group:
        """Two lists of one table, as long as a screen has room: those that run, and the best.

        Args:
            best: the best value of each trial that has one, by id, and its ``epoch``.
            size: width and height of the screen.
        """
        width, height = size
        room = max(4, height - FRAME)
        running = [record for record in records if record.status is Status.RUNNING]
        ranked = self._ranked(records, best)
        few = min(len(ranked), max(3, room - len(running)))
        now, top = running[: room - few], ranked[:few]
        lines, _ = self._table([*now, *top], best).fit(width)
        texts = [Text(line) for line in lines]
        for text, record in zip(texts[1:], [*now, *top], strict=True):
            text.highlight_words([str(record.status)], STYLES[record.status])
        texts[0].stylize("bold")
        hidden = len(running) - len(now)
        more = [Text(f"... and {hidden} more that run", style="dim")] if hidden else []
        head = [Text(f"\nbest {self.metric} so far", style="bold")] if top else []
        split = len(now) + 1
        return Group(*texts[:split], *more, *head, *texts[split:], Text(f"\n{last_line}"))

    def _ranked(
        self, records: Collection[Record], best: Mapping[str, Mapping[str, float]]
    ) -> list[Record]:
        sign = 1 if self.mode == "min" else -1
        lost = (Status.FAILED, Status.STOPPED)
        known = [record for record in records if record.id in best and record.status not in lost]
        return sorted(known, key=lambda record: sign * best[record.id]["value"])

    def _table(self, rows: Sequence[Record], best: Mapping[str, Mapping[str, float]]) -> Table:
        table = Table()
        table.add("trial", [record.id for record in rows])
        for name in self.names:
            table.add(name, [cell(record.config, name) for record in rows])
        table.add("status", [record.status for record in rows], 1)
        table.add("epoch", [epochs(record) for record in rows], 2, right=True)
        last = [record.history[-1].metrics if record.history else {} for record in rows]
        shown = with_loss(self.metric, dict.fromkeys(name for each in last for name in each))
        for name, rank in zip(shown, (0, 7), strict=False):
            table.add(name, numbers([each.get(name) for each in last]), rank, right=True)
        values = [best.get(record.id, {}) for record in rows]
        texts = numbers([each.get("value") for each in values])
        found = [
            f"{text} at {v['epoch']}" if v else "" for text, v in zip(texts, values, strict=True)
        ]
        table.add("best", found, 3, right=True)
        if any("images_per_second" in each for each in last):
            speeds = [each.get("images_per_second") for each in last]
            texts = ["" if speed is None else f"{speed:,.0f}" for speed in speeds]
            table.add("images/s", texts, 8, right=True)
        table.add("where", [record.where or "" for record in rows], 9)
        return table


def epochs(record: Record) -> str:
    """``3/5``, or ``3`` where the configuration does not say how many there will be."""
    total = record.config.get("epochs")
    return f"{len(record.history)}/{total}" if isinstance(total, int) else str(len(record.history))

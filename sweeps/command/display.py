"""What a person sees while a sweep runs: a live table on a terminal, a line per event elsewhere."""

import time
from collections import Counter
from collections.abc import Mapping

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sweeps.answer.results import swept, with_loss
from sweeps.definition.space import cell
from sweeps.definition.text import number
from sweeps.driver.progress import Progress
from sweeps.records.record import Record, Status

_STYLES = {
    Status.RUNNING: "cyan",
    Status.FINISHED: "green",
    Status.STOPPED: "green",
    Status.FAILED: "red",
    Status.INTERRUPTED: "yellow",
    Status.PENDING: "dim",
}
_ORDER = [Status.RUNNING, Status.FAILED, Status.INTERRUPTED, Status.PENDING]


def progress_for(console: Console, metric: str) -> Progress:
    """The display that suits where the output goes."""
    return LiveTable(console, metric) if console.is_terminal else Lines(console, metric)


class Tally:
    """How far a sweep is, and how long it may still take; kept up as trials change."""

    def __init__(self, records: Mapping[str, Record]) -> None:
        self._known = {key: (r.status, fraction(r)) for key, r in records.items()}
        self._statuses = Counter(status for status, _ in self._known.values())
        self._before = self._done = sum(done for _, done in self._known.values())
        self._started = time.monotonic()

    def note(self, record: Record) -> None:
        """A trial has changed."""
        before, done_before = self._known[record.id]
        status, done = self._known[record.id] = record.status, fraction(record)
        self._statuses[before] -= 1
        self._statuses[status] += 1
        self._done += done - done_before

    def __str__(self) -> str:
        names = {
            "done": (Status.FINISHED, Status.STOPPED),
            "running": (Status.RUNNING,),
            "waiting": (Status.PENDING, Status.INTERRUPTED),
            "failed": (Status.FAILED,),
        }
        counts = [f"{sum(self._statuses[s] for s in each)} {name}" for name, each in names.items()]
        elapsed = time.monotonic() - self._started
        parts = [*counts, f"{clock(elapsed)} elapsed"]
        left = self._left(elapsed)
        return "  ".join([*parts, f"about {clock(left)} left"] if round(left) else parts)

    def _left(self, elapsed: float) -> float:
        """Seconds; 0 also as long as nothing is done to judge by."""
        done = self._done - self._before
        return elapsed * (len(self._known) - self._done) / done if done > 1e-6 else 0.0


class Shown(Progress):
    """What both displays know of the sweep."""

    def __init__(self, console: Console, metric: str) -> None:
        self._console = console
        self._metric = metric

    def begin(self, records: Mapping[str, Record]) -> None:
        self._records = records
        self._tally = Tally(records)
        self._swept = swept(r.config for r in records.values())

    def _note(self, record: Record) -> None:
        self._tally.note(record)

    started = reported = retrying = moved = ended = _note


class Lines(Shown):
    """One plain line per event, for pipes and logs."""

    def started(self, record: Record) -> None:
        super().started(record)
        again = f" (attempt {record.attempts})" if record.attempts > 1 else ""
        epoch = f" after epoch {len(record.history)}" if record.history else ""
        values = "  ".join(f"{n}={v}" for n in self._swept if (v := cell(record.config, n)))
        self._say(record, "started", f"{values}{epoch}{again}")

    def reported(self, record: Record) -> None:
        super().reported(record)
        shown = columns(record, self._metric)
        self._say(record, f"epoch {epochs(record)}", "  ".join(f"{k} {v}" for k, v in shown))

    def retrying(self, record: Record) -> None:
        super().retrying(record)
        self._say(record, "failed", f"{record.error}; it is tried again")

    def moved(self, record: Record) -> None:
        super().moved(record)
        self._say(record, str(record.status), "its node was taken back; it goes on elsewhere")

    def ended(self, record: Record) -> None:
        super().ended(record)
        what = record.error if record.status is Status.FAILED else f"{record.seconds:.1f} s"
        self._say(record, str(record.status), f"{what}   [{self._tally}]")

    def _say(self, record: Record, event: str, detail: str) -> None:
        self._console.print(f"{record.id}  {event:<12}{detail}", soft_wrap=True)


class LiveTable(Shown):
    """A table that is redrawn in place; rows that do not fit the screen are counted."""

    def begin(self, records: Mapping[str, Record]) -> None:
        super().begin(records)
        self._live = Live(
            console=self._console, get_renderable=self._draw, refresh_per_second=4, transient=True
        )
        self._live.start()

    def retrying(self, record: Record) -> None:
        super().retrying(record)
        self._console.print(f"{record.id}  {record.error}; it is tried again", style="yellow")

    def ended(self, record: Record) -> None:
        super().ended(record)
        if record.status is Status.FAILED:
            self._console.print(f"{record.id}  failed: {record.error}", style="red")

    def end(self) -> None:
        self._live.stop()

    def _draw(self) -> Group:
        records = list(self._records.values())
        room = max(4, self._console.height - 5)
        hidden = 0
        if len(records) > room:
            ranked = sorted(records, key=lambda r: _rank(r.status))[:room]
            hidden = len(records) - room
            kept = {record.id for record in ranked}
            records = [record for record in records if record.id in kept]
        example = max(records, key=lambda r: len(r.history))
        names = [name for name, _ in columns(example, self._metric)] or [self._metric]
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("trial", *self._swept):
            table.add_column(name, no_wrap=True)
        table.add_column("status", no_wrap=True)
        for name in ("epoch", *names):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("where", no_wrap=True, overflow="ellipsis")
        for record in records:
            shown = dict(columns(record, self._metric))
            table.add_row(
                record.id,
                *(cell(record.config, name) for name in self._swept),
                Text(record.status, style=_STYLES[record.status]),
                epochs(record),
                *(shown.get(name, "") for name in names),
                record.where or "",
            )
        more = [Text(f"... and {hidden} more trials", style="dim")] if hidden else []
        return Group(table, *more, Text(""), Text(str(self._tally)))


def _rank(status: Status) -> int:
    return _ORDER.index(status) if status in _ORDER else len(_ORDER)


def epochs(record: Record) -> str:
    """``3/5``, or ``3`` where the configuration does not say how many there will be."""
    total = record.config.get("epochs")
    return f"{len(record.history)}/{total}" if isinstance(total, int) else str(len(record.history))


def fraction(record: Record) -> float:
    """How much of a trial is done, from 0 to 1."""
    if record.status in (Status.FINISHED, Status.STOPPED, Status.FAILED):
        return 1.0
    total = record.config.get("epochs")
    return min(1.0, len(record.history) / total) if isinstance(total, int) and total > 0 else 0.0


def columns(record: Record, metric: str) -> list[tuple[str, str]]:
    """The sweep's metric, a loss of the same split if there is one, and the speed, as text."""
    if not record.history:
        return []
    metrics = record.history[-1].metrics
    names = with_loss(metric, metrics)
    shown = [(name, number(metrics[name])) for name in names if name in metrics]
    if "images_per_second" in metrics:
        shown.append(("images/s", f"{metrics['images_per_second']:,.0f}"))
    return shown


def clock(seconds: float) -> str:
    """Seconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

"""What a person sees while a sweep runs: a live table on a terminal, a line per event elsewhere."""

import time
from collections import Counter
from collections.abc import Mapping

from rich.console import Console, Group
from rich.live import Live

from sweeps.answer.results import swept, with_loss
from sweeps.command.live import Glance, epochs
from sweeps.definition.space import cell
from sweeps.definition.text import number, one_line
from sweeps.driver.progress import Progress
from sweeps.records.best import best_of
from sweeps.records.record import Record, Status

FREELY = 20
"""Lines on a trial's epochs in a pipe, after which it has at most one a second."""


def progress_for(console: Console, metric: str, mode: str, *, verbose: bool = False) -> Progress:
    """The display that suits where the output goes.

    Args:
        verbose: a line for every report, on a terminal too.
    """
    if console.is_terminal and not verbose:
        return LiveTable(console, metric, mode)
    return Lines(console, metric, every=verbose)


class Tally:
    """How far a sweep is, and how long it may still take; kept up as trials change.

    Args:
        since: when the run has begun, on the monotonic clock; now, if not given.
    """

    def __init__(self, records: Mapping[str, Record], since: float | None = None) -> None:
        self._known = {key: (r.status, fraction(r)) for key, r in records.items()}
        self._statuses = Counter(status for status, _ in self._known.values())
        self._before = self._done = sum(done for _, done in self._known.values())
        self._counted = time.monotonic()
        self.since = self._counted if since is None else since

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
        now = time.monotonic()
        parts = [*counts, f"{clock(now - self.since)} elapsed"]
        left = self._left(now - self._counted)
        return "  ".join([*parts, f"about {clock(left)} left"] if round(left) else parts)

    def _left(self, elapsed: float) -> float:
        """Seconds, by what was done in so many; 0 also as long as nothing is done to judge by."""
        done = self._done - self._before
        return elapsed * (len(self._known) - self._done) / done if done > 1e-6 else 0.0


class Shown(Progress):
    """What both displays know of the sweep."""

    def __init__(self, console: Console, metric: str) -> None:
        self._console = console
        self._metric = metric
        self._since: float | None = None

    def begin(self, records: Mapping[str, Record]) -> None:
        self._records = records
        self._tally = Tally(records, self._since)
        self._since = self._tally.since
        self._swept = swept(r.config for r in records.values())

    def _note(self, record: Record) -> None:
        self._tally.note(record)

    goes_on = started = reported = retrying = moved = ended = _note


class Lines(Shown):
    """One plain line per event, for pipes and logs."""

    def __init__(self, console: Console, metric: str, *, every: bool = False) -> None:
        super().__init__(console, metric)
        self._every = every
        self._told: dict[str, tuple[int, float]] = {}

    def started(self, record: Record) -> None:
        super().started(record)
        again = f" (attempt {record.attempts})" if record.attempts > 1 else ""
        epoch = f" after epoch {len(record.history)}" if record.history else ""
        values = "  ".join(
            f"{one_line(n)}={v}" for n in self._swept if (v := cell(record.config, n))
        )
        self._say(record, "started", f"{values}{epoch}{again}")

    def reported(self, record: Record) -> None:
        super().reported(record)
        now, (count, due) = time.monotonic(), self._told.get(record.id, (0, 0.0))
        if count >= FREELY and now < due and not self._every:
            return
        self._told[record.id] = count + 1, now + 1
        shown = columns(record, self._metric)
        told = "  ".join(f"{one_line(name)} {text}" for name, text in shown)
        self._say(record, f"epoch {epochs(record)}", told)

    def noted(self, record: Record, text: str) -> None:
        self._say(record, "note", text)

    def retrying(self, record: Record) -> None:
        super().retrying(record)
        self._say(record, "failed", f"{record.error}; it is tried again")

    def moved(self, record: Record) -> None:
        super().moved(record)
        self._say(record, str(record.status), "its node was taken back; it goes on elsewhere")

    def ended(self, record: Record) -> None:
        super().ended(record)
        what = f"{record.seconds:.1f} s"
        if record.error and record.status in (Status.FAILED, Status.STOPPED):
            what = record.error
        elif record.until is not None:
            what = f"at epoch {len(record.history)}, {what}"
        self._say(record, str(record.status), f"{what}   [{self._tally}]")

    def _say(self, record: Record, event: str, detail: str) -> None:
        self._console.print(f"{record.id}  {event:<12}{detail}")


class LiveTable(Shown):
    """What runs and the best so far, redrawn in place; what has failed stays above it."""

    def __init__(self, console: Console, metric: str, mode: str) -> None:
        super().__init__(console, metric)
        self._mode = mode
        self._best: dict[str, dict[str, float]] = {}

    def begin(self, records: Mapping[str, Record]) -> None:
        super().begin(records)
        self._glance = Glance(self._swept, self._metric, self._mode)
        for record in records.values():
            self._weigh(record)
        self._live = Live(
            console=self._console, get_renderable=self._draw, refresh_per_second=4, transient=True
        )
        self._live.start()

    def reported(self, record: Record) -> None:
        super().reported(record)
        self._weigh(record)

    def noted(self, record: Record, text: str) -> None:
        self._console.print(f"{record.id}  note: {text}", style="yellow")

    def retrying(self, record: Record) -> None:
        super().retrying(record)
        self._console.print(f"{record.id}  {record.error}; it is tried again", style="yellow")

    def ended(self, record: Record) -> None:
        super().ended(record)
        if record.status is Status.FAILED:
            self._console.print(f"{record.id}  failed: {record.error}", style="red")

    def end(self) -> None:
        self._live.stop()

    def _weigh(self, record: Record) -> None:
        """Keep a trial's best value; of a history that only grows, each report is seen once."""
        known = self._best.get(record.id)
        new = record.history[-1:] if known else record.history
        found = best_of([report.metrics for report in new], self._metric, self._mode)
        if found and known:
            found["epoch"] = len(record.history)
            better = min if self._mode == "min" else max
            found = better(known, found, key=lambda each: each["value"])
        if found:
            self._best[record.id] = found

    def _draw(self) -> Group:
        size = self._console.width, self._console.height
        records = list(self._records.values())
        return self._glance.draw(records, self._best, str(self._tally), size)


def fraction(record: Record) -> float:
    """How much of a trial is done, from 0 to 1."""
    if record.status in (Status.FINISHED, Status.STOPPED, Status.FAILED):
        return 1.0
    total = record.until or record.config.get("epochs")
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

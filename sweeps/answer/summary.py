"""What came out, in a line: how many trials stand where, and which is best."""

from sweeps.answer.results import Results, swept
from sweeps.definition.space import format_value
from sweeps.records.record import Status


def summary(results: Results) -> str:
    """``12 trials: 11 finished, 1 failed``."""
    counts = [(status, results.count(status)) for status in Status]
    detail = ", ".join(f"{count} {status}" for status, count in counts if count)
    return f"{len(results)} {'trial' if len(results) == 1 else 'trials'}: {detail}"


def best_line(results: Results) -> str | None:
    """The best trial in one line, or ``None`` if nothing was reported."""
    best = results.best
    if best is None or best.best is None:
        return None
    names = swept(row.config for row in results)
    values = " ".join(f"{name}={format_value(best.config.get(name))}" for name in names)
    value, epoch = number(best.best["value"]), best.best["epoch"]
    return f"best: {best.id} {values} with {results.metric} {value} at epoch {epoch}"


def number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if abs(value) >= 0.001 or value == 0 else f"{value:.3g}"

"""What is best: which of a trial's reports is, and which is compared with other trials'."""

import math
from collections.abc import Mapping, Sequence

from sweeps.definition.selection import Selection


def sort_key(value: float, mode: str) -> float:
    """To sort values by, best first; what is not finite is infinitely bad.

    Of equal ones, the earlier epoch is better, and the trial that stands first in the sweep file.
    """
    if not math.isfinite(value):
        return math.inf
    return value if mode == "min" else -value


def best_of(
    reports: Sequence[Mapping[str, float]], metric: str, mode: str
) -> dict[str, float] | None:
    """The best finite value of a metric over the reports, and its epoch from 1 on."""
    pick = min if mode == "min" else max
    values = [
        (metrics[metric], epoch)
        for epoch, metrics in enumerate(reports, start=1)
        if metric in metrics and math.isfinite(metrics[metric])
    ]
    if not values:
        return None
    value, epoch = pick(values, key=lambda pair: pair[0])
    return {"value": value, "epoch": epoch}


def selected(
    reports: Sequence[Mapping[str, float]], metric: str, mode: str, selection: Selection
) -> dict[str, float] | None:
    """The value of a metric that counts, and its epoch from 1 on; ``None`` if it is not finite."""
    if selection.rule == "best":
        return best_of(reports, metric, mode)
    if selection.metric is None:
        epochs = [epoch for epoch, metrics in enumerate(reports, start=1) if metric in metrics]
        epoch = epochs[-1] if epochs else 0
    else:
        both = [metrics if metric in metrics else {} for metrics in reports]
        chosen = best_of(both, selection.metric, selection.rule)
        epoch = int(chosen["epoch"]) if chosen else 0
    value = reports[epoch - 1][metric] if epoch else math.nan
    return {"value": value, "epoch": epoch} if math.isfinite(value) else None

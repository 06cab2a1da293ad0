"""Which of a trial's reports is its best."""

import math
from collections.abc import Mapping, Sequence


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

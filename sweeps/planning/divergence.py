"""When a trial comes to nothing, by what it has reported: its loss, or no metric. Pure.

The sweep's own metric and the training loss count, as long as they stay so: a validation that was
not made this time is often reported as NaN, and the best loss so far begins as infinite.
"""

import math
from collections.abc import Mapping, Sequence

from sweeps.errors import MetricMissing, nearest

Reports = Sequence[Mapping[str, float]]


def divergence(metric: str, reports: Reports, patience: int | None) -> str | None:
    """Why a trial is given up after these reports, or ``None``.

    Args:
        metric: the sweep's.
        patience: how many reports in a row may be not finite; ``None`` is any number.
    """
    if patience is None or not reports:
        return None
    for name in reports[-1]:
        if name == metric or is_training_loss(name):
            epochs = _unmeasured(name, reports, patience)
            if len(epochs) >= patience:
                return _says(name, reports, epochs)
    return None


def ended_diverged(reports: Reports, patience: int | None) -> str | None:
    """Why a trial that came to its end has come to nothing: its training loss was lost."""
    if patience is None or not reports:
        return None
    for name in reports[-1]:
        if is_training_loss(name) and (epochs := _unmeasured(name, reports, len(reports))):
            return _says(name, reports, epochs)
    return None


def metric_missing(metric: str, reports: Reports) -> MetricMissing:
    """What to say of a trial that ended, and never reported the sweep's metric."""
    names = dict.fromkeys(name for metrics in reports for name in metrics)
    if not names:
        return MetricMissing(
            f"the trainable returned without reporting {metric!r}: let it call"
            f" report({{{metric!r}: ...}}), or return or yield such a mapping"
        )
    return MetricMissing(
        f"the trainable reported no {metric!r}; it reported {', '.join(map(repr, names))}"
        f"{nearest(metric, names)}"
    )


def is_training_loss(name: str) -> bool:
    """Whether a metric is what training makes smaller, and so should always be a number.

    ``loss``, ``train_loss``, ``loss/train``, ``train/total_loss``; not ``val_loss`` or
    ``best_loss``, which may not have been measured yet.
    """
    words = name.lower().translate(str.maketrans("/-. ", "____")).split("_")
    return "loss" in words and (len(words) == 1 or bool({"train", "training"} & set(words)))


def _unmeasured(name: str, reports: Reports, most: int) -> list[int]:
    """The epochs, counted from 1 and latest first, since when a metric is not finite."""
    epochs: list[int] = []
    for epoch in range(len(reports), 0, -1):
        value = reports[epoch - 1].get(name)
        if value is None:
            continue
        if math.isfinite(value) or len(epochs) == most:
            break
        epochs.append(epoch)
    return epochs


def _says(name: str, reports: Reports, epochs: Sequence[int]) -> str:
    first, last = epochs[-1], epochs[0]
    when = f"at epoch {first}" if first == last else f"from epoch {first} to {last}"
    return f"diverged: {name} is {reports[last - 1][name]} {when}"

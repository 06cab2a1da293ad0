"""Directories of sweeps as a run leaves them, written by the ledger and without Ray."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweeps.definition.space import Trial
from sweeps.records.history import Report, append_report
from sweeps.records.ledger import Ledger
from sweeps.records.record import Overview, Record, Status

_AS_LETTERS = str.maketrans("0189", "abcd")
"""Of the digits, ids have 2 to 7."""


@dataclass(frozen=True)
class Made:
    """A trial as it is to be found: its parameters, what it reported, and where it stands."""

    config: Mapping[str, Any]
    reports: Sequence[Mapping[str, float]]
    status: Status = Status.FINISHED
    error: str | None = None
    id: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


def write_sweep(
    folder: Path,
    trials: Iterable[Made],
    *,
    metric: str = "score",
    mode: str = "max",
    name: str = "mine",
    seeded: bool = False,
    **sweep: Any,
) -> Path:
    """Write a sweep of these trials; other keys of its file as keywords.

    Args:
        seeded: name the trials as those of a sweep with several seeds are.
    """
    ledger, listed = Ledger(folder), []
    for number, made in enumerate(trials):
        key = made.id or f"t{number:07d}".translate(_AS_LETTERS)
        config = {"seed": 0, **made.config}
        values = {k: v for k, v in made.config.items() if k == "lr"} | {"seed": config["seed"]}
        label = ",".join(f"{k}={v}" for k, v in values.items()) if seeded else f"n={number}"
        trial = Trial(key, config, f"{label},{key}")
        listed.append(trial)
        path = f"trials/{trial.name}"
        ledger.write(
            Record(key, trial.config, path, made.status, 1, made.error, recorded=trial.config)
        )
        for step, metrics in enumerate(made.reports, start=1):
            append_report(folder / path, Report(step, metrics, 1.0))
    file = {"train": "trainer:train", "metric": metric, "mode": mode, **sweep}
    ledger.write_overview(Overview(name, metric, mode, file, tuple(listed)))
    return folder


def curve(*values: float, metric: str = "score") -> list[dict[str, float]]:
    """Reports of one metric, with a loss beside it that falls as it rises."""
    return [
        {metric: value, "loss": 1 - value if math.isfinite(value) else value} for value in values
    ]

"""Run one recorded trial again, without Ray and without touching its records, and compare.

It trains as it did then: with the members of its array, and as many threads. On the same machine,
versions, code and data the numbers are the same to the bit (on CPU); where they are not, what
differs from then is named.
"""

import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeps.definition.find import own_program, places
from sweeps.definition.resolve import Resolved, Versions, resolve
from sweeps.definition.text import typed
from sweeps.errors import DirectoryError, SweepsError
from sweeps.records import manifest
from sweeps.records.history import Report
from sweeps.records.record import Record
from sweeps.storage.remote_ledger import open_ledger

CHOICE = "array.json"
"""Where a trainable keeps, in a trial's folder, whether it trained as an array: timed once."""

SPEED = ("_per_second", "seconds", "_time")
"""Ends of the names of metrics that measure the machine, and are not compared."""


@dataclass(frozen=True)
class Difference:
    """A metric that came out otherwise."""

    epoch: int
    metric: str
    recorded: float
    now: float

    @property
    def relative(self) -> float:
        """Relative to the recorded value; infinite if one of them is no number."""
        if not (math.isfinite(self.recorded) and math.isfinite(self.now)):
            return math.inf
        return abs(self.now - self.recorded) / (abs(self.recorded) or 1.0)


@dataclass(frozen=True)
class Replay:
    """What came of it.

    Attributes:
        epochs: how many were compared.
        together: how many trials it was trained with.
        differences: in the order of the epochs; empty if all is the same to the bit.
        changed: what is not as it was then, in words.
    """

    record: Record
    epochs: int
    together: int
    differences: Sequence[Difference]
    changed: Sequence[str]


class _Enough(Exception):
    """As many epochs as are recorded have been trained."""


def replay(
    directory: str | os.PathLike[str],
    trial_id: str,
    progress: Callable[[int, bool], None] = lambda epoch, same: None,
) -> Replay:
    """Run a trial of a sweep again.

    Args:
        progress: told after each epoch, from 1 on, whether it was the same.

    Raises:
        SweepsError: there is no such trial, or it cannot be run here; says why.
    """
    ledger = open_ledger(directory)
    overview = ledger.overview()
    trials = [*overview.trials, *ledger.unlisted(overview.trials)]
    records = ledger.records(trials)
    if trial_id not in records:
        raise DirectoryError(
            f"{directory} holds no trial {trial_id!r};"
            f" `sweeps status {typed(str(directory))}` lists them"
        )
    record = records[trial_id]
    if not record.history or record.recorded is None:
        raise SweepsError(f"{trial_id} has reported nothing yet: there is nothing to compare with")
    if record.origin:
        raise SweepsError(
            f"{trial_id} has gone on from epoch {record.origin.epoch} of {record.origin.parent},"
            " whose checkpoint of then is not kept; replay a trial that has begun by itself"
        )
    with own_program():
        resolved = resolve(*places(overview.sweep["train"], None))
    if not resolved.reports:
        raise SweepsError(
            f"{overview.sweep['train']} calls ray.tune.report itself and cannot be replayed without"
            " Ray; a function that takes report can"
        )
    ids = list(record.arrays[0]["trials"]) if record.arrays else [trial_id]
    if missing := [key for key in ids if key not in records or records[key].recorded is None]:
        raise SweepsError(
            f"{trial_id} was trained in an array with {', '.join(missing)}, of which there is no"
            " record any more"
        )
    configs = {key: dict(records[key].recorded or {}) for key in ids}
    resolved.prepare(configs.values())
    runs = manifest.read_runs(ledger.directory)
    _limit_threads(runs[-1]["share"]["cpu"] if runs else 1)
    comparison = _Comparison(record.history, progress)
    began = {key: ledger.directory / records[key].path / CHOICE for key in ids}
    _train(resolved, configs, trial_id, comparison, began)
    now = resolved.versions([t for t in trials if t.id == trial_id])[trial_id]
    changed = _changed(record, now, runs)
    return Replay(record, comparison.epochs, len(ids), comparison.differences, changed)


class _Comparison:
    """A ``report`` that compares with what was reported then."""

    def __init__(self, history: Sequence[Report], progress: Callable[[int, bool], None]) -> None:
        self.differences: list[Difference] = []
        self.epochs = 0
        self._history = history
        self._progress = progress

    def __call__(self, metrics: Mapping[str, Any], *, checkpoint: Path | None = None) -> None:
        then = self._history[self.epochs].metrics
        self.epochs += 1
        found = [
            Difference(self.epochs, name, value, float(metrics.get(name, math.nan)))
            for name, value in then.items()
            if not name.endswith(SPEED) and not _same(value, metrics.get(name))
        ]
        self.differences += found
        self._progress(self.epochs, not found)
        self.stop_after(self.epochs)

    def stop_after(self, epoch: int) -> None:
        if epoch >= len(self._history):
            raise _Enough


def _train(
    resolved: Resolved,
    configs: Mapping[str, Mapping[str, Any]],
    trial_id: str,
    comparison: _Comparison,
    began: Mapping[str, Path],
) -> None:
    """Train the trial, with the others of its array beside it, as they began then."""
    with tempfile.TemporaryDirectory(prefix="sweepboard-replay-") as scratch:
        folders = [Path(scratch) / key for key in configs]
        for key, folder in zip(configs, folders, strict=True):
            folder.mkdir()
            if began[key].is_file():
                shutil.copyfile(began[key], folder / CHOICE)
        reports = [comparison if key == trial_id else _Companion(comparison) for key in configs]
        if len(configs) > 1:
            errors = resolved.offers.train_many(
                list(configs.values()),
                reports=reports,
                log_dirs=folders,
                resume_from=[None] * len(folders),
            )
            error = errors[list(configs).index(trial_id)]
        else:
            offered = {"report": comparison, "log_dir": folders[0], "resume_from": None}
            given = {name: value for name, value in offered.items() if name in resolved.accepts}
            error = _error_of(lambda: resolved.function(configs[trial_id], **given))
    if error is not None and not isinstance(error, _Enough):
        raise SweepsError(
            f"{trial_id} failed at epoch {comparison.epochs + 1}: {type(error).__name__}: {error}"
        ) from error


class _Companion:
    """The ``report`` of another member: only trains along."""

    def __init__(self, comparison: _Comparison) -> None:
        self._comparison = comparison
        self._epoch = 0

    def __call__(self, metrics: Mapping[str, Any], *, checkpoint: Path | None = None) -> None:
        self._epoch += 1
        self._comparison.stop_after(self._epoch)


def _error_of(call: Callable[[], Any]) -> Exception | None:
    try:
        call()
    except Exception as error:  # whatever the user's function raised
        return error
    return None


def _same(recorded: float, now: Any) -> bool:
    if now is None:
        return False
    now = now.item() if hasattr(now, "item") else now
    return bool(recorded == now) or (recorded != recorded and now != now)


def _changed(record: Record, now: Versions, runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is not as it was when the trial was recorded."""
    changed = []
    if record.code != now.code:
        changed.append("the training code")
    if record.data != now.data:
        changed.append("the data")
    if len(record.arrays) > 1:
        epoch = record.arrays[1]["from"] - record.history[0].step + 1
        changed.append(f"from epoch {epoch} on it trained in another array")
    if runs:
        here = {**manifest.versions(), "processor": manifest.machine()["processor"]}
        then = {**runs[-1]["versions"], "processor": runs[-1]["machine"]["processor"]}
        changed += [
            f"{name} {then.get(name, 'not installed')}, now {here.get(name, 'not installed')}"
            for name in sorted(here.keys() | then.keys())
            if here.get(name) != then.get(name)
        ]
    return changed


def _limit_threads(cpu: float) -> None:
    """As many threads as a worker of the sweep had; the order of sums can depend on it."""
    threads = max(1, int(cpu))
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)

"""Sweeps' directories as a run leaves them, made without one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sweeps.definition.space import Trial
from sweeps.records.checkpoints import checksum
from sweeps.records.events import EventLog, write_failure
from sweeps.records.history import Report, append_report
from sweeps.records.ledger import Ledger
from sweeps.records.record import Overview, Record, Status


def fake_sweep(
    directory: Path,
    configs: Sequence[Mapping[str, Any]],
    *,
    epochs: int = 3,
    metric: str = "loss",
    statuses: Mapping[int, Status] | None = None,
    error: str | None = None,
    first: int = 1,
) -> list[Trial]:
    """A sweep of these configurations, each with reports, a checkpoint and events.

    Args:
        statuses: by the place of a trial; one that is not named has finished.
        error: of trials that have failed or were stopped.
        first: the step of the first report; once it was 0.
    """
    ledger = Ledger(directory)
    trials = []
    for number, config in enumerate(configs):
        key = f"trial{number:03d}"
        trials.append(Trial(key, {**config, "seed": 0}, f"n={number},{key}"))
        status = (statuses or {}).get(number, Status.FINISHED)
        fake_trial(ledger, trials[-1], status, range(first, first + epochs), metric, error)
    overview = Overview("fake", metric, "min", {"train": "trainer:train"}, tuple(trials))
    ledger.write_overview(overview)
    return trials


def fake_trial(
    ledger: Ledger, trial: Trial, status: Status, steps: range, metric: str, error: str | None
) -> None:
    """One trial's folder; one that is pending has none."""
    if status is Status.PENDING:
        return
    folder = ledger.directory / "trials" / trial.name
    folder.mkdir(parents=True)
    events = EventLog(folder, trial.config)
    for epoch, step in enumerate(steps, start=1):
        saved = folder / f"{step}.pt"
        saved.write_text(f"{trial.id} {step}")
        metrics = {metric: 1 / (epoch + 2)}
        events.log(metrics, step)
        append_report(folder, Report(step, metrics, 0.5, saved.name, checksum(saved)))
    events.close(finished=status is Status.FINISHED)
    if status in (Status.FAILED, Status.STOPPED):
        write_failure(folder)
    ledger.write(
        Record(
            trial.id,
            trial.config,
            f"trials/{trial.name}",
            status,
            attempts=1,
            error=error if status in (Status.FAILED, Status.STOPPED) else None,
            where="host",
            recorded=trial.config,
            arrays=({"from": steps.start, "trials": [trial.id]},),
        )
    )

"""What a trial's reports become on disk, also where a directory was begun by an earlier version."""

import json
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator
from typer.testing import CliRunner

from sweeps import read_results
from sweeps.command.cli import app
from sweeps.records.checkpoints import keep_best, starts
from sweeps.records.event_files import reopen
from sweeps.records.events import EventLog
from sweeps.records.history import Report, append_report, read_history, rewrite_history
from sweeps.records.record import Status
from sweeps.worker.job import Job
from sweeps.worker.recorder import Recorder
from sweeps.worker.writers import Writers
from tests.fakes import fake_sweep


def job(folder: Path) -> Job:
    names = dict.fromkeys(Job.__dataclass_fields__)
    wanted = {"directory": str(folder), "metric": "loss", "mode": "min", "keep_best": 1}
    return Job(**{**names, **wanted})


def go_on(folder: Path, told: list[Any]) -> Recorder:
    """Another attempt of a trial, from its latest whole checkpoint."""
    start = next(starts(folder))
    rewrite_history(folder, start.history)
    reopen(folder, start.history)
    return Recorder(
        job(folder),
        "trial000",
        folder,
        start.history,
        "host",
        EventLog(folder, {}),
        Writers(folder, print),
        until=None,
        send=told.append,
        note=print,
        store=lambda: None,
        on_report=lambda: None,
    )


@pytest.mark.parametrize("first", [1, 0], ids=["", "begun when steps counted from 0"])
def test_a_trial_that_goes_on_numbers_its_epochs_from_where_it_was(
    first: int, tmp_path: Path
) -> None:
    [trial] = fake_sweep(tmp_path, [{}], statuses={0: Status.INTERRUPTED}, first=first)
    folder = tmp_path / "trials" / trial.name
    keep_best(folder, first + 2, folder / f"{first + 2}.pt")
    log = EventLog(folder, {})
    log.log({"loss": 9.0}, first + 3)  # reported after the last checkpoint
    log.close(finished=False)
    append_report(folder, Report(first + 3, {"loss": 9.0}, 0.5))
    told: list[Any] = []
    record = go_on(folder, told)
    for loss in (0.2, 0.1):
        (tmp_path / "model.pt").write_text(f"{loss}")
        record({"loss": loss}, checkpoint=tmp_path / "model.pt")
    record.close(finished=True)

    steps = list(range(first, first + 5))
    assert [report.step for report in read_history(folder)] == steps
    events = EventAccumulator(str(folder), size_guidance={SCALARS: 0}).Reload().Scalars("loss")
    assert [event.step for event in events] == steps
    assert [event.value for event in events] == pytest.approx([1 / 3, 1 / 4, 1 / 5, 0.2, 0.1])
    copies = {path.name for path in (folder / "checkpoints").iterdir()}
    assert copies == {f"{step:05d}.pt" for step in steps[-2:]}
    assert [epoch for message in told for epoch, *_ in message["reports"]] == [4, 5]
    results = read_results(tmp_path)
    assert results[0].epochs == 5
    assert results[0].best == {"value": 0.1, "epoch": 5}
    assert str(results[0].checkpoint).endswith(f"/best/{steps[-1]:05d}.pt")
    asked = ["results", str(tmp_path), "--history", "--format", "json"]
    shown = json.loads(CliRunner().invoke(app, asked).stdout)
    assert [line["epoch"] for line in shown] == [1, 2, 3, 4, 5]

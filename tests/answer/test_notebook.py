"""A sweep shows itself in a notebook: what it asks for, and where its trials stand."""

from pathlib import Path

import pytest

from sweeps import Sweep
from sweeps.records.history import Report, append_report
from sweeps.records.ledger import Ledger
from sweeps.records.record import Record, Status

KEYS = {"train": "tests.trainables:brief", "metric": "score", "mode": "max"}


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    monkeypatch.chdir(tmp_path)
    parameters = {"lr": [0.1, 0.2], "net": "<b>wide"}
    return Sweep(KEYS, name="mine", parameters=parameters, seeds=2)


def begun(sweep: Sweep, folder: Path) -> None:
    """One trial of the sweep finished, and one interrupted."""
    ledger = Ledger(folder)
    for trial, status in zip(sweep.trials, (Status.FINISHED, Status.RUNNING), strict=False):
        path = f"trials/{trial.name}"
        ledger.write(Record(trial.id, trial.config, path, status, 1, None))
        append_report(folder / path, Report(1, {"score": 0.5}, 1.0))


def test_a_new_sweep_shows_its_space_and_parameters_and_writes_nothing(
    sweep: Sweep, tmp_path: Path
) -> None:
    page = sweep._repr_html_()
    assert "<h4>mine</h4><p>tests.trainables:brief, score (max)</p>" in page
    assert "<p>space: 2 points</p><p>2 seeds</p>" in page
    assert "<p>4 trials: 4 pending, in runs/mine</p>" in page
    assert "<td>lr</td><td>[0.1, 0.2]</td>" in page
    assert "<td>net</td><td>&lt;b&gt;wide</td>" in page
    assert not list(tmp_path.iterdir())


def test_a_sweep_shows_where_its_trials_stand_in_the_directory_it_was_last_looked_at(
    sweep: Sweep,
) -> None:
    begun(sweep, Path("runs/mine"))
    assert "4 trials: 2 pending, 1 finished, 1 interrupted, in runs/mine" in sweep._repr_html_()
    sweep.plan("elsewhere")
    assert "4 trials: 4 pending, in elsewhere" in sweep._repr_html_()


def test_a_directory_that_cannot_be_read_or_is_elsewhere_is_told_of(sweep: Sweep) -> None:
    far = Sweep(sweep.definition, storage="s3://bucket/sweeps")
    assert "<p>its directory: s3://bucket/sweeps/mine</p>" in far._repr_html_()
    Path("runs/mine").mkdir(parents=True)
    Path("runs/mine/sweep.json").write_text("{")
    assert "<p>its directory cannot be read: " in sweep._repr_html_()


def test_a_search_shows_how_many_trials_it_suggests(sweep: Sweep) -> None:
    search = {"sampler": "tpe", "trials": 20}
    drawn = Sweep(KEYS, name="mine", parameters={"lr": {"uniform": [0, 1]}}, search=search)
    page = drawn._repr_html_()
    assert "<p>space: endless in lr; tpe suggests 20, 8 at once</p>" in page
    assert "<p>no trials yet in runs/mine</p>" in page

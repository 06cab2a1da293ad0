"""The sweep's directory: what is written is read back, and damage is not believed."""

import math
from pathlib import Path

import pytest

from sweeps.definition.space import Trial
from sweeps.errors import DirectoryError
from sweeps.records.history import Report, append_report
from sweeps.records.ledger import DAMAGED, Ledger
from sweeps.records.record import Overview, Record, Status

TRIAL = Trial("abcdefgh", {"lr": 0.1, "seed": 0}, "lr=0.1,abcdefgh")


def test_records_and_history_are_read_back_as_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    record = Record(
        id=TRIAL.id,
        config=TRIAL.config,
        path=f"trials/{TRIAL.name}",
        status=Status.FAILED,
        attempts=2,
        error="ValueError: no",
        where="host",
        recorded=TRIAL.config,
        code="c0de",
        data="digits",
        arrays=({"from": 1, "trials": [TRIAL.id, "other"]},),
    )
    reports = [
        Report(1, {"loss": 0.5, "count": 3}, 1.5, "a.pt", "5ha256"),
        Report(2, {"loss": math.inf}, 0.5),
    ]
    ledger.write(record)
    for report in reports:
        append_report(tmp_path / record.path, report)
    found = Ledger(tmp_path).record(TRIAL)
    assert found == record
    assert found.history == reports
    assert isinstance(found.history[0].metrics["count"], int)
    assert found.seconds == 2.0


def test_a_trial_stays_where_it_was_begun_under_whatever_name(tmp_path: Path) -> None:
    Ledger(tmp_path).write(Record(TRIAL.id, TRIAL.config, f"trials/{TRIAL.name}"))
    renamed = Trial(TRIAL.id, TRIAL.config, f"lr=0.1,seed=0,{TRIAL.id}")
    assert Ledger(tmp_path).trial_dir(renamed).name == TRIAL.name


def test_a_trial_that_nobody_runs_any_more_is_interrupted(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    with ledger.held():
        ledger.write(Record(TRIAL.id, TRIAL.config, f"trials/{TRIAL.name}", Status.RUNNING))
        assert Ledger(tmp_path).records([TRIAL])[TRIAL.id].status is Status.RUNNING
    assert Ledger(tmp_path).records([TRIAL])[TRIAL.id].status is Status.INTERRUPTED


def test_one_process_holds_a_directory_and_is_named(tmp_path: Path) -> None:
    with Ledger(tmp_path).held(), pytest.raises(DirectoryError, match=r"process \d+ on "):
        Ledger(tmp_path).held().__enter__()
    with Ledger(tmp_path).held():
        pass


def test_a_directory_of_another_sweep_is_refused_and_named(tmp_path: Path) -> None:
    Ledger(tmp_path).write_overview(
        Overview("first", "loss", "min", {"train": "trainer:train"}, (TRIAL,))
    )
    Ledger(tmp_path).check_usable("first")
    with pytest.raises(DirectoryError, match="'first', not 'second'"):
        Ledger(tmp_path).check_usable("second")
    assert Ledger(tmp_path).overview().trials == (TRIAL,)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"status": "done"}', '{"status": "failed"}'])
def test_a_damaged_record_is_made_anew_from_the_history(tmp_path: Path, content: str) -> None:
    ledger = Ledger(tmp_path)
    ledger.write(Record(TRIAL.id, TRIAL.config, f"trials/{TRIAL.name}", Status.FINISHED))
    append_report(ledger.trial_dir(TRIAL), Report(1, {"loss": 0.5}, 1.5))
    (ledger.trial_dir(TRIAL) / "trial.json").write_text(content)
    found = ledger.record(TRIAL)
    assert (found.status, found.error, len(found.history)) == (Status.INTERRUPTED, DAMAGED, 1)


def test_what_is_set_aside_can_be_read_as_the_sweep_that_it_was(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.set_aside() is None
    for number in (1, 2):
        ledger.write(Record(TRIAL.id, TRIAL.config, f"trials/{TRIAL.name}", attempts=number))
        ledger.write_overview(Overview("mine", "loss", "min", {"train": "trainer:train"}, (TRIAL,)))
        aside = ledger.set_aside()
        assert aside == tmp_path / "earlier" / str(number)
        assert Ledger(aside).record(Ledger(aside).overview().trials[0]).attempts == number
    assert ledger.record(TRIAL).attempts == 0


def test_trials_that_are_no_longer_asked_for_are_still_found(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write(Record(TRIAL.id, TRIAL.config, f"trials/{TRIAL.name}"))
    assert ledger.unlisted([TRIAL]) == []
    assert ledger.unlisted([]) == [TRIAL]

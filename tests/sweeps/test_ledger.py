"""The sweep's directory: what is written is read back, and damage is not believed."""

import math
from pathlib import Path

import pytest

from sweeps.errors import DirectoryError
from sweeps.ledger import (
    Ledger,
    Overview,
    Record,
    Report,
    Status,
    append_report,
    keep_checkpoint,
    read_history,
    rewrite_history,
)
from sweeps.space import Trial

TRIAL = Trial("abcdefgh", {"lr": 0.1, "seed": 0}, "lr=0.1,abcdefgh")


def test_records_and_history_are_read_back_as_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    record = Record(
        TRIAL.id, TRIAL.config, f"trials/{TRIAL.name}", Status.FAILED, 2, "ValueError: no", "host"
    )
    reports = [
        Report(0, {"loss": 0.5, "count": 3}, 1.5, "a.pt"),
        Report(1, {"loss": math.inf}, 0.5),
    ]
    ledger.write(record)
    for report in reports:
        append_report(tmp_path / record.path, report)
    found = Ledger(tmp_path).record(TRIAL)
    assert found == record
    assert found.history == reports
    assert isinstance(found.history[0].metrics["count"], int)
    assert found.seconds == 2.0


def test_nan_survives_as_strict_json(tmp_path: Path) -> None:
    append_report(tmp_path, Report(0, {"loss": math.nan}, 0.1))
    assert '"nan"' in (tmp_path / "history.jsonl").read_text()
    assert math.isnan(read_history(tmp_path)[0].metrics["loss"])


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_last_line_that_was_cut_off_is_not_read(tmp_path: Path, cut: int) -> None:
    for step in range(3):
        append_report(tmp_path, Report(step, {"loss": 0.5}, 0.1))
    file = tmp_path / "history.jsonl"
    file.write_bytes(file.read_bytes()[:-cut])
    assert len(read_history(tmp_path)) == (3 if cut == 1 else 2)


def test_what_follows_a_damaged_line_or_a_gap_is_not_read(tmp_path: Path) -> None:
    reports = [Report(step, {"loss": 0.5}, 0.1) for step in (0, 1, 3)]
    rewrite_history(tmp_path, reports)
    assert [r.step for r in read_history(tmp_path)] == [0, 1]
    (tmp_path / "history.jsonl").write_text("nonsense\n")
    assert read_history(tmp_path) == []


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
    Ledger(tmp_path).write_overview(Overview("first", "loss", "min", {}, (TRIAL,)))
    Ledger(tmp_path).check_usable("first")
    with pytest.raises(DirectoryError, match="'first', not 'second'"):
        Ledger(tmp_path).check_usable("second")
    assert Ledger(tmp_path).overview().trials == (TRIAL,)


def test_a_checkpoint_from_elsewhere_is_copied_and_two_copies_are_kept(tmp_path: Path) -> None:
    folder, source = tmp_path / "trial", tmp_path / "model.pt"
    folder.mkdir()
    for step in range(4):
        source.write_text(str(step))
        kept = keep_checkpoint(folder, step, source)
        assert kept is not None
        assert (folder / kept).read_text() == str(step)
    assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == ["00002.pt", "00003.pt"]
    inside = folder / "own.pt"
    inside.write_text("own")
    assert keep_checkpoint(folder, 4, inside) == "own.pt"


def test_a_folder_can_be_a_checkpoint(tmp_path: Path) -> None:
    source = tmp_path / "saved"
    source.mkdir()
    (source / "weights").write_text("1")
    folder = tmp_path / "trial"
    folder.mkdir()
    kept = keep_checkpoint(folder, 0, source)
    assert kept is not None
    assert (folder / kept / "weights").read_text() == "1"

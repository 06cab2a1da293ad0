"""What has ended is believed only as it was then: damage is noticed, told of, and mended."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

from sweeps.definition.space import Trial
from sweeps.errors import DirectoryError
from sweeps.planning.plan import decide
from sweeps.records.events import EventLog
from sweeps.records.history import Report, append_report
from sweeps.records.ledger import Ledger
from sweeps.records.record import Status, damage_notes
from sweeps.records.seal import EVENTS_LOST, TAKEN_FROM_COPY, TRAINED_AGAIN, event_files
from tests.fakes import fake_sweep


def lines(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


def replaced(path: Path, old: bytes, new: bytes) -> None:
    path.write_bytes(path.read_bytes().replace(old, new))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "its last line is cut": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "its last line is gone": lambda path: lines(path, lambda rows: rows[:-1]),
    "a line in the middle is gone": lambda path: lines(path, lambda rows: rows[:1] + rows[2:]),
    "a line is there twice": lambda path: lines(path, lambda rows: rows + rows[-1:]),
    "lines are swapped": lambda path: lines(path, lambda rows: rows[::-1]),
    "it is empty": lambda path: path.write_bytes(b""),
    "it is gone": Path.unlink,
    "it is random": lambda path: path.write_bytes(bytes(range(256))),
    "a number is text": lambda path: path.write_bytes(path.read_bytes().replace(b"0.25", b'"x"')),
    "a number is another": lambda path: path.write_bytes(
        path.read_bytes().replace(b"0.25", b"0.2")
    ),
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    fake_sweep(tmp_path, [{"lr": 0.1}, {"lr": 0.2}, {"lr": 0.3}], statuses={2: Status.FAILED})
    return tmp_path


def trials_of(directory: Path) -> tuple[Trial, ...]:
    return Ledger(directory).overview().trials


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("number", [0, 2], ids=["finished", "failed"])
def test_a_history_that_was_damaged_after_the_end_is_put_back(
    directory: Path, number: int, damage: Callable[[Path], object]
) -> None:
    trials = trials_of(directory)
    file = directory / "trials" / trials[number].name / "history.jsonl"
    before = file.read_bytes()
    whole = Ledger(directory).records(trials)
    damage(file)
    found = Ledger(directory).records(trials)
    assert found == whole
    assert [r.history for r in found.values()] == [r.history for r in whole.values()]
    note = f"note: {trials[number].id}: {TAKEN_FROM_COPY}"
    assert damage_notes(found.values()) == [note]
    assert Ledger(directory).mend(trials) == [note]
    assert file.read_bytes() == before
    assert Ledger(directory).mend(trials) == []


def test_where_the_copy_is_damaged_too_a_trial_goes_on_from_its_last_whole_checkpoint(
    directory: Path,
) -> None:
    trials = trials_of(directory)
    folder = directory / "trials" / trials[0].name
    record = json.loads((folder / "trial.json").read_text())
    record["sealed"]["history"] = "AAAA"
    (folder / "trial.json").write_text(json.dumps(record))
    DAMAGE["its last line is cut"](folder / "history.jsonl")
    ledger = Ledger(directory)
    records = ledger.records(trials)
    found = records[trials[0].id]
    assert (found.status, found.damage) == (Status.INTERRUPTED, TRAINED_AGAIN)
    assert str(decide(trials, records)) == (
        "3 trials: 1 finished, 1 continued from epoch 2, 1 tried again"
    )
    assert ledger.mend(trials) == [f"note: {trials[0].id}: {TRAINED_AGAIN}"]
    assert ledger.record(trials[0]).status is Status.INTERRUPTED


@pytest.mark.parametrize("content", ["", "{"])
def test_one_that_ended_before_histories_were_sealed_is_believed_if_all_of_it_is_read(
    directory: Path, content: str
) -> None:
    trials = trials_of(directory)
    folder = directory / "trials" / trials[0].name
    record = json.loads((folder / "trial.json").read_text())
    del record["sealed"], record["folder"]
    (folder / "trial.json").write_text(json.dumps(record))
    assert Ledger(directory).record(trials[0]).status is Status.FINISHED
    with (folder / "history.jsonl").open("a") as file:
        file.write(content)
    assert (Ledger(directory).record(trials[0]).status is Status.FINISHED) is not bool(content)


def scalars(folder: Path) -> dict[int, float]:
    """The steps and values of the loss, as TensorBoard reads them."""
    events = EventAccumulator(str(folder), size_guidance={SCALARS: 0})
    events.Reload()
    return {event.step: event.value for event in events.Scalars("loss")}


LOSS: dict[str, Callable[[Path], object]] = {
    "it is gone": Path.unlink,
    "it is empty": lambda path: path.write_bytes(b""),
    "it is cut": lambda path: path.write_bytes(path.read_bytes()[:-150]),
}


@pytest.mark.parametrize("damage", LOSS.values(), ids=LOSS)
@pytest.mark.parametrize("number", [0, 2], ids=["finished", "failed"])
def test_lost_events_of_a_trial_that_has_ended_are_written_again(
    directory: Path, number: int, damage: Callable[[Path], object]
) -> None:
    trials = trials_of(directory)
    folder = directory / "trials" / trials[number].name
    before = scalars(folder)
    [file] = event_files(folder)
    damage(file)
    assert Ledger(directory).mend(trials) == [f"note: {trials[number].id}: {EVENTS_LOST}"]
    assert scalars(folder) == before
    assert Ledger(directory).mend(trials) == []


def test_event_files_of_one_that_ended_before_their_lengths_were_kept_are_missed_by_name(
    directory: Path,
) -> None:
    trials = trials_of(directory)
    folder = directory / "trials" / trials[0].name
    record = json.loads((folder / "trial.json").read_text())
    record["sealed"]["events"] = list(record["sealed"]["events"])
    (folder / "trial.json").write_text(json.dumps(record))
    assert Ledger(directory).record(trials[0]).damage is None
    event_files(folder)[0].unlink()
    assert Ledger(directory).record(trials[0]).damage == EVENTS_LOST


def test_events_that_a_clock_gone_back_had_hidden_are_seen_after_the_next_run(
    directory: Path,
) -> None:
    trials = trials_of(directory)
    folder = directory / "trials" / trials[0].name
    ledger = Ledger(directory)
    record = ledger.record(trials[0])
    again = EventLog(folder, trials[0].config)
    for step in (4, 5, 6):
        again.log({"loss": 0.1}, step)
        append_report(folder, Report(step, {"loss": 0.1}, 0.5))
    again.close(finished=True)
    newest = max(event_files(folder))
    newest.rename(folder / newest.name.replace(newest.name.split(".")[3], "1500000000"))
    assert list(scalars(folder)) == [4, 5, 6, 1, 2, 3]
    ledger.write(record)
    assert ledger.mend(trials) == []
    assert list(scalars(folder)) == [1, 2, 3, 4, 5, 6]
    assert Ledger(directory).mend(trials) == []


def test_a_folder_that_only_looks_like_a_trials_is_never_taken_for_it(directory: Path) -> None:
    trials = trials_of(directory)
    before = Ledger(directory).records(trials)
    own = directory / "trials" / trials[0].name
    for name in ("a copy", "z=1"):
        shutil.copytree(own, directory / "trials" / f"{name},{trials[0].id}")
    (directory / "trials" / f"empty,{trials[1].id}").mkdir()
    (directory / "trials" / f"notes,{trials[1].id}").write_text("mine")
    (directory / "trials" / "no trial at all").mkdir()
    (directory / "trials" / "other,abcdefgh").mkdir()
    ledger = Ledger(directory)
    assert ledger.records(trials) == before
    assert ledger.unlisted(trials) == []
    renamed = Trial(trials[0].id, trials[0].config, f"lr=0.1,n=0,{trials[0].id}")
    assert ledger.trial_dir(renamed) == own


def test_the_record_of_another_trial_is_refused_with_its_name(directory: Path) -> None:
    first, second, _ = trials_of(directory)
    copied = directory / "trials" / first.name
    shutil.rmtree(copied)
    shutil.copytree(directory / "trials" / second.name, copied)
    with pytest.raises(DirectoryError, match=rf"{first.name} holds the record of another trial"):
        Ledger(directory).record(first)


def test_a_trial_whose_record_was_deleted_goes_on_from_its_last_checkpoint(directory: Path) -> None:
    trials = trials_of(directory)
    (directory / "trials" / trials[0].name / "trial.json").unlink()
    found = Ledger(directory).record(trials[0])
    assert (found.status, len(found.history)) == (Status.INTERRUPTED, 3)
    assert "1 continued from epoch 3" in str(decide(trials, Ledger(directory).records(trials)))


def test_one_that_is_no_longer_asked_for_and_damaged_is_still_shown(directory: Path) -> None:
    trials = trials_of(directory)
    (directory / "trials" / trials[0].name / "trial.json").write_text("{")
    [found] = Ledger(directory).unlisted(trials[1:])
    assert found.id == trials[0].id
    assert Ledger(directory).record(found).status is Status.INTERRUPTED

"""Reports and checkpoints: only what is whole counts, and an attempt goes on from there."""

import math
import resource
import signal
from pathlib import Path

import pytest

from sweeps.definition.space import Origin, Trial
from sweeps.records.checkpoints import (
    checkpoint_of,
    checksum,
    drop_older,
    keep_best,
    keep_checkpoint,
    start_together,
    starts,
)
from sweeps.records.history import Report, append_report, read_history, rewrite_history
from sweeps.records.ledger import Ledger
from sweeps.records.lineage import inherit


def test_nan_survives_as_strict_json(tmp_path: Path) -> None:
    append_report(tmp_path, Report(1, {"loss": math.nan}, 0.1))
    assert '"nan"' in (tmp_path / "history.jsonl").read_text()
    assert math.isnan(read_history(tmp_path)[0].metrics["loss"])


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_last_line_that_was_cut_off_is_not_read(tmp_path: Path, cut: int) -> None:
    for step in (1, 2, 3):
        append_report(tmp_path, Report(step, {"loss": 0.5}, 0.1))
    file = tmp_path / "history.jsonl"
    file.write_bytes(file.read_bytes()[:-cut])
    assert len(read_history(tmp_path)) == (3 if cut == 1 else 2)


def test_what_follows_a_damaged_line_or_a_gap_is_not_read(tmp_path: Path) -> None:
    for steps, read in (([1, 2, 4], [1, 2]), ([0, 1, 3], [0, 1]), ([2, 3], []), ([0, 2], [0])):
        rewrite_history(tmp_path, [Report(step, {"loss": 0.5}, 0.1) for step in steps])
        assert [r.step for r in read_history(tmp_path)] == read
    (tmp_path / "history.jsonl").write_text("nonsense\n")
    assert read_history(tmp_path) == []


def test_a_checkpoint_from_elsewhere_is_copied_and_two_copies_are_kept(tmp_path: Path) -> None:
    folder, source = tmp_path / "trial", tmp_path / "model.pt"
    folder.mkdir()
    for step in (1, 2, 3, 4):
        source.write_text(str(step))
        kept = keep_checkpoint(folder, step, source)
        assert kept.read_text() == str(step)
    assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == ["00003.pt", "00004.pt"]
    inside = folder / "own.pt"
    inside.write_text("own")
    assert keep_checkpoint(folder, 5, inside) == inside


def test_a_folder_can_be_a_checkpoint(tmp_path: Path) -> None:
    source = tmp_path / "saved"
    source.mkdir()
    (source / "weights").write_text("1")
    folder = tmp_path / "trial"
    folder.mkdir()
    kept = keep_checkpoint(folder, 1, source)
    assert (kept / "weights").read_text() == "1"
    before = checksum(kept)
    (kept / "weights").rename(kept / "other")
    assert checksum(kept) != before


def trained(folder: Path, epochs: int) -> Path:
    """A trial's folder after so many epochs, with its last two checkpoints."""
    folder.mkdir()
    for step in range(1, epochs + 1):
        saved = folder / f"{step}.pt"
        saved.write_text(f"weights {step}")
        append_report(folder, Report(step, {"loss": 0.5}, 0.1, saved.name, checksum(saved)))
        (folder / f"{step - 2}.pt").unlink(missing_ok=True)
    return folder


def epochs(folder: Path) -> list[int]:
    return [start.epoch for start in starts(folder)]


def test_a_trial_goes_on_from_its_latest_whole_checkpoint(tmp_path: Path) -> None:
    folder = trained(tmp_path / "trial", 4)
    assert epochs(folder) == [4, 3, 0]
    latest = next(starts(folder))
    assert (latest.checkpoint, len(latest.history)) == (folder / "4.pt", 4)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage", [Path.unlink, flip, lambda path: path.write_bytes(path.read_bytes()[:-1])]
)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path, damage) -> None:
    folder = trained(tmp_path / "trial", 4)
    damage(folder / "4.pt")
    assert epochs(folder) == [3, 0]
    damage(folder / "3.pt")
    assert epochs(folder) == [0]


def test_a_finished_trial_keeps_its_latest_checkpoint_and_its_best_beside(tmp_path: Path) -> None:
    folder = trained(tmp_path / "trial", 4)
    for step in (3, 4):
        keep_best(folder, step, folder / f"{step}.pt")
    drop_older(folder, read_history(folder))
    assert sorted(p.name for p in folder.glob("*.pt")) == ["4.pt"]
    best = checkpoint_of(folder, read_history(folder), {"epoch": 4})
    assert best is not None
    assert best == folder / "best" / "00004.pt"
    assert [p.name for p in best.parent.iterdir()] == ["00004.pt"]


def test_the_checkpoint_named_is_that_of_the_epoch_named_or_none(tmp_path: Path) -> None:
    """The mode was corrected, or epochs lowered, after another epoch's was kept as the best."""
    folder = trained(tmp_path / "trial", 4)
    keep_best(folder, 3, folder / "3.pt")
    drop_older(folder, read_history(folder))
    history = read_history(folder)
    assert checkpoint_of(folder, history, {"epoch": 3}) == folder / "best" / "00003.pt"
    assert checkpoint_of(folder, history, {"epoch": 2}) is None
    assert checkpoint_of(folder, history, {"epoch": 4}) == folder / "4.pt"


def test_nothing_outside_of_a_trial_is_ever_removed(tmp_path: Path) -> None:
    folder = trained(tmp_path / "trial", 2)
    (tmp_path / "precious").write_text("mine")
    history = [Report(1, {}, 0.1, "../precious"), Report(2, {}, 0.1, "2.pt")]
    drop_older(folder, history)
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_checkpoint_that_lies_elsewhere_is_copied_however_its_path_is_written(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "trial"
    folder.mkdir()
    (tmp_path / "mine.pt").write_text("state")
    kept = keep_checkpoint(folder, 1, folder / ".." / "mine.pt")
    assert kept == folder / "checkpoints" / "00001.pt"
    assert kept.read_text() == "state"


def test_a_link_in_the_place_of_a_part_is_not_written_through(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / ".history.jsonl.part").symlink_to(precious)
    rewrite_history(tmp_path, [Report(1, {"loss": 1.0}, 0.1)])
    assert precious.read_text() == "mine"
    assert len(read_history(tmp_path)) == 1


def test_an_array_goes_on_from_the_epoch_that_all_members_have(tmp_path: Path) -> None:
    folders = [trained(tmp_path / f"{n}", epochs) for n, epochs in enumerate((4, 3, 4))]
    assert [start.epoch for start in start_together(folders)] == [3, 3, 3]


def test_members_that_are_far_apart_each_go_on_from_their_own_epoch(tmp_path: Path) -> None:
    folders = [trained(tmp_path / f"{n}", epochs) for n, epochs in enumerate((9, 3))]
    assert [start.epoch for start in start_together(folders)] == [9, 3]


def test_an_array_killed_in_its_first_reports_starts_over(tmp_path: Path) -> None:
    folders = [trained(tmp_path / f"{n}", epochs) for n, epochs in enumerate((1, 0))]
    assert [start.epoch for start in start_together(folders)] == [0, 0]


def test_a_line_that_finds_no_room_leaves_no_part_behind(tmp_path: Path) -> None:
    append_report(tmp_path, Report(1, {"loss": 0.5}, 0.1))
    size = (tmp_path / "history.jsonl").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, before[1]))
    try:
        with pytest.raises(OSError, match="No space left on device"):
            append_report(tmp_path, Report(2, {"loss": 0.5}, 0.1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    append_report(tmp_path, Report(2, {"loss": 0.25}, 0.1))
    assert [report.metrics["loss"] for report in read_history(tmp_path)] == [0.5, 0.25]


@pytest.mark.parametrize("first", [1, 0], ids=["", "begun when steps counted from 0"])
def test_a_trial_that_goes_on_from_another_has_its_reports_and_its_checkpoint(
    first: int, tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path)
    parent = Trial("aaaaaaaa", {"x": 1, "seed": 0}, "x=1,aaaaaaaa")
    child = Trial("bbbbbbbb", {"x": 2, "seed": 0}, "x=2,bbbbbbbb", Origin(parent.id, 2))
    folder, own = ledger.trial_dir(parent), ledger.trial_dir(child)
    ledger.write(ledger.record(parent))
    for epoch, step in enumerate(range(first, first + 3), start=1):
        saved = folder / f"{epoch}.pt"
        saved.write_text(f"after epoch {epoch}")
        append_report(folder, Report(step, {"loss": 1 / epoch}, 1.0, saved.name, checksum(saved)))
    inherit(ledger, child, parent)
    record = ledger.record(child)
    assert (record.status, record.attempts, record.origin) == ("pending", 0, child.origin)
    assert [r.metrics for r in record.history] == [{"loss": 1.0}, {"loss": 0.5}]
    (folder / "2.pt").unlink()
    inherit(ledger, child, parent)  # it has it already
    [start] = starts(own)
    assert start.checkpoint is not None
    assert start.checkpoint == own / "inherited" / f"{first + 1:05d}.pt"
    assert (start.epoch, start.checkpoint.read_text()) == (2, "after epoch 2")
    assert [trial.origin for trial in ledger.unlisted([parent])] == [child.origin]
    start.checkpoint.write_text("damaged")
    assert [each.epoch for each in starts(own)] == [0]  # which its process refuses

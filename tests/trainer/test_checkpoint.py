"""Checkpoints: written whole, read with suspicion, and gone on from to the same bits."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.trainer.conftest import Interrupted, Recorder, accumulate
from trainer import train, train_many
from trainer.checkpoint import CheckpointError, load, save

CONFIG = {"dataset": "digits", "epochs": 4, "batch_size": 100, "seed": 2}


def equal(one: Any, other: Any) -> bool:
    """Whether two states hold the same values, tensors by their bits."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A real checkpoint, after the first epoch of CONFIG."""
    report = Recorder(stop_after=1)
    with pytest.raises(Interrupted):
        train(CONFIG, report=report, log_dir=tmp_path / "good")
    return report.last


def assert_refused(path: Path, *, names: str) -> None:
    with pytest.raises(CheckpointError, match=names) as raised:
        train(CONFIG, report=Recorder(), resume_from=path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_run_interrupted_after_every_epoch_ends_with_the_bits_of_one_left_alone(
    optimizer: str, tmp_path: Path
) -> None:
    config = CONFIG | {"optimizer": optimizer, "weight_decay": 0.01}
    whole = Recorder()
    train(config, report=whole, log_dir=tmp_path / "whole")
    learned = []
    last = None
    for _ in range(4):
        part = Recorder(stop_after=1)
        with pytest.raises(Interrupted):
            train(config, report=part, log_dir=tmp_path / "parts", resume_from=last)
        last = part.last
        learned += part.learned
    assert learned == whole.learned
    assert last is not None
    assert equal(load(last), load(whole.last))


def test_a_run_resumed_after_its_last_epoch_has_nothing_left_to_do(tmp_path: Path) -> None:
    whole = Recorder()
    train(CONFIG, report=whole, log_dir=tmp_path)
    again = Recorder()
    train(CONFIG, report=again, log_dir=tmp_path, resume_from=whole.last)
    assert again.metrics == []


def test_the_two_latest_checkpoints_are_kept_and_nothing_half_written(tmp_path: Path) -> None:
    report = Recorder()
    train(CONFIG, report=report, log_dir=tmp_path)
    assert len(set(report.checkpoints)) == 4
    beside = ("events.", "examination.")
    left = sorted(p for p in tmp_path.iterdir() if not p.name.startswith(beside))
    assert left == report.checkpoints[-2:]


def test_a_run_begun_again_in_the_same_folder_keeps_the_checkpoints_it_writes(
    tmp_path: Path,
) -> None:
    for epoch in (3, 4, 5, 0, 1):
        path = save(tmp_path, {"epoch": epoch}, epoch)
        assert load(path) == {"epoch": epoch}
    assert [load(p)["epoch"] for p in sorted(tmp_path.iterdir())] == [0, 1, 4, 5]


def test_a_save_that_fails_leaves_the_earlier_checkpoints_and_no_part(tmp_path: Path) -> None:
    path = save(tmp_path, {"epoch": 0}, 0)
    with pytest.raises(Exception, match="pickle"):
        save(tmp_path, {"epoch": lambda: 1}, 1)
    assert list(tmp_path.iterdir()) == [path]


def test_without_a_log_folder_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = Recorder()
    train(CONFIG | {"epochs": 1}, report=report)
    assert report.checkpoints == [None]
    assert list(tmp_path.iterdir()) == []


class Malicious:
    """Unpickled without care, it makes a folder."""

    def __init__(self, proof: Path) -> None:
        self._proof = str(proof)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self._proof,)


def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(
    tmp_path: Path, good: Path
) -> None:
    proof, path = tmp_path / "proof", tmp_path / "bad.pt"
    torch.save(load(good) | {"extra": Malicious(proof)}, path)
    assert_refused(path, names="not a readable checkpoint: it holds more than tensors and plain")
    assert not proof.exists()


def test_in_an_array_too_it_is_refused_and_the_others_go_on(tmp_path: Path, good: Path) -> None:
    proof, path = tmp_path / "proof", tmp_path / "bad.pt"
    torch.save(load(good) | {"extra": Malicious(proof)}, path)
    reports = [Recorder(), Recorder()]
    errors = train_many([CONFIG, CONFIG], reports=reports, resume_from=[path, good])
    assert isinstance(errors[0], CheckpointError)
    assert errors[1] is None
    assert [len(report.metrics) for report in reports] == [0, 3]
    assert not proof.exists()


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    assert_refused(tmp_path / "none.pt", names="No such file")
    assert_refused(tmp_path, names="directory")


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(good: Path, kept: float) -> None:
    whole = good.read_bytes()
    good.write_bytes(whole[: int(len(whole) * kept)])
    assert_refused(good, names="not a readable checkpoint")


def test_a_flipped_bit_in_the_weights_is_noticed(good: Path) -> None:
    with zipfile.ZipFile(good) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
    changed = bytearray(good.read_bytes())
    changed[largest.header_offset + largest.file_size // 2] ^= 1
    good.write_bytes(changed)
    assert_refused(good, names="not a readable checkpoint")


@pytest.mark.parametrize("content", [b"\x80\x04junk", b"PK\x03\x04", b"hello\n", b"e\x88\xff\x00"])
def test_a_file_that_is_no_checkpoint_at_all_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "junk.pt"
    path.write_bytes(content)
    assert_refused(path, names="not a readable checkpoint")


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path, good: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save(load(good) | {"model": nn.Linear(2, 3).state_dict()}, path)
    assert_refused(path, names="not a checkpoint of this model")


@pytest.mark.parametrize("changed", [{"optimizer": "sgd"}, {"optimizer": "adamw"}])
def test_a_checkpoint_of_another_optimizer_is_refused(good: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="optimizer's settings differ"):
        train(CONFIG | changed, report=Recorder(), resume_from=good)


def test_a_run_goes_on_with_the_numbers_of_its_own_configuration(
    tmp_path: Path, good: Path
) -> None:
    epochs = int(load(good)["epoch"]) + 1
    changed = {"lr": 0.5, "weight_decay": 0.25, "epochs": epochs}
    train(CONFIG | changed, report=Recorder(), log_dir=tmp_path / "own", resume_from=good)
    [latest] = (tmp_path / "own").glob("checkpoint-*.pt")
    [group] = load(latest)["optimizer"]["param_groups"]
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.25)


def test_a_run_begun_when_steps_counted_from_0_goes_on_so_and_to_the_same_numbers(
    tmp_path: Path, good: Path
) -> None:
    state = load(good)
    del state["epoch"], state["step"]
    old = tmp_path / "checkpoint-00000.pt"
    torch.save(state | {"next_epoch": 1}, old)
    folders = [tmp_path / name for name in ("new", "alone", "array")]
    new, alone, array = reports = [Recorder() for _ in folders]
    train(CONFIG, report=new, log_dir=folders[0], resume_from=good)
    train(CONFIG, report=alone, log_dir=folders[1], resume_from=old)
    assert train_many([CONFIG], reports=[array], log_dirs=folders[2:], resume_from=[old]) == [None]
    assert new.learned == alone.learned
    for report, folder, first in zip(reports, folders, (2, 1, 1), strict=True):
        steps = [event.step for event in accumulate(folder).Scalars("loss/test")]
        assert steps == [first, first + 1, first + 2]
        assert report.last.name == f"checkpoint-{first + 2:05d}.pt"
        assert (load(report.last)["epoch"], load(report.last)["step"]) == (4, first + 2)
        assert json.loads((folder / "examination.json").read_text())["epoch"] == 4


@pytest.mark.parametrize("key", ["model", "optimizer", "shuffling", "epoch", "step"])
def test_a_checkpoint_that_lacks_or_garbles_a_part_is_refused(good: Path, key: str) -> None:
    state = load(good)
    torch.save(state | {key: None}, good)
    assert_refused(good, names="not a checkpoint of this model and optimizer")
    del state[key]
    torch.save(state, good)
    assert_refused(good, names="not a checkpoint of this model and optimizer")
    torch.save(torch.zeros(3), good)
    assert_refused(good, names="not a checkpoint of this model and optimizer")

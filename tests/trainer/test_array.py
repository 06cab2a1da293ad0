"""Runs trained as one array: the same results, the same files, and each its own failures."""

import itertools
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer import fuse_key, train, train_many
from trainer.checkpoint import load

GRID = [
    {"lr": lr, "batch_size": size, "shuffle": shuffle, "epochs": 2, "dataset": "digits"}
    for size, lr, shuffle in itertools.product((32, 64, 128), (0.01, 0.001), (True, False))
]
Config = dict[str, Any]
Epochs = list[dict[str, Any]]


class Kept(list[dict[str, Any]]):
    """A report that keeps what it is told; raises after `limit` epochs."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.checkpoints: list[Path | None] = []

    def __call__(self, metrics: Mapping[str, Any], *, checkpoint: Path | None = None) -> None:
        if len(self) == self.limit:
            raise ValueError("this member is at its end")
        self.append(dict(metrics))
        self.checkpoints.append(checkpoint)


@pytest.fixture
def double_precision() -> Iterator[None]:
    """In 64 bits, sums in another order agree to many digits even after many steps."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def alone(configs: Sequence[Config]) -> list[Kept]:
    kept = [Kept() for _ in configs]
    for config, report in zip(configs, kept, strict=True):
        train(config, report=report)
    return kept


def together(configs: Sequence[Config], **arguments: Any) -> list[Kept]:
    kept = [Kept() for _ in configs]
    assert train_many(configs, reports=kept, **arguments) == [None] * len(configs)
    return kept


def assert_close(one: Epochs, other: Epochs, tolerance: float, only: str = "") -> None:
    assert len(one) == len(other) > 0
    for metrics, want in zip(one, other, strict=True):
        assert set(metrics) == set(want)
        for name in {name for name in want if only in name} - {"images_per_second"}:
            assert metrics[name] == pytest.approx(want[name], rel=tolerance), name


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("size", [32, 64, 128])
def test_all_twelve_of_the_grid_learn_the_same_in_arrays_as_alone(size: int) -> None:
    configs = [config for config in GRID if config["batch_size"] == size]
    for one, other in zip(together(configs), alone(configs), strict=True):
        assert_close(one, other, 1e-6)


def test_in_32_bits_an_epoch_in_an_array_is_an_epoch_alone_within_a_percent() -> None:
    configs = [{**config, "epochs": 1} for config in GRID if config["lr"] == 0.001][:2]
    for one, other in zip(together(configs), alone(configs), strict=True):
        assert_close(one, other, 0.01, only="loss")


@pytest.mark.parametrize("kinds", [["adam"], ["adamw"], ["sgd"], ["adam", "sgd", "adamw"]])
def test_members_differ_in_lr_decay_momentum_shuffle_seed_and_optimizer(kinds: list[str]) -> None:
    configs = [
        {
            "dataset": "digits",
            "batch_size": 128,
            "epochs": 1,
            "optimizer": kinds[i % len(kinds)],
            "lr": 0.002 * (i + 1),
            "weight_decay": 0.01 * i,
            "momentum": 0.3 * i,
            "shuffle": i == 1,
            "seed": i,
        }
        for i in range(3)
    ]
    assert len({fuse_key(config) for config in configs}) == 1
    for one, other in zip(together(configs), alone(configs), strict=True):
        assert_close(one, other, 0.01, only="loss")


@pytest.mark.usefixtures("double_precision")
def test_a_checkpoint_from_an_array_goes_on_alone_and_the_other_way_round(tmp_path: Path) -> None:
    configs = [{**config, "epochs": 3} for config in GRID[:2]]
    whole = alone(configs)
    folders = [tmp_path / str(i) for i in range(2)]
    for config, folder in zip(configs, folders, strict=True):
        with pytest.raises(ValueError, match="at its end"):
            train(config, report=Kept(limit=1), log_dir=folder)
    saved = [folder / "checkpoint-00001.pt" for folder in folders]
    rest = together(configs, log_dirs=folders, resume_from=saved)
    for one, other in zip(rest, whole, strict=True):
        assert_close(one, other[1:], 1e-6)
    last = Kept()
    train(configs[0], report=last, resume_from=folders[0] / "checkpoint-00002.pt")
    assert_close(last, whole[0][2:], 1e-6)


def test_an_array_interrupted_and_formed_again_ends_with_the_same_bits(tmp_path: Path) -> None:
    configs = [{**config, "epochs": 3} for config in GRID[:3]]
    whole = [tmp_path / f"whole{i}" for i in range(3)]
    parts = [tmp_path / f"part{i}" for i in range(3)]
    undisturbed = together(configs, log_dirs=whole)
    assert all(train_many(configs, reports=[Kept(1) for _ in configs], log_dirs=parts))
    saved = [folder / "checkpoint-00001.pt" for folder in parts]
    rest = together(configs, log_dirs=parts, resume_from=saved)
    for one, other in zip(rest, undisturbed, strict=True):
        assert_close(one, other[1:], 0)
    for one, other in zip(parts, whole, strict=True):
        mine, want = (load(folder / "checkpoint-00003.pt")["model"] for folder in (one, other))
        assert all(torch.equal(mine[name], want[name]) for name in want)


def test_members_that_stand_at_different_epochs_all_come_to_their_end(tmp_path: Path) -> None:
    configs = GRID[:2]
    with pytest.raises(ValueError, match="at its end"):
        train(configs[1], report=Kept(limit=1), log_dir=tmp_path)
    kept = together(configs, resume_from=[None, tmp_path / "checkpoint-00001.pt"])
    assert [len(epochs) for epochs in kept] == [2, 1]


def test_a_member_whose_report_raises_ends_alone_and_is_named(tmp_path: Path) -> None:
    kept = [Kept(), Kept(limit=1), Kept()]
    folders = [tmp_path / str(i) for i in range(3)]
    errors = train_many(GRID[:3], reports=kept, log_dirs=folders)
    assert [str(error) for error in errors] == ["None", "this member is at its end", "None"]
    assert [len(epochs) for epochs in kept] == [2, 1, 2]


def test_a_member_that_diverged_goes_on_in_its_array(tmp_path: Path) -> None:
    configs = [{**config, "lr": lr} for config, lr in zip(GRID[:2], (1e30, 0.001), strict=True)]
    folders = [tmp_path / "0", tmp_path / "1"]
    assert all(train_many(configs, reports=[Kept(1), Kept(1)], log_dirs=folders))
    saved = [folder / "checkpoint-00001.pt" for folder in folders]
    diverged, healthy = together(configs, log_dirs=folders, resume_from=saved)
    assert diverged[-1]["loss/train"] != diverged[-1]["loss/train"]
    assert healthy[-1]["accuracy/test"] > 0.3


def test_a_member_whose_checkpoint_is_damaged_ends_alone(tmp_path: Path) -> None:
    (tmp_path / "damaged.pt").write_text("not a checkpoint")
    kept = [Kept(), Kept()]
    errors = train_many(GRID[:2], reports=kept, resume_from=[tmp_path / "damaged.pt", None])
    assert "damaged.pt is not a readable checkpoint" in str(errors[0])
    assert errors[1] is None
    assert [len(epochs) for epochs in kept] == [0, 2]


def test_a_checkpoint_of_a_member_is_no_larger_than_one_made_alone(tmp_path: Path) -> None:
    train({**GRID[0], "epochs": 1}, report=Kept(), log_dir=tmp_path / "alone")
    together(
        [{**config, "epochs": 1} for config in GRID[:3]],
        log_dirs=[tmp_path / str(i) for i in range(3)],
    )
    sizes = {p.parent.name: p.stat().st_size for p in tmp_path.rglob("checkpoint-00001.pt")}
    assert len(sizes) == 4
    assert max(sizes.values()) < 1.1 * sizes["alone"]


def test_an_array_does_without_torchs_compiler_whose_import_takes_a_second(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, trainer\n"
        "config = {'epochs': 1, 'dataset': 'digits'}\n"
        "logs = [pathlib.Path(sys.argv[1]) / name for name in 'ab']\n"
        "reports = [lambda metrics, checkpoint: None] * 2\n"
        "trainer.train_many([config, config], reports=reports, log_dirs=logs)\n"
        "print('torch._dynamo' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"

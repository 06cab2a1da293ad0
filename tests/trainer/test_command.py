"""`python -m trainer` as a user runs it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.plugins.hparams import api_pb2

from tests.commands import PATIENCE
from tests.trainer.conftest import Recorder, accumulate, statuses
from trainer import TrainConfig, train
from trainer.__main__ import main
from trainer.sources import FILES


def run(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trainer", *arguments],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_a_run_on_digits_shows_its_progress_and_fills_the_log_folder(tmp_path: Path) -> None:
    done = run("dataset=digits", "epochs=2", "shuffle=false", "--log-dir", "logs", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    first, second, blank, hint = done.stdout.splitlines()
    assert first.startswith("epoch 1/2   loss ")
    assert second.startswith("epoch 2/2   loss ")
    assert "accuracy" in second
    assert (blank, hint) == ("", "see it with: tensorboard --logdir logs")
    assert [event.step for event in accumulate(tmp_path / "logs").Scalars("loss/test")] == [1, 2]
    assert len(list((tmp_path / "logs").glob("checkpoint-*.pt"))) == 2
    assert statuses(tmp_path / "logs") == [api_pb2.STATUS_SUCCESS]


def test_all_bad_keys_and_values_are_listed_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    wrong = ("lr=-1", "shuffle=maybe", "epochs=two", "dataset=mnist", "bogus=1")
    done = run(*wrong, "batch_size=8", "--log-dir=logs", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    title, *lines = done.stderr.splitlines()
    assert title == "error: not a valid configuration:"
    assert {line.split(":")[0].strip() for line in lines} == {w.split("=")[0] for w in wrong}
    for argument, value in (pair.split("=") for pair in wrong):
        assert any(argument in line and line.endswith(f"got '{value}'") for line in lines)
    assert list(tmp_path.iterdir()) == []


def test_data_out_of_reach_are_told_with_the_ways_out_and_leave_the_log_folder_alone(
    tmp_path: Path,
) -> None:
    (tmp_path / "logs").mkdir()
    nowhere = "http://127.0.0.1:9"
    proxies = {"http_proxy": nowhere, "https_proxy": nowhere, "no_proxy": ""}
    done = run("data_dir=data", "--log-dir=logs", cwd=tmp_path, **proxies)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert "error: Fashion-MNIST is not in data/FashionMNIST/raw" in done.stderr
    assert all(f"{name}.gz" in done.stderr for name in FILES)
    assert "dataset=digits" in done.stderr
    assert list((tmp_path / "logs").iterdir()) == []


def test_an_interrupt_ends_the_run_in_one_line(tmp_path: Path) -> None:
    arguments = ["dataset=digits", "epochs=100000", "--log-dir", str(tmp_path / "logs")]
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("epoch 1/100000")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 130
    assert errors.count("\n") == 1
    assert errors.startswith("interrupted after ")
    assert statuses(tmp_path / "logs") == []


def test_a_run_that_fails_is_marked_so_in_its_log_folder(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-00001.part").mkdir()  # so that the checkpoint cannot be written
    with pytest.raises(OSError, match="checkpoint-00001"):
        main(["dataset=digits", "--log-dir", str(tmp_path)])
    assert statuses(tmp_path) == [api_pb2.STATUS_FAILURE]


def test_the_default_log_folder_is_one_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["dataset=digits", "epochs=1", "data_dir=../../.."]) == 0
    [folder] = (tmp_path / "runs/trainer").iterdir()
    assert folder.name.endswith("-dataset=digits,epochs=1,data_dir=.._.._..")
    assert list(folder.glob("checkpoint-*.pt"))
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["trainer"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["dataset"], "arguments must be key=value, got 'dataset'; see --help"),
        (["=1"], "arguments must be key=value, got '=1'; see --help"),
        (["--log-dir"], "--log-dir needs a folder"),
        (["--log-dir="], "--log-dir needs a folder"),
        (["dataset=digits", "--log-dir", __file__], f"{__file__} is a file"),
        (["dataset=digits", "batch_size=1501"], "batch_size must be at most 1,500"),
    ],
)
def test_a_bad_argument_is_told_and_nothing_is_written(
    arguments: list[str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ") and reason in shown.err
    assert list(tmp_path.iterdir()) == []


def test_help_lists_every_field_with_its_default_and_meaning(tmp_path: Path) -> None:
    done = run("--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for name, field in TrainConfig.model_fields.items():
        [line] = [x for x in done.stdout.splitlines() if x.strip().startswith(f"{name}=")]
        assert line.split()[0] == f"{name}={field.default}"
        assert field.description and field.description in line


def test_one_epoch_of_fashion_mnist_learns_to_tell_most_clothes(fashion_data: Path) -> None:
    report = Recorder()
    train({"epochs": 1, "batch_size": 128, "data_dir": str(fashion_data)}, report=report)
    [metrics] = report.metrics
    assert metrics["accuracy/test"] > 0.7
    assert metrics["correct/test"] == round(metrics["accuracy/test"] * 10_000)


OWN = """
import torch
from torch import nn
from trainer import Task, Tensors

pair = torch.randn(100, 4), torch.arange(100) % 3
task = Task(
    model=lambda config: nn.Sequential(nn.Linear(4, width := config["width"]), nn.Linear(width, 3)),
    data=lambda config: Tensors(train=pair, test=pair),
)
other = 1
"""


def test_a_task_of_ones_own_is_trained_by_its_name_and_refused_by_its_parameters(
    tmp_path: Path,
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    done = run("own:task", "width=4", "epochs=1", "--log-dir=logs", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("epoch 1/1   loss ")
    assert "examples/s" in done.stdout
    for arguments, reason in [
        (["own:task"], "model reads the parameter 'width', which is not set"),
        (["own:task", "width=4", "widht=4"], "widht: no such parameter; did you mean 'width'?"),
        (["own:other"], "own:other must be a trainer.Task; the module has task"),
        (["none:task"], "there is no module 'none'"),
    ]:
        done = run(*arguments, "--log-dir=never", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert reason in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "never").exists()

"""Sweeps run through a real Ray, on functions of the user's own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.commands import PATIENCE, Done, in_process, run_command, wait_until
from tests.shared import RunHere

TRAINABLES = Path(__file__).parents[1]
pytestmark = pytest.mark.ray


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a sweep file and the module that it names."""
    for name in ("trainables.py", "plain.py"):
        shutil.copy(TRAINABLES / name, tmp_path)
    (tmp_path / "sweep.yaml").write_text(
        "name: mine\n"
        "train: trainables:steady\n"
        "metric: loss\n"
        "mode: min\n"
        "parameters: {lr: [0.1, 0.2, 1e-3]}\n"
        "max_failures: 1\n"
    )
    return tmp_path


def run_alone(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, with a Ray of its own."""
    return run_command("run", "sweep.yaml", *arguments, cwd=folder)


Run = Callable[..., Done]


@pytest.fixture
def run(folder: Path, run_here: RunHere) -> Run:
    """The sweep of the folder, on the Ray of the tests."""
    return lambda *arguments: run_here("run", "sweep.yaml", *arguments, cwd=folder)


def rows(folder: Path, directory: str = "runs/mine") -> dict[float, dict[str, Any]]:
    """The results by learning rate."""
    shown = in_process("results", directory, "--format", "json", cwd=folder)
    assert shown.returncode == 0, shown.stderr
    return {row["config"]["lr"]: row for row in json.loads(shown.stdout)}


def test_every_trial_of_a_users_function_is_recorded_and_a_second_run_does_nothing(
    folder: Path,
) -> None:
    done = run_alone(folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 trials: 3 finished" in done.stdout
    assert "best: " in done.stdout
    assert "lr=0.001, loss 0.000333" in done.stdout
    found = rows(folder)
    assert set(found) == {0.1, 0.2, 0.001}
    row = found[0.1]
    assert row["status"] == "finished"
    assert row["epochs"] == 3
    assert row["attempts"] == 1
    assert row["seed"] == 0
    assert row["best"] == {"value": pytest.approx(0.1 / 3), "epoch": 3}
    output = folder / "runs/mine" / row["path"] / "output.log"
    assert output.read_text() == "hello from 0.1\n"
    before = snapshot(folder / "runs/mine/trials")
    again = run_alone(folder)
    assert again.returncode == 0
    assert "nothing to do" in again.stdout
    assert snapshot(folder / "runs/mine/trials") == before


def test_no_worker_is_started_beyond_those_that_run_at_once_and_every_report_is_told(
    folder: Path,
) -> None:
    grid = f"parameters.lr={[n / 64 for n in range(1, 49)]}"
    with TemporaryDirectory(prefix="ray-", dir="/tmp") as rays:  # sockets need short paths
        command = ("run", "sweep.yaml", "train=trainables:brief", grid, "--cpus", "4")
        done = run_command(*command, cwd=folder, RAY_TMPDIR=rays)
        started = list(Path(rays).glob("ray/session_2*/logs/worker-*.out"))
    assert done.returncode == 0, done.stderr
    assert len(started) <= 4
    told = Counter(re.findall(r"^(\w{8})  epoch [1-5] ", done.stdout, re.MULTILINE))
    assert set(told.values()) == {5}
    assert len(told) == 48


def test_a_plain_ray_tune_function_is_recorded_too(folder: Path, run: Run) -> None:
    done = run("train=plain:train")
    assert done.returncode == 0, done.stderr
    row = rows(folder)[0.1]
    assert row["epochs"] == 3
    assert row["metrics"] == {"loss": pytest.approx(0.1 / 3)}


def test_a_failing_trial_is_retried_from_its_checkpoint_and_the_others_go_on(
    folder: Path, run: Run
) -> None:
    done = run("train=trainables:fails_at_two")
    assert done.returncode == 1
    assert "ValueError: cannot go on; it is tried again" in done.stdout
    assert "after epoch 2 (attempt 2)" in done.stdout
    assert done.stderr == ""
    found = rows(folder)
    assert {lr: row["status"] for lr, row in found.items()} == {
        0.1: "finished",
        0.2: "failed",
        0.001: "finished",
    }
    failed = found[0.2]
    assert failed["error"] == "ValueError: cannot go on"
    assert (failed["attempts"], failed["epochs"]) == (2, 2)
    errors = (folder / "runs/mine" / failed["path"] / "errors.log").read_text()
    assert errors.count("Traceback (most recent call last):") == 2
    assert 'raise ValueError("cannot go on")' in errors
    assert "ray/tune" not in errors

    (folder / "trainables.py").write_text(
        (folder / "trainables.py").read_text().replace("epoch == 2:", "epoch == 9:")
    )
    repaired = run("train=trainables:fails_at_two")
    assert repaired.returncode == 0
    assert "3 trials: 2 finished, 1 tried again" in repaired.stdout
    assert rows(folder)[0.2]["epochs"] == 4


def test_a_trial_whose_process_is_killed_goes_on_from_its_checkpoint(
    folder: Path, run: Run
) -> None:
    done = run("train=trainables:killed_once", "parameters.lr=[0.1]")
    assert (done.returncode, done.stderr) == (0, "")
    assert "its process was killed by SIGKILL; it is tried again" in done.stdout
    row = rows(folder)[0.1]
    assert (row["status"], row["epochs"], row["attempts"]) == ("finished", 3, 2)


def test_a_metric_that_is_never_reported_ends_the_sweep_with_the_nearest_name(
    folder: Path, run: Run
) -> None:
    done = run("train=trainables:misnamed")
    assert done.returncode == 2
    assert "no 'loss'; it reported 'los'; did you mean 'los'?" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_function_that_reports_nothing_is_an_error(folder: Path, run: Run) -> None:
    done = run("train=trainables:silent")
    assert done.returncode == 2
    assert "without reporting 'loss'" in done.stderr


def test_a_trial_uses_as_many_threads_as_its_cpus_and_no_gpu_it_was_not_given(
    folder: Path,
) -> None:
    done = run_alone(
        folder, "train=trainables:threads", "resources.cpu=2", "resources.gpu=0", "--cpus", "2"
    )
    assert done.returncode == 0, done.stderr
    assert "1 at once, each with 2 CPU and no GPU" in done.stdout
    assert rows(folder)[0.1]["metrics"] == {"loss": 2, "gpus": 0}


def test_quarters_pack_four_trials_on_each_of_two_gpus(folder: Path) -> None:
    done = run_alone(
        folder, "train=trainables:threads", "resources.gpu=0.25", "--cpus", "8", "--gpus", "2"
    )
    assert done.returncode == 0, done.stderr
    assert "8 at once, each with 1 CPU and 0.25 GPU" in done.stdout
    row = rows(folder)[0.1]
    assert row["metrics"]["gpus"] == 1
    assert row["where"].endswith(("gpu 0", "gpu 1"))


def test_more_values_run_only_the_difference_and_dropped_ones_are_no_longer_listed(
    folder: Path, run: Run
) -> None:
    assert run("parameters.lr=[0.1, 0.2]").returncode == 0
    extended = run("parameters.lr=[0.2, 0.3]", "seeds=2")
    assert "4 trials: 1 finished, 3 new" in extended.stdout
    assert set(rows(folder)) == {0.2, 0.3}
    assert len(list((folder / "runs/mine/trials").iterdir())) == 5


def test_a_member_that_fails_in_an_array_is_tried_again_alone_and_the_others_go_on(
    folder: Path, run: Run
) -> None:
    done = run("train=trainables:many")
    assert (done.returncode, done.stderr) == (0, "")
    assert "trials train in 2 arrays of 2, 1" in done.stdout
    assert "ValueError: no second epoch for 0.2; it is tried again" in done.stdout
    found = rows(folder)
    assert {lr: (row["status"], row["epochs"], row["attempts"]) for lr, row in found.items()} == {
        0.1: ("finished", 2, 1),
        0.2: ("finished", 2, 2),
        0.001: ("finished", 2, 1),
    }
    output = folder / "runs/mine" / found[0.1]["path"] / "output.log"
    assert output.read_text() == "together: 2\n"
    errors = (folder / "runs/mine" / found[0.2]["path"] / "errors.log").read_text()
    assert "attempt 1: ValueError" in errors


def test_fuse_off_runs_every_trial_alone(folder: Path, run: Run) -> None:
    done = run("train=trainables:many", "fuse=off", "parameters.lr=[0.1, 0.2]")
    assert done.returncode == 0, done.stderr
    assert "trials train alone, as fuse is off" in done.stdout
    assert {row["attempts"] for row in rows(folder).values()} == {1}


def test_ctrl_c_stops_says_how_to_go_on_and_the_same_command_continues(folder: Path) -> None:
    command = [sys.executable, "-m", "sweeps", "run", "sweep.yaml", "train=trainables:endless"]
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    trials = folder / "runs/mine/trials"
    wait_until(lambda: len(list(trials.glob("*/history.jsonl"))) >= 2, "two trials to report")
    blocked = run_alone(folder, "train=trainables:endless")
    assert blocked.returncode == 2
    assert f"process {process.pid} on " in blocked.stderr
    running = run_command("status", "runs/mine", cwd=folder).stdout
    assert "2 running" in running
    assert "running now" in running
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "2 interrupted" in stderr
    assert "Run the same command to go on" in stderr
    assert "Traceback" not in stderr
    plan = run_command("plan", "sweep.yaml", "train=trainables:endless", cwd=folder)
    assert "3 trials: 2 continued, 1 new" in plan.stdout


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

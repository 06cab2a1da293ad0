"""Faults of trials, in one sweep: each is a trial's own, and the others come out as ever."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import TOGETHER, Sweep
from tests.shared import RunHere

FAULTS = {
    1: "killed",
    2: "killed while it saves",
    3: "killed always",
    4: "out of GPU memory",
    5: "sleeps",
    6: "nan",
}
EIGHT = "parameters.x=[1,2,3,4,5,6,7,8]"
HEALTHY = {1, 2, 4, 5, 7, 8}


@pytest.fixture(scope="module")
def disturbed(shared_sweep: Sweep) -> tuple[Sweep, Any]:
    done = shared_sweep.run(
        EIGHT,
        TOGETHER,
        "parameters.seconds=0",
        "stop_when_not_finite=1",
        "epoch_timeout=5",
        faults=FAULTS,
    )
    return shared_sweep, done


def test_each_trial_comes_out_as_if_undisturbed_and_only_the_hopeless_one_fails(
    disturbed: tuple[Sweep, Any], undisturbed: dict[int, Any]
) -> None:
    sweep, done = disturbed
    assert (done.returncode, done.stderr) == (1, "")
    assert "8 trials: 6 finished, 1 stopped, 1 failed" in done.stdout
    sweep.check_like(undisturbed, only=HEALTHY)
    attempts = {x: row["attempts"] for x, row in sweep.rows().items()}
    assert attempts == {1: 2, 2: 2, 3: 2, 4: 2, 5: 2, 6: 1, 7: 1, 8: 1}


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (1, "its process was killed by SIGKILL"),
        (4, "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB"),
        (5, "took longer than 5 s (epoch_timeout), and was ended"),
    ],
)
def test_what_happened_is_said_and_recorded(
    disturbed: tuple[Sweep, Any], x: int, says: str
) -> None:
    sweep, done = disturbed
    assert f"{says}; it is tried again" in done.stdout
    assert f"attempt 1: {says}\n" in (sweep.trials()[x] / "errors.log").read_text()


def test_where_a_trial_hung_is_in_its_errors(disturbed: tuple[Sweep, Any]) -> None:
    sweep, _ = disturbed
    errors = (sweep.trials()[5] / "errors.log").read_text()
    assert "chained.py" in errors
    assert "in bring_about" in errors


def test_a_trial_killed_too_often_fails_with_its_epochs_kept(disturbed: tuple[Sweep, Any]) -> None:
    sweep, _ = disturbed
    row = sweep.rows()[3]
    assert (row["status"], row["epochs"]) == ("failed", 2)


def test_a_diverged_trial_is_stopped_and_never_wins(disturbed: tuple[Sweep, Any]) -> None:
    sweep, done = disturbed
    row = sweep.rows()[6]
    assert (row["status"], row["error"]) == ("stopped", "diverged: loss is nan at epoch 3")
    assert f"best: {row['id']}" not in done.stdout


def test_failed_trials_alone_are_tried_again_on_request(
    disturbed: tuple[Sweep, Any], undisturbed: dict[int, Any]
) -> None:
    sweep, _ = disturbed
    values = EIGHT.replace("]", ",9]")
    done = sweep.run(values, "parameters.seconds=0", "--retry", "failed")
    assert done.returncode == 0, done.stderr
    assert "9 trials: 6 finished, 1 stopped, 1 tried again, 1 left as they are" in done.stdout
    sweep.check_like(undisturbed, only={3})


def test_a_plain_ray_tune_function_that_diverges_is_stopped_too(
    sweep: Sweep, run_here: RunHere
) -> None:
    shutil.copy(Path(__file__).parents[1] / "plain.py", sweep.folder)
    chosen = ("train=plain:diverges", "parameters.x=[1,2]", "stop_when_not_finite=1")
    done = run_here("run", "sweep.yaml", *chosen, cwd=sweep.folder)
    assert (done.returncode, done.stderr) == (0, "")
    rows = sweep.rows()
    assert (rows[2]["status"], rows[2]["epochs"]) == ("stopped", 2)
    assert rows[2]["error"] == "diverged: loss is inf at epoch 2"
    assert (rows[1]["status"], rows[1]["epochs"]) == ("finished", 4)


@pytest.mark.alone
@pytest.mark.own_ray
def test_the_memory_monitor_takes_a_trial_and_not_the_sweep(
    sweep: Sweep, undisturbed: dict[int, Any]
) -> None:
    memory = {
        line.split(":")[0]: int(line.split()[1])
        for line in Path("/proc/meminfo").read_text().splitlines()
    }
    total = memory["MemTotal"]
    used = 1 - memory["MemAvailable"] / total
    done = sweep.run(
        TOGETHER,
        "parameters.seconds=0",
        "max_failures=2",
        faults={2: "takes all memory"},
        RAY_memory_usage_threshold=f"{used + 1.8 * 2**20 / total:.4f}",  # GiB
        RAY_memory_monitor_refresh_ms="50",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "it is tried again" in done.stdout
    sweep.check_like({x: undisturbed[x] for x in range(1, 7)})


def test_the_program_that_forks_is_started_again(sweep: Sweep, undisturbed: dict[int, Any]) -> None:
    """Those under way go on from their checkpoints in processes of another one."""
    faults = {2: "kills what it was forked by"}
    done = sweep.run("parameters.seconds=0", TOGETHER, faults=faults)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "the program that starts its processes was killed; it is tried again" in done.stdout
    sweep.check_like({x: undisturbed[x] for x in range(1, 7)})

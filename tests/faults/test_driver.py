"""Faults of the driver, of Ray, and of what is around them: the same command ends the same."""

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.commands import run_command, wait_until
from tests.faults.conftest import TOGETHER, Sweep, raylets
from tests.shared import RunHere

ALL = range(1, 7)
COMMAND = ["-m", "sweeps", "run", "sweep.yaml", "parameters.seconds=0.2", TOGETHER]


SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.mark.own_ray
def test_a_signal_ends_the_sweep_in_order_and_the_next_run_goes_on(
    sweep: Sweep, run_here: RunHere, undisturbed: dict[int, Any]
) -> None:
    """One after the other: each run goes on where the last was ended, behind a gate of its own."""
    gate = sweep.folder / "gate"
    for epochs, (signum, status) in enumerate(SIGNALS.items(), start=1):
        gate.write_text(str(epochs))
        process = sweep.start("parameters.x=[1,2]", TOGETHER)
        sweep.wait_for_epochs(epochs, trials=2)
        os.kill(process.pid, signum)
        all_told = lambda: {*statuses(sweep)} == {"interrupted"}  # noqa: E731
        wait_until(all_told, "all to be recorded")
        assert process.poll() is None  # before Ray is ended: a job has three seconds to live
        returned, stderr = sweep.wait_for(process)
        assert returned == status
        assert "2 interrupted. Run the same command to go on" in stderr
        assert "Traceback" not in stderr
        assert "SIGTERM" not in stderr
    gate.unlink()
    done = sweep.go_on(run_here, "parameters.x=[1,2]")
    assert "2 continued from epoch 3" in done.stdout
    sweep.check_like({x: undisturbed[x] for x in (1, 2)})


def statuses(sweep: Sweep) -> list[str]:
    """As recorded, whether or not the driver still holds the directory."""
    files = sweep.directory.glob("trials/*/trial.json")
    return [json.loads(path.read_text())["status"] for path in files]


@pytest.mark.own_ray
def test_a_terminal_that_goes_away_leaves_nothing_running(
    sweep: Sweep, run_here: RunHere, undisturbed: dict[int, Any]
) -> None:
    pid, terminal = os.forkpty()
    if pid == 0:  # the child, whose terminal is closed below
        os.chdir(sweep.folder)
        os.environ |= sweep.environment(TERM="xterm")
        os.execv(sys.executable, [sys.executable, *COMMAND])  # noqa: S606
    sweep.wait_for_epochs(1, trials=2)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 129
    sweep.wait_until_gone()
    assert sweep.go_on(run_here).returncode == 0
    sweep.check_like({x: undisturbed[x] for x in ALL})


def test_a_trial_that_ignores_the_signal_is_ended_with_the_sweep(sweep: Sweep) -> None:
    process = sweep.start("parameters.x=[5]", faults={5: "sleeps"})
    wait_until(lambda: (sweep.folder / "5.happened").exists(), "the trial to hang")
    os.kill(process.pid, signal.SIGINT)
    assert sweep.wait_for(process)[0] == 130
    sweep.wait_until_gone()


@pytest.mark.own_ray
def test_without_its_raylet_the_sweep_ends_and_goes_on_by_the_same_command(
    sweep: Sweep, run_here: RunHere, undisturbed: dict[int, Any]
) -> None:
    (sweep.folder / "gate").write_text("1")
    process = sweep.start(TOGETHER)
    sweep.wait_for_epochs(1, trials=2)
    [raylet] = raylets(sweep.processes())
    os.kill(raylet, signal.SIGKILL)
    status, stderr = sweep.wait_for(process, 90)
    assert status == 1
    assert "Ray has no node left" in stderr
    sweep.wait_until_gone()
    (sweep.folder / "gate").unlink()
    assert sweep.go_on(run_here).returncode == 0
    sweep.check_like({x: undisturbed[x] for x in ALL})


def test_a_second_run_is_refused_and_the_first_is_not_disturbed(
    sweep: Sweep, undisturbed: dict[int, Any]
) -> None:
    gate = sweep.folder / "gate"
    gate.write_text("1")
    first = sweep.start(TOGETHER)
    sweep.wait_for_epochs(1, trials=2)
    second = sweep.run()
    gate.unlink()
    assert second.returncode == 2
    assert f"in use by another `sweeps run` (process {first.pid} on " in second.stderr
    assert sweep.wait_for(first)[0] == 0
    assert {row["attempts"] for row in sweep.rows().values()} == {1}
    sweep.check_like({x: undisturbed[x] for x in ALL})


def test_a_busy_port_is_said_in_one_line(finished: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        done = run_command("board", "runs/quickstart", "--port", port, cwd=finished)
    assert done.returncode == 2
    assert f"port {port} cannot be used (Address already in use); choose another" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.own_ray
def test_a_home_that_cannot_be_written_is_not_needed(
    sweep: Sweep, undisturbed: dict[int, Any]
) -> None:
    done = sweep.run("parameters.x=[1]", "parameters.seconds=0", HOME="/proc/nowhere")
    assert (done.returncode, done.stderr) == (0, "")
    sweep.check_like({1: undisturbed[1]})

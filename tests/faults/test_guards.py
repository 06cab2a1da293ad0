"""What is stopped before it burns the grid, and what must never fail a trial."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from sweeps.command import display
from sweeps.sweep import Sweep as PublicSweep
from sweeps.worker.job import INSIDE
from tests.commands import Done, in_process, inside, wait_until
from tests.drivers import RunningRay
from tests.faults.conftest import Sweep
from tests.shared import RunHere

pytestmark = pytest.mark.ray
Run = Callable[..., Done]
SIX = "parameters.x=[1,2,3,4,5,6]"


@pytest.fixture
def run(sweep: Sweep, run_here: RunHere) -> Run:
    """The sweep on the Ray of the tests."""
    return lambda *arguments: run_here("run", "sweep.yaml", *arguments, cwd=sweep.folder)


def test_a_function_that_always_raises_stops_the_sweep_with_its_one_traceback(
    sweep: Sweep, run: Run
) -> None:
    done = run("train=chained:raises", SIX)
    assert done.returncode == 1
    assert "no trial got as far as a first report, and " in done.stderr
    assert done.stderr.count("Traceback (most recent call last):") == 1
    assert 'raise ValueError("there is nothing to train")' in done.stderr
    started = [row for row in sweep.rows().values() if row["attempts"]]
    assert len(started) < 6


def test_a_single_trial_that_raises_fails_by_itself(sweep: Sweep, run: Run) -> None:
    done = run("train=chained:raises", "parameters.x=[1]", "max_failures=4")
    assert done.returncode == 1
    row = sweep.rows()[1]
    assert (row["status"], row["attempts"]) == ("failed", 2)


def test_a_worker_that_cannot_import_the_module_is_said_so(sweep: Sweep) -> None:
    """The module is there for the driver, and refuses to be imported anywhere else."""
    module = sweep.folder / "chained.py"
    module.write_text(
        'import sys\nif "sweeps.command.cli" not in sys.modules:\n'
        '    raise ImportError("only here")\n' + module.read_text()
    )
    done = sweep.run(SIX)
    assert done.returncode == 1
    assert "importing 'chained' failed" in done.stderr
    assert "ImportError: only here" in done.stderr
    assert sum(row["attempts"] for row in sweep.rows().values()) <= 8


def test_a_metric_that_is_missing_ends_the_sweep_at_once(run: Run) -> None:
    done = run("metric=los", SIX)
    assert done.returncode == 2
    assert "reported no 'los'; it reported 'loss', 'epoch'; did you mean 'loss'?" in done.stderr


@pytest.mark.filterwarnings("ignore")
def test_a_display_that_fails_fails_nothing_else(
    sweep: Sweep,
    ray_of_tests: RunningRay,
    undisturbed: dict[int, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Broken(display.Progress):
        def reported(self, record: Any) -> None:
            raise RuntimeError("no paint left")

    with inside(sweep.folder):
        opened = PublicSweep.from_yaml("sweep.yaml", ["parameters.x=[1]", "parameters.seconds=0"])
        results = opened.run(progress=Broken())
    assert [row.status for row in results] == ["finished"]
    assert "the display has failed (RuntimeError('no paint left')); the sweep goes on" in (
        capsys.readouterr().err
    )
    assert results[0].metrics == undisturbed[1]["metrics"]


def test_events_that_cannot_be_written_fail_no_trial(
    sweep: Sweep, run: Run, undisturbed: dict[int, Any]
) -> None:
    """What logs the reports breaks, in the trial's process alone: the driver is this one."""
    module = sweep.folder / "chained.py"
    module.write_text(
        module.read_text()
        + "\nimport sweeps.records.events\n"
        + "def broken(self, metrics, step, others):\n    raise RuntimeError('no ink left')\n"
        + f"if {INSIDE!r} in os.environ:\n    sweeps.records.events.EventLog.log = broken\n"
    )
    done = run("parameters.x=[1]", "parameters.seconds=0")
    assert (done.returncode, done.stderr) == (0, "")
    assert sweep.numbers()[1] == undisturbed[1]
    assert (
        "no more events for TensorBoard: RuntimeError('no ink left')"
        in (sweep.trials()[1] / "output.log").read_text()
    )


def test_an_array_killed_while_its_members_report_ends_with_the_same_bits(
    sweep: Sweep, run_here: RunHere
) -> None:
    """The shipped trainer, four trials in two arrays, the driver killed twice."""
    small = ["parameters.epochs=6", "parameters.lr=[0.01,0.001]", "parameters.batch_size=64"]
    folder = sweep.folder

    def results(directory: str) -> dict[str, Any]:
        shown = in_process("results", directory, "--format", "json", cwd=folder)
        rows = {row["id"]: row for row in json.loads(shown.stdout)}
        for row in rows.values():
            del row["metrics"]["images_per_second"]
        kept = ("status", "epochs", "metrics", "best")
        return {key: {name: row[name] for name in kept} for key, row in rows.items()}

    undisturbed = run_here("run", "quickstart", *small, "--dir", "whole", cwd=folder)
    assert undisturbed.returncode == 0, undisturbed.stderr
    for epochs in (2, 4):
        process = sweep.start(*small, "--dir", "killed", file="quickstart")
        wait_until(
            lambda: any(
                len(file.read_text().splitlines()) >= epochs  # noqa: B023
                for file in folder.glob("killed/trials/*/history.jsonl")
            ),
            f"a trial with {epochs} epochs",
        )
        sweep.kill(process)
    done = run_here("run", "quickstart", *small, "--dir", "killed", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert results("killed") == results("whole")

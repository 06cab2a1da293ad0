"""What a run does beyond its first trials, in one run of Ray Tune: who need not wait does not."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands import in_process, wait_until
from tests.drivers import RunningRay, start_driver
from tests.shared import RunHere

pytestmark = pytest.mark.ray
WAITING = """
import time
from pathlib import Path

BUDGET = "epochs"
HERE = Path(__file__).parent


def train(config, *, report, resume_from=None):
    begin = int(resume_from.read_text()) if resume_from else 0
    for epoch in range(begin + 1, config["epochs"] + 1):
        deadline = time.monotonic() + 60
        while config["x"] == config["late"] and not (HERE / config["after"]).exists():
            if time.monotonic() > deadline:
                raise TimeoutError("nobody went ahead")
            time.sleep(0.02)
        (HERE / f"{config['x']} at {epoch}").touch()
        (HERE / str(config['x'])).write_text(str(epoch))
        report({"loss": config["x"] / epoch}, checkpoint=HERE / str(config['x']))
"""
SWEEP = """
name: mine
train: waiting:train
metric: loss
mode: min
parameters: {x: [1, 3, 4, 2], late: 2, after: 1 at 2, epochs: 4}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "waiting.py").write_text(WAITING)
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    return tmp_path


def rows(folder: Path) -> dict[int, dict[str, Any]]:
    shown = in_process("results", "runs/mine", "--format", "json", cwd=folder)
    return {row["config"]["x"]: row for row in json.loads(shown.stdout)}


def test_who_is_certain_to_go_on_does_not_wait_for_the_last_at_its_rung(
    folder: Path, run_here: RunHere
) -> None:
    """2 stands still at the first rung until 1 is beyond it; 3 and 4 are worse than 1."""
    halving = "search={halving: {factor: 2, first: 1}}"
    done = run_here("run", "sweep.yaml", halving, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    found = rows(folder)
    assert {x: (row["status"], row["epochs"]) for x, row in found.items()} == {
        1: ("finished", 4),
        2: ("stopped", 2),
        3: ("stopped", 1),
        4: ("stopped", 1),
    }
    assert found[3]["error"] == "rank 3 of 4 at epoch 1"
    assert found[2]["error"] == "rank 2 of 2 at epoch 2"
    ahead, late = found[1]["id"], found[2]["id"]
    assert done.stdout.index(f"{ahead}  epoch 2/4") < done.stdout.index(f"{late}  epoch 1/4")
    assert "\n4 trials: 3 stopped, 1 continued from epoch 1; trials train alone" in done.stdout
    assert "[4 done  0 running  0 waiting  0 failed" in done.stdout
    assert "nothing to do" in run_here("run", "sweep.yaml", halving, cwd=folder).stdout


def test_trials_of_a_wider_file_begin_while_those_of_the_first_are_under_way(
    folder: Path, ray_of_tests: RunningRay
) -> None:
    """2 stands still until 5 has begun, which is in the wider file only."""
    first = ("parameters.x=[1,2]", "parameters.after=5 at 1")
    process = start_driver(ray_of_tests, ("run", "sweep.yaml", *first), folder, {}, {})
    wait_until((folder / "1 at 4").exists, "the first trial to train")
    wider = in_process("run", "sweep.yaml", "parameters.x=[1,2,5]", first[1], cwd=folder)
    assert (wider.returncode, wider.stderr) == (0, "")
    assert "the run under way was given 1 more trial" in wider.stdout
    assert process.wait(120) == 0, (folder / "stderr").read_text()
    assert {x: row["status"] for x, row in rows(folder).items()} == dict.fromkeys(
        (1, 2, 5), "finished"
    )
    said = (folder / "stdout").read_text()
    assert "3 trials: 1 finished, 1 new, 1 under way" in said
    assert "3 trials: 3 finished" in said

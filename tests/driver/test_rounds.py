"""What a run does beyond its first trials, in one run of Ray Tune: who need not wait does not."""

import json
import math
import os
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sweeps import Sweep
from sweeps.records.history import Report
from sweeps.records.ledger import Ledger
from sweeps.records.record import Record, Status
from sweeps.state import State
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
        deadline = time.monotonic() + 300
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
    assert "nobody went ahead" not in done.stdout
    assert re.search(r"\n4 trials: .*1 continued from epoch 1.*; trials train alone", done.stdout)
    assert "[4 done  0 running  0 waiting  0 failed" in done.stdout
    assert "nothing to do" in run_here("run", "sweep.yaml", halving, cwd=folder).stdout


def test_after_a_kill_those_at_a_rung_go_ahead_again(
    folder: Path, ray_of_tests: RunningRay, run_here: RunHere
) -> None:
    """1 is not among those that the second run begins with."""
    arguments = ("run", "sweep.yaml", "search={halving: {factor: 2, first: 1}}")
    alone = (*arguments, "resources.cpu=2")  # so that 1 has no place beside 2
    process = start_driver(ray_of_tests, alone, folder, {}, {})
    said = folder / "stdout"
    wait_until(lambda: said.exists() and "started     x=2" in said.read_text(), "the last to begin")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert "[3 done" in said.read_text() and not (folder / "1 at 2").exists()
    done = run_here(*arguments, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 trials: 3 stopped, 1 continued" in done.stdout
    assert [rows(folder)[x]["epochs"] for x in (1, 2, 3, 4)] == [4, 2, 1, 1]


def test_a_trial_under_way_has_not_come_to_its_rung_before_its_end_is_known(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1 and 3 have reported their first epoch; what makes 1 diverge has yet to be told."""
    monkeypatch.chdir(folder)
    sweep = Sweep.from_yaml("sweep.yaml", ["parameters.x=[1,3]", "search=halving"])
    state = State(sweep._wanted, sweep._former, Ledger(folder / "runs/mine"))
    state.decide()
    one, three = state.trials
    history = [Report(1, {"loss": 1.0}, 1.0, "1.pt")]
    records = {
        one.id: Record(one.id, one.config, one.name, Status.RUNNING, until=1, history=history),
        three.id: Record(three.id, three.config, three.name, Status.STOPPED, until=1),
    }
    records[three.id].history.append(Report(1, {"loss": 3.0}, 1.0, "1.pt"))
    early = state.decide(now=records, busy={one.id: 1})
    assert (early.round, early.todo, early.under_way) == (0, (), (one,))
    diverged = replace(records[one.id], status=Status.STOPPED, until=None, error="diverged: nan")
    after = state.decide(now=records | {one.id: diverged})
    assert (after.round, after.todo) == (1, (three,))


def test_one_that_diverges_on_its_way_to_the_next_rung_was_at_its_rung(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1 goes ahead, and diverges at the epoch after; Ray has yet to tell that it has ended."""
    monkeypatch.chdir(folder)
    halving = "search={halving: {factor: 2, first: 1}}"
    sweep = Sweep.from_yaml("sweep.yaml", ["parameters.x=[1,2,3,4]", halving])
    state = State(sweep._wanted, sweep._former, Ledger(folder / "runs/mine"))
    state.decide()
    reports = [Report(1, {"loss": 1.0}, 1.0, "1.pt"), Report(2, {"loss": math.nan}, 1.0)]
    records = {
        t.id: Record(t.id, t.config, t.name, Status.STOPPED, until=1, history=[each])
        for t, each in zip(
            state.trials,
            [reports[0], *(Report(1, {"loss": x}, 1.0, "1.pt") for x in (2.0, 3.0, 4.0))],
            strict=True,
        )
    }
    one, two, *_ = state.trials
    lost = replace(records[one.id], until=None, error="diverged: nan", history=reports)
    plan = state.decide(now=records | {one.id: lost}, busy={one.id: 2})
    assert (plan.round, plan.todo, plan.under_way) == (1, (two,), (one,))


def test_trials_of_a_wider_file_begin_while_those_of_the_first_are_under_way(
    folder: Path, ray_of_tests: RunningRay
) -> None:
    """2 stands still until 5 has begun, which is in the wider file only; all train longer there."""
    first = ("parameters.x=[1,2]", "parameters.after=5 at 1")
    process = start_driver(ray_of_tests, ("run", "sweep.yaml", *first), folder, {}, {})
    wait_until((folder / "1 at 4").exists, "the first trial to train")
    more = ("parameters.x=[1,2,5]", first[1], "parameters.epochs=5")
    wider = in_process("run", "sweep.yaml", *more, cwd=folder)
    assert (wider.returncode, wider.stderr) == (0, "")
    assert "the run under way was given 1 more trial" in wider.stdout
    assert process.wait(120) == 0, (folder / "stderr").read_text()
    found = {x: (row["status"], row["epochs"]) for x, row in rows(folder).items()}
    assert found == dict.fromkeys((1, 2, 5), ("finished", 5))
    said = (folder / "stdout").read_text()
    assert "3 trials: 1 continued from epoch 4, 1 new, 1 under way" in said
    assert "3 trials: 3 finished" in said

"""A population of the shipped trainer's, through a real Ray."""

import json
from pathlib import Path

import pytest

from tests.commands import in_process
from tests.faults.conftest import scalar_steps
from tests.shared import RunHere

SWEEP = """
name: population
train: trainer:train
metric: loss/test
mode: min
parameters: {dataset: digits, subset: 0.2, lr: {log_uniform: [1e-4, 1e-1]}, epochs: 4}
samples: 4
search: {population: {every: 2}}
"""


@pytest.mark.ray
def test_a_new_member_goes_on_from_its_parent_with_another_rate_and_a_whole_curve(
    tmp_path: Path, run_here: RunHere
) -> None:
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    planned = in_process("plan", "sweep.yaml", cwd=tmp_path)
    assert "rungs at epochs 2, 4; at each of these the worst 1 of 4 go on" in planned.stdout
    done = run_here("run", "sweep.yaml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    shown = in_process("results", "runs/population", "--format", "json", cwd=tmp_path)
    rows = {row["id"]: row for row in json.loads(shown.stdout)}
    [child] = [row for row in rows.values() if row["origin"]]
    [stopped] = [row for row in rows.values() if row["status"] == "stopped"]
    parent = rows[child["origin"]["parent"]]
    assert stopped["error"] == (
        f"rank 4 of 4 at epoch 2; {child['id']} goes on from {parent['id']} in its place"
    )
    assert child["config"]["lr"] != parent["config"]["lr"]
    folders = [tmp_path / "runs/population" / row["path"] for row in (parent, child)]
    assert [scalar_steps(folder, "loss/test") for folder in folders] == [[1, 2, 3, 4]] * 2
    of_parent, of_child = [
        [json.loads(line)["metrics"] for line in (f / "history.jsonl").read_text().splitlines()]
        for f in folders
    ]
    assert of_child[:2] == of_parent[:2]
    assert of_child[2]["loss/train"] != of_parent[2]["loss/train"]
    in_process("report", "runs/population", cwd=tmp_path)
    page = (tmp_path / "runs/population/report.html").read_text()
    assert f"to epoch 2 ({parent['id']})" in page
    replayed = in_process("replay", "runs/population", child["id"], cwd=tmp_path)
    assert replayed.returncode != 0
    assert "has gone on from" in replayed.stderr
    again = run_here("run", "sweep.yaml", cwd=tmp_path)
    assert "5 trials: 4 finished, 1 stopped" in again.stdout

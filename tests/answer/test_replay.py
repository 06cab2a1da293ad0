"""A recorded trial is run again, alone or with its array, and its numbers are compared."""

import json
from pathlib import Path

from sweeps.records.seal import seal
from tests.commands import run_command


def trials(folder: Path) -> dict[str, Path]:
    """The folders of the two pairs that train most quickly, by the trial's id."""
    records = (folder / "runs/quickstart/trials").glob("*batch_size=128*/trial.json")
    return {json.loads(path.read_text())["id"]: path.parent for path in records}


def test_a_trial_of_an_array_comes_out_the_same_to_the_bit(finished: Path) -> None:
    key, folder = next(iter(trials(finished).items()))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    done = run_command("replay", "runs/quickstart", key, cwd=finished)
    assert (done.returncode, done.stderr) == (0, "")
    assert "epoch 5  the same\n" in done.stdout
    assert f"{key}: 5 epochs, in an array of 2 as then; the same to the bit" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_other_numbers_are_named_with_what_has_changed_since(finished: Path) -> None:
    key, folder = next(reversed(trials(finished).items()))
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    lines[1]["metrics"]["loss/test"] *= 1.5
    (folder / "history.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    record = json.loads((folder / "trial.json").read_text())
    changed = {**record, "code": "another", "sealed": seal(folder)}
    (folder / "trial.json").write_text(json.dumps(changed))
    done = run_command("replay", "runs/quickstart", key, cwd=finished)
    assert done.returncode == 1
    assert "epoch 1  the same\nepoch 2  not the same\nepoch 3  the same\n" in done.stdout
    assert "not the same: at most 0.33 apart" in done.stdout
    assert "first loss/test at epoch 2: " in done.stdout
    assert "not as it was then: the training code\n" in done.stdout


def test_what_cannot_be_replayed_says_why(finished: Path) -> None:
    unknown = run_command("replay", "runs/quickstart", "nonsense", cwd=finished)
    assert unknown.returncode == 2
    assert "runs/quickstart holds no trial 'nonsense'; `sweeps status" in unknown.stderr
    key, folder = next(iter(trials(finished).items()))
    (folder / "history.jsonl").unlink()
    record = json.loads((folder / "trial.json").read_text())
    (folder / "trial.json").write_text(json.dumps({**record, "sealed": None}))
    empty = run_command("replay", "runs/quickstart", key, cwd=finished)
    assert empty.returncode == 2
    assert "has reported nothing yet" in empty.stderr

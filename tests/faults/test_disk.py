"""Damage on disk, and disks without room: what is whole is kept, the rest is done again."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import run_command
from tests.faults.conftest import TOGETHER, Sweep, scalar_steps
from tests.shared import RunHere


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def latest(pattern: str) -> Callable[[Path], Path]:
    return lambda folder: max(folder.glob(pattern))


CHECKPOINT, RECORD = latest("checkpoints/*.json"), latest("trial.json")
EVENTS = latest("events.out.tfevents.*")
DAMAGE: dict[int, tuple[Callable[[Path], Path], Callable[[Path], Any]]] = {
    1: (CHECKPOINT, Path.unlink),
    2: (CHECKPOINT, cut),
    3: (CHECKPOINT, flip),
    4: (RECORD, cut),
    5: (RECORD, empty),
    6: (EVENTS, cut),
    7: (EVENTS, flip),
    8: (latest("history.jsonl"), cut),
}


def test_damage_of_every_kind_is_mended_also_in_another_place(
    sweep: Sweep, run_here: RunHere, undisturbed: dict[int, Any]
) -> None:
    """All eight trials are killed after three epochs, damaged each in its way, and moved."""
    (sweep.folder / "gate").write_text("3")
    every = "parameters.x=[1,2,3,4,5,6,7,8]"
    process = sweep.start(every, "resources.cpu=0.25")  # all at once
    sweep.wait_for_epochs(3, trials=8)
    sweep.kill(process)
    sweep.wait_until_gone()
    (sweep.folder / "gate").unlink()
    for x, (find, damage) in DAMAGE.items():
        damage(find(sweep.trials()[x]))
    shutil.move(sweep.directory, sweep.folder / "elsewhere")
    sweep.directory = sweep.folder / "elsewhere"
    done = sweep.go_on(run_here, every, "--dir", str(sweep.directory))
    assert (done.returncode, done.stderr) == (0, "")
    assert "8 trials: 8 continued from epochs 2 to 3" in done.stdout
    sweep.check_like(undisturbed)
    assert {row["epochs"] for row in sweep.rows().values()} == {4}


SINCE: dict[int, Callable[[Path], Any]] = {
    1: lambda folder: cut(folder / "history.jsonl"),
    2: lambda folder: empty(folder / "history.jsonl"),
    3: lambda folder: (folder / "history.jsonl").unlink(),
    4: lambda folder: flip(folder / "history.jsonl"),
    5: lambda folder: [path.unlink() for path in folder.glob("events.out.tfevents.*")],
    6: lambda folder: shutil.copytree(folder, folder.with_name(f"x=6,copy,{folder.name[-8:]}")),
}


def test_damage_to_what_has_finished_is_told_by_every_command_and_mended_by_run(
    sweep: Sweep, undisturbed: dict[int, Any], run_here: RunHere
) -> None:
    """No trial is trained again; a copy of a folder is not taken for the trial."""
    assert sweep.go_on(run_here, "parameters.seconds=0").returncode == 0
    trials = sweep.trials()
    for x, damage in SINCE.items():
        damage(trials[x])
    assert sweep.numbers() == {x: undisturbed[x] for x in SINCE}
    read = run_command("status", str(sweep.directory), cwd=sweep.folder)
    planned = run_command("plan", "sweep.yaml", "parameters.seconds=0", cwd=sweep.folder)
    run = sweep.go_on(run_here, "parameters.seconds=0")
    for done, said in ((read, read.stderr), (planned, planned.stdout), (run, run.stdout)):
        assert done.returncode == 0, done.stderr
        assert "its history.jsonl was damaged, and is taken from the copy in its trial.js" in said
        assert "events for TensorBoard were lost; `sweeps run` writes its scalars again" in said
    assert "6 trials: 6 finished, in " in planned.stdout
    assert "nothing to do: all trials in runs/chained have finished" in run.stdout
    assert "note: " not in sweep.go_on(run_here, "parameters.seconds=0").stdout
    sweep.check_like(undisturbed, only=set(SINCE))


def add_line(sweep: Sweep, line: str) -> None:
    with (sweep.folder / "chained.py").open("a") as module:
        module.write(f"\n{line}\n")


def test_epochs_are_raised_and_lowered_dropped_trials_listed_and_all_run_afresh(
    sweep: Sweep, run_here: RunHere, undisturbed: dict[int, Any]
) -> None:
    def run(*arguments: str) -> str:
        chosen = ("parameters.x=[1,2]", "parameters.seconds=0", *arguments)
        done = run_here("run", "sweep.yaml", *chosen, cwd=sweep.folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("parameters.epochs=2")
    assert "2 new" in run("parameters.epochs=3")  # without BUDGET, epochs make another trial
    add_line(sweep, 'BUDGET = "epochs"')
    shutil.rmtree(sweep.directory)
    run("parameters.epochs=2")
    raised = run("parameters.epochs=4")
    assert "2 trials: 2 continued from epoch 2" in raised
    found = {x: row["metrics"] for x, row in sweep.rows().items()}
    assert found == {x: undisturbed[x]["metrics"] for x in (1, 2)}
    assert scalar_steps(sweep.trials()[1]) == [1, 2, 3, 4]
    assert "nothing to do" in run("parameters.epochs=3")
    assert {row["epochs"] for row in sweep.rows().values()} == {3}
    assert "nothing to do" in run("parameters.x=[2]", "parameters.epochs=4")
    assert set(sweep.rows()) == {2}
    assert set(sweep.rows("--all")) == {1, 2}
    assert "2 trials: 2 new" in run("parameters.epochs=4", "--fresh")
    assert {row["attempts"] for row in sweep.rows().values()} == {1}
    earlier = sweep.rows(directory=sweep.directory / "earlier/1")
    assert earlier[2]["metrics"] == undisturbed[2]["metrics"]
    add_line(sweep, "# another version")
    assert "note: 2 of them ran with another version of the training code" in run(
        "parameters.x=[1,2,3]"
    )


@pytest.fixture
def small_disk(sweep: Sweep) -> Iterator[Path]:
    """A disk of a few hundred kilobytes, at the sweep's directory."""
    sweep.directory.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(sweep.directory)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    yield sweep.directory
    subprocess.run(["umount", "--lazy", str(sweep.directory)], check=True)


def fill(path: Path) -> None:
    """Write until nothing more can be."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(file, b"x" * 512)
    os.close(file)


def test_a_full_disk_ends_the_sweep_with_the_reason_and_it_goes_on_when_there_is_room(
    sweep: Sweep, run_here: RunHere, undisturbed: dict[int, Any], small_disk: Path
) -> None:
    process = sweep.start("parameters.seconds=0.2", "parameters.x=[1,2]", TOGETHER)
    sweep.wait_for_epochs(1, trials=2)
    filler = small_disk / "filler"
    fill(filler)
    status, stderr = sweep.wait_for(process)
    assert status == 1, stderr
    assert "No space left on device; what was recorded is kept: run the same command" in stderr
    assert "Traceback" not in stderr
    filler.unlink()
    assert sweep.go_on(run_here, "parameters.x=[1,2]").returncode == 0
    assert {row["status"] for row in sweep.rows().values()} == {"finished"}
    found = {x: row["metrics"] for x, row in sweep.rows().items()}
    assert found == {x: undisturbed[x]["metrics"] for x in (1, 2)}


def test_a_disk_that_turns_read_only_does_no_harm(
    sweep: Sweep, run_here: RunHere, undisturbed: dict[int, Any], small_disk: Path
) -> None:
    process = sweep.start("parameters.seconds=0.2", "parameters.x=[1,2]", TOGETHER)
    sweep.wait_for_epochs(1, trials=2)
    over = ["mount", "--bind", str(small_disk), str(small_disk)]  # files that are open stay open
    subprocess.run(over, check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(small_disk)], check=True)
    status, stderr = sweep.wait_for(process)
    assert status == 1
    assert "Read-only file system; what was recorded is kept" in stderr
    subprocess.run(["umount", "--lazy", str(small_disk)], check=True)
    assert sweep.go_on(run_here, "parameters.x=[1,2]").returncode == 0
    found = {x: row["metrics"] for x, row in sweep.rows().items()}
    assert found == {x: undisturbed[x]["metrics"] for x in (1, 2)}

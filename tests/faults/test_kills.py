"""The driver killed at random moments: the same command ends as if nothing had happened."""

import json
import os
import random
import shutil
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

from tests.drivers import RunningRay
from tests.faults.conftest import Sweep

EXAMPLE = Path(__file__).parents[2] / "examples/dataloader_workers"
"""A user's function: DataLoader workers, and a curve of every batch in its own event file."""


def kill_at_random(sweep: Sweep, chance: random.Random, most: int, *arguments: str) -> int:
    """End the driver and start it again, up to so often in a row; how often it was ended."""
    for kills in range(most):
        process = sweep.start(*arguments)
        try:
            process.wait(chance.uniform(0.3, 5.5 if sweep.ray else 7.5))
            return kills  # it was done before
        except subprocess.TimeoutExpired:
            sweep.kill(process)
    return most


def test_killed_at_twenty_random_moments_it_ends_as_if_undisturbed(
    tmp_path_factory: pytest.TempPathFactory,
    ray_of_tests: RunningRay,
    undisturbed: dict[int, Any],
) -> None:
    """From start-up to the last epoch, also several times in a row; the first with its own Ray."""
    chance, kills = random.Random(2026), 0  # noqa: S311
    recovery: list[float] = []
    sweeps: list[Sweep] = []
    while kills < 20:
        sweep = Sweep(tmp_path_factory.mktemp("killed"), ray_of_tests if sweeps else None)
        sweeps.append(sweep)
        kills += kill_at_random(sweep, chance, 5, "parameters.seconds=0.15")
        began = time.monotonic()
        done = sweep.run()
        recovery.append(time.monotonic() - began)
        assert (done.returncode, done.stderr) == (0, "")
    for sweep in sweeps:
        sweep.check_like({x: undisturbed[x] for x in range(1, 7)})
    if figures := os.environ.get("FAULT_FIGURES"):
        trained = sum(len((s.folder / "trained").read_text().splitlines()) for s in sweeps)
        needed = sum(row["epochs"] for sweep in sweeps for row in sweep.rows().values())
        found = {"kills": kills, "sweeps": len(sweeps), "epochs": needed}
        found |= {"epochs done again": trained - needed, "epochs lost": 0, "orphans": 0}
        found |= {"seconds to the end, median": round(statistics.median(recovery), 1)}
        Path(figures).write_text(json.dumps(found))


@pytest.mark.timeout(3600)
def test_a_users_function_killed_at_random_moments_ends_with_the_same_numbers_and_curves(
    tmp_path_factory: pytest.TempPathFactory, ray_of_tests: RunningRay
) -> None:
    """So often as ``FAULT_KILLS`` says: twenty times to see it, a few to notice that it breaks."""
    chance, left = random.Random(26), int(os.environ.get("FAULT_KILLS", "4"))  # noqa: S311
    expected = come_to(example(tmp_path_factory.mktemp("whole"), ray_of_tests))
    assert len(expected) == 4
    while left > 0:
        sweep = example(tmp_path_factory.mktemp("killed"), ray_of_tests)
        left -= kill_at_random(sweep, chance, min(left, 5))
        assert come_to(sweep) == expected


def example(folder: Path, ray: RunningRay) -> Sweep:
    sweep = Sweep(folder, ray)
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    sweep.directory = folder / "runs/dataloader-workers"
    return sweep


def come_to(sweep: Sweep) -> dict[str, Any]:
    """Run it to its end: each trial's numbers, and its curve with every batch once."""
    done = sweep.run()
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    sweep.wait_until_gone()
    found = {}
    for row in sweep.all_rows():
        points = curve(sweep.directory / row["path"])
        assert [step for step, _ in points] == list(range(len(points)))
        numbers = [row[name] for name in ("status", "epochs", "metrics", "best", "error")]
        found[row["id"]] = (*numbers, points)
    return found


def curve(folder: Path) -> list[tuple[int, float]]:
    """What the function logged by batch, as TensorBoard reads it."""
    events = EventAccumulator(str(folder), size_guidance={SCALARS: 0})
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars("batch/loss")]

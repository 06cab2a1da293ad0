"""What is said of a search space's size."""

from typing import Any

import pytest

from sweeps.definition.sweep_file import examine
from sweeps.planning.size import size_line

GRID = {"lr": [1, 2], "wd": [3, 4], "n": [1, 2, 3]}


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"parameters": GRID}, "space: 12 points (lr 2 x wd 2 x n 3)"),
        ({"parameters": GRID, "zip": ["lr", "wd"]}, "space: 6 points (lr+wd 2 x n 3)"),
        (
            {"parameters": GRID, "exclude": [{"lr": 1}]},
            "space: 12 points (lr 2 x wd 2 x n 3); 6 are left",
        ),
        (
            {"parameters": {"x": {"uniform": [0, 1]}, "lr": [1, 2]}, "samples": 5},
            "space: endless in x (lr 2); 5 draws at each of 2 grid points",
        ),
        (
            {"parameters": {"x": {"int_uniform": [1, 3]}}, "samples": 20, "draws": "sobol"},
            "space: 3 points; 20 Sobol points: 3 that differ",
        ),
        ({"parameters": {"x": 3}}, "space: 1 point"),
        (
            {"parameters": GRID, "search": {"sampler": "tpe", "trials": 30}},
            "space: 12 points (lr 2 x wd 2 x n 3); tpe suggests 30, 8 at once, until all are tried",
        ),
    ],
)
def test_the_size_of_a_space_is_said_in_a_line(keys: dict[str, Any], line: str) -> None:
    base = {"name": "s", "train": "a:b", "metric": "loss", "mode": "min"}
    file, problems = examine({**base, **keys})
    assert file and not problems
    count = len(file.trials())
    assert size_line(file.space, count, file.search) == line

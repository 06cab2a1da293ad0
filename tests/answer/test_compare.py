"""Sweeps side by side: configurations matched, and differences that noise could not explain."""

import re
from pathlib import Path

import numpy as np
import pytest

from sweeps.answer.compare import compare_sweeps, judge
from sweeps.errors import SweepsError
from tests.answer.directory import Made, curve, write_sweep
from tests.conftest import run_command


def grid(
    folder: Path,
    *,
    gain: float = 0.0,
    rates: tuple[float, ...] = (0.1, 0.01, 0.001),
    seeds: int = 5,
    mode: str = "max",
    optimizer: str = "adam",
) -> Path:
    """Seeds have an effect of their own, the same in every sweep."""
    generator = np.random.default_rng(len(folder.name))
    trials = [
        Made(
            {"lr": lr, "optimizer": optimizer, "seed": seed},
            curve(0.5 + lr + 0.1 * seed + gain + 0.002 * generator.normal()),
        )
        for lr in rates
        for seed in range(seeds)
    ]
    folder.mkdir()
    return write_sweep(folder, trials, name=folder.name, mode=mode)


@pytest.mark.parametrize(("mode", "word"), [("max", "better"), ("min", "worse")])
def test_a_change_that_helps_everywhere_is_told_with_its_interval(
    tmp_path: Path, mode: str, word: str
) -> None:
    grid(tmp_path / "before", mode=mode)
    grid(tmp_path / "with-it", gain=0.02, mode=mode)
    done = run_command("compare", "before", "with-it", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["lr", "before", "with-it", "change", "clear"]
    assert all(line.split()[-1] == "yes" for line in lines[1:4])
    assert re.fullmatch(
        rf"with-it is {word}: score \+0\.0\d+ ± 0\.00\d+ over 3 configurations", lines[-1]
    )


def test_a_change_of_nothing_is_not_told_as_one(tmp_path: Path) -> None:
    found = compare_sweeps([grid(tmp_path / "one"), grid(tmp_path / "other")])
    assert found.overall[0] is not None
    assert not found.overall[0].is_clear
    assert not any(change and change.is_clear for m in found.matches for change in m.changes)


def test_configurations_are_matched_by_what_is_varied_and_other_differences_are_told(
    tmp_path: Path,
) -> None:
    first = grid(tmp_path / "adam")
    second = grid(tmp_path / "sgd2", rates=(0.01, 0.2), optimizer="sgd", seeds=3)
    found = compare_sweeps([first, second])
    assert [match.config for match in found.matches] == [
        {"lr": 0.1},
        {"lr": 0.01},
        {"lr": 0.001},
        {"lr": 0.2},
    ]
    pairs = [match.changes[0].pairs if match.changes[0] else None for match in found.matches]
    assert pairs == [None, 3, None, None]
    assert found.constants == {"optimizer": ["adam", "sgd"]}


def test_some_change_is_called_clear_by_chance_in_one_comparison_of_twenty_at_most() -> None:
    generator, times = np.random.default_rng(0), 1000
    draws = (generator.normal(size=(6, 4)).tolist() for _ in range(times))
    found = sum(any(change and change.is_clear for change in judge(draw)) for draw in draws)
    assert found / times <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / times)


def test_what_cannot_be_compared_says_why(tmp_path: Path) -> None:
    first, minimal = grid(tmp_path / "first"), grid(tmp_path / "minimal", mode="min")
    with pytest.raises(SweepsError, match="at least two directories, got 1"):
        compare_sweeps([first])
    with pytest.raises(SweepsError, match=r"score \(max\), .* has score \(min\)"):
        compare_sweeps([first, minimal])
    with pytest.raises(SweepsError, match="no configuration with a finished trial is in both"):
        compare_sweeps([first, grid(tmp_path / "far", rates=(0.5, 0.6))])

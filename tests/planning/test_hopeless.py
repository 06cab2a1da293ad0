"""A bug fails every trial; values that cannot go together fail some."""

import itertools
from typing import Any

import pytest

from sweeps.planning.hopeless import all_would_fail

HEADS = [{"heads": heads, "lr": lr} for heads in (5, 3, 4, 8) for lr in (0.1, 0.2)]


@pytest.mark.parametrize(
    ("failed", "hopeless"),
    [(HEADS[:1], False), (HEADS[:4], False), (HEADS[:6], False), (HEADS[:7], True)],
)
def test_every_value_of_a_parameter_or_several_must_have_failed(
    failed: list[dict[str, Any]], hopeless: bool
) -> None:
    assert all_would_fail(failed, HEADS) is hopeless


def test_a_long_axis_needs_four_values_and_a_long_grid_ends_at_fifty_trials() -> None:
    axis = [{"x": x} for x in range(100)]
    assert not all_would_fail(axis[:3], axis)
    assert all_would_fail(axis[:4], axis)
    grid = [{"a": a, "b": b} for a, b in itertools.product((0, 1), range(100))]
    assert not all_would_fail(grid[:49], grid)
    assert all_would_fail(grid[:50], grid)


def test_two_trials_are_all_there_is() -> None:
    assert all_would_fail([{"x": 1}, {"x": 2}], [{"x": 1}, {"x": 2}])
    assert not all_would_fail([{"x": 1}], [{"x": 1}])

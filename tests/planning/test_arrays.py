"""Which trials train together: a pure function of the trials and the machine."""

import pytest

from sweeps.definition.space import Trial
from sweeps.definition.sweep_file import Fuse
from sweeps.planning.arrays import form_arrays
from sweeps.planning.shares import Node, Share

TWO_CORES = Share(1, 0, True, (Node(2, 0),))


def trials(sizes: list[int]) -> list[Trial]:
    return [Trial(str(i), {"batch_size": size, "seed": 0}, str(i)) for i, size in enumerate(sizes)]


def key(trial: Trial) -> str:
    return str(trial.config["batch_size"])


def shapes(
    sizes: list[int], fuse: Fuse = "auto", share: Share = TWO_CORES
) -> list[tuple[str, int]]:
    """The arrays, as their key and size; every trial is in exactly one."""
    wanted = trials(sizes)
    arrays = form_arrays(wanted, fuse, share, key)
    assert sorted(t.id for array in arrays for t in array) == sorted(t.id for t in wanted)
    assert all(len({key(t) for t in array}) == 1 for array in arrays)
    return [(key(array[0]), len(array)) for array in arrays]


def test_the_grid_of_twelve_keeps_two_cores_equally_busy() -> None:
    grid = [32, 64, 128] * 4
    assert shapes(grid) == [("32", 4), ("64", 4), ("128", 2), ("128", 2)]


@pytest.mark.parametrize(
    ("at_once", "expected"),
    [(1, [4, 4]), (2, [4, 4]), (4, [2, 2, 2, 2]), (8, [1] * 8), (16, [1] * 8)],
)
def test_arrays_are_halved_until_every_place_has_about_the_same_to_do(
    at_once: int, expected: list[int]
) -> None:
    share = Share(1, 0, True, (Node(at_once, 0),))
    assert [size for _, size in shapes([32] * 8, share=share)] == expected


def test_an_array_never_asks_for_more_than_one_gpu() -> None:
    quarter = Share(1, 0.25, True, (Node(4, 1),))
    assert [size for _, size in shapes([32] * 8, 8, quarter)] == [4, 4]
    half = Share(1, 0.5, False, (Node(4, 1),))
    assert [size for _, size in shapes([32] * 4, "auto", half)] == [2, 2]
    whole = Share(1, 1, False, (Node(4, 1),))
    assert [size for _, size in shapes([32] * 3, "auto", whole)] == [1, 1, 1]


def test_off_means_alone_and_a_number_is_the_most_in_one_array() -> None:
    one = Share(1, 0, True, (Node(1, 0),))
    assert [size for _, size in shapes([32] * 7, "off", one)] == [1] * 7
    assert [size for _, size in shapes([32] * 7, 3, one)] == [3, 2, 2]
    assert [size for _, size in shapes([32] * 7, 100, one)] == [7]


def test_without_an_array_form_each_trial_is_alone() -> None:
    arrays = form_arrays(trials([32] * 3), "auto", TWO_CORES, None)
    assert [len(array) for array in arrays] == [1, 1, 1]


def test_nothing_to_do_makes_no_arrays() -> None:
    assert form_arrays([], "auto", TWO_CORES, key) == []

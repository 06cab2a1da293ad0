"""Which trials train together as one array: a pure function of the trials and the machine.

Trials whose configurations agree in their trainable's ``fuse_key`` may share an array. Arrays are
as large as allowed, then halved, the largest first, while that brings the end nearer: two arrays of
four keep two cores busy, one of eight does not.
"""

import heapq
import itertools
from collections.abc import Callable, Iterable, Sequence

from sweeps.definition.space import Trial
from sweeps.definition.sweep_file import Fuse
from sweeps.planning.shares import Share

LARGEST = 4
"""The largest array made by ``fuse: auto``; beyond it a step gets no cheaper per member."""

Array = tuple[Trial, ...]


def form_again(
    trials: Sequence[Trial], formed: Iterable[Sequence[str]], fuse: Fuse, share: Share
) -> list[Array]:
    """The arrays, given by ids, in which some of these trials were before, of those still to run.

    The same members give the same bits; one array more or less changes the order of sums.
    """
    by_id = {trial.id: trial for trial in trials}
    arrays = [tuple(by_id[key] for key in ids if key in by_id) for ids in formed]
    return [array for array in arrays if 0 < len(array) <= largest_array(fuse, share)]


def form_arrays(
    trials: Sequence[Trial], fuse: Fuse, share: Share, key: Callable[[Trial], str] | None
) -> list[Array]:
    """Put each trial into exactly one array, in order; without a key, each alone."""
    largest = largest_array(fuse, share)
    if key is None or largest == 1:
        return [(trial,) for trial in trials]
    groups: dict[str, list[Trial]] = {}
    if not trials:
        return []
    for trial in trials:
        groups.setdefault(key(trial), []).append(trial)
    arrays = [array for group in groups.values() for array in _cut(group, largest)]
    good_enough = 1.1 * len(trials) / _slots(arrays, share)
    best = arrays
    while _longest(best, share) > good_enough and any(len(array) > 1 for array in arrays):
        arrays = _halve_one(arrays)
        best = min(best, arrays, key=lambda way: _longest(way, share))
    return best


def largest_array(fuse: Fuse, share: Share) -> int:
    """How many trials one array may hold; together they must not ask for more than one GPU."""
    if fuse == "off":
        return 1
    largest = LARGEST if fuse == "auto" else fuse
    return min(largest, max(1, int(1 / share.gpu + 1e-9))) if share.gpu else largest


def _cut(group: Sequence[Trial], largest: int) -> list[Array]:
    """A group in pieces of nearly equal size, none larger than allowed."""
    pieces = -(-len(group) // largest)
    size, extra = divmod(len(group), pieces)
    cuts = [i * size + min(i, extra) for i in range(pieces + 1)]
    return [tuple(group[a:b]) for a, b in itertools.pairwise(cuts)]


def _halve_one(arrays: Sequence[Array]) -> list[Array]:
    """The same arrays, with the last of the largest ones in two halves."""
    index = max(range(len(arrays)), key=lambda i: (len(arrays[i]), i))
    middle = (len(arrays[index]) + 1) // 2
    return [*arrays[:index], arrays[index][:middle], arrays[index][middle:], *arrays[index + 1 :]]


def _slots(arrays: Sequence[Array], share: Share) -> int:
    """How many arrays run at once, counted by the largest."""
    return max(1, share.arrays_at_once(max(len(array) for array in arrays)))


def _longest(arrays: Sequence[Array], share: Share) -> int:
    """The trials on the busiest place, when each next array goes to the least busy one."""
    loads = [0] * _slots(arrays, share)
    for array in arrays:
        heapq.heapreplace(loads, loads[0] + len(array))
    return max(loads)

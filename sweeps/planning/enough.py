"""When a sweep has done enough, and what it will take: pure functions of its records."""

import heapq
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from sweeps.definition.search import StopAfter
from sweeps.definition.space import Trial
from sweeps.planning.arrays import Array
from sweeps.planning.search import Measure
from sweeps.records.record import Record, Status

ENDED = (Status.FINISHED, Status.STOPPED, Status.FAILED)


def enough(
    stop_after: StopAfter | None,
    trials: Sequence[Trial],
    records: Mapping[str, Record],
    measure: Measure,
) -> str | None:
    """Why no other trial is to begin, by the key ``stop_after``; ``None`` if some may.

    Args:
        trials: in the order in which they count.
    """
    if stop_after is None:
        return None
    found = [record for trial in trials if (record := records.get(trial.id))]
    ended = [record for record in found if record.status in ENDED]
    if stop_after.trials and len(ended) >= stop_after.trials:
        return f"{len(ended)} trials have ended (stop_after.trials is {stop_after.trials})"
    best, since = None, 0
    for record in ended:
        value = measure(record.history)
        if value is not None and (best is None or value < best):
            best, since = value, 0
        else:
            since += 1
    if stop_after.without_gain and since >= stop_after.without_gain:
        return f"{since} trials brought no gain (stop_after.without_gain is" + (
            f" {stop_after.without_gain})"
        )
    return None


def seconds_of(
    arrays: Sequence[Array],
    epochs: Callable[[Trial], int | None],
    records: Mapping[str, Record],
    at_once: int,
) -> float | None:
    """How long these arrays will take, by what epochs have taken so far; ``None`` if unknown.

    Args:
        epochs: how many each trial still has to train.
        at_once: how many arrays run at the same time.
    """
    epoch = _seconds_per_epoch(records)
    if epoch is None:
        return None
    loads = [0.0] * max(1, at_once)
    for array in arrays:
        left = [epochs(trial) for trial in array]
        if any(count is None for count in left):
            return None
        heapq.heapreplace(loads, loads[0] + epoch * sum(count or 0 for count in left))
    return max(loads)


def longest_first(
    arrays: Sequence[Array],
    epochs: Callable[[Trial], int | None],
    records: Mapping[str, Record],
) -> list[Array]:
    """In the order in which the last of them end soonest, by what their epochs have taken so far.

    An array of few takes hardly less time than one of several, so it is by their slowest members.
    """

    def takes(array: Array) -> float:
        each = [median(_seconds(records[t.id]) or [0.0]) for t in array if t.id in records]
        return max(each, default=0.0) * max(epochs(trial) or 1 for trial in array)

    return sorted(arrays, key=lambda array: (takes(array), len(array)), reverse=True)


def _seconds_per_epoch(records: Mapping[str, Record]) -> float | None:
    """What one epoch of one trial takes: an array's, shared by its members."""
    seconds = [each for record in records.values() for each in _seconds(record)]
    return median(seconds) if seconds else None


def _seconds(record: Record) -> list[float]:
    """What the epochs of a trial took, but for the first, which has imports and data in it."""
    found = []
    for report in record.history[1:] or record.history:
        together = [each["trials"] for each in record.arrays if each["from"] <= report.step]
        found.append(report.seconds / (len(together[-1]) if together else 1))
    return found

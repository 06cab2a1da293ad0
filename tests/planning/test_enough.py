"""When it is enough, and what it costs."""

from dataclasses import replace
from typing import Any

import pytest

from sweeps.definition.search import StopAfter
from sweeps.definition.selection import Selection
from sweeps.definition.space import Trial
from sweeps.planning.arrays import Array
from sweeps.planning.course import measure_of
from sweeps.planning.enough import enough, longest_first, seconds_of
from sweeps.records.history import Report
from sweeps.records.record import Record, Status

TRIALS = [Trial(str(n), {"seed": 0}, str(n)) for n in range(6)]


def records(values: list[float | None], **keys: Any) -> dict[str, Record]:
    """Of the first trials; one without a value is running."""
    return {
        str(n): Record(
            str(n),
            {},
            str(n),
            Status.RUNNING if value is None else Status.FINISHED,
            history=[Report(1, {"acc": value or 0.0}, 8.0), Report(2, {"acc": value or 0.0}, 4.0)],
            **keys,
        )
        for n, value in enumerate(values)
    }


@pytest.mark.parametrize(
    ("stop_after", "values", "says"),
    [
        ({"trials": 3}, [0.1, 0.2, None], None),
        ({"trials": 3}, [0.1, 0.2, 0.3], "3 trials have ended (stop_after.trials is 3)"),
        ({"without_gain": 2}, [0.1, 0.3, 0.2], None),
        (
            {"without_gain": 2},
            [0.1, 0.3, 0.2, None, 0.3],
            "2 trials brought no gain (stop_after.without_gain is 2)",
        ),
        ({"without_gain": 2}, [0.3, 0.1, 0.4, 0.2], None),
        ({"hours": 1.0}, [0.1] * 6, None),
    ],
)
def test_a_sweep_has_done_enough_by_its_records(
    stop_after: dict[str, Any], values: list[float | None], says: str | None
) -> None:
    measure = measure_of("acc", "max", Selection())
    assert enough(StopAfter(**stop_after), TRIALS, records(values), measure) == says


def test_without_the_key_nothing_is_ever_enough() -> None:
    assert enough(None, TRIALS, records([0.1] * 6), measure_of("acc", "max", Selection())) is None


def test_the_cost_is_that_of_what_is_left_on_the_busiest_place() -> None:
    alone = [(trial,) for trial in TRIALS[:3]]
    assert seconds_of(alone, lambda t: 5, {}, 2) is None
    assert seconds_of(alone, lambda t: 5, records([0.1]), 2) == 40
    assert seconds_of(alone, lambda t: None, records([0.1]), 2) is None
    together = records([0.1], arrays=({"from": 1, "trials": ["0", "1"]},))
    assert seconds_of([tuple(TRIALS[:4])], lambda t: 5, together, 2) == 40


def test_those_whose_epochs_take_longest_begin_first_so_that_none_is_left_at_the_end() -> None:
    a, b, c, d = TRIALS[:4]
    took = records([0.1] * 4)
    for key, seconds in (("0", 1.0), ("1", 1.0), ("2", 3.0), ("3", 1.0)):
        history = [replace(report, seconds=seconds) for report in took[key].history]
        took[key] = replace(took[key], history=history)
    arrays: list[Array] = [(a,), (b, d), (c,)]
    assert longest_first(arrays, lambda t: 5, took) == [(c,), (b, d), (a,)]
    assert longest_first(arrays, lambda t: 20 if t is a else 5, took) == [(a,), (c,), (b, d)]
    assert longest_first(arrays, lambda t: None, {}) == [(b, d), (a,), (c,)]

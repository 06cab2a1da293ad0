"""What a search is told of what was there before it."""

from collections.abc import Mapping
from typing import Any

from sweeps.definition.space import Trial
from sweeps.definition.sweep_file import SweepFile
from sweeps.planning.course import Course
from sweeps.records.history import Report
from sweeps.records.record import Record, Status

DEFINITION = {
    "name": "mine",
    "train": "mine:train",
    "metric": "err",
    "mode": "min",
    "parameters": {"x": {"uniform": [0.0, 1.0]}},
    "search": {"sampler": "tpe", "trials": 4},
}


def made(config: Mapping[str, Any]) -> list[Trial]:
    return [Trial(f"new x={config['x']}", config, "new")]


def record(key: str, x: float, status: Status, *values: float) -> Record:
    reports = [Report(n, {"err": v}, 0.1) for n, v in enumerate(values, start=1)]
    return Record(id=key, config={"x": x, "seed": 0}, path=key, status=status, history=reports)


def test_all_that_has_finished_is_told_also_what_could_not_be_better() -> None:
    known = [
        record("far", 0.1, Status.FINISHED, 0.4),
        record("exact", 0.5, Status.FINISHED, 0.0),
        record("failed", 0.9, Status.FAILED, 0.4),
        record("nothing", 0.7, Status.FINISHED),
    ]
    others = {one.id: one for one in known}
    file = SweepFile.model_validate(DEFINITION)
    course = Course(file, DEFINITION, [], made, lambda *_: (), None, [], {}, others)
    course.decide(lambda trial: None)
    assert course.state["before"] == ["far", "exact"]

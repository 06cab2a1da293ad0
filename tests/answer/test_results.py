"""Results as rows, rankings and files."""

import io
import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sweeps.answer.results import Results, read_results
from sweeps.definition.space import Trial
from sweeps.errors import SweepsError
from sweeps.records.ledger import Ledger
from sweeps.records.record import Overview, Record, Status

HISTORIES: dict[str, list[float]] = {
    "steady": [0.5, 0.6, 0.7],
    "peaked": [0.5, 0.9, 0.1],
    "diverged": [0.2, math.nan, math.nan],
    "failed": [0.05, 0.99],
    "waiting": [],
}


@pytest.fixture(params=["max", "min"])
def results(request: pytest.FixtureRequest, tmp_path: Path) -> Results:
    """Five trials, written and read back, in a sweep of either mode."""
    trials = [Trial(n, {"lr": i / 10, "seed": 0}, n) for i, n in enumerate(HISTORIES)]
    ledger = Ledger(tmp_path)
    ledger.write_overview(
        Overview("mine", "score", request.param, {"train": "trainer:train"}, tuple(trials))
    )
    for trial in trials:
        values = HISTORIES[trial.id]
        status = Status(trial.id) if trial.id == "failed" else Status.FINISHED
        status = status if values else Status.PENDING
        ledger.write(Record(trial.id, trial.config, f"trials/{trial.name}", status))
        folder = tmp_path / "trials" / trial.name
        lines = [
            json.dumps(
                {
                    "step": i,
                    "metrics": {"score": str(v) if math.isnan(v) else v, "loss": i},
                    "seconds": 1.0,
                    "checkpoint": None,
                }
            )
            for i, v in enumerate(values)
        ]
        (folder / "history.jsonl").write_text("\n".join(lines))
    return read_results(tmp_path)


def test_the_best_trial_has_the_best_value_it_ever_reported_and_did_not_fail(
    results: Results,
) -> None:
    best = results.best
    assert best is not None
    expected = ("peaked", {"value": 0.9, "epoch": 2})
    if results.mode == "min":
        expected = ("peaked", {"value": 0.1, "epoch": 3})
    assert (best.id, best.best) == expected


def test_ranking_puts_the_best_first_and_those_without_a_value_last(results: Results) -> None:
    order = [row.id for row in results.sorted()]
    ranked = ["failed", "peaked", "steady", "diverged", "waiting"]
    if results.mode == "min":
        ranked = ["failed", "peaked", "diverged", "steady", "waiting"]
    assert order == ranked
    assert [row.id for row in results.sorted("loss")][:1] == ["failed"]
    with pytest.raises(SweepsError, match="did you mean 'loss'"):
        results.sorted("los")


def test_a_nan_never_wins_and_is_null_in_json(results: Results) -> None:
    rows = {row["id"]: row for row in json.loads(results.export("json"))}
    assert rows["diverged"]["best"] == {"value": 0.2, "epoch": 1}
    assert rows["diverged"]["metrics"]["score"] is None
    assert rows["waiting"]["best"] is None
    assert set(rows["steady"]) >= {
        "id",
        "config",
        "seed",
        "status",
        "epochs",
        "metrics",
        "best",
        "path",
        "seconds",
        "attempts",
        "error",
    }
    assert rows["steady"]["path"] == "trials/steady"
    assert rows["steady"]["seconds"] == 3.0


def test_json_csv_and_parquet_hold_the_same(results: Results) -> None:
    frame = results.to_dataframe()
    csv = pd.read_csv(io.BytesIO(results.export("csv")))
    parquet = pd.read_parquet(io.BytesIO(results.export("parquet")))
    for found in (csv, parquet):
        assert list(found.columns) == list(frame.columns)
        assert list(found["id"]) == list(HISTORIES)
        assert list(found["config.lr"]) == [0.0, 0.1, 0.2, 0.3, 0.4]
        assert found["metrics.score"][0] == 0.7


@pytest.mark.parametrize("values", [[1, "a"], [[1], [2]], [True, None]])
def test_values_of_several_types_can_be_written_as_parquet(
    tmp_path: Path, values: list[Any]
) -> None:
    trials = tuple(Trial(str(i), {"x": v, "seed": 0}, str(i)) for i, v in enumerate(values))
    Ledger(tmp_path).write_overview(
        Overview("mine", "score", "max", {"train": "trainer:train"}, trials)
    )
    frame = pd.read_parquet(io.BytesIO(read_results(tmp_path).export("parquet")))
    assert len(frame) == 2

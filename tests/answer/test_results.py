"""Results as rows, configurations, rankings and files."""

import io
import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sweeps.answer.results import Results, read_results
from sweeps.answer.summary import best_line
from sweeps.errors import DirectoryError, SweepsError
from sweeps.records.record import Status
from tests.answer.directory import Made, curve, write_sweep
from tests.commands import in_process, run_command

HISTORIES: dict[str, list[float]] = {
    "steady": [0.5, 0.6, 0.7],
    "peaked": [0.5, 0.9, 0.1],
    "diverged": [0.2, math.nan, math.nan],
    "failed": [0.05, 0.99],
    "waiting": [],
}


@pytest.fixture(params=["max", "min"])
def results(request: pytest.FixtureRequest, tmp_path: Path) -> Results:
    """Five trials of one seed, written and read back, in a sweep of either mode."""
    trials = [
        Made({"lr": i / 10}, curve(*values), id=name, status=_status(name))
        for i, (name, values) in enumerate(HISTORIES.items())
    ]
    return read_results(write_sweep(tmp_path, trials, mode=request.param))


def _status(name: str) -> Status:
    return {"failed": Status.FAILED, "waiting": Status.PENDING}.get(name, Status.FINISHED)


@pytest.fixture
def seeded(tmp_path: Path) -> Path:
    """Three configurations of four seeds, of which one is worse; a lucky run, and a failed one."""
    means = {"a": 0.90, "b": 0.89, "c": 0.50}
    noise = {"a": [0.001, -0.001, 0.002, -0.002], "b": [-0.03, 0.05, -0.03, 0.0]}
    noise["c"] = [0.002, 0.001, -0.001, -0.002]
    trials = [
        Made(
            {"net": net, "seed": seed},
            curve(0.1, mean + noise[net][seed]),
            id=f"{net}{seed}",
        )
        for net, mean in means.items()
        for seed in range(4)
    ]
    trials.append(
        Made({"net": "a", "seed": 4}, curve(0.99), Status.FAILED, "ValueError: no", id="a4")
    )
    return write_sweep(tmp_path, trials)


def test_the_best_trial_has_the_best_last_value_and_finished(results: Results) -> None:
    best = results.best
    assert best is not None
    assert (best.id, best.selected) == {
        "max": ("steady", {"value": 0.7, "epoch": 3}),
        "min": ("peaked", {"value": 0.1, "epoch": 3}),
    }[results.mode]


def test_ranking_puts_the_best_first_and_those_without_a_value_last(results: Results) -> None:
    ranked = {"max": ["steady", "peaked"], "min": ["peaked", "steady"]}[results.mode]
    assert [row.id for row in results.sorted()] == [*ranked, "failed", "diverged", "waiting"]
    assert [row.id for row in results.sorted("loss")][:2] == ["failed", "steady"]
    assert [row.id for row in results.sorted("lr")] == list(HISTORIES)
    with pytest.raises(SweepsError, match="did you mean 'loss'"):
        results.sorted("los")


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        ("last", {"value": 0.1, "epoch": 3}),
        ("best", {"value": 0.9, "epoch": 2}),
        ({"min": "loss/validation"}, {"value": 0.5, "epoch": 1}),
        ({"min": "loss/nothing"}, None),
    ],
)
def test_the_value_compared_is_that_of_the_epoch_that_the_file_selects(
    tmp_path: Path, select: Any, expected: Any
) -> None:
    reports = [
        {"score": score, "loss/validation": loss}
        for score, loss in [(0.5, 0.1), (0.9, 0.2), (0.1, 0.3)]
    ]
    [row] = read_results(write_sweep(tmp_path, [Made({}, reports)], select=select))
    assert row.selected == expected
    assert row.best == {"value": 0.9, "epoch": 2}


def test_the_best_is_a_configuration_by_its_mean_with_what_noise_could_explain(
    seeded: Path,
) -> None:
    results = read_results(seeded)
    line = best_line(results)
    assert line is not None
    assert line.startswith("best: net=a, score 0.9000 ± 0.0018 (4 seeds); 1 other can't")
    standings = results.standings
    assert [each.config["net"] for each in standings.ranked] == ["a", "b", "c"]
    assert [each.config["net"] for each in standings.rivals] == ["b"]
    assert [each.apart for each in standings] == [False, False, True]
    assert max(results, key=lambda row: row.selected["value"]).id == "a4"  # it failed
    assert standings[0].n == 4
    assert len(standings[0].trials) == 5


def test_with_one_seed_it_says_that_noise_cannot_be_judged(results: Results) -> None:
    line = best_line(results)
    assert line is not None
    assert "(1 seed): noise can't be judged; " in line
    assert "seeds=" in line


def test_seeds_that_change_nothing_are_told_of(tmp_path: Path) -> None:
    trials = [Made({"lr": lr, "seed": s}, curve(lr)) for lr in (0.1, 0.2) for s in range(3)]
    line = best_line(read_results(write_sweep(tmp_path, trials)))
    assert line is not None
    assert "all seeds gave equal values" in line


def test_two_seeds_of_one_and_one_of_another_are_too_few_to_judge(tmp_path: Path) -> None:
    trials = [Made({"lr": lr, "seed": s}, curve(lr + s)) for lr, s in ((1, 0), (1, 1), (2, 0))]
    line = best_line(read_results(write_sweep(tmp_path, trials)))
    assert line is not None
    assert "noise can't be judged" in line


def test_rows_are_found_by_number_slice_and_id_and_show_themselves(results: Results) -> None:
    assert results["peaked"] is results[1]
    assert [row.id for row in results[1:3]] == ["peaked", "diverged"]
    with pytest.raises(KeyError, match="did you mean 'peaked'"):
        results["peakd"]
    assert repr(results).startswith("<Results of mine: 5 trials: 1 pending, 3 finished, 1 failed")
    assert "<table>" in results._repr_html_()


def test_text_of_values_is_no_markup_in_a_notebook(tmp_path: Path) -> None:
    trials = [Made({"net": f"<b>{i}"}, curve(0.5)) for i in range(2)]
    page = read_results(write_sweep(tmp_path, trials))._repr_html_()
    assert "&lt;b&gt;1" in page
    assert "<b>1" not in page


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("lr=0.1", ["peaked"]),
        ("lr==1e-1", ["peaked"]),
        ("status!=finished", ["failed", "waiting"]),
        ("score>0.5", ["steady", "failed"]),
        ("loss<=0.31", ["steady", "failed"]),
        ("lr=true", []),
    ],
)
def test_conditions_choose_trials(results: Results, condition: str, found: list[str]) -> None:
    kept = results.where(condition)
    assert [row.id for row in kept] == found


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("lrr=1", "no trial has 'lrr'; did you mean 'lr'?"),
        ("lr", "must be NAME=VALUE"),
        ("lr<a", "< needs a number, got 'a'"),
    ],
)
def test_conditions_that_mean_nothing_are_refused(
    results: Results, condition: str, why: str
) -> None:
    with pytest.raises(SweepsError, match="--where: ") as refused:
        results.where(condition)
    assert why in str(refused.value)


def test_a_nan_never_wins_and_is_null_in_json(results: Results) -> None:
    rows = {row["id"]: row for row in json.loads(results.export("json"))}
    assert rows["diverged"]["best"] == {"value": 0.2, "epoch": 1}
    assert rows["diverged"]["selected"] is None
    assert rows["diverged"]["metrics"]["score"] is None
    assert rows["waiting"]["best"] is None
    public = {"id", "config", "seed", "status", "epochs", "metrics", "best", "path", "seconds"}
    assert set(rows["steady"]) >= public | {"attempts", "error"}
    assert rows["steady"]["seconds"] == 3.0


def test_json_csv_parquet_and_frames_hold_the_same(results: Results) -> None:
    frame = results.to_dataframe()
    csv = pd.read_csv(io.BytesIO(results.export("csv")))
    parquet = pd.read_parquet(io.BytesIO(results.export("parquet")))
    polars = results.to_dataframe("polars").to_pandas()
    for found in (csv, parquet, polars):
        assert list(found.columns) == list(frame.columns)
        assert list(found["id"]) == list(HISTORIES)
        assert list(found["config.lr"]) == [0.0, 0.1, 0.2, 0.3, 0.4]
        assert found["metrics.score"][0] == 0.7
    with pytest.raises(SweepsError, match="must be pandas or polars, got 'excel'"):
        results.to_dataframe("excel")


@pytest.mark.parametrize(
    ("values", "columns"),
    [
        ([None, 3, 10], {"config.x": "Int64"}),
        ([None, 0.5, 1], {"config.x": "float64"}),
        ([True, None], {"config.x": "boolean"}),
        ([1, "a"], {"config.x": "str"}),
        ([1, 2**80], {"config.x": "str"}),
        ([0.5, 10**400], {"config.x": "str"}),
        ([[1], [2, 3]], {"config.x": "str"}),
        ([{"a": 1}, None], {"config.x.a": "Int64"}),
        ([{"a": 1}, 3], {"config.x": "str"}),
        ([{"a": {"b": 1}}, {"a": {"b": 2}}], {"config.x.a.b": "int64"}),
    ],
)
def test_a_column_has_one_type_whatever_is_missing_and_nested_values_one_column_each(
    tmp_path: Path, values: list[Any], columns: dict[str, str]
) -> None:
    results = read_results(write_sweep(tmp_path, [Made({"x": v}, curve(0.5)) for v in values]))
    for frame in (results.to_dataframe(), pd.read_parquet(io.BytesIO(results.export("parquet")))):
        assert {name for name in frame if name.startswith("config.x")} == set(columns)
    kinds = results.to_dataframe().dtypes
    assert {name: str(kinds[name]) for name in columns} == columns


def test_the_history_has_a_line_a_report_with_epochs_from_one(results: Results) -> None:
    frame = results.history()
    assert len(frame) == sum(map(len, HISTORIES.values()))
    peaked = frame[frame["id"] == "peaked"]
    assert list(peaked["epoch"]) == [1, 2, 3]
    assert list(peaked["metrics.score"]) == HISTORIES["peaked"]
    best = results["peaked"].best
    assert best is not None
    assert list(peaked["metrics.score"])[int(best["epoch"]) - 1] == best["value"]


def test_a_checkpoint_is_that_of_the_epoch_compared_and_can_be_opened(seeded: Path) -> None:
    results = read_results(seeded)
    row = results["a0"]
    with pytest.raises(DirectoryError, match="no checkpoint of trial a0 was kept"):
        results.checkpoint(row)
    kept = seeded / row.path / "best" / "00002.pt"
    kept.parent.mkdir()
    kept.write_text("weights")
    assert read_results(seeded).checkpoint("a0").read_text() == "weights"


def test_the_command_shows_configurations_trials_or_reports(seeded: Path) -> None:
    shown = run_command("results", str(seeded), cwd=seeded).stdout
    lines = shown.splitlines()
    assert lines[0].split("  ")[0] == "net"
    assert " ".join(lines[1].split()) == "a 4 of 5 0.9000 ± 0.0018 0.1000 2 best"
    assert lines[3].split()[-1] == "yes"
    assert lines[-1].startswith("best: net=a")
    one = run_command("results", str(seeded), "--trials", "--top", "1", cwd=seeded).stdout
    assert len([line for line in one.splitlines() if line.startswith("b1")]) == 1
    filtered = ["--where", "net=c", "--history", "--format", "csv"]
    reports = run_command("results", str(seeded), *filtered, cwd=seeded).stdout
    assert len(reports.splitlines()) == 1 + 4 * 2
    asked = ["--configurations", "--format", "json"]
    found = json.loads(run_command("results", str(seeded), *asked, cwd=seeded).stdout)
    assert [each["n"] for each in found] == [4, 4, 4]
    assert found[2]["apart"] is True
    both = run_command("results", str(seeded), "--trials", "--history", cwd=seeded)
    assert (both.returncode, "give one of" in both.stderr) == (2, True)


def test_seeds_are_not_chosen_by_how_they_came_out(seeded: Path) -> None:
    """Of those trials that came out well, the mean would be of the lucky ones."""
    lucky = run_command("results", str(seeded), "--where", "score>0.899", cwd=seeded)
    assert lucky.returncode == 0
    assert lucky.stdout.splitlines()[0].split()[0] == "trial"
    assert "best:" not in lucky.stdout
    refused = run_command(
        "results", str(seeded), "--where", "score>0.899", "--configurations", cwd=seeded
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "'score>0.899' would choose single seeds by how they came out" in refused.stderr
    some = run_command("results", str(seeded), "--where", "net!=a", cwd=seeded).stdout
    assert some.splitlines()[-1].startswith("of those with net!=a, best: net=")


def test_the_checkpoint_named_is_of_the_epoch_compared_or_the_reason_is_told(
    finished: Path,
) -> None:
    """The mode was the wrong one: what was kept is the best of the other."""
    right = in_process("run", "quickstart", cwd=finished)
    name = right.stdout.partition("its checkpoint: ")[2].splitlines()[0]
    assert (finished / name).is_file()
    wrong = in_process("run", "quickstart", "select=best", "mode=min", cwd=finished)
    assert "its checkpoint: that of epoch 1, which is compared, was not kept: a" in wrong.stdout

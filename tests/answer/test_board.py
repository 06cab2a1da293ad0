"""`sweeps board` opens on what matters: seeds together, the metric first, sweeps side by side."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from sweeps.answer.manifest_text import manifest_text
from sweeps.answer.opening import COLOURS, colouring, opening
from sweeps.answer.results import Results, read_results
from sweeps.records.events import EventLog, session_group
from sweeps.records.ledger import Ledger
from sweeps.records.manifest import add_run
from tests.answer.directory import Made, curve, write_sweep
from tests.commands import PATIENCE
from tests.conftest import Board, wait_until


def logged(folder: Path, name: str, seeds: int) -> Path:
    """A sweep of two configurations with their events."""
    trials = [
        Made({"lr": lr, "epochs": 2, "seed": seed}, curve(lr + seed, 2 * lr + seed))
        for lr in (0.1, 0.2)
        for seed in range(seeds)
    ]
    write_sweep(folder, trials, name=name, seeded=seeds > 1)
    for row in read_results(folder):
        log = EventLog(folder / row.path, row.config)
        for report in read_results(folder).reports(row):
            log.log({**report.metrics, "another": 1.0}, report.step)
        log.close(finished=True)
    return folder


def test_the_seeds_of_a_configuration_are_one_group_and_its_sessions_its_trials(
    tmp_path: Path, open_board: Callable[[Path], Board]
) -> None:
    board = open_board(logged(tmp_path, "mine", 3))
    runs = board.wait_for_runs(6)
    groups = wait_until(
        lambda: len(found := board.hparams()) == 2 and found, "TensorBoard to read all rows"
    )
    wait_until(
        lambda: sum(len(group["sessions"]) for group in board.hparams()) == 6, "all sessions"
    )
    groups = board.hparams()
    assert {session["name"] for group in groups for session in group["sessions"]} == set(runs)
    assert [len(group["sessions"]) for group in groups] == [3, 3]
    for group in groups:
        assert set(group["hparams"]) == {"lr", "epochs"}
        assert f"lr={group['hparams']['lr']}" in group["name"]
        values = {value["name"]["tag"]: value["value"] for value in group["metricValues"]}
        assert values["score"] == pytest.approx(2 * group["hparams"]["lr"] + 1)  # their mean
    asked = board.get("plugin/hparams/experiment", {"experimentName": ""})
    assert [column["name"] for column in asked["hparamInfos"]] == ["lr"]
    tags = [metric["name"]["tag"] for metric in asked["metricInfos"]]
    assert tags[:2] == ["score", "loss"]


def test_each_sweeps_manifest_is_a_text_of_its_first_trial_and_nothing_in_it_acts(
    tmp_path: Path, open_board: Callable[[Path], Board]
) -> None:
    for name in ("first", "second"):
        folder = logged(tmp_path / name, name, 1)
        sweep = {"name": name, "note": "<script>x</script> **bold**\n# no title"}
        add_run(folder, sweep, plan="2 new", seeds=[0], share={"cpu": 1.0})
    for _ in range(2):  # the second replaces what the first has written
        board = open_board(tmp_path)
        runs = board.wait_for_runs(4)
        tags = board.get("plugin/text/tags")
        shown = {run: tags.get(run, []) for run in runs}
        assert sorted(map(len, shown.values())) == [0, 0, 1, 1]
    for run in (run for run, found in shown.items() if found):
        query = urlencode({"run": run, "tag": "manifest"})
        [text] = board.get(f"plugin/text/text?{query}")
        name = run.partition("/")[0]
        assert text["text"].startswith("<pre><code>directory")
        for part in (f"name: {name}\n", "plan        2 new", "versions    python", "# no title"):
            assert part in text["text"]
        assert "&lt;script&gt;x&lt;/script&gt; **bold**" in text["text"]
    assert sum(len(group["sessions"]) for group in board.hparams()) == 4


def test_a_sweep_without_a_manifest_has_no_text(tmp_path: Path) -> None:
    assert manifest_text(Ledger(logged(tmp_path, "mine", 1))) is None


def found(folder: Path, configs: list[dict[str, float]], score: Callable[..., float]) -> Results:
    """The results of trials that are named by their values, as a run names them."""
    results = read_results(write_sweep(folder, [Made(c, curve(score(**c))) for c in configs]))
    names = [",".join(f"{key}={value}" for key, value in config.items()) for config in configs]
    rows = zip(results, names, strict=True)
    return results.only([replace(row, path=f"trials/{name},{row.id}") for row, name in rows])


GRID = [{"a.b": a, "lr": lr} for a in (1.0, 2.0, 3.0) for lr in (0.1, 0.2, 0.3)]


def test_runs_are_coloured_by_the_parameter_that_matters_most(tmp_path: Path) -> None:
    first = found(tmp_path / "1", GRID, lambda **c: 10 * c["a.b"] + c["lr"])
    assert colouring(first) == r"(?:^|[,/])a\.b=([^,]*)"
    second = found(tmp_path / "2", GRID, lambda **c: c["a.b"] + 100 * c["lr"])
    assert colouring(second) == "(?:^|[,/])lr=([^,]*)"
    assert "runColorGroup=regex%3A%28%3F%3A%5E%7C%5B%2C%2F%5D%29lr%3D" in opening(second)


def test_a_parameter_with_more_values_than_there_are_colours_is_passed_over(
    tmp_path: Path,
) -> None:
    configs = [{"lr": n / 10, "depth": depth} for n in range(COLOURS + 1) for depth in (1.0, 2.0)]
    results = found(tmp_path, configs, lambda **c: c["lr"])
    assert colouring(results) == "(?:^|[,/])depth=([^,]*)"


def test_runs_keep_their_own_colours_where_it_is_not_known_what_matters(tmp_path: Path) -> None:
    results = found(tmp_path, [*GRID[:2], GRID[3]], lambda **c: c["lr"])  # too few to say
    assert colouring(results) is None
    assert "runColorGroup" not in opening(results)


def test_a_folder_of_sweeps_is_one_board_and_one_line_tells_where(tmp_path: Path) -> None:
    for name in ("first", "second"):
        logged(tmp_path / name, name, 1)
    command = [sys.executable, "-m", "sweeps", "board", str(tmp_path), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        link = urlsplit(line)
        board = Board(f"{link.scheme}://{link.netloc}")
        runs = board.wait_for_runs(4)
        process.send_signal(2)
        rest, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, rest, errors) == (0, "", "")
    assert {run.partition("/")[0] for run in runs} == {"first", "second"}
    asked = parse_qs(link.query)
    assert asked["smoothing"] == ["0"]
    assert [card["tag"] for card in json.loads(asked["pinnedCards"][0])] == ["score", "loss"]
    assert link.fragment == "timeseries"


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("lr=0.1,seed=2,abcdefgh", r"lr=0.1,[0-9a-f]{4}"),
        ("seed=2,abcdefgh", r"all,[0-9a-f]{4}"),
        ("lr=0.1,abcdefgh", r"lr=0.1,[0-9a-f]{4}"),  # seeds may be added later
        ("abcdefgh", r"all,[0-9a-f]{4}"),
        ("my-own-run", "my-own-run"),
    ],
)
def test_trials_that_differ_in_the_seed_alone_are_one_group(name: str, group: str) -> None:
    row, found = session_group(name, {"lr": 0.1, "seed": 2})
    assert re.fullmatch(group, found)
    assert ("seed" in row) == (found == name)


def test_configurations_that_look_alike_in_a_name_are_two_groups() -> None:
    first, second = (session_group("a=x,seed=0,abcdefgh", {"a": a})[1] for a in ("x ", "x"))
    assert first != second

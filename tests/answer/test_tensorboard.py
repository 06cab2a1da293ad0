"""The quickstart's twelve trials as a real TensorBoard, and a real browser, show them."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from sweeps.answer.opening import opening
from sweeps.answer.results import read_results
from tests.commands import PATIENCE, in_process
from tests.conftest import Board, boards
from tests.shared import RunHere

BROWSER = shutil.which("chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
)
LAYERS = ("conv1", "conv2", "fc1", "fc2", "out")
OpenBoard = Callable[[Path], Board]


@pytest.fixture(scope="module")
def directory(quickstart: Path) -> Path:
    """That of a finished quickstart."""
    return quickstart / "runs/quickstart"


@pytest.fixture(scope="module")
def board(directory: Path) -> Iterator[Board]:
    """One TensorBoard for all that is seen of it."""
    with boards() as open_:
        shown = open_(directory)
        shown.wait_for_runs(12)
        yield shown


@pytest.fixture(scope="module")
def trials(directory: Path) -> dict[str, dict[str, Any]]:
    """The results by the trial's name in TensorBoard."""
    shown = in_process("results", str(directory), "--format", "json", cwd=directory)
    return {row["path"].removeprefix("trials/"): row for row in json.loads(shown.stdout)}


def test_there_is_one_event_file_per_trial(directory: Path) -> None:
    folders = list((directory / "trials").iterdir())
    assert len(folders) == 12
    assert all(len(list(f.glob("events.out.tfevents.*"))) == 1 for f in folders)


def test_every_run_is_a_trial_and_can_be_chosen_by_its_values(
    board: Board, trials: dict[str, Any]
) -> None:
    runs = board.get("runs")
    assert set(runs) == set(trials)
    chosen = [run for run in runs if re.search("lr=0.01,.*shuffle=true", run)]
    assert len(chosen) == 3
    assert all(trials[run]["id"] in run for run in runs)


def test_every_trial_has_its_scalars_histograms_images_and_graph(
    board: Board, trials: dict[str, Any]
) -> None:
    scalars = board.get("plugin/scalars/tags")
    histograms = board.get("plugin/histograms/tags")
    images = board.get("plugin/images/tags")
    curves = board.get("plugin/pr_curves/tags")
    graphs = board.get("plugin/graphs/info")
    assert sum("images" in tags for tags in images.values()) == 1  # all learn from the same
    parameters = {f"{layer}.{kind}" for layer in LAYERS for kind in ("weight", "bias")}
    for name, row in trials.items():
        assert set(scalars[name]) == set(row["metrics"])
        expected = {f"{group}/{p}" for group in ("weights", "gradients") for p in parameters}
        assert set(histograms[name]) == expected
        assert {"images/confusion_matrix", "images/mistakes"} <= set(images[name])
        assert set(curves[name]) == {f"precision_recall/{digit}" for digit in range(10)}
        assert graphs[name]["run_graph"]
        series = board.get(f"plugin/scalars/scalars?tag=accuracy/test&run={name}")
        assert [step for _, step, _ in series] == [1, 2, 3, 4, 5]
        assert series[-1][2] == pytest.approx(row["metrics"]["accuracy/test"])


def test_hparams_has_one_row_a_trial_with_true_types_metrics_and_status(
    board: Board, trials: dict[str, Any]
) -> None:
    rows = {row["sessions"][0]["name"]: row for row in board.hparams()}
    assert set(rows) == set(trials)
    for name, row in rows.items():
        config = trials[name]["config"]
        assert row["hparams"] == {k: v for k, v in config.items() if k != "seed"}
        assert row["hparams"]["shuffle"] is config["shuffle"]
        metrics = {m["name"]["tag"]: m["value"] for m in row["metricValues"]}
        for tag in ("accuracy/test", "loss/test"):
            assert metrics[tag] == pytest.approx(trials[name]["metrics"][tag])
        [session] = row["sessions"]
        assert session["status"] == "STATUS_SUCCESS"
    columns = board.get("plugin/hparams/experiment", {"experimentName": ""})["hparamInfos"]
    kinds = {column["name"]: column["type"] for column in columns}
    assert kinds["shuffle"] == "DATA_TYPE_BOOL"
    assert kinds["lr"] == kinds["batch_size"] == "DATA_TYPE_FLOAT64"
    assert set(kinds) == {"lr", "batch_size", "shuffle"}  # no constants


def test_a_trial_that_failed_for_good_is_a_failure_and_after_a_good_retry_a_success(
    tmp_path: Path, open_board: OpenBoard, run_here: RunHere
) -> None:
    module = tmp_path / "unlucky.py"
    module.write_text(
        "def train(config, *, report):\n"
        "    report({'accuracy/test': config['lr']})\n"
        "    if config['lr'] == 0.2: raise ValueError('cannot go on')\n"
    )
    (tmp_path / "sweep.yaml").write_text(
        "{name: mine, train: 'unlucky:train', metric: accuracy/test, mode: max,"
        " max_failures: 1, parameters: {lr: [0.1, 0.2]}}\n"
    )
    assert run_here("run", "sweep.yaml", cwd=tmp_path).returncode == 1
    assert _statuses(open_board(tmp_path / "runs/mine")) == {
        0.1: "STATUS_SUCCESS",
        0.2: "STATUS_FAILURE",
    }
    module.write_text(module.read_text().replace("== 0.2", "== 0.3"))
    assert run_here("run", "sweep.yaml", cwd=tmp_path).returncode == 0
    assert _statuses(open_board(tmp_path / "runs/mine")) == {
        0.1: "STATUS_SUCCESS",
        0.2: "STATUS_SUCCESS",
    }


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt install chromium")
def test_a_browser_shows_twelve_rows_with_metrics_and_every_tab(
    board: Board,
) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS.split())
        page = browser.new_page(viewport={"width": 1800, "height": 1000})
        page.set_default_timeout(1000 * PATIENCE)
        _see_hparams(page, board)
        _see(page, board, "scalars", "tf-line-chart-data-loader svg .lines, vz-line-chart2")
        _see(page, board, "images", "tf-image-loader img")
        _see(page, board, "graphs", "g.nodes text:has-text('CNN')")
        _see(page, board, "histograms", "vz-histogram-timeseries svg path")
        _see(page, board, "pr_curves", "tf-pr-curve-card vz-line-chart2")
        browser.close()


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt install chromium")
def test_the_link_opens_on_the_metric_with_a_colour_for_each_value_of_what_matters_most(
    board: Board, directory: Path
) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS.split())
        page = browser.new_page(viewport={"width": 1800, "height": 1000})
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(board.url + opening(read_results(directory)))
        card = page.locator("metrics-pinned-view").get_by_text("accuracy/test")
        card.first.wait_for()
        row = page.locator("tb-data-table-content-row", has=page.locator(".run-color-swatch"))
        row.nth(11).wait_for()
        colours: dict[str, set[str]] = {}
        for each in row.all():
            style = each.locator(".run-color-swatch").get_attribute("style") or ""
            [rate] = re.findall("lr=([^,]*)", each.inner_text())
            colours.setdefault(rate, set()).add(style)
        browser.close()
    assert [len(found) for found in colours.values()] == [1, 1]
    assert colours["0.01"] != colours["0.001"]


def _see_hparams(page: Page, board: Board) -> None:
    page.goto(f"{board.url}/#hparams")
    table = page.locator("tf-hparams-table-view")
    numbers = table.get_by_text(re.compile(r"^\s*0\.\d{5}\s*$"))
    numbers.first.wait_for()
    assert table.get_by_text(re.compile("^lr=")).count() == 12
    # accuracy/test and accuracy/train of every trial; other columns have fewer digits
    assert numbers.count() >= 24


def _see(page: Page, board: Board, tab: str, content: str) -> None:
    page.goto(f"{board.url}/#{tab}")
    page.locator(content).first.wait_for()


def _statuses(board: Board) -> dict[float, str]:
    board.wait_for_runs(2)
    return {row["hparams"]["lr"]: row["sessions"][0]["status"] for row in board.hparams()}

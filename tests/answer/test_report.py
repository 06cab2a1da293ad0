"""The report is one page that needs nothing else and shows what the records hold, as text."""

import json
import math
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sweeps.answer.report import read_report
from sweeps.definition.space import Trial
from sweeps.records.ledger import Ledger
from sweeps.records.record import Overview, Record, Status
from tests.conftest import run_command

HOSTILE = '<script>alert("x")</script>'
HISTORIES: dict[str, list[float]] = {
    "steady": [0.5, 0.6, 0.7],
    "peaked": [0.5, 0.9, math.nan, 0.1],
    "broken": [0.2],
    "waiting": [],
}


class Page(HTMLParser):
    """The elements of a page: tables' rows, curves by their titles, and all tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.paths: dict[str, str] = {}
        self.best: list[str] = []
        self.tags: set[str] = set()
        self._stack: list[tuple[str, dict[str, str | None]]] = []
        self._title = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._stack.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "path":
            self.paths[self._title] = str(dict(attrs)["d"])
            if self._stack[-2][1]["class"] == "curve best":
                self.best.append(self._title)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._stack and self._stack.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        inside = self._stack[-1][0] if self._stack else ""
        if inside in ("td", "th"):
            self.rows[-1][-1] += data
        if inside == "title":
            self._title = data


@pytest.fixture(params=["max", "min"])
def mode(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def directory(mode: str, tmp_path: Path) -> Path:
    """Four trials, of which one has failed with what a page must not take for markup."""
    trials = [
        Trial(name, {"lr": i % 2, "note": f"<b>{i}", "seed": 0}, name)
        for i, name in enumerate(HISTORIES)
    ]
    ledger = Ledger(tmp_path)
    ledger.write_overview(
        Overview("<i>mine", "score", mode, {"train": "trainer:train"}, tuple(trials))
    )
    for trial in trials:
        values = HISTORIES[trial.id]
        status = Status.FINISHED if len(values) > 1 else Status.PENDING
        failed = trial.id == "broken"
        status = Status.FAILED if failed else status
        error = f"ValueError: {HOSTILE}" if failed else None
        path = f"trials/{trial.name}"
        ledger.write(Record(trial.id, trial.config, path, status, 1, error))
        numbers = [v if math.isfinite(v) else str(v) for v in values]
        reports = [
            {"step": step, "metrics": {"score": v}, "seconds": 1.0, "checkpoint": None}
            for step, v in enumerate(numbers)
        ]
        text = "".join(f"{json.dumps(report)}\n" for report in reports)
        (tmp_path / path / "history.jsonl").write_text(text)
    return tmp_path


def test_a_page_shows_every_trial_best_first_and_what_failed_with_its_reason(
    directory: Path, mode: str
) -> None:
    page = Page(read_report(directory))
    trials = [row[0] for row in page.rows if len(row) == 9][1:]
    ranked = ["steady", "peaked"] if mode == "max" else ["peaked", "steady"]
    assert trials == [*ranked, "broken", "waiting"]
    assert ["broken", f"ValueError: {HOSTILE}"] in page.rows


def test_curves_are_broken_where_a_value_is_no_number_and_the_best_stands_out(
    directory: Path, mode: str
) -> None:
    page = Page(read_report(directory))
    curves = {title.split()[0]: path for title, path in page.paths.items()}
    assert set(curves) == {"steady", "peaked", "broken"}
    assert [curves["steady"].count(step) for step in "ML"] == [1, 2]
    assert [curves["peaked"].count(step) for step in "ML"] == [2, 1]
    assert [title.split()[0] for title in page.best] == ["steady" if mode == "max" else "peaked"]


def test_each_swept_value_is_told_what_its_trials_came_to(directory: Path, mode: str) -> None:
    page = Page(read_report(directory))
    of_steady_and_broken = {
        "max": ["lr", "0", "2", "0.4500", "0.3536", "0.7000"],
        "min": ["lr", "0", "2", "0.3500", "0.2121", "0.2000"],
    }
    assert of_steady_and_broken[mode] in page.rows
    best = "0.9000" if mode == "max" else "0.1000"
    assert ["lr", "1", "1", best, "", best] in page.rows


def test_nothing_of_a_record_is_markup_and_nothing_is_fetched(directory: Path) -> None:
    text = read_report(directory)
    assert HOSTILE not in text
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "b", "i"} & page.tags
    assert "http" not in text


def test_a_sweep_without_a_report_yet_has_a_page(directory: Path) -> None:
    for file in directory.glob("trials/*/history.jsonl"):
        file.unlink()
    text = read_report(directory)
    assert "no trial has reported the metric yet" in text
    assert "<svg" not in text


def test_the_command_writes_to_a_file_or_to_standard_output(directory: Path) -> None:
    shown = run_command("report", str(directory), cwd=directory)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("<!doctype html>")
    written = run_command("report", str(directory), "--output", "page.html", cwd=directory)
    assert (written.returncode, written.stdout, written.stderr) == (0, "", "")
    assert (directory / "page.html").read_text() == shown.stdout
    nowhere = run_command("report", str(directory), "--output", "none/page.html", cwd=directory)
    assert nowhere.returncode == 2
    assert "--output none/page.html cannot be written" in nowhere.stderr
    missing = run_command("report", "none", cwd=directory)
    assert (missing.returncode, "none holds no sweep" in missing.stderr) == (2, True)

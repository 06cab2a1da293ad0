"""The report is one page that needs nothing else, shows what the records hold, and can be used."""

import json
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from sweeps.answer.report.page import read_report
from sweeps.answer.results import read_results
from sweeps.records.record import Status
from tests.answer.directory import Made, curve, write_sweep
from tests.commands import PATIENCE, run_command
from tests.fakes import fake_sweep

BROWSER = shutil.which("chromium")
FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
HOSTILE = '</script><img src=x onerror="document.title=1">{{ 7*7 }}'
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt install chromium")


def grid(folder: Path, seeds: int = 3, mode: str = "max") -> Path:
    """lr 0.01 wants batch 128 and lr 0.001 batch 32; one trial failed, one waits."""
    generator = np.random.default_rng(0)
    trials = []
    for lr in (0.01, 0.001):
        for batch in (32, 64, 128):
            for seed in range(seeds):
                level = (
                    0.8 + 0.05 * ((lr, batch) in ((0.01, 128), (0.001, 32))) + 0.02 * (lr == 0.001)
                )
                ends = level + 0.003 * generator.normal()
                values = [1 - v if mode == "min" else v for v in (ends - 0.2, ends - 0.02, ends)]
                config = {"lr": lr, "batch": batch, "note": HOSTILE, "seed": seed}
                trials.append(Made(config, curve(*values)))
    extra = {"batch": 256, "note": HOSTILE, "seed": 0}
    trials.append(Made({"lr": 0.01, **extra}, [], Status.FAILED, f"ValueError: {HOSTILE}"))
    trials.append(Made({"lr": 0.001, **extra}, [], Status.PENDING))
    return write_sweep(folder, trials, name="mine", mode=mode)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished grid with all that a page can show of it."""
    folder = grid(tmp_path_factory.mktemp("report"))
    leader = read_results(folder).standings.leader
    assert leader is not None
    examination = {
        "classes": ["shirt", HOSTILE],
        "confusion": [[8, 2], [1, 9]],
        "wrong": [
            {"index": 3, "target": "shirt", "predicted": 1, "probability": 0.97, "png": PIXEL}
        ],
    }
    for row in leader.trials[:2]:
        (folder / row.path / "examination.json").write_text(json.dumps(examination))
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS.split())
        yield started
        started.close()


class Opened:
    """A page in a real browser, with whatever it complains of or asks for."""

    def __init__(self, browser: Browser, file: Path, **settings: Any) -> None:
        self.page: Page = browser.new_page(**settings)
        self.told: list[str] = []
        self.page.on("console", lambda m: self.told.append(m.text))
        self.page.on("pageerror", lambda error: self.told.append(str(error)))
        self.page.on("request", lambda request: self._ask(request.url))
        self.page.goto(file.as_uri())
        self.page.locator("html[data-drawn]").wait_for(state="attached", timeout=1000 * PATIENCE)

    def _ask(self, url: str) -> None:
        if not url.startswith(("file:", "data:")):
            self.told.append(url)

    def column(self, name: str) -> list[str]:
        heads = [text.strip() for text in self.page.locator("#table thead th").all_inner_texts()]
        at = next(i for i, head in enumerate(heads) if head.rstrip(" ▲▼") == name)
        cells = self.page.locator(f"#table tbody tr:not([hidden]) td:nth-child({at + 1})")
        return cells.all_inner_texts()

    def curves(self) -> int:
        """Lines of the first chart that are drawn."""
        return self.page.locator("#curves g.mark-line path").count()


@pytest.fixture(scope="module")
def file(directory: Path) -> Path:
    done = run_command("report", str(directory), "--png", "pictures", cwd=directory)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"{directory}/report.html"
    names = {Path(line).stem for line in lines[1:]}
    assert names == {"curves", "loss", "effects", "interaction", "parallel", "importance"}
    assert all((directory / line).read_bytes().startswith(b"\x89PNG") for line in lines[1:])
    return directory / "report.html"


@needs_browser
def test_a_browser_opens_it_alone_and_finds_nothing_to_complain_of(
    browser: Browser, file: Path
) -> None:
    opened = Opened(browser, file)
    assert opened.told == []
    assert file.stat().st_size < 6e6
    body = opened.page.locator("body").inner_text()
    assert "best: lr=0.001 batch=32, score 0.8682 ± 0.0020 (3 seeds); it can" in body
    for heading in (
        "What to do next",
        "Configurations",
        "Curves",
        "What each parameter does",
        "lr and batch act together",
        "All configurations at once",
        "Importance",
        "What the best configuration gets wrong",
        "How it was run",
        "Failures",
    ):
        assert opened.page.get_by_role("heading", name=heading, exact=True).count() == 1
    for chart in ("curves", "loss", "effects", "interaction", "parallel", "importance"):
        assert opened.page.locator(f"#{chart} svg").count() == 1


@needs_browser
def test_text_of_a_record_is_never_markup(browser: Browser, file: Path) -> None:
    opened = Opened(browser, file)
    assert opened.page.title() == "mine"
    assert opened.page.locator("img").count() == 1  # the picture of the mistake
    assert f"ValueError: {HOSTILE}" in opened.page.locator("body").inner_text()
    assert HOSTILE in opened.page.locator(".confusion").inner_text()
    cells = opened.page.locator(".confusion td").all_inner_texts()
    assert [cell.replace("\xa0", " ") for cell in cells] == [
        "16",
        "4",
        "80.0 %",
        "2",
        "18",
        "90.0 %",
    ]


@needs_browser
def test_the_table_is_sorted_filtered_and_switches_curves(browser: Browser, file: Path) -> None:
    opened = Opened(browser, file)
    page = opened.page
    assert opened.column("told apart")[0] == "best"
    page.get_by_role("button", name="batch").click()
    assert opened.column("batch") == ["32", "32", "64", "64", "128", "128", "256", "256"]
    page.get_by_role("button", name="batch").click()
    assert opened.column("batch")[0] == "256"
    page.get_by_role("button", name="score", exact=True).click()
    assert opened.column("score")[-2:] == ["", ""]
    page.locator("#filter").fill("lr=0.01 finished")
    assert opened.column("lr") == ["0.01"] * 3
    assert page.locator("#count").inner_text() == "3 of 8 configurations"
    page.locator("#filter").fill("")
    assert opened.curves() == 6
    page.locator("#table tbody input").first.uncheck()
    page.wait_for_function("document.querySelectorAll('#curves g.mark-line path').length == 5")
    page.locator("#five").click()
    page.wait_for_function("document.querySelectorAll('#curves g.mark-line path').length == 5")
    page.locator("#none").click()
    page.wait_for_function("document.querySelectorAll('#curves g.mark-line path').length == 0")
    assert opened.told == []


@needs_browser
def test_of_a_long_table_the_first_lines_are_shown_and_the_others_when_asked_for(
    browser: Browser, tmp_path: Path
) -> None:
    """It is sorted and filtered as a whole, and printed whole; its many points are a picture."""
    made = [
        Made({"x": n}, curve(*(n / 1000 + epoch / 1e5 for epoch in range(40 if n >= 180 else 1))))
        for n in range(220)
    ]
    folder = write_sweep(tmp_path / "long", made)
    (folder / "report.html").write_text(read_report(folder), encoding="utf-8")
    opened = Opened(browser, folder / "report.html")
    page, count = opened.page, opened.page.locator("#count")
    shown = page.locator("#table tbody tr:visible")
    assert count.inner_text() == "220 configurations, the first 200 of them shown"
    assert shown.count() == 200 and opened.column("x")[0] == "219"
    assert page.locator("#curves canvas").count() == 1
    page.get_by_role("button", name="x", exact=True).click()
    assert shown.count() == 200 and opened.column("x")[0] == "0"
    page.locator("#filter").fill("x=210")
    assert (opened.column("x"), count.inner_text()) == (["210"], "1 of 220 configurations")
    page.locator("#filter").fill("")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert (shown.count(), count.inner_text()) == (220, "220 configurations")
    page.reload()
    page.locator("#rest").click()
    assert shown.count() == 220 and not page.locator("#rest").is_visible()
    assert opened.told == []


@needs_browser
def test_a_curve_tells_its_configuration_where_the_pointer_is(browser: Browser, file: Path) -> None:
    opened = Opened(browser, file)
    opened.page.locator("#curves g.mark-symbol path").first.hover(force=True)
    tip = opened.page.locator("#vg-tooltip-element")
    tip.get_by_text("lr=").first.wait_for(timeout=1000 * PATIENCE)


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_is_wider_than_the_screen_and_text_is_as_large_as_elsewhere(
    browser: Browser, file: Path, scheme: Any, width: int
) -> None:
    opened = Opened(browser, file, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = opened.page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.evaluate(
        "[...document.querySelectorAll('.chart svg text')].filter(t => t.textContent).map("
        "t => parseFloat(getComputedStyle(t).fontSize)"
        " * Math.hypot(t.getScreenCTM().a, t.getScreenCTM().b))"
    )
    assert min(sizes) >= 10
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


@needs_browser
def test_on_paper_no_column_is_cut_and_heads_are_repeated(browser: Browser, file: Path) -> None:
    opened = Opened(browser, file, viewport={"width": 703, "height": 1000})  # A4 less margins
    opened.page.emulate_media(media="print")
    fits = (
        "[...document.querySelectorAll('table')].every(t => t.getBoundingClientRect().right <= {})"
    )
    assert opened.page.evaluate(fits.format(703))
    head = opened.page.locator("#table thead")
    assert head.evaluate("e => getComputedStyle(e).display") == "table-header-group"


@pytest.mark.parametrize("mode", ["max", "min"])
def test_the_interaction_is_told_in_words_in_either_mode(tmp_path: Path, mode: str) -> None:
    page = read_report(grid(tmp_path, mode=mode))
    assert "lr and batch act together" in page
    words = re.search(r"<p>(lr=0.01 is best with batch=128 [^<]*)", page)
    assert words is not None
    assert "seed</b>" not in page  # its effect is the noise


@pytest.mark.parametrize(("kind", "scale"), [("log_uniform", "log"), ("uniform", "linear")])
def test_drawn_parameters_get_a_curve_over_the_scale_that_they_are_drawn_on(
    tmp_path: Path, kind: str, scale: str
) -> None:
    generator = np.random.default_rng(1)
    rates = 10 ** generator.uniform(-5, -1, 60)
    trials = [Made({"lr": float(lr)}, curve(0.9 - 0.1 * (math.log10(lr) + 3) ** 2)) for lr in rates]
    folder = write_sweep(tmp_path, trials, parameters={"lr": {kind: [1e-5, 1e-1]}}, samples=60)
    page = read_report(folder)
    [specs] = re.findall(r'id="specs">(.*?)</script>', page, flags=re.DOTALL)
    charts = json.loads(specs)
    assert "effects" not in charts
    layers = charts["drawn-0"]["layer"]
    assert [layer["mark"]["type"] for layer in layers] == ["area", "circle", "line"]
    assert layers[1]["encoding"]["x"]["scale"].get("type", "linear") == scale


def test_a_few_draws_are_points_and_no_levels(tmp_path: Path) -> None:
    trials = [Made({"lr": lr}, curve(0.5 + lr)) for lr in (0.011, 0.023, 0.031, 0.047)]
    folder = write_sweep(tmp_path, trials, parameters={"lr": {"uniform": [0, 0.1]}}, samples=4)
    page = read_report(folder)
    assert 'id="drawn-0"' in page
    assert 'id="effects"' not in page


def test_parameters_that_change_together_are_named_and_no_effect_is_claimed(tmp_path: Path) -> None:
    trials = [Made({"width": w, "norm": w > 8}, curve(w / 40)) for w in (8, 16)]
    page = read_report(write_sweep(tmp_path, trials))
    assert "norm, width change together" in page or "width, norm change together" in page
    assert "<b>width</b>: from" not in page


@pytest.mark.parametrize("content", ["{", "[]", '{"classes": ["a"], "confusion": [[1, 2]]}', "{}"])
def test_an_examination_that_is_none_is_passed_over(tmp_path: Path, content: str) -> None:
    folder = write_sweep(tmp_path, [Made({}, curve(0.5))])
    [row] = read_results(folder)
    (folder / row.path / "examination.json").write_text(content)
    assert "gets wrong" not in read_report(folder)


def test_what_would_act_is_shown_by_its_code_on_a_page_too(tmp_path: Path) -> None:
    error = "broken \x1b[2J by \u202e"
    fake_sweep(tmp_path / "s", [{"lr": 0.1}], statuses={0: Status.FAILED}, error=error)
    page = read_report(tmp_path / "s")
    assert r"broken \x1b[2J by \u202e" in page
    assert not {"\x1b", "\u202e"} & set(page)


def test_a_sweep_without_a_report_yet_has_a_page(tmp_path: Path) -> None:
    page = read_report(write_sweep(tmp_path, [Made({"lr": 1}, [], Status.PENDING)]))
    assert "No trial has finished yet." in page
    assert "vegaEmbed" not in page.split("// Draws the charts")[0]


def test_a_page_goes_where_it_is_told_or_says_why_not(directory: Path) -> None:
    written = run_command("report", str(directory), "--output", "page.html", cwd=directory)
    assert (written.returncode, written.stdout, written.stderr) == (0, "page.html\n", "")
    nowhere = run_command("report", str(directory), "--output", "none/page.html", cwd=directory)
    assert nowhere.returncode == 2
    assert "none/page.html cannot be written: No such file or directory" in nowhere.stderr
    missing = run_command("report", "none", cwd=directory)
    assert (missing.returncode, "none holds no sweep" in missing.stderr) == (2, True)

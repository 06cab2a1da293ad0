"""Take the pictures: `python docs/shoot.py hparams DIR FILE`, or `report DIR FILE`."""

import re
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from sweeps.answer.report.page import read_report

FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"


def shoot_hparams(page: Page, directory: str, picture: str) -> None:
    """TensorBoard's table of configurations."""
    command = [sys.executable, "-m", "sweeps", "board", directory, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as board:
        try:
            url = next(f[0] for line in board.stdout if (f := re.search(r"http://[\d.:]+", line)))
            page.set_viewport_size({"width": 1500, "height": 640})
            page.goto(f"{url}/#hparams")
            table = page.locator("tf-hparams-table-view")
            table.get_by_text(re.compile(r"^\s*0\.\d{5}\s*$")).first.wait_for()
            page.screenshot(path=picture)
        finally:
            board.terminate()


def shoot_report(page: Page, directory: str, picture: str) -> None:
    """The report from its top down to what two parameters do together."""
    file = Path(picture).with_suffix(".html")
    file.write_text(read_report(directory))
    try:
        page.set_viewport_size({"width": 1000, "height": 900})
        page.goto(file.absolute().as_uri())
        page.locator("html[data-drawn]").wait_for(state="attached")
        end = page.locator("#interaction, #effects").last.bounding_box()
        height = end["y"] + end["height"] + 20
        page.screenshot(
            path=picture, full_page=True, clip={"x": 0, "y": 0, "width": 1000, "height": height}
        )
    finally:
        file.unlink()


def main(what: str, directory: str, picture: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=FLAGS.split()
        )
        page = browser.new_page()
        page.set_default_timeout(60_000)
        {"hparams": shoot_hparams, "report": shoot_report}[what](page, directory, picture)


if __name__ == "__main__":
    main(*sys.argv[1:])

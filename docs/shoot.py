"""Take the README's picture of TensorBoard: `python docs/shoot.py DIR docs/hparams.png`."""

import re
import subprocess
import sys

from playwright.sync_api import sync_playwright

FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"


def main(directory: str, picture: str) -> None:
    command = [sys.executable, "-m", "sweeps", "board", directory, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as board:
        try:
            url = next(
                found[0] for line in board.stderr if (found := re.search(r"http://\S+\d", line))
            )
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path="/usr/bin/chromium", args=FLAGS.split()
                )
                page = browser.new_page(viewport={"width": 1500, "height": 640})
                page.goto(f"{url}/#hparams")
                table = page.locator("tf-hparams-table-view")
                table.get_by_text(re.compile(r"^\s*0\.\d{5}\s*$")).first.wait_for()
                page.screenshot(path=picture)
        finally:
            board.terminate()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What the tests share: real data, a real command, a real TensorBoard."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.commands import PATIENCE, inside, marked, run_command, wait_until
from tests.shared import finished, quickstart, ray_of_tests, run_here
from trainer import prepare

__all__ = ["finished", "quickstart", "ray_of_tests", "run_command", "run_here", "wait_until"]

STARTED = {"browser", "open_board", "quickstart", "ray_of_tests"}
STARTED |= {"bucket", "cluster", "growing", "head", "machines", "shared_sweep", "sweep"}
"""Fixtures that start a Ray, a TensorBoard or a server; what asks for them is not quick."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes seconds, and begin with it: short tests fill the gaps at the end."""
    for item in items:
        if STARTED & {*getattr(item, "fixturenames", ())}:
            item.add_marker("ray")
    items.sort(key=lambda item: item.get_closest_marker("ray") is None)


@pytest.fixture(autouse=True)
def only_marked_tests_start_a_ray(request: pytest.FixtureRequest) -> Iterator[None]:
    """So that ``make test-quick`` stays quick."""
    before = marked.set(request.node.get_closest_marker("ray") is not None)
    with pytest.MonkeyPatch.context() as patch:
        if not marked.get():
            why = "a test that starts a Ray asks for `run_here`, or is marked: pytest.mark.ray"
            patch.setattr("sweeps.cluster.local.local_ray", lambda node: pytest.fail(why))
        yield
    marked.reset(before)


@pytest.fixture(scope="session")
def fashion_data() -> Path:
    """A folder with the official Fashion-MNIST files, unpacked, or a skip that says what to do."""
    folder = os.environ.get("SWEEPS_DATA")
    if not folder or not (Path(folder) / "FashionMNIST" / "raw").is_dir():
        pytest.skip("set SWEEPS_DATA to a folder that holds FashionMNIST/raw to run this test")
    prepare([{"data_dir": folder}])
    return Path(folder)


class Board:
    """A running TensorBoard, asked over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, body: Any = None) -> Any:
        """GET a path, or POST a JSON body to it; the JSON answer."""
        request = urllib.request.Request(f"{self.url}/data/{path}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        # not urlopen: it keeps the proxies of whichever test was the first to use it
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    def hparams(self) -> list[dict[str, Any]]:
        """The rows of the HParams table."""
        statuses = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
        body = {
            "experimentName": "",
            "allowedStatuses": statuses,
            "colParams": [
                {"hparam": "lr"},
                {"metric": {"group": "", "tag": "accuracy/test"}},
                {"metric": {"group": "", "tag": "loss/test"}},
            ],
            "startIndex": 0,
            "sliceSize": 100,
        }
        answer = self.get("plugin/hparams/session_groups", body)
        groups: list[dict[str, Any]] = answer["sessionGroups"]
        return groups

    def wait_for_runs(self, count: int) -> list[str]:
        runs: list[str] = wait_until(
            lambda: (found := self.get("runs")) and len(found) >= count and found,
            f"TensorBoard to list {count} runs",
        )
        return runs


@contextmanager
def boards() -> Iterator[Callable[..., Board]]:
    """Start `sweeps board` on sweeps' directories; all end with the block."""
    started: list[subprocess.Popen[str]] = []

    def open_(directory: Path | str, **env: str) -> Board:
        command = [sys.executable, "-m", "sweeps", "board", str(directory), "--port", "0"]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, **env}
        )
        started.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                return Board(found[0])
        pytest.fail("TensorBoard ended before it named its address")

    yield open_
    for process in started:
        process.terminate()
        process.communicate()


@pytest.fixture
def open_board() -> Iterator[Callable[..., Board]]:
    """Start `sweeps board` on a sweep's directory; it ends with the test."""
    with boards() as open_:
        yield open_


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, whose modules are forgotten; starting Ray is an error."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.setattr(
        "sweeps.cluster.local.local_ray", lambda node: pytest.fail("Ray was started")
    )
    with inside(folder):
        yield folder

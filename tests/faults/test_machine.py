"""Ray's own processes are killed: one sentence says so, and nothing stays behind."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from sweeps.storage.scratch import Scratch
from tests.commands import wait_until
from tests.faults.conftest import Sweep

pytestmark = [pytest.mark.ray, pytest.mark.own_ray]


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A temporary folder with a path short enough for sockets."""
    with TemporaryDirectory(prefix="t-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.parametrize("killed", ["gcs_server", "driver"])
def test_whatever_is_killed_nothing_stays_in_the_temporary_folder(
    sweep: Sweep, temporary: Path, killed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"TMPDIR": str(temporary), "RAY_TMPDIR": ""}
    process = sweep.start("parameters.seconds=0.5", "parameters.epochs=200", **settings)
    sweep.wait_for_epochs(1, trials=1)
    if killed == "driver":
        sweep.kill(process)
    else:
        children = psutil.Process(process.pid).children()
        [pid] = [child.pid for child in children if child.name() == killed]
        os.kill(pid, signal.SIGKILL)
        status, stderr = sweep.wait_for(process)
        assert status == 1
        assert "error: Ray has ended: its control process was killed" in stderr
        assert "run the same command again" in stderr
        assert "Traceback" not in stderr
    sweep.wait_until_gone()
    wait_until(lambda: not list(temporary.glob("*/session_*")), "Ray's folder to be gone")
    monkeypatch.setenv("TMPDIR", str(temporary))
    Scratch().remove()  # as the next run does
    assert list(temporary.iterdir()) == []

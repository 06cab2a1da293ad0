"""Commands as a user types them, and conditions that are waited for."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

STARTS_RAY = ("run", "submit")


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Poll until a condition holds, and return what it returned."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    pytest.fail(f"{what}: not within {seconds:.0f} s")


def run_command(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `sweeps` as a user would, in a folder of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "sweeps", *arguments],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    if arguments[0] in STARTS_RAY and done.returncode != 2 and not marked.get():
        pytest.fail("a test that runs a sweep asks for `run_here`, or is marked: pytest.mark.ray")
    return done


marked: ContextVar[bool] = ContextVar("marked", default=True)
"""Whether the test that runs now may start a Ray."""

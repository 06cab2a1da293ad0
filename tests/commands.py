"""Commands as a user types them, and conditions that are waited for."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sweeps.command.cli import app

STARTS_RAY = ("run", "submit")
PATIENCE = 600
"""Seconds after which what a test waits for will not come; no promise, as machines may be slow."""


def wait_until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
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
        timeout=PATIENCE,
        check=False,
    )
    if arguments[0] in STARTS_RAY and done.returncode != 2 and not marked.get():
        pytest.fail("a test that runs a sweep asks for `run_here`, or is marked: pytest.mark.ray")
    return done


marked: ContextVar[bool] = ContextVar("marked", default=True)
"""Whether the test that runs now may start a Ray."""


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


def in_process(*arguments: str, cwd: Path) -> Done:
    """``sweeps`` within this process, without the half second that starting another takes."""
    with inside(cwd):
        result = CliRunner().invoke(app, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Be in a folder, and forget its modules: another test has others of these names."""
    known = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", sys.path.copy())
        patch.setattr(sys, "dont_write_bytecode", True)
        try:
            yield
        finally:
            for name in set(sys.modules) - known:
                if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
                    del sys.modules[name]

"""Started once and used by many tests: a Ray to run sweeps on, and a finished sweep to copy.

A sweep run by the command takes two seconds for imports and three for Ray before its first trial.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from filelock import FileLock

from sweeps.cluster.local import local_ray
from sweeps.planning.shares import Node
from sweeps.worker.processes import nursery
from tests.commands import Done, in_process, run_command
from tests.drivers import TOKEN, RunningRay, start_workers_directly

RunHere = Callable[..., Done]


@pytest.fixture(scope="session")
def ray_of_tests() -> Iterator[RunningRay]:
    """A Ray of this process's own with two processors, for every sweep that only needs some Ray."""
    before = dict(os.environ)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # tests rewrite modules within a second
    os.environ["PL_DISABLE_FORK"] = "1"  # as Ray Tune sets it
    preload = ["ray.cloudpickle", "ray.tune", "torch"]  # what the tests' functions import
    with local_ray(Node(2, 0), lambda folder: nursery(folder, preload, 1)):
        import ray

        start_workers_directly()
        inside = dict(os.environ)
        running = RunningRay(ray.get_runtime_context().gcs_address, inside[TOKEN])
        _become(before)
        yield running
        _become(inside)
    _become(before)


def _become(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture
def run_here(ray_of_tests: RunningRay) -> RunHere:
    """``sweeps`` in this process, on the Ray of the tests: ``run_here("run", file, cwd=folder)``.

    For what a sweep comes to and what is said of it, in half the time of ``run_command``, which is
    for what concerns a process: signals, its environment, how much of the machine it takes.
    """

    return in_process


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that is made by the first who asks, among all processes of pytest-xdist."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            make(part)
            part.rename(folder)
    return folder


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the quickstart has run, its twelve trials to their ends; to read only."""

    def make(folder: Path) -> None:
        done = run_command("run", "quickstart", "--cpus", "2", "--gpus", "0", cwd=folder)
        assert (done.returncode, done.stderr) == (0, "")
        assert "12 trials: 12 finished" in done.stdout

    return once(tmp_path_factory, "quickstart", make)


@pytest.fixture
def finished(quickstart: Path, tmp_path: Path) -> Path:
    """A working folder with a finished sweep in ``runs/quickstart``, to read, change or damage."""
    return Path(shutil.copytree(quickstart, tmp_path / "finished"))

"""What the fault tests share: a sweep to disturb, what it must come to, and a look for orphans."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

from tests.commands import PATIENCE, Done, in_process, wait_until
from tests.drivers import Driver, RunningRay, start_driver
from tests.shared import RunHere

Started = Driver | subprocess.Popen[bytes]

MARK = "SWEEPS_TEST_MARK"
NONE: Mapping[int, str] = {}
SWEEP = """
name: chained
train: chained:train
metric: loss
mode: min
parameters: {x: [1, 2, 3, 4, 5, 6], epochs: 4, seconds: 0.1}
max_failures: 1
resources: {cpu: 2}
"""
"""One at a time on the Ray of the tests: each more is a Ray worker more, of two seconds."""
TOGETHER = "resources.cpu=1"


class Sweep:
    """A sweep in a folder of its own, and every process that was ever started for it.

    Args:
        ray: the one that it runs on; without it, each of its drivers starts its own.
    """

    def __init__(self, folder: Path, ray: RunningRay | None = None) -> None:
        self.folder, self.ray = folder, ray
        self.directory = folder / "runs/chained"
        self.mark = uuid.uuid4().hex
        (folder / "sweep.yaml").write_text(SWEEP)
        here = Path(__file__).parent
        (folder / "chained.py").write_text((here / "chained.py").read_text())

    def environment(self, **more: str) -> dict[str, str]:
        return {MARK: self.mark, "PYTHONPATH": path(), **more}

    def run(self, *arguments: str, faults: Mapping[int, str] = NONE, **env: str) -> Done:
        """`sweeps run` to its end."""
        status, stderr = self.wait_for(self.start(*arguments, faults=faults, **env))
        return Done(status, (self.folder / "stdout").read_text(), stderr)

    def go_on(self, run_here: RunHere, *arguments: str) -> Done:
        """The same, on the Ray of the tests: for what is left to do after a fault."""
        return run_here("run", "sweep.yaml", *arguments, cwd=self.folder)

    def start(
        self,
        *arguments: str,
        file: str = "sweep.yaml",
        faults: Mapping[int, str] = NONE,
        **env: str,
    ) -> Started:
        """`sweeps run`, not waited for.

        Args:
            faults: what happens to which trial, by x; see `chained.py`.
        """
        arguments = ("run", file, *arguments)
        (self.folder / "faults").write_text(json.dumps(faults))
        for name in ("stdout", "stderr"):
            (self.folder / name).write_text("")
        if self.ray:
            return start_driver(self.ray, arguments, self.folder, self.environment(), env)
        with (
            (self.folder / "stdout").open("a") as stdout,
            (self.folder / "stderr").open("a") as stderr,
        ):
            return subprocess.Popen(
                [sys.executable, "-m", "sweeps", *arguments],
                cwd=self.folder,
                env={**os.environ, **self.environment(**env)},
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )

    def kill(self, process: Started) -> None:
        """End the driver as nothing can be ended more abruptly; what it started may go on."""
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    def wait_for(self, process: Started, seconds: float = PATIENCE) -> tuple[int, str]:
        """The exit status of a run, and what it wrote to standard error."""
        return process.wait(seconds), (self.folder / "stderr").read_text()

    def trials(self) -> dict[int, Path]:
        """The trials' folders by x."""
        return {
            int(path.parent.name.partition(",")[0].removeprefix("x=")): path.parent
            for path in self.directory.glob("trials/*/trial.json")
        }

    def wait_for_epochs(self, count: int, trials: int) -> None:
        """Until so many trials have reported so often."""

        def reached() -> bool:
            files = self.directory.glob("trials/*/history.jsonl")
            return sum(len(f.read_text().splitlines()) >= count for f in files) >= trials

        wait_until(reached, f"{trials} trials with {count} epochs")

    def wait_to_hear(self, text: str) -> None:
        """Until the run has said this."""
        wait_until(lambda: text in (self.folder / "stdout").read_text(), f"to hear: {text}")

    def rows(self, *arguments: str, directory: Path | None = None) -> dict[int, dict[str, Any]]:
        """The results by x."""
        return {row["config"]["x"]: row for row in self.all_rows(*arguments, directory=directory)}

    def all_rows(self, *arguments: str, directory: Path | None = None) -> list[dict[str, Any]]:
        """The results, one row a trial."""
        where = str(directory or self.directory)
        shown = in_process("results", where, "--format", "json", *arguments, cwd=self.folder)
        assert shown.returncode == 0, shown.stderr
        rows: list[dict[str, Any]] = json.loads(shown.stdout)
        return rows

    def numbers(self) -> dict[int, Any]:
        """What a sweep has come to, without the time that it took."""
        kept = ("status", "epochs", "metrics", "best", "error")
        return {x: {name: row[name] for name in kept} for x, row in self.rows().items()}

    def processes(self) -> list[int]:
        """Who is still alive of all that was started for this sweep.

        On the Ray of the tests a trial's process has the environment of the program that forks it,
        and is known by where its output goes.
        """
        talking = [pid for pid in all_processes() if output_of(pid).startswith(str(self.folder))]
        return [*{*marked(self.mark), *talking}]

    def check_like(self, expected: Mapping[int, Any], only: set[int] | None = None) -> None:
        """The same numbers as an undisturbed sweep, every step once in TensorBoard, no orphan."""
        found = self.numbers()
        for x in only or expected:
            assert found[x] == expected[x], f"x={x}"
            steps = scalar_steps(self.trials()[x])
            assert steps == list(range(1, found[x]["epochs"] + 1)), f"x={x}"
        self.wait_until_gone()

    def wait_until_gone(self) -> None:
        """Until nothing that was started for this sweep is alive."""
        try:
            wait_until(lambda: not self.processes(), "every process of the sweep to end")
        except pytest.fail.Exception as error:
            pytest.fail(f"{error}: {[(pid, command_of(pid)) for pid in self.processes()]}")


def all_processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def marked(mark: str) -> list[int]:
    """The processes that have a mark in their environment."""
    return [pid for pid in all_processes() if mark.encode() in environ_of(pid)]


def output_of(pid: int) -> str:
    """Where a process's standard output goes; empty for one that is gone, or another user's."""
    try:
        return str(Path(f"/proc/{pid}/fd/1").readlink())
    except OSError:
        return ""


def command_of(pid: int) -> str:
    """A process's command line, and the state that it is in."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return f"{state} {Path(f'/proc/{pid}/cmdline').read_text()[:200]!r}"
    except OSError:
        return ""


def raylets(pids: Iterable[int]) -> list[int]:
    """Those that are a node's raylet, the oldest first (numbers of processes start over).

    The copies that a raylet forks to start other programs have its name for a moment.
    """
    named = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if process.name() == "raylet":
                named.append((process.create_time(), pid, process.ppid()))
    found = {pid for _, pid, _ in named}
    return [pid for _, pid, parent in sorted(named) if parent not in found]


def path() -> str:
    """The module search path of this process's own, if it was given one."""
    return os.environ.get("PYTHONPATH", "")


def environ_of(pid: int) -> bytes:
    """A process's environment; empty for one that is gone or waits to be."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def scalar_steps(folder: Path, tag: str = "loss") -> list[int]:
    """The steps of a scalar as TensorBoard reads them."""
    events = EventAccumulator(str(folder), size_guidance={SCALARS: 0})
    events.Reload()
    return [event.step for event in events.Scalars(tag)]


@pytest.fixture
def sweep(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Sweep]:
    own = request.node.get_closest_marker("own_ray")
    with watched(tmp_path, None if own else request.getfixturevalue("ray_of_tests")) as made:
        yield made


@pytest.fixture(scope="module")
def shared_sweep(
    tmp_path_factory: pytest.TempPathFactory, ray_of_tests: RunningRay
) -> Iterator[Sweep]:
    with watched(tmp_path_factory.mktemp("sweep"), ray_of_tests) as made:
        yield made


@contextlib.contextmanager
def watched(folder: Path, ray: RunningRay | None = None) -> Iterator[Sweep]:
    """A sweep of which nothing is left running, however its test ends."""
    sweep = Sweep(folder, ray)
    yield sweep
    end(sweep)


def end(sweep: Sweep) -> None:
    """End all that was started for a sweep."""
    for pid in sweep.processes():
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            continue


def losses(x: int) -> list[float]:
    """What ``chained`` reports for x in its four epochs."""
    chain = [str(x)]
    for _ in range(4):
        chain.append(hashlib.sha256("".join(chain).encode()).hexdigest()[:12])
    return [int(link, 16) / 16**12 for link in chain[1:]]


def whole(x: int) -> dict[str, Any]:
    """What a trial comes to if nothing happens."""
    reported = losses(x)
    best = {"value": min(reported), "epoch": reported.index(min(reported)) + 1}
    metrics = {"loss": reported[-1], "epoch": 3}
    return {"status": "finished", "epochs": 4, "metrics": metrics, "best": best, "error": None}


@pytest.fixture(scope="session")
def undisturbed() -> dict[int, Any]:
    """What the sweep comes to if nothing happens; x up to 8."""
    return {x: whole(x) for x in range(1, 9)}

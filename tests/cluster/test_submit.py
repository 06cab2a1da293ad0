"""Sweeps as jobs of a real Ray head: shown, left, stopped, killed, cut off, continued."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import KEY, Bucket
from tests.cluster.head import Head, Proxy
from tests.commands import PATIENCE, run_command, wait_until
from tests.conftest import Board
from tests.faults.conftest import TOGETHER, Sweep, end, losses

DRIVER = r"python sweepboard-job\.py"


@pytest.fixture(scope="module")
def head(bucket: Bucket) -> Iterator[Head]:
    started = Head("--num-cpus=3", "--num-gpus=2", **bucket.env)
    yield started
    started.close()


class Submitted(Sweep):
    """A sweep in a folder of its own, whose records go to a folder that the cluster shares."""

    def __init__(self, folder: Path, head: Head) -> None:
        project = folder / "project"
        project.mkdir()
        super().__init__(project)
        code = project / "chained.py"
        shipped = code.read_text().replace("Path(__file__).parent", f"Path({str(project)!r})")
        code.write_text(shipped)  # it is a copy that runs, and looks for the gate where it was
        self.gate = project / "gate"
        self.head = head
        self.started: list[subprocess.Popen[str]] = []
        self.storage = folder / "shared"
        self.directory = self.storage / "chained"

    def submit(self, *arguments: str, to: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        """`sweeps submit` to its end, by default of two trials."""
        given = {**self.environment(), **self.head.env, **env}
        address = ("--address", to or self.head.address)
        return run_command("submit", *arguments, *address, cwd=self.folder, **given)

    def of_file(self, *overrides: str) -> tuple[str, ...]:
        """The arguments for the sweep's file, with two trials unless more are asked for."""
        few = () if any("parameters.x" in each for each in overrides) else ("parameters.x=[1,2]",)
        return ("sweep.yaml", TOGETHER, *few, *overrides, "--storage", str(self.storage))

    def begin(self, *arguments: str, to: str = "") -> subprocess.Popen[str]:
        """`sweeps submit`, not waited for."""
        address = ("--address", to or self.head.address)
        return self.popen("-m", "sweeps", "submit", *arguments, *address)

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        """Python, as `sweeps submit` needs it."""
        started = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**os.environ, **self.environment(), **self.head.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(started)
        return started

    def reports_of(self, x: int) -> int:
        """How often a trial has reported."""
        folder = self.trials().get(x)
        history = folder / "history.jsonl" if folder else None
        return history.read_text().count("\n") if history and history.exists() else 0

    def wait_for_driver(self) -> int:
        """The process of the job's `sweeps run`."""
        found: list[int] = wait_until(lambda: self.head.processes(DRIVER), "the job to start")
        return found[0]

    def check(self, *values: int) -> None:
        """Every epoch of these trials is there once, and what an undisturbed sweep comes to."""
        found = {
            x: [json.loads(line)["metrics"]["loss"] for line in history.read_text().splitlines()]
            for x in values
            for history in [self.trials()[x] / "history.jsonl"]
        }
        assert found == {x: losses(x) for x in values}
        assert {row["status"] for row in self.rows().values()} == {"finished"}


def job_of(output: str) -> str:
    """The id that `sweeps submit` has printed."""
    found = re.search(r"^job (\S+), into ", output, re.MULTILINE)
    assert found, output
    return found[1]


@pytest.fixture
def sweep(tmp_path: Path, head: Head) -> Iterator[Submitted]:
    started = Submitted(tmp_path, head)
    yield started
    end(started)
    for process in started.started:
        process.communicate()


def test_a_job_is_shown_as_a_run_is_and_a_second_one_runs_what_is_missing(
    sweep: Submitted, head: Head
) -> None:
    (sweep.folder / "data").mkdir()
    (sweep.folder / "data/images.bin").touch()
    done = sweep.submit(*sweep.of_file())
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert re.fullmatch(rf"ships 2 files, \d kB, from {re.escape(str(sweep.folder))}", lines[0])
    assert lines[1] == "left out: data/ (not code)"
    assert lines[2] == f"job {job_of(done.stdout)}, into {sweep.directory}"
    assert lines[3] == "chained  2 trials: 2 new"
    assert lines[4].startswith("3 at once, each with 1 CPU and 0.25 GPU, as gpu is auto")
    assert len([line for line in lines if "  epoch " in line]) == 8
    assert "2 trials: 2 finished" in lines
    assert lines[-1] == f"see it with: sweeps board {sweep.directory}"
    sweep.check(1, 2)

    more = sweep.submit(*sweep.of_file("parameters.x=[1,2,3]"))
    assert (more.returncode, more.stderr) == (0, "")
    assert "chained  3 trials: 2 finished, 1 new" in more.stdout
    sweep.check(1, 2, 3)
    records = [file for file in sweep.storage.rglob("*") if file.is_file()]
    written = [file for file in records if head.token.encode() in file.read_bytes()]
    assert not [*written, *head.files_with(head.token), *head.files_with(KEY)]
    assert job_of(more.stdout) in (known := head.ask("/api/jobs/"))
    assert head.token not in known + done.stdout + more.stdout


def test_ctrl_c_leaves_a_job_running_which_can_be_followed_and_stopped(
    sweep: Submitted, head: Head
) -> None:
    sweep.gate.write_text("2")
    process = sweep.begin(*sweep.of_file())
    sweep.wait_for_epochs(2, trials=2)
    process.send_signal(signal.SIGINT)
    output, said = process.communicate(timeout=PATIENCE)
    job = job_of(output)
    at = f"--address {head.address}"
    assert process.returncode == 130
    assert said.splitlines() == [
        f"the job {job} goes on",
        f"follow it with: sweeps submit --follow {job} {at}",
        f"stop it with: sweeps submit --stop {job} {at}",
        f"its results, also now: sweeps results {sweep.directory}",
    ]
    following = sweep.begin("--follow", job)
    stopped = sweep.submit("--stop", job)
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert stopped.stdout == f"{job} stopped; submit the same sweep again to go on\n"
    shown, said = following.communicate(timeout=PATIENCE)
    assert following.returncode == 130
    assert "interrupted; 2 trials: 2 interrupted." in shown
    assert said.startswith(f"the job {job} was stopped; what was recorded is kept")
    assert {row["status"] for row in sweep.rows().values()} == {"interrupted"}
    seen = output.splitlines()[2:]
    assert shown.splitlines()[: len(seen)] == seen  # the same lines, from the beginning

    sweep.gate.unlink()
    done = sweep.submit(*sweep.of_file())
    assert "chained  2 trials: 2 continued" in done.stdout
    assert done.returncode == 0
    sweep.check(1, 2)


def test_a_driver_that_is_killed_is_told_of_and_a_cut_connection_is_taken_up_again(
    sweep: Submitted, head: Head
) -> None:
    sweep.gate.write_text("2")
    process = sweep.begin(*sweep.of_file())
    sweep.wait_for_epochs(2, trials=2)
    os.kill(sweep.wait_for_driver(), signal.SIGKILL)
    output, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert said == (
        f"error: the job {job_of(output)} ended before its sweep did: its process was ended by"
        " signal 9; what was recorded is kept: submit the same sweep again to go on\n"
    )
    with Proxy(head.dashboard_port) as proxy:
        process = sweep.begin(*sweep.of_file("parameters.x=[1,2,3]"), to=proxy.address)
        wait_until(lambda: sweep.reports_of(3) == 2, "the new trial to stand before the gate")
        proxy.cut()
        sweep.gate.unlink()
        wait_until(lambda: sweep.reports_of(3) == 4, "reports while the connection is cut")
        proxy.mend()
        output, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert said.startswith(f"the connection to {proxy.address} was lost: ")
    assert said.count("\n") == 1 and said.endswith("; trying again\n")
    assert "chained  3 trials: 2 continued" in output
    lines = [line for line in output.splitlines() if "  epoch " in line]
    assert len(lines) == len(set(lines))
    new = sweep.trials()[3].name.rpartition(",")[2]
    assert [re.sub(" *loss.*", "", line) for line in lines if line.startswith(new)] == [
        f"{new}  epoch {epoch}/4" for epoch in (1, 2, 3, 4)
    ]
    sweep.check(1, 2, 3)


def test_a_connection_that_stays_away_leaves_the_job_running(sweep: Submitted, head: Head) -> None:
    """It is given up after one second instead of sixty."""
    sweep.gate.write_text("1")
    code = (
        "from sweeps.cluster import jobs\nfrom sweeps.command import cli\n"
        "jobs.PATIENCE = 1\ncli.main()"
    )
    with Proxy(head.dashboard_port) as proxy:
        arguments = (*sweep.of_file(), "--address", proxy.address)
        process = sweep.popen("-c", code, "submit", *arguments)
        sweep.wait_for_epochs(1, trials=1)
        proxy.cut()
        output, said = process.communicate(timeout=PATIENCE)
    job = job_of(output)
    assert process.returncode == 1
    assert f"the job {job} goes on\n" in said
    assert f"follow it with: sweeps submit --follow {job} --address {proxy.address}\n" in said
    assert "Traceback" not in said
    sweep.gate.unlink()
    followed = sweep.submit("--follow", job)
    assert (followed.returncode, followed.stderr) == (0, "")
    sweep.check(1, 2)


def test_a_job_goes_to_a_bucket_that_is_read_as_a_folder_is(
    sweep: Submitted, bucket: Bucket, open_board: Callable[..., Board], tmp_path: Path
) -> None:
    to = f"s3://{bucket.name}/{tmp_path.name}"
    done = sweep.submit("sweep.yaml", "parameters.x=[1,2]", TOGETHER, "--storage", to, **bucket.env)
    assert (done.returncode, done.stderr) == (0, "")
    place = f"{to}/chained"
    assert f", into {place}\n" in done.stdout
    shown = run_command("results", place, "--format", "json", cwd=sweep.folder, **bucket.env)
    rows = {row["config"]["x"]: row["metrics"]["loss"] for row in json.loads(shown.stdout)}
    assert rows == {x: losses(x)[-1] for x in (1, 2)}
    status = run_command("status", place, cwd=sweep.folder, **bucket.env)
    assert "2 trials: 2 finished; not running" in status.stdout
    board = open_board(place, **bucket.env)
    assert {run.partition(",")[0] for run in board.wait_for_runs(2)} == {"x=1", "x=2"}


def refused(sweep: Submitted, *arguments: str, **env: str) -> str:
    """What a submit says that must end with 2, and leave nothing behind."""
    done = sweep.submit(*arguments, **env)
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert "Traceback" not in said
    assert not sweep.storage.exists()
    assert sweep.head.token not in said
    return said


def test_what_only_the_cluster_can_know_is_told_by_the_job(sweep: Submitted) -> None:
    """All at once: each waits for its job most of the time."""
    told = {
        ("resources.gpu=3",): "error: a trial asks for 1 CPU and 3 GPU, but no node has that",
        ("--dir", "/proc/sweeps/x"): "error: /proc/sweeps/x cannot be written",
        ("--storage", "s3://no-such-bucket/x"): "NO_SUCH_BUCKET",
        ("--python", "no-python"): "name that of the environment that Ray runs in with --python",
        ("--python", "/usr/bin/python3"): "/usr/bin/python3 on the cluster's head ",
    }
    jobs = {given: sweep.begin(*sweep.of_file(), *given) for given in told}
    for given, process in jobs.items():
        said = "".join(process.communicate(timeout=PATIENCE))
        assert process.returncode == 2, said
        assert told[given] in said
        assert "Traceback" not in said
    assert not sweep.storage.exists()


def test_a_module_that_is_not_installed_on_the_cluster(sweep: Submitted) -> None:
    """It is installed here: it is not shipped, and the job says so before it runs anything."""
    packages = sweep.folder.parent / "site-packages"
    packages.mkdir()
    (sweep.folder / "chained.py").rename(packages / "chained.py")
    said = refused(sweep, *sweep.of_file(), PYTHONPATH=str(packages))
    assert "ships no code but Sweepboard's own\n" in said
    assert "train: no module 'chained' for 'chained:train'; it must be installed" in said


@pytest.mark.parametrize(
    ("arguments", "env", "says"),
    [
        ([], {"RAY_AUTH_TOKEN": "f" * 64}, "refused the token that was found here"),
        ([], {"RAY_AUTH_TOKEN": ""}, "asks for a token; put that of the cluster into"),
        ([], {"RAY_AUTH_MODE": "tokens"}, "RAY_AUTH_MODE must be token or disabled"),
        (["--storage", "runs"], {}, "storage: must be a URI such as s3://bucket/sweeps, or the"),
        (["--follow", "nobody"], {}, "give one of FILE, --follow JOB and --stop JOB"),
        (["parameters.y=[2"], {}, "cannot be read as YAML"),
    ],
)
def test_what_is_known_before_is_refused_before_anything_is_sent(
    sweep: Submitted, arguments: list[str], env: dict[str, str], says: str
) -> None:
    said = refused(sweep, *sweep.of_file(), *arguments, HOME=str(sweep.folder), **env)
    assert says in said
    assert "job " not in said


def test_a_job_that_is_not_there(sweep: Submitted) -> None:
    for option in ("--follow", "--stop"):
        assert "there is no job 'nobody' at http://" in refused(sweep, option, "nobody")

"""Several nodes: real raylets on this machine, with GPUs that exist only in Ray's books."""

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.commands import PATIENCE, wait_until
from tests.faults.conftest import MARK, TOGETHER, Sweep, marked, raylets

pytestmark = pytest.mark.own_ray

TOKEN = "0123456789abcdef" * 4
BRIEF = ["parameters.x=[1,2,3,4]", "parameters.seconds=0.1"]
FOUR = [*BRIEF, TOGETHER]
TWO_TO_A_NODE = [*BRIEF, "resources.cpu=2", "resources.gpu=0.5"]
ONE_TO_A_NODE = [*BRIEF, "resources.cpu=4", "resources.gpu=1"]

OBSERVE = """
import os, sys, time, ray
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # for what Ray says of nodes that die
ray.init(address=sys.argv[1], log_to_driver=False)
for count in map(int, sys.stdin):
    while sum(node["Alive"] for node in ray.nodes()) != count: time.sleep(0.1)
    print(count, file=answers, flush=True)
"""


class Cluster:
    """A head that runs no trial and nodes with two GPUs each, every one a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.mark = uuid.uuid4().hex
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []
        self._observer: subprocess.Popen[str] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        port = self.address.rpartition(":")[2]
        self._start("--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false")
        wait_until(lambda: self.raylets() and self.answers(), "the head to answer")

    def wait_for_nodes(self, count: int) -> None:
        """Until the head knows of so many nodes, and of no other."""
        if self._observer is None:
            self._observer = subprocess.Popen(
                [sys.executable, "-c", OBSERVE, self.address],
                env={**os.environ, **self.token, MARK: self.mark},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        assert self._observer.stdin is not None and self._observer.stdout is not None
        print(count, file=self._observer.stdin, flush=True)
        assert self._observer.stdout.readline() == f"{count}\n"

    def answers(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", int(self.address.rpartition(":")[2]))).close()
            return True
        return False

    def add_node(self) -> None:
        self._start(f"--address={self.address}", "--num-cpus=4", "--num-gpus=2")

    def grow_to(self, nodes: int) -> None:
        """Have so many nodes besides the head; one after the other: they look for free ports."""
        while (count := len(self.raylets())) <= nodes:
            self.add_node()
            self.wait_for_nodes(count + 1)

    def add_node_that_sees_nothing_of(self, folder: Path) -> None:
        """A node in a mount namespace of its own, with an empty disk over a folder."""
        hidden = f'mount -t tmpfs tmpfs {shlex.quote(str(folder))} && exec "$@"'
        self._start(
            f"--address={self.address}",
            "--num-cpus=1",
            before=["unshare", "--mount", "sh", "-c", hidden, "sh"],
        )

    def _start(self, *arguments: str, before: Sequence[str] = ()) -> None:
        others = ["--block", "--node-ip-address=127.0.0.1", "--disable-usage-stats"]
        others += ["--min-worker-port=0", "--max-worker-port=0"]
        with (self._folder / "ray.log").open("a") as log:
            started = subprocess.Popen(
                [
                    *before,
                    sys.executable,
                    "-m",
                    "ray.scripts.scripts",
                    "start",
                    *arguments,
                    *others,
                ],
                env={**os.environ, **self.token, **self.notices, MARK: self.mark},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started.append(started)

    token: ClassVar = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    notices: ClassVar = {"RAY_health_check_period_ms": "1000"}
    """How soon it is known that a node has died: in a third of the usual time."""

    def raylets(self) -> list[int]:
        """Their processes, the head's first."""
        return raylets(marked(self.mark))

    def give_notice(self, raylet: int) -> None:
        """What a cloud does before it takes a spot machine back; its time is over at once."""
        arguments = Path(f"/proc/{raylet}/cmdline").read_text().split("\0")
        [node] = [a.partition("=")[2] for a in arguments if a.startswith("--node_id=")]
        notice = f"--address={self.address} --node-id={node} --reason-message=spot"
        notice += " --reason=DRAIN_NODE_REASON_PREEMPTION --deadline-remaining-seconds=0"
        subprocess.run(
            [sys.executable, "-m", "ray.scripts.scripts", "drain-node", *notice.split()],
            env={**os.environ, **self.token},
            capture_output=True,
            check=True,
            timeout=PATIENCE,
        )

    def close(self) -> None:
        for pid in marked(self.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._started:
            process.wait()
        if self._observer:
            self._observer.communicate()  # and close its pipes


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    started = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        started.grow_to(2)
        yield started
    finally:
        started.close()


def test_trials_spread_over_the_nodes_and_a_node_that_dies_costs_no_result(
    cluster: Cluster, sweep: Sweep, undisturbed: dict[int, Any]
) -> None:
    gate = sweep.folder / "gate"
    gate.write_text("2")
    arguments = [*TWO_TO_A_NODE, "max_failures=2", "--address", cluster.address]
    process = sweep.start(*arguments, **cluster.token)
    sweep.wait_for_epochs(2, trials=4)
    before = places(sweep)
    assert len({node for node, _ in before}) == 2
    assert {gpu for _, gpu in before} <= {"0", "1"}
    os.kill(cluster.raylets()[-1], signal.SIGKILL)
    sweep.wait_to_hear("its Ray worker was killed, or its node was lost; it is tried again")
    gate.unlink()
    assert sweep.wait_for(process) == (0, "")
    assert sweep.numbers() == {x: undisturbed[x] for x in range(1, 5)}


def test_a_node_that_joins_later_gets_work(
    cluster: Cluster, sweep: Sweep, undisturbed: dict[int, Any]
) -> None:
    gate = sweep.folder / "gate"
    gate.write_text("2")
    nodes = len(cluster.raylets()) - 1
    arguments = [*ONE_TO_A_NODE, "--address", cluster.address]
    process = sweep.start(*arguments, **cluster.token)
    sweep.wait_for_epochs(2, trials=nodes)
    assert len({node for node, _ in places(sweep)}) == nodes
    cluster.add_node()
    sweep.wait_for_epochs(2, trials=nodes + 1)
    assert len({node for node, _ in places(sweep)}) == nodes + 1
    gate.unlink()
    assert sweep.wait_for(process) == (0, "")
    assert sweep.numbers() == {x: undisturbed[x] for x in range(1, 5)}


def test_a_spot_machine_that_is_taken_back_is_no_failure(
    cluster: Cluster, sweep: Sweep, undisturbed: dict[int, Any]
) -> None:
    gate = sweep.folder / "gate"
    gate.write_text("2")
    cluster.grow_to(2)
    arguments = [*TWO_TO_A_NODE, "max_failures=0", "--address", cluster.address]
    process = sweep.start(*arguments, **cluster.token)
    sweep.wait_for_epochs(2, trials=4)
    taken = cluster.raylets()[-1]
    cluster.give_notice(taken)
    os.kill(taken, signal.SIGKILL)
    sweep.wait_to_hear("interrupted its node was taken back; it goes on elsewhere")
    gate.unlink()
    assert sweep.wait_for(process) == (0, "")
    assert sweep.numbers() == {x: undisturbed[x] for x in range(1, 5)}
    assert not list(sweep.directory.glob("trials/*/errors.log"))


def places(sweep: Sweep) -> list[tuple[str, str]]:
    """The node and the GPU of every trial, as recorded."""
    named = rf"{re.escape(socket.gethostname())} node (\w{{8}}) gpu (\d)"
    found = [re.fullmatch(named, row["where"] or "") for row in sweep.rows().values()]
    return [(match[1], match[2]) for match in found if match]


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"RAY_AUTH_TOKEN": "f" * 64}, "refused the token that was found here"),
        ({"RAY_AUTH_TOKEN": ""}, "asks for a token; put that of the cluster into"),
        ({"RAY_AUTH_MODE": "tokens"}, "RAY_AUTH_MODE must be token or disabled, got 'tokens'"),
    ],
)
def test_without_the_right_token_nothing_is_run(
    cluster: Cluster, sweep: Sweep, env: dict[str, str], says: str
) -> None:
    given = cluster.token | env | {"HOME": str(sweep.folder)}
    done = sweep.run(*FOUR, "--address", cluster.address, **given)
    assert done.returncode == 2
    assert says in done.stderr
    assert TOKEN not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not sweep.trials()


def test_a_node_that_has_just_died_does_not_keep_a_sweep_from_starting(
    cluster: Cluster, sweep: Sweep, undisturbed: dict[int, Any]
) -> None:
    count = len(cluster.raylets())
    cluster.add_node()
    cluster.wait_for_nodes(count + 1)
    os.kill(cluster.raylets()[-1], signal.SIGKILL)
    done = sweep.run("parameters.x=[1,2]", TOGETHER, "--address", cluster.address, **cluster.token)
    assert (done.returncode, done.stderr) == (0, "")
    assert sweep.numbers() == {x: undisturbed[x] for x in (1, 2)}


def test_a_directory_or_a_module_that_a_node_does_not_see_is_told_before_anything_is_run(
    cluster: Cluster, sweep: Sweep, tmp_path_factory: pytest.TempPathFactory
) -> None:
    allowed = subprocess.run(
        ["unshare", "--mount", "true"], capture_output=True, text=True, check=False
    )
    if allowed.returncode:
        pytest.skip(f"no mount namespaces here: {allowed.stderr.strip()}")
    count = len(cluster.raylets())
    cluster.add_node_that_sees_nothing_of(sweep.folder)
    cluster.wait_for_nodes(count + 1)
    done = sweep.run(*FOUR, "--address", cluster.address, **cluster.token)
    assert done.returncode == 2
    assert "is not shared by all nodes" in done.stderr
    assert "No such file or directory): each would keep its own records;" in done.stderr
    assert "name a folder that all of them mount, or a URI" in done.stderr
    assert not sweep.trials()

    shared = tmp_path_factory.mktemp("shared") / "chained"
    where = ("--dir", str(shared), "--address", cluster.address)
    done = sweep.run(*FOUR, *where, **cluster.token)
    assert done.returncode == 2
    assert "error: there is no module 'chained' on " in done.stderr
    assert "install it on all nodes, or use `sweeps submit`, which ships it" in done.stderr
    assert not list(shared.glob("trials/*"))


def test_gpus_that_no_node_has_are_refused_at_once(cluster: Cluster, sweep: Sweep) -> None:
    done = sweep.run("resources.gpu=3", TOGETHER, "--address", cluster.address, **cluster.token)
    assert done.returncode == 2
    assert "a trial asks for 1 CPU and 3 GPU, but no node has that" in done.stderr


def test_what_is_not_ray_is_refused_in_seconds(sweep: Sweep) -> None:
    server = HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    silent = socket.create_server(("127.0.0.1", 0))
    for port in (server.server_port, silent.getsockname()[1]):
        done = sweep.run("--address", f"127.0.0.1:{port}")
        assert done.returncode == 2
        assert f"what listens at 127.0.0.1:{port} is not Ray" in done.stderr
    server.shutdown()
    server.server_close()
    silent.close()
    assert not sweep.directory.exists()

"""A real Ray head that takes jobs, and a way to it that can be cut."""

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import urllib.request
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.commands import wait_until
from tests.faults.conftest import MARK, marked

PROGRAMS = Path(sys.prefix) / "head" / "bin"
"""Of the environment that ``make`` lays over that of the tests, for heads that take jobs."""


class Head:
    """A head, started as a user would, with a token of its own."""

    def __init__(self, *arguments: str, **env: str) -> None:
        if not PROGRAMS.is_dir():
            pytest.skip(f"{PROGRAMS} is missing: run `make .venv/ready-to-test`")
        self.token = secrets.token_hex(32)
        self._env = {**env, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"}
        for _ in range(3):  # a Ray beside it may take one of the ports before it does
            self._begin(*arguments)
            with contextlib.suppress(pytest.fail.Exception):
                wait_until(self.answers, "the dashboard to answer", seconds=120)
                return
            self.close()
        pytest.fail("no head that takes jobs could be started")

    def _begin(self, *arguments: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        self.port, self.dashboard_port, agent, client = free_ports(4)
        self.gcs = f"127.0.0.1:{self.port}"
        self.address = f"http://127.0.0.1:{self.dashboard_port}"
        self._mark = uuid.uuid4().hex
        self._started: list[subprocess.Popen[bytes]] = []
        dashboard = ("--include-dashboard=true", f"--dashboard-port={self.dashboard_port}")
        here = ("--head", f"--port={self.port}", f"--temp-dir={self.folder}", *dashboard)
        others = (f"--dashboard-agent-listen-port={agent}", f"--ray-client-server-port={client}")
        self.start(*here, *others, *arguments)

    @property
    def env(self) -> dict[str, str]:
        """What a program here needs to be let in."""
        return {"RAY_AUTH_TOKEN": self.token}

    def start(self, *arguments: str, before: Sequence[str] = (), **env: str) -> None:
        """A node of the cluster."""
        command = [*before, str(PROGRAMS / "python"), "-m", "ray.scripts.scripts", "start"]
        command += [*arguments, "--block", "--node-ip-address=127.0.0.1", "--disable-usage-stats"]
        command += ["--min-worker-port=0", "--max-worker-port=0"]
        own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token, MARK: self._mark}
        with (self.folder / "start.log").open("a") as log:
            started = subprocess.Popen(
                command,
                env={**_inherited(), **self._env, **own, **env},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started.append(started)

    def add_node(self, *arguments: str) -> None:
        """A node with a disk of its own: what is shipped is unpacked anew on each."""
        disk = self.folder / f"node{len(self._started)}"
        disk.mkdir()
        self.start(f"--address={self.gcs}", f"--temp-dir={disk}", *arguments)

    def answers(self) -> bool:
        """Whether jobs can be given to it."""
        with contextlib.suppress(OSError):
            return bool(self.ask("/api/jobs/"))
        return False

    def ask(self, path: str) -> str:
        """What its dashboard answers."""
        request = urllib.request.Request(self.address + path)
        request.add_header("Authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=5) as answer:
            return str(answer.read().decode())

    def processes(self, command: str) -> list[int]:
        """Those of the cluster whose command line matches."""
        found = []
        for pid in marked(self._mark):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
                found += [pid] if re.search(command, words) else []
        return found

    def files_with(self, text: str) -> list[Path]:
        """The files that the cluster has written in which a text stands."""
        files = [f for f in self.folder.rglob("*") if f.is_file() and not f.is_symlink()]
        return [file for file in files if text.encode() in file.read_bytes()]

    def close(self) -> None:
        """End all of it, and nothing else."""
        for pid in marked(self._mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._started:
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _inherited() -> dict[str, str]:
    """Our environment, less what a Ray in this process may have left in it."""
    left = ("RAY_", "SWEEPBOARD_")
    return {name: value for name, value in os.environ.items() if not name.startswith(left)}


class Proxy(socketserver.ThreadingTCPServer):
    """A way to a port that can be cut and mended."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.target = port
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.is_cut = False
        self.open: list[socket.socket] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def cut(self) -> None:
        """End all connections, and let no new one last."""
        self.is_cut = True
        while self.open:
            shut(self.open.pop())

    def mend(self) -> None:
        """Let connections through again."""
        self.is_cut = False

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.cut()
        self.server_close()


class Connection(socketserver.BaseRequestHandler):
    """One connection through a proxy."""

    server: Proxy

    def handle(self) -> None:
        if self.server.is_cut:
            return
        with socket.create_connection(("127.0.0.1", self.server.target)) as there:
            self.server.open += [self.request, there]
            back = threading.Thread(target=copy, args=(there, self.request))
            back.start()
            copy(self.request, there)
            back.join()


def copy(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes, until one of them is shut."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    shut(source)
    shut(target)


def shut(connection: socket.socket) -> None:
    """End a connection, also for a thread that waits for it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in found]

"""A real Ray head that takes jobs, and a way to it that can be cut."""

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.faults.conftest import MARK, marked

PROGRAMS = Path(sys.prefix) / "head" / "bin"
"""Of the environment that ``make`` lays over that of the tests, for heads that take jobs."""


class Head:
    """A head, started as a user would, with a token of its own."""

    def __init__(self, *arguments: str, **env: str) -> None:
        if not PROGRAMS.is_dir():
            pytest.skip(f"{PROGRAMS} is missing: run `make .venv/ready-to-test`")
        self.token = secrets.token_hex(32)
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # noqa: S108  short, for sockets
        self.port, self.dashboard_port, agent, client = free_ports(4)
        self.gcs = f"127.0.0.1:{self.port}"
        self.address = f"http://127.0.0.1:{self.dashboard_port}"
        self._mark = uuid.uuid4().hex
        self._env = {**env, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"}
        self._started: list[subprocess.Popen[bytes]] = []
        dashboard = ("--include-dashboard=true", f"--dashboard-port={self.dashboard_port}")
        here = ("--head", f"--port={self.port}", f"--temp-dir={self.folder}", *dashboard)
        others = (f"--dashboard-agent-listen-port={agent}", f"--ray-client-server-port={client}")
        self.start(*here, *others, *arguments)
        wait_until(self.answers, "the dashboard to answer")

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
                env={**os.environ, **self._env, **own, **env},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started.append(started)

    def answers(self) -> bool:
        """Whether jobs can be given to it."""
        request = urllib.request.Request(f"{self.address}/api/jobs/")
        request.add_header("Authorization", f"Bearer {self.token}")
        with contextlib.suppress(OSError):
            return bool(urllib.request.urlopen(request, timeout=5).status == 200)
        return False

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


class Proxy:
    """A way to a port that can be cut and mended."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._is_cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End all connections, and let no new one last."""
        self._is_cut = True
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def mend(self) -> None:
        self._is_cut = False

    def _accept(self) -> None:
        while True:
            ours, _ = self._listening.accept()
            if self._is_cut:
                ours.close()
                continue
            theirs = socket.create_connection(("127.0.0.1", self._target))
            self._open += [ours, theirs]
            for pair in ((ours, theirs), (theirs, ours)):
                threading.Thread(target=_copy, args=pair, daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in found]

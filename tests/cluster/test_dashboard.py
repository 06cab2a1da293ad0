"""An address that is no Ray, or another one: told in one message, before anything is sent."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sweeps.cluster import job_start, jobs, remote
from sweeps.cluster.dashboard import Dashboard, Lost
from sweeps.cluster.jobs import Lines
from sweeps.errors import ClusterError


class Answering(ThreadingHTTPServer):
    """Gives one answer to everything."""

    status, body = 200, b""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[str] = []


class Answer(BaseHTTPRequestHandler):
    server: Answering

    def do_GET(self) -> None:
        self.send_response(self.server.status)
        self.send_header("Location", f"{self.server.address}/elsewhere")
        self.server.asked.append(self.path)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Answering]:
    with Answering() as started:
        threading.Thread(target=started.serve_forever, daemon=True).start()
        yield started
        started.shutdown()


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, b"<html>hello</html>", "is not a Ray dashboard; `sweeps submit` takes the address"),
        (200, b"[]", "is not a Ray dashboard"),
        (302, b"", "is not a Ray dashboard"),
        (404, b"", "is not a Ray dashboard"),
        (200, b'{"ray_version": "2.9.3"}', "is version 2.9.3, here it is "),
        (401, b"", "asks for a token; put that of the cluster into ~/.ray/auth_token"),
        (503, b"starting", r"failed \(503\): starting"),
    ],
)
def test_what_answers_must_be_a_ray_of_this_version(
    server: Answering,
    status: int,
    body: bytes,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    server.status, server.body = status, body
    with pytest.raises(ClusterError, match=says):
        Dashboard(server.address).check()
    assert server.asked == ["/api/version"]  # the token is sent nowhere else


def test_a_port_where_nobody_listens_or_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "ANSWER_WITHIN", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Lost, match="timed out; open a tunnel to it with `ray dashboard"):
            Dashboard(address).check()
    with pytest.raises(Lost, match="Connection refused; open a tunnel"):
        Dashboard(address).check()


@pytest.mark.parametrize("address", ["127.0.0.1:8265", "ray://x:10001", "http://me:secret@host:1"])
def test_an_address_that_is_none_of_a_dashboard(address: str) -> None:
    with pytest.raises(ClusterError, match="must be that of the cluster's dashboard") as error:
        Dashboard(address)
    assert "secret" not in str(error.value)


def test_a_python_that_is_another_or_lacks_what_is_needed_is_told_of(tmp_path: Path) -> None:
    start = tmp_path / "sweepboard-job.py"
    start.write_text(Path(job_start.__file__).read_text())
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for flags, version, says in (
        (["-S"], here, f"error: {sys.executable} on the cluster's head has no module "),
        ([], "3.9", f"is Python {here}, and the sweep was submitted from 3.9; use the same"),
    ):
        done = subprocess.run(
            [sys.executable, *flags, str(start), version, jobs.COMMAND, "--version"],
            cwd=Path(job_start.__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert says in done.stderr
        assert "with --python" in done.stderr and "Traceback" not in done.stderr


def test_what_ray_says_of_another_python_is_said_in_our_words() -> None:
    said = (
        "Version mismatch: The cluster was started with:\n    Ray: 2.60.0\n    Python: 3.12.1\n"
        "This process on node 127.0.0.1 was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n"
    )
    assert "runs in Python 3.12.1, here it is 3.11.7" in remote.why_not("h:1", said)
    assert remote.why_not("h:1", "gone\nmore") == "cannot connect to Ray at h:1: gone"


def test_lines_are_shown_once_and_without_rays_own() -> None:
    shown: list[str] = []
    lines = Lines(shown.append)
    log = "2026-01-01 10:00:00,000\tINFO job_manager.py:581 -- Runtime env is setting up.\n"
    log += "Running entrypoint for job x-1: exec python\nfirst\nsecond\nthird"
    for cut in (100, 130, 140):
        lines.again()
        lines.add(log[: cut // 2])
        lines.add(log[cut // 2 : cut])
    lines.again()
    lines.add(log)
    lines.end()
    assert shown == ["first", "second", "third"]

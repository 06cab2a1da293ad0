"""What a run listens on, what it lets in, what it writes down, and what it refuses to read."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from sweeps.records.checkpoints import checksum
from sweeps.records.seal import seal
from tests.command.bad_input.case import sweep
from tests.commands import PATIENCE, run_command, wait_until
from tests.conftest import Board

pytestmark = pytest.mark.ray
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "canary-of-the-cloud-5f0c",
    "WANDB_API_KEY": "canary-of-a-service-83be",
}
MODULE = """
import os, time
from pathlib import Path
import trainer

def train(config, *, report, log_dir):
    scratch = Path(os.environ["SCRATCH"])
    print("training with", config)
    (scratch / "token").write_text(os.environ["RAY_AUTH_TOKEN"])
    (scratch / "key").write_text(os.environ["AWS_SECRET_ACCESS_KEY"])
    (scratch / "address.part").write_text(os.environ["RAY_ADDRESS"])
    (scratch / "address.part").rename(scratch / "address")
    while not (scratch / "looked").exists():
        time.sleep(0.05)
    trainer.train({"dataset": "digits", **config}, report=report, log_dir=log_dir)
    if config["lr"] == 0.2:
        raise ValueError("cannot go on")
"""
ATTACH = """
import sys
from ray._raylet import GcsClient
print(len(GcsClient(address=sys.argv[1]).get_all_node_info()), "nodes")
"""


@dataclass
class Watched:
    """A sweep, looked at while it ran, and what it left."""

    folder: Path
    home: Path
    token: str
    listening: list[tuple[str, int, str]]
    answers: dict[str, Any]
    attached: dict[str, subprocess.CompletedProcess[str]]
    commands: str
    ray_logs: bytes
    done: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    folder = tmp_path_factory.mktemp("watched")
    home = folder / "home"
    home.mkdir()
    (folder / "watched.py").write_text(MODULE)
    flow = "{lr: [0.1, 0.2], epochs: 1}"
    file = sweep(train="watched:train", parameters=flow, max_failures="0", resources="{gpu: 0}")
    (folder / "sweep.yaml").write_text(file)
    process = subprocess.Popen(
        [sys.executable, "-m", "sweeps", "run", "sweep.yaml"],
        cwd=folder,
        env={**_without_token(), **SECRETS, "HOME": str(home), "SCRATCH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until((folder / "address").exists, "a trial to begin")
        address, token = (folder / "address").read_text(), (folder / "token").read_text()
        driver = psutil.Process(process.pid)
        ended = psutil.STATUS_ZOMBIE  # that of Ray which has nothing to do
        family = [each for each in (driver, *driver.children(True)) if each.status() != ended]
        listening = sorted(_listening(family))
        answers = {f"{ip}:{port}": _http(ip, port) for ip, port, _ in listening}
        attached = {
            "no token": _attach(address, RAY_AUTH_MODE="disabled"),
            "another token": _attach(address, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="x" * 32),
            "its token": _attach(address, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token),
        }
        commands = "\n".join(word for each in family for word in each.cmdline())
        ray_logs = b"".join(_ray_logs(commands))
    finally:
        (folder / "looked").touch()
        stdout, stderr = process.communicate(timeout=PATIENCE)
    done = subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
    return Watched(folder, home, token, listening, answers, attached, commands, ray_logs, done)


def _without_token() -> dict[str, str]:
    """The environment of somebody who has set up nothing for Ray."""
    return {key: value for key, value in os.environ.items() if not key.startswith("RAY_AUTH_")}


def _listening(family: list[psutil.Process]) -> Iterator[tuple[str, int, str]]:
    for process in family:
        for connection in process.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                yield connection.laddr.ip, connection.laddr.port, process.name()


def _ray_logs(commands: str) -> Iterator[bytes]:
    """All that the running Ray has written so far, beside its sockets."""
    folders = {line.partition("=")[2] for line in commands.split("\n") if "--log_dir=" in line}
    assert folders
    for folder in folders:
        yield from (path.read_bytes() for path in Path(folder).parent.rglob("*") if path.is_file())


def _http(ip: str, port: int) -> int | None:
    """The status that a port answers a web page's request with; ``None`` if it speaks no HTTP."""
    host = "127.0.0.1" if ip in ("0.0.0.0", "::") else ip  # noqa: S104
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return direct.open(f"http://{host}:{port}/api/version", timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, HTTPException):
        return None


def _attach(address: str, **env: str) -> subprocess.CompletedProcess[str]:
    """What a program of its own gets that asks the running Ray for its nodes."""
    return subprocess.run(
        [sys.executable, "-c", ATTACH, address],
        env={**_without_token(), "HOME": "/nonexistent", **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_the_watched_sweep_wrote_all_that_a_sweep_can_write(watched: Watched) -> None:
    assert watched.done.returncode == 1, watched.done.stderr
    assert "2 trials: 1 finished, 1 failed" in watched.done.stdout
    names = {path.name.partition(".")[0] for path in (watched.folder / "runs").rglob("*")}
    assert {"sweep", "manifest", "trial", "history", "output", "errors", "events"} <= names


def test_secrets_of_the_environment_and_the_token_reach_no_record_log_screen_or_command_line(
    watched: Watched,
) -> None:
    """The logs are ours, TensorBoard's and Ray's."""
    said = watched.done.stdout + watched.done.stderr + watched.commands
    files = [path for path in (watched.folder / "runs").rglob("*") if path.is_file()]
    assert len(files) > 10
    assert b"gcs_server" in watched.ray_logs
    assert (watched.folder / "key").read_text() == SECRETS["AWS_SECRET_ACCESS_KEY"]  # trials may
    for secret in (*SECRETS.values(), watched.token):
        assert secret not in said
        assert secret.encode() not in watched.ray_logs
        assert [f for f in files if secret.encode() in f.read_bytes()] == []


def test_a_program_without_the_token_cannot_attach_to_our_ray(watched: Watched) -> None:
    assert watched.attached["its token"].stdout == "1 nodes\n"  # so the others could have
    for name in ("no token", "another token"):
        refused = watched.attached[name]
        assert refused.returncode != 0
        assert refused.stdout == ""
        assert "AuthenticationError" in refused.stderr


def test_no_dashboard_and_no_page_is_served_to_whoever_asks(watched: Watched) -> None:
    """One of Ray's agents speaks HTTP, and asks for the token; all else speaks gRPC."""
    assert set(watched.answers.values()) == {None, 401}, watched.listening
    assert not any(port == 8265 for _, port, _ in watched.listening)


def test_nothing_is_written_to_the_users_home(watched: Watched) -> None:
    assert list(watched.home.rglob("*")) == []


def test_tensorboard_listens_on_this_machine_only(
    watched: Watched, open_board: Callable[[Path], Board]
) -> None:
    board = open_board(watched.folder / "runs/mine")
    port = int(board.url.rpartition(":")[2])
    own = psutil.Process().children(recursive=True)
    assert [ip for ip, at, _ in _listening(own) if at == port] == ["127.0.0.1"]


class Malicious:
    """Unpickled without care, it makes a folder."""

    def __init__(self, proof: Path) -> None:
        self._proof = str(proof)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self._proof,)


def test_a_sweep_does_not_run_what_a_checkpoint_in_its_directory_asks_for(tmp_path: Path) -> None:
    """Neither in an array nor alone; and all of it with a HOME that cannot be written."""
    parameters = "{lr: [0.1, 0.2, 0.3], epochs: 1, dataset: digits}"
    file = sweep(parameters=parameters, fuse="2", max_failures="0", resources="{gpu: 0}")
    (tmp_path / "sweep.yaml").write_text(file)
    done = run_command("run", "sweep.yaml", cwd=tmp_path, HOME="/proc/none")
    assert (done.returncode, done.stderr) == (0, "")
    assert "arrays of 2, 1" in done.stdout
    proof = tmp_path / "proof"
    for trial in (tmp_path / "runs/mine/trials").iterdir():
        [checkpoint] = trial.glob("*.pt")
        state = torch.load(checkpoint, weights_only=True)
        torch.save(state | {"extra": Malicious(proof)}, checkpoint)
        report = json.loads((trial / "history.jsonl").read_text())
        report["sha256"] = checksum(checkpoint)
        (trial / "history.jsonl").write_text(json.dumps(report) + "\n")
        record = json.loads((trial / "trial.json").read_text())
        (trial / "trial.json").write_text(json.dumps(record | {"sealed": seal(trial)}))
    done = run_command("run", "sweep.yaml", "parameters.epochs=2", cwd=tmp_path, HOME="/proc/none")
    assert done.returncode == 1
    assert "3 trials: 3 continued from epoch 1" in done.stdout
    assert "arrays of 2, 1" in done.stdout
    assert "it holds more than tensors and plain values, or is damaged" in done.stderr
    refused = list((tmp_path / "runs/mine/trials").glob("*/errors.log"))
    assert len(refused) == 3
    assert all("is not a readable checkpoint" in errors.read_text() for errors in refused)
    assert not proof.exists()

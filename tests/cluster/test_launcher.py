"""Ray's own cluster launcher: `ray up` over ssh, a sweep submitted to it, `ray down`.

The machines are this one, see ``machines.py``; the file is docs/cluster/on-premises.yaml as a user
fills it in, with other ports, GPUs that exist only in Ray's books, and no installation, which would
take minutes.
"""

import getpass
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.machines import HEAD, ROOT, WORKER, Machines, free_port, is_open, missing
from tests.commands import run_command, wait_until
from tests.faults.conftest import TOGETHER, Sweep

TOKEN = "fedcba9876543210" * 4


@pytest.fixture
def machines() -> Iterator[Machines]:
    if why := missing():
        pytest.skip(why)
    folder = Path(tempfile.mkdtemp(prefix="sb-"))
    started = Machines(folder, uuid.uuid4().hex, TOKEN)
    try:
        started.wait()
        yield started
    finally:
        started.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def bystander(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """What Ray's own `ray stop` would take for one of its processes, and end."""
    started = subprocess.Popen([shutil.copy("/bin/sleep", tmp_path / "raylet"), "600"])
    yield started
    started.kill()
    started.wait()


def filled_in(machines: Machines, gcs: int, dashboard: int) -> dict[str, Any]:
    """The on-premises file for these machines."""
    file = ROOT / "docs/cluster/on-premises.yaml"
    config: dict[str, Any] = yaml.safe_load(file.read_text())
    config["provider"] |= {"head_ip": HEAD, "worker_ips": [WORKER]}
    config["auth"] = {
        "ssh_user": getpass.getuser(),
        "ssh_private_key": str(machines.key),
    }
    config["setup_commands"] = [config["setup_commands"][0]]
    config["head_setup_commands"] = []

    def at(address: str) -> str:
        ports = f"--min-worker-port=0 --max-worker-port=0 --ray-client-server-port={free_port()}"
        return f"--node-ip-address={address} {ports} --dashboard-agent-listen-port={free_port()}"

    [stop, start] = config["head_start_ray_commands"]
    start = start.replace("6379", str(gcs)).replace("8265", str(dashboard))
    config["head_start_ray_commands"] = [stop, f"{start} {at(HEAD)}"]
    [stop, start] = config["worker_start_ray_commands"]
    own = f"{at(WORKER)} --num-cpus=2 --num-gpus=1 --temp-dir={machines.rays_folder}"
    config["worker_start_ray_commands"] = [stop, f"{start.replace('6379', str(gcs))} {own}"]
    return config


@contextmanager
def tunnel(machines: Machines, file: Path, dashboard: int) -> Iterator[str]:
    """`ray dashboard`, as long as it is needed; the address here."""
    port = free_port()
    command = ["ray", "dashboard", str(file), f"--port={port}", f"--remote-port={dashboard}"]
    process = subprocess.Popen(
        command,
        env=machines.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: is_open("127.0.0.1", port), "the tunnel to open")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_sweep_on_machines_reached_by_ssh(
    machines: Machines,
    bystander: subprocess.Popen[bytes],
    tmp_path: Path,
    undisturbed: dict[int, Any],
) -> None:
    gcs, dashboard = free_port(), free_port()
    file, sweep = tmp_path / "on-premises.yaml", Sweep(tmp_path)
    file.write_text(yaml.safe_dump(filled_in(machines, gcs, dashboard)))
    said = machines.ray("up", str(file), "--yes", "--no-config-cache")
    assert TOKEN not in said
    status = f"RAY_AUTH_MODE=token ~/venv/bin/ray status --address={HEAD}:{gcs}"
    wait_until(lambda: "/1.0 GPU" in machines.ray("exec", str(file), status), "the worker to join")
    place = tmp_path / "shared"
    place.mkdir()
    with tunnel(machines, file, dashboard) as url:
        options = (
            "sweep.yaml",
            "parameters.x=[1,2]",
            TOGETHER,
            "--address",
            url,
            "--storage",
            str(place),
        )
        done = run_command("submit", *options, cwd=tmp_path, **machines.environment)
    assert (done.returncode, done.stderr) == (0, ""), done
    sweep.directory = place / "chained"
    assert sweep.numbers() == {x: undisturbed[x] for x in (1, 2)}
    assert {row["where"].partition(" gpu ")[2] for row in sweep.rows().values()} == {"0"}
    machines.ray("exec", str(file), "~/venv/bin/ray stop")
    machines.ray("down", str(file), "--yes")
    wait_until(lambda: not machines.rays(), "Ray to end, on the head and so on the worker")
    assert bystander.poll() is None

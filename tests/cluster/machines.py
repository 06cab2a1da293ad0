"""Two machines for Ray's cluster launcher: this one, twice, on two of its loopback addresses.

An sshd of the tests' own lets one key in, to a home folder of its own, whose ``ray stop`` ends only
what was started there: Ray's would end every Ray of this machine.
"""

import getpass
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.commands import PATIENCE, wait_until
from tests.faults.conftest import MARK, marked

HEAD, WORKER = "127.0.0.2", "127.0.0.3"  # of 127.0.0.1 Ray makes the address in the network
NEEDED = ("/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/ssh-keygen", "/usr/bin/rsync")
ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv/head/bin/python"
"""With ray[default], which a head that takes jobs needs."""

SSHD = """
Port {port}
ListenAddress {head}
ListenAddress {worker}
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
AllowUsers {user}
PasswordAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
ForceCommand HOME={home}; export HOME; cd; exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"
"""
STOP = f"""
import os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
from tests.cluster.machines import end_ray
end_ray(os.environ[{MARK!r}])
"""


def missing() -> str | None:
    """What this machine lacks for it, if anything."""
    if lacking := [program for program in NEEDED if not Path(program).exists()]:
        return f"no {', '.join(lacking)}: install openssh-server, openssh-client and rsync"
    return None if PYTHON.exists() else f"no {PYTHON}: make .venv/ready-to-test"


class Machines:
    """Both, and the environment for Ray's commands on the one that they are started from.

    Args:
        folder: an empty one, of a short name: it will hold Ray's sockets.
    """

    def __init__(self, folder: Path, mark: str, token: str) -> None:
        self.key, self.rays_folder = folder / "key", folder / "worker"
        self.log = folder / "sshd.log"
        self._mark, self._port, self._home = mark, free_port(), folder / "home"
        for name in ("host", "key"):
            generate = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(generate, check=True)
        here = folder / "here"
        self._make_commands(here / "bin", f'exec {PYTHON} -m ray.scripts.scripts "$@"')
        (here / ".ray").mkdir()
        (here / ".ray/auth_token").write_text(token)
        (here / ".ray/auth_token").chmod(0o600)
        self.environment = {
            **os.environ,
            "HOME": str(here),
            "PATH": f"{here}/bin:{os.environ['PATH']}",
            "RAY_TMPDIR": str(here),
            "TMPDIR": str(here),
            MARK: mark,
        }
        self._make_home(folder / "ray")
        self._sshd = self._start_sshd(folder)

    def _make_commands(self, where: Path, ray: str) -> None:
        """An ``ssh`` that goes to our sshd with our key, and nothing of the user's; a ``ray``."""
        where.mkdir(parents=True)
        alone = f"-F none -o ControlMaster=no -o ControlPath=none -p {self._port} -i {self.key}"
        script(where / "ssh", f'exec /usr/bin/ssh {alone} "$@"')
        script(where / "ray", ray)

    def _make_home(self, rays_folder: Path) -> None:
        """What both machines have instead of an installation: the worker without ray[default]."""
        home = self._home
        # no Ray on the PATH of a login: `ray down` calls `ray stop`, and must not find Ray's own
        self._make_commands(home / "bin", "exit 127")
        (home / "venv/bin").mkdir(parents=True)
        which = f"case ${MARK} in *@{WORKER}) python={sys.executable};; *) python={PYTHON};; esac"
        script(home / "venv/bin/python", f'{which}\nexec $python "$@"')
        (home / "stop.py").write_text(STOP)
        stop = f'[ "$1" = stop ] && exec {PYTHON} {home}/stop.py'
        run = f'exec {home}/venv/bin/python -m ray.scripts.scripts "$@"'
        script(home / "venv/bin/ray", f"{stop}\n{run}")
        own = "$(echo $SSH_CONNECTION | cut -d' ' -f3)"  # the address: which of the two it is
        settings = f"PATH={home}/bin:$PATH RAY_TMPDIR={rays_folder} {MARK}={self._mark}@{own}"
        # seconds between two looks for missing workers, and until these give a lost head up
        settings += " AUTOSCALER_UPDATE_INTERVAL_S=1 RAY_gcs_rpc_server_reconnect_timeout_s=3"
        (home / ".bashrc").write_text(f"export {settings}\n")

    def _start_sshd(self, folder: Path) -> subprocess.Popen[bytes]:
        names = {"port": self._port, "head": HEAD, "worker": WORKER, "home": self._home}
        config = folder / "sshd_config"
        config.write_text(SSHD.format(folder=folder, user=getpass.getuser(), **names))
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # it insists on it
        return subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-f", str(config), "-E", str(self.log)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def wait(self) -> None:
        """Until they let somebody in."""
        wait_until(lambda: is_open(WORKER, self._port), "sshd to listen")

    def ray(self, *arguments: str, seconds: float = PATIENCE) -> str:
        """A command of Ray's, as a user types it, to its end; what it said."""
        done = subprocess.run(
            ["ray", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, f"ray {arguments}:\n{said}\n{self.log.read_text()}"
        return said

    def rays(self) -> list[int]:
        """The raylets that run."""
        return [pid for pid in marked(self._mark) if "raylet/raylet" in command(pid)]

    def close(self) -> None:
        self._sshd.terminate()
        self._sshd.wait()
        for pid in marked(self._mark):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def end_ray(mark: str) -> None:
    """End the processes of Ray that were started with a mark, and wait for that."""
    rays = [pid for pid in marked(mark) if "/ray/" in command(pid) and pid != os.getpid()]
    for pid in rays:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(command(pid) for pid in rays), "Ray to end")


def command(pid: int) -> str:
    """A process's command line; empty for one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def is_open(host: str, port: int) -> bool:
    with suppress(OSError):
        socket.create_connection((host, port)).close()
        return True
    return False

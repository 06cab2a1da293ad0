"""What a machine may refuse a local Ray is told beforehand, and nothing of a run stays behind."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeps.cluster.health import Watch, check_machine, watched
from sweeps.errors import CannotGoOn, ClusterError
from sweeps.storage import scratch
from sweeps.storage.scratch import NoScratch, Scratch
from tests.commands import wait_until


def test_a_path_that_is_too_long_for_sockets_is_refused_with_how_long_it_may_be(
    tmp_path: Path,
) -> None:
    check_machine(Path("/short/sb-123456"))
    for length in (31, 32):
        base = "/" + "x" * (length - 1)
        if length == 31:
            check_machine(Path(base, "sb-123456"))
        else:
            with pytest.raises(ClusterError, match=r"may have 31 bytes; name a shorter one with"):
                check_machine(Path(base, "sb-123456"))


def test_a_limited_address_space_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit = (4 << 30, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda which: limit)
    with pytest.raises(ClusterError, match=r"limited to 4\.0 GiB .* `ulimit -v unlimited`"):
        check_machine(Path("/short/sb-123456"))


def test_a_limited_length_of_files_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = {resource.RLIMIT_FSIZE: 1 << 20}
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limits.get(which, -1), -1))
    with pytest.raises(ClusterError, match=r"limited to 0\.0 GiB .* `ulimit -f unlimited`"):
        check_machine(Path("/short/sb-123456"))


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_a_temporary_folder_without_room_is_refused(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "LEAST_FREE", 1 << 60)
    with pytest.raises(NoScratch, match=rf"{base} has \d+ MiB left, .*name another with TMPDIR"):
        Scratch()
    assert list(base.iterdir()) == []


def test_a_temporary_folder_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/nonexistent")
    with pytest.raises(NoScratch, match="/nonexistent cannot be written: No such file"):
        Scratch()


def test_what_a_killed_process_left_goes_with_the_next_run_and_nothing_else_does(
    base: Path,
) -> None:
    code = (
        "import sys\n"
        "from sweeps.storage.scratch import Scratch\n"
        "made = Scratch()\n"
        "print(made.path, flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with (
        subprocess.Popen(command, text=True, **pipes) as killed,  # type: ignore[call-overload]
        subprocess.Popen(command, text=True, **pipes) as alive,  # type: ignore[call-overload]
    ):
        left, used = (Path(each.stdout.readline().strip()) for each in (killed, alive))
        others = base / "sb-notours"
        others.mkdir()
        killed.kill()
        killed.wait()
        assert left.exists()
        own = Scratch()
        assert set(base.iterdir()) == {own.path, used, others}
        own.remove()
        assert set(base.iterdir()) == {used, others}


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[dict[str, "subprocess.Popen[bytes]"]]:
    """Processes of this one's own that have the names of Ray's."""
    started = {}
    for name in ("gcs_server", "raylet"):
        program = shutil.copy(str(shutil.which("sleep")), tmp_path / name)
        started[name] = subprocess.Popen([program, "60"])
    wait_until(lambda: all(_named(each.pid) in started for each in started.values()), "names")
    yield started
    for process in started.values():
        process.kill()
        process.wait()


def _named(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def test_a_part_of_ray_that_ends_is_noticed(parts: dict[str, "subprocess.Popen[bytes]"]) -> None:
    watch, settled, earlier = Watch(), Watch(), Watch()
    earlier._is_settled = True  # the parts are another Ray's, started after its own
    assert watch.look()
    assert settled.look()
    settled.settle()
    os.kill(parts["raylet"].pid, signal.SIGKILL)
    wait_until(lambda: not watch.look(), "it to be noticed")
    assert "Ray has ended: its raylet was killed" in str(watch.error())
    assert settled.look()  # Ray says so itself, once it runs
    parts["gcs_server"].kill()
    wait_until(lambda: not settled.look(), "it to be noticed")
    assert "its control process was killed" in str(settled.error())
    assert earlier.look()


def test_the_main_thread_is_interrupted_and_says_why(
    parts: dict[str, "subprocess.Popen[bytes]"],
) -> None:
    def lose() -> None:
        with watched():
            parts["gcs_server"].kill()
            time.sleep(60)

    begun = time.monotonic()
    with pytest.raises(CannotGoOn, match="run the same command again"):
        lose()
    assert time.monotonic() - begun < 30


def test_an_interrupt_of_another_kind_stays_one(
    parts: dict[str, "subprocess.Popen[bytes]"],
) -> None:
    with pytest.raises(KeyboardInterrupt), watched():
        raise KeyboardInterrupt

"""The program that forks the trials' processes: who ends with whom."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psutil
import pytest

from sweeps.worker.processes import SOCKET, Nursery, NurseryLost, connect, nursery
from tests.commands import wait_until


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Path]:
    with nursery(tmp_path, ["json.tool"], 1):
        yield tmp_path / SOCKET


@pytest.fixture
def ask() -> Iterator[Callable[[Nursery], Nursery]]:
    """Keeps a connection for the length of a test."""
    with ExitStack() as stack:
        yield lambda asked: stack.enter_context(closing(asked))


Ask = Callable[[Nursery], Nursery]


def stopped(asked: Nursery) -> int:
    """A process that does not end by itself when nobody is there any more."""
    pid = asked.process().pid
    os.kill(pid, signal.SIGSTOP)
    return pid


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_processes_have_one_parent_which_gives_way_and_each_leads_a_group(
    program: Path, ask: Ask
) -> None:
    one, other = ask(Nursery(program)), ask(Nursery(program))
    processes = [one.process(), one.process(), other.process()]
    parents = {psutil.Process(process.pid).ppid() for process in processes}
    assert len(parents) == 1
    assert os.getpriority(os.PRIO_PROCESS, parents.pop()) == 15
    assert [os.getpgid(process.pid) for process in processes] == [p.pid for p in processes]


def test_they_end_with_the_worker_that_asked_and_others_do_not(program: Path, ask: Ask) -> None:
    one, other = ask(Nursery(program)), ask(Nursery(program))
    mine, theirs = stopped(one), stopped(other)
    one.close()
    wait_until(lambda: gone(mine), "the first worker's process to end")
    assert psutil.Process(theirs).status() == psutil.STATUS_STOPPED


def test_all_end_with_the_program_and_it_with_who_started_it(tmp_path: Path, ask: Ask) -> None:
    with nursery(tmp_path, [], 1):
        pid = stopped(ask(Nursery(tmp_path / SOCKET)))
    wait_until(lambda: gone(pid), "the process to end")
    with pytest.raises(ConnectionRefusedError):
        ask(Nursery(tmp_path / SOCKET))


def test_that_the_program_was_killed_is_noticed(program: Path, ask: Ask) -> None:
    asked = ask(Nursery(program))
    os.kill(psutil.Process(asked.process().pid).ppid(), signal.SIGKILL)
    with pytest.raises(NurseryLost):
        asked.process()


def test_workers_without_one_of_the_run_share_one_that_ends_after_them(
    tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    workers = [ask(connect([], 1)), ask(connect([], 1))]
    parent, other = (psutil.Process(asked.process().pid).ppid() for asked in workers)
    assert parent == other
    for asked in workers:
        asked.close()
    wait_until(lambda: gone(parent), "the program to end")
    again = ask(connect([], 1))
    other = psutil.Process(again.process().pid).ppid()
    assert other != parent
    os.kill(other, signal.SIGKILL)  # its socket stays
    wait_until(lambda: gone(other), "the program to be gone")
    assert ask(connect([], 1)).process().pid


def test_a_folder_that_is_somebody_elses_too_is_not_used(
    tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / f"sb-user-{os.getuid()}").mkdir(mode=0o755)
    with pytest.raises(Exception, match="must be a folder that is yours alone"):
        ask(connect([], 1))

"""`sweeps run` in processes that can be killed, on the Ray of the tests.

A command takes two seconds of a processor for imports and four for a Ray of its own. What comes of
a driver, a trial or a disk that fails depends on neither: these are forked from a program that has
imported all, and connect to a Ray that is there, as a user's script may.
"""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from multiprocessing.forkserver import ensure_running
from pathlib import Path

from sweeps.cluster.local import RAY_SETTINGS, environment

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["sweeps.command.cli", "sweeps.driver.tuner", "tests.drivers"])
TOKEN = "RAY_AUTH_TOKEN"  # noqa: S105


@dataclass(frozen=True)
class RunningRay:
    """A Ray that drivers can connect to."""

    address: str
    token: str


class Driver:
    """A driver in its process; as a ``subprocess.Popen`` to those who wait for it."""

    def __init__(self, process: ForkServerProcess) -> None:
        assert process.pid is not None
        self.pid = process.pid
        self._process = process

    def poll(self) -> int | None:
        """Its exit status, if it has ended."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, once it has ended."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("sweeps", timeout or 0)
        return self._process.exitcode


def start_driver(
    ray: RunningRay,
    arguments: Sequence[str],
    folder: Path,
    mark: Mapping[str, str],
    env: Mapping[str, str],
) -> Driver:
    """``sweeps ARGUMENTS`` in a folder, whose files ``stdout`` and ``stderr`` get what it says.

    Args:
        mark: in the environment of the driver, beside what is there.
        env: in that of its trials too.
    """
    settings = RAY_SETTINGS | {TOKEN: ray.token, "RAY_AUTH_MODE": "token"}
    with environment(settings):  # some are read when ray is imported
        ensure_running()
        whole = {**os.environ, **mark, **env}
    process = CONTEXT.Process(target=_drive, args=(ray.address, arguments, folder, whole, env))
    process.start()
    return Driver(process)


def _drive(
    address: str,
    arguments: Sequence[str],
    folder: Path,
    whole: Mapping[str, str],
    of_trials: Mapping[str, str],
) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(whole)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, descriptor)
        os.close(file)
    sys.argv = ["sweeps", *arguments]
    modules = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:0] = [str(folder), *modules]
    import ray

    from sweeps.command.cli import main

    start_workers_directly()
    ray.init(
        address=address,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
        runtime_env={"env_vars": dict(of_trials)} if of_trials else None,
    )
    main()


def start_workers_directly() -> None:
    """Let Ray Tune give its workers no variables: those of the tests' Ray have them from its start.

    Ray sets variables by a program of its own, which imports Ray before the worker does.
    """
    from ray.tune.execution import class_cache

    class_cache.DEFAULT_ENV_VARS.clear()
    class_cache.ENV_VARS_TO_PROPAGATE.clear()

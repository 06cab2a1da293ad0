"""What runs inside of a Ray worker: it has processes train, and tells Ray what they tell.

The Ray worker itself never runs the user's code. It goes from trial to trial, as Ray Tune reuses
it; each attempt has a process of its own, and the next one is started while it trains.
"""

import getpass
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import ray
from ray import tune

from sweeps.definition.places import is_remote
from sweeps.storage.scratch import scratch_in_run, temporary_folder
from sweeps.storage.working_copy import folder_of
from sweeps.worker.deadline import struck
from sweeps.worker.endings import ended, kills_for_memory
from sweeps.worker.job import SEPARATOR, Failure, Job, Order
from sweeps.worker.processes import Nursery, NurseryLost, Process, connect


def ray_trainable(job: Job) -> Callable[[dict[str, Any]], None]:
    """A Ray Tune function that runs the trials whose folders its configuration names."""

    def trial(config: dict[str, Any]) -> None:
        supervisor(job).run(config["array"].split(SEPARATOR))

    return trial


@cache
def supervisor(job: Job) -> "Supervisor":
    """The one of this Ray worker, for as long as it lives."""
    return Supervisor(job)


class Supervisor:
    """Has attempts made, one after the other."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._where = whereabouts(job)
        self._function: bytes | None = ray.get(job.code) if job.code is not None else None
        self._nursery: Nursery | None = None
        self._warm: Process | None = None

    def run(self, paths: Sequence[str]) -> None:
        """Attempt a trial, or an array of them, until the driver wants no other attempt.

        What the driver wants stands in the trials' records, where the process looks: after Ray has
        passed on that an attempt failed, the driver has decided.
        """
        for _ in range(self._job.max_failures + 2):
            failure = self._attempt(paths)
            if failure is None:
                return
            tune.report({"failed": failure})

    def _attempt(self, paths: Sequence[str]) -> Failure | None:
        killed_before = kills_for_memory()
        with scratch_in_run() as folder:
            process: Process | None = None
            try:
                process = self._process()
                process.order(self._order(paths, str(folder)))
                if self._nursery and not self._job.warm:
                    self._nursery.prepare()
                for message in process.messages():
                    if "end" in message:
                        return self._ended(process, message["end"])
                    tune.report(message)
                exit_ = process.end()
            except NurseryLost:
                if process:
                    process.kill()
                self._nursery = self._warm = None
                why = "the program that starts its processes was killed"
                return Failure(why, f"{why}\n", lost=True)
            except BaseException:  # Ray Tune wants no more of it
                if process:
                    process.kill()
                self._warm = None
                raise
        self._warm = None
        if timeout := struck(self._folder(paths[0])):
            return Failure(*timeout, lost=True)
        return ended(exit_, kills_for_memory() > killed_before)

    def _ended(self, process: Process, failure: Failure | None) -> Failure | None:
        """The attempt has come to its end; so does the process, unless it is kept warm."""
        if self._job.warm and failure is None:
            self._warm = process
        else:
            self._warm = None
            process.end()
        return failure

    def _process(self) -> Process:
        if self._warm is not None:
            return self._warm
        if self._nursery:
            with suppress(NurseryLost):  # no attempt is lost with it
                return self._nursery.process()
        self._nursery = connect(self._job.preload, self._job.threads)
        return self._nursery.process()

    def _order(self, paths: Sequence[str], scratch: str) -> Order:
        environment = dict(os.environ)
        environment["TMPDIR"] = scratch
        # compiled code is for all trials
        compiled = f"{temporary_folder()}/torchinductor_{getpass.getuser()}"
        environment.setdefault("TORCHINDUCTOR_CACHE_DIR", compiled)
        environment["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
        return Order(
            self._job, tuple(paths), self._function, environment, str(Path.cwd()), self._where
        )

    def _folder(self, path: str) -> Path:
        directory = self._job.directory
        return folder_of(directory, path) if is_remote(directory) else Path(directory) / path


def whereabouts(job: Job) -> str:
    """The host this runs on, its node in a cluster, and its GPUs if it was given any."""
    place = socket.gethostname()
    if job.on_cluster:
        place += f" node {ray.get_runtime_context().get_node_id()[:8]}"
    gpus = ",".join(str(gpu) for gpu in ray.get_gpu_ids())
    return f"{place} gpu {gpus}" if gpus else place

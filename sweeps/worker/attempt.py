"""The worker side: what runs inside a Ray worker, around the user's function.

The process that trains also records: a checkpoint lands, then the line of history that names it,
then TensorBoard's events are flushed, and only then is Ray told. Whatever dies after a report, the
report stays.
"""

import io
import os
import socket
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import ray
from filelock import FileLock, Timeout
from ray import tune

from sweeps.definition.places import is_remote
from sweeps.definition.resolve import Resolved, import_from, resolve
from sweeps.errors import CannotGoOn, MetricMissing, SweepsError
from sweeps.records.checkpoints import Start, start_together
from sweeps.records.events import EventLog, reopen
from sweeps.records.folders import config_of, id_of, status_of
from sweeps.records.history import rewrite_history
from sweeps.records.record import Status
from sweeps.storage.working_copy import WorkingCopy
from sweeps.worker.deadline import Deadline
from sweeps.worker.job import SEPARATOR, Job
from sweeps.worker.recorder import NO_ROOM, Diverged, Recorder, divergence, no_room

PATIENCE = 60
"""Seconds that a worker waits for one before it to be gone, whose sweep was killed."""


class TrialFailed(Exception):
    """An attempt failed; carries text only, so that it survives the way to the driver.

    ``fatal`` is how the sweep ends, if no other attempt and no other trial would fare better.
    """

    def __init__(self, summary: str, trace: str, fatal: type[SweepsError] | None = None) -> None:
        super().__init__(summary, trace, fatal)
        self.summary, self.trace, self.fatal = summary, trace, fatal

    def __str__(self) -> str:
        return self.summary


def ray_trainable(job: Job) -> Callable[[dict[str, Any]], None]:
    """A Ray Tune function that runs the trials whose folders its configuration names."""

    def trial(config: dict[str, Any]) -> None:
        run_trials(job, [Member(job, path) for path in config["array"].split(SEPARATOR)])

    return trial


class Member:
    """One of the trials that this worker runs."""

    def __init__(self, job: Job, path: str) -> None:
        self.id = id_of(path)
        self.job = job
        self._copy = WorkingCopy(job.directory, path) if is_remote(job.directory) else None
        self.folder = self._copy.folder if self._copy else Path(job.directory) / path
        self.config = config_of(self.folder)

    def store(self) -> None:
        """After a report: write it to the sweep's directory, if that is elsewhere."""
        if self._copy:
            self._copy.store()

    def close(self) -> None:
        """After the attempt, however it ended."""
        if self._copy:
            self._copy.close()

    def is_running(self) -> bool:
        """Whether the driver wants it run; in an array started again, some may have ended."""
        return status_of(self.folder) is Status.RUNNING

    def alone_in_it(self) -> FileLock:
        """Make sure that no other process writes to the trial's folder.

        The workers of a sweep that was killed end a moment after it.
        """
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout:
            raise SweepsError(
                f"another process has written to {self.folder} for {PATIENCE} s: end it, and run"
                " the sweep again"
            ) from None
        return lock

    def begin(self, resolved: Resolved, start: Start, deadline: Deadline) -> dict[str, Any]:
        """The keyword arguments for its function."""
        rewrite_history(self.folder, start.history)
        reopen(self.folder, start.history)
        events = None if resolved.logs else EventLog(self.folder, self.config, start.step)
        self.recorder = Recorder(
            self.job,
            self.id,
            self.folder,
            start.history,
            whereabouts(self.job),
            events,
            store=self.store,
            on_report=deadline.extend,
        )
        offered = {
            "report": self.recorder,
            "log_dir": self.folder,
            "resume_from": start.checkpoint,
        }
        return {name: value for name, value in offered.items() if name in resolved.accepts}


def run_trials(job: Job, members: Sequence[Member]) -> None:
    """Call the user's function for one trial, or its array form for several.

    Raises:
        TrialFailed: whatever the function raised, as text.
    """
    if not all(member.config for member in members):
        unseen = f"{whereabouts(job)} does not see the records in {job.directory}"
        raise TrialFailed(f"{unseen}: it must be on storage that all nodes share", unseen)
    members = [member for member in members if member.is_running()]
    if not members:  # all of an array that failed are tried again alone
        return
    with ExitStack() as stack:
        try:
            for member in members:
                stack.callback(member.close)
                stack.enter_context(member.alone_in_it())
            output = stack.enter_context(Output([member.folder for member in members]))
            stack.enter_context(redirect_stdout(output))
            stack.enter_context(redirect_stderr(output))
            deadline = stack.enter_context(
                Deadline(members[0].folder, job.trial_timeout, job.epoch_timeout)
            )
            limit_to_share(job, len(members))
            import_from(job.import_path)
            resolved = resolve(job.train)
            if not resolved.reports:
                resolved.function(members[0].config)
            else:
                _run(resolved, members, deadline)
        except Exception as error:  # whatever the user's function raised
            raise explain(error) from None


def _run(resolved: Resolved, members: Sequence[Member], deadline: Deadline) -> None:
    """Train the members from where they stand; what becomes of each is told of."""
    folders = [member.folder for member in members]
    fresh = [Start([], None) for _ in members]
    starts = start_together(folders) if "resume_from" in resolved.accepts else fresh
    going: list[Member] = []
    arguments: list[dict[str, Any]] = []
    for member, start in zip(members, starts, strict=True):
        begun = member.begin(resolved, start, deadline)
        last = start.history[-1].metrics if start.history else {}
        if why := divergence(member.job.metric, last, start.step):  # killed before it was told
            _tell(member, Diverged(why))
        else:
            going.append(member)
            arguments.append(begun)
    if not going:
        return
    if len(going) == 1:
        _run_one(resolved, going[0], arguments[0])
        return
    errors = resolved.offers.train_many(
        [member.config for member in going],
        reports=[member.recorder for member in going],
        log_dirs=[one["log_dir"] for one in arguments],
        resume_from=[one.get("resume_from") for one in arguments],
    )
    for member, error in zip(going, errors, strict=True):
        member.recorder.tell()
        if error is not None:
            _tell(member, error)


def _run_one(resolved: Resolved, member: Member, arguments: Mapping[str, Any]) -> None:
    finished = False
    try:
        resolved.function(member.config, **arguments)
        finished = True
    except Diverged as why:
        _tell(member, why)
    finally:
        member.recorder.close(finished=finished)


def _tell(member: Member, error: Exception) -> None:
    """Tell the driver how a trial ended, whose worker goes on."""
    if isinstance(error, Diverged):
        tune.report({"trial": member.id, "diverged": str(error)})
    else:
        tune.report({"trial": member.id, "error": explain(error).args})


def explain(error: Exception) -> TrialFailed:
    """What to tell of an error, as text."""
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        error = no_room(error)
    summary = f"{type(error).__name__}: {error}".strip().splitlines()[0]
    if isinstance(error, SweepsError):
        summary = str(error)
    fatal = type(error) if isinstance(error, MetricMissing | CannotGoOn) else None
    return TrialFailed(summary, "".join(_traceback(error)), fatal)


class Output(io.TextIOBase):
    """What is printed goes to ``output.log``; what an array prints, to that of every member."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._files = [(f / "output.log").open("a", buffering=1, encoding="utf-8") for f in folders]

    def write(self, text: str) -> int:
        for file in self._files:
            file.write(text)
        return len(text)

    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()


def limit_to_share(job: Job, trials: int) -> None:
    """Keep torch to the threads of one trial, and its allocator to the trials' share of a GPU.

    On a worker that has not imported torch, and may never do so, the variables are enough. A Ray
    that others have started would let a trial without a share see every GPU.
    """
    os.environ["OMP_NUM_THREADS"] = str(max(1, int(job.cpu)))
    if not job.gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if not job.gpu and "torch" not in sys.modules:
        return
    import torch  # here, and not above: the driver imports this file too

    torch.set_num_threads(max(1, int(job.cpu)))
    share = job.gpu * trials
    if 0 < share <= 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(share)


def whereabouts(job: Job) -> str:
    """The host this runs on, its node in a cluster, and its GPUs if it was given any."""
    place = socket.gethostname()
    if job.on_cluster:
        place += f" node {ray.get_runtime_context().get_node_id()[:8]}"
    gpus = ",".join(str(gpu) for gpu in ray.get_gpu_ids())
    return f"{place} gpu {gpus}" if gpus else place


def _traceback(error: Exception) -> list[str]:
    """The traceback from the user's function on, without the frames around it."""
    trace = traceback.TracebackException.from_exception(error)
    here = os.path.realpath(__file__)
    while len(trace.stack) > 1 and os.path.realpath(trace.stack[0].filename) == here:
        del trace.stack[0]
    return list(trace.format())

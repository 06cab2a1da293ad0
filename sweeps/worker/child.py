"""In the process that trains: make it as one that has just begun, and do what is ordered."""

import faulthandler
import os
import signal
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TextIO

from sweeps.worker.attempt import attempt
from sweeps.worker.job import INSIDE, Job, Order


def live(orders: Connection) -> None:
    """Do what is ordered: one attempt, or as many as come where processes are kept warm."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    while True:
        try:
            order = orders.recv()
        except (EOFError, OSError):  # there is nothing more to do
            return
        begin(order)
        orders.send({"end": attempt(order, orders.send, write_to)})
        if not order.job.warm:
            return


def begin(order: Order) -> None:
    """Environment, folder, command line and random state, as a program that has just begun."""
    os.environ.clear()
    os.environ.update(order.environment)
    os.environ[INSIDE] = "\n".join(order.paths)
    os.chdir(order.folder)
    tempfile.tempdir = None
    sys.argv = [""]
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)
    # forks would share what the first import drew
    if numpys := sys.modules.get("numpy.random"):
        numpys.seed()
    if torch := sys.modules.get("torch"):
        torch.default_generator.seed()
    limit_to_share(order.job, len(order.paths))


def write_to(file: Path) -> None:
    """Let descriptors 1 and 2, of this process and of those it starts, be the end of a file."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    log = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.close(log)
    sys.stdout = sys.__stdout__ = _text(1)  # type: ignore[misc, assignment]
    sys.stderr = sys.__stderr__ = _text(2)  # type: ignore[misc, assignment]
    faulthandler.enable()


def _text(descriptor: int) -> TextIO:
    """Names of files that are no text do not end a trial that prints them."""
    return open(
        descriptor,
        "w",
        buffering=1,
        encoding="utf-8",
        errors="backslashreplace",
        closefd=False,
    )


def limit_to_share(job: Job, trials: int) -> None:
    """Keep torch to the threads of one trial, and its allocator to the trials' share of a GPU.

    Where torch has not been imported, and may never be, the variables are enough. A Ray that others
    have started would let a trial without a share see every GPU.
    """
    os.environ["OMP_NUM_THREADS"] = str(job.threads)
    if not job.gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if not job.gpu and "torch" not in sys.modules:
        return
    import torch  # here, and not above: most processes import this file before they need it

    torch.set_num_threads(job.threads)
    share = job.gpu * trials
    if 0 < share <= 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(share)

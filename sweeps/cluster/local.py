"""What a machine has, what one trial gets of it, and a Ray on this machine."""

import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Event, Thread

from sweeps.cluster.guardian import end_programs, guarded
from sweeps.cluster.health import check_machine, watched
from sweeps.planning.shares import Node
from sweeps.storage.scratch import VARIABLE, scratch

RAY_SETTINGS = {
    # glibc would give the memory of each step's large tensors back to the system, page by page,
    # and ask for it again in the next: a third to a half of a step's time
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a trial without a GPU share sees no GPU
    "RAY_AIR_NEW_OUTPUT": "0",  # Ray Tune's own tables
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths mean what they mean to the caller
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # what raylets say of dead workers; it is in the records
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
    # Ray would start workers beforehand, and then others, as Ray Tune's need a setting of their own
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
    # seconds in which nothing of ours can run, if Ray's control process ends as it starts
    "RAY_gcs_server_port_wait_time_s": "15",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # result.json, progress.csv, a second TensorBoard
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C reaches us
    "TUNE_GLOBAL_CHECKPOINT_S": "31536000",  # seconds between snapshots that nobody reads
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}

IDLE = ("/monitor.py", "/log_monitor.py")
"""Ray's programs that look for machines to add, and pass on what workers print: to nobody here.

A hundred megabytes, a hundredth of a processor, and a second in which Ray waits for their end.
"""


def this_machine(cpus: int | None = None, gpus: int | None = None) -> Node:
    """This machine as Ray will be told to see it; a number given overrides what is found."""
    if cpus is None:
        import joblib  # comes with scikit-learn; knows affinity masks and container limits

        cpus = joblib.cpu_count()
    return Node(cpus, count_gpus() if gpus is None else gpus)


def count_gpus() -> int:
    """The NVIDIA GPUs that a program started here could use, without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([d for d in visible.split(",") if d.strip() not in ("", "-1", "NoDevFiles")])
    import pynvml

    try:
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError:
        return 0


Beside = Callable[[Path], AbstractContextManager[None]]
"""Something that lasts as long as a Ray, and may use its folder."""


@contextmanager
def local_ray(node: Node, beside: Beside = lambda _: nullcontext()) -> Iterator[list[Node]]:
    """A Ray of our own on this machine: quiet, loopback, no dashboard, with a token of its own.

    A Ray that the calling program has started already is used instead, and left running.

    Args:
        beside: what is started before Ray, and so meanwhile.
    """
    # With the token given, and the mode left to it, Ray turns authentication on and writes no file.
    with environment(RAY_SETTINGS | {"RAY_AUTH_TOKEN": _token()}):
        import ray

        if ray.is_initialized():
            yield nodes_of_ray()
            return
        with _own_ray(node, beside):
            yield [node]


@contextmanager
def _own_ray(node: Node, beside: Beside) -> Iterator[None]:
    """Start a Ray, and leave nothing of it behind."""
    import ray

    with scratch() as folder, guarded(folder) as mark, watched() as watch:
        named = os.environ.get("RAY_TMPDIR")  # by someone who wants to look into its logs
        check_machine(Path(named, "ray") if named else folder)
        quiet()
        # Ray's processes take two seconds to start: time to import what comes after them
        Thread(target=import_module, args=["sweeps.driver.tuner"], daemon=True).start()
        os.environ[VARIABLE] = str(folder)
        with beside(folder):
            try:
                with _without_idle_programs(mark):
                    ray.init(
                        address="local",
                        num_cpus=int(node.cpus),
                        num_gpus=int(node.gpus),
                        include_dashboard=False,
                        log_to_driver=False,
                        logging_level=logging.CRITICAL,
                        _temp_dir=None if named else str(folder),
                    )
                watch.settle()
                yield
            finally:
                os.environ.pop(VARIABLE, None)
                if not watch.lost:
                    watch.stop()
                ray.shutdown()


@contextmanager
def _without_idle_programs(mark: str | None) -> Iterator[None]:
    """End :data:`IDLE` as soon as Ray starts them: their imports would take a second."""
    started = Event()

    def end() -> None:
        while mark and not started.wait(0.2):
            end_programs(mark, *IDLE)

    thread = Thread(target=end, daemon=True)
    thread.start()
    try:
        yield
    finally:
        started.set()
        thread.join()
        if mark:
            end_programs(mark, *IDLE)


@cache
def _token() -> str:
    """The token of all Rays that this process starts (Ray keeps the first that it reads)."""
    return secrets.token_hex(32)


def nodes_of_ray() -> list[Node]:
    """The nodes that are alive, of the Ray that this process is connected to."""
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Node(resources.get("CPU", 0), resources.get("GPU", 0)) for resources in alive]


def quiet(*more: str) -> None:
    """Say through our own display what Ray would log; errors of trials are in their records."""
    for name in ("ray", "ray.tune", "ray.train", "ray.data", *more):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the length of a run; those the user has set win.

    Ray sets RAY_AUTH_MODE by itself; that is taken back too.
    """
    added = {key: value for key, value in settings.items() if key not in os.environ}
    mode = os.environ.get("RAY_AUTH_MODE")
    os.environ.update(added)
    try:
        yield
    finally:
        for key in added:
            os.environ.pop(key, None)
        if mode is None:
            os.environ.pop("RAY_AUTH_MODE", None)


@contextmanager
def credentials_hidden() -> Iterator[None]:
    """Keep AWS credentials from Ray Tune while it runs.

    It would copy them from ``os.environ`` into each worker's runtime environment, which stands in
    clear in a log that every user of the machine can read. They stay in the environment proper,
    where storage finds them; the workers of a local Ray have them from the process that started
    them.
    """
    names = (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SECURITY_TOKEN",
        "AWS_SESSION_TOKEN",
    )
    hidden = {name: os.environ.pop(name) for name in names if name in os.environ}
    for name, value in hidden.items():
        os.putenv(name, value)
    try:
        yield
    finally:
        os.environ.update(hidden)

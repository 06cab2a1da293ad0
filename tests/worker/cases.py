"""Trainables for tests: what people's functions do, one case for each trial of a sweep."""

import asyncio
import ctypes
import locale
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ray import tune
from torch.utils.data import DataLoader, TensorDataset

from sweeps import Report

STATE: list[str] = []


def train(
    config: Mapping[str, Any], *, report: Report, log_dir: Path, resume_from: Path | None = None
) -> None:
    """Do what the trial's case says."""
    case: Callable[..., None] = globals()[config["case"].replace(" ", "_")]
    case(report=report, log_dir=log_dir, resume_from=resume_from)


# how it ends


def exits_with_0(report: Report, **_: Any) -> None:
    report({"loss": 1.0})
    sys.exit(0)


def exits_with_1(report: Report, **_: Any) -> None:
    report({"loss": 1.0})
    sys.exit(1)


def exits_with_text(report: Report, **_: Any) -> None:
    report({"loss": 1.0})
    sys.exit("no data")


def exits_at_once(report: Report, **_: Any) -> None:
    report({"loss": 1.0})
    os._exit(3)


def is_terminated(report: Report, **_: Any) -> None:
    report({"loss": 1.0})
    os.kill(os.getpid(), signal.SIGTERM)


def crashes(report: Report, **_: Any) -> None:
    report({"loss": 1.0})
    ctypes.string_at(0)


def raises(report: Report, **_: Any) -> None:
    report({"loss": 1.0})
    raise KeyError("width")


def raises_what_cannot_be_shown(report: Report, **_: Any) -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    report({"loss": 1.0})
    raise Broken


def raises_on_the_next_line(report: Report, **_: Any) -> None:
    report({"loss": 1.0})
    raise ValueError("\nthe shapes are not the same:\n(3,) (4,)")


# as a program that has just begun


def leaves_everything_changed(report: Report, **_: Any) -> None:
    STATE.append("dirty")
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(2)
    torch.manual_seed(7)
    random.seed(7)
    np.random.seed(7)
    os.environ["LEFT"] = "behind"
    os.chdir("/")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    locale.setlocale(locale.LC_ALL, "C")
    warnings.simplefilter("ignore")
    asyncio.set_event_loop(asyncio.new_event_loop())
    report({"loss": 1.0})


def finds_everything_fresh(report: Report, **_: Any) -> None:
    fresh = {
        "state": STATE == [],
        "dtype": torch.get_default_dtype() is torch.float32,
        "threads": torch.get_num_threads() == 1,
        "seed": torch.initial_seed() != 7,
        "random": random.random() != random.Random(7).random(),  # noqa: S311
        "environment": "LEFT" not in os.environ,
        "folder": Path("sweep.yaml").exists(),
        "signals": signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
        "main thread": threading.current_thread() is threading.main_thread(),
        "stdout": (sys.stdout.fileno(), sys.stderr.fileno()) == (1, 2),
        "encoding": sys.stdout.encoding == "utf-8" and sys.stdout.buffer is not None,
        "arguments": sys.argv == [""],
        "loop": asyncio.run(asyncio.sleep(0, result=True)),
    }
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    report({"loss": 1.0, **fresh})


def prints(report: Report, **_: Any) -> None:
    print("from python", b"caf\xe9".decode("utf-8", "surrogateescape"))
    os.write(1, b"from a descriptor\n")
    subprocess.run(["sh", "-c", "echo from a child; echo and its errors >&2"], check=True)
    report({"loss": 1.0})


def leaves_processes_and_folders(report: Report, **_: Any) -> None:
    child = subprocess.Popen(["sleep", "1000"])
    folder = tempfile.mkdtemp()
    Path("left.txt").write_text(f"{child.pid} {folder}")
    report({"loss": 1.0})


def loads_with_workers(report: Report, **_: Any) -> None:
    data = TensorDataset(torch.arange(8.0))
    loader = DataLoader(data, batch_size=2, num_workers=2, persistent_workers=True)
    for _epoch in range(2):
        report({"loss": sum(float(batch.sum()) for [batch] in loader)})


def forks(report: Report, **_: Any) -> None:
    """The child ends as a script would, and this goes on."""
    if (child := os.fork()) == 0:
        print("the child has ended")
        sys.exit(0)
    os.waitpid(child, 0)
    for epoch in range(3):
        report({"loss": 1.0 / (epoch + 1)})


# what it reports


def reports_from_threads(report: Report, **_: Any) -> None:
    def thread() -> None:
        for _epoch in range(25):
            report({"loss": 1.0})

    threads = [threading.Thread(target=thread) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


def reports_the_metric_now_and_then(report: Report, **_: Any) -> None:
    for epoch in range(4):
        report({"loss/train": 1.0} | ({"loss": 1.0 / (epoch + 1)} if epoch % 2 else {}))


def reports_numbers_of_all_kinds(report: Report, **_: Any) -> None:
    report({"n_params": 1234, "loss": 3.0})
    report(
        {
            "loss": Decimal("0.5"),
            "eval": {"loss": Fraction(1, 4), "by": {"class": np.float32(0.5)}},
            "tensor": torch.tensor(2.0),
            "flag": True,
            "text": "none",
            "nothing": None,
            "three": torch.zeros(3),
            "large": 10**400,
        }
    )
    report({"loss": np.int64(1), "test_acc": 0.75})


def has_not_measured_yet(report: Report, **_: Any) -> None:
    for epoch in range(6):
        best = math.inf if epoch < 4 else 0.5
        report({"loss": 1.0, "val_loss": math.nan, "best_loss": best})


def has_one_bad_epoch(report: Report, **_: Any) -> None:
    for loss in (1.0, math.nan, 0.5):
        report({"loss": loss})


def diverges(report: Report, **_: Any) -> None:
    for loss in (1.0, math.nan, math.inf, math.nan, 0.5):
        report({"loss": loss})


def diverges_at_the_end(report: Report, **_: Any) -> None:
    for loss in (1.0, math.nan):
        report({"loss": loss})


def reports_by_another_name(report: Report, **_: Any) -> None:
    report({"los": 1.0})


# plain Ray Tune functions


def plain(config: dict[str, Any]) -> Any:
    """Do what the trial's case says."""
    return globals()[config["case"].replace(" ", "_")]()


def returns() -> dict[str, float]:
    return {"loss": 0.25}


def yields() -> Iterator[dict[str, float]]:
    for epoch in range(3):
        yield {"loss": 1.0 / (epoch + 1)}


def yields_from_a_fork() -> Iterator[dict[str, float]]:
    """The child, in the middle of the generator as this is, ends there and yields nothing."""
    for epoch in range(3):
        if (child := os.fork()) == 0:
            yield {"loss": 99.0}
        os.waitpid(child, 0)
        yield {"loss": 1.0 / (epoch + 1)}


def goes_on_from_its_checkpoint() -> None:
    found = tune.get_checkpoint()
    begin = 0
    if found:
        with found.as_directory() as folder:
            begin = int((Path(folder) / "epoch").read_text())
    for epoch in range(begin, 4):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "epoch").write_text(str(epoch + 1))
            tune.report({"loss": 4.0 - epoch}, checkpoint=tune.Checkpoint.from_directory(folder))
        if epoch == 1 and not found:
            os.kill(os.getpid(), signal.SIGKILL)


def starts_over() -> None:
    begun = Path("begun")
    for epoch in range(3):
        with tempfile.TemporaryDirectory() as folder:
            tune.report({"loss": 4.0 - epoch}, checkpoint=tune.Checkpoint.from_directory(folder))
        if epoch == 1 and not begun.exists():
            begun.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def asks_about_itself() -> None:
    context = tune.get_context()
    assert Path(context.get_trial_dir()).name == context.get_trial_name()
    assert context.get_trial_name().endswith(context.get_trial_id())
    tune.report({"loss": 1.0, "cpus": context.get_trial_resources().head_cpus})


def reports_to_a_session() -> None:
    from ray.air import session

    for epoch in range(3):
        session.report({"loss": 1.0 / (epoch + 1)})


def returns_a_number() -> float:
    return 0.25


def starts_a_ray() -> None:
    import ray

    tune.report({"loss": 1.0})
    ray.init(num_cpus=2)


def reports_by_keywords() -> None:
    tune.report(loss=1.0)

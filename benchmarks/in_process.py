"""The grid through the trainer alone, in one process: no Ray, so it runs wherever torch does.

    python benchmarks/in_process.py --data DIR --mode arrays|solo

`arrays` trains the trials of each batch size as one array, `solo` one trial after another. The
first round is cold, the second warm. Prints one JSON object; `logging` is the part of `rounds` that
TensorBoard's scalars, histograms, images and graphs take, in seconds.
"""

import time

BEGAN = time.perf_counter()

import argparse  # noqa: E402
import functools  # noqa: E402
import itertools  # noqa: E402
import json  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Callable, Mapping  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import torch  # noqa: E402

import trainer  # noqa: E402
from trainer.tensorboard import TensorBoardLogger  # noqa: E402

Trials = list[dict[str, Any]]
logging: list[float] = []
"""Seconds in the logger, by round."""


def timed(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of the logger whose time counts."""

    @functools.wraps(method)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return method(*args, **kwargs)
        finally:
            logging[-1] += time.perf_counter() - began

    return wrapped


def grid(options: argparse.Namespace) -> Trials:
    """The twelve configurations."""
    axes = itertools.product((0.01, 0.001), (32, 64, 128), (True, False))
    fixed = {"epochs": options.epochs, "data_dir": str(options.data)}
    fixed["precision"] = options.precision
    return [{"lr": a, "batch_size": b, "shuffle": c, **fixed} for a, b, c in axes]


def train(mode: str, configs: Trials, logs: Path | None) -> Trials:
    """Train all; each trial's last metrics."""
    found: Trials = [{} for _ in configs]

    def reporter(index: int) -> trainer.Report:
        def report(metrics: Mapping[str, Any], *, checkpoint: Path | None = None) -> None:
            found[index] = dict(metrics)

        return report

    def folder(index: int) -> Path | None:
        return logs / str(index) if logs else None

    if mode == "solo":
        for index, config in enumerate(configs):
            trainer.train(config, report=reporter(index), log_dir=folder(index))
        return found
    for size in (32, 64, 128):
        chosen = [i for i, config in enumerate(configs) if config["batch_size"] == size]
        trainer.train_many(
            [configs[i] for i in chosen],
            reports=[reporter(i) for i in chosen],
            log_dirs=[folder(i) for i in chosen],
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--mode", choices=["arrays", "solo"], default="arrays")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--no-logs", action="store_true")
    options = parser.parse_args()
    configs = grid(options)
    trainer.prepare(configs)
    for name in ("__init__", "log_model", "log_epoch", "log_examination", "__exit__"):
        setattr(TensorBoardLogger, name, timed(getattr(TensorBoardLogger, name)))
    rounds = []
    for _ in range(options.rounds):
        logging.append(0.0)
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            found = train(options.mode, configs, None if options.no_logs else Path(folder))
            rounds.append(time.perf_counter() - began)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    trials = [
        {k: c[k] for k in ("lr", "batch_size", "shuffle")}
        | {k: m[k] for k in ("accuracy/train", "accuracy/test")}
        for c, m in zip(configs, found, strict=True)
    ]
    total = time.perf_counter() - BEGAN
    print(
        json.dumps(
            {
                "mode": options.mode,
                "device": device,
                "torch": torch.__version__,
                "precision": options.precision,
                "rounds": rounds,
                "logging": logging,
                "total": total,
                "peak_bytes": peak,
                "trials": trials,
            }
        )
    )


if __name__ == "__main__":
    main()

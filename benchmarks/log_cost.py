"""What TensorBoard costs the shipped trainer: the same training with all that it logs, and without.

    [SWEEPS_DATA=DIR] python benchmarks/log_cost.py [--rounds 7] [--epochs 5]

scikit-learn's digits, and Fashion-MNIST if `SWEEPS_DATA` holds it; one trial alone, and four as an
array. Both ways write their checkpoints and `examination.json`; they take turns, after a first
round that is not counted, as it imports and starts what later ones have. `share` is the median over
the rounds of what the logger's own calls took, beside the rest of that training; `difference` that
of each round with logging less the one without, which on a busy machine is mostly noise.
Writes results/log_cost.json.
"""

import argparse
import functools
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import torch

import trainer
import trainer.array
import trainer.loop
from trainer.tensorboard import TensorBoardLogger

HERE = Path(__file__).parent
RATES = (0.001, 0.002, 0.003, 0.004)


class Silent(TensorBoardLogger):
    """Logs nothing, whatever folder it is given."""

    def __init__(self, log_dir: Path | None, config: Mapping[str, Any], purge_step: int) -> None:
        super().__init__(None, config, purge_step)


class Timed(TensorBoardLogger):
    """Logs, and adds up the seconds of its calls."""

    seconds = 0.0


def counted(name: str) -> Callable[..., Any]:
    """A method of the logger whose time counts."""
    method = getattr(TensorBoardLogger, name)

    @functools.wraps(method)
    def timed(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return method(*args, **kwargs)
        finally:
            Timed.seconds += time.perf_counter() - began

    return timed


for each in ("__init__", "log_model", "log_epoch", "log_examination", "__exit__"):
    setattr(Timed, each, counted(each))


@contextmanager
def logger(kind: type[TensorBoardLogger]) -> Iterator[None]:
    """Train with this logger."""
    modules: list[Any] = [trainer.loop, trainer.array]
    for module in modules:
        module.TensorBoardLogger = kind
    try:
        yield
    finally:
        for module in modules:
            module.TensorBoardLogger = TensorBoardLogger


def ignore(metrics: Mapping[str, float], *, checkpoint: Path | None = None) -> None:
    """A report that nobody reads."""


def seconds(configs: list[dict[str, Any]], kind: type[TensorBoardLogger]) -> float:
    """Train one alone, or several as an array; how long that took."""
    with tempfile.TemporaryDirectory() as folder, logger(kind):
        began = time.perf_counter()
        if len(configs) == 1:
            trainer.train(configs[0], report=ignore, log_dir=Path(folder))
        else:
            folders = [Path(folder) / str(n) for n in range(len(configs))]
            for each in folders:
                each.mkdir()
            reports = [ignore] * len(configs)
            errors = trainer.train_many(configs, reports=reports, log_dirs=folders)
            if any(errors):
                raise SystemExit(f"training failed: {errors}")
        return time.perf_counter() - began


def measure(configs: list[dict[str, Any]], rounds: int) -> dict[str, float]:
    Timed.seconds = 0.0
    seconds(configs, Timed)
    first = Timed.seconds
    shares, differences, plain, spent = [], [], [], []
    for _ in range(rounds):
        Timed.seconds = 0.0
        whole, without = seconds(configs, Timed), seconds(configs, Silent)
        spent.append(Timed.seconds)
        shares.append(Timed.seconds / (whole - Timed.seconds))
        differences.append((whole - without) / without)
        plain.append(without)
    return {
        "training": median(plain),
        "logging": median(spent),
        "share": median(shares),
        "difference": median(differences),
        "first": first,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)  # as a trial of a sweep with one processor
    datasets = ["digits", *(["fashion_mnist"] if os.environ.get("SWEEPS_DATA") else [])]
    found = {}
    for dataset in datasets:
        rounds = options.rounds if dataset == "digits" else min(options.rounds, 3)
        fixed = {"dataset": dataset, "epochs": options.epochs}
        configs = [{"lr": rate, **fixed} for rate in RATES]
        trainer.prepare(configs)
        for name, chosen in (("alone", configs[:1]), (f"array of {len(RATES)}", configs)):
            one = found[f"{dataset}, {name}"] = measure(chosen, rounds)
            print(
                f"{dataset:<14}{name:<12}{one['training']:7.2f} s of training,"
                f" {one['logging']:.3f} s of logging: {one['share']:.1%}"
                f" (difference {one['difference']:+.1%}, first {one['first']:.2f} s)",
                flush=True,
            )
    target = HERE / "results/log_cost.json"
    about = {"torch": torch.__version__, "epochs": options.epochs}
    target.write_text(json.dumps({**about, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()

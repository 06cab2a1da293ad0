"""How soon each way of searching comes to a configuration as good as the best of the full search.

    SWEEPS_DATA=DIR python benchmarks/search.py [--seeds 1] [--configurations 64] [--part 0.1]

The article's CNN on the first part of Fashion-MNIST, configurations sampled over learning rate,
weight decay, batch size, optimizer and shuffling, up to nine epochs each. Five ways: all of them
to the end, halving, and TPE with halving here; Ray Tune's ASHA and its OptunaSearch with ASHA, as
their documentation teaches them, one processor a trial. Each runs in a process of its own, one
after the other; the clock runs from its start, so that starting Ray counts.

The goal is the best accuracy of the full search at the last epoch, less two standard errors of an
accuracy on so many test images.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EPOCHS = 9
WAYS = ("full", "halving", "tpe", "asha", "optuna")
TEST_IMAGES = 10_000
RESULTS = Path(__file__).parent / "results" / "search.json"
Reports = list[tuple[float, float, int]]
"""Seconds since the start, accuracy, and epoch, of every report in its order."""


def ours(way: str, seed: int, options: argparse.Namespace) -> Reports:
    """A sweep as a file describes it, by the Python API."""
    started = time.monotonic()
    from sweeps import Sweep
    from sweeps.driver.progress import Progress

    class Clock(Progress):
        def reported(self, record: Any) -> None:
            accuracy = record.history[-1].metrics["accuracy/test"]
            found.append((time.monotonic() - started, accuracy, len(record.history)))

    found: Reports = []
    parameters: dict[str, Any] = {
        "lr": {"log_uniform": [1e-4, 1e-1]},
        "weight_decay": {"log_uniform": [1e-6, 1e-2]},
        "batch_size": {"choice": [32, 64, 128]},
        "optimizer": {"choice": ["adam", "adamw", "sgd"]},
        "shuffle": {"choice": [True, False]},
        "epochs": EPOCHS,
        "dataset": "fashion_mnist",
        "subset": options.part,
    }
    keys: dict[str, Any] = {"samples": options.configurations, "sample_seed": seed}
    if way == "halving":
        keys["search"] = "halving"
    elif way == "tpe":
        sampler = {"sampler": "tpe", "trials": options.configurations, "at_once": 16, "seed": seed}
        keys = {"search": {**sampler, "halving": True}}
    definition = {
        "name": way,
        "train": "trainer:train",
        "metric": "accuracy/test",
        "mode": "max",
        "parameters": parameters,
        **keys,
    }
    with tempfile.TemporaryDirectory() as folder:
        Sweep(definition).run(f"{folder}/{way}", progress=Clock())
    return found


def rays(way: str, seed: int, options: argparse.Namespace) -> Reports:
    """Ray Tune as its documentation has it."""
    started = time.monotonic()
    import random

    import numpy as np
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    random.seed(seed)
    np.random.seed(seed)
    found: Reports = []

    class Clock(tune.Callback):
        def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **_: Any):  # type: ignore[no-untyped-def]
            found.append(
                (time.monotonic() - started, result["accuracy"], result["training_iteration"])
            )

    space = {
        "lr": tune.loguniform(1e-4, 1e-1),
        "weight_decay": tune.loguniform(1e-6, 1e-2),
        "batch_size": tune.choice([32, 64, 128]),
        "optimizer": tune.choice(["adam", "adamw", "sgd"]),
        "shuffle": tune.choice([True, False]),
        "part": options.part,
        "data": os.environ["SWEEPS_DATA"],
    }
    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        tune.Tuner(
            tune.with_resources(train, {"cpu": 1}),
            param_space=space,
            tune_config=tune.TuneConfig(
                metric="accuracy",
                mode="max",
                num_samples=options.configurations,
                search_alg=OptunaSearch(seed=seed) if way == "optuna" else None,
                scheduler=ASHAScheduler(max_t=EPOCHS, grace_period=1, reduction_factor=3),
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0, callbacks=[Clock()]),
        ).fit()
    return found


def train(config: dict[str, Any]) -> None:
    """A training function for Ray Tune, with a DataLoader."""
    import torch
    import torchvision
    from ray import tune
    from torch import nn
    from torch.utils.data import DataLoader, Subset
    from torchvision import transforms

    from trainer.model import CNN

    tensor = transforms.ToTensor()
    sets = []
    for train_part in (True, False):
        images = torchvision.datasets.FashionMNIST(
            config["data"], train=train_part, transform=tensor
        )
        sets.append(Subset(images, range(int(config["part"] * len(images)))))
    loader = DataLoader(sets[0], batch_size=config["batch_size"], shuffle=config["shuffle"])
    test_loader = DataLoader(sets[1], batch_size=1000)
    model, criterion = CNN(), nn.CrossEntropyLoss()
    optimizers = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "sgd": lambda p, **keys: torch.optim.SGD(p, momentum=0.9, **keys),
    }
    optimizer = optimizers[config["optimizer"]](
        model.parameters(), lr=config["lr"], weight_decay=config["weight_decay"]
    )
    for _ in range(EPOCHS):
        for images, labels in loader:
            optimizer.zero_grad()
            criterion(model(images), labels).backward()
            optimizer.step()
        with torch.no_grad():
            correct = sum(int((model(x).argmax(1) == y).sum()) for x, y in test_loader)
        tune.report({"accuracy": correct / len(sets[1])})


def first_at(reports: Reports, goal: float) -> float | None:
    """When a configuration was first as good as this."""
    return next((round(seconds, 1) for seconds, accuracy, _ in reports if accuracy >= goal), None)


def measure(way: str, seed: int, arguments: list[str]) -> Reports:
    """One way in a process of its own."""
    command = [sys.executable, __file__, *arguments, "--way", way, "--seed", str(seed)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [tuple(report) for report in json.loads(done.stdout.splitlines()[-1])]


def compare(options: argparse.Namespace, arguments: list[str]) -> dict[str, Any]:
    """All ways, over all seeds, one after the other."""
    runs = []
    for seed in range(options.seeds):
        goal = math.nan
        for way in options.ways:
            reports = measure(way, seed, arguments)
            if way == "full":
                best = max(accuracy for _, accuracy, epoch in reports if epoch == EPOCHS)
                error = math.sqrt(best * (1 - best) / (TEST_IMAGES * options.part))
                goal = best - 2 * error
            run = {
                "way": way,
                "seed": seed,
                "goal": round(goal, 4),
                "seconds_to_goal": first_at(reports, goal),
                "seconds": round(reports[-1][0], 1),
                "seconds_to_first_report": round(reports[0][0], 1),
                "best": max(accuracy for _, accuracy, _ in reports),
                "epochs": len(reports),
            }
            print(json.dumps(run), flush=True)
            runs.append(run)
            if options.output:
                settings = {name: getattr(options, name) for name in ("configurations", "part")}
                found = {**settings, "epochs": EPOCHS, "processors": os.cpu_count(), "runs": runs}
                options.output.write_text(json.dumps(found, indent=2) + "\n")
    return {"runs": runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--configurations", type=int, default=64)
    parser.add_argument("--part", type=float, default=0.1)
    parser.add_argument("--ways", nargs="+", default=list(WAYS))
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        run = ours if options.way in ("full", "halving", "tpe") else rays
        print(json.dumps(run(options.way, options.seed, options)))
        return
    arguments = ["--configurations", str(options.configurations), "--part", str(options.part)]
    compare(options, arguments)


if __name__ == "__main__":
    main()

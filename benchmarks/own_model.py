"""A sweep's trials one by one and as the arrays that it forms: seconds of a processor for each.

    .venv/bin/python benchmarks/own_model.py examples/tabular

In one process on one thread, logging and evaluation included, start-up and Ray left out; what else
the machine does hardly changes the time that a processor spends on it.
"""

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from sweeps import Sweep


def quiet(metrics: Mapping[str, Any], *, checkpoint: Path | None = None) -> None:
    """A report that nobody reads."""


def train(task: Any, arrays: Sequence[Sequence[Any]]) -> float:
    """Seconds of a processor for all trials, in these arrays."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        for number, trials in enumerate(arrays):
            logs = [Path(folder) / f"{number}-{index}" for index in range(len(trials))]
            if len(trials) == 1:
                task(trials[0].config, report=quiet, log_dir=logs[0])
            else:
                configs = [trial.config for trial in trials]
                task.train_many(configs, reports=[quiet] * len(configs), log_dirs=logs)
        return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    os.chdir(options.folder)
    sys.path.insert(0, os.getcwd())  # noqa: PTH109
    torch.set_num_threads(1)
    sweep = Sweep.from_yaml("sweep.yaml")
    arrays = sweep.plan(cpus=2, gpus=0).arrays
    module, _, name = str(sweep.file.train).partition(":")
    task = getattr(importlib.import_module(module), name)
    short = Sweep.from_yaml("sweep.yaml", ["parameters.epochs=1"])
    for trials in ([short.trials[:4]], [[trial] for trial in short.trials[:1]]):
        train(task, trials)  # what is set up once in a process
    together = train(task, arrays)
    alone = train(task, [[trial] for trial in sweep.trials])
    found = {"trials": len(sweep.trials), "arrays": [len(array) for array in arrays]}
    print(json.dumps(found | {"alone": round(alone, 1), "together": round(together, 1)}))


if __name__ == "__main__":
    main()

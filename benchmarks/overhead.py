"""What the orchestration costs: trials that do nothing, with five reports each.

    python benchmarks/overhead.py [--trials 12 100 1000]

`plain` is a Ray Tune script with nothing set; `tuned` is Ray Tune with its workers reused and its
loggers off; `sweeps` is `sweeps run`, which also writes records and TensorBoard events, with a
process for every attempt; `torch` is the same for a module that imports torch, and `warm` for one
that also says `STAYS_WARM`. Each is one command, timed from start to end; `driver MB` is the
memory of its main process, `waiting MB` what a trial's process shares with no other. Writes
results/overhead.json.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from nothing import write_sweep

HERE = Path(__file__).parent
LOOK_EVERY = 0.2
OWN_MEMORY_EVERY = 25
"""Looks: it goes through all pages of the trials' processes, which takes what is measured here."""

TUNE = """
import os, sys, tempfile
if {tuned}:
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
import ray
from ray import tune

def train(config):
    for epoch in range(5):
        tune.report({{"loss": float(epoch)}})

ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="error")
with tempfile.TemporaryDirectory() as folder:
    tune.Tuner(
        tune.with_resources(train, {{"cpu": 1}}),
        param_space={{"x": tune.grid_search(list(range({trials})))}},
        tune_config=tune.TuneConfig(reuse_actors={tuned}),
        run_config=tune.RunConfig(storage_path=folder, verbose=0),
    ).fit()
"""


TOPS = {
    "sweeps": "",
    "torch": "import torch",
    "warm": "import torch\nSTAYS_WARM = True",
}


def command(name: str, trials: int, folder: Path) -> list[str]:
    """The command of a contender, its files written to a folder."""
    if name in TOPS:
        sweep = write_sweep(folder, trials, gpu=0, top=TOPS[name])
        return [sys.executable, "-m", "sweeps", "run", sweep]
    script = folder / "script.py"
    script.write_text(TUNE.format(tuned=name == "tuned", trials=trials))
    return [sys.executable, str(script)]


def measure(name: str, trials: int) -> dict[str, Any]:
    """Seconds from start to end, and the most memory of the main process."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = command(name, trials, Path(folder))
        environment = {**os.environ, "RAY_AIR_NEW_OUTPUT": "0"}
        began = time.perf_counter()
        process = subprocess.Popen(
            arguments,
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        driver, peak, waiting = psutil.Process(process.pid), 0, 0
        for look in itertools.count():
            if process.poll() is not None:
                break
            with suppress(psutil.NoSuchProcess):
                peak = max(peak, driver.memory_info().rss)
                if look % OWN_MEMORY_EVERY == 0:
                    waiting = max(waiting, own_memory(driver))
            time.sleep(LOOK_EVERY)
        status = process.wait()
        seconds = time.perf_counter() - began
    if status:
        sys.exit(f"{name} with {trials} trials exited with {status}")
    return {
        "name": name,
        "trials": trials,
        "seconds": round(seconds, 2),
        "driver_mb": round(peak / 1e6),
        "waiting_mb": round(waiting / 1e6),
    }


def own_memory(driver: psutil.Process) -> int:
    """Bytes that the processes of trials share with no other, at their median; 0 without any."""
    forked = []
    for child in driver.children():
        with suppress(psutil.NoSuchProcess):
            if "sweeps.worker.nursery" in child.cmdline():
                forked += [trial.memory_full_info().uss for trial in child.children()]
    return sorted(forked)[len(forked) // 2] if forked else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[12, 100, 1000])
    parser.add_argument("--only", nargs="+", default=["plain", "tuned", *TOPS])
    options = parser.parse_args()
    results = []
    print(f"{'':8}{'trials':>8}{'seconds':>9}{'ms a trial':>12}{'driver MB':>11}{'waiting MB':>12}")
    for trials in options.trials:
        for name in options.only:
            if name == "plain" and trials > 100:
                continue  # a process per trial: minutes
            found = measure(name, trials)
            results.append(found)
            each = 1000 * found["seconds"] / trials
            print(
                f"{name:8}{trials:8,}{found['seconds']:9.1f}{each:12.1f}{found['driver_mb']:11,}"
                f"{found['waiting_mb']:12,}",
                flush=True,
            )
    target = HERE / "results" / "overhead.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

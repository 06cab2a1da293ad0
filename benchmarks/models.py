"""Time twelve trials of each of nine kinds of models, as people run them, side by side.

    make bench-models [MODELS="mlp lenet"]

Learning rate x weight decay x seed, on data made offline (`zoo.py`). Each contender is one command,
timed from its start to its end. Writes results/models.json, model by model: what has been measured
of others stays.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import zoo

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "models.json"
SWEEP = """\
name: {model}
train: zoo:{model}
metric: loss/test
mode: min
parameters:
  lr: [0.01, 0.003, 0.001]
  weight_decay: [0.0, 0.0001]
  optimizer: adam
  batch_size: {batch}
  epochs: {epochs}
seeds: 2
"""


def contenders(model: str, folder: Path) -> dict[str, list[str]]:
    """Each contender's command."""
    sweep = folder / "sweep.yaml"
    sweep.write_text(SWEEP.format(model=model, batch=zoo.BATCH, epochs=zoo.EPOCHS))
    run = [sys.executable, "-m", "sweeps", "run", str(sweep)]
    return {
        "ray_tune": [
            sys.executable,
            str(HERE / "zoo_ray_tune.py"),
            model,
            "--logs",
            str(folder / "a"),
        ],
        "vmap": [sys.executable, str(HERE / "zoo_vmap.py"), model, "--logs", str(folder / "b")],
        "solo": [*run, "fuse=off", "--dir", str(folder / "solo")],
        "fused": [*run, "fuse=auto", "--dir", str(folder / "fused")],
    }


def run(name: str, command: list[str], folder: Path) -> dict[str, Any]:
    """Run one contender; its seconds and the trials' mean loss on the test examples."""
    paths = {"PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | paths)
    seconds = round(time.perf_counter() - began, 1)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        return {"seconds": None, "why": lines[-1] if lines else "no output"}
    if name in ("solo", "fused"):
        results = [
            sys.executable,
            "-m",
            "sweeps",
            "results",
            str(folder / name),
            "--format",
            "json",
        ]
        rows = json.loads(subprocess.run(results, capture_output=True, check=True).stdout)
        losses = [row["metrics"]["loss/test"] for row in rows]
    else:
        losses = json.loads(done.stdout.splitlines()[-1])["losses"]
    return {"seconds": seconds, "loss": round(statistics.mean(losses), 4), "trials": len(losses)}


def table(results: dict[str, Any]) -> str:
    """Seconds, and how many times as fast arrays are, as a table for docs/performance.md."""
    rows = ["| model | Ray Tune | vmap | fuse=off | fuse=auto | x Ray Tune | x fuse=off |"]
    rows.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for model, found in results.items():
        seconds = {name: one["seconds"] for name, one in found.items()}
        fused = seconds["fused"]
        cells = [f"{s:.0f}" if s else "no" for s in seconds.values()]
        times = [f"{seconds[n] / fused:.1f}" for n in ("ray_tune", "solo")]
        rows.append(f"| {model} | {' | '.join([*cells, *times])} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=zoo.MODELS)
    options = parser.parse_args()
    for model in options.models:
        found = {}
        with tempfile.TemporaryDirectory() as folder:
            for name, command in contenders(model, Path(folder)).items():
                found[name] = run(name, command, Path(folder))
                print(f"{model:12} {name:9} {found[name]}", flush=True)
        before = json.loads(RESULTS.read_text())["models"] if RESULTS.exists() else {}
        models = {m: found if m == model else before.get(m) for m in zoo.MODELS}
        report = {
            "cores": len(os.sched_getaffinity(0)),
            "torch": torch.__version__,
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
            "examples": zoo.TRAIN,
            "epochs": zoo.EPOCHS,
            "batch_size": zoo.BATCH,
            "models": {m: one for m, one in models.items() if one},
        }
        RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    print(table(json.loads(RESULTS.read_text())["models"]))


if __name__ == "__main__":
    main()

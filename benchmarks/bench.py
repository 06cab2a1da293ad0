"""Time the grid of twelve on Fashion-MNIST as people run it, side by side.

    make bench          60,000 images, five epochs: half an hour on two cores
    make bench-quick    a tenth of the training and test images, three epochs: under three minutes

Each contender is one command, timed from its start to its end: start-up, training, evaluation and
logging included. Writes results/full.json or quick.json, and a chart beside it. The data are those
of SWEEPS_DATA, or are downloaded.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent


def contenders(data: Path, part: float, epochs: int, logs: Path) -> dict[str, list[str]]:
    """Each contender's command."""
    common = ["--data", str(data), "--logs", str(logs), "--part", str(part)]
    common += ["--epochs", str(epochs)]
    sweep = [sys.executable, "-m", "sweeps", "run", "fashion-mnist", f"parameters.data_dir={data}"]
    sweep += [f"parameters.subset={part}", f"parameters.epochs={epochs}"]
    return {
        "article": [sys.executable, str(HERE / "article.py"), *common],
        "ray_tune": [sys.executable, str(HERE / "ray_tune.py"), *common],
        "vmap": [sys.executable, str(HERE / "vmap.py"), *common],
        "solo": [*sweep, "fuse=off", "--dir", str(logs / "solo")],
        "fused": [*sweep, "--dir", str(logs / "fused")],
    }


class PeakMemory(threading.Thread):
    """The most memory that a process and its descendants held at once.

    Sampled every five seconds: each sample stops the processes for a moment.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._root = psutil.Process(pid)
        self.peak = 0

    def run(self) -> None:
        while self._root.is_running() and self._root.status() != psutil.STATUS_ZOMBIE:
            total = 0
            for process in [self._root, *self._root.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
            self.peak = max(self.peak, total)
            time.sleep(5)


def run(name: str, command: list[str], folder: Path) -> dict[str, Any]:
    """Run one contender; its seconds, peak memory and accuracies."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    memory = PeakMemory(process.pid)
    memory.start()
    stdout, stderr = process.communicate()
    seconds = time.perf_counter() - began
    if process.returncode:
        sys.exit(f"{name} failed:\n{stderr}")
    if name in ("solo", "fused"):
        rows = subprocess.run(
            [sys.executable, "-m", "sweeps", "results", str(folder / name), "--format", "json"],
            stdout=subprocess.PIPE,
            check=True,
        )
        found = {"trials": [row["config"] | row["metrics"] for row in json.loads(rows.stdout)]}
    else:
        found = json.loads(stdout.splitlines()[-1])
    names = ("lr", "batch_size", "shuffle", "accuracy/train", "accuracy/test")
    return {
        "name": name,
        "seconds": round(seconds - found.get("not_counted", 0), 1),
        "peak_memory_mb": round(memory.peak / 1e6),
        "trials": [{key: trial[key] for key in names} for trial in found["trials"]],
    }


def summarise(results: list[dict[str, Any]], images: int, epochs: int) -> None:
    """Add the ratios, and print the tables."""
    work = 12 * epochs * images
    base = results[0]["seconds"]
    heads = f"{'seconds':>9}{'times':>8}{'images/s':>11}{'peak MB':>9}{'mean test accuracy':>20}"
    print(f"\n{'':10}{heads}")
    for result in results:
        result["ratio_to_article"] = round(base / result["seconds"], 2)
        result["images_per_second"] = round(work / result["seconds"])
        mean = sum(trial["accuracy/test"] for trial in result["trials"]) / len(result["trials"])
        print(
            f"{result['name']:10}{result['seconds']:9.1f}{result['ratio_to_article']:8.2f}"
            f"{result['images_per_second']:11,}{result['peak_memory_mb']:9,}{mean:20.4f}"
        )
    print("\naccuracy on the test images, by trial")
    print(f"{'lr':>6}{'batch':>7}{'shuffle':>9}" + "".join(f"{r['name']:>10}" for r in results))
    for trial in results[0]["trials"]:
        key = tuple(trial[name] for name in ("lr", "batch_size", "shuffle"))
        row = [
            next(
                t["accuracy/test"]
                for t in r["trials"]
                if (t["lr"], t["batch_size"], t["shuffle"]) == key
            )
            for r in results
        ]
        print(f"{key[0]:6}{key[1]:7}{key[2]!s:>9}" + "".join(f"{value:10.4f}" for value in row))


def chart(results: list[dict[str, Any]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
    names = [result["name"] for result in results][::-1]
    seconds = [result["seconds"] for result in results][::-1]
    colors = ["#e8710a" if name in ("solo", "fused") else "#9aa0a6" for name in names]
    bars = axes.barh(names, seconds, color=colors)
    axes.bar_label(bars, [f"{s:.0f} s" for s in seconds], padding=3)
    axes.set_xlabel("seconds for the grid of twelve, from the command line to the end")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.1)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the images, 3 epochs")
    parser.add_argument("--only", nargs="+", help="these contenders, for a look")
    options = parser.parse_args()
    part, epochs = (0.1, 3) if options.quick else (1.0, 5)
    images = int(part * 60_000)
    import trainer
    from trainer.sources import data_root

    trainer.prepare([{}])
    data = data_root(None).absolute()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name, command in contenders(data, part, epochs, Path(folder)).items():
            if not options.only or name in options.only:
                print(f"{name} ...", end=" ", flush=True)
                results.append(run(name, command, Path(folder)))
                print(f"{results[-1]['seconds']:.1f} s", flush=True)
    summarise(results, images, epochs)
    if options.only:
        return
    packages = ("torch", "torchvision", "ray", "tensorboard")
    report = {
        "machine": {
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "versions": {"python": platform.python_version(), **{p: version(p) for p in packages}},
        "images": images,
        "epochs": epochs,
        "contenders": results,
    }
    target = HERE / "results" / ("quick.json" if options.quick else "full.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(report, indent=1) + "\n")
    chart(results, target.with_suffix(".png"))
    print(f"\nwritten: benchmarks/results/{target.name} and {target.stem}.png")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), "unknown")


if __name__ == "__main__":
    main()

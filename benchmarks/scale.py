"""Many nodes and many trials: `sweeps run` on a cluster whose nodes are all on this machine.

    python benchmarks/scale.py [--nodes 2 4 8] [--trials 100 500 1000 2000]

Each node is a raylet of its own with one processor and one GPU, which exist only in Ray's books; a
trial takes both, does nothing, and reports five times. The fewest trials run on each number of
nodes, the others on eight. Counted are seconds from start to end, the processor time and the most
memory of the driver, and those of Ray's own server (GCS). Writes results/scale.json.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from nothing import write_sweep

HERE = Path(__file__).parent
NODES = 8


@contextmanager
def cluster(nodes: int, folder: str) -> Iterator[str]:
    """A head that runs no trial, and so many nodes; its address."""
    os.environ["RAY_TMPDIR"] = (
        folder  # read when ray is imported; no other Ray takes note of this one
    )
    from ray.cluster_utils import Cluster

    started = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "num_gpus": 0, "include_dashboard": False},
    )
    try:
        for _ in range(nodes):
            started.add_node(num_cpus=1, num_gpus=1, object_store_memory=80_000_000)
        yield started.address
    finally:
        started.shutdown()


def measure(nodes: int, trials: int) -> dict[str, Any]:
    """One sweep on a new cluster."""
    with tempfile.TemporaryDirectory(prefix="sb-") as folder, cluster(nodes, folder) as address:
        sweep = write_sweep(Path(folder), trials, gpu=1)
        [server] = [p for p in psutil.Process().children(True) if p.name() == "gcs_server"]
        before = busy(server)
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "sweeps", "run", sweep, "--address", address],
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        driver, peak, worked = psutil.Process(process.pid), 0, 0.0
        while process.poll() is None:
            try:
                peak, worked = max(peak, driver.memory_info().rss), busy(driver)
            except psutil.NoSuchProcess:
                break
            time.sleep(0.2)
        status, seconds = process.wait(), time.perf_counter() - began
        if status:
            sys.exit(f"{trials} trials on {nodes} nodes exited with {status}")
        return {
            "nodes": nodes,
            "trials": trials,
            "seconds": round(seconds, 1),
            "driver_cpu_s": round(worked, 1),
            "driver_mb": round(peak / 1e6),
            "gcs_cpu_s": round(busy(server) - before, 1),
            "gcs_mb": round(server.memory_info().rss / 1e6),
        }


def busy(process: psutil.Process) -> float:
    """Seconds of a processor that a process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="*", default=[2, 4, NODES])
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 500, 1000, 2000])
    options = parser.parse_args()
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    runs = [(nodes, options.trials[0]) for nodes in options.nodes if nodes != NODES]
    runs += [(NODES, trials) for trials in options.trials]
    results: list[dict[str, Any]] = []
    for nodes, trials in runs:
        found = measure(nodes, trials)
        if not results:
            print("  ".join(found))
        print("  ".join(f"{value:>{len(name)},}" for name, value in found.items()), flush=True)
        results.append(found)
    target = HERE / "results" / "scale.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

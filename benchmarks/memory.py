"""The memory that Fashion-MNIST takes in four trials at once: shared pages against four copies.

    SWEEPS_DATA=DIR python benchmarks/memory.py

Four processes load the data and read all of it. `mapped` is what the trainer does; `copied` is what
a trial that reads the files into tensors of its own does; `floats` the same with images as numbers.
Counted is the proportional set size, in which a page shared by four processes counts a quarter in
each. Writes results/memory.json.
"""

import json
import multiprocessing
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import psutil

PROCESSES = 4
HERE = Path(__file__).parent


def hold(kind: str, together: Barrier, answers: "Queue[int]") -> None:
    """Load the data as this kind does, and tell by how much the process has grown."""

    from trainer.batch import to_float
    from trainer.images import load_dataset

    process = psutil.Process()
    before = process.memory_full_info().pss
    data = load_dataset("fashion_mnist", None)
    kept = [data.train.inputs, data.train.targets, data.test.inputs, data.test.targets]
    if kind != "mapped":
        kept = [tensor.clone() for tensor in kept]
        del data
        load_dataset.cache_clear()
    if kind == "floats":
        kept = [to_float(kept[0]), kept[1], to_float(kept[2]), kept[3]]
    assert all(tensor.sum() > 0 for tensor in kept)
    together.wait()
    answers.put(process.memory_full_info().pss - before)
    together.wait()


def main() -> None:
    context = multiprocessing.get_context("spawn")
    found = {}
    for kind in ("mapped", "copied", "floats"):
        together, answers = context.Barrier(PROCESSES), context.Queue()
        processes = [
            context.Process(target=hold, args=(kind, together, answers)) for _ in range(PROCESSES)
        ]
        for process in processes:
            process.start()
        found[kind] = round(sum(answers.get() for _ in processes) / 1e6)
        for process in processes:
            process.join()
        print(f"{kind:8}{found[kind]:7,} MB in {PROCESSES} processes", flush=True)
    target = HERE / "results" / "memory.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"processes": PROCESSES, "megabytes": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()

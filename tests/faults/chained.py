"""A training function whose every epoch depends on all before it, and on which faults are brought.

The loss of an epoch is a hash of the epoch before, so that an epoch lost, doubled or begun from the
wrong checkpoint changes every number after it. The file ``faults`` says what happens in which
trial, as JSON: ``{"<x>": "<fault>"}``; each happens once, before the report of epoch 2.
"""

import ctypes
import hashlib
import importlib
import json
import math
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeps import Report

BEFORE = 2
NEUTRAL = ("seconds",)
SCRATCH = Path(__file__).parent


def train(config: Mapping[str, Any], *, report: Report, resume_from: Path | None = None) -> None:
    """Report a hash chain as the loss, with the chain so far as the checkpoint."""
    x = config["x"]
    chain: list[str] = json.loads(resume_from.read_text()) if resume_from else [str(x)]
    for epoch in range(len(chain) - 1, config["epochs"]):
        wait_for_gate(epoch)
        time.sleep(config["seconds"])
        with (SCRATCH / "trained").open("a") as log:
            log.write(f"{x} {epoch}\n")
        chain.append(hashlib.sha256("".join(chain).encode()).hexdigest()[:12])
        loss: Any = int(chain[-1], 16) / 16**12
        if epoch == BEFORE:
            loss = bring_about(str(x), loss, chain)
        report({"loss": loss, "epoch": epoch}, checkpoint=save(x, epoch, json.dumps(chain)))


def raises(config: Mapping[str, Any], *, report: Report) -> None:
    """Never gets anywhere."""
    raise ValueError("there is nothing to train")


def wait_for_gate(epoch: int) -> None:
    """Stand still before an epoch while the file ``gate`` names it, so that all can be killed."""
    gate = SCRATCH / "gate"
    while gate.exists() and epoch >= int(gate.read_text() or 10**9):
        time.sleep(0.02)


def save(x: Any, epoch: int, content: str) -> Path:
    path = SCRATCH / f"{x}-{epoch}.json"
    path.write_text(content)
    return path


def bring_about(x: str, loss: float, chain: list[str]) -> Any:
    """Let the fault of a trial happen, if it has one; what is reported instead of the loss."""
    faults = SCRATCH / "faults"
    fault = json.loads(faults.read_text()).get(x, "") if faults.exists() else ""
    done = SCRATCH / f"{x}.happened"
    if not fault or (done.exists() and fault != "killed always"):
        return loss
    done.touch()
    match fault:
        case "killed" | "killed always":
            os.kill(os.getpid(), signal.SIGKILL)
        case "killed while it saves":
            save(x, BEFORE, json.dumps(chain)[:-20])
            os.kill(os.getpid(), signal.SIGKILL)
        case "kills what it was forked by":
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(10_000)
        case "sleeps":
            ignore = ctypes.CDLL(None).signal
            ignore(signal.SIGTERM, ctypes.c_void_p(1))  # SIG_IGN, which only C can set in a thread
            time.sleep(10_000)
        case "takes all memory":
            hoard = [bytearray(os.urandom(1 << 20) * 64) for _ in range(40)]
            time.sleep(10_000 if hoard else 0)
        case "out of GPU memory":
            torch = importlib.import_module(
                "torch"
            )  # every run would prepare for an `import torch`
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        case "nan":
            return math.nan
        case _:
            raise AssertionError(fault)
    return loss

"""``manifest.json``: by which commands, on what code, versions and machine a sweep was run.

One entry a run, the latest last. It holds no environment variables; what the trials themselves
depend on (their code and data) stands in their own records too.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sweeps.records.atomic import land
from sweeps.records.schema import ManifestEntry

PACKAGES = ("sweepboard", "ray", "torch", "torchvision", "tensorboard", "numpy")
LONGEST_DIFF = 1_000_000
"""Characters; a longer one is cut, and says so."""


def add_run(
    directory: Path,
    definition: Mapping[str, Any],
    *,
    plan: str,
    seeds: Iterable[int],
    share: Mapping[str, Any],
) -> dict[str, Any]:
    """Add an entry for a run that begins; returns it.

    Args:
        plan: what is to be done, in a line.
        share: what each trial gets, and of which nodes.
    """
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "plan": plan,
        "seeds": sorted(set(seeds)),
        "sweep": dict(definition),
        "git": git_state(Path.cwd()),
        "versions": versions(),
        "machine": machine(),
        "share": dict(share),
    }
    runs = [*read_runs(directory), entry]
    land(directory / "manifest.json", json.dumps({"runs": runs}, indent=1).encode() + b"\n")
    return entry


def read_runs(directory: Path) -> list[dict[str, Any]]:
    """The entries so far; none if the file is missing or damaged."""
    with suppress(OSError, ValueError, RecursionError):
        data = json.loads((directory / "manifest.json").read_text("utf-8"))
        ManifestEntry.model_validate(data)
        return list(data["runs"])
    return []


def versions() -> dict[str, str]:
    """Of Python and of the packages that results may depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def machine() -> dict[str, Any]:
    """The processor and memory of this machine, and its GPUs by name."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "memory": memory,
        "gpus": _gpus(),
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """The commit that is checked out in a folder and what differs from it; ``None`` if no git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    diff = _git(folder, "diff", "HEAD") or ""
    untracked = _git(folder, "ls-files", "--others", "--exclude-standard") or ""
    cut = len(diff) > LONGEST_DIFF
    return {
        "commit": commit,
        "diff": diff[:LONGEST_DIFF] + ("\n... cut here" if cut else ""),
        "untracked": untracked.splitlines(),
    }


def _git(folder: Path, *arguments: str) -> str | None:
    program = shutil.which("git")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.rstrip("\n") if done.returncode == 0 else None


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    import pynvml

    try:
        pynvml.nvmlInit()
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        return [str(pynvml.nvmlDeviceGetName(handle)) for handle in handles]
    except pynvml.NVMLError:
        return []

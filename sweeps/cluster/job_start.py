"""Begins a submitted sweep on the cluster: ``python sweepboard-job.py VERSION MODULE ARG...``.

It is copied into what is shipped and started there by its path, by whatever Python there is: it
uses nothing but the standard library until it knows that the sweep can run, and tells what is
missing before anything is written.
"""

from __future__ import annotations

import importlib
import sys


def missing(submitted_from: str, module: str) -> str | None:
    """What this Python lacks to run a sweep that was checked in Python ``submitted_from``."""
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    name = f"{sys.executable} on the cluster's head"
    if here != submitted_from:
        return (
            f"{name} is Python {here}, and the sweep was submitted from {submitted_from}; use the"
            " same on both, or name another Python of the head with --python"
        )
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        return (
            f"{name} has no module {error.name!r}; install Sweepboard there, into the environment"
            " that Ray runs in, or name the Python of that environment with --python"
        )
    return None


def main() -> None:
    """Run the command, in place of the one that started this file."""
    folder = sys.path.pop(0)  # what was shipped of ours stands on the path too, and goes first
    problem = missing(*sys.argv[1:3])
    if problem:
        sys.stderr.write(f"error: {problem}\n")
        sys.exit(2)
    sys.path.append(folder)
    module = sys.modules[sys.argv[2]]
    sys.argv = ["sweeps", *sys.argv[3:]]
    module.main()


if __name__ == "__main__":
    main()

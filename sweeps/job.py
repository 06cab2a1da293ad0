"""Begins a submitted sweep on the cluster: ``python sweepboard-job.py VERSION COMMAND...``.

It is copied into what is shipped and started there by its path, by a Python that may be any, so it
uses nothing but the standard library until it knows that the sweep can run: what is missing is told
of before anything is written.
"""

import sys


def missing(submitted_from):
    # type: (str) -> str | None
    """What this Python lacks, if anything, to run what was checked in Python ``submitted_from``."""
    here = "%d.%d" % sys.version_info[:2]  # noqa: UP031
    if here != submitted_from:
        return (
            f"the sweep was submitted from Python {submitted_from}, and {sys.executable} on the head is Python {here}; use the same"
            " on both, or name another of the head's with --python"
        )
    try:
        import sweeps.cli  # noqa: F401
    except ModuleNotFoundError as error:
        return (
            f"{sys.executable} on the head has no module {error.name!r}; install Sweepboard there, into the environment that"
            " Ray runs in, or name the Python of that environment with --python"
        )
    return None


def main():
    # type: () -> None
    folder = sys.path.pop(0)  # it stands on the path again, behind what was shipped of ours
    problem = missing(sys.argv[1])
    if problem:
        sys.stderr.write("error: {}\n".format(problem))  # noqa: UP032
        sys.exit(2)
    sys.path.append(folder)
    sys.argv = ["sweeps", *sys.argv[2:]]
    from sweeps.cli import main

    main()


if __name__ == "__main__":
    main()

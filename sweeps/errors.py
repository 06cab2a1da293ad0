"""Every error that Sweepboard raises on purpose.

SweepsError                 its message is ready to be shown; the command exits with `exit_status`
├── InvalidSweep            the sweep file, an override or a configuration breaks a rule (2)
├── DirectoryError          the directory is not this sweep's, is in use, or cannot be used (2)
├── ClusterError            Ray cannot be reached or cannot give what a trial asks for (2)
├── MetricMissing           the trainable does not report the sweep's metric (2)
└── Interrupted             the sweep was stopped before its end and can be continued (130)
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class SweepsError(Exception):
    """Base of all errors with a message for the user."""

    exit_status = 2


class InvalidSweep(SweepsError):
    """One or more rules are broken; all of them are listed.

    Attributes:
        problems: one line each, starting with the dotted path of the value.
    """

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        lines = (f"  {line}" for problem in problems for line in problem.splitlines())
        super().__init__(f"{source} is not a valid sweep:\n" + "\n".join(lines))


class DirectoryError(SweepsError):
    """The sweep's directory cannot be used."""


class ClusterError(SweepsError):
    """Ray cannot be reached, or has not what a trial asks for."""


class MetricMissing(SweepsError):
    """The trainable reported, but not the sweep's metric."""


class Interrupted(SweepsError):
    """Stopped by the user; what was done is kept."""

    exit_status = 130


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the nearest valid name, or all of them if none is near."""
    valid = sorted(valid)
    near = get_close_matches(name, valid, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; valid are {', '.join(valid)}" if valid else ""

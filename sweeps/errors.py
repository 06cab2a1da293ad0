"""Every error that Sweepboard raises on purpose.

SweepsError                 its message is ready to be shown; the command exits with `exit_status`
├── InvalidSweep            the sweep file, an override or a configuration breaks a rule (2)
├── DirectoryError          the directory is not this sweep's, is in use, or cannot be used (2)
│   └── StorageError        it is on storage that cannot be reached, or refuses (2)
├── ClusterError            Ray cannot be reached or cannot give what a trial asks for (2)
├── MetricMissing           the trainable does not report the sweep's metric (2)
├── Misused                 the trainable calls report in a way that is none (2)
├── CannotGoOn              the sweep was ended because nothing more could come of it (1)
│   └── AllFail             every attempt failed before its first report (1)
└── Interrupted             the sweep was stopped before its end and can be continued (130)
"""

import json
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

_MOST_LINES = 30


class SweepsError(Exception):
    """Base of all errors with a message for the user."""

    exit_status = 2


class InvalidSweep(SweepsError):
    """One or more rules are broken; all of them are listed, or the first thirty and how many more.

    Attributes:
        problems: all of them, one line each, starting with the dotted path of the value.
    """

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        listed, more = problems[:_MOST_LINES], len(problems) - _MOST_LINES
        lines = [f"  {line}" for problem in listed for line in problem.splitlines()]
        lines += [f"  ... and {more} more"] if more > 0 else []
        super().__init__(f"{source} is not a valid sweep:\n" + "\n".join(lines))


class DirectoryError(SweepsError):
    """The sweep's directory cannot be used."""


class StorageError(DirectoryError):
    """Storage that is not of this machine cannot be reached, or refuses."""


class ClusterError(SweepsError):
    """Ray cannot be reached, or has not what a trial asks for."""


class MetricMissing(SweepsError):
    """The trainable reported, but not the sweep's metric."""


class Misused(SweepsError):
    """The trainable calls what it was given in a way that cannot work in any trial."""


class CannotGoOn(SweepsError):
    """The sweep was ended before its time: the disk is full, say. What was recorded is kept."""

    exit_status = 1


class AllFail(CannotGoOn):
    """Every attempt failed before its first report: the rest would be no better."""


class Interrupted(SweepsError):
    """Stopped by the user or a signal; what was done is kept."""

    exit_status = 130

    def __init__(self, message: str, exit_status: int = 130) -> None:
        super().__init__(message)
        self.exit_status = exit_status


def nearest(name: str, valid: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the nearest valid name, or nothing if none is near."""
    near = get_close_matches(name, sorted(valid), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """The nearest valid name as a question, or all of them if none is near."""
    valid = sorted(valid)
    return nearest(name, valid) or (f"; valid are {', '.join(valid)}" if valid else "")


def shown(value: Any) -> str:
    """A value as a sweep file has it, cut to what a line can hold."""
    text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

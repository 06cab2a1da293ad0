"""What is known of a sweep and its trials, as the ledger keeps it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sweeps.definition.space import Origin, Trial
from sweeps.records.history import Report


class Status(StrEnum):
    """Where a trial stands."""

    PENDING = "pending"
    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


ENDED = (Status.FINISHED, Status.STOPPED, Status.FAILED)
"""Nothing is written to such a trial any more, unless it is run again."""


@dataclass(frozen=True)
class Record:
    """What is known of one trial.

    Attributes:
        config: as the sweep wants it now.
        path: relative to the sweep's directory.
        recorded: the configuration that it was last run with, ``None`` if it never was.
        code: identifies the code of the trainable that it was last run with.
        data: identifies the data that it was last run with.
        until: the epoch at which it is, or was, to stop for the time being; ``None`` is its end.
        arrays: who trained together, and from which step on; changes only where members were lost.
        origin: the trial whose history it has gone on from, if there is one.
        damage: what was found damaged, and what comes of it, in a sentence.
    """

    id: str
    config: Mapping[str, Any]
    path: str
    status: Status = Status.PENDING
    attempts: int = 0
    error: str | None = None
    where: str | None = None
    recorded: Mapping[str, Any] | None = None
    code: str | None = None
    data: str | None = None
    until: int | None = None
    arrays: tuple[Mapping[str, Any], ...] = ()
    origin: Origin | None = None
    history: list[Report] = field(default_factory=list, compare=False)
    damage: str | None = field(default=None, compare=False)

    @property
    def seconds(self) -> float:
        """Time spent on what counts: the sum over the reports."""
        return sum(report.seconds for report in self.history)


@dataclass(frozen=True)
class Overview:
    """The sweep as last run.

    Attributes:
        sweep: its file.
        trials: in the file's order.
        budget: the parameter that says how long a trial trains, if it can be raised.
        formed: which trials train together, and under which settings that was decided.
        search: which search it was, which results were there before, and what it was told.
    """

    name: str
    metric: str
    mode: str
    sweep: Mapping[str, Any]
    trials: tuple[Trial, ...]
    budget: str | None = None
    formed: Mapping[str, Any] = field(default_factory=dict)
    search: Mapping[str, Any] = field(default_factory=dict)


def trial_of(entry: Mapping[str, Any]) -> Trial:
    """A trial, as ``sweep.json`` lists it."""
    found = entry.get("origin")
    origin = Origin(found["parent"], found["epoch"]) if found else None
    return Trial(entry["id"], entry["config"], entry["name"], origin)


def damage_notes(records: Iterable[Record]) -> list[str]:
    """A line for each kind of damage that was found, and the trials that it was found in."""
    found: dict[str, list[str]] = {}
    for record in records:
        if record.damage:
            found.setdefault(record.damage, []).append(record.id)
    return [f"note: {_listed(ids)}: {damage}" for damage, ids in found.items()]


def _listed(ids: Sequence[str]) -> str:
    shown = ", ".join(ids[:8])
    return f"{shown} and {len(ids) - 8} more" if len(ids) > 8 else shown

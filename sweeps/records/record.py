"""What is known of a sweep and its trials, as the ledger keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sweeps.definition.space import Trial
from sweeps.records.history import Report


class Status(StrEnum):
    """Where a trial stands."""

    PENDING = "pending"
    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Record:
    """What is known of one trial.

    Attributes:
        config: as the sweep wants it now.
        path: relative to the sweep's directory.
        recorded: the configuration that it was last run with, ``None`` if it never was.
        code: identifies the code of the trainable that it was last run with.
        data: identifies the data that it was last run with.
        arrays: who trained together, and from which step on; changes only where members were lost.
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
    arrays: tuple[Mapping[str, Any], ...] = ()
    history: list[Report] = field(default_factory=list, compare=False)

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
    """

    name: str
    metric: str
    mode: str
    sweep: Mapping[str, Any]
    trials: tuple[Trial, ...]
    budget: str | None = None
    formed: Mapping[str, Any] = field(default_factory=dict)

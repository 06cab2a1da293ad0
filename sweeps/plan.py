"""What a run has to do: a pure function of the wanted trials and the records on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sweeps.ledger import Record, Status
from sweeps.space import Trial


@dataclass(frozen=True)
class Plan:
    """Each wanted trial, in the order of the file, under what happens to it."""

    keep: tuple[Trial, ...] = ()
    resume: tuple[Trial, ...] = ()
    retry: tuple[Trial, ...] = ()
    new: tuple[Trial, ...] = ()

    @property
    def todo(self) -> tuple[Trial, ...]:
        """The trials to run: what was begun first."""
        return self.resume + self.retry + self.new

    def __str__(self) -> str:
        total = len(self.keep) + len(self.todo)
        parts = [
            (self.keep, "finished"),
            (self.resume, "continued"),
            (self.retry, "tried again"),
            (self.new, "new"),
        ]
        detail = ", ".join(f"{len(trials)} {word}" for trials, word in parts if trials)
        return f"{total} {'trial' if total == 1 else 'trials'}: {detail}"


def decide(wanted: Sequence[Trial], records: Mapping[str, Record]) -> Plan:
    """Keep what ended, continue what was interrupted, try again what failed, run the rest."""
    groups: dict[str, list[Trial]] = {"keep": [], "resume": [], "retry": [], "new": []}
    for trial in wanted:
        record = records.get(trial.id)
        groups[_action(record.status if record else Status.PENDING)].append(trial)
    return Plan(**{name: tuple(trials) for name, trials in groups.items()})


def _action(status: Status) -> str:
    match status:
        case Status.FINISHED | Status.STOPPED:
            return "keep"
        case Status.RUNNING | Status.INTERRUPTED:
            return "resume"
        case Status.FAILED:
            return "retry"
        case Status.PENDING:
            return "new"

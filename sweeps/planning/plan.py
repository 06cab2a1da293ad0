"""What a run has to do: a pure function of the wanted trials and the records on disk."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sweeps.definition.resolve import Versions
from sweeps.definition.space import Trial
from sweeps.errors import SweepsError, nearest
from sweeps.planning.search import Decision
from sweeps.records.record import Record, Status


@dataclass(frozen=True)
class Plan:
    """Each wanted trial, in the order of the file, under what happens to it.

    Attributes:
        leave: not finished, and not asked for this time.
        reached: the epochs up to the last checkpoint of those that are continued, by id, and those
            that new ones have from their parents.
        until: the epoch to which each trains for now, by id; those that are not here, to their end.
        paused: those of ``resume`` that go on from a rung, by id.
        stopped: those of ``keep`` that did not come to their end, by id.
        under_way: being trained already.
        round: of a search, how many have been decided before.
    """

    keep: tuple[Trial, ...] = ()
    resume: tuple[Trial, ...] = ()
    retry: tuple[Trial, ...] = ()
    new: tuple[Trial, ...] = ()
    leave: tuple[Trial, ...] = ()
    under_way: tuple[Trial, ...] = ()
    reached: Mapping[str, int] = field(default_factory=dict)
    until: Mapping[str, int] = field(default_factory=dict)
    paused: frozenset[str] = frozenset()
    stopped: frozenset[str] = frozenset()
    round: int = 0

    @property
    def interrupted(self) -> tuple[Trial, ...]:
        """Those that are continued because their attempt was cut short."""
        return tuple(trial for trial in self.resume if trial.id not in self.paused)

    @property
    def todo(self) -> tuple[Trial, ...]:
        """The trials to run: what was begun first."""
        return self.resume + self.retry + self.new

    def __str__(self) -> str:
        total = len(self.keep) + len(self.todo) + len(self.leave) + len(self.under_way)
        finished = [trial for trial in self.keep if trial.id not in self.stopped]
        parts = [
            (finished, "finished"),
            (self.stopped, "stopped"),
            (self.resume, f"continued{self._from()}"),
            (self.retry, "tried again"),
            (self.new, "new"),
            (self.under_way, "under way"),
            (self.leave, "left as they are"),
        ]
        detail = ", ".join(f"{len(trials)} {word}" for trials, word in parts if trials)
        return f"{total} {'trial' if total == 1 else 'trials'}: {detail}"

    def only(self, retry: Sequence[str]) -> "Plan":
        """Of this plan only these trials, by id, or with ``failed`` all that failed.

        Raises:
            SweepsError: there is no such trial, or it has not failed.
        """
        chosen = {trial.id for trial in self.retry} if "failed" in retry else set()
        chosen |= self._check(set(retry) - {"failed"})
        others = [t for t in self.todo if t.id not in chosen]
        again = [t for t in self.keep + self.todo if t.id in chosen]
        return replace(
            self,
            keep=tuple(t for t in self.keep if t.id not in chosen),
            resume=(),
            retry=tuple(again),
            new=(),
            leave=tuple(others),
            stopped=self.stopped - chosen,
        )

    def beside(self, busy: Collection[str]) -> "Plan":
        """Of this plan what may begin while these trials, by id, are under way."""

        def others(trials: Sequence[Trial]) -> tuple[Trial, ...]:
            return tuple(trial for trial in trials if trial.id not in busy)

        return replace(
            self,
            keep=others(self.keep),
            resume=others(self.resume),
            retry=others(self.retry),
            new=others(self.new),
            leave=others(self.leave),
            under_way=tuple(t for t in self.keep + self.todo + self.leave if t.id in busy),
            stopped=self.stopped - set(busy),
        )

    def without_retries(self, tried: Collection[str]) -> "Plan":
        """Of this plan all but what has failed of these, by id: in a run, that is for good."""
        again = tuple(trial for trial in self.retry if trial.id not in tried)
        failed = tuple(trial for trial in self.retry if trial.id in tried)
        return replace(self, retry=again, leave=self.leave + failed)

    def _check(self, ids: set[str]) -> set[str]:
        known = {trial.id for trial in self.keep + self.todo}
        for unknown in sorted(ids - known):
            raise SweepsError(
                f"--retry must be failed or the id of a trial of this sweep, got {unknown!r}"
                f"{nearest(unknown, ['failed', *known])}"
            )
        for kept in sorted(ids & {trial.id for trial in self.keep} - self.stopped):
            raise SweepsError(
                f"--retry {kept}: this trial has not failed; to run all trials again, use --fresh"
            )
        return ids

    def _from(self) -> str:
        """`` from epoch 3``, or the first and last of them where they differ."""
        epochs = sorted({self.reached.get(trial.id, 0) for trial in self.resume})
        if not epochs or epochs == [0]:
            return ""
        span = f"epoch {epochs[0]}" if len(epochs) == 1 else f"epochs {epochs[0]} to {epochs[-1]}"
        return f" from {span}"


def decide(
    wanted: Sequence[Trial],
    records: Mapping[str, Record],
    budget: str | None = None,
    decision: Decision | None = None,
) -> Plan:
    """Keep what ended, continue what was interrupted, try again what failed, run the rest.

    Args:
        budget: the parameter that says how long a trial trains: one that ended is continued if
            it is now to train longer.
        decision: of a search, how far each trains for now.
    """
    until = decision.until if decision else {}
    groups: dict[str, list[Trial]] = {"keep": [], "resume": [], "retry": [], "new": []}
    for trial in wanted:
        groups[_action(records.get(trial.id), budget, until.get(trial.id))].append(trial)
    resumed = [records[trial.id] for trial in groups["resume"]]
    kept = [records[trial.id] for trial in groups["keep"]]
    inherited = {trial.id: trial.origin.epoch for trial in groups["new"] if trial.origin}
    return Plan(
        **{name: tuple(trials) for name, trials in groups.items()},
        reached=inherited | {record.id: _reached(record) for record in resumed},
        until=until,
        paused=frozenset(r.id for r in resumed if r.status in (Status.STOPPED, Status.FINISHED)),
        stopped=frozenset(r.id for r in kept if r.status is Status.STOPPED),
        round=decision.round if decision else 0,
    )


def stale(plan: Plan, records: Mapping[str, Record], now: Mapping[str, Versions]) -> list[str]:
    """What to say of results on disk that other code or other data have brought about.

    Args:
        now: what each trial would be run with today, by id.
    """
    begun = [(records[trial.id], now[trial.id]) for trial in plan.keep + plan.resume]
    counts = {
        "the training code": sum(then.code != today.code for then, today in begun),
        "the data": sum(then.data != today.data for then, today in begun),
    }
    return [
        f"note: {count} of them ran with another version of {what}, and are kept all the same;"
        " --fresh runs all trials again"
        for what, count in counts.items()
        if count
    ]


def _reached(record: Record) -> int:
    """The epochs up to the last checkpoint."""
    reports = enumerate(record.history, start=1)
    return max((epoch for epoch, report in reports if report.checkpoint), default=0)


def _action(record: Record | None, budget: str | None, until: int | None) -> str:
    match record.status if record else Status.PENDING:
        case Status.FINISHED if record and _is_raised(record, budget):
            return "keep" if until is not None and len(record.history) >= until else "resume"
        case Status.STOPPED if record and record.until is not None:  # at a rung
            return "keep" if until is not None and len(record.history) >= until else "resume"
        case Status.FINISHED | Status.STOPPED:
            return "keep"
        case Status.FAILED:
            return "retry"
        case Status.PENDING if record and record.error:  # it failed, and the run ended before
            return "retry"  # its next attempt
        case Status.PENDING if not (record and record.attempts):
            return "new"
        case _ if record and until is not None and len(record.history) >= until:
            return "keep"  # it was cut short after its last report, before that was told
        case _:
            return "resume"


def _is_raised(record: Record, budget: str | None) -> bool:
    """Whether a trial is to train longer than it has."""
    if budget is None or record.recorded is None:
        return False
    wanted, had = record.config.get(budget), record.recorded.get(budget)
    return isinstance(wanted, int | float) and (
        not isinstance(had, int | float) or bool(wanted > had)
    )

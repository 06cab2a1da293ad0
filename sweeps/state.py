"""A sweep in one directory: what is wanted there, beside what is there."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from sweeps.definition.resolve import Resolved, Versions
from sweeps.definition.space import Trial
from sweeps.definition.sweep_file import SweepFile
from sweeps.errors import DirectoryError
from sweeps.planning.arrays import Array
from sweeps.planning.course import Course, measure_of, perturbed_of, population_line
from sweeps.planning.enough import enough, longest_first, seconds_of
from sweeps.planning.forming import Former
from sweeps.planning.plan import Plan, decide, stale
from sweeps.planning.search import Decision, is_lost
from sweeps.planning.shares import Share
from sweeps.planning.size import size_line
from sweeps.records.ledger import Ledger
from sweeps.records.lineage import inherit
from sweeps.records.record import Overview, Record, Status, damage_notes

_WIDER = {
    *("parameters", "zip", "exclude", "when", "configurations"),
    *("samples", "seeds", "stop_after"),
}
"""The keys in which a file that only asks for more may differ."""


@dataclass(frozen=True)
class Outlook:
    """What a run would do, and what each trial would get.

    Attributes:
        size: of the search space, in a line.
        notes: what the user should know of the results that are kept.
        why_apart: what keeps trials from being in one array, where they are in several.
        seconds: how long it will take, by what epochs have taken so far; ``None`` if unknown.
    """

    plan: Plan
    share: Share
    arrays: Sequence[Array]
    why_alone: str | None
    directory: str
    size: str = ""
    notes: Sequence[str] = ()
    why_apart: str | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Wanted:
    """What a sweep asks for.

    Attributes:
        definition: its file's content.
        budget: the parameter that says how long a trial trains, if it can be raised.
        trials: those of the file; none, if a sampler suggests them.
    """

    file: SweepFile
    definition: Mapping[str, Any]
    resolved: Resolved
    budget: str | None
    trials: tuple[Trial, ...]

    @classmethod
    def of(cls, file: SweepFile, definition: Mapping[str, Any], resolved: Resolved) -> "Wanted":
        sampled = bool(file.search and file.search.sampler)
        trials = () if sampled else tuple(file.trials(resolved.neutral))
        budget = resolved.budget
        kept = None if budget and file.is_swept(budget) else budget
        return cls(file, definition, resolved, kept, trials)

    @property
    def examples(self) -> Sequence[Trial]:
        """The trials, or some that a sampler may suggest: to be checked beforehand."""
        if not (self.file.search and self.file.search.sampler):
            return self.trials
        return [trial for config in self.file.space.examples() for trial in self.make(config)]

    @property
    def perturbed(self) -> list[str]:
        """The parameters that a population changes."""
        return perturbed_of(self.file, self.resolved.changeable)

    def go_on(
        self, config: Mapping[str, Any], parents: Sequence[Trial], epoch: int
    ) -> tuple[Trial, ...]:
        """The trials of a configuration that go on from an epoch of others."""
        space, neutral = self.file.space, self.resolved.neutral
        return tuple(space.continued(dict(config), self.file.train, neutral, parents, epoch))

    def make(self, config: Mapping[str, Any]) -> list[Trial]:
        """The trials of a configuration by dotted names."""
        return self.file.space.repeated(dict(config), self.file.train, self.resolved.neutral)


class State:
    """What is wanted in a directory, decided anew whenever its records have grown.

    Attributes:
        trials: all there are so far, in their order.
    """

    def __init__(self, wanted: Wanted, former: Former, ledger: Ledger) -> None:
        self._wanted, self._former, self.ledger = wanted, former, ledger
        self.file = wanted.file
        self._course: Course | None = None
        self._others: dict[str, Record] = {}
        self._stopped: Mapping[str, str] = {}
        self.trials: Sequence[Trial] = wanted.trials

    @property
    def goes_ahead(self) -> bool:
        """Whether some may go on while others of their round are under way.

        In arrays they may not: which of them were there to be put together would be chance.
        """
        halving = self.file.search.halving if self.file.search else None
        return halving is not None and self._former.why_alone is not None

    def decide(
        self,
        retry: Sequence[str] = (),
        *,
        fresh: bool = False,
        now: Mapping[str, Record] | None = None,
        busy: Mapping[str, int | None] = MappingProxyType({}),
    ) -> Plan:
        """What is to be done, by the file and the records.

        Args:
            fresh: as if there were none.
            now: the latest records of the trials that a run has run, by id.
            busy: up to which epoch those train that are under way, by id; ``None`` is to their end.
        """
        decision: Decision | None = None
        if now is None:
            self._others = {}
        if self._wanted.file.search:

            def look(trial: Trial) -> Record | None:
                if fresh:
                    return None
                record = self._records_of((trial,), now)[trial.id]
                return self._on_its_way(record, busy[trial.id]) if trial.id in busy else record

            course = self._search(fresh)
            decision = course.decide(look)
            decision = decision.hurried() if self.goes_ahead else decision
            self._course, self._stopped = None if fresh else course, decision.stopped
            self.trials = decision.trials
            self._former.look_at(self.trials)
        records = {} if fresh else self._records_of(self.trials, now)
        plan = decide(self.trials, records, self._wanted.budget, decision)
        return (plan.only(retry) if retry else plan).beside(busy)

    def _on_its_way(self, record: Record, until: int | None) -> Record:
        """A trial under way: that it has come to where it is going is known once it has ended."""
        if is_lost(record):
            return record
        goal = until or record.config.get(self._wanted.budget or "")
        return replace(record, history=record.history[: goal - 1]) if goal else record

    def prepare(self, plan: Plan) -> None:
        """Get the data of what is new."""
        self._wanted.resolved.prepare(trial.config for trial in plan.new)

    def look_ahead(
        self, plan: Plan, share: Share, now: Mapping[str, Record] | None = None
    ) -> Outlook:
        """Put the trials into arrays, or say why each trains alone.

        Args:
            now: the latest records of some trials, by id.
        """
        file, ledger = self._wanted.file, self.ledger
        arrays = self._former.form(plan, share, ledger.formed())
        why_alone, apart = self._former.reasons(arrays)
        records = self._records_of(plan.keep + plan.todo + plan.leave, now)
        begun = self.versions(plan.keep + plan.resume)
        notes = [*damage_notes(records.values()), *stale(plan, records, begun)]
        first = sum(trial.origin is None for trial in self.trials)
        size = size_line(file.space, first // file.seeds, file.search)
        if self._course and len(self._course.rungs) > 1:
            size += f"; rungs at epochs {', '.join(map(str, self._course.rungs))}"
        if file.search and file.search.population:
            size += population_line(file, file.search.population, self._wanted.perturbed)
        largest = max((len(array) for array in arrays), default=1)

        def left(trial: Trial) -> int | None:
            return self._left(trial, plan, records)

        if plan.round:
            arrays = longest_first(arrays, left, records)
        seconds = seconds_of(arrays, left, records, share.arrays_at_once(largest))
        return Outlook(plan, share, arrays, why_alone, ledger.where, size, notes, apart, seconds)

    def additional(self) -> int:
        """How many trials the file asks for beside those that the directory's run has.

        Raises:
            DirectoryError: the file is another than that of the run in more than its trials.
        """
        running = self.ledger.overview()
        differs = sorted(
            name
            for name in {*running.sweep, *self._wanted.definition} - _WIDER
            if running.sweep.get(name) != self._wanted.definition.get(name)
        )
        listed = {trial.id for trial in running.trials}
        more = sum(trial.id not in listed for trial in self.trials)
        if more and differs:
            raise DirectoryError(
                f"{self.ledger.where} is being run, and a run can be handed more trials only: the"
                f" file differs in {', '.join(differs)} too; wait for the run to end"
            )
        return 0 if self._wanted.file.search else more

    def enough(self, now: Mapping[str, Record] | None = None) -> str | None:
        """Why no other trial is to begin, by the file's ``stop_after``.

        Args:
            now: the latest records of some trials, by id.
        """
        file = self._wanted.file
        if file.stop_after is None:
            return None
        measure = measure_of(file.metric, file.mode, file.select)
        return enough(file.stop_after, self.trials, self._records_of(self.trials, now), measure)

    def inherit(self, plan: Plan) -> None:
        """Give those that are to go on from another trial the beginning that they have from it."""
        by_id = {trial.id: trial for trial in self.trials}
        for trial in plan.todo:
            if trial.origin and (parent := by_id.get(trial.origin.parent)):
                inherit(self.ledger, trial, parent)

    def settle(self, busy: Collection[str] = ()) -> None:
        """Record of each trial that the search has stopped why it was, as last decided.

        Args:
            busy: the ids of those that are under way: what they come to is recorded at their ends.
        """
        stopped = {key: why for key, why in self._stopped.items() if key not in busy}
        for record in self.ledger.records(t for t in self.trials if t.id in stopped).values():
            why, until = stopped[record.id], len(record.history)
            if until and (record.status, record.error) != (Status.STOPPED, why):
                from sweeps.records.events import write_stop  # imports TensorBoard

                write_stop(self.ledger.directory / record.path)
                config = record.recorded or record.config
                self.ledger.write(
                    replace(record, config=config, status=Status.STOPPED, error=why, until=until)
                )
                self._others.pop(record.id, None)

    def describe(self, outlook: Outlook | None = None) -> None:
        """Write what the sweep is, which trials it lists, and which of them train together."""
        file, formed = self._wanted.file, self.ledger.formed()
        if outlook:
            arrays = [[trial.id for trial in array] for array in outlook.arrays]
            placed = {key for array in arrays for key in array}
            before = [[k for k in ids if k not in placed] for ids in formed.get("arrays", ())]
            arrays += [array for array in before if array]
            settings = self._former.settings(outlook.plan, outlook.share)
            formed = {"settings": settings, "arrays": arrays}
        self.ledger.write_overview(
            Overview(
                file.name,
                file.metric,
                file.mode,
                self._wanted.definition,
                tuple(self.trials),
                self._wanted.budget,
                formed,
                self._course.state if self._course else {},
            )
        )

    def versions(self, trials: Sequence[Trial]) -> dict[str, Versions]:
        """What the results of these depend on beside their configurations, by id."""
        return self._wanted.resolved.versions(trials)

    def _records_of(
        self, trials: Sequence[Trial], now: Mapping[str, Record] | None
    ) -> dict[str, Record]:
        """The records of these trials: of those that a run has run, as it knows them.

        All others stay as they are while it goes on, and are read once.
        """
        found: dict[str, Record] = {}
        for trial in trials:
            record = (now or {}).get(trial.id) or self._others.get(trial.id)
            if record and record.config == trial.config:
                found[trial.id] = record
        if unread := [trial for trial in trials if trial.id not in found]:
            read = self.ledger.records(unread)
            self._others |= read
            found |= read
        return found

    def _search(self, fresh: bool = False) -> Course:
        """The search as far as the directory has it."""
        if self._course is not None and not fresh:
            return self._course
        wanted, ledger = self._wanted, self.ledger
        there = {} if fresh else ledger.records(ledger.unlisted(()))
        return Course(
            wanted.file,
            wanted.definition,
            wanted.trials,
            wanted.make,
            wanted.go_on,
            wanted.budget,
            wanted.perturbed,
            {} if fresh else ledger.searched(),
            there,
        )

    def _left(self, trial: Trial, plan: Plan, records: Mapping[str, Record]) -> int | None:
        """How many epochs a trial still has to train."""
        whole = trial.config.get(self._wanted.budget or "")
        goal = plan.until.get(trial.id, whole if isinstance(whole, int) else None)
        done = len(records[trial.id].history) if trial.id in records else 0
        return None if goal is None else max(0, goal - done)

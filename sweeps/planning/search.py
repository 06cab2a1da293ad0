"""Which trials there are, and how far each trains now: a pure function of the file and the records.

A search goes in rounds. In each, the proposer gives configurations, which begin at the first rung;
those of earlier rounds that are still in train up to their next one. When all of a round are where
they should be, each is compared with all that have ever been at the same rung: the best of them go
on, the others are stopped. Without halving there is one rung, the whole budget; without a sampler
all configurations are of the first round.

Nothing depends on which trial was faster. So a search that was killed, and is decided anew from its
records, is the same search. Some of it is certain before a round is complete: a configuration goes
on if it would even with all those that are still under way before it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Literal, Protocol

from sweeps.definition.search import Halving
from sweeps.definition.space import Trial
from sweeps.records.history import Report
from sweeps.records.record import Record, Status

Group = tuple[Trial, ...]
"""The trials of one configuration, one for each seed."""

Look = Callable[[Trial], Record | None]
"""The record of a trial; ``None``, or a blank one, if it has not begun."""

Measure = Callable[[Sequence[Report]], float | None]
"""The value by which reports are compared, the smaller the better; ``None`` if there is none."""


@dataclass(frozen=True)
class Told:
    """What a configuration came to.

    Attributes:
        state: ``complete``; ``stopped`` at a rung, or by the user; ``diverged``; ``failed``.
        value: as measured at the rung at which this became clear, if it was.
        step: the epochs of that rung; 0 if there are none.
        why: what to say of it, if it was stopped.
    """

    state: Literal["complete", "stopped", "diverged", "failed"]
    value: float | None = None
    step: int = 0
    why: str = ""


Ranks = Mapping[str, tuple[int, int]]
"""The place of each configuration at a rung, and how many have been there."""


class Proposer(Protocol):
    """Where configurations come from."""

    def propose(self) -> list[Group]:
        """Those of the next round; none, once there are no more."""
        ...

    def tell(self, group: Group, told: Told) -> None:
        """What one of them came to; told once of each, in the order of the rounds."""
        ...


class Listed:
    """Configurations that are there from the beginning."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._groups = list(groups)

    def propose(self) -> list[Group]:
        groups, self._groups = self._groups, []
        return groups

    def tell(self, group: Group, told: Told) -> None: ...


@dataclass(frozen=True)
class Decision:
    """What a search wants of the moment.

    Attributes:
        trials: all there are so far, in the order in which they were proposed.
        until: how many epochs each trains now, by id; those that are not here, to their end.
        stopped: why each that is stopped is so, by id.
        told: what each configuration came to, by the id of its first trial.
        done: whether the search has come to its end.
        round: how many rounds are complete.
        ahead: of those that go on whatever the rest of the round comes to, how many epochs each
            trains next, by id; ``None`` is to its end.
    """

    trials: tuple[Trial, ...]
    until: Mapping[str, int]
    stopped: Mapping[str, str]
    told: Mapping[str, Told]
    done: bool
    round: int = 0
    ahead: Mapping[str, int | None] = field(default_factory=dict)

    def hurried(self) -> "Decision":
        """With those that go on in any case doing so before their round is complete."""
        until = {**self.until, **self.ahead}
        return replace(self, until={key: n for key, n in until.items() if n is not None})


@dataclass
class _Entry:
    """A configuration on its way."""

    group: Group
    rung: int = 0
    told: Told | None = None
    values: list[float | None] = field(default_factory=list)

    @property
    def key(self) -> str:
        return self.group[0].id


class Searching:
    """A search, as far as the records that it was shown reach.

    Args:
        rungs: the epochs of each rung, the last one the whole budget; none, if it is not known how
            long a trial trains.
        factor: one of so many goes on at a rung.
        measure: for the rungs.
        score: for what the proposer is told in the end.
        settled: what has been told before, by the id of a configuration's first trial. It stays,
            even if a trial that had failed was tried again since.
    """

    def __init__(
        self,
        proposer: Proposer,
        rungs: Sequence[int],
        factor: int,
        measure: Measure,
        score: Measure,
        settled: Mapping[str, Told] | None = None,
    ) -> None:
        self._proposer, self._rungs, self._factor = proposer, tuple(rungs), factor
        self._measure, self._score = measure, score
        self._settled = dict(settled or {})
        self._entries = [_Entry(group) for group in proposer.propose()]
        self._round = 0

    def advance(self, look: Look) -> Decision:
        """Go through all rounds that the records complete."""
        while active := [entry for entry in self._entries if entry.told is None]:
            if any(self._is_under_way(entry, look) for entry in active):
                break
            for entry in active:
                entry.values.append(self._value(entry, look))
            ranks = [self._ranks(rung) for rung in range(len(self._rungs))]
            for entry in active:
                told = self._conclude(entry, look, ranks)
                if told is None:
                    entry.rung += 1
                else:
                    entry.told = told
                    self._proposer.tell(entry.group, told)
            self._entries += [_Entry(group) for group in self._proposer.propose()]
            self._round += 1
        return self._decision(self._ahead(look))

    def _budget(self, entry: _Entry) -> int | None:
        return self._rungs[entry.rung] if self._rungs else None

    def _is_last(self, entry: _Entry) -> bool:
        return entry.rung >= len(self._rungs) - 1

    def _is_under_way(self, entry: _Entry, look: Look) -> bool:
        """Whether some trial is still to come to the rung, and all others may yet."""
        if entry.key in self._settled or self._lost(entry, look):
            return False
        found, budget = [look(trial) for trial in entry.group], self._budget(entry)
        return not all(r is not None and has_reached(r, budget) for r in found)

    def _lost(self, entry: _Entry, look: Look) -> Record | None:
        """The first of its trials that has come to no result at its rung, or before.

        What happens to one on its way to the next rung is of that rung.
        """
        passed = None if self._is_last(entry) else self._budget(entry)
        found = [record for trial in entry.group if (record := look(trial))]
        return next((r for r in found if is_lost(r) and not has_passed(r, passed)), None)

    def _value(self, entry: _Entry, look: Look) -> float | None:
        """The mean over seeds at the rung: one lucky seed does not carry a configuration."""
        if self._lost(entry, look):
            return None
        found = [look(trial) for trial in entry.group]
        budget = self._budget(entry)
        measure = self._score if self._is_last(entry) else self._measure
        values = [measure(record.history[:budget]) if record else None for record in found]
        known = [value for value in values if value is not None]
        return fmean(known) if len(known) == len(values) else None

    def _ranks(self, rung: int) -> dict[str, tuple[int, int]]:
        """The places of all that have been at a rung, from 1, and how many these are."""
        values = {e.key: e.values[rung] for e in self._entries if len(e.values) > rung}
        return {key: (place, len(values)) for place, key in enumerate(_in_order(values), 1)}

    def _ahead(self, look: Look) -> dict[str, int | None]:
        """Those of the round under way that go on even if the rest of it comes before them.

        What has failed may be tried again, and come before them too.
        """
        found: dict[str, int | None] = {}
        active = [entry for entry in self._entries if entry.told is None]
        for rung, budget in enumerate(self._rungs[:-1]):
            here = {entry.key: entry for entry in active if entry.rung == rung}
            done = {key for key, entry in here.items() if self._is_certain(entry, look)}
            values = {
                e.key: self._value(e, look) if e.key in done else e.values[rung]
                for e in self._entries
                if e.key in done or len(e.values) > rung
            }
            unknown = len(here) - len(done)
            certain = max(0, self._places(len(values) + unknown) - unknown)
            is_next_last = rung + 2 == len(self._rungs)
            for key in _in_order(values)[:certain]:
                goes_on = key in done - self._settled.keys() and values[key] is not None
                group = here[key].group if goes_on else ()
                if all(_keeps(look(trial), budget) for trial in group):
                    following = None if is_next_last else self._rungs[rung + 1]
                    found |= {trial.id: following for trial in group}
        return found

    def _is_certain(self, entry: _Entry, look: Look) -> bool:
        """Whether what a configuration has come to at its rung stays so."""
        if entry.key in self._settled:
            return True
        lost = self._lost(entry, look)
        failed = lost is not None and lost.status is Status.FAILED
        return not failed and not self._is_under_way(entry, look)

    def _places(self, size: int) -> int:
        """How many of so many go on."""
        return max(1, size // self._factor)

    def _conclude(self, entry: _Entry, look: Look, ranks: Sequence[Ranks]) -> Told | None:
        """What a configuration has come to at its rung; ``None`` if it goes on."""
        budget, value = self._budget(entry) or 0, entry.values[-1]
        if told := self._settled.get(entry.key):
            return told if self._is_last(entry) or told.step <= budget else None
        if lost := self._lost(entry, look):
            return Told(state_of(lost), None, budget)
        if self._is_last(entry):
            return Told("complete" if value is not None else "diverged", value, budget)
        rank, size = ranks[entry.rung][entry.key]
        if rank <= self._places(size):
            return None
        return Told("stopped", value, budget, f"rank {rank} of {size} at epoch {budget}")

    def _decision(self, ahead: Mapping[str, int | None]) -> Decision:
        until: dict[str, int] = {}
        for entry in self._entries:
            budget = entry.told.step if entry.told else self._budget(entry)
            is_whole = entry.told.state == "complete" if entry.told else self._is_last(entry)
            if budget and not is_whole:
                until |= {trial.id: budget for trial in entry.group}
        told = {entry.key: entry.told for entry in self._entries if entry.told}
        return Decision(
            tuple(trial for entry in self._entries for trial in entry.group),
            until,
            {t.id: e.told.why for e in self._entries if e.told and e.told.why for t in e.group},
            told,
            len(told) == len(self._entries),
            self._round,
            ahead,
        )


def rungs_of(halving: Halving | None, budget: int | None) -> tuple[int, ...]:
    """The epochs of each rung, up to the whole budget."""
    if budget is None or halving is None:
        return () if budget is None else (budget,)
    step = halving.first or -(-budget // halving.factor**2)
    rungs = []
    while step < budget:
        rungs.append(step)
        step *= halving.factor
    return (*rungs, budget)


def is_lost(record: Record) -> bool:
    """Whether a trial has come to an end that is no result: nothing more will come of it."""
    return record.status is Status.FAILED or (
        record.status is Status.STOPPED and record.until is None
    )


def has_passed(record: Record, budget: int | None) -> bool:
    """Whether a trial that is lost was so only on its way from there to the next rung.

    What makes a trial diverge is a report, and that of the rung is of the rung; an error comes
    after the last report.
    """
    if budget is None:
        return False
    return len(record.history) >= budget + (record.status is not Status.FAILED)


def has_reached(record: Record, budget: int | None) -> bool:
    """Whether a trial has trained so far, or ended before by itself."""
    if record.status is Status.FINISHED and (budget is None or record.recorded == record.config):
        return True
    return budget is not None and len(record.history) >= budget


def _in_order(values: Mapping[str, float | None]) -> list[str]:
    """From the best to those that have no value."""
    return sorted(values, key=lambda key: math.inf if (v := values[key]) is None else v)


def _keeps(record: Record | None, budget: int) -> bool:
    """Whether a trial goes on from where it is at a rung: else it trains up to there once more."""
    return record is not None and any(report.checkpoint for report in record.history[budget - 1 :])


def state_of(record: Record) -> Literal["stopped", "diverged", "failed"]:
    """What a trial that is lost has come to."""
    if record.status is Status.FAILED:
        return "failed"
    return "diverged" if (record.error or "").startswith("diverged") else "stopped"

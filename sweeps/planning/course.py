"""The course of a sweep that is searched: from its file and directory to the next decision."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sweeps.definition.parameters import Fixed, same_key, unknown_name
from sweeps.definition.search import Halving, Population
from sweeps.definition.selection import Selection
from sweeps.definition.space import Trial, flat
from sweeps.definition.sweep_file import SweepFile
from sweeps.errors import shown
from sweeps.planning.population import (
    Continue,
    Perturbing,
    Populating,
    perturbable,
    replaced,
)
from sweeps.planning.population import rungs_of as population_rungs
from sweeps.planning.samplers import Sampled
from sweeps.planning.search import (
    Decision,
    Group,
    Listed,
    Look,
    Measure,
    Proposer,
    Searching,
    Told,
    rungs_of,
)
from sweeps.records.best import selected
from sweeps.records.history import Report
from sweeps.records.record import Record, Status

_DECISIVE = ("train", "metric", "mode", "select", "parameters", "zip", "when", "exclude")
"""The keys of a file that make its search another one, beside ``search``."""

Make = Callable[[Mapping[str, Any]], list[Trial]]
"""The trials of a configuration by dotted names, one for each seed."""


class Course:
    """The search of one sweep, kept up as its records grow.

    Args:
        trials: those of the file, if no sampler suggests them.
        go_on: makes the trials of a configuration that go on from others.
        budget: the parameter that says how long a trial trains, if there is one.
        perturbed: the parameters that a population may change.
        recorded: of the search when the sweep was last run, as :attr:`state` was.
        others: the records of trials that were there when the sweep was first searched so.

    Attributes:
        rungs: the epochs of each, the last one the whole budget.
    """

    def __init__(
        self,
        file: SweepFile,
        definition: Mapping[str, Any],
        trials: Sequence[Trial],
        make: Make,
        go_on: Continue,
        budget: str | None,
        perturbed: Sequence[str],
        recorded: Mapping[str, Any],
        others: Mapping[str, Record],
    ) -> None:
        self._file, self._budget = file, budget
        self._key = key_of(file, definition, budget)
        same = recorded.get("key") == self._key
        score = measure_of(file.metric, file.mode, file.select)
        before = recorded["before"] if same else [k for k, r in others.items() if r.history]
        known = {key: others[key] for key in before if key in others}
        self._before = [
            key
            for key, r in known.items()
            if r.status is Status.FINISHED and score(r.history) is not None
        ]
        values = [(self._flat(known[key]), score(known[key].history)) for key in self._before]
        settled = {k: Told(**told) for k, told in recorded["told"].items()} if same else None
        population, whole = file.search.population if file.search else None, self._whole()
        self._searching: Searching | Populating
        if population and whole is not None:
            self.rungs = population_rungs(population, whole)
            self._searching = Populating(
                by_configuration(trials),
                self.rungs,
                population,
                score,
                Perturbing(file.space, perturbed, population.factors),
                go_on,
                file.sample_seed,
                settled,
            )
            return
        self.rungs = rungs_of(file.search.halving if file.search else None, whole)
        self._searching = Searching(
            self._proposer(trials, make, [(c, v) for c, v in values if v is not None]),
            self.rungs,
            file.search.halving.factor if file.search and file.search.halving else 1,
            self._rung_measure(score),
            score,
            settled,
        )

    def decide(self, look: Look) -> Decision:
        decision = self._searching.advance(look)
        self._told = decision.told
        return decision

    @property
    def state(self) -> dict[str, Any]:
        """What is to be kept of it, as plain values."""
        told = {key: asdict(one) for key, one in self._told.items()}
        return {"key": self._key, "before": self._before, "told": told}

    def _proposer(
        self, trials: Sequence[Trial], make: Make, before: Sequence[tuple[dict[str, Any], float]]
    ) -> Proposer:
        search = self._file.search
        if search is None or search.sampler is None:
            return Listed(by_configuration(trials))
        return Sampled(self._file.space, search, lambda config: tuple(make(config)), before)

    def _whole(self) -> int | None:
        """The whole budget, in epochs."""
        parameter = self._file.space.leaves.get(self._budget or "")
        value = parameter.value if isinstance(parameter, Fixed) else None
        return value if isinstance(value, int) else None

    def _rung_measure(self, score: Measure) -> Measure:
        halving = self._file.search.halving if self._file.search else None
        if halving is None or halving.metric is None or halving.mode is None:
            return score
        return measure_of(halving.metric, halving.mode, Selection())

    def _flat(self, record: Record) -> dict[str, Any]:
        """A configuration of before, as if it had the budget of today."""
        config = {name: value for name, value in flat(record.config).items() if name != "seed"}
        if self._budget and self._whole() is not None:
            config[self._budget] = self._whole()
        return config


def measure_of(metric: str, mode: str, selection: Selection) -> Measure:
    """The value that counts of a trial's reports, made so that smaller is better."""
    sign = 1 if mode == "min" else -1

    def measure(reports: Sequence[Report]) -> float | None:
        found = selected([report.metrics for report in reports], metric, mode, selection)
        return sign * found["value"] if found else None

    return measure


def by_configuration(trials: Sequence[Trial]) -> list[Group]:
    """Trials that differ in their seeds only are one configuration."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        config = {name: value for name, value in trial.config.items() if name != "seed"}
        groups.setdefault(same_key(config), []).append(trial)
    return [tuple(group) for group in groups.values()]


def key_of(file: SweepFile, definition: Mapping[str, Any], budget: str | None) -> str:
    """What identifies a search: it is the same one if only more of it is asked for."""
    search = file.search.model_dump(exclude={"trials", "population"}) if file.search else None
    keys = {name: definition.get(name) for name in _DECISIVE}
    if search and file.search and file.search.population:
        search["population"] = file.search.population.model_dump()
        keys |= {name: definition.get(name) for name in ("samples", "sample_seed", "seeds")}
    parameters = {n: v for n, v in definition["parameters"].items() if n != budget}
    text = same_key([search, keys | {"parameters": parameters}])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def population_line(file: SweepFile, population: Population, perturbed: Sequence[str]) -> str:
    """What happens at a rung, in words."""
    members = len(by_configuration(file.trials()))
    worst = replaced(members, population.quantile)
    return (
        f"; at each of these the worst {worst} of {members} go on from the best {worst}, with"
        f" other {', '.join(perturbed)}"
    )


def perturbed_of(file: SweepFile, changeable: Sequence[str]) -> list[str]:
    """The parameters that a population changes; none, if there is no population."""
    if file.search is None or file.search.population is None:
        return []
    found = [name for name in perturbable(file.space) if name in changeable]
    return file.search.population.perturb or found


def course_problems(
    file: SweepFile, budget: str | None, resumes: bool, changeable: Sequence[str] = ()
) -> list[str]:
    """What keeps a trainable from being searched so.

    Args:
        changeable: the parameters in which a run may differ from that whose checkpoint it goes on
            from.
    """
    halving: Halving | None = file.search.halving if file.search else None
    population = file.search.population if file.search else None
    if halving is None and population is None:
        return []
    key = "search.population" if population else "search.halving"
    name = "every" if population else "first"
    first = population.every if population else halving.first if halving else None
    if budget is None:
        why = "names no BUDGET" if resumes else "takes no resume_from, and so cannot go on"
        return [
            f"{key}: needs a function that trains on where its budget is raised, and"
            f" {file.train} {why}"
        ]
    parameter = file.space.leaves.get(budget)
    value = parameter.value if isinstance(parameter, Fixed) else None
    if not isinstance(parameter, Fixed) or type(value) is not int or value < 2:
        several = "nothing" if parameter is None else "several"
        got = shown(value) if isinstance(parameter, Fixed) else several
        return [
            f"{key}: needs one whole number of at least 2 for parameters.{budget}, the whole budget"
            f" of a trial; got {got}"
        ]
    if first is not None and first >= value:
        return [f"{key}.{name}: must be less than parameters.{budget} = {value}, got {first}"]
    return _population_problems(file, population, changeable) if population else []


def _population_problems(
    file: SweepFile, population: Population, changeable: Sequence[str]
) -> list[str]:
    """What a population cannot be, or not change."""
    key, may = "search.population.perturb", perturbable(file.space)
    problems = []
    for name in population.perturb or ():
        if name not in file.space.leaves:
            problems.append(f"{key}: {unknown_name(name, file.space.names)}")
        elif name not in may:
            problems.append(f"{key}: {name} must be an axis or a distribution of its own")
        elif name not in changeable:
            problems.append(
                f"{key}: {file.train} does not say that a run may go on with another {name}; its"
                f" CHANGEABLE names {', '.join(changeable) or 'nothing'}"
            )
    if not problems and not perturbed_of(file, changeable):
        problems.append(
            f"search.population: needs a parameter to change, an axis or a distribution that is in"
            f" the CHANGEABLE of {file.train}: {', '.join(changeable) or 'it has none'}"
        )
    if (members := len(by_configuration(file.trials()))) < 2:
        problems.append(
            f"search.population: needs at least 2 configurations to begin with, got {members};"
            " raise samples, or give more values"
        )
    return problems

"""Optuna's samplers, asked and told from the records: no database, and no chance but the seed.

Whoever shows a sampler the same results in the same order is suggested the same configurations. So
its course is gone through anew from the records whenever a sweep goes on, and nothing of Optuna's
is ever stored.
"""

import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sweeps.definition.draws import Flat
from sweeps.definition.search import Search
from sweeps.definition.space import Space
from sweeps.planning.choices import Choices
from sweeps.planning.search import Group, Told

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.samplers import BaseSampler

TRIES = 50
"""How often a suggestion that is excluded, or there already, is asked for again."""


class Sampled:
    """Suggests configurations; smaller values are better.

    Args:
        make: the trials of a configuration by dotted names.
        before: results that were there before the search, as configurations with their values.
    """

    def __init__(
        self,
        space: Space,
        search: Search,
        make: Callable[[Flat], Group],
        before: Sequence[tuple[Flat, float]] = (),
    ) -> None:
        import optuna  # 0.5 s

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study: Study = optuna.create_study(sampler=make_sampler(search))
        self._states = optuna.trial.TrialState
        self._space, self._search, self._make = space, search, make
        self._choices = Choices(space)
        self._asked: dict[str, Trial] = {}
        self._values: dict[str, float] = {}
        for config, value in before:
            self._add(config, value)

    def propose(self) -> list[Group]:
        """The next that are suggested at once, fewer where the space is used up."""
        count = min(self._search.at_once, self._search.trials - len(self._asked))
        found = (self._suggest() for _ in range(count))
        return list(itertools.takewhile(bool, found))

    def tell(self, group: Group, told: Told) -> None:
        """What a configuration came to; one that was stopped, or diverged, counts as pruned."""
        trial, states = self._asked[group[0].id], self._states
        if told.value is not None:
            self._values[group[0].id] = told.value
        if told.state == "complete" and told.value is not None:
            self._study.tell(trial, told.value)
            return
        if told.value is not None:
            trial.report(told.value, told.step)
        self._study.tell(trial, state=states.FAIL if told.state == "failed" else states.PRUNED)

    def _suggest(self) -> Group:
        """A configuration that is new, or nothing if there is none any more."""
        for _ in range(TRIES):
            trial = self._study.ask()
            if group := self._take(trial):
                return group
        for params in self._choices.all_params():
            if self._is_new(self._choices.flat(params)):
                self._study.enqueue_trial(params)
                if group := self._take(self._study.ask()):
                    return group
        return ()

    def _take(self, trial: "Trial") -> Group:
        """The suggestion, unless it is excluded or there already, which the sampler is told."""
        config = self._space.finish(self._choices.suggest(trial))
        if config is None:
            self._study.tell(trial, state=self._states.PRUNED)
            return ()
        group = self._make(config)
        if (key := group[0].id) in self._asked:
            known = self._values.get(key)
            state = None if known is not None else self._states.FAIL
            self._study.tell(trial, known, state=state)
            return ()
        self._asked[key] = trial
        return group

    def _is_new(self, flat: Flat) -> bool:
        config = self._space.finish(flat)
        return config is not None and self._make(config)[0].id not in self._asked

    def _add(self, config: Flat, value: float) -> None:
        """Tell a result of before, if it lies within the space."""
        from optuna.trial import create_trial

        if (params := self._choices.params(config)) is not None:
            kinds = {name: self._choices.kinds[name] for name in params}
            self._study.add_trial(create_trial(params=params, distributions=kinds, value=value))


def make_sampler(search: Search) -> "BaseSampler":
    """The sampler by its name, seeded."""
    from optuna import samplers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a part of it is experimental
        match search.sampler:
            case "gp":
                return samplers.GPSampler(seed=search.seed, warn_independent_sampling=False)
            case "cmaes":
                independent = samplers.TPESampler(seed=search.seed)
                return samplers.CmaEsSampler(
                    seed=search.seed,
                    independent_sampler=independent,
                    warn_independent_sampling=False,
                )
            case "random":
                return samplers.RandomSampler(seed=search.seed)
            case _:
                return samplers.TPESampler(seed=search.seed, constant_liar=search.at_once > 1)

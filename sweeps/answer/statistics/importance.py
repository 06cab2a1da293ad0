"""How much of what was seen each parameter accounts for, by Optuna's evaluators."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweeps.answer.statistics.noise import Array

FEW = 50
"""With fewer configurations than this, the shares are indicative only."""

CHOICES = 8
"""Of more choices than this, the evaluator would take very long."""

MOST = 200
"""More configurations than this are thinned out: the forest takes long, and gains nothing."""


@dataclass(frozen=True)
class Importance:
    """Shares of the variance, which add up to 1, the largest first."""

    shares: Mapping[str, float]
    configurations: int

    @property
    def is_indicative(self) -> bool:
        return self.configurations < FEW


def importances(
    levels: Mapping[str, Sequence[Any]], means: Array, *, log: Sequence[str] = ()
) -> Importance | None:
    """fANOVA over the configurations' means (Hutter et al. 2014), as Optuna does it.

    Args:
        levels: for each parameter, the value of every configuration.
        means: of each configuration, NaN where there is none.
        log: parameters that count by their logarithm.

    Returns:
        ``None`` with fewer than four configurations, or if all came to the same.
    """
    known = np.flatnonzero(np.isfinite(means))
    known = known[:: -(-len(known) // MOST)] if len(known) else known
    if len(known) < 4 or np.ptp(means[known]) == 0:
        return None
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    columns = {name: [_plain(values[int(i)]) for i in known] for name, values in levels.items()}
    columns = {name: column for name, column in columns.items() if len(set(column)) > 1}
    columns = {
        name: _ordered(column, means[known]) if _is_long_list(column) else column
        for name, column in columns.items()
    }
    spaces = {name: _space(column, log=name in log) for name, column in columns.items()}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={name: column[at] for name, column in columns.items()},
                distributions=spaces,
                value=float(means[index]),
            )
            for at, index in enumerate(known)
        ]
    )
    evaluator = FanovaImportanceEvaluator(n_trees=32, seed=0)
    found = get_param_importances(study, evaluator=evaluator, normalize=True)
    return Importance({name: float(share) for name, share in found.items()}, len(known))


def _plain(value: Any) -> Any:
    """Optuna's choices are numbers, text, truth values and None."""
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def _is_numeric(column: Sequence[Any]) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in column)


def _is_long_list(column: Sequence[Any]) -> bool:
    return not _is_numeric(column) and len(set(column)) > CHOICES


def _ordered(column: Sequence[Any], means: Array) -> list[int]:
    """Choices as numbers, by what they came to on average.

    The best split of choices in a tree of squared errors is one of this order (Breiman et al.
    1984); the evaluator's own way takes time that doubles with each choice.
    """
    places: dict[Any, list[int]] = {}
    for place, value in enumerate(column):
        places.setdefault(value, []).append(place)
    by_mean = sorted(places, key=lambda value: float(np.mean(means[places[value]])))
    return [by_mean.index(value) for value in column]


def _space(column: Sequence[Any], *, log: bool) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if not _is_numeric(column):
        return CategoricalDistribution(list(dict.fromkeys(column)))
    return FloatDistribution(float(min(column)), float(max(column)), log=log and min(column) > 0)

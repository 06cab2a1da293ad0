"""How much of what was seen each parameter accounts for, by Optuna's evaluators."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweeps.answer.statistics.noise import Array

FEW = 50
"""With fewer configurations than this, the shares are indicative only."""

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


def _space(column: Sequence[Any], *, log: bool) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in column)
    if not numeric:
        return CategoricalDistribution(list(dict.fromkeys(column)))
    return FloatDistribution(float(min(column)), float(max(column)), log=log and min(column) > 0)

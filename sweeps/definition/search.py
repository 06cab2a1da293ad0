"""The keys ``search`` and ``stop_after``: how a space is searched, and when that is enough."""

from math import inf
from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from sweeps.definition.strict import Strict
from sweeps.errors import nearest, shown

SamplerName = Literal["tpe", "gp", "cmaes", "random"]
SAMPLERS: tuple[str, ...] = get_args(SamplerName)


class Halving(Strict):
    """All train a little, the best ``1/factor`` of them go on, and so on.

    Attributes:
        first: the budget of the first rung; a part ``1/factor**2`` of the whole, if not given.
        metric: what rungs are decided by; the sweep's, if not given.
        mode: of that metric, if it is given.
    """

    factor: int = Field(default=3, ge=2)
    first: int | None = Field(default=None, ge=1)
    metric: str | None = Field(default=None, min_length=1)
    mode: Literal["max", "min"] | None = None

    @model_validator(mode="after")
    def _check_mode(self) -> "Halving":
        if (self.metric is None) != (self.mode is None):
            raise ValueError("metric and mode belong together: give both, or none for the sweep's")
        return self


class Population(Strict):
    """All train a little, the worst go on as copies of the best with other values, and so on.

    Attributes:
        every: epochs between two rungs; a fifth of the budget, if not given.
        quantile: the part of the population that is replaced at a rung, and that it is replaced by.
        perturb: the parameters whose values change then; all swept ones that may, if not given.
        factors: a number in a range is multiplied by one of these.
    """

    every: int | None = Field(default=None, ge=1)
    quantile: float = Field(default=0.25, gt=0, le=0.5)
    perturb: list[str] | None = Field(default=None, min_length=1)
    factors: list[float] = Field(default=[0.8, 1.25], min_length=1)

    @model_validator(mode="after")
    def _check_factors(self) -> "Population":
        if not all(0 < factor < inf and factor != 1 for factor in self.factors):
            raise ValueError(
                f"factors must be numbers more than 0 and not 1, such as [0.8, 1.25];"
                f" got {shown(self.factors)}"
            )
        return self


class Search(Strict):
    """How the space is searched.

    Attributes:
        sampler: suggests configurations from what came of those before.
        trials: how many configurations it suggests; each is run once for every seed.
        at_once: how many are suggested from the same results, and so train together.
        seed: another number makes another search.
        halving: whether what does badly is stopped early.
        population: whether what does badly goes on as a changed copy of what does well.
    """

    sampler: SamplerName | None = None
    trials: int = Field(default=50, ge=1, le=10_000)
    at_once: int = Field(default=8, ge=1)
    seed: int = Field(default=0, ge=0)
    halving: Halving | None = None
    population: Population | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_short_forms(cls, value: Any) -> Any:
        forms = ["halving", "population", *SAMPLERS]
        if isinstance(value, str):
            if value not in forms:
                raise ValueError(
                    f"must be {_one_of(forms)}, got {shown(value)}{nearest(value, forms)}"
                )
            return {"sampler": value} if value in SAMPLERS else {value: {}}
        if not isinstance(value, dict):
            raise ValueError(f"must be {_one_of(forms)}, or a mapping; got {shown(value)}")
        for name in ("halving", "population"):
            if isinstance(value.get(name), bool):
                value = {**value, name: {} if value[name] else None}
        if all(value.get(name) is None for name in ("sampler", "halving", "population")):
            raise ValueError(
                f"needs halving, population or a sampler ({_one_of(SAMPLERS)}), such as"
                f" {{sampler: tpe, trials: 60}}; got {shown(value)}"
            )
        return value

    @model_validator(mode="after")
    def _check_sampler(self) -> "Search":
        if self.population and (self.sampler or self.halving):
            other = "a sampler" if self.sampler else "halving"
            raise ValueError(f"population is a search of its own: leave it or {other} out")
        alone = sorted({"trials", "at_once", "seed"} & self.model_fields_set)
        if self.sampler is None and alone:
            raise ValueError(
                f"{', '.join(alone)} is for a sampler, and none is named; without one, the"
                " configurations are those of parameters and samples"
            )
        return self


class StopAfter(Strict):
    """When a sweep has done enough, whatever is left.

    Attributes:
        hours: that one run may take.
        trials: so many have ended.
        without_gain: so many have ended, one after the other, and none was better than the best.
    """

    hours: float | None = Field(default=None, gt=0)
    trials: int | None = Field(default=None, ge=1)
    without_gain: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _check_any(self) -> "StopAfter":
        if not self.model_fields_set:
            raise ValueError("needs one of hours, trials and without_gain")
        return self


def _one_of(names: Any) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}"

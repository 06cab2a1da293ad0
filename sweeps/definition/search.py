"""The keys ``search`` and ``stop_after``: how a space is searched, and when that is enough."""

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


class Search(Strict):
    """How the space is searched.

    Attributes:
        sampler: suggests configurations from what came of those before.
        trials: how many configurations it suggests; each is run once for every seed.
        at_once: how many are suggested from the same results, and so train together.
        seed: another number makes another search.
        halving: whether what does badly is stopped early.
    """

    sampler: SamplerName | None = None
    trials: int = Field(default=50, ge=1, le=10_000)
    at_once: int = Field(default=8, ge=1)
    seed: int = Field(default=0, ge=0)
    halving: Halving | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_short_forms(cls, value: Any) -> Any:
        forms = ["halving", *SAMPLERS]
        if isinstance(value, str):
            if value not in forms:
                raise ValueError(
                    f"must be {_one_of(forms)}, got {shown(value)}{nearest(value, forms)}"
                )
            return {"halving": {}} if value == "halving" else {"sampler": value}
        if not isinstance(value, dict):
            raise ValueError(f"must be {_one_of(forms)}, or a mapping; got {shown(value)}")
        if isinstance(value.get("halving"), bool):
            value = {**value, "halving": {} if value["halving"] else None}
        if value.get("sampler") is None and value.get("halving") is None:
            raise ValueError(
                f"needs halving or a sampler ({_one_of(SAMPLERS)}), such as"
                f" {{sampler: tpe, trials: 60}}; got {shown(value)}"
            )
        return value

    @model_validator(mode="after")
    def _check_sampler(self) -> "Search":
        alone = sorted({"trials", "at_once", "seed"} & self.model_fields_set)
        if self.sampler is None and alone:
            raise ValueError(
                f"{', '.join(alone)} is for a sampler, and none is named; without one, halving"
                " takes the configurations of parameters and samples"
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

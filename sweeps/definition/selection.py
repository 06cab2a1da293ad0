"""The sweep file's ``select``: at which epoch a trial is compared with others.

The last epoch is chosen before anything is measured. The best of many epochs flatters, the more so
the more a curve jumps; where epochs are to be chosen, a metric on data held out for it can do so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from sweeps.errors import shown

_MODES: tuple[Literal["min", "max"], ...] = ("min", "max")


@dataclass(frozen=True)
class Selection:
    """Which of a trial's epochs counts.

    Attributes:
        rule: the ``last`` report of the sweep's metric; its ``best``; or the epoch at which
            ``metric`` has its ``min`` or ``max``.
        metric: of that last rule.
    """

    rule: Literal["last", "best", "min", "max"] = "last"
    metric: str | None = None

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Read the key; raises ``ValueError`` with the rule that it breaks."""
        if value == "last":
            return cls()
        if value == "best":
            return cls("best")
        if isinstance(value, Mapping) and len(value) == 1:
            [(rule, metric)] = value.items()
            for mode in _MODES:
                if rule == mode and isinstance(metric, str) and metric:
                    return cls(mode, metric)
        raise ValueError(
            "must be last, best, or which metric chooses the epoch, such as {min: loss/validation};"
            f" got {shown(value)}"
        )

    def words(self, metric: str) -> str:
        """``accuracy/test at the last epoch``."""
        if self.rule == "last":
            return f"{metric} at the last epoch"
        if self.rule == "best":
            return f"the best {metric} of all epochs, which flatters"
        extreme = "lowest" if self.rule == "min" else "highest"
        return f"{metric} at the epoch with the {extreme} {self.metric}"

"""Trials that may begin now, and what goes with them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sweeps.definition.resolve import Versions
from sweeps.planning.arrays import Array


@dataclass(frozen=True)
class Batch:
    """What a run hands to Ray Tune at a time.

    Attributes:
        arrays: the trials, by who trains with whom.
        until: the epoch at which each stops for now, by id; those that are not here, at their end.
        versions: the code and the data that each is run with, by id.
        announce: says what they are; ``None`` if that goes without saying.
    """

    arrays: Sequence[Array]
    until: Mapping[str, int]
    versions: Mapping[str, Versions]
    announce: Callable[[], None] | None = None

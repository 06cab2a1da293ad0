"""Draws from distributions: independent, or points that are spread evenly (Sobol, Halton).

What a sample draws depends on its number and on the seed, and with independent draws on the name
of the parameter, so that more samples, other axes or another machine do not change it. Where the
space is small, a draw that is there already is drawn again, until the space is used up.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal, Protocol

from sweeps.definition.parameters import MOST_LISTED, Distribution, same_key

Draws = Literal["independent", "sobol", "halton"]
TRIES = 100
"""How often a draw that is there already is drawn again, before what is left is searched."""

Flat = dict[str, Any]


class Source(Protocol):
    """Where the values of a sample come from; another ``attempt`` gives others."""

    def __call__(self, sample: int, attempt: int) -> Flat: ...


def source_of(kind: Draws, drawn: Mapping[str, Distribution], seed: int) -> Source:
    """Where the values of these distributions come from."""
    if kind == "independent":
        return _independent(drawn, seed)
    return _Spread(kind, drawn, seed)


def draw_distinct(
    samples: int,
    drawn: Mapping[str, Distribution],
    source: Source,
    finish: Callable[[Flat], Flat | None],
) -> Iterator[Flat]:
    """So many different configurations, fewer where there are no more.

    Args:
        finish: the configuration that draws make, ``None`` if it is excluded.
    """
    seen: set[str] = set()
    for sample in range(samples):
        tries = (finish(source(sample, attempt)) for attempt in range(TRIES))
        rest = (finish(values) for values in _listed(drawn, source, sample))
        for config in itertools.chain(tries, rest):
            if config is not None and (key := same_key(config)) not in seen:
                seen.add(key)
                yield config
                break
        else:
            return


def _independent(drawn: Mapping[str, Distribution], seed: int) -> Source:
    start = f"{seed}/" if seed else ""

    def draw(sample: int, attempt: int) -> Flat:
        end = f"/{attempt}" if attempt else ""
        generators = {
            name: random.Random(f"{start}{name}/{sample}{end}")  # noqa: S311  # nosec B311
            for name in drawn
        }
        return {name: one.draw(generators[name]) for name, one in drawn.items()}

    return draw


class _Spread:
    """The next point of a scrambled sequence, one dimension a parameter, at every call."""

    def __init__(self, kind: Draws, drawn: Mapping[str, Distribution], seed: int) -> None:
        self._kind, self._drawn, self._seed = kind, drawn, seed
        self._next = 0

    def __call__(self, sample: int, attempt: int) -> Flat:
        point = _points(self._kind, len(self._drawn), self._seed, 1 << self._next.bit_length())[
            self._next
        ]
        self._next += 1
        pairs = zip(self._drawn.items(), point, strict=True)
        return {name: one.at(float(part)) for (name, one), part in pairs}


@lru_cache(maxsize=32)
def _points(kind: Draws, dimensions: int, seed: int, count: int) -> Any:
    """The first points of a scrambled sequence, as an array (count, dimensions) in [0, 1)."""
    from scipy.stats import qmc  # 0.3 s

    make = qmc.Sobol if kind == "sobol" else qmc.Halton
    return make(d=dimensions, scramble=True, rng=seed).random(count)


def _listed(drawn: Mapping[str, Distribution], source: Source, sample: int) -> Iterator[Flat]:
    """Every combination of the values that can be listed, in an order of no meaning."""
    listed = {name: list(found) for name, one in drawn.items() if (found := one.values())}
    for name, each in listed.items():
        random.Random(name).shuffle(each)  # noqa: S311  # nosec B311
    combinations = itertools.islice(itertools.product(*listed.values()), MOST_LISTED)
    for attempt, combination in enumerate(combinations, start=TRIES):
        endless = source(sample, attempt) if len(listed) < len(drawn) else {}
        yield {**endless, **dict(zip(listed, combination, strict=True))}

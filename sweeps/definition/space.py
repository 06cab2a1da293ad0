"""The search space: axes and distributions, and the trials they stand for.

Everything is decided here, without Ray and without chance: the same file gives the same trials
with the same identities, on every machine and however often it is read.
"""

import base64
import hashlib
import itertools
import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from sweeps.definition.conditions import Condition
from sweeps.definition.draws import Draws, Flat, draw_distinct, source_of
from sweeps.definition.parameters import (
    Distribution,
    Fixed,
    Grid,
    Parameter,
    canonical,
    leaves,
    paths,
)
from sweeps.definition.text import format_value, in_name

MAX_TRIALS = 100_000
Neutral = Callable[[Mapping[str, Any]], Collection[str]]
"""Of a configuration, the parameters that do not make a trial another one, unless swept."""
_LABEL_LENGTH = 150  # bytes; a file system allows 255 in a name


@dataclass(frozen=True)
class Origin:
    """Where a trial goes on from, that does not begin at its beginning.

    Attributes:
        parent: the trial, by id, whose history up to an epoch is its own.
        epoch: from whose checkpoint it goes on.
    """

    parent: str
    epoch: int


@dataclass(frozen=True)
class Trial:
    """One configuration to be run once.

    Attributes:
        id: eight letters and digits, from a hash of all that makes it this trial.
        config: what the trainable is called with; always has a ``seed``.
        name: the trial's directory: its swept values, then its id.
        origin: where it goes on from; ``None`` if it begins at its beginning.
    """

    id: str
    config: Mapping[str, Any]
    name: str
    origin: Origin | None = None

    @property
    def seed(self) -> int:
        seed: int = self.config["seed"]
        return seed


def decisive(config: Mapping[str, Any]) -> Collection[str]:
    """No parameter is neutral: each makes another trial."""
    return ()


@dataclass(frozen=True)
class Axis:
    """Parameters that change together, and the values they take."""

    names: tuple[str, ...]
    points: tuple[Flat, ...]


@dataclass(frozen=True)
class Space:
    """Parameters, what goes with what, and how often it is drawn and repeated.

    Attributes:
        parameters: as the file has them, groups within groups.
        paired: axes that change together, by their dotted names.
        exclude: configurations that are left out.
        when: where a parameter exists, by its dotted name.
        listed: configurations given one by one, as values by dotted names.
        samples: how often distributions are drawn.
        seeds: how often each configuration is repeated.
        sample_seed: another number draws other values.
    """

    parameters: Mapping[str, Parameter]
    paired: tuple[tuple[str, ...], ...] = ()
    exclude: tuple[Condition, ...] = ()
    when: Mapping[str, Condition] = field(default_factory=dict)
    listed: tuple[Flat, ...] = ()
    samples: int = 1
    seeds: int = 1
    draws: Draws = "independent"
    sample_seed: int = 0

    @cached_property
    def leaves(self) -> dict[str, Parameter]:
        """Every parameter by its dotted name, in order."""
        return leaves(self.parameters)

    @cached_property
    def names(self) -> list[str]:
        """All dotted names that a configuration may have, in order."""
        return list(dict.fromkeys([*self.leaves, *(n for flat in self.listed for n in flat)]))

    @cached_property
    def drawn(self) -> dict[str, Distribution]:
        return {name: p for name, p in self.leaves.items() if isinstance(p, Distribution)}

    @cached_property
    def swept(self) -> list[str]:
        """The names in which configurations differ."""
        fixed = {name for name, p in self.leaves.items() if isinstance(p, Fixed)}
        given = {name for flat in self.listed for name in flat}
        return [name for name in self.names if name not in fixed or name in given]

    @cached_property
    def axes(self) -> list[Axis]:
        """What the grid is the product of; paired axes are one, at the place of the first."""
        of_pair = {name: pair for pair in self.paired for name in pair}
        axes = [Axis(tuple(self.listed[0]), self.listed)] if self.listed else []
        done: set[str] = set()
        for name, parameter in self.leaves.items():
            if isinstance(parameter, Grid) and name not in done:
                names = of_pair.get(name, (name,))
                done |= set(names)
                columns = [p.values for n in names if isinstance(p := self.leaves[n], Grid)]
                rows = zip(*columns, strict=True)
                axes.append(Axis(names, tuple(dict(zip(names, row, strict=True)) for row in rows)))
        return axes

    def count(self) -> int:
        """How many trials there would be, before equal and excluded ones are left out."""
        grid = math.prod(len(axis.points) for axis in self.axes)
        return grid * (self.samples if self.drawn else 1) * self.seeds

    def configurations(self) -> Iterator[Flat]:
        """Configurations by dotted names, in the order of the file, the last axis the fastest."""
        fixed = {name: p.value for name, p in self.leaves.items() if isinstance(p, Fixed)}
        for point in itertools.product(*(axis.points for axis in self.axes)):
            given = fixed | {name: value for part in point for name, value in part.items()}
            if not self.drawn:
                if (config := self.finish(given)) is not None:
                    yield config
                continue
            source = source_of(self.draws, self.drawn, self.sample_seed)
            yield from draw_distinct(
                self.samples,
                self.drawn,
                source,
                lambda values, given=given: self.finish(given | values),  # type: ignore[misc]
            )

    def examples(self) -> Iterator[Flat]:
        """Some configurations of a space that is too large to list: its ends, and some draws."""
        wide = replace(self, samples=max(self.samples, 8))
        yield from itertools.islice(wide.configurations(), 200)
        for part in (0.0, 1.0 - 1e-12):
            ends = {name: one.at(part) for name, one in self.drawn.items()}
            for point in itertools.islice(wide.configurations(), 20):
                if (config := self.finish(point | ends)) is not None:
                    yield config

    def finish(self, flat: Mapping[str, Any], *, excluding: bool = True) -> Flat | None:
        """A configuration without the parameters that do not exist in it; ``None`` if excluded."""
        config = {name: flat[name] for name in self.names if name in flat}
        # what depends on what is not there is not there either
        while gone := [n for n, c in self.when.items() if n in config and not c.holds(config)]:
            config = {name: value for name, value in config.items() if name not in gone}
        excluded = excluding and any(each.holds(config) for each in self.exclude)
        return None if excluded else config

    def trials(self, train: str, neutral: Neutral = decisive) -> list[Trial]:
        """All trials; configurations that are equal run once."""
        found: dict[str, Trial] = {}
        for config in self.configurations():
            for trial in self.repeated(config, train, neutral):
                found.setdefault(trial.id, trial)
        return list(found.values())

    def repeated(self, flat: Flat, train: str, neutral: Neutral = decisive) -> list[Trial]:
        """The trials of one configuration: one for each seed."""
        swept = [*self.swept, *(["seed"] if self.seeds > 1 else [])]
        seeds = [{}] if "seed" in flat else [{"seed": seed} for seed in range(self.seeds)]
        return [self._trial(train, {**flat, **seed}, swept, neutral) for seed in seeds]

    def continued(
        self, flat: Flat, train: str, neutral: Neutral, parents: Sequence[Trial], epoch: int
    ) -> list[Trial]:
        """The trials of a configuration that go on from an epoch of these, seed by seed."""
        swept = [*self.swept, *(["seed"] if self.seeds > 1 else [])]
        return [
            self._trial(train, {**flat, "seed": p.seed}, swept, neutral, Origin(p.id, epoch))
            for p in parents
        ]

    def _trial(
        self,
        train: str,
        flat: Flat,
        swept: Sequence[str],
        neutral: Neutral,
        origin: Origin | None = None,
    ) -> Trial:
        config = self._nested(flat)
        ignored = set(neutral(config)).difference(swept)
        counting = {name: value for name, value in flat.items() if name not in ignored}
        since = [origin.parent, origin.epoch] if origin else []
        identity = json.dumps([train, canonical(self._nested(counting)), *since], sort_keys=True)
        digest = hashlib.sha256(identity.encode()).digest()
        trial_id = base64.b32encode(digest[:5]).decode().lower()
        label = ",".join(f"{name}={in_name(flat[name])}" for name in swept if name in flat)
        safe = re.sub(r"[^\w.=+,-]", "_", label).encode()[:_LABEL_LENGTH].decode(errors="ignore")
        return Trial(trial_id, config, f"{safe},{trial_id}" if safe else trial_id, origin)

    @cached_property
    def _paths(self) -> dict[str, tuple[str, ...]]:
        return {name: tuple(name.split(".")) for name in self.names} | paths(self.parameters)

    def _nested(self, flat: Flat) -> dict[str, Any]:
        """What the trainable is given: groups are mappings."""
        config: dict[str, Any] = {}
        for name, value in flat.items():
            *above, last = self._paths.get(name, (name,))
            place = config
            for step in above:
                place = place.setdefault(step, {})
            place[last] = value
        return config


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration by dotted names, ``model.width`` for what is within ``model``."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        inside = flat(value) if isinstance(value, Mapping) else None
        found |= (
            {f"{name}.{key}": item for key, item in inside.items()} if inside else {name: value}
        )
    return found


def cell(config: Mapping[str, Any], name: str) -> str:
    """A parameter as a table shows it, by its dotted name; blank where it does not exist."""
    values = flat(config)
    return format_value(values[name]) if name in values else ""

"""The search space: axes and distributions, and the trials they stand for.

Everything is decided here, without Ray and without chance: the same file gives the same trials
with the same identities, on every machine and however often it is read.
"""

import base64
import hashlib
import itertools
import json
import math
import random
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeps.errors import nearest, shown

MAX_TRIALS = 100_000
_LABEL_LENGTH = 150  # bytes; a file system allows 255 in a name


@dataclass(frozen=True)
class Fixed:
    """A parameter with one value."""

    value: Any


@dataclass(frozen=True)
class Grid:
    """A parameter of which every value is tried."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Distribution:
    """A parameter that is drawn anew for every sample.

    ``kind`` is ``uniform``, ``log_uniform``, ``int_uniform`` (both ends included) or ``choice``;
    ``arguments`` are low and high, or the values to choose from.
    """

    kind: str
    arguments: tuple[Any, ...]

    def draw(self, generator: random.Random) -> Any:
        if self.kind == "choice":
            return generator.choice(self.arguments)
        low, high = self.arguments
        if self.kind == "int_uniform":
            return generator.randint(low, high)
        if self.kind == "log_uniform":
            return math.exp(generator.uniform(math.log(low), math.log(high)))
        return generator.uniform(low, high)


Parameter = Fixed | Grid | Distribution
KINDS = ("uniform", "log_uniform", "int_uniform", "choice")


@dataclass(frozen=True)
class Trial:
    """One configuration to be run once.

    Attributes:
        id: eight letters and digits, from a hash of all that makes it this trial.
        config: what the trainable is called with; always has a ``seed``.
        name: the trial's directory: its swept values, then its id.
    """

    id: str
    config: Mapping[str, Any]
    name: str

    @property
    def seed(self) -> int:
        seed: int = self.config["seed"]
        return seed


def parse_parameter(value: Any) -> Parameter:
    """Read one entry of ``parameters``; raises ``ValueError`` with the rule that it breaks."""
    match value:
        case list():
            return Grid(_distinct(value, "a grid axis"))
        case dict():
            return _parse_distribution(value)
        case _:
            return Fixed(_plain(value))


def expand(
    parameters: Mapping[str, Parameter],
    *,
    train: str,
    samples: int,
    seeds: int,
    neutral: Callable[[Mapping[str, Any]], Collection[str]] = lambda config: (),
) -> list[Trial]:
    """All trials of a search space: the product of the grid, times samples, times seeds.

    Args:
        neutral: of a configuration, the parameters that do not make a trial another one, unless
            they are swept.
    """
    swept = [name for name, p in parameters.items() if not isinstance(p, Fixed)]
    swept += ["seed"] if seeds > 1 else []
    trials: dict[str, Trial] = {}
    for config in _configs(parameters, samples):
        for seed in range(seeds):
            full = config if "seed" in config else {**config, "seed": seed}
            ignored = set(neutral(full)).difference(swept)
            trial = _make_trial(train, full, swept, ignored)
            trials.setdefault(trial.id, trial)  # equal configurations run once
    return list(trials.values())


def count(parameters: Mapping[str, Parameter], samples: int, seeds: int) -> int:
    """How many trials :func:`expand` would make, before equal ones are merged."""
    grid = math.prod(len(p.values) for p in parameters.values() if isinstance(p, Grid))
    return grid * samples * seeds


def _configs(parameters: Mapping[str, Parameter], samples: int) -> Iterator[dict[str, Any]]:
    """Configurations in the order of the file, the last axis changing fastest."""
    choices = [p.values if isinstance(p, Grid) else (p,) for p in parameters.values()]
    for point in itertools.product(*choices):
        for sample in range(samples):
            yield {
                name: _value(name, part, sample)
                for name, part in zip(parameters, point, strict=True)
            }


def _value(name: str, part: Any, sample: int) -> Any:
    """A draw depends on its parameter and sample alone, so that it survives any other change."""
    if isinstance(part, Distribution):
        return part.draw(random.Random(f"{name}/{sample}"))  # noqa: S311  # nosec B311
    return part.value if isinstance(part, Fixed) else part


def _make_trial(
    train: str, config: Mapping[str, Any], swept: Sequence[str], ignored: Collection[str]
) -> Trial:
    decisive = {name: value for name, value in config.items() if name not in ignored}
    identity = json.dumps([train, _canonical(decisive)], sort_keys=True)
    digest = hashlib.sha256(identity.encode()).digest()
    trial_id = base64.b32encode(digest[:5]).decode().lower()
    label = ",".join(f"{name}={format_value(config[name])}" for name in swept)
    safe = re.sub(r"[^\w.=+,-]", "_", label).encode()[:_LABEL_LENGTH].decode(errors="ignore")
    return Trial(trial_id, config, f"{safe},{trial_id}" if safe else trial_id)


def format_value(value: Any) -> str:
    """A value as people write it in YAML; drawn numbers are cut to six digits."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _canonical(value: Any) -> Any:
    """The same for values that are equal: 1 and 1.0 are one learning rate."""
    if isinstance(value, Mapping):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _parse_distribution(value: dict[Any, Any]) -> Distribution:
    if len(value) != 1:
        raise ValueError(
            f"a distribution has exactly one key: {_one_of(KINDS)}; got {shown(value)}"
        )
    [(kind, arguments)] = value.items()
    if kind not in KINDS:
        near = nearest(str(kind), KINDS)
        raise ValueError(f"a distribution must be {_one_of(KINDS)}; got {shown(kind)}{near}")
    if kind == "choice":
        if not isinstance(arguments, list):
            raise ValueError(f"choice needs a list of values, got {shown(arguments)}")
        return Distribution(kind, _distinct(arguments, "choice"))
    return Distribution(kind, _bounds(kind, arguments))


def _bounds(kind: str, arguments: Any) -> tuple[Any, Any]:
    wanted, numbers = ("whole numbers", int) if kind == "int_uniform" else ("numbers", (int, float))
    if not (
        isinstance(arguments, list)
        and len(arguments) == 2
        and all(isinstance(a, numbers) and not isinstance(a, bool) for a in arguments)
        and all(math.isfinite(a) for a in arguments)
    ):
        raise ValueError(f"{kind} needs two finite {wanted} [low, high], got {shown(arguments)}")
    low, high = arguments
    if not low < high:
        raise ValueError(f"{kind} needs low < high in [low, high], got {arguments}")
    if kind == "log_uniform" and low <= 0:
        raise ValueError(f"log_uniform needs low > 0 in [low, high], got {arguments}")
    return low, high


def _distinct(values: list[Any], what: str) -> tuple[Any, ...]:
    if not values:
        raise ValueError(f"{what} needs at least one value, got []")
    seen: list[str] = []
    for value in values:
        key = json.dumps(_canonical(_plain(value)))
        if key in seen:
            raise ValueError(f"{what} needs distinct values, got {shown(value)} twice")
        seen.append(key)
    return tuple(values)


def _plain(value: Any) -> Any:
    """Pass a value that JSON and TensorBoard can show; refuse any other."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"must be a finite number, got {value}")
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"must be a number, text, true, false or null, got {shown(value)}")


def _one_of(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"

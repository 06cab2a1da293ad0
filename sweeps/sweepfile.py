"""The sweep file: YAML and overrides in, a validated `SweepFile` out, every problem at once."""

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)

from sweeps import yaml12
from sweeps.errors import InvalidSweep, SweepsError, did_you_mean
from sweeps.problems import describe, model_keys
from sweeps.space import MAX_TRIALS, Distribution, Parameter, Trial, count, expand, parse_parameter


def _check_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise ValueError(
            "must be 1 to 64 letters, digits, '.', '_' or '-', starting with a letter or digit;"
            f" got {name[:80]!r}"
        )
    return name


def _check_train(train: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", train):
        raise ValueError(f"must be 'module:function', such as trainer:train; got {train!r}")
    return train


def _check_gpu(gpu: Any) -> Any:
    if gpu == "auto":
        return gpu
    if isinstance(gpu, bool) or not isinstance(gpu, int | float) or not 0 <= gpu < 1e6:
        raise ValueError(f"must be auto or a number of GPUs, at least 0; got {gpu!r}")
    if gpu > 1 and gpu != int(gpu):
        raise ValueError(f"more than one GPU must be a whole number; got {gpu!r}")
    return float(gpu)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Resources(_Model):
    """What one trial is given."""

    cpu: float = Field(default=1, gt=0)
    gpu: Annotated[float | Literal["auto"], PlainValidator(_check_gpu)] = "auto"


class SweepFile(_Model):
    """A sweep as its file describes it: what to train, over which values, and what is best."""

    name: Annotated[str, AfterValidator(_check_name)]
    train: Annotated[str, AfterValidator(_check_train)]
    metric: str = Field(min_length=1)
    mode: Literal["max", "min"]
    parameters: dict[str, Annotated[Parameter, PlainValidator(parse_parameter)]]
    samples: int = Field(default=1, ge=1)
    seeds: int = Field(default=1, ge=1)
    resources: Resources = Resources()
    max_failures: int = Field(default=2, ge=0)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        drawn = any(isinstance(p, Distribution) for p in self.parameters.values())
        if self.samples > 1 and not drawn:
            raise ValueError(
                f"samples is {self.samples}, but no parameter is a distribution to draw from;"
                " use seeds to repeat configurations"
            )
        if self.seeds > 1 and "seed" in self.parameters:
            raise ValueError("give either seeds or parameters.seed, not both")
        trials = count(self.parameters, self.samples, self.seeds)
        if trials > MAX_TRIALS:
            raise ValueError(f"must be at most {MAX_TRIALS:,} trials, got {trials:,}")
        return self

    def trials(self) -> list[Trial]:
        """Every trial that the file asks for, in its order."""
        return expand(self.parameters, train=self.train, samples=self.samples, seeds=self.seeds)


def load(source: str, overrides: Sequence[str] = ()) -> tuple[SweepFile, dict[str, Any]]:
    """Read a sweep file, or a shipped one by its name, and apply ``key=value`` overrides.

    Returns:
        The sweep, and the mapping that it was made from.

    Raises:
        SweepsError: there is no such file, or it cannot be read.
        InvalidSweep: the file or an override breaks a rule; all problems are listed.
    """
    text, shown = _read(source)
    try:
        data = yaml12.load(text)
    except yaml12.YamlError as error:
        raise InvalidSweep(shown, [yaml12.explain(error)]) from None
    if data is None:
        raise InvalidSweep(shown, ["it is empty"])
    if not isinstance(data, dict):
        raise InvalidSweep(shown, [f"must be a mapping of keys to values, got {data!r:.60}"])
    problems = [problem for text in overrides if (problem := _override(data, text))]
    return validate(data, shown, problems), data


def validate(data: Mapping[str, Any], source: str, problems: Sequence[str] = ()) -> SweepFile:
    """Check a mapping; raises :class:`InvalidSweep` with these problems and its own."""
    try:
        sweep = SweepFile.model_validate(dict(data))
    except ValidationError as error:
        problems = [*problems, *describe(error, keys=model_keys(SweepFile))]
        raise InvalidSweep(source, [p.removeprefix(": ") for p in problems]) from None
    if problems:
        raise InvalidSweep(source, problems)
    return sweep


def shipped() -> dict[str, Any]:
    """The sweep files that come with Sweepboard, by name."""
    folder = resources.files("sweeps") / "files"
    return {f.name.removesuffix(".yaml"): f for f in folder.iterdir() if f.name.endswith(".yaml")}


def _read(source: str) -> tuple[str, str]:
    """The text of a sweep file, and what to call it."""
    path = Path(source)
    if not path.is_file():
        files = shipped()
        if source in files:
            return files[source].read_text(encoding="utf-8"), source
        what = "a directory, not a sweep file" if path.is_dir() else "no such file"
        raise SweepsError(f"{source}: {what}{did_you_mean(source, files)} (shipped sweeps)")
    try:
        return path.read_text(encoding="utf-8"), source
    except (OSError, UnicodeDecodeError) as error:
        raise SweepsError(f"{source}: cannot be read: {error}") from None


def _override(data: dict[str, Any], text: str) -> str | None:
    """Apply ``dotted.path=value`` in place; what is wrong with it, if anything."""
    path, equals, value = text.partition("=")
    if not equals or not all(path.split(".")):
        return f"{text!r}: an override must be key=value, such as seeds=3 or parameters.lr=0.1"
    *parents, key = path.split(".")
    target = data
    for parent in parents:
        inner = target.setdefault(parent, {})
        if not isinstance(inner, dict):
            return f"{path}: {parent} has no keys, it is {inner!r}"
        target = inner
    if not parents and key in (data.get("parameters") or {}):
        return f"{path}: is a parameter; did you mean 'parameters.{path}={value}'?"
    try:
        target[key] = yaml12.load(value)
    except yaml12.YamlError as error:
        return f"{path}: {value!r} is not a YAML value: {yaml12.explain(error)}"
    return None

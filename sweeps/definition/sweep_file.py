"""The sweep file: YAML and overrides in, a validated `SweepFile` out, every problem at once."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from sweeps.definition import yaml12
from sweeps.definition.conditions import read_condition
from sweeps.definition.draws import Draws
from sweeps.definition.habits import KEYS
from sweeps.definition.overrides import override
from sweeps.definition.parameters import Distribution, Parameter, leaves, parse_parameter
from sweeps.definition.places import as_place
from sweeps.definition.problems import describe, model_keys
from sweeps.definition.search import Search, StopAfter
from sweeps.definition.selection import Selection
from sweeps.definition.space import MAX_TRIALS, Neutral, Space, Trial, decisive
from sweeps.definition.space_rules import (
    exclude_problems,
    flat_point,
    listed_problems,
    members,
    pairs_of,
    sampler_problems,
    seed_problems,
    when_problems,
    zip_problems,
)
from sweeps.definition.strict import Strict
from sweeps.definition.wandb import is_wandb
from sweeps.errors import InvalidSweep, StorageError, SweepsError, nearest, shown

Fuse = Literal["auto", "off"] | int
SMALLEST_SHARE = 0.0001  # of a processor or GPU, that Ray can give
_STAND_INS = {"name": "x", "metric": "x", "mode": "min"}  # for keys that are wrong or missing


def check_name(name: str) -> str:
    """The name of a sweep, which becomes that of a folder; raises ``ValueError`` with the rule."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise ValueError(
            "must be 1 to 64 letters, digits, '.', '_' or '-', starting with a letter or digit;"
            f" got {shown(name)}"
        )
    return name


def _check_train(train: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*|\w+@[0-9a-f]{8}", train):
        raise ValueError(f"must be 'module:function', such as trainer:train; got {shown(train)}")
    return train


def _check_gpu(gpu: Any) -> Any:
    if gpu == "auto":
        return gpu
    if isinstance(gpu, bool) or not isinstance(gpu, int | float) or not 0 <= gpu < 1e6:
        raise ValueError(f"must be auto or a number of GPUs, at least 0; got {shown(gpu)}")
    if 0 < gpu < SMALLEST_SHARE:
        raise ValueError(f"must be 0 or at least {SMALLEST_SHARE}, got {gpu}")
    if gpu > 1 and gpu != int(gpu):
        raise ValueError(f"must be a whole number if it is more than 1, got {gpu}")
    return float(gpu)


def _check_fuse(fuse: Any) -> Any:
    if fuse in ("auto", "off") or (type(fuse) is int and fuse >= 1):
        return fuse
    raise ValueError(f"must be auto, off, or the most trials in one array; got {shown(fuse)}")


def _check_patience(patience: Any) -> Any:
    if patience == "never" or (type(patience) is int and patience >= 1):
        return patience
    raise ValueError(f"must be never, or how many reports in a row; got {shown(patience)}")


def _check_storage(storage: str) -> str:
    if not storage or "\0" in storage:
        raise ValueError(
            f"must be a folder or a URI, such as s3://bucket/sweeps; got {shown(storage)}"
        )
    try:
        return as_place(storage)
    except StorageError as error:
        raise ValueError(str(error).removeprefix("storage: ")) from None


class Resources(Strict):
    """What one trial is given."""

    cpu: float = Field(default=1, ge=SMALLEST_SHARE)
    gpu: Annotated[float | Literal["auto"], PlainValidator(_check_gpu)] = "auto"


class SweepFile(Strict):
    """A sweep as its file describes it: what to train, over which values, and what is best."""

    name: Annotated[str, AfterValidator(check_name)]
    train: Annotated[str, AfterValidator(_check_train)]
    metric: str = Field(min_length=1)
    mode: Literal["max", "min"]
    select: Annotated[Selection, PlainValidator(Selection.parse)] = Selection()
    parameters: dict[str, Annotated[Parameter, PlainValidator(parse_parameter)]]
    configurations: list[Any] = Field(default=[], min_length=1)
    zip: list[Any] = Field(default=[], min_length=1)
    exclude: list[Any] = Field(default=[], min_length=1)
    when: dict[str, Any] = Field(default={}, min_length=1)
    samples: int = Field(default=1, ge=1)
    sample_seed: int = Field(default=0, ge=0)
    draws: Draws = "independent"
    seeds: int = Field(default=1, ge=1)
    search: Search | None = None
    stop_after: StopAfter | None = None
    resources: Resources = Resources()
    max_failures: int = Field(default=2, ge=0)
    trial_timeout: float | None = Field(default=None, gt=0)
    epoch_timeout: float | None = Field(default=None, gt=0)
    keep_best: int = Field(default=1, ge=0)
    storage: Annotated[str, AfterValidator(_check_storage)] = "runs"
    fuse: Annotated[Fuse, PlainValidator(_check_fuse)] = "auto"
    stop_when_not_finite: Annotated[int | Literal["never"], PlainValidator(_check_patience)] = 3

    @field_validator("samples")
    @classmethod
    def _check_samples(cls, samples: int, info: ValidationInfo) -> int:
        if samples > 1 and "parameters" in info.data:
            found = leaves(info.data["parameters"]).values()
            if not any(isinstance(parameter, Distribution) for parameter in found):
                raise ValueError(
                    f"must be 1 if no parameter is a distribution to draw from, got {samples};"
                    " to repeat every configuration, use seeds"
                )
        return samples

    @field_validator("seeds")
    @classmethod
    def _check_seeds(cls, seeds: int, info: ValidationInfo) -> int:
        if seeds > 1 and "seed" in info.data.get("parameters", ()):
            raise ValueError(f"must be 1 if parameters.seed is given, got {seeds}; leave one out")
        return seeds

    @cached_property
    def space(self) -> Space:
        """The search space that the keys describe together."""
        names = Space(self.parameters, listed=self._listed).names
        when = {m: read_condition(c) for n, c in self.when.items() for m in members(n, names)}
        return Space(
            self.parameters,
            tuple(tuple(pair) for pair in pairs_of(self.zip)),
            tuple(read_condition(one) for one in self.exclude),
            when,
            self._listed,
            self.samples,
            self.seeds,
            self.draws,
            self.sample_seed,
        )

    def problems(self) -> list[str]:
        """What is wrong with keys that are right one by one."""
        found, listed = (
            leaves(self.parameters),
            listed_problems(self.configurations, self.parameters),
        )
        points = () if listed else self._listed
        problems = [
            *listed,
            *seed_problems(found, points),
            *zip_problems(self.zip, found),
            *exclude_problems(self.exclude, found, points),
            *when_problems(self.when, found, points),
            *(sampler_problems(self) if self.search and self.search.sampler else ()),
        ]
        if self.draws != "independent" and not any(
            isinstance(parameter, Distribution) for parameter in found.values()
        ):
            problems.append(f"draws: no parameter is a distribution to draw from, got {self.draws}")
        return problems or self._size_problems()

    def _size_problems(self) -> list[str]:
        trials = self.space.count()
        if trials > MAX_TRIALS and not (self.search and self.search.sampler):
            return [
                f"parameters: must make at most {MAX_TRIALS:,} trials, got {trials:,};"
                " give fewer values, samples or seeds"
            ]
        if self.exclude and next(self.space.configurations(), None) is None:
            return ["exclude: leaves no configuration"]
        return []

    @property
    def _listed(self) -> tuple[dict[str, Any], ...]:
        return tuple(flat_point(one) for one in self.configurations)

    def trials(self, neutral: Neutral = decisive) -> list[Trial]:
        """Every trial that the file asks for, in its order; without those a sampler suggests."""
        return self.space.trials(self.train, neutral)

    @property
    def patience(self) -> int | None:
        """How many reports in a row may be not finite; ``None`` is any number."""
        return None if self.stop_when_not_finite == "never" else self.stop_when_not_finite

    def is_swept(self, name: str) -> bool:
        """Whether trials differ in a parameter."""
        return name in self.space.swept


def read(source: str, overrides: Sequence[str] = ()) -> tuple[dict[str, Any], list[str]]:
    """Read a sweep file, or a shipped one by its name, and apply ``key=value`` overrides.

    Returns:
        The mapping, to be given to :func:`examine`, and what is wrong with the overrides.

    Raises:
        SweepsError: there is no such file, or it cannot be read.
        InvalidSweep: the file is not YAML of ours, or no mapping.
    """
    try:
        data = yaml12.load(_read(source))
    except yaml12.YamlError as error:
        raise InvalidSweep(source, [yaml12.explain(error)]) from None
    if not isinstance(data, dict):
        required = [name for name, field in SweepFile.model_fields.items() if field.is_required()]
        got = "nothing" if data is None else shown(data)
        keys = ", ".join(required)
        raise InvalidSweep(source, [f"must be a mapping with the keys {keys}; got {got}"])
    fields = list(SweepFile.model_fields)
    return data, [problem for text in overrides if (problem := override(data, text, fields))]


def examine(data: Mapping[str, Any]) -> tuple[SweepFile | None, list[str]]:
    """The sweep that a mapping describes, and what is wrong with it.

    Where ``train`` and ``parameters`` are right and only other keys are wrong, the sweep is one
    without these, so that the trainable can say at once what is wrong with its parameters.
    """
    try:
        file = SweepFile.model_validate(dict(data))
        problems = file.problems()
        wrong = {re.split(r"[.:]", problem)[0] for problem in problems}
    except ValidationError as error:
        file = None
        problems = [p.removeprefix(": ") for p in describe(error, keys=model_keys(SweepFile))]
        problems = [*_another_tools(data), *map(_habit, problems)]
        wrong = {
            str(finding["loc"][0]) if finding["loc"] else "parameters" for finding in error.errors()
        }
    if file and not problems:
        return file, []
    if wrong & {"train", "parameters"}:
        return None, problems
    rest = {key: value for key, value in data.items() if key not in wrong}
    try:
        file = SweepFile.model_validate({**_STAND_INS, **rest})
    except ValidationError:  # keys that are right alone may not be so together
        return None, problems
    more = file.problems()  # of keys that had not been looked at yet
    return (None if more else file), [*problems, *more]


def _another_tools(data: Mapping[str, Any]) -> list[str]:
    if not is_wandb(data):
        return []
    return ["this is a W&B sweep file: sweeps init --from FILE writes it in the form meant here"]


def _habit(problem: str) -> str:
    """Of an unknown key that other tools have, what is written here in its place."""
    name, _, rest = problem.partition(": ")
    if rest.startswith("unknown key") and name in KEYS:
        return f"{name}: unknown key; here it is {KEYS[name]}"
    return problem


def shipped() -> dict[str, Any]:
    """The sweep files that come with Sweepboard, by name."""
    folder = resources.files("sweeps") / "files"
    return {f.name.removesuffix(".yaml"): f for f in folder.iterdir() if f.name.endswith(".yaml")}


def is_shipped(source: str) -> bool:
    """Whether a sweep file is meant that comes with Sweepboard, and none of the user's."""
    return source in shipped() and not Path(source).is_file()


def _read(source: str) -> str:
    """The text of a sweep file, or of a shipped one."""
    path, files = Path(source), shipped()
    try:
        if is_shipped(source):
            return str(files[source].read_text(encoding="utf-8"))
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        beside = [str(p) for p in path.parent.glob("*.y*ml")]
        near = nearest(source, [*files, *beside]) or f"; shipped are {', '.join(sorted(files))}"
        raise SweepsError(f"{source}: no such file, and no shipped sweep{near}") from None
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise SweepsError(
            f"{source}: must be text in UTF-8, got the byte {byte:#04x} at position {error.start}"
        ) from None
    except OSError as error:
        raise SweepsError(f"{source}: cannot be read as a sweep file: {error.strerror}") from None

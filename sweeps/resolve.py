"""From ``module:function`` to the function, and what its module offers beside it.

Sweepboard knows a trainable by its signature alone:

    def train(config, *, report, log_dir=None, resume_from=None)   # any of the three, by name
    def train(config)                                              # a plain Ray Tune function

Its module may offer, by these names, what lets a bad sweep be refused before anything starts:
``check(config)`` raises for an invalid configuration, ``prepare(configs)`` gets data ready and
raises if it cannot, ``METRICS`` lists what will be reported.
"""

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from pydantic import ValidationError

from sweeps.errors import SweepsError, did_you_mean
from sweeps.problems import describe
from sweeps.space import Trial


class Report(Protocol):
    """How a trainable tells its metrics: once an epoch, with a checkpoint if it has one.

    ``metrics`` maps names to numbers; ``checkpoint`` is a file or folder to go on from.
    """

    def __call__(self, metrics: Mapping[str, Any], *, checkpoint: Path | None = None) -> None: ...


class Trainable(Protocol):
    """The full form of a training function; ``log_dir`` and ``resume_from`` may be left out."""

    def __call__(
        self,
        config: Mapping[str, Any],
        *,
        report: Report,
        log_dir: Path | None = None,
        resume_from: Path | None = None,
    ) -> None: ...


@dataclass(frozen=True)
class Resolved:
    """A trainable and its module."""

    function: Callable[..., Any]
    module: ModuleType
    accepts: frozenset[str]

    @property
    def reports(self) -> bool:
        """Whether it is called with ``report``; else it calls ``ray.tune.report`` itself."""
        return "report" in self.accepts

    @property
    def logs(self) -> bool:
        """Whether it writes its own TensorBoard events."""
        return "log_dir" in self.accepts

    def prepare(self, configs: Iterable[Mapping[str, Any]]) -> None:
        """Get the data ready; raises :class:`SweepsError` with the reason if that fails."""
        prepare = getattr(self.module, "prepare", None)
        if prepare is None:
            return
        try:
            prepare(list(configs))
        except Exception as error:
            raise SweepsError(str(error) or repr(error)) from error


def resolve(train: str) -> Resolved:
    """Import a trainable; raises :class:`SweepsError` if there is none of this name."""
    module_name, _, function_name = train.partition(":")
    module = _import(module_name, train)
    function = getattr(module, function_name, None)
    if function is None:
        names = [n for n, value in vars(module).items() if callable(value) and n[0] != "_"]
        raise SweepsError(
            f"train: module {module_name!r} has no {function_name!r}"
            f"{did_you_mean(function_name, names)}"
        )
    if not callable(function):
        raise SweepsError(f"train: {train} must be a function, it is {type(function).__name__}")
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise SweepsError(f"train: {train} must be a function of a config: {error}") from None
    optional = {"report", "log_dir", "resume_from"}
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return Resolved(function, module, frozenset(optional))
    accepts = {p.name for p in parameters} & optional
    return Resolved(function, module, frozenset(accepts))


def find_problems(resolved: Resolved, trials: Sequence[Trial], metric: str) -> list[str]:
    """What the trainable's module says against these trials, each finding once."""
    problems: dict[str, None] = {}
    known = getattr(resolved.module, "METRICS", None)
    if known is not None and metric not in known:
        problems[f"metric: {metric!r} is never reported{did_you_mean(metric, known)}"] = None
    check = getattr(resolved.module, "check", None)
    for trial in trials:
        try:
            if check:
                check(trial.config)
        except ValidationError as error:
            fields = getattr(resolved.module, "TrainConfig", None)
            keys = {"": list(getattr(fields, "model_fields", ()))}
            problems |= dict.fromkeys(describe(error, "parameters.", keys))
        except Exception as error:
            problems[f"parameters: {error}"] = None
    return list(problems)


def _import(name: str, train: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise SweepsError(
                f"train: no module {error.name!r} for {train!r}; it must be installed, or lie in"
                f" the current directory ({Path.cwd()})"
            ) from None
        raise SweepsError(_import_failure(name, error)) from None
    except Exception as error:
        raise SweepsError(_import_failure(name, error)) from None


def _import_failure(name: str, error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "importlib" not in f.filename and f.filename != __file__]
    place = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    return f"train: importing {name!r} failed: {type(error).__name__}: {error}{place}"


def import_from(folders: Iterable[str]) -> None:
    """Let modules be found in these folders too, after all that is already on the path."""
    sys.path += [folder for folder in folders if folder not in sys.path]

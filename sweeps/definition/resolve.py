"""From ``module:function`` to the function, and what is offered beside it.

Sweepboard knows a trainable by its signature alone:

    def train(config, *, report, log_dir=None, resume_from=None)   # any of the three, by name
    def train(config)                                              # a plain Ray Tune function

Its module, or the trainable itself where it is an object such as a ``trainer.Task``, may offer by
these names what lets a bad sweep be refused before anything starts:
``check(config)`` raises for an invalid configuration, ``prepare(configs)`` gets data ready and
raises if it cannot, ``METRICS`` lists what will be reported. With ``fuse_key(config)`` and
``train_many(configs, *, reports, log_dirs, resume_from)`` it trains several configurations of one
key as an array, and returns for each the error that ended it, or ``None``. ``BUDGET`` names the
parameter that says how long a trial trains, if a finished one can go on where it is raised;
``NEUTRAL`` lists parameters that do not change a result, such as a path; ``CHANGEABLE`` those in
which a run may differ from the one whose checkpoint it goes on from. ``data_version(config)``
identifies the data, so that results of other data are noticed. ``WRITES_EVENTS`` says that it
writes all of its TensorBoard events itself, the HParams row included; ``STAYS_WARM``, that it
leaves nothing behind, so that one process may train trial after trial.

Where these depend on the configuration: ``metrics_of(config)`` lists what it will report,
``keys(config)`` the parameters that it may have, ``extends(config)`` says whether a finished trial
of it goes on where ``BUDGET`` is raised, ``why_apart(one, other)`` why two cannot share an array.
"""

import inspect
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol

from pydantic import ValidationError

from sweeps.definition.find import FAILURES, SearchPath, failure, find_module
from sweeps.definition.problems import describe
from sweeps.definition.signature import accepted
from sweeps.definition.source import code_of, code_version, folder_of, heavy_imports, is_named
from sweeps.definition.space import Trial
from sweeps.definition.sweep_file import SweepFile
from sweeps.errors import SweepsError, did_you_mean


class Versions(NamedTuple):
    """What a trial's result also depends on: its code, and its data if that is known."""

    code: str | None
    data: str | None


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
    """A trainable, and where it comes from.

    Attributes:
        module: that it was found in, if it was.
        by_value: whether it travels to its processes as its code, since no module has it by a name.
    """

    function: Callable[..., Any]
    module: ModuleType | None
    accepts: frozenset[str]
    by_value: bool = False

    @property
    def offers(self) -> Any:
        """The trainable where it is an object of its own; its module where it is a function."""
        plain = inspect.isroutine(self.function)
        return self.module if plain and not self.by_value else self.function

    def offered(self, name: str) -> Any:
        """What is offered by this name; ``None`` if nothing is."""
        return getattr(self.offers, name, None)

    @property
    def reports(self) -> bool:
        """Whether it is called with ``report``; else it calls Ray's, returns or yields."""
        return "report" in self.accepts

    @property
    def folder(self) -> Path | None:
        """The folder that it was imported from, if it is the user's: neither installed nor ours."""
        return folder_of(self.module) if self.module else None

    @property
    def imports(self) -> tuple[str, ...]:
        """What a process that runs it should find imported."""
        pickled = ("ray.cloudpickle",) if self.by_value else ()
        return (*pickled, *heavy_imports(self.module))

    @property
    def fuse_key(self) -> Callable[[Trial], str] | None:
        """What trials must agree in to train as one array; ``None`` if there is no such form."""
        key = self.offered("fuse_key")
        fuses = key and self.offered("train_many") and "log_dir" in self.accepts
        return (lambda trial: str(key(trial.config))) if fuses else None

    @property
    def budget(self) -> str | None:
        """The parameter that can be raised to train a finished trial further."""
        return self.offered("BUDGET") if "resume_from" in self.accepts else None

    @property
    def changeable(self) -> tuple[str, ...]:
        """The parameters in which it may differ from the run whose checkpoint it goes on from."""
        return tuple(self.offered("CHANGEABLE") or ())

    def neutral(self, config: Mapping[str, Any]) -> frozenset[str]:
        """Parameters that do not make a trial of this configuration another one."""
        own = frozenset(self.offered("NEUTRAL") or ())
        extends = self.offered("extends") or (lambda config: True)
        try:
            goes_on = self.budget is not None and bool(extends(config))
        except FAILURES:  # what is wrong with it, check says
            goes_on = False
        return own | ({str(self.budget)} if goes_on else frozenset())

    def why_apart(self, one: Trial, other: Trial) -> str | None:
        """Why two trials cannot train as one array, if that is known."""
        why = self.offered("why_apart")
        try:
            return why(one.config, other.config) if why else None
        except FAILURES as error:  # one of them trains alone, for this reason
            return str(error)

    def versions(self, trials: Iterable[Trial]) -> dict[str, Versions]:
        """What the results of these trials depend on beside their configurations, by id.

        Raises:
            SweepsError: its ``data_version`` failed.
        """
        if self.by_value or self.module is None:
            code = code_of(self.function)
        else:
            code = code_version(self.module)
        of_data = self.offered("data_version")
        try:
            data = {t.id: str(of_data(t.config)) if of_data else None for t in trials}
        except FAILURES as error:
            raise SweepsError(_reason(error, self._name("data_version"))) from error
        return {key: Versions(code, value) for key, value in data.items()}

    def prepare(self, configs: Iterable[Mapping[str, Any]]) -> None:
        """Get the data ready; raises :class:`SweepsError` with the reason if that fails."""
        prepare = self.offered("prepare")
        if prepare is None:
            return
        try:
            prepare(list(configs))
        except FAILURES as error:
            raise SweepsError(_reason(error, self._name("prepare"))) from error

    def find_problems(self, trials: Sequence[Trial], file: SweepFile) -> list[str]:
        """What it says against these trials, each finding once."""
        bad = self._bad_parameters(trials)
        known = self._reported(trials, fine=not bad)
        if known is not None and file.metric not in known:
            near = did_you_mean(file.metric, known)
            bad = {f"metric: {file.metric!r} is never reported{near}": None, **bad}
        return list(bad)

    def _bad_parameters(self, trials: Iterable[Trial]) -> dict[str, None]:
        """What its ``check`` says against these trials."""
        problems: dict[str, None] = {}
        check = self.offered("check") or (lambda config: None)
        for trial in trials:
            try:
                check(trial.config)
            except ValidationError as error:
                keys = {"": self._valid_keys(trial)}
                problems |= dict.fromkeys(describe(error, "parameters.", keys))
            except FAILURES as error:
                problems[f"parameters: {_reason(error, self._name('check'))}"] = None
        return problems

    def _valid_keys(self, trial: Trial) -> list[str]:
        """The parameters that it may be given, as far as it says so."""
        valid = self.offered("keys")
        if valid is None:
            return list(getattr(self.offered("TrainConfig"), "model_fields", ()))
        try:
            return list(valid(trial.config))
        except FAILURES:  # a value of another parameter is bad as well
            return []

    def _reported(self, trials: Iterable[Trial], *, fine: bool) -> Sequence[str] | None:
        """What trials report, if that is known; of all of them, where each can say it."""
        own = self.offered("metrics_of")
        if own is None or not fine:
            known: Sequence[str] | None = self.offered("METRICS")
            return known
        names = [dict.fromkeys(own(trial.config)) for trial in trials]
        return [n for n in names[0] if all(n in each for each in names)] if names else None

    def _name(self, offered: str) -> str:
        return f"{self.module.__name__ if self.module else 'train'}.{offered}"


def resolve(train: str, search: SearchPath) -> Resolved:
    """Find a trainable by its name; raises :class:`SweepsError` if there is none of it."""
    name, _, function_name = train.partition(":")
    module = find_module(name, train, search)
    function = getattr(module, function_name, None)
    if function is None:
        names = [n for n, v in vars(module).items() if _may_be_meant(n, v, module)]
        raise SweepsError(
            f"train: module {name!r} has no {function_name!r}{did_you_mean(function_name, names)}"
        )
    return Resolved(function, module, accepted(function, train), module.__name__ == "__main__")


def resolve_function(function: Any, name: str) -> Resolved:
    """A trainable that was given as an object."""
    return Resolved(function, is_named(function), accepted(function, name), not is_named(function))


def resolve_code(name: str, code: bytes) -> Resolved:
    """A trainable from its code, in the process that trains."""
    function = pickle.loads(code)  # from the driver of this very run  # noqa: S301 # nosec B301
    return Resolved(function, None, accepted(function, name), by_value=True)


def _may_be_meant(name: str, value: Any, module: ModuleType) -> bool:
    """Whether it is public, to be called, and from the module's package."""
    if name.startswith("_") or not callable(value) or inspect.isclass(value):
        return False
    package = module.__name__.partition(".")[0]
    made = value if inspect.isroutine(value) else type(value)
    own = str(getattr(made, "__module__", "")).partition(".")[0] == package
    return own or hasattr(value, "train_many")


def _reason(error: BaseException, what: str) -> str:
    """What an error says if it was raised to be read, else what failed and where."""
    meant = isinstance(error, ValueError) or type(error).__module__ != "builtins"
    return str(error) if meant and str(error) else failure(what, error)

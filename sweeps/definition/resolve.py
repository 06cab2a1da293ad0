"""From ``module:function`` to the function, and what its module offers beside it.

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
``NEUTRAL`` lists parameters that do not change a result, such as a path. ``data_version(config)``
identifies the data, so that results of other data are noticed.

Where these depend on the configuration: ``metrics_of(config)`` lists what it will report,
``keys(config)`` the parameters that it may have, ``extends(config)`` says whether a finished trial
of it goes on where ``BUDGET`` is raised, ``why_apart(one, other)`` why two cannot share an array.
"""

import hashlib
import importlib
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol

from pydantic import ValidationError

from sweeps.definition.problems import describe
from sweeps.definition.space import Trial
from sweeps.definition.sweep_file import SweepFile
from sweeps.errors import SweepsError, did_you_mean, nearest

_FAILURES = (Exception, SystemExit)  # of the user's code; sys.exit() must not end ours


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
    """A trainable, its module, and which of the two offers what stands beside it."""

    function: Callable[..., Any]
    module: ModuleType
    accepts: frozenset[str]

    @property
    def offers(self) -> Any:
        """The trainable where it is an object of its own; its module where it is a function."""
        plain = inspect.isroutine(self.function) or inspect.isclass(self.function)
        return self.module if plain else self.function

    @property
    def reports(self) -> bool:
        """Whether it is called with ``report``; else it calls ``ray.tune.report`` itself."""
        return "report" in self.accepts

    @property
    def folder(self) -> Path | None:
        """The folder that it was imported from, if it is the user's: neither installed nor ours."""
        top = sys.modules[self.module.__name__.partition(".")[0]]
        found = top.__file__ or next(iter(top.__path__))
        folder = Path(found).parent.parent if hasattr(top, "__path__") else Path(found).parent
        ours = Path(__file__).parents[2]
        installed = {"site-packages", "dist-packages"} & set(folder.parts)
        is_ours = folder == ours and top.__name__ in ("sweeps", "trainer")
        return None if installed or is_ours else folder

    @property
    def logs(self) -> bool:
        """Whether it writes its own TensorBoard events."""
        return "log_dir" in self.accepts

    @property
    def fuse_key(self) -> Callable[[Trial], str] | None:
        """What trials must agree in to train as one array; ``None`` if there is no such form."""
        key = getattr(self.offers, "fuse_key", None)
        fuses = key and hasattr(self.offers, "train_many") and self.logs
        return (lambda trial: str(key(trial.config))) if key and fuses else None

    @property
    def budget(self) -> str | None:
        """The parameter that can be raised to train a finished trial further."""
        return getattr(self.offers, "BUDGET", None) if "resume_from" in self.accepts else None

    def neutral(self, config: Mapping[str, Any]) -> frozenset[str]:
        """Parameters that do not make a trial of this configuration another one."""
        own = frozenset(getattr(self.offers, "NEUTRAL", ()))
        extends = getattr(self.offers, "extends", lambda config: True)
        try:
            goes_on = self.budget is not None and bool(extends(config))
        except _FAILURES:  # what is wrong with it, check says
            goes_on = False
        return own | ({str(self.budget)} if goes_on else frozenset())

    def why_apart(self, one: Trial, other: Trial) -> str | None:
        """Why two trials cannot train as one array, if that is known."""
        why = getattr(self.offers, "why_apart", None)
        try:
            return why(one.config, other.config) if why else None
        except _FAILURES as error:  # one of them trains alone, for this reason
            return str(error)

    def versions(self, trials: Iterable[Trial]) -> dict[str, Versions]:
        """What the results of these trials depend on beside their configurations, by id.

        Raises:
            SweepsError: the module's ``data_version`` failed.
        """
        code = code_version(self.module)
        of_data = getattr(self.offers, "data_version", None)
        try:
            data = {t.id: str(of_data(t.config)) if of_data else None for t in trials}
        except _FAILURES as error:
            raise SweepsError(_reason(error, f"{self.module.__name__}.data_version")) from error
        return {key: Versions(code, value) for key, value in data.items()}

    def prepare(self, configs: Iterable[Mapping[str, Any]]) -> None:
        """Get the data ready; raises :class:`SweepsError` with the reason if that fails."""
        prepare = getattr(self.offers, "prepare", None)
        if prepare is None:
            return
        try:
            prepare(list(configs))
        except _FAILURES as error:
            raise SweepsError(_reason(error, f"{self.module.__name__}.prepare")) from error


def resolve(train: str) -> Resolved:
    """Import a trainable; raises :class:`SweepsError` if there is none of this name."""
    module_name, _, function_name = train.partition(":")
    module = _import(module_name, train)
    function = getattr(module, function_name, None)
    if function is None:
        names = [n for n, v in vars(module).items() if _own(n, v, module)]
        raise SweepsError(
            f"train: module {module_name!r} has no {function_name!r}"
            f"{did_you_mean(function_name, names)}"
        )
    if not callable(function):
        kind = type(function).__name__
        raise SweepsError(f"train: {train} must be a function, got a value of type {kind}")
    try:
        signature = inspect.signature(function)
        accepts = _accepted(signature)
        signature.bind({}, **dict.fromkeys(accepts))
    except (TypeError, ValueError) as error:
        raise SweepsError(
            f"train: {train} must be callable as train(config), and may take report, log_dir and"
            f" resume_from by name: {error}"
        ) from None
    return Resolved(function, module, accepts)


def _own(name: str, value: Any, module: ModuleType) -> bool:
    """Whether it may be meant: public, to be called, and from the module's package."""
    if name.startswith("_") or not callable(value) or inspect.isclass(value):
        return False
    package = module.__name__.partition(".")[0]
    made = value if inspect.isroutine(value) else type(value)
    own = str(getattr(made, "__module__", "")).partition(".")[0] == package
    return own or hasattr(value, "train_many")


def _accepted(signature: inspect.Signature) -> frozenset[str]:
    """Which of the optional arguments a function takes by name."""
    optional = frozenset({"report", "log_dir", "resume_from"})
    if any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return optional
    return optional & signature.parameters.keys()


def code_version(module: ModuleType) -> str:
    """A checksum of a module's source, and of all of its package if it is part of one."""
    root = sys.modules[module.__name__.partition(".")[0]]
    folders = [Path(folder) for folder in getattr(root, "__path__", ())]
    files = sorted(file for folder in folders for file in folder.rglob("*.py"))
    if not folders and root.__file__:
        files = [Path(root.__file__)]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def find_problems(resolved: Resolved, trials: Sequence[Trial], file: SweepFile) -> list[str]:
    """What the trainable and its module say against these trials, each finding once."""
    problems: dict[str, None] = {}
    if file.epoch_timeout and not resolved.reports:
        problem = (
            f"epoch_timeout: needs a function that takes report, and {file.train} does not;"
            " trial_timeout works for any"
        )
        problems[problem] = None
    bad = _bad_parameters(resolved, trials)
    known = _reported(resolved, trials, fine=not bad)
    if known is not None and file.metric not in known:
        near = did_you_mean(file.metric, known)
        problems = {f"metric: {file.metric!r} is never reported{near}": None, **problems}
    return list(problems | bad)


def _bad_parameters(resolved: Resolved, trials: Iterable[Trial]) -> dict[str, None]:
    """What the trainable's ``check`` says against these trials."""
    problems: dict[str, None] = {}
    check = getattr(resolved.offers, "check", lambda config: None)
    for trial in trials:
        try:
            check(trial.config)
        except ValidationError as error:
            keys = {"": _valid_keys(resolved, trial)}
            problems |= dict.fromkeys(describe(error, "parameters.", keys))
        except _FAILURES as error:
            what = f"{resolved.module.__name__}.check"
            problems[f"parameters: {_reason(error, what)}"] = None
    return problems


def _valid_keys(resolved: Resolved, trial: Trial) -> list[str]:
    """The parameters that a trainable may be given, as far as it says so."""
    valid = getattr(resolved.offers, "keys", None)
    if valid is None:
        return list(getattr(getattr(resolved.offers, "TrainConfig", None), "model_fields", ()))
    try:
        return list(valid(trial.config))
    except _FAILURES:  # a value of another parameter is bad as well
        return []


def _reported(resolved: Resolved, trials: Iterable[Trial], *, fine: bool) -> Sequence[str] | None:
    """What trials report, if that is known; of all of them, where each can say it."""
    own = getattr(resolved.offers, "metrics_of", None)
    if own is None or not fine:
        return getattr(resolved.offers, "METRICS", None)
    names = [dict.fromkeys(own(trial.config)) for trial in trials]
    return [name for name in names[0] if all(name in each for each in names)] if names else None


def _import(name: str, train: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            here = Path.cwd()
            near = nearest(name, [path.stem for path in here.glob("*.py")])
            raise SweepsError(
                f"train: no module {error.name!r} for {train!r}; it must be installed, or lie in"
                f" the current directory ({here}){near}"
            ) from None
        raise SweepsError(f"train: {_failure(f'importing {name!r}', error)}") from None
    except _FAILURES as error:
        raise SweepsError(f"train: {_failure(f'importing {name!r}', error)}") from None


def _reason(error: BaseException, what: str) -> str:
    """What an error says if it was raised to be read, else what failed and where."""
    meant = isinstance(error, ValueError) or type(error).__module__ != "builtins"
    return str(error) if meant and str(error) else _failure(what, error)


def _failure(what: str, error: BaseException) -> str:
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    named = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return f"{what} failed{_place(error)}: {named}"


def _place(error: BaseException) -> str:
    """Where the user's code failed: the innermost line outside of all libraries."""
    if isinstance(error, SyntaxError):
        return f" in {error.filename}, line {error.lineno}" if error.filename else ""
    libraries = tuple(sysconfig.get_paths()[key] for key in ("stdlib", "purelib", "platlib"))
    trace = traceback.extract_tb(error.__traceback__)
    frames = [f for f in trace if "importlib" not in f.filename and f.filename != __file__]
    own = [f for f in frames if not f.filename.startswith(libraries)] or frames
    return f" in {own[-1].filename}, line {own[-1].lineno}" if own else ""


def import_from(folders: Iterable[str]) -> None:
    """Let modules be found in these folders too, after all that is already on the path."""
    sys.path += [folder for folder in folders if folder not in sys.path]

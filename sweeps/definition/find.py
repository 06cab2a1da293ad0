"""Where the module of a trainable is found: the same for the driver and for every process.

The folder of the sweep file and the current one are searched first, as Python searches that of a
script; for a sweep that is shipped they come last. ``mine.py:train`` names a file.
"""

import importlib
import importlib.machinery
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from sweeps.errors import SweepsError, nearest

FAILURES = (Exception, SystemExit)  # of the user's code; sys.exit() must not end ours


@dataclass(frozen=True)
class SearchPath:
    """Folders that a module is looked for in, beside Python's own search path.

    Attributes:
        first: whether they come before all others.
    """

    folders: tuple[str, ...]
    first: bool = True

    def on_this_node(self, folder: str) -> "SearchPath":
        """The same where another node may have the driver's folder elsewhere."""
        there = (each if Path(each).is_dir() else folder for each in self.folders)
        return SearchPath(tuple(dict.fromkeys(there)), self.first)

    def extend_path(self) -> None:
        """Search them from here on, in a process that is the user's."""
        if self.first:
            sys.path[:] = [*self.folders, *(p for p in sys.path if p not in self.folders)]
        else:
            others = [p for p in sys.path if p and p not in self.folders]
            sys.path[:] = [*others, *self.folders]


def places(train: str, source: Path | None, *, is_shipped: bool = False) -> tuple[str, SearchPath]:
    """The name of a trainable as ``module:function``, and where to look for its module.

    Args:
        train: as the sweep file has it; ``path/to/mine.py:train`` is relative to its folder, or to
            the current one.
        source: the sweep file, or ``None`` if it is no file of the user's.
        is_shipped: whether the sweep is one of Sweepboard's own.

    Raises:
        SweepsError: it names a file that does not exist, or the current directory is gone.
    """
    try:
        here = Path.cwd()
    except OSError as error:
        raise SweepsError(
            f"the current directory cannot be used: {error.strerror}; change to another"
        ) from None
    folders = [source.absolute().parent, here] if source else [here]
    path, _, function = train.rpartition(":")
    if path.endswith(".py"):
        found = next((f / path for f in folders if (f / path).is_file()), None)
        if found is None:
            raise SweepsError(
                f"train: there is no file {path} for {train!r}, neither beside the sweep file nor"
                f" in the current directory ({here})"
            )
        folders = [found.resolve().parent, *folders]
        train = f"{found.stem}:{function}"
    return train, SearchPath(tuple(dict.fromkeys(map(str, folders))), first=not is_shipped)


def find_module(name: str, train: str, search: SearchPath) -> ModuleType:
    """Import a module; raises :class:`SweepsError` with the reason if that cannot be done."""
    with _searched(search), _no_arguments():
        try:
            return _import(name)
        except ModuleNotFoundError as error:
            if not (error.name and (name == error.name or name.startswith(f"{error.name}."))):
                raise SweepsError(f"train: {failure(f'importing {name!r}', error)}") from None
            here = [Path(folder) for folder in search.folders]
            near = nearest(name, [path.stem for each in here for path in each.glob("*.py")])
            raise SweepsError(
                f"train: no module {error.name!r} for {train!r}; it must be installed, or lie in"
                f" the current directory ({Path.cwd()}) or beside the sweep file{near}"
            ) from None
        except FAILURES as error:
            raise SweepsError(f"train: {failure(f'importing {name!r}', error)}") from None


def _import(name: str) -> ModuleType:
    """The module that is found now, also if another of its name was imported before."""
    top = name.partition(".")[0]
    known, main = sys.modules.get(top), sys.modules.get("__main__")
    spec = importlib.machinery.PathFinder.find_spec(top)
    origin = spec.origin if spec else None
    if origin and main and _same(origin, getattr(main, "__file__", None)) and top == name:
        return main  # the script itself: to import it would run it once more
    if origin and known and not _same(origin, getattr(known, "__file__", None)):
        for each in [m for m in sys.modules if m == top or m.startswith(f"{top}.")]:
            del sys.modules[each]
    return importlib.import_module(name)


def _same(origin: str, file: str | None) -> bool:
    return file is not None and Path(origin).resolve() == Path(file).resolve()


@contextmanager
def _searched(search: SearchPath) -> Iterator[None]:
    """Search these folders in their place; afterwards at last, so that ours is not found there."""
    before = list(sys.path)
    search.extend_path()
    try:
        yield
    finally:
        sys.path[:] = before
        sys.path += [folder for folder in search.folders if folder not in before]


@contextmanager
def _no_arguments() -> Iterator[None]:
    """A module that reads the command line when it is imported sees none: it is not its own."""
    before, sys.argv = sys.argv, sys.argv[:1]
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def own_program() -> Iterator[None]:
    """Keep the working directory and the streams from a module that sets them when it is imported.

    In the process of a trial they are the module's to set, as in a script; here, relative paths of
    records would lead elsewhere from then on.
    """
    with chdir(os.curdir), redirect_stdout(sys.stdout), redirect_stderr(sys.stderr):
        yield


def failure(what: str, error: BaseException) -> str:
    """What failed, where in the user's code, and with which error."""
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    named = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return f"{what} failed{_place(error)}: {named}"


def _place(error: BaseException) -> str:
    """Where the user's code failed: the innermost line outside of all libraries."""
    if isinstance(error, SyntaxError):
        return f" in {error.filename}, line {error.lineno}" if error.filename else ""
    libraries = tuple(sysconfig.get_paths()[key] for key in ("stdlib", "purelib", "platlib"))
    ours = str(Path(__file__).parent)
    trace = traceback.extract_tb(error.__traceback__)
    frames = [f for f in trace if "importlib" not in f.filename and not f.filename.startswith(ours)]
    own = [f for f in frames if not f.filename.startswith(libraries)] or frames
    return f" in {own[-1].filename}, line {own[-1].lineno}" if own else ""

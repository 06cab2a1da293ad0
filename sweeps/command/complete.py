"""What a shell offers at Tab: sweep files, shipped ones, directories of sweeps, trials' ids."""

from pathlib import Path

import typer

from sweeps.definition.places import is_remote
from sweeps.definition.sweep_file import shipped
from sweeps.definition.text import format_value
from sweeps.errors import SweepsError
from sweeps.records.ledger import Ledger

_SKIPPED = (".", "__pycache__")


def files(incomplete: str) -> list[str]:
    """Shipped sweeps by name, YAML files, and the folders on the way to others."""
    names = [name for name in shipped() if name.startswith(incomplete)]
    found = [path for path in _below(incomplete) if path.is_dir() or path.suffix in _YAML]
    return [*sorted(names), *map(_named, found)]


def directories(incomplete: str) -> list[str]:
    """Directories of sweeps here and in ``runs``, and the folders on the way to others."""
    known = [path.parent for place in (".", "runs") for path in Path(place).glob("*/sweep.json")]
    sweeps = [str(path) for path in known if str(path).startswith(incomplete)]
    others = [_named(path) for path in _below(incomplete) if path.is_dir() and path not in known]
    return [*sorted(sweeps), *others]


def trials(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The ids of a sweep's trials, with their values."""
    directory = context.params.get("directory")
    if not directory or is_remote(directory):
        return []
    try:
        listed = Ledger(Path(directory)).overview().trials
    except SweepsError:
        return []
    chosen = [trial for trial in listed if trial.id.startswith(incomplete)]
    return [(trial.id, format_value(trial.name.rpartition(",")[0])) for trial in chosen]


_YAML = (".yaml", ".yml")


def _below(incomplete: str) -> list[Path]:
    """What begins like this in the folder that is being named."""
    folder, _, start = incomplete.rpartition("/")
    place = Path(folder or ("/" if incomplete.startswith("/") else "."))
    try:
        found = sorted(place.iterdir())
    except OSError:
        return []
    return [p for p in found if p.name.startswith(start) and not p.name.startswith(_SKIPPED)]


def _named(path: Path) -> str:
    return f"{path}/" if path.is_dir() else str(path)

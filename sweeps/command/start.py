"""`sweeps init`: a folder to begin with."""

import shlex
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from sweeps.command.console import exits, out
from sweeps.definition import yaml12
from sweeps.definition.sweep_file import check_name, read
from sweeps.definition.wandb import Converted, is_wandb
from sweeps.errors import SweepsError

FILES = ("mine.py", "sweep.yaml", "test_mine.py")


@exits
def init(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="of the sweep, and of the folder")
    ] = "mine",
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FILE", help="write a W&B sweep file in the form meant here"
        ),
    ] = None,
) -> int:
    """Write a folder with a model, a sweep of it, and a test; all of it runs as it is."""
    if source is not None:
        return _convert(source)
    try:
        check_name(name)
    except ValueError as error:
        raise SweepsError(f"NAME {error}") from None
    quoted = name if yaml12.load(name) == name else f'"{name}"'
    folder = Path(name)
    try:
        folder.mkdir()
    except FileExistsError:
        raise SweepsError(
            f"{name} exists, and nothing is written over; give another name"
        ) from None
    except OSError as error:
        raise SweepsError(f"{name} cannot be made: {error.strerror}") from None
    templates = resources.files("sweeps") / "templates"
    for file in FILES:
        text = (templates / file).read_text(encoding="utf-8")
        if file == "sweep.yaml":
            text = text.replace("name: mine", f"name: {quoted}", 1)
        (folder / file).write_text(text, encoding="utf-8")
        out.print(f"wrote {folder / file}")
    out.print(f"\nrun it with: cd {shlex.quote(name)} && sweeps run sweep.yaml")
    return 0


def _convert(source: Path) -> int:
    """Write `sweep.yaml` from another tool's file."""
    data, _ = read(str(source))
    if not is_wandb(data):
        raise SweepsError(
            f"--from {source}: must be a W&B sweep file, with method and parameters; it has the"
            f" keys {', '.join(data)}"
        )
    target = Path("sweep.yaml")
    found = Converted(data, source.stem)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(found.text)
    except FileExistsError:
        raise SweepsError(f"{target} exists, and nothing is written over; move it away") from None
    except OSError as error:
        raise SweepsError(f"{target} cannot be written: {error.strerror}") from None
    out.print(f"wrote {target}")
    for note in found.notes:
        out.print(f"note: {note}")
    out.print("\ncheck it with: sweeps plan sweep.yaml")
    return 0

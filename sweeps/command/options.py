"""The arguments and options that commands share, as typer reads them."""

from pathlib import Path
from typing import Annotated

import typer

from sweeps.command import complete
from sweeps.errors import SweepsError

MOST = 1_000_000
"""Processors or GPUs; with more than that, Ray counts no longer."""

File = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="a sweep file, or quickstart or fashion-mnist",
        autocompletion=complete.files,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="overrides, such as parameters.epochs=1 seeds=3"),
]
Directory = Annotated[
    str,
    typer.Argument(
        metavar="DIR",
        help="the directory of a sweep, a path or a URI",
        autocompletion=complete.directories,
    ),
]
TrialId = Annotated[
    str, typer.Argument(metavar="ID", help="of the trial", autocompletion=complete.trials)
]
IntoDirectory = Annotated[
    str | None,
    typer.Option(
        "--dir",
        metavar="DIR",
        help="the sweep's directory [default: <storage>/<name>]",
        autocompletion=complete.directories,
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="WHERE", help="a folder, or a URI such as s3://bucket/sweeps [default: the file's]"
    ),
]
Cpus = Annotated[
    int | None, typer.Option(min=1, max=MOST, metavar="N", help="use N processors of this machine")
]
Retry = Annotated[
    list[str] | None,
    typer.Option(
        "--retry", metavar="ID", help="run only what failed: a trial's id, or `failed` for all"
    ),
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="run all again; what is there is set aside, not deleted")
]
All = Annotated[bool, typer.Option("--all", help="also trials that FILE no longer asks for")]
Workers = Annotated[
    str | None,
    typer.Option(
        metavar="N:CPUS:GPUS",
        help="the cluster adds up to N nodes of this kind [default: by its own file]",
    ),
]
Gpus = Annotated[
    int | None, typer.Option(min=0, max=MOST, metavar="N", help="use N GPUs of this machine")
]
Output = Annotated[
    Path | None, typer.Option(metavar="FILE", help="write to FILE [default: standard output]")
]

Notify = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND|URL", help="tell it of the first failure, of a stall, and of the end"
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="say only what went wrong, on standard error")
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="a line for every report, also on a terminal")
]


def check_choice(retry: list[str] | None, fresh: bool) -> None:
    """Refuse two options that contradict each other."""
    if retry and fresh:
        raise SweepsError("--retry runs only what failed, --fresh runs all: give one of them")

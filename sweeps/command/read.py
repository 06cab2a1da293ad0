"""`sweeps status` and `sweeps results`: what the records say, also while the sweep runs."""

from contextlib import suppress
from enum import StrEnum
from typing import Annotated

import typer

from sweeps.answer.results import read_results, results_of
from sweeps.answer.summary import best_line, summary
from sweeps.answer.where import of_outcomes
from sweeps.command import tables, views
from sweeps.command.console import err, exits, out, write_bytes
from sweeps.command.options import All, Directory, Output
from sweeps.command.watch import watch
from sweeps.errors import SweepsError
from sweeps.storage.remote_ledger import open_ledger


class Format(StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


@exits
def status(
    directory: Directory,
    everything: All = False,
    follow: Annotated[
        bool, typer.Option("--watch", "-w", help="look again until the run ends, or Ctrl-C")
    ] = False,
) -> int:
    """Show where each trial of a sweep stands, also while it runs."""
    ledger = open_ledger(directory)
    if follow:
        with suppress(KeyboardInterrupt):
            watch(ledger)
    results = results_of(ledger, everything=everything)
    tables.print_table(out, tables.status_table(results))
    for note in results.notes:
        err.print(note)
    running = "running now" if ledger.is_held() else "not running"
    out.print(f"\n{summary(results)}; {running}")
    return 0


@exits
def show_results(
    directory: Directory,
    kind: Annotated[Format, typer.Option("--format", help="how to write them")] = Format.TABLE,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="only trials such as 'lr=0.01', 'loss/test<0.5'"),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="by a metric, parameter or field [default: best first]"),
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, metavar="N", help="the first N only")] = None,
    trials: Annotated[bool, typer.Option("--trials", help="one line a trial")] = False,
    configurations: Annotated[
        bool, typer.Option("--configurations", help="one line a configuration, over its seeds")
    ] = False,
    history: Annotated[
        bool, typer.Option("--history", help="one line a report: every epoch of every trial")
    ] = False,
    output: Output = None,
    everything: All = False,
) -> int:
    """Show what came out, also while the sweep runs.

    A table has one line a configuration, over its seeds; files have one a trial.
    """
    if trials + configurations + history > 1:
        raise SweepsError("give one of --trials, --configurations and --history")
    results = read_results(directory, everything=everything)
    for note in results.notes:
        err.print(note)
    conditions = where or []
    lucky = of_outcomes(results, conditions)
    if lucky and configurations:
        raise SweepsError(
            f"--configurations compares over all seeds, and {lucky[0]!r} would choose single"
            " seeds by how they came out; choose by parameters, or show --trials"
        )
    has_seeds = results.standings.has_seeds
    results = results.where(*conditions)
    by_configuration = configurations or (
        kind is Format.TABLE and has_seeds and not (trials or history or lucky)
    )
    view = views.of(results, by_configuration=by_configuration, history=history, sort=sort, top=top)
    if kind is Format.PARQUET and output is None and out.is_terminal:
        raise SweepsError(
            "--format parquet must go to a file, and not to a terminal; name one with --output"
        )
    if kind is not Format.TABLE:
        write_bytes(view.export(kind), output)
    elif output is not None:
        write_bytes(str(view.table()).encode(), output)
    else:
        tables.print_table(out, view.table())
        if (best := best_line(results)) and not (history or lucky):
            those = f"of those with {' and '.join(conditions)}, " if conditions else ""
            out.print(f"\n{those}{best}")
    return 0

"""`sweeps status` and `sweeps results`: what the records say, also while the sweep runs."""

from enum import StrEnum
from typing import Annotated

import typer

from sweeps.answer.results import read_results, results_of
from sweeps.answer.summary import summary
from sweeps.command import tables
from sweeps.command.console import exits, out, write_bytes
from sweeps.command.options import All, Directory, Output
from sweeps.storage.remote_ledger import open_ledger


class Format(StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


@exits
def status(directory: Directory, everything: All = False) -> int:
    """Show where each trial of a sweep stands, also while it runs."""
    ledger = open_ledger(directory)
    results = results_of(ledger, everything=everything)
    tables.print_table(out, tables.status_table(results))
    running = "running now" if ledger.is_held() else "not running"
    out.print(f"\n{summary(results)}; {running}", soft_wrap=True)
    return 0


@exits
def show_results(
    directory: Directory,
    kind: Annotated[Format, typer.Option("--format", help="how to write them")] = Format.TABLE,
    sort: Annotated[
        str | None,
        typer.Option(metavar="METRIC", help="best of METRIC first [default: the file's order]"),
    ] = None,
    output: Output = None,
    everything: All = False,
) -> int:
    """Show what came out, also while the sweep runs."""
    results = read_results(directory, everything=everything)
    rows = results.sorted(sort) if sort else list(results)
    if kind is Format.TABLE and output is None:
        tables.print_table(out, tables.results_table(results, rows))
        return 0
    if kind is Format.TABLE:
        content = tables.as_text(tables.results_table(results, rows)).encode()
    else:
        content = results.export(kind, rows)
    write_bytes(content, output)
    return 0

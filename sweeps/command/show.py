"""`sweeps compare`, `report`, `replay` and `board`: sweeps looked at more closely."""

from pathlib import Path
from typing import Annotated

import typer

from sweeps.answer.replay import replay
from sweeps.command import tables
from sweeps.command.console import exits, out
from sweeps.command.options import All, Directory, TrialId
from sweeps.driver.signals import Stopped, stops_as_interrupts


@exits
def report(
    directory: Directory,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write to FILE [default: DIR/report.html]")
    ] = None,
    png: Annotated[
        Path | None, typer.Option("--png", metavar="FOLDER", help="the charts as pictures, too")
    ] = None,
    everything: All = False,
) -> int:
    """Write a sweep as one page: the answer and how sure it is; also while it runs."""
    from sweeps.answer.report.page import write_report  # imports NumPy and SciPy

    for path in write_report(directory, output=output, pictures=png, everything=everything):
        out.print(path)
    return 0


@exits
def compare(
    directories: Annotated[
        list[str], typer.Argument(metavar="DIR DIR...", help="sweeps; the first is compared with")
    ],
) -> int:
    """Compare sweeps, configuration by configuration: did a change help?"""
    from sweeps.answer.compare import compare_sweeps  # imports NumPy and SciPy

    found = compare_sweeps(directories)
    tables.print_table(out, tables.comparison_table(found))
    out.print()
    for line in tables.comparison_lines(found):
        out.print(line)
    return 0


@exits
def replay_trial(directory: Directory, trial: TrialId) -> int:
    """Run one trial again, and say whether its numbers are the same."""

    def show(epoch: int, same: bool) -> None:
        out.print(f"epoch {epoch}  {'the same' if same else 'not the same'}")

    done = replay(directory, trial, show)
    out.print()
    for line in tables.replay_lines(done):
        out.print(line)
    return 1 if done.differences else 0


@exits
def board(
    directories: Annotated[
        list[str],
        typer.Argument(metavar="DIR...", help="sweeps' directories, or a folder of them"),
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one")] = 6006,
) -> int:
    """Open TensorBoard on sweeps, for this machine only (127.0.0.1); prints the link."""
    from sweeps.answer.tensorboard import show_board  # imports TensorBoard

    try:
        with stops_as_interrupts():
            return show_board(directories, port, lambda link: out.print(link))
    except KeyboardInterrupt as stop:  # the way to end it
        return stop.exit_status if isinstance(stop, Stopped) else 0

"""`sweeps run` and `sweeps plan`: bring a directory to the state in a file, or say how."""

from typing import Annotated

import typer

from sweeps.answer.results import Results, read_results
from sweeps.answer.summary import best_line, checkpoint_line, summary
from sweeps.command import tables, views
from sweeps.command.console import Plain, err, exits, out
from sweeps.command.display import clock, progress_for
from sweeps.command.notify import Notifier, sender
from sweeps.command.options import (
    Cpus,
    File,
    Fresh,
    Gpus,
    IntoDirectory,
    Notify,
    Overrides,
    Quiet,
    Retry,
    Storage,
    Verbose,
    Workers,
    check_choice,
)
from sweeps.command.streams import go_on_without
from sweeps.definition.places import join
from sweeps.definition.text import typed
from sweeps.driver.signals import Stopped
from sweeps.errors import DirectoryError, Interrupted, SweepsError
from sweeps.records.record import Status
from sweeps.state import Outlook
from sweeps.sweep import Sweep

FEW = 10
"""Failed trials that are each named at the end of a run."""


@exits
def run(
    file: File,
    overrides: Overrides = None,
    directory: IntoDirectory = None,
    storage: Storage = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="ADDR", help="a Ray cluster, HOST:PORT or auto [default: none]"),
    ] = None,
    workers: Workers = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    retry: Retry = None,
    fresh: Fresh = False,
    notify: Notify = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> int:
    """Bring a directory to the state in FILE: run what is missing, keep what is there."""
    check_choice(retry, fresh)
    go_on_without()
    sweep = Sweep.from_yaml(file, overrides or ())
    folder = sweep.place(directory, storage)
    send = sender(notify, folder) if notify else None
    announced: list[Outlook] = []
    said = Plain(quiet=True) if quiet else out
    display = progress_for(said, sweep.file.metric, sweep.file.mode, verbose=verbose)

    def announce(outlook: Outlook) -> None:
        announced.append(outlook)
        how = f"{outlook.share}; {tables.arrays_line(outlook)}"
        if outlook.plan.round and len(announced) > 1:
            said.print(f"\n{outlook.plan}; {tables.arrays_line(outlook)}")
            return
        said.print(f"{sweep.file.name}  {outlook.plan}")
        for line in (*outlook.notes, how):
            said.print(line)

    try:
        results = sweep.run(
            folder,
            address=address,
            workers=workers,
            cpus=cpus,
            gpus=gpus,
            retry=retry or (),
            fresh=fresh,
            progress=Notifier(display, sweep.file.name, send) if send else display,
            announce=announce,
        )
    except SweepsError as error:
        if send and announced:
            send("end", f"{sweep.file.name}: {error}")
        raise
    except KeyboardInterrupt as stop:
        if send and announced:
            send("end", f"{sweep.file.name}: interrupted")
        status = stop.exit_status if isinstance(stop, Stopped) else Interrupted.exit_status
        raise Interrupted(_interrupted(folder), status) from None
    if send and announced:
        send("end", f"{sweep.file.name}: {sweep.ended or summary(results)}")
    if sweep.handed:
        more = f"{sweep.handed} more trial{'' if sweep.handed == 1 else 's'}"
        said.print(
            f"{sweep.file.name}  the run under way was given {more}, which begin once those of"
            f" its own file have begun; see them with: sweeps status {folder} --watch",
            soft_wrap=True,
        )
        return 0
    if not announced:
        why = sweep.ended or _nothing_to_do(results, folder)
        said.print(f"{sweep.file.name}  nothing to do: {why}")
        for line in results.notes:
            said.print(line)
    _print_results(said, results, folder)
    if quiet:
        _print_failures(err, results, folder)
    left = len(announced[0].plan.leave) if announced else 0
    all_ended = results.count(Status.FINISHED, Status.STOPPED) + left == len(results)
    if sweep.ended and (sweep.file.search or not all_ended):  # a search would have asked for more
        said.print(f"ended before its time: {sweep.ended}")
        return 1 if results.count(Status.FAILED) else 0
    return 0 if all_ended and results.count(Status.FINISHED) else 1


@exits
def plan(
    file: File,
    overrides: Overrides = None,
    directory: IntoDirectory = None,
    storage: Storage = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    retry: Retry = None,
    fresh: Fresh = False,
) -> int:
    """Show what `sweeps run` would do on this machine; run nothing, write nothing."""
    check_choice(retry, fresh)
    outlook = Sweep.from_yaml(file, overrides or ()).plan(
        directory, storage=storage, cpus=cpus, gpus=gpus, retry=retry or (), fresh=fresh
    )
    tables.print_table(out, tables.plan_table(outlook.plan, outlook.arrays))
    out.print(f"\n{outlook.plan}, in {outlook.directory}")
    apart = [f"not all in one, as {outlook.why_apart}"] if outlook.why_apart else []
    for line in (
        outlook.size,
        *outlook.notes,
        f"{outlook.share}; {tables.arrays_line(outlook)}",
        *([f"about {clock(outlook.seconds)}, as epochs took so far"] if outlook.seconds else []),
        *apart,
    ):
        out.print(line)
    return 0


def _print_results(said: Plain, results: Results, folder: str) -> None:
    said.print()
    tables.print_table(said, views.usual(results).table())
    said.print(f"\n{summary(results)}")
    if best := best_line(results):
        said.print(best)
    if checkpoint := checkpoint_line(results, folder):
        said.print(checkpoint)
    _print_failures(said, results, folder)
    said.print(f"see it with: sweeps board {typed(folder)}")


def _print_failures(said: Plain, results: Results, folder: str) -> None:
    failed = [row for row in results if row.status == Status.FAILED]
    for row in failed[:FEW]:
        log = join(folder, row.path, "errors.log")
        said.print(f"why {row.id} failed: {log}")
    if len(failed) > FEW:
        more = f"{len(failed) - FEW} more have failed: sweeps status {typed(folder)}"
        said.print(more)


def _nothing_to_do(results: Results, folder: str) -> str:
    if results.count(Status.FINISHED, Status.STOPPED) == len(results):
        return f"all trials in {folder} have finished"
    return f"no trial in {folder} has failed"


def _interrupted(folder: str) -> str:
    try:
        where = summary(read_results(folder))
    except DirectoryError:
        return "interrupted before anything was run"
    return f"interrupted; {where}. Run the same command to go on"

"""The command `sweeps`: parses, calls, prints, exits; decides nothing.

Exit status: 0 every trial finished; 1 some trial failed for good, or the sweep could not go on; 2
bad input, nothing was run; 130 interrupted (143 or 129 by SIGTERM or SIGHUP), the same command
goes on.
"""

import os
import sys
from contextlib import suppress
from enum import StrEnum
from importlib.metadata import version
from typing import Annotated

import typer

from sweeps.answer.replay import replay
from sweeps.answer.report import read_report
from sweeps.answer.results import Results, read_results, results_of
from sweeps.answer.summary import best_line, summary
from sweeps.answer.tensorboard import show_board
from sweeps.cluster.jobs import Jobs, check_place
from sweeps.cluster.local import RAY_SETTINGS, environment
from sweeps.cluster.remote import auth_mode
from sweeps.cluster.scaling import parse_workers
from sweeps.cluster.shipping import Package
from sweeps.command import tables
from sweeps.command.console import err, exits, out, write_bytes
from sweeps.command.display import progress_for
from sweeps.command.options import (
    All,
    Cpus,
    Directory,
    File,
    Fresh,
    Gpus,
    IntoDirectory,
    Output,
    Overrides,
    Retry,
    Storage,
    Workers,
)
from sweeps.definition.places import join
from sweeps.driver.signals import Stopped, stops_as_interrupts
from sweeps.errors import DirectoryError, Interrupted, SweepsError
from sweeps.records.record import Status
from sweeps.storage.remote_ledger import open_ledger
from sweeps.sweep import Outlook, Sweep

app = typer.Typer(
    name="sweeps",
    help="Run a grid of PyTorch trials and read every one of them in TensorBoard.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Format(StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


@app.command()
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
) -> int:
    """Bring a directory to the state in FILE: run what is missing, keep what is there."""
    _check_choice(retry, fresh)
    sweep = Sweep.from_yaml(file, overrides or ())
    folder = sweep.place(directory, storage)
    announced: list[Outlook] = []

    def announce(outlook: Outlook) -> None:
        announced.append(outlook)
        how = f"{outlook.share}; {tables.arrays_line(outlook)}"
        out.print(f"{sweep.file.name}  {outlook.plan}", soft_wrap=True)
        for line in (*outlook.notes, how):
            out.print(line, soft_wrap=True)

    try:
        results = sweep.run(
            folder,
            address=address,
            workers=workers,
            cpus=cpus,
            gpus=gpus,
            retry=retry or (),
            fresh=fresh,
            progress=progress_for(out, sweep.file.metric),
            announce=announce,
        )
    except KeyboardInterrupt as stop:
        status = stop.exit_status if isinstance(stop, Stopped) else Interrupted.exit_status
        raise Interrupted(_interrupted(folder), status) from None
    if not announced:
        why = _nothing_to_do(results, folder)
        out.print(f"{sweep.file.name}  nothing to do: {why}", soft_wrap=True)
    _print_results(results, folder)
    left = len(announced[0].plan.leave) if announced else 0
    return 0 if results.count(Status.FINISHED, Status.STOPPED) + left == len(results) else 1


@app.command()
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
    _check_choice(retry, fresh)
    outlook = Sweep.from_yaml(file, overrides or ()).plan(
        directory, storage=storage, cpus=cpus, gpus=gpus, retry=retry or (), fresh=fresh
    )
    tables.print_table(out, tables.plan_table(outlook.plan, outlook.arrays))
    out.print(f"\n{outlook.plan}, in {outlook.directory}", soft_wrap=True)
    for line in (*outlook.notes, f"{outlook.share}; {tables.arrays_line(outlook)}"):
        out.print(line, soft_wrap=True)
    return 0


@app.command()
@exits
def submit(
    file: Annotated[str | None, typer.Argument(metavar="FILE", help="as for `sweeps run`")] = None,
    overrides: Overrides = None,
    address: Annotated[
        str, typer.Option(metavar="URL", help="of the cluster's dashboard")
    ] = "http://127.0.0.1:8265",
    directory: IntoDirectory = None,
    storage: Storage = None,
    workers: Workers = None,
    retry: Retry = None,
    fresh: Fresh = False,
    follow: Annotated[
        str | None, typer.Option("--follow", metavar="JOB", help="show what a job prints")
    ] = None,
    stop: Annotated[str | None, typer.Option("--stop", metavar="JOB", help="end a job")] = None,
    python: Annotated[
        str, typer.Option(metavar="PROGRAM", help="of the head, that Ray is installed in")
    ] = "python",
) -> int:
    """Run FILE as a job on a Ray cluster; Ctrl-C leaves it running."""
    _check_choice(retry, fresh)
    if (file is not None) + (follow is not None) + (stop is not None) != 1:
        raise SweepsError("give one of FILE, --follow JOB and --stop JOB")
    if stop:
        ended = Jobs(address).stop(stop)
        more = "; submit the same sweep again to go on" if ended == "stopped" else " before"
        out.print(f"{stop} {ended}{more}", soft_wrap=True)
        return 0
    if follow:
        return _follow(Jobs(address), follow)
    sweep = Sweep.from_yaml(str(file), overrides or ())
    place = sweep.place(directory, storage)
    check_place(place)
    options = [option for trial in retry or () for option in ("--retry", trial)]
    options += ["--fresh"] if fresh else []
    if workers:
        parse_workers(workers)
        options += ["--workers", workers]
    jobs = Jobs(address)
    try:
        job = jobs.submit(
            sweep.file.name,
            sweep.definition,
            place,
            source=sweep.code,
            options=options,
            python=python,
            tell=_tell_of_package,
        )
    except KeyboardInterrupt:
        raise Interrupted("interrupted before the job was submitted") from None
    out.print(f"job {job}, into {place}", soft_wrap=True)
    return _follow(jobs, job)


@app.command()
@exits
def status(directory: Directory, everything: All = False) -> int:
    """Show where each trial of a sweep stands, also while it runs."""
    ledger = open_ledger(directory)
    results = results_of(ledger, everything=everything)
    tables.print_table(out, tables.status_table(results))
    running = "running now" if ledger.is_held() else "not running"
    out.print(f"\n{summary(results)}; {running}", soft_wrap=True)
    return 0


@app.command("results")
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


@app.command()
@exits
def report(directory: Directory, output: Output = None, everything: All = False) -> int:
    """Write a sweep as one HTML page that needs nothing else."""
    write_bytes(read_report(directory, everything=everything).encode(), output)
    return 0


@app.command("replay")
@exits
def replay_trial(
    directory: Directory, trial: Annotated[str, typer.Argument(metavar="ID", help="of the trial")]
) -> int:
    """Run one trial again, and say whether its numbers are the same."""

    def show(epoch: int, same: bool) -> None:
        out.print(f"epoch {epoch}  {'the same' if same else 'not the same'}")

    done = replay(directory, trial, show)
    out.print()
    for line in tables.replay_lines(done):
        out.print(line, soft_wrap=True)
    return 1 if done.differences else 0


@app.command()
@exits
def board(
    directory: Directory,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one")] = 6006,
) -> int:
    """Open TensorBoard on a sweep, for this machine only (127.0.0.1)."""
    with stops_as_interrupts():
        return show_board(directory, port)


@app.callback(invoke_without_command=True)
def options(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.")
    ] = False,
) -> None:
    if show_version:
        out.print(f"sweepboard {version('sweepboard')}")
        raise typer.Exit(0)


def _tell_of_package(package: Package) -> None:
    if package.source is None:
        out.print("ships no code but Sweepboard's own")
        return
    out.print(f"ships {package}, from {package.source}", soft_wrap=True)
    if package.left_out:
        listed = ", ".join(f"{name} ({why})" for name, why in package.left_out.items())
        out.print(f"left out: {listed}", soft_wrap=True)


def _follow(jobs: Jobs, job: str) -> int:
    """Show what a job prints until it ends, or Ctrl-C; its exit status."""
    try:
        return jobs.follow(
            job,
            show=lambda line: out.print(line, soft_wrap=True),
            warn=lambda text: err.print(text, soft_wrap=True),
        )
    except KeyboardInterrupt:
        raise Interrupted(jobs.afterwards(job)) from None


def _print_results(results: Results, folder: str) -> None:
    out.print()
    tables.print_table(out, tables.results_table(results, results.sorted()))
    out.print(f"\n{summary(results)}", soft_wrap=True)
    if best := best_line(results):
        out.print(best, soft_wrap=True)
    if results.best and results.best.checkpoint:
        out.print(f"its checkpoint: {join(folder, results.best.checkpoint)}", soft_wrap=True)
    for row in results:
        if row.status == Status.FAILED:
            log = join(folder, row.path, "errors.log")
            out.print(f"why {row.id} failed: {log}", soft_wrap=True)
    out.print(f"see it with: sweeps board {folder}", soft_wrap=True)


def _check_choice(retry: list[str] | None, fresh: bool) -> None:
    if retry and fresh:
        raise SweepsError("--retry runs only what failed, --fresh runs all: give one of them")


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


def main() -> None:
    """The entry point of the command."""
    with environment(RAY_SETTINGS | auth_mode()):  # some are read when ray is imported, by whomever
        try:
            app()
        except SystemExit as end:
            if "ray" not in sys.modules or not isinstance(end.code, int):
                raise
            status = end.code
    with suppress(BrokenPipeError):  # the reader of a pipe may be gone
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)  # to unload Ray and pandas takes half a second, with all work done

"""`sweeps submit`: a sweep as a job on a Ray cluster."""

from typing import Annotated

import typer

from sweeps.cluster.jobs import Jobs, check_place
from sweeps.cluster.scaling import parse_workers
from sweeps.cluster.shipping import Package
from sweeps.command.console import err, exits, out
from sweeps.command.options import (
    Fresh,
    IntoDirectory,
    Overrides,
    Retry,
    Storage,
    Workers,
    check_choice,
)
from sweeps.command.streams import go_on_without
from sweeps.errors import Interrupted, SweepsError
from sweeps.sweep import Sweep


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
    check_choice(retry, fresh)
    go_on_without()
    if (file is not None) + (follow is not None) + (stop is not None) != 1:
        raise SweepsError("give one of FILE, --follow JOB and --stop JOB")
    if stop:
        ended = Jobs(address).stop(stop)
        more = "; submit the same sweep again to go on" if ended == "stopped" else " before"
        out.print(f"{stop} {ended}{more}")
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
    out.print(f"job {job}, into {place}")
    return _follow(jobs, job)


def _tell_of_package(package: Package) -> None:
    if package.source is None:
        out.print("ships no code but Sweepboard's own")
        return
    out.print(f"ships {package}, from {package.source}")
    if package.left_out:
        listed = ", ".join(f"{name} ({why})" for name, why in package.left_out.items())
        out.print(f"left out: {listed}")


def _follow(jobs: Jobs, job: str) -> int:
    """Show what a job prints until it ends, or Ctrl-C; its exit status."""
    try:
        return jobs.follow(
            job,
            show=lambda line: out.print(line),
            warn=lambda text: err.print(text),
        )
    except KeyboardInterrupt:
        raise Interrupted(jobs.afterwards(job)) from None

"""The command `sweeps`: parses, calls, prints, exits; decides nothing.

Each command is a function in the file of its group (`run`, `submit`, `read`, `show`, `start`), and
is listed here once.

Exit status: 0 every trial finished; 1 some trial failed for good, or the sweep could not go on; 2
bad input, nothing was run; 130 interrupted (143 or 129 by SIGTERM or SIGHUP), the same command
goes on.
"""

import os
import sys
import threading
from importlib.metadata import version
from typing import Annotated

import typer

from sweeps.cluster.local import RAY_SETTINGS, environment
from sweeps.cluster.remote import auth_mode
from sweeps.command import ask, logs, read, run, show, start, submit
from sweeps.command.console import err, out
from sweeps.command.streams import OutputLost, take_over

COMMANDS = {
    "init": start.init,
    "run": run.run,
    "plan": run.plan,
    "submit": submit.submit,
    "stop": ask.stop,
    "pause": ask.pause,
    "status": read.status,
    "logs": logs.logs,
    "results": read.show_results,
    "compare": show.compare,
    "report": show.report,
    "replay": show.replay_trial,
    "board": show.board,
}
"""In the order in which `sweeps --help` lists them."""

app = typer.Typer(
    name="sweeps",
    help="Run a grid of PyTorch trials and read every one of them in TensorBoard.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for name, command in COMMANDS.items():
    app.command(name)(command)


@app.callback(invoke_without_command=True)
def options(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.")
    ] = False,
) -> None:
    if show_version:
        out.print(f"sweepboard {version('sweepboard')}")
        raise typer.Exit(0)


def main() -> None:
    """The entry point of the command."""
    take_over()
    with environment(RAY_SETTINGS | auth_mode()):  # some are read when ray is imported, by whomever
        try:
            app(prog_name="sweeps")
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except OutputLost as lost:
            status = lost.exit_status
            if not lost.is_pipe:  # the reader of a pipe may well leave
                err.print(f"error: {lost}")
    try:
        sys.stdout.flush()
    except OutputLost as lost:
        status = status or lost.exit_status
    if "ray" in sys.modules or threading.active_count() > 1:
        sys.stderr.flush()
        # to unload Ray and pandas takes half a second, with all work done; and a thread that the
        # trainable's module has started when it was imported may never end
        os._exit(status)
    sys.exit(status)

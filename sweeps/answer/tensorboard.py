"""TensorBoard on a sweep, for this machine only."""

import os
import socket
import subprocess
import sys

from sweeps.errors import SweepsError
from sweeps.storage.mirror import is_event
from sweeps.storage.remote_ledger import MirroredLedger, open_ledger

FETCH_EVERY = 5.0
"""Seconds between two looks for new events on storage that is not of this machine."""


def show_board(directory: str, port: int) -> int:
    """Run TensorBoard on a sweep's directory until it is stopped; its exit status.

    Raises:
        SweepsError: there is no sweep, or the port cannot be used.
    """
    ledger = open_ledger(directory)
    ledger.overview()
    _check_port(port)
    command = [sys.executable, "-m", "tensorboard.main", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--logdir", str(ledger.trials_dir)]
    if not isinstance(ledger, MirroredLedger):
        os.execv(command[0], command)  # from here on this process is TensorBoard  # noqa: S606
    # its fast loader would keep reading files that have been replaced
    return _fetching(ledger, [*command, "--load_fast", "false"])


def _fetching(ledger: MirroredLedger, command: list[str]) -> int:
    """TensorBoard beside a loop that fetches events."""
    ledger.mirror.pull("trials", contents=is_event)
    with subprocess.Popen(command) as process:
        try:
            while True:
                try:
                    return process.wait(FETCH_EVERY)
                except subprocess.TimeoutExpired:
                    ledger.mirror.pull("trials", contents=is_event)
        finally:
            process.terminate()


def _check_port(port: int) -> None:
    """TensorBoard says that a port is busy twice, and then exits with 255."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError as error:
            raise SweepsError(
                f"port {port} cannot be used ({error.strerror}); choose another with --port, or"
                " --port 0 for a free one"
            ) from None

"""TensorBoard on one sweep or several, for this machine only."""

import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import IO

from sweeps.answer.hparams import describe_sweeps
from sweeps.answer.opening import opening
from sweeps.answer.results import results_of
from sweeps.definition.places import is_remote
from sweeps.errors import SweepsError
from sweeps.records.ledger import Ledger
from sweeps.storage.mirror import is_event
from sweeps.storage.remote_ledger import MirroredLedger, open_ledger

FETCH_EVERY = 5.0
"""Seconds between two looks for new events on storage that is not of this machine."""

_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


def show_board(directories: Sequence[str], port: int, tell: Callable[[str], None]) -> int:
    """Run TensorBoard on sweeps until it is stopped; its exit status.

    Args:
        directories: of sweeps, or folders in which sweeps are.
        tell: is given the link that opens on what matters.

    Raises:
        SweepsError: there is no sweep, or the port cannot be used.
    """
    ledgers = [open_ledger(place) for given in directories for place in _sweeps_in(given)]
    sweeps = [results_of(ledger) for ledger in ledgers]
    _check_port(port)
    mirrored = [ledger for ledger in ledgers if isinstance(ledger, MirroredLedger)]
    for ledger in mirrored:
        ledger.mirror.pull("trials", contents=is_event)
    describe_sweeps(ledgers, sweeps)
    command = [sys.executable, "-m", "tensorboard.main", "--host", "127.0.0.1", "--port", f"{port}"]
    if mirrored:  # its fast loader would keep reading files that have been replaced
        command += ["--load_fast", "false"]
    with tempfile.TemporaryDirectory(prefix="sweepboard-board-") as folder:
        logs = _together(ledgers, Path(folder)) if len(ledgers) > 1 else ledgers[0].trials_dir
        return _serve([*command, "--logdir", str(logs)], mirrored, lambda: opening(sweeps[0]), tell)


def _sweeps_in(directory: str) -> list[str]:
    """The directory itself, or the sweeps that a folder holds."""
    if is_remote(directory) or (Path(directory) / "sweep.json").exists():
        return [directory]
    return sorted(str(file.parent) for file in Path(directory).glob("*/sweep.json")) or [directory]


def _together(ledgers: Sequence[Ledger], folder: Path) -> Path:
    """A folder in which each sweep is a link, by its name."""
    for ledger in ledgers:
        name = Path(ledger.where).name
        taken = sum(path.name.partition("~")[0] == name for path in folder.iterdir())
        (folder / (f"{name}~{taken + 1}" if taken else name)).symlink_to(
            ledger.trials_dir.absolute()
        )
    return folder


def _serve(
    command: Sequence[str],
    mirrored: Sequence[MirroredLedger],
    opens_on: Callable[[], str],
    tell: Callable[[str], None],
) -> int:
    """TensorBoard until it ends, beside a loop that fetches events from elsewhere."""
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=quiet) as process:
        try:
            assert process.stderr is not None  # a pipe was asked for  # noqa: S101
            link = opens_on()  # takes a second or two, as TensorBoard does
            tell(_address(process.stderr) + link)
            Thread(target=_drain, args=[process.stderr], daemon=True).start()
            while True:
                try:
                    return process.wait(FETCH_EVERY if mirrored else None)
                except subprocess.TimeoutExpired:
                    for ledger in mirrored:
                        ledger.mirror.pull("trials", contents=is_event)
        finally:
            process.terminate()


def _address(errors: IO[str]) -> str:
    """Where TensorBoard is, as it says once it listens."""
    said = []
    for line in errors:
        if found := _ADDRESS.search(line):
            return found[0]
        said.append(line)
    raise SweepsError(
        f"TensorBoard did not start: {''.join(said[-5:]).strip() or 'no reason given'}"
    )


def _drain(errors: IO[str]) -> None:
    """Pass on what TensorBoard complains of."""
    with suppress(ValueError):  # it is closed at the end
        _pass_on(errors)


def _pass_on(errors: IO[str]) -> None:
    for line in errors:
        if re.match(r"[EF]\d{4} |\w*Error|Traceback", line):
            sys.stderr.write(line)


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

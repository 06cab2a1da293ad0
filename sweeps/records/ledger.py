"""The sweep's directory: the only place that knows its paths, and the record of what happened.

    DIR/sweep.json                        the sweep as last run, and its trials in order
    DIR/manifest.json                     by which commands, code, versions and machine it was run
    DIR/.lock                             held by the one process that runs the sweep
    DIR/trials/<swept values>,<id>/       a trial: what it writes for TensorBoard, checkpoints, and
        trial.json                        its configuration and state; written by the driver
        history.jsonl                     one line a report, appended by the process that trains
        output.log                        what the trainable printed
        errors.log                        the traceback of every failed attempt
    DIR/earlier/<n>/                      the sweep as it was before `sweeps run --fresh`, whole

JSON files land whole or not at all. A record that was damaged all the same is made anew from what
the trial itself wrote. Reading needs neither Ray nor torch, and may be done at any time.
"""

import itertools
import os
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from filelock import FileLock, Timeout

from sweeps.definition.space import Trial
from sweeps.errors import DirectoryError, nearest, shown
from sweeps.records.atomic import DamagedRecord, land_json, read_json
from sweeps.records.files import Files, LocalFiles
from sweeps.records.folders import TrialFolders
from sweeps.records.history import read_history, rewrite_history
from sweeps.records.layout_check import check_tree
from sweeps.records.record import ENDED, Overview, Record, Status, damage_notes, trial_of
from sweeps.records.schema import RecordEntry, SweepEntry
from sweeps.records.seal import (
    TAKEN_FROM_COPY,
    TRAINED_AGAIN,
    checked,
    event_files,
    lost_events,
    seal,
)

FORMAT = 1
DAMAGED = "its record was damaged and is made anew"
_OWN_NAMES = {".lock", "holder.json", "trials", "earlier"}


class Ledger:
    """Reads and writes the records in one directory.

    Attributes:
        directory: the folder of this machine that is read and written.
        where: what people call it; a URI, if the folder is a copy of what is on other storage.
        files: what is there, wherever that is.
    """

    holds_events = True
    """Whether what trials have written for TensorBoard is here, and not its names only."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.where = str(directory)
        self.trials_dir = directory / "trials"
        self._sweep_file = directory / "sweep.json"
        self._lock = FileLock(directory / ".lock")
        self._folders: TrialFolders | None = None
        self.files: Files = LocalFiles(directory)

    # the sweep

    def overview(self) -> Overview:
        """The sweep in this directory; raises :class:`DirectoryError` if there is none."""
        found = self._read_sweep()
        if found is None:
            folders = (self.directory.parent, Path("runs"))
            sweeps = {str(file.parent) for f in folders for file in f.glob("*/sweep.json")}
            raise DirectoryError(
                f"{self.where} holds no sweep: there is no {self.where}/sweep.json"
                + (nearest(self.where, sweeps) or "; give a directory of `sweeps run`")
            )
        return found

    @property
    def for_workers(self) -> str:
        """What the processes that train call it."""
        return str(self.directory.absolute())

    def fetch(self, path: str = "") -> None:
        """Before what others may have written is read: it is here already."""

    def store(self, path: str = "") -> None:
        """After it was written by other means than this object's: it is where it belongs."""

    def bring(self, path: str) -> None:
        """Before a file or folder that is no record is read: it is here already."""

    def formed(self) -> Mapping[str, Any]:
        """Which trials trained together when the sweep was last run; nothing if it never was."""
        found = self._last_run()
        return found.formed if found else {}

    def searched(self) -> Mapping[str, Any]:
        """What the sweep's search has been told; nothing if it never was run."""
        found = self._last_run()
        return found.search if found else {}

    def _last_run(self) -> Overview | None:
        try:
            return self._read_sweep()
        except DamagedRecord:
            return None

    def check_usable(self, name: str) -> None:
        """Refuse a directory that a sweep of this name must not write to; leaves no trace."""
        check_tree(self.directory)
        try:
            found = self._read_sweep()
        except DamagedRecord as damage:
            if self.trials_dir.is_dir():  # the run writes it anew
                return
            raise DirectoryError(
                f"{damage.what}, and no trials are beside it; delete it, or choose another"
                " directory with --dir"
            ) from None
        if found is not None and found.name != name:
            raise DirectoryError(
                f"{self.where} belongs to the sweep {found.name!r}, not {name!r};"
                " choose another directory with --dir"
            )
        above = self.directory.absolute().parents
        there = next(path for path in (self.directory, *above) if path.exists())
        try:
            TemporaryFile(dir=there).close()  # even root cannot write everywhere
            names = {path.name for path in there.iterdir()} if there is self.directory else set()
        except OSError as error:
            raise DirectoryError(
                f"{self.where} cannot be written ({there.absolute()}: {error.strerror});"
                " choose another directory with --dir"
            ) from None
        if found is None and names - _OWN_NAMES:
            raise DirectoryError(
                f"{self.where} is not empty and holds no sweep; choose another directory with --dir"
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the one process that runs this sweep; creates the directory.

        Raises:
            DirectoryError: another process holds it, or it cannot be written.
        """
        try:
            self.trials_dir.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=1)  # `status` may hold it for a moment
        except Timeout:
            raise DirectoryError(
                f"{self.directory} is in use by another `sweeps run` ({self._holder()});"
                " wait for it, or choose another directory with --dir"
            ) from None
        except OSError as error:
            raise DirectoryError(f"{self.directory} cannot be written: {error.strerror}") from None
        try:
            holder = {"pid": os.getpid(), "host": socket.gethostname()}
            land_json(self.directory / "holder.json", holder)
            yield
        finally:
            (self.directory / "holder.json").unlink(missing_ok=True)
            self._lock.release()

    def is_held(self) -> bool:
        """Whether some process runs this sweep now."""
        if self._lock.is_locked:
            return True
        if not (self.directory / ".lock").exists():
            return False
        try:
            with FileLock(self.directory / ".lock", blocking=False):
                return False
        except Timeout:
            return True
        except OSError:  # a read-only copy: nobody runs it
            return False

    def write_overview(self, overview: Overview) -> None:
        trials = [asdict(trial) for trial in overview.trials]
        data = {"format": FORMAT, **asdict(replace(overview, trials=())), "trials": trials}
        land_json(self._sweep_file, data)

    # its trials

    def trial_dir(self, trial: Trial) -> Path:
        """Where a trial lives: where it was begun, even if it would be named otherwise today."""
        if self._folders is None:
            self._folders = TrialFolders(self.trials_dir)
        return self._folders.of(trial)

    def record(self, trial: Trial) -> Record:
        """What is known of a trial, with its history; of one that has ended, checked to be whole.

        Raises:
            DirectoryError: it cannot be read, or is another trial's.
        """
        folder = self.trial_dir(trial)
        path = folder.relative_to(self.directory).as_posix()
        blank = Record(trial.id, trial.config, path, origin=trial.origin)
        try:
            data = read_json(folder / "trial.json")
            if data is None:
                begun = replace(blank, history=read_history(folder))
                lost = replace(begun, status=Status.INTERRUPTED, error=DAMAGED)
                return lost if begun.history else begun
            RecordEntry.model_validate(data)
            found = replace(
                blank,
                status=Status(data["status"]),
                recorded=data["config"],
                arrays=tuple(data["arrays"]),
                attempts=data["attempts"],
                until=data.get("until"),
                **{name: data[name] for name in ("error", "where", "code", "data")},
            )
        except (DamagedRecord, ValueError):
            history = read_history(folder)
            return replace(blank, history=history, status=Status.INTERRUPTED, error=DAMAGED)
        if data.get("id") != trial.id:
            raise DirectoryError(
                f"{folder} holds the record of another trial ({shown(data.get('id'))}); move it"
                " away, and run the sweep again"
            )
        if found.status in ENDED:
            return checked(found, folder, data.get("sealed"), events=self.holds_events)
        return replace(found, history=read_history(folder))

    def mend(self, trials: Iterable[Trial]) -> list[str]:
        """Write again what trials that have ended have lost; what is to be said of it."""
        records = self.records(trials).values()
        for record in records:
            if record.status in ENDED and record.damage != TRAINED_AGAIN:
                self._mend(record)
        return damage_notes(records)

    def _mend(self, record: Record) -> None:
        folder, changed = self.directory / record.path, record.damage is not None
        if record.damage == TAKEN_FROM_COPY:
            rewrite_history(folder, record.history)
        sealed = (read_json(folder / "trial.json") or {}).get("sealed") if changed else None
        if self.holds_events and lost_events(folder, sealed):
            from sweeps.records.events import write_again  # imports TensorBoard

            write_again(folder, record)
        if self.holds_events and len(event_files(folder)) > 1:
            from sweeps.records.event_order import put_in_order

            changed = put_in_order(folder) or changed
        if changed:
            # what a trial was last run with stays, also where the sweep now asks for less
            self.write(replace(record, config=record.recorded or record.config))

    def unlisted(self, listed: Iterable[Trial]) -> list[Trial]:
        """The trials that are here and that the sweep no longer asks for."""
        ids = {trial.id for trial in listed}
        return [t for t in TrialFolders(self.trials_dir).all() if t.id not in ids]

    def records(self, trials: Iterable[Trial]) -> dict[str, Record]:
        """The records of these trials by id; one that nobody runs any more is interrupted."""
        records = {trial.id: self.record(trial) for trial in trials}
        if any(r.status is Status.RUNNING for r in records.values()) and not self.is_held():
            for key, record in records.items():
                if record.status is Status.RUNNING:
                    records[key] = replace(record, status=Status.INTERRUPTED)
        return records

    def write(self, record: Record) -> None:
        """Land a trial's ``trial.json``; its history is not touched, but sealed at its end."""
        folder = self.directory / record.path
        folder.mkdir(parents=True, exist_ok=True)
        data = {
            "format": FORMAT,
            "id": record.id,
            "folder": folder.name,
            "config": record.config,
            "seed": record.config.get("seed"),
            "status": record.status,
            "attempts": record.attempts,
            "error": record.error,
            "where": record.where,
            "code": record.code,
            "data": record.data,
            "until": record.until,
            "arrays": list(record.arrays),
            "origin": asdict(record.origin) if record.origin else None,
            "sealed": seal(folder) if record.status in ENDED else None,
        }
        land_json(folder / "trial.json", data)

    def set_aside(self) -> Path | None:
        """Move all trials, with what the sweep was, to ``earlier/<n>``; where that is.

        What is there is itself the directory of a sweep, and can be read as one. Nothing is lost if
        this is cut short: the trials move in one step, and last.
        """
        if not self.trials_dir.is_dir() or not any(self.trials_dir.iterdir()):
            return None
        earlier = self.directory / "earlier"
        numbers = (n for n in itertools.count(1) if not (earlier / f"{n}" / "trials").exists())
        target = earlier / f"{next(numbers)}"
        target.mkdir(parents=True, exist_ok=True)
        for name in ("sweep.json", "manifest.json"):
            if (self.directory / name).exists():
                shutil.copy2(self.directory / name, target / name)
        os.replace(self.trials_dir, target / "trials")  # noqa: PTH105
        self.trials_dir.mkdir()
        self._folders = None
        return target

    def _read_sweep(self) -> Overview | None:
        data = read_json(self._sweep_file)
        if data is None:
            return None
        found = data.get("format")
        if type(found) is int and found != FORMAT:
            raise DirectoryError(
                f"{self.where}/sweep.json must have format {FORMAT}, got {found};"
                " use the version of Sweepboard that wrote it"
            )
        try:
            SweepEntry.model_validate(data)
            trials = tuple(map(trial_of, data["trials"]))
            name, metric, mode, sweep = (data[key] for key in ("name", "metric", "mode", "sweep"))
            budget, formed = data.get("budget"), data.get("formed", {})
            search = data.get("search", {})
            return Overview(name, metric, mode, sweep, trials, budget, formed, search)
        except ValueError:
            raise DamagedRecord(f"{self.where}/sweep.json", "not the record of a sweep") from None

    def _holder(self) -> str:
        holder = read_json(self.directory / "holder.json")
        return f"process {holder['pid']} on {holder['host']}" if holder else "starting or ending"

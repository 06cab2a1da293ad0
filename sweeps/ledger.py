"""The sweep's directory: the only place that knows its paths, and the record of what happened.

    DIR/sweep.json                        the sweep as last run, and its trials in order
    DIR/.lock                             held by the one process that runs the sweep
    DIR/trials/<swept values>,<id>/       a trial: what it writes for TensorBoard, checkpoints, and
        trial.json                        its configuration and state; written by the driver
        history.jsonl                     one line a report, appended by the process that trains
        output.log                        what the trainable printed
        errors.log                        the traceback of every failed attempt

JSON files land whole or not at all. A last line of history.jsonl that was cut off is not read.
Reading needs neither Ray nor torch, and may be done at any time.
"""

import json
import math
import os
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from filelock import FileLock, Timeout

from sweeps.errors import DirectoryError, nearest
from sweeps.space import Trial

FORMAT = 1
_OWN_NAMES = {".lock", "holder.json", "trials", ".sweep.json.part"}


class Status(StrEnum):
    """Where a trial stands."""

    PENDING = "pending"
    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Report:
    """One report of a trial; ``step`` counts from 0."""

    step: int
    metrics: Mapping[str, float]
    seconds: float
    checkpoint: str | None = None


@dataclass(frozen=True)
class Record:
    """What is known of one trial. ``path`` is relative to the sweep's directory."""

    id: str
    config: Mapping[str, Any]
    path: str
    status: Status = Status.PENDING
    attempts: int = 0
    error: str | None = None
    where: str | None = None
    history: list[Report] = field(default_factory=list, compare=False)

    @property
    def seconds(self) -> float:
        """Time spent on what counts: the sum over the reports."""
        return sum(report.seconds for report in self.history)


@dataclass(frozen=True)
class Overview:
    """The sweep as last run: its name, what is best, its file, its trials in order."""

    name: str
    metric: str
    mode: str
    sweep: Mapping[str, Any]
    trials: tuple[Trial, ...]


class Ledger:
    """Reads and writes the records in one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.trials_dir = directory / "trials"
        self._sweep_file = directory / "sweep.json"
        self._lock = FileLock(directory / ".lock")
        self._names: dict[str, str] | None = None

    # the sweep

    def overview(self) -> Overview:
        """The sweep in this directory; raises :class:`DirectoryError` if there is none."""
        found = self._read_sweep()
        if found is None:
            folders = (self.directory.parent, Path("runs"))
            sweeps = {str(file.parent) for f in folders for file in f.glob("*/sweep.json")}
            raise DirectoryError(
                f"{self.directory} holds no sweep: there is no {self._sweep_file}"
                + (nearest(str(self.directory), sweeps) or "; give a directory of `sweeps run`")
            )
        return found

    def check_usable(self, name: str) -> None:
        """Refuse a directory that a sweep of this name must not write to; leaves no trace."""
        found = self._read_sweep()
        if found is not None and found.name != name:
            raise DirectoryError(
                f"{self.directory} belongs to the sweep {found.name!r}, not {name!r};"
                " choose another directory with --dir"
            )
        above = self.directory.absolute().parents
        there = next(path for path in (self.directory, *above) if path.exists())
        try:
            TemporaryFile(dir=there).close()  # even root cannot write everywhere
            names = {path.name for path in there.iterdir()} if there is self.directory else set()
        except OSError as error:
            raise DirectoryError(
                f"{self.directory} cannot be written ({there.absolute()}: {error.strerror});"
                " choose another directory with --dir"
            ) from None
        if found is None and names - _OWN_NAMES:
            raise DirectoryError(
                f"{self.directory} is not empty and holds no sweep;"
                " choose another directory with --dir"
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
            _land(self.directory / "holder.json", holder)
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
        trials = [{"id": t.id, "config": t.config, "name": t.name} for t in overview.trials]
        data = {"format": FORMAT, **asdict(replace(overview, trials=())), "trials": trials}
        _land(self._sweep_file, data)

    # its trials

    def trial_dir(self, trial: Trial) -> Path:
        """Where a trial lives: where it was begun, even if it would be named otherwise today."""
        if self._names is None:
            names = os.listdir(self.trials_dir) if self.trials_dir.is_dir() else []  # noqa: PTH208
            self._names = {id_of(name): name for name in names}
        return self.trials_dir / self._names.setdefault(trial.id, trial.name)

    def record(self, trial: Trial) -> Record:
        """What is known of a trial, with its history."""
        folder = self.trial_dir(trial)
        path = folder.relative_to(self.directory).as_posix()
        data = _read_json(folder / "trial.json") or {}
        return Record(
            id=trial.id,
            config=trial.config,
            path=path,
            status=status_of(folder, data),
            attempts=data.get("attempts", 0),
            error=data.get("error"),
            where=data.get("where"),
            history=read_history(folder),
        )

    def records(self, trials: Iterable[Trial]) -> dict[str, Record]:
        """The records of these trials by id; one that nobody runs any more is interrupted."""
        records = {trial.id: self.record(trial) for trial in trials}
        if any(r.status is Status.RUNNING for r in records.values()) and not self.is_held():
            for key, record in records.items():
                if record.status is Status.RUNNING:
                    records[key] = replace(record, status=Status.INTERRUPTED)
        return records

    def write(self, record: Record) -> None:
        """Land a trial's ``trial.json``; its history is not touched."""
        folder = self.directory / record.path
        folder.mkdir(parents=True, exist_ok=True)
        data = {
            "format": FORMAT,
            "id": record.id,
            "config": record.config,
            "seed": record.config.get("seed"),
            "status": record.status,
            "attempts": record.attempts,
            "error": record.error,
            "where": record.where,
        }
        _land(folder / "trial.json", data)

    def _read_sweep(self) -> Overview | None:
        data = _read_json(self._sweep_file)
        if data is None:
            return None
        if data.get("format") != FORMAT:
            raise DirectoryError(
                f"{self._sweep_file} must have format {FORMAT}, got {data.get('format')!r};"
                " use the version of Sweepboard that wrote it"
            )
        try:
            trials = tuple(Trial(t["id"], t["config"], t["name"]) for t in data["trials"])
            return Overview(data["name"], data["metric"], data["mode"], data["sweep"], trials)
        except (KeyError, TypeError):
            raise _damaged(self._sweep_file, "not the record of a sweep") from None

    def _holder(self) -> str:
        holder = _read_json(self.directory / "holder.json")
        return f"process {holder['pid']} on {holder['host']}" if holder else "starting or ending"


def id_of(path: str) -> str:
    """The trial that a folder belongs to, by its path or name."""
    return path.rpartition("/")[2].rpartition(",")[2]


def config_of(folder: Path) -> dict[str, Any]:
    """The configuration in a trial's ``trial.json``."""
    data = _read_json(folder / "trial.json") or {}
    return dict(data.get("config", {}))


def status_of(folder: Path, data: Mapping[str, Any] | None = None) -> Status:
    """The status in a trial's ``trial.json``, or in what was read of it."""
    path = folder / "trial.json"
    data = _read_json(path) if data is None else data
    try:
        return Status((data or {}).get("status", Status.PENDING))
    except ValueError as error:
        raise _damaged(path, str(error)) from None


def read_history(folder: Path) -> list[Report]:
    """The reports of a trial so far; what follows a damaged line is not read."""
    try:
        lines = (folder / "history.jsonl").read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    history: list[Report] = []
    for line in lines:
        try:
            data = json.loads(line)
            metrics = {key: _number(value) for key, value in data["metrics"].items()}
            report = Report(data["step"], metrics, data["seconds"], data["checkpoint"])
        except (ValueError, KeyError, TypeError):
            break
        if report.step != len(history):
            break
        history.append(report)
    return history


def append_report(folder: Path, report: Report) -> None:
    """Add a line to a trial's history, in one write."""
    with (folder / "history.jsonl").open("ab", buffering=0) as file:
        file.write(_report_line(report))


def rewrite_history(folder: Path, history: Iterable[Report]) -> None:
    """Replace a trial's history, to go on from an earlier report."""
    _land_bytes(folder / "history.jsonl", b"".join(map(_report_line, history)))


def _report_line(report: Report) -> bytes:
    """One line of strict JSON: NaN and infinities, which JSON lacks, are written as text."""
    metrics = {k: v if math.isfinite(v) else str(v) for k, v in report.metrics.items()}
    return json.dumps({**asdict(report), "metrics": metrics}, allow_nan=False).encode() + b"\n"


def _number(value: Any) -> float:
    return float(value) if isinstance(value, str) else value


def keep_checkpoint(folder: Path, step: int, checkpoint: Path | None) -> str | None:
    """A checkpoint's path relative to the trial's folder; one from elsewhere is copied into it.

    Of the copies, the last two are kept.
    """
    if checkpoint is None:
        return None
    source = Path(checkpoint).absolute()
    if source.is_relative_to(folder):
        return source.relative_to(folder).as_posix()
    copies = folder / "checkpoints"
    target = copies / f"{step:05d}{source.suffix}"
    part = copies / f".{target.name}.part"
    copies.mkdir(exist_ok=True)
    _remove(part)
    shutil.copytree(source, part) if source.is_dir() else shutil.copy2(source, part)
    _remove(target)
    os.replace(part, target)  # noqa: PTH105
    for old in sorted(c for c in copies.iterdir() if c.name <= target.name)[:-2]:
        _remove(old)
    return target.relative_to(folder).as_posix()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DirectoryError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise _damaged(path, f"not JSON: {error}") from None
    if not isinstance(data, dict):
        raise _damaged(path, "not a JSON object")
    return data


def _damaged(path: Path, what: str) -> DirectoryError:
    return DirectoryError(f"{path} is damaged ({what}); delete it and run the sweep again")


def _land(path: Path, data: Any) -> None:
    _land_bytes(path, json.dumps(data, indent=1).encode() + b"\n")


def _land_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)  # noqa: PTH105

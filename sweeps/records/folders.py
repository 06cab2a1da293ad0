"""Which folder is a trial's: what only looks like one is never taken for it.

A trial's folder is named by its swept values and ends with its id. It stays where it was begun,
also if the trial would be named otherwise today; but copies, and folders that people have made, may
end in the same word. The record inside decides.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sweeps.definition.space import Origin, Trial
from sweeps.errors import DirectoryError
from sweeps.records.atomic import DamagedRecord, read_json
from sweeps.records.record import Status
from sweeps.records.schema import OriginEntry

_BEGUN_HERE, _COPY, _DAMAGED, _NOT_THEIRS = range(4)


class TrialFolders:
    """The folders in ``trials/``, by the id that each ends in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, list[str]] = defaultdict(list)
        try:
            names = sorted(os.listdir(folder)) if folder.is_dir() else []  # noqa: PTH208
        except OSError as error:
            raise DirectoryError(f"{folder} cannot be read: {error.strerror}") from None
        for name in names:
            self._names[id_of(name)].append(name)

    def of(self, trial: Trial) -> Path:
        """Where a trial is, or would be put."""
        names = self._names[trial.id]
        if names != [trial.name]:
            theirs = self._theirs(trial.id, names)
            named = [trial.name] if trial.name in theirs else []
            self._names[trial.id] = names = [*named, *theirs, trial.name][:1]
        return self._folder / names[0]

    def all(self) -> list[Trial]:
        """The trials whose records are here, in the order of their folders' names."""
        found = []
        for key, names in self._names.items():
            for name in self._theirs(key, names)[:1]:
                folder = self._folder / name
                try:
                    config, origin = config_of(folder), origin_of(folder)
                except DamagedRecord:
                    config, origin = {}, None
                found.append(Trial(key, config, name, origin))
        return sorted(found, key=lambda trial: trial.name)

    def _theirs(self, key: str, names: Sequence[str]) -> list[str]:
        """Those of the folders that hold a trial's record: where it was begun, copies, damaged."""
        ranked = [(self._rank(key, name), name) for name in names]
        return [name for rank, name in sorted(ranked) if rank < _NOT_THEIRS]

    def _rank(self, key: str, name: str) -> int:
        try:
            data = read_json(self._folder / name / "trial.json")
        except DamagedRecord:
            return _DAMAGED
        if not data or data.get("id") != key:
            return _NOT_THEIRS
        return _BEGUN_HERE if data.get("folder") == name else _COPY


def id_of(path: str) -> str:
    """The trial that a folder belongs to, by its path or name."""
    return path.rpartition("/")[2].rpartition(",")[2]


def config_of(folder: Path) -> dict[str, Any]:
    """The configuration in a trial's ``trial.json``; raises :class:`DamagedRecord`."""
    config = (read_json(folder / "trial.json") or {}).get("config", {})
    if not isinstance(config, dict):
        raise DamagedRecord(folder / "trial.json", "not the record of a trial")
    return config


def until_of(folder: Path) -> int | None:
    """The epoch in a trial's ``trial.json`` at which it stops for now."""
    until = (read_json(folder / "trial.json") or {}).get("until")
    return until if isinstance(until, int) else None


def status_of(folder: Path) -> Status:
    """The status in a trial's ``trial.json``."""
    return Status((read_json(folder / "trial.json") or {}).get("status", Status.PENDING))


def origin_of(folder: Path) -> Origin | None:
    """Where a trial goes on from, by its ``trial.json``; mostly nowhere."""
    data = (read_json(folder / "trial.json") or {}).get("origin")
    try:
        found = OriginEntry.model_validate(data) if data else None
    except ValueError:
        raise DamagedRecord(folder / "trial.json", "not the record of a trial") from None
    return Origin(found.parent, found.epoch) if found else None

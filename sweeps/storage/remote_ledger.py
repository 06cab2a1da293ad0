"""The ledger of a sweep whose directory is on storage that is not of this machine.

It is read and written in a local copy, which ends with this object. The records are fetched; of
other files (events, checkpoints) the copy holds the names, so that they can be listed and deleted.
"""

import os
import shutil
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweeps.definition.places import as_place, is_remote, join
from sweeps.records.atomic import DamagedRecord
from sweeps.records.ledger import Ledger
from sweeps.records.record import Overview, Record
from sweeps.storage.lease import FILE, Lease
from sweeps.storage.mirror import Mirror, is_record
from sweeps.storage.scratch import Scratch


def open_ledger(where: str | os.PathLike[str]) -> Ledger:
    """The ledger of a directory, given by its path or URI."""
    place = as_place(where)
    return MirroredLedger(place) if is_remote(place) else Ledger(Path(place))


class MirroredLedger(Ledger):
    """Reads and writes the records below one URI."""

    holds_events = False

    def __init__(self, uri: str) -> None:
        scratch = Scratch()
        weakref.finalize(self, scratch.remove)
        local = scratch.path / "copy"
        local.mkdir()
        super().__init__(local)
        self.where = uri
        self.files = self.mirror = Mirror(uri, local)
        self._lease = Lease(self.mirror)
        self.fetch()

    @property
    def for_workers(self) -> str:
        return self.where

    def fetch(self, path: str = "") -> None:
        self.mirror.pull(path, contents=lambda p: is_record(p) and not p.startswith("earlier/"))
        (self.directory / FILE).unlink(missing_ok=True)
        self._folders = None

    def bring(self, path: str) -> None:
        above = path.rpartition("/")[0]
        self.mirror.pull(above, lambda p: is_record(p) or p == path or p.startswith(f"{path}/"))

    def store(self, path: str = "") -> None:
        self._lease.check()
        self.mirror.push(path)

    def check_usable(self, name: str) -> None:
        super().check_usable(name)
        self.mirror.check_writable()

    @contextmanager
    def held(self) -> Iterator[None]:
        self._lease.take()
        try:
            self.fetch()
            self.trials_dir.mkdir(exist_ok=True)
            yield
        finally:
            self._lease.give()

    def is_held(self) -> bool:
        return self._lease.is_held()

    def write_overview(self, overview: Overview) -> None:
        super().write_overview(overview)
        self.store("sweep.json")

    def write(self, record: Record) -> None:
        super().write(record)
        self.store(record.path)

    def set_aside(self) -> Path | None:
        target = super().set_aside()
        if target is None:
            return None
        path = target.relative_to(self.directory).as_posix()
        for name in ("sweep.json", "manifest.json"):
            if (self.directory / path / name).exists():
                self.store(f"{path}/{name}")
        shutil.rmtree(self.directory / path / "trials")
        self.mirror.move("trials", f"{path}/trials")
        self.fetch()
        self.trials_dir.mkdir(exist_ok=True)
        return target

    def _read_sweep(self) -> Overview | None:
        try:
            return super()._read_sweep()
        except DamagedRecord as damage:
            raise DamagedRecord(join(self.where, "sweep.json"), damage.why) from None

"""Files of a sweep's directory by their paths in it, wherever it is: requests, and what is shown.

Records have their own rules, and are the ledger's; these are written and deleted one at a time.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from sweeps.errors import DirectoryError
from sweeps.records.atomic import land


class Files(Protocol):
    """What a directory on any kind of storage does.

    Attributes:
        look_every: seconds between two looks, so that looking costs nothing to speak of.
    """

    look_every: float

    def read(self, path: str) -> bytes | None:
        """What a file holds, ``None`` if there is none."""

    def write(self, path: str, content: bytes) -> None:
        """Make a file, with its folder; it lands whole."""

    def delete(self, path: str) -> None:
        """Delete a file, if it is there; its folder stays."""

    def names(self, folder: str) -> Sequence[str]:
        """The files in a folder, sorted; none if it is not there."""


class LocalFiles:
    """Those of a folder that this machine sees."""

    look_every = 0.05

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, path: str) -> bytes | None:
        try:
            return (self._folder / path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DirectoryError(
                f"{self._folder}/{path} cannot be read: {error.strerror}"
            ) from None

    def write(self, path: str, content: bytes) -> None:
        file = self._folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        land(file, content)

    def delete(self, path: str) -> None:
        (self._folder / path).unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        return sorted(file.name for file in (self._folder / folder).glob("[!.]*"))

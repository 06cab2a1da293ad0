"""Files that land whole or not at all, and are checked when they are read."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from sweeps.errors import DirectoryError


class DamagedRecord(DirectoryError):
    """A record holds something else than was written."""

    def __init__(self, path: Path | str, why: str) -> None:
        self.why = why
        self.what = f"{path} is damaged ({why})"
        super().__init__(
            f"{self.what}; run the sweep again: it is written anew, and what has finished is kept"
        )


def land(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)  # if it is a link, it is not written through
    part.write_bytes(content)
    os.replace(part, path)  # noqa: PTH105


def land_json(path: Path, data: Any) -> None:
    """Write a file of JSON, indented for people."""
    land(path, json.dumps(data, indent=1).encode() + b"\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """The object that a file of JSON holds, ``None`` if there is no file.

    Raises:
        DamagedRecord: it holds something else.
        DirectoryError: it cannot be read.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DirectoryError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DamagedRecord(path, f"not JSON: {error}") from None
    if not isinstance(data, dict):
        raise DamagedRecord(path, "not a JSON object")
    return data


def remove(path: Path) -> None:
    """Delete a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

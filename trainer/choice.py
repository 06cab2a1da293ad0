"""Whether members train as an array, kept in their folders: asked again, the answer is the same.

A timing is never twice the same, and an array sums in another order than its members alone. A run
that was interrupted goes on as it began, or its numbers would not be those of one left alone.
"""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

FILE = "array.json"


def read(folders: Iterable[Path | None]) -> dict[str, Any] | None:
    """What was chosen when these began, if they did so together; ``None`` if nothing was."""
    found = [_read(folder) for folder in folders]
    return found[0] if found and all(one == found[0] for one in found) else None


def write(folders: Iterable[Path | None], *, together: bool, because: str) -> None:
    """Keep what was chosen, and why."""
    content = json.dumps({"together": together, "because": because})
    for folder in folders:
        if folder is not None:
            part = folder / f"{FILE}.part"
            with suppress(OSError):  # a full disk is told by the checkpoint
                part.write_text(content, encoding="utf-8")
                os.replace(part, folder / FILE)  # noqa: PTH105


def _read(folder: Path | None) -> dict[str, Any] | None:
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8")) if folder else None
    except (OSError, ValueError):  # none, or damaged: it is chosen anew
        return None
    return content if isinstance(content, dict) and "together" in content else None

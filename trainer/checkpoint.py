"""A training run's state as a file: weights, optimizer, random state, epoch.

Files hold tensors and plain values only and are read with ``weights_only=True``, so a file from
elsewhere cannot run code.
"""

import io
import os
import pickle  # its error alone  # nosec B403
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

KEEP = 2
"""Checkpoints kept per run: the latest, and the one before in case the latest is damaged."""


class CheckpointError(Exception):
    """A checkpoint cannot be read, or is of another model."""


def save(folder: Path, state: dict[str, Any], step: int) -> Path:
    """Write ``checkpoint-<step>.pt`` so that it is there whole or not at all; drop older ones."""
    path = folder / f"checkpoint-{step:05d}.pt"
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)  # if it is a link, it is not written through
    try:
        content = io.BytesIO()  # given a file, torch would hide why it cannot be written
        torch.save(state, content)
        part.write_bytes(content.getbuffer())
        os.replace(part, path)  # noqa: PTH105
    finally:
        part.unlink(missing_ok=True)
    for old in sorted(p for p in folder.glob("checkpoint-*.pt") if _step(p) <= step)[:-KEEP]:
        old.unlink()
    return path


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Raises:
        CheckpointError: the file is missing, damaged, or holds more than tensors and plain values.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load does not compare the checksums
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(f"{damaged} is damaged")
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's own advice is to read it all the same
        raise CheckpointError(
            f"{path} is not a readable checkpoint: it holds more than tensors and plain values, or"
            " is damaged; none of it was run"
        ) from error
    except Exception as error:  # unpickling what is damaged can raise anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} is not a readable checkpoint: {reason}") from error
    return state


def _step(path: Path) -> int:
    found = re.fullmatch(r"checkpoint-(\d+)\.pt", path.name)
    return int(found[1]) if found else -1

"""Where a sweep's directory is: a path of this machine, or a URI of some storage."""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from sweeps.errors import StorageError


def is_remote(where: str | os.PathLike[str]) -> bool:
    """Whether a place is named by a URI of some storage, and not by a path."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", os.fspath(where))
    return scheme is not None and scheme[1].lower() != "file"


def as_place(where: str | os.PathLike[str]) -> str:
    """A path, also one that was given as a ``file://`` URI, or a URI that may be used.

    Raises:
        StorageError: it is a URI that holds credentials.
    """
    text = os.fspath(where)
    if not text:
        raise StorageError("a directory must have a name, got ''")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/(?!/)", text):
        local = text.lower().startswith("file:")  # whose host, between two and a third, is empty
        where = text.replace(":/", ":///" if local else "://", 1)
        raise StorageError(f"a URI has two slashes after its colon, got {text}; write {where}")
    if not is_remote(text):
        return unquote(urlsplit(text).path) if text.lower().startswith("file://") else text
    parts = urlsplit(text)
    if "@" in parts.netloc:
        shown = urlunsplit(parts._replace(netloc=f"...@{parts.netloc.rpartition('@')[2]}"))
        raise StorageError(
            f"storage: must not hold credentials, got {shown}: they would stand in the records;"
            " give them by the environment (AWS_ACCESS_KEY_ID, AWS_PROFILE, ...)"
        )
    if not parts.netloc:
        raise StorageError(f"storage: a URI must name a bucket or host, got {text}")
    return urlunsplit(parts._replace(path=parts.path.rstrip("/")))


def join(where: str, *names: str) -> str:
    """A place below another, as a person or a program would name it."""
    if not is_remote(where):
        return str(Path(where, *names))
    parts = urlsplit(where)
    return urlunsplit(parts._replace(path="/".join([parts.path.rstrip("/"), *names])))

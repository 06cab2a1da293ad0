"""Values given from Python, as a sweep file would have them."""

import os
from collections.abc import Mapping
from typing import Any

from sweeps.errors import SweepsError


def to_plain(value: Any, place: str) -> Any:
    """A number, text, truth value, ``None``, list or mapping that means the same.

    NumPy's numbers and arrays, tuples, ranges and paths become these.

    Args:
        place: the dotted path of the value, for messages.

    Raises:
        SweepsError: it is a class, a function or a module, which no file can hold.
    """
    if isinstance(value, Mapping):
        return {key: to_plain(inner, f"{place}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple | range):
        return [to_plain(inner, place) for inner in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, type) or (callable(value) and hasattr(value, "__name__")):
        name = value.__name__
        kind = "class" if isinstance(value, type) else "function"
        raise SweepsError(
            f"{place}: must be a plain value, got the {kind} {name}; give its name, {name!r}, and"
            " look it up in the training function, as in getattr(torch.nn, name)"
        )
    if hasattr(value, "tolist"):  # NumPy's and torch's
        return value.tolist()
    return value

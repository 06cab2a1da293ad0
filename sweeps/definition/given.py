"""A sweep as it was given: a file's mapping, or Python's own values and a function."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sweeps.definition.find import SearchPath, own_program, places
from sweeps.definition.plain import to_plain
from sweeps.definition.resolve import Resolved, resolve, resolve_function
from sweeps.definition.source import code_of, is_named


@dataclass(frozen=True)
class Given:
    """What was given.

    Attributes:
        definition: as a sweep file would have it; ``train`` is a name.
        function: the trainable, if it was given as an object.
        search: where its module is looked for otherwise.
    """

    definition: dict[str, Any]
    function: Any
    search: SearchPath

    @classmethod
    def read(
        cls, definition: Mapping[str, Any], path: Path | None, *, is_shipped: bool = False
    ) -> Self:
        """Take a definition.

        Args:
            path: of its file, if it is one of the user's.

        Raises:
            SweepsError: a value or the trainable has a form that cannot be taken.
        """
        train = definition.get("train")
        plain = {key: to_plain(value, key) for key, value in definition.items() if key != "train"}
        if isinstance(train, str):
            name, search = places(train, path, is_shipped=is_shipped)
            return cls({**definition, **plain, "train": name}, None, search)
        search = SearchPath((os.getcwd(),))  # noqa: PTH109
        if not callable(train):
            return cls({**definition, **plain}, None, search)
        return cls({**definition, **plain, "train": _name(train)}, train, search)

    def resolve(self, train: str) -> Resolved:
        """The trainable; raises :class:`SweepsError` if there is none that can be used."""
        if self.function is not None:
            return resolve_function(self.function, train)
        with own_program():
            return resolve(train, self.search)


def _name(function: Any) -> str:
    """``module:function``, or for one that no module has by its name ``function@checksum``."""
    name = getattr(function, "__name__", type(function).__name__).strip("<>")
    module = is_named(function)
    return f"{module.__name__}:{name}" if module else f"{name}@{code_of(function)[:8]}"

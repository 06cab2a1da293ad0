"""What a function reads of a configuration, found by watching it.

From this it follows which parameters nobody reads, which are missing, and which configurations
have the same data or the same model, without the user declaring any of it.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class MissingParameter(KeyError):
    """A function has read a parameter that the configuration does not have."""

    def __init__(self, name: str, reader: str) -> None:
        super().__init__(name)
        self.name, self.reader = name, reader

    def __str__(self) -> str:
        return f"{self.reader} reads the parameter {self.name!r}, which is not set"


class Reading(Mapping[str, Any]):
    """A configuration that notes what is read of it; ``reader`` is named in messages."""

    def __init__(self, config: Mapping[str, Any], reader: str) -> None:
        self._config, self._reader = config, reader
        self.names: dict[str, None] = {}

    def __getitem__(self, name: str) -> Any:
        self.names[name] = None
        if name not in self._config:
            raise MissingParameter(name, self._reader)
        return self._config[name]

    def __contains__(self, name: object) -> bool:
        self.names[str(name)] = None
        return name in self._config

    def __iter__(self) -> Iterator[str]:
        """Who goes through all parameters has read them all."""
        self.names |= dict.fromkeys(self._config)
        return iter(self._config)

    def __len__(self) -> int:
        return len(self._config)


class Recall(Generic[Value]):
    """A function of a configuration that is called once for all that look alike to it.

    Args:
        function: reads its configuration, and nothing else that changes.
        reader: its name in messages.
        names: what it reads, where that is known; it is then not called to find out.
        keep: how many of the values last used are kept.
    """

    def __init__(
        self,
        function: Callable[[Mapping[str, Any]], Value],
        reader: str,
        names: Sequence[str] | None = None,
        keep: int | None = None,
    ) -> None:
        self._function, self._reader, self._keep = function, reader, keep
        self._declared = None if names is None else tuple(names)
        self._seen: dict[tuple[str, ...], set[str]] = {}
        self._values: OrderedDict[str | None, Value] = OrderedDict()

    def __call__(self, config: Mapping[str, Any]) -> Value:
        names = self._known(config)
        text = None if names is None else _text(config, names)
        if text in self._values:
            self._values.move_to_end(text)
            return self._values[text]
        reading = Reading(config, self._reader)
        found = self._function(reading)
        self._remember(config, reading.names, found)
        return found

    def _remember(self, config: Mapping[str, Any], read: Collection[str], found: Value) -> None:
        names = tuple(sorted(read)) if self._declared is None else self._declared
        if undeclared := set(read) - set(names):
            raise ValueError(
                f"{self._reader} reads {', '.join(sorted(undeclared))} beside the parameters that"
                f" it is said to read: {', '.join(names) or 'none'}"
            )
        text = _text(config, names)
        self._seen.setdefault(names, set()).add(text)
        self._values[text] = found
        while self._keep is not None and len(self._values) > self._keep:
            self._values.popitem(last=False)

    def reads(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """What the function reads of a configuration: names, and their values if they are set."""
        names = self._known(config)
        if names is None:
            self(config)
            names = self._known(config) or ()
        return {name: config.get(name) for name in names}

    def _known(self, config: Mapping[str, Any]) -> tuple[str, ...] | None:
        """What it has read of a configuration that looked the same to it."""
        if self._declared is not None:
            return self._declared
        for names, seen in self._seen.items():
            if _text(config, names) in seen:
                return names
        return None


def _text(config: Mapping[str, Any], names: Sequence[str]) -> str:
    """The named parameters, with their types: True is not 1."""
    return " ".join(f"{name}={config[name]!r}" for name in names if name in config)

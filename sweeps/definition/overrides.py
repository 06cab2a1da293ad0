"""``key=value`` on the command line: one value of a sweep file by its path, typed as there."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from sweeps.definition import yaml12
from sweeps.errors import shown


def override(data: dict[str, Any], text: str, keys: Collection[str]) -> str | None:
    """Apply ``dotted.path=value`` in place; what is wrong with it, if anything.

    Args:
        keys: those of a sweep file.
    """
    path, equals, value = text.partition("=")
    if not equals or not all(path.split(".")):
        return f"{text}: an override must be key=value, such as seeds=3 or parameters.lr=0.1"
    *parents, key = path.split(".")
    if not parents and key not in keys:
        return f"{path}: unknown key{_meant(key, keys, data.get('parameters'))}"
    if not value.strip():
        return f"{path}: an override needs a value, got nothing; for none, write {path}=null"
    target = data
    for parent in parents:
        inner = target.setdefault(parent, {})
        if not isinstance(inner, dict):
            return f"{path}: {parent} must be a mapping to have the key {key!r}, got {shown(inner)}"
        target = inner
    try:
        read = yaml12.load(value)
    except yaml12.YamlError as error:
        return f"{path}: {shown(value)} cannot be read as YAML: {yaml12.explain(error)}"
    if parents and (several := _several(read, target.get(key))):
        return f"{path}: several values are a list, got {read}; write '{path}={several}'"
    target[key] = read
    return None


def _several(value: Any, before: Any) -> str | None:
    """The list that is meant by ``0.1,0.2``: numbers, or words in the place of a grid axis."""
    if not isinstance(value, str) or "," not in value or value[:1] in "\"'":
        return None
    parts = [part.strip() for part in value.split(",") if part.strip()]
    plain = not any(yaml12.is_text(part) for part in parts)
    commas = isinstance(before, list) and any("," in str(one) for one in before)
    return f"[{','.join(parts)}]" if plain or (isinstance(before, list) and not commas) else None


def _meant(key: str, keys: Collection[str], parameters: Any) -> str:
    """What an override of an unknown key may have meant: a key, or a parameter."""
    names = parameters if isinstance(parameters, Mapping) else ()
    near = get_close_matches(key, keys, n=1)
    near += [f"parameters.{name}" for name in get_close_matches(key, names, n=1) or [key]]
    return f"; did you mean {' or '.join(map(repr, near))}?"

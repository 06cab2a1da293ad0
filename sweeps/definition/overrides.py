"""``key=value`` on the command line: one value of a sweep file by its path, typed as there."""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from sweeps.definition import yaml12
from sweeps.definition.habits import form_meant
from sweeps.errors import shown


def override(data: dict[str, Any], text: str, keys: Collection[str]) -> str | None:
    """Apply ``dotted.path=value`` in place; what is wrong with it, if anything.

    Args:
        keys: those of a sweep file.
    """
    path, equals, value = text.partition("=")
    if not equals or not all(path.split(".")):
        return f"{text}: an override must be key=value, such as seeds=3 or parameters.lr=0.1"
    if path.startswith("+"):
        return f"{path}: a parameter is added without a sign; write '{text.lstrip('+')}'"
    *parents, key = path.split(".")
    if not parents and key not in keys:
        return f"{path}: unknown key{_meant(key, keys, data.get('parameters'))}"
    if not value.strip():
        return f"{path}: an override needs a value, got nothing; for none, write {path}=null"
    target = data
    for place, parent in enumerate(parents, start=1):
        inner = target.setdefault(parent, {})
        if not isinstance(inner, dict):
            below = [*parents[place:], key]
            whole = ": {".join(below) + f": {value.strip()}" + "}" * len(below)
            return (
                f"{path}: {parent} must be a mapping to have the key {below[0]!r}, got"
                f" {shown(inner)}; write '{'.'.join(parents[:place])}={{{whole}'"
            )
        target = inner
    try:
        read = yaml12.load(value)
    except yaml12.YamlError as error:
        return f"{path}: {shown(value)} cannot be read as YAML: {yaml12.explain(error)}"
    if parents and (several := _several(value.strip(), read, target.get(key))):
        return (
            f"{path}: several values are a list, got {read}; write '{path}={several}',"
            f""" or '{path}="{read}"' for a text with a comma"""
        )
    target[key] = read
    return None


def _several(text: str, value: Any, before: Any) -> str | None:
    """The list that is meant by ``0.1,0.2`` or ``adam,sgd``, as Hydra has it.

    Where there was a text with a comma, another one is meant; so it is in quotes.
    """
    if not isinstance(value, str) or "," not in value or text[:1] in "\"'" or form_meant(value):
        return None
    if any("," in str(one) for one in (before if isinstance(before, list) else [before])):
        return None
    parts = [part.strip() for part in value.split(",") if part.strip()]
    plain = not any(yaml12.is_text(part) for part in parts)
    words = re.fullmatch(r"[\w.+-]+(,[\w.+-]+)+", value)
    return f"[{','.join(parts)}]" if plain or words or isinstance(before, list) else None


def _meant(key: str, keys: Collection[str], parameters: Any) -> str:
    """What an override of an unknown key may have meant: a key, or a parameter."""
    names = parameters if isinstance(parameters, Mapping) else ()
    near = get_close_matches(key, keys, n=1)
    near += [f"parameters.{name}" for name in get_close_matches(key, names, n=1) or [key]]
    return f"; did you mean {' or '.join(map(repr, near))}?"

"""Values, names and messages as text: what people read is what is there, and nothing in it acts.

Configurations and messages come from anybody's files and functions. An escape sequence in one could
clear a terminal, a line end could break a table, a mark of direction could turn a line around: such
characters are shown by their codes, all others as they are.
"""

import json
import math
import re
import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from sweeps.definition import yaml12

LONGEST_VALUE = 60
"""Letters of a value in a table or line."""

_JOINERS = "\u200c\u200d"  # parts of words and of pictures
_SIGNIFICANT = 4


def harmless(text: str, *, keep: str = "") -> str:
    """The text with every character that would act on a terminal or line shown by its code."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in keep or not _acts(c) else _code(c) for c in text)


def one_line(text: str, longest: int | None = None) -> str:
    """The text on one line, cut to so many letters."""
    whole = harmless(text[: 4 * longest] if longest else text)
    return f"{whole[: longest - 3]}..." if longest and len(whole) > longest else whole


def format_value(value: Any, longest: int | None = LONGEST_VALUE) -> str:
    """A value as people write it in YAML, on one line; of a drawn number, six digits."""
    if isinstance(value, str):
        return one_line(value, longest) or "''"
    return one_line(_flow(value), longest)


def in_name(value: Any) -> str:
    """A value as a part of the name of a folder: ``64+32`` for a list, ``a=1+b=2`` for a map."""
    if isinstance(value, Mapping):
        return "+".join(f"{in_name(key)}={in_name(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return "+".join(map(in_name, value))
    safe = re.sub(r"[^\w.=+-]+", "_", value if isinstance(value, str) else format_value(value))
    return safe[:LONGEST_VALUE].strip("_") or "_"


def typed(place: str) -> str:
    """A path or URI as it is to be typed in a shell, where it is taken for no option."""
    return shlex.quote(f"./{place}" if place.startswith("-") else place)


def numbers(values: Sequence[float | None]) -> list[str]:
    """Numbers of one kind as text, with as many digits as tell them apart; empty for none.

    Four digits of the middle one are shown, up to six where that tells more of them apart; all
    have as many decimals.
    """
    known = [value for value in values if value is not None]
    finite = {value for value in known if math.isfinite(value)}
    if all(isinstance(value, int) for value in finite):
        return ["" if value is None else f"{value:,}" for value in values]
    sizes = sorted(math.floor(math.log10(abs(value))) for value in finite if value) or [0]
    middle, fixed = sizes[len(sizes) // 2], sizes[len(sizes) // 2] >= -4 and sizes[-1] < 9
    start = max(_SIGNIFICANT - 1 - middle, 0) if fixed else _SIGNIFICANT - 1
    places = next((n for n in (start, start + 1) if _apart(finite, n, fixed)), start + 2)
    return ["" if value is None else _number(value, places, fixed) for value in values]


def number(value: float) -> str:
    """One number, with at least four digits."""
    return numbers([value])[0]


def _apart(values: set[float], places: int, fixed: bool) -> bool:
    """Whether different numbers look different, also from zero."""
    return len({_number(value, places, fixed) for value in values}) == len(values)


def _number(value: float, places: int, fixed: bool) -> str:
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.{places}f}" if fixed else f"{value:.{places}e}"


def _acts(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind in ("Cc", "Cs", "Zl", "Zp") or (kind == "Cf" and character not in _JOINERS)


def _code(character: str) -> str:
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    code = ord(character)
    return named or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def _flow(value: Any) -> str:
    """YAML's flow style."""
    match value:
        case None | bool():
            return json.dumps(value)
        case float():
            short = f"{value:.6g}"
            return repr(value) if float(short) != value and len(repr(value)) <= 10 else short
        case str():
            plain = re.fullmatch(r"[\w./+-]([\w ./+@%=-]*[\w./+-])?", value)
            return value if plain and yaml12.is_text(value) else json.dumps(value)
        case Mapping():
            items = (f"{_flow(key)}: {_flow(item)}" for key, item in value.items())
            return f"{{{', '.join(items)}}}"
        case list() | tuple():
            return f"[{', '.join(map(_flow, value))}]"
        case _:
            return str(value)

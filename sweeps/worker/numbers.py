"""What is reported, as plain numbers by name."""

from collections.abc import Mapping
from decimal import Decimal
from numbers import Real
from typing import Any


def to_numbers(metrics: Mapping[Any, Any]) -> tuple[dict[str, float], dict[str, str]]:
    """The numbers among the metrics, and what kind of value each other one is.

    A mapping inside of a mapping is named ``outer/inner``, as Ray does it. Numbers are those of
    Python, ``Decimal``, ``Fraction``, NumPy's, and arrays and tensors of one element.
    """
    numbers: dict[str, float] = {}
    others: dict[str, str] = {}
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            inner, other = to_numbers(value)
            numbers |= {f"{key}/{name}": number for name, number in inner.items()}
            others |= {f"{key}/{name}": kind for name, kind in other.items()}
        elif (number := _number(value)) is None:
            others[str(key)] = _kind(value)
        else:
            numbers[str(key)] = number
    return numbers, others


def _number(value: Any) -> float | None:
    try:
        if hasattr(value, "item"):
            value = value.item()
        if isinstance(value, int) and abs(value) < 1 << 63:
            return int(value)
        return float(value) if isinstance(value, Real | Decimal) else None
    except (TypeError, ValueError, RuntimeError, ArithmeticError):  # several elements, say
        return None


def _kind(value: Any) -> str:
    """A value in a few words, such as ``text`` or ``Tensor of shape (3,)``."""
    if value is None or isinstance(value, str):
        return "None" if value is None else "text"
    shape = getattr(value, "shape", None)
    name = type(value).__name__
    return f"{name} of shape {tuple(shape)}" if shape is not None else name

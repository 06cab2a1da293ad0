"""What a trainable takes by name, and which forms are none of ours."""

import inspect
from collections.abc import Callable
from typing import Any

from sweeps.errors import SweepsError, shown

OPTIONAL = frozenset({"report", "log_dir", "resume_from"})


def accepted(function: Any, train: str) -> frozenset[str]:
    """Which of the optional arguments a function takes by name.

    Raises:
        SweepsError: it cannot be called as a trainable; says which form is meant.
    """
    if inspect.isclass(function):
        raise SweepsError(
            f"train: {train} is a class; a trainable is a function, train(config), whose loop does"
            " what the class does in setup() and step()"
        )
    if not callable(function):
        kind = type(function).__name__
        raise SweepsError(f"train: {train} must be a function, got a value of type {kind}")
    called = function if inspect.isroutine(function) else type(function).__call__
    if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
        raise SweepsError(
            f"train: {train} is async; a trainable is a plain function, train(config), which may"
            " call asyncio.run(...) inside"
        )
    try:
        signature = inspect.signature(_undecorated(function))
        accepts = _optional(signature)
        signature.bind({}, **dict.fromkeys(accepts))
    except (TypeError, ValueError) as error:
        raise SweepsError(
            f"train: {train} must be callable as train(config), and may take report, log_dir and"
            f" resume_from by name: {error}{_hint(function)}"
        ) from None
    if _is_blank(signature):
        raise SweepsError(
            f"train: {train} takes {signature}, which does not say what it is called with: if it is"
            " decorated, let the decorator use functools.wraps"
        )
    return accepts


def _optional(signature: inspect.Signature) -> frozenset[str]:
    if any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return OPTIONAL
    return OPTIONAL & signature.parameters.keys()


def _undecorated(function: Callable[..., Any]) -> Callable[..., Any]:
    """The one function that a decorator without ``functools.wraps`` has wrapped, if it is clear."""
    if not _is_blank(inspect.signature(function)):
        return function
    cells = getattr(function, "__closure__", None) or ()
    held = [cell.cell_contents for cell in cells] or list(
        getattr(function, "__dict__", {}).values()
    )
    inner = [value for value in held if inspect.isfunction(value) or inspect.ismethod(value)]
    return _undecorated(inner[0]) if len(inner) == 1 else function


def _is_blank(signature: inspect.Signature) -> bool:
    """Whether it is ``(*args, **kwargs)``."""
    kinds = {p.kind for p in signature.parameters.values()}
    return kinds == {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}


def _hint(function: Any) -> str:
    """For one that takes the parameters of a sweep one by one: how to get at them."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ""
    if not names:
        return "; it takes nothing"
    listed = ", ".join(names)
    values = ", ".join(f"config[{shown(name)}]" for name in names if name not in OPTIONAL)
    return f"; it takes ({listed}): inside train(config), these are {values}" if values else ""

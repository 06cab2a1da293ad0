"""Which functions of torch have a form for arrays, and what a form is.

A form is a function like torch's own, with the same arguments, whose tensors have one dimension
more in front: the members. What the forward of one model would give to

    F.prelu(x, weight)          x (N, C, ...), weight (C)

an array gives, for all K members at once, to the form

    @form(F.prelu)
    def prelu(x, weight):       x (K, N, C, ...), weight (K, C)

All tensors have that dimension, also those that are the same for all members. A function without a
form goes through ``torch.vmap``: right, but slower to start.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from torch import Tensor

FORMS: dict[Any, Callable[..., Any]] = {}
"""For each of torch's functions what chooses its form: given the arguments, as for one model."""

RANDOM: set[Any] = set()
"""Functions whose form draws from the members' streams, which it is given as ``streams=``."""

Form = TypeVar("Form", bound=Callable[..., Any])


def form(*functions: Any, random: bool = False) -> Callable[[Form], Form]:
    """The decorated function is the form of these functions."""

    def register(physical: Form) -> Form:
        chosen(*functions)(lambda function, *args, **kwargs: physical)
        if random:
            RANDOM.update(functions)
        return physical

    return register


def chosen(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The decorated function chooses the form of these functions by one model's arguments.

    Before them it is given the function. It returns ``None`` where there is no form for them, and
    ``torch.vmap`` takes over.
    """

    def register(choose: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            FORMS[function] = choose
        return choose

    return register


def after(dim: int) -> int:
    """One model's dimension in an array: counted from the end it stays what it is."""
    return dim + 1 if dim >= 0 else dim


def aligned(*tensors: Tensor) -> list[Tensor]:
    """Tensors whose dimensions behind the members' broadcast as one model's would."""
    dims = max(tensor.dim() for tensor in tensors)
    return [
        t if t.dim() == dims else t.reshape(t.shape[0], *[1] * (dims - t.dim()), *t.shape[1:])
        for t in tensors
    ]


def named(names: str, *places: Any) -> list[Any]:
    """The functions of these names, where a place has one."""
    return [getattr(place, name) for name in names.split() for place in places if has(place, name)]


def has(place: Any, name: str) -> bool:
    return callable(getattr(place, name, None))


def properties(names: str) -> list[Any]:
    """The functions that read these attributes of a tensor."""
    return [getattr(Tensor, name).__get__ for name in names.split()]


def flat(shape: Sequence[Any]) -> list[int]:
    """A shape given as one argument or as many."""
    first = shape[0] if len(shape) == 1 else None
    return list(first) if isinstance(first, list | tuple) else list(shape)

"""Who may share an array: models whose description is the same, word for word.

It holds all that a forward can depend on: the modules and their settings, the shapes and types of
parameters and buffers, which of them are trained. What differs without harm is left out: the
numbers in the tensors, and rates of dropout. The models may lie on torch's meta device, where they
cost no memory.
"""

import functools
import types
import zlib
from collections.abc import Iterator
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from trainer.fused.common import CannotFuse
from trainer.reading import Reading

RATES: tuple[tuple[tuple[type[nn.Module], ...], str], ...] = (
    (
        (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout,
         nn.FeatureAlphaDropout),
        "p",
    ),
    ((nn.RNNBase, nn.MultiheadAttention), "dropout"),
)  # fmt: skip
"""Modules whose attribute is a rate of dropout, each member's own."""

INSIDE = {"training", "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"}
"""Attributes of a module that are described otherwise, or say nothing."""

MOST = 200
"""Characters of a value; of a longer one, its beginning and a number that stands for the rest."""


def structure(model: nn.Module) -> str:
    """A model's description, a line for each module, parameter and buffer.

    Raises:
        CannotFuse: the model does what no array could, as a hook does.
    """
    return "\n".join(f"{name}: {said}" for name, said in _lines(model))


def difference(one: nn.Module | str, other: nn.Module | str) -> str | None:
    """The first thing in which two models, or their descriptions, differ, in a line."""
    first, second = (
        dict(line.split(": ", 1) for line in _text(model).splitlines()) for model in (one, other)
    )
    for name in (*first, *second):
        mine, others = first.get(name), second.get(name)
        if mine == others:
            continue
        if mine is None or others is None:
            return f"{name}: only one of the models has it ({mine or others})"
        return f"{name}: {mine} in one of the models, {others} in another"
    return None


def rates_of(model: nn.Module) -> dict[tuple[str, str], float]:
    """The rates of dropout, by the module's name and the attribute's."""
    found = {}
    for name, module in model.named_modules():
        for kinds, attribute in RATES:
            if isinstance(module, kinds):
                found[name, attribute] = float(getattr(module, attribute))
    return found


def _text(model: nn.Module | str) -> str:
    return model if isinstance(model, str) else structure(model)


def _lines(model: nn.Module) -> Iterator[tuple[str, str]]:
    known: dict[int, str] = {}
    for name, module in model.named_modules():
        shown = name or "the model"
        _check_hooks(shown, module)
        yield shown, _module(module)
        for kind, tensors in (("", module._parameters), ("buffer ", module._buffers)):
            for own, tensor in tensors.items():
                if tensor is not None:
                    _check_tensor_hooks(f"{shown}.{own}", tensor)
                full = f"{name}.{own}" if name else own
                yield full, kind + _tensor(tensor, known.setdefault(id(tensor), full), full)


def _module(module: nn.Module) -> str:
    kind = type(module)
    name = _qualified(kind)
    ours = kind.__module__.startswith("torch.nn")  # whose private attributes follow from others
    rates = {attribute for kinds, attribute in RATES if isinstance(module, kinds)}
    settings = [
        f"{key}={_value(value)}"
        for key, value in sorted(vars(module).items())
        if key not in INSIDE | rates
        and not _is_hooks(key)
        and value is not None
        and not (ours and key.startswith("_"))
    ]
    return f"{name}({', '.join(settings)})"


def _tensor(tensor: Tensor | None, first: str, name: str) -> str:
    if tensor is None:
        return "none"
    shape = "x".join(map(str, tensor.shape)) or "one number"
    said = f"{shape} {str(tensor.dtype).removeprefix('torch.')}"
    if isinstance(tensor, nn.Parameter) and not tensor.requires_grad:
        said += ", not trained"
    return said if first == name else f"{said}, the same as {first}"


def _value(value: Any, depth: int = 0) -> str:
    """An attribute, by what it holds; what holds nothing to be seen, by its type."""
    match value:
        case Tensor():
            return _tensor(value, "", "")
        case nn.Module():
            return type(value).__name__
        case Reading():
            return "the configuration"  # what depends on it shows in the modules, or when compared
        case list() | tuple() | set() | frozenset() if depth < 4:
            parts = [_value(one, depth + 1) for one in value]
            said = ", ".join(sorted(parts) if isinstance(value, set | frozenset) else parts)
            return f"{type(value).__name__}({said})"
        case dict() if depth < 4:
            pairs = (f"{_value(k)}={_value(v, depth + 1)}" for k, v in value.items())
            return f"{{{', '.join(pairs)}}}"
        case functools.partial():
            return f"partial({_value(value.func)}, {_value([value.args, value.keywords], depth)})"
        case types.FunctionType():
            return _function(value)
        case type() | types.BuiltinFunctionType():
            return _qualified(value)
        case types.MethodType():
            return _function(value.__func__)  # type: ignore[arg-type]
        case bool() | int() | float() | complex() | str() | bytes() | None:
            return repr(value)
    if vars(type(value)).get("__repr__") is None:
        held = getattr(value, "__dict__", {})
        return f"{_qualified(type(value))}({_value(held, depth + 1) if depth < 4 else ''})"
    return _short(repr(value))


def _function(function: types.FunctionType) -> str:
    """By its name; one without a name of its own also by what it does, and holds."""
    name = _qualified(function)
    if "<" not in name:
        return name
    code, cells = function.__code__, function.__closure__ or ()
    held = [_value(cell.cell_contents) for cell in cells]
    does = zlib.crc32(code.co_code + repr((code.co_consts, code.co_names)).encode())
    return f"{name}#{does:08x}({', '.join(held)})"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MOST else f"{text[:MOST]}... {zlib.crc32(text.encode()):08x}"


def _qualified(thing: Any) -> str:
    place = str(getattr(thing, "__module__", ""))
    name = getattr(thing, "__qualname__", repr(thing))
    return name if place.startswith("torch") or not place else f"{place}.{name}"


def _is_hooks(name: str) -> bool:
    return "_hook" in name or name in ("_is_full_backward_hook", "call_super_init")


def _check_tensor_hooks(name: str, tensor: Tensor) -> None:
    if tensor._backward_hooks or getattr(tensor, "_post_accumulate_grad_hooks", None):
        raise CannotFuse(f"{name}: a parameter with hooks")


def _check_hooks(name: str, module: nn.Module) -> None:
    for attribute, hooks in vars(module).items():
        if attribute.endswith("_hooks") and hooks and "state_dict" not in attribute:
            raise CannotFuse(f"{name}: {type(module).__name__} has hooks")
    if isinstance(module, torch.jit.ScriptModule):
        raise CannotFuse(f"{name}: a module of torch.jit")


Attributes: TypeAlias = dict[str, tuple[Tensor, Tensor]]


def attributes(member: nn.Module) -> Attributes:
    """The tensors that modules hold beside parameters and buffers, and their values."""
    found = {}
    for name, module in member.named_modules():
        for attribute, value in vars(module).items():
            if attribute not in INSIDE:
                for place, tensor in enumerate(tensors_of(value)):
                    shown = ".".join(part for part in (name, attribute) if part)
                    found[f"{shown} {place}" if place else shown] = tensor, tensor.detach().clone()
    return found


def changed_attribute(before: Attributes, after: Attributes) -> str:
    """The name of one that is another tensor, or of other numbers, than it was; empty if none."""
    for name, (tensor, values) in after.items():
        own, was = before.get(name, (None, values))
        if tensor is not own or not _same(values, was):
            return name
    return ""


def _same(one: Tensor, other: Tensor) -> bool:
    """Also where both are not a number."""
    return one.shape == other.shape and bool(
        ((one == other) | ((one != one) & (other != other))).all()
    )


def tensors_of(value: Any) -> Iterator[Tensor]:
    """All tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for one in value:
            yield from tensors_of(one)
    elif isinstance(value, dict):
        yield from tensors_of(list(value.values()))

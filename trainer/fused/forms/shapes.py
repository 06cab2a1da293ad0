"""What moves, cuts and joins tensors, and computes nothing: each dimension is one further back."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.fused.forms.registry import after, aligned, chosen, flat, form, properties


@form(Tensor.view, Tensor.reshape, torch.reshape)
def reshape(x: Tensor, *shape: Any) -> Tensor:
    """A view alone may be a copy here, as an array's tensors lie otherwise in memory."""
    return x.reshape(x.shape[0], *flat(shape))


@chosen(Tensor.view)
def view(function: Any, x: Tensor, *shape: Any) -> Callable[..., Any]:
    return function if isinstance(shape[0], torch.dtype) else reshape


@form(Tensor.view_as, Tensor.reshape_as)
def reshape_as(x: Tensor, other: Tensor) -> Tensor:
    return x.reshape(other.shape)


@form(torch.flatten, Tensor.flatten)
def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    return x.unsqueeze(1) if x.dim() == 1 else x.flatten(after(start_dim), after(end_dim))


@form(torch.unflatten, Tensor.unflatten)
def unflatten(x: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    return torch.unflatten(x, after(dim), tuple(sizes))


@form(
    torch.transpose, Tensor.transpose, torch.swapaxes, Tensor.swapaxes, torch.swapdims,
    Tensor.swapdims,
)  # fmt: skip
def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    return x.transpose(after(dim0), after(dim1))


@form(torch.t, Tensor.t, *properties("T mT"))
def turned(x: Tensor) -> Tensor:
    return x if x.dim() < 3 else x.transpose(-2, -1)


@form(torch.permute, Tensor.permute)
def permute(x: Tensor, *dims: Any) -> Tensor:
    return x.permute(0, *[after(dim) for dim in flat(dims)])


@form(torch.movedim, Tensor.movedim, torch.moveaxis, Tensor.moveaxis)
def movedim(x: Tensor, source: Any, destination: Any) -> Tensor:
    if isinstance(source, int):
        return x.movedim(after(source), after(destination))
    return x.movedim([after(dim) for dim in source], [after(dim) for dim in destination])


@form(torch.unsqueeze, Tensor.unsqueeze)
def unsqueeze(x: Tensor, dim: int) -> Tensor:
    return x.unsqueeze(after(dim))


@form(torch.squeeze, Tensor.squeeze)
def squeeze(x: Tensor, dim: Any = None) -> Tensor:
    if dim is None:
        dims = [n for n in range(1, x.dim()) if x.shape[n] == 1]
    else:
        dims = [after(one) for one in ([dim] if isinstance(dim, int) else dim)]
    return x.squeeze(dims)


@form(Tensor.expand)
def expand(x: Tensor, *sizes: Any) -> Tensor:
    sizes = tuple(flat(sizes))
    missing = len(sizes) + 1 - x.dim()
    return x.reshape(x.shape[0], *[1] * missing, *x.shape[1:]).expand(x.shape[0], *sizes)


@form(Tensor.expand_as)
def expand_as(x: Tensor, other: Tensor) -> Tensor:
    return aligned(x, other)[0].expand_as(other)


@form(Tensor.repeat)
def repeat(x: Tensor, *sizes: Any) -> Tensor:
    sizes = tuple(flat(sizes))
    missing = len(sizes) + 1 - x.dim()
    return x.reshape(x.shape[0], *[1] * missing, *x.shape[1:]).repeat(1, *sizes)


@form(torch.cat, torch.concat, torch.concatenate)
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    return torch.cat(list(tensors), dim=after(dim))


@form(torch.stack)
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    return torch.stack(list(tensors), dim=after(dim))


@form(torch.split, Tensor.split)
def split(x: Tensor, split_size: Any, dim: int = 0) -> Any:
    return x.split(split_size, dim=after(dim))


@form(torch.chunk, Tensor.chunk)
def chunk(x: Tensor, chunks: int, dim: int = 0) -> Any:
    return x.chunk(chunks, dim=after(dim))


@form(torch.unbind, Tensor.unbind)
def unbind(x: Tensor, dim: int = 0) -> Any:
    return x.unbind(after(dim))


@form(torch.select, Tensor.select)
def select(x: Tensor, dim: int, index: int) -> Tensor:
    return x.select(after(dim), index)


@form(torch.narrow, Tensor.narrow)
def narrow(x: Tensor, dim: int, start: int, length: int) -> Tensor:
    return x.narrow(after(dim), start, length)


@form(torch.flip, Tensor.flip)
def flip(x: Tensor, *dims: Any) -> Tensor:
    return x.flip([after(dim) for dim in flat(dims)])


@chosen(Tensor.__getitem__)
def part(function: Any, x: Tensor, index: Any) -> Callable[..., Any] | None:
    """Slices, numbers, ``None`` and ``...``; picking by tensors is for vmap."""
    return _part if _is_plain(index) else None


def _part(x: Tensor, index: Any) -> Tensor:
    return x[(slice(None), *(index if isinstance(index, tuple) else (index,)))]


@chosen(Tensor.__setitem__)
def put(function: Any, x: Tensor, index: Any, value: Any) -> Callable[..., Any] | None:
    return _put if _is_plain(index) else None


def _put(x: Tensor, index: Any, value: Any) -> None:
    place = _part(x, index)
    place.copy_(aligned(place, value)[1] if isinstance(value, Tensor) else torch.as_tensor(value))


def _is_plain(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    plain = slice | int | type(None) | type(Ellipsis)
    return all(isinstance(one, plain) and not isinstance(one, bool) for one in parts)


@chosen(F.pad)
def pad(
    function: Any, x: Tensor, pad: Sequence[int], mode: str = "constant", value: Any = None
) -> Callable[..., Any] | None:
    """Counted from the last dimension; other modes than constant count the dimensions too."""
    return F.pad if mode == "constant" else None


@form(*properties("data"))
def data(x: Tensor) -> Tensor:
    return x.detach()

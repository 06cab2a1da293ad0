"""Batches of bytes as numbers in lanes, in one pass.

Picking the images of a batch, bringing them side by side and making numbers of them is three passes
over memory in torch, which together take a tenth of a step. Here sixteen images at a time are
turned in registers: sixteen vectors of one image's bytes become as many of one place's.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from trainer.fused.common import MULTIPLE
from trainer.fused.vectors import Code, Holds, Index, Program, this_machine

POINTERS: dict[str, Holds] = {"images": "bytes", "index": "indices", "output": "numbers"}
INDICES = ("models", "images", "size")


def gather(images: Tensor, index: Tensor) -> Tensor:
    """The images at an index, as numbers in [0, 1].

    Args:
        images: uint8 (M, C, H, W), contiguous, of at least 16 bytes each.
        index: int64 (K, N), N a multiple of 16.

    Returns:
        (K, C, H, W, N), of torch's default type: 32 or 64 bits.

    Raises:
        ValueError: the images or the index are not such.
    """
    if index.dtype is not torch.int64 or index.min() < 0 or index.max() >= len(images):
        raise ValueError(f"an index must be whole numbers from 0 to before {len(images)}")
    if (
        images.dtype is not torch.uint8
        or not images.is_contiguous()
        or images[0].numel() < MULTIPLE
    ):
        shown = f"{tuple(images.shape)} of {images.dtype}"
        raise ValueError(f"images must be contiguous bytes, at least 16 in each, got {shown}")
    double = torch.get_default_dtype() is torch.float64
    shape = images.shape[1:]
    index = index.contiguous()
    output = torch.empty(len(index), *shape, index.shape[1])
    addresses = (images.data_ptr(), index.data_ptr(), output.data_ptr())
    _kernel(double)(*addresses, *index.shape, shape.numel())
    return output


@cache
def _kernel(double: bool) -> Callable[..., None]:
    program = Program(this_machine(), double=double)
    code = Code(program, "gather", POINTERS, INDICES)
    images, size = code.indices["images"], code.indices["size"]
    last = size - MULTIPLE
    with (
        code.loop(0, code.indices["models"]) as model,
        code.loop(0, images, MULTIPLE) as first,
    ):
        at = model * images + first
        starts = [code.load_index(code.pointers["index"], at + n) * size for n in range(MULTIPLE)]
        with code.loop(0, size, MULTIPLE) as place:
            from_here = place.at_most(last)  # the last sixteen bytes may be met twice
            _turn(code, starts, from_here, model * size * images + first)
    code.end()
    return program.compile("gather", len(POINTERS), len(INDICES))


def _turn(code: Code, starts: list[Index], place: Index, target: Index) -> None:
    """Sixteen bytes of sixteen images, each place's stored as numbers beside one another."""
    rows = [code.load_bytes(code.pointers["images"], start + place, MULTIPLE) for start in starts]
    half = MULTIPLE // 2
    for _ in range(MULTIPLE.bit_length() - 1):  # each round is one step of a perfect shuffle
        pairs = [code.interleave(rows[n], rows[n + half]) for n in range(half)]
        rows = [row for pair in pairs for row in pair]
    for n, row in enumerate(rows):
        numbers = code.as_numbers(row, 255)
        code.store(numbers, code.pointers["output"], target + (place + n) * code.indices["images"])

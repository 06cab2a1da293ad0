"""Convolutions of many small models on a CPU, at the speed of its multipliers.

A library's convolution makes vectors of channels, and these networks have one to a dozen. Here a
vector holds one pixel of as many images, which are all alike, and the models are a loop around it.
Memory is (models, channels, height, width, images): what a register loads lies side by side. The
kernels are compiled for each shape when it is first met, which takes a few tenths of a second.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainer.fused.backward import BACKWARD, write_backward
from trainer.fused.common import MULTIPLE
from trainer.fused.forward import FORWARD, write_forward
from trainer.fused.tiles import INDICES, Shape
from trainer.fused.vectors import Program, this_machine


class Convolve(torch.autograd.Function):
    """K convolutions, and what follows each of them; see :class:`trainer.fused.tiles.Shape`.

    Images (K, C, H, W, N), N a multiple of 16; weights (K, out, C, down, right); biases (K, out).
    """

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, pooled: bool, rectified: bool
    ) -> Tensor:
        models, outputs, inputs, down, right = weight.shape
        height, width, count = images.shape[2:]
        double = images.dtype is torch.float64
        shape = Shape(inputs, outputs, height, width, (down, right), pooled, rectified, double)
        _check(shape, images, weight, bias)
        if not images[0].is_contiguous():
            images = images.contiguous()
        result = images.new_empty(models, outputs, *shape.stored, count)
        winners = torch.empty(result.shape if pooled else 0, dtype=torch.uint8)
        tensors = (images, weight.contiguous(), bias.contiguous(), result, winners)
        _run(forward_kernel(shape), tensors, images)
        ctx.save_for_backward(images, weight, winners)
        ctx.shape = shape
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        images, weight, winners = ctx.saved_tensors
        kernel = backward_kernel(ctx.shape, to_input=ctx.needs_input_grad[0])
        to_input = images.new_empty(images.shape) if ctx.needs_input_grad[0] else None
        to_weight, to_bias = weight.new_empty(weight.shape), weight.new_empty(weight.shape[:2])
        given = (gradients[0].contiguous(), winners, images, weight.contiguous())
        _run(kernel, (*given, to_input, to_weight, to_bias), images)
        return to_input, to_weight, to_bias, None, None


def _check(shape: Shape, images: Tensor, weight: Tensor, bias: Tensor) -> None:
    """Refuse what the kernels, which read by addresses, would read wrongly or not end at."""
    models, outputs, inputs = weight.shape[:3]
    if weight.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"weights must be of 32 or 64 bits, got {weight.dtype}")
    if not images.dtype == weight.dtype == bias.dtype:
        raise ValueError(f"types must agree, got {images.dtype}, {weight.dtype} and {bias.dtype}")
    if images.shape[:2] != (models, inputs) or bias.shape != (models, outputs):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (images, weight, bias))
        raise ValueError(f"images, weights and biases do not fit one another: {shapes}")
    if images.shape[-1] == 0 or images.shape[-1] % MULTIPLE:
        raise ValueError(f"images must be a multiple of {MULTIPLE}, got {images.shape[-1]}")
    if min(shape.stored) < 1:
        raise ValueError(f"images of {shape.height} x {shape.width} are too small")
    if shape.rectified and not shape.pooled:
        raise ValueError("ReLU is done only together with pooling")


@dataclass(frozen=True)
class Kernel:
    """A compiled kernel, and how many numbers it needs for itself, behind what it is given."""

    call: Callable[..., None]
    scratch: int


@lru_cache(maxsize=64)
def forward_kernel(shape: Shape) -> Kernel:
    """Takes the addresses of ``FORWARD`` and the numbers ``INDICES``."""
    machine = this_machine()
    program = Program(machine, double=shape.double)
    write_forward(program, machine, shape)
    return Kernel(program.compile("forward", len(FORWARD), len(INDICES)), 0)


@lru_cache(maxsize=64)
def backward_kernel(shape: Shape, *, to_input: bool) -> Kernel:
    """Takes the addresses of ``BACKWARD`` and the numbers ``INDICES``."""
    machine = this_machine()
    program = Program(machine, double=shape.double)
    scratch = write_backward(program, machine, shape, to_input=to_input)
    return Kernel(program.compile("backward", len(BACKWARD), len(INDICES)), scratch)


def _run(kernel: Kernel, tensors: Sequence[Tensor | None], images: Tensor) -> None:
    """Run a kernel for all models, on as many threads as torch may use."""
    models, count = images.shape[0], images.shape[-1]

    def run(first: int, last: int) -> None:  # holds the tensors, also if nobody waits for it
        own = [images.new_empty(kernel.scratch)] if kernel.scratch else []
        pointers = [0 if tensor is None else tensor.data_ptr() for tensor in (*tensors, *own)]
        kernel.call(*pointers, first, last, count, images.stride(0))

    threads = min(models, torch.get_num_threads())
    if threads == 1:
        run(0, models)
        return
    bounds = [models * part // threads for part in range(threads + 1)]
    list(_threads(threads).map(run, bounds[:-1], bounds[1:]))


@cache
def _threads(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="convolution")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        after_in_child=_threads.cache_clear
    )  # a fork has none of its parent's threads

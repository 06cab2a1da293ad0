"""Several models of one shape as a single array that trains them all at once.

Why this exists: a small network cannot fill a processor. Its kernels are short, so most of a step
is spent on starting them, and a convolution from 1 to 6 channels uses a fraction of a vector unit.
K models of one shape, side by side, do K times the work in each kernel. No member sees another:
each computes what it would alone, up to the order of floating-point sums.

    array.py                a list of equal modules -> ModuleArray
    planes.py               its layers for GPUs, and for what lanes cannot do
    lanes.py                its layers for CPUs
    stacked.py              what the layers of both have in common
    convolution.py          a convolution, its pooling and its ReLU, for the layers in lanes
    forward.py backward.py  its kernels,
    tiles.py                and what they work on
    gather.py               a batch of images, for those layers
    vectors.py              the language that kernels are written in, compiled by LLVM
    optim.py blocks.py      an optimizer with settings and schedules for each member,
    adam.py sgd.py          and the arithmetic of each kind

What cannot be fused is refused by name, never approximated.
"""

from trainer.fused.array import ModuleArray
from trainer.fused.common import CannotFuse
from trainer.fused.optim import ArrayOptimizer

__all__ = ["ArrayOptimizer", "CannotFuse", "ModuleArray"]

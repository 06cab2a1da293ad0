"""Several models of one shape as a single array that trains them all at once.

Why this exists: a small network cannot fill a processor. Its kernels are short, so most of a step
is spent on starting them, and a convolution from 1 to 6 channels uses a fraction of a vector unit.
K models of one shape, side by side, do K times the work in each kernel. No member sees another:
each computes what it would alone, up to the order of floating-point sums.

    array.py                a list of equal modules -> ModuleArray
    structure.py            who may share one, and the first difference of those who may not
    recorded.py             any forward, by its notes;
    recorder.py calls.py    how they are taken,
    forms/                  and what stands in them: a file for each family of functions
    laned.py lanes.py       small convolutional networks on CPUs, and their layers
    stacked.py              what several of these have in common
    convolution.py          a convolution, its pooling and its ReLU, for the layers in lanes
    forward.py backward.py  its kernels,
    tiles.py                and what they work on
    cells.py                what an LSTM's step does between two matrix products
    gather.py               a batch of images, for those layers
    vectors.py              the language that kernels are written in, compiled by LLVM
    streams.py              each member's random numbers
    pays.py                 an array's step beside a member's, timed
    optim.py blocks.py      an optimizer with settings and schedules for each member,
    adam.py sgd.py          and the arithmetic of each kind

What cannot be fused is refused by name, never approximated.
"""

from trainer.fused.array import ModuleArray
from trainer.fused.common import CannotFuse
from trainer.fused.optim import ArrayOptimizer
from trainer.fused.pays import Timing, measure, unchanged
from trainer.fused.streams import drawing, incomparable
from trainer.fused.structure import difference, structure

__all__ = [
    "ArrayOptimizer",
    "CannotFuse",
    "ModuleArray",
    "Timing",
    "difference",
    "drawing",
    "incomparable",
    "measure",
    "structure",
    "unchanged",
]

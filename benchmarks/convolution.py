"""Convolutions of four models at once on one core of a CPU: our kernels beside torch's.

    python benchmarks/convolution.py

Each figure is a forward and a backward pass with 32 images per model, in GFLOP/s: `lanes` is
`trainer.fused.convolution`, `grouped` is torch's convolution with four groups, channels last, and
`one by one` four of torch's own, each for one model. Best of several, by the processor's time.
Writes results/convolution.json.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.fused.convolution import Convolve

MODELS, IMAGES = 4, 32
SHAPES = [  # channels in and out, height and width, kernel
    (1, 6, 28, 5), (6, 12, 12, 5), (3, 16, 32, 3), (16, 16, 32, 3), (16, 32, 16, 3),
    (32, 64, 16, 3), (64, 64, 8, 3), (128, 128, 8, 3), (256, 256, 8, 3),
]  # fmt: skip


def seconds(step: Callable[[], Tensor], rounds: int = 7) -> float:
    """The least processor time of a forward and a backward pass."""
    found = []
    for _ in range(rounds + 1):
        began = time.process_time()
        output = step()
        output.backward(torch.ones_like(output))
        found.append(time.process_time() - began)
    return min(found[1:])


def measure(inputs: int, outputs: int, size: int, kernel: int) -> dict[str, float]:
    """GFLOP/s of each way."""
    weight = torch.randn(MODELS, outputs, inputs, kernel, kernel).requires_grad_()
    bias = torch.randn(MODELS, outputs).requires_grad_()
    lanes = torch.randn(MODELS, inputs, size, size, IMAGES).requires_grad_()
    planes = torch.randn(IMAGES, MODELS * inputs, size, size)
    planes = planes.contiguous(memory_format=torch.channels_last).requires_grad_()
    alone = torch.randn(MODELS, IMAGES, inputs, size, size).requires_grad_()
    ways: dict[str, Callable[[], Tensor]] = {
        "lanes": lambda: Convolve.apply(lanes, weight, bias, False, False),
        "grouped": lambda: F.conv2d(planes, weight.flatten(0, 1), bias.flatten(), groups=MODELS),
        "one by one": lambda: torch.stack(
            [F.conv2d(*one) for one in zip(alone, weight, bias, strict=True)]
        ),
    }
    places = (size - kernel + 1) ** 2
    work = 3 * 2 * kernel**2 * inputs * outputs * places * IMAGES * MODELS
    return {name: round(work / seconds(way) / 1e9, 1) for name, way in ways.items()}


def main() -> None:
    torch.set_num_threads(1)
    results = []
    print(f"{'channels':>10}{'size':>6}{'kernel':>8}{'lanes':>9}{'grouped':>9}{'one by one':>12}")
    for inputs, outputs, size, kernel in SHAPES:
        found = measure(inputs, outputs, size, kernel)
        print(
            f"{inputs:>5} ->{outputs:>3}{size:>6}{kernel:>8}{found['lanes']:9.1f}"
            f"{found['grouped']:9.1f}{found['one by one']:12.1f}",
            flush=True,
        )
        shape = {"inputs": inputs, "outputs": outputs, "size": size, "kernel": kernel}
        results.append(shape | {"gflops": found})
    target = Path(__file__).parent / "results" / "convolution.json"
    target.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

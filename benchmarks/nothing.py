"""Trials that do nothing, with five reports each: what is left is what orchestration costs."""

from pathlib import Path

TRAINABLE = """
{top}

def train(config, *, report):
    for epoch in range(5):
        report({{"loss": float(epoch)}})
"""

SWEEP = """
name: nothing
train: nothing:train
metric: loss
mode: min
parameters: {{x: {values}}}
resources: {{cpu: 1, gpu: {gpu}}}
"""


def write_sweep(folder: Path, trials: int, *, gpu: int, top: str = "") -> str:
    """Write a sweep file and its trainable to a folder; the file's name.

    Args:
        top: what stands above the function, in its module.
    """
    (folder / "nothing.py").write_text(TRAINABLE.format(top=top))
    (folder / "sweep.yaml").write_text(SWEEP.format(values=list(range(trials)), gpu=gpu))
    return "sweep.yaml"

"""What a trained model gets wrong: which classes it takes for which, and its worst mistakes.

Collected while the last epoch is evaluated, so it costs no pass of its own, and written beside the
checkpoints as ``examination.json``, small enough to be part of a report. TensorBoard is given the
same as pictures, and a precision-recall curve for each class.
"""

import base64
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FILE = "examination.json"
WORST = 9
"""Mistakes that are shown: those that the model was surest of."""
THRESHOLDS = 127
"""Points of a precision-recall curve; TensorBoard takes no more."""


@dataclass
class Answers:
    """What a model says of a split, example by example.

    Attributes:
        split: the examples, in the order in which they are asked.
        tallies: int64 (2, classes, thresholds), how many examples that are not of a class, and how
            many that are, were given a probability of it between this threshold and the next.
    """

    split: Any
    predicted: list[Tensor] = field(default_factory=list)
    probability: list[Tensor] = field(default_factory=list)
    targets: list[Tensor] = field(default_factory=list)
    tallies: Tensor | None = None

    def add(self, scores: Tensor, targets: Tensor) -> None:
        """Scores (N, classes) and the right classes (N)."""
        probabilities = scores.softmax(dim=1)
        probability, predicted = probabilities.max(dim=1)
        self.predicted.append(predicted.cpu())
        self.probability.append(probability.cpu())
        self.targets.append(targets.cpu())
        more = _tally(probabilities, targets)
        self.tallies = more if self.tallies is None else self.tallies + more


def write(folder: Path, found: Mapping[str, Any], epoch: int) -> None:
    """Write what :func:`examine` has found of the model after this epoch, from 1 on."""
    content = json.dumps({"epoch": epoch, **found})
    part = folder / f"{FILE}.part"
    part.write_text(content, encoding="utf-8")
    os.replace(part, folder / FILE)  # noqa: PTH105


def examine(answers: Answers, classes: Sequence[str]) -> dict[str, Any]:
    """The confusion matrix, each class's accuracy, and the worst mistakes.

    Returns:
        ``classes``; ``confusion``, a row for each right class, a column for each predicted one;
        ``per_class``, accuracies, ``None`` of a class without examples; ``wrong``, the mistakes
        that the model was surest of, each with its picture where the inputs are images.
    """
    predicted, targets = torch.cat(answers.predicted), torch.cat(answers.targets)
    probability = torch.cat(answers.probability)
    count = len(classes)
    confusion = (targets * count + predicted).bincount(minlength=count**2).view(count, count)
    totals, right = confusion.sum(dim=1).tolist(), confusion.diagonal().tolist()
    sure = torch.where(predicted != targets, probability, -1.0)
    worst = [i for i in sure.argsort(descending=True)[:WORST].tolist() if sure[i] >= 0]
    return {
        "classes": list(classes),
        "confusion": confusion.tolist(),
        "per_class": [r / n if n else None for r, n in zip(right, totals, strict=True)],
        "wrong": [
            {
                "index": index,
                "target": classes[int(targets[index])],
                "predicted": classes[int(predicted[index])],
                "probability": round(float(probability[index]), 4),
                "png": picture(answers.split, index),
            }
            for index in worst
        ],
    }


def curves(answers: Answers) -> Tensor:
    """Each class against all others: (classes, 6, thresholds), for every threshold.

    The six are true and false positives, true and false negatives, precision and recall.
    """
    if answers.tallies is None:
        raise ValueError("there are no answers")
    others, own = (tally.flip(1).cumsum(1).flip(1).double() for tally in answers.tallies.cpu())
    least = 1e-7  # where nothing is counted, there is no precision
    precision = own / (own + others).clamp(min=least)
    recall = own / own[:, :1].clamp(min=least)
    counts = own, others, others[:, :1] - others, own[:, :1] - own
    return torch.stack([*counts, precision, recall], dim=1)


def _tally(probabilities: Tensor, targets: Tensor) -> Tensor:
    """See :class:`Answers`; probabilities (N, classes), targets (N). One that is NaN is none."""
    count = probabilities.shape[1]
    classes = torch.arange(count, device=targets.device)
    level = (probabilities.nan_to_num(0.0) * (THRESHOLDS - 1)).long()
    cell = ((targets[:, None] == classes) * count + classes) * THRESHOLDS + level
    return cell.flatten().bincount(minlength=2 * count * THRESHOLDS).view(2, count, THRESHOLDS)


def picture(split: Any, index: int) -> str | None:
    """An example as a PNG in base64; ``None`` if it is no grey or coloured image."""
    inputs = split.choose(torch.tensor([index])).example(1)
    if not (isinstance(inputs, Tensor) and inputs.dim() == 4 and inputs.shape[1] in (1, 3)):
        return None
    from PIL import Image

    image = inputs[0].float().cpu()
    low, high = min(0.0, image.min().item()), max(1.0, image.max().item())
    pixels = ((image - low) / (high - low) * 255).round().to(torch.uint8).movedim(0, -1).numpy()
    content = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()

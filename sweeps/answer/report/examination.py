"""What a trial's final model gets wrong, if its trainable has written ``examination.json``."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from sweeps.records.atomic import DamagedRecord, read_json

FILE = "examination.json"
MOST_WRONG = 24
MOST_CLASSES = 50


def _is_base64(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9+/]*={0,2}", text):
        raise ValueError("must be base64")
    return text


class Mistake(BaseModel):
    """A test example that the model is wrong about.

    Attributes:
        target, predicted: indices of classes.
        probability: that the model gave to what it predicted.
        png: its picture, in base64.
    """

    model_config = ConfigDict(extra="ignore")
    index: int
    target: int
    predicted: int
    probability: float | None = None
    png: Annotated[str, AfterValidator(_is_base64)] | None = None


class Examination(BaseModel):
    """How a model does on the test data, class by class.

    Attributes:
        confusion: (true, predicted) counts.
    """

    model_config = ConfigDict(extra="ignore")
    classes: list[str] = Field(min_length=1, max_length=MOST_CLASSES)
    confusion: list[list[int]]
    wrong: list[Mistake] = []

    def shares(self) -> list[list[float]]:
        """Of the examples of each class, which share was taken for which."""
        return [[count / max(sum(row), 1) for count in row] for row in self.confusion]

    def accuracies(self) -> Sequence[tuple[str, float]]:
        """Of each class, the worst first."""
        shares = [
            (name, row[i])
            for i, (name, row) in enumerate(zip(self.classes, self.shares(), strict=True))
        ]
        return sorted(shares, key=lambda pair: pair[1])

    def name(self, index: int) -> str:
        return self.classes[index] if 0 <= index < len(self.classes) else str(index)


def read_examination(folder: Path) -> Examination | None:
    """``None`` if there is none, or it holds something else than it should."""
    try:
        data: Any = read_json(folder / FILE)
        if data is None:
            return None
        found = Examination.model_validate({**data, "classes": [str(c) for c in data["classes"]]})
    except (DamagedRecord, ValueError, KeyError, TypeError):
        return None
    size = len(found.classes)
    if [len(row) for row in found.confusion] != [size] * size:
        return None
    finite = [m for m in found.wrong if m.probability is None or math.isfinite(m.probability)]
    return found.model_copy(update={"wrong": finite[:MOST_WRONG]})

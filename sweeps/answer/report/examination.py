"""What a trial's final model gets wrong, if its trainable has written ``examination.json``."""

import math
import re
from collections.abc import Iterable
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
        target, predicted: classes, by name or index.
        probability: that the model gave to what it predicted.
        png: its picture, in base64.
    """

    model_config = ConfigDict(extra="ignore")
    index: int
    target: int | str
    predicted: int | str
    probability: float | None = None
    png: Annotated[str, AfterValidator(_is_base64)] | None = None


class Examination(BaseModel):
    """How a model does on the test data, class by class.

    Attributes:
        confusion: (true, predicted) counts.
        models: how many were examined.
    """

    model_config = ConfigDict(extra="ignore")
    classes: list[str] = Field(min_length=1, max_length=MOST_CLASSES)
    confusion: list[list[int]]
    wrong: list[Mistake] = []
    models: int = 1

    def shares(self) -> list[list[float]]:
        """Of the examples of each class, which share was taken for which."""
        return [[count / max(sum(row), 1) for count in row] for row in self.confusion]

    def name(self, which: int | str) -> str:
        """A class by its name or index."""
        known = isinstance(which, int) and 0 <= which < len(self.classes)
        return self.classes[int(which)] if known else str(which)


def examined(folders: Iterable[Path]) -> Examination | None:
    """Several models as one: their confusion summed up, and the mistakes of the first."""
    found = [one for folder in folders if (one := read_examination(folder))]
    same = [one for one in found if one.classes == found[0].classes]
    if not same:
        return None
    rows = zip(*(one.confusion for one in same), strict=True)
    summed = [[sum(counts) for counts in zip(*row, strict=True)] for row in rows]
    return same[0].model_copy(update={"confusion": summed, "models": len(same)})


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

"""What a model gets wrong, as pictures to look at: the confusion matrix, and its worst mistakes."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont

MOST_NAMED = 20
"""Classes whose names and counts are written into the matrix; of more, it shows shades alone."""

INK, PAPER, SHADE = (32, 33, 36), (255, 255, 255), (8, 81, 156)
ROW, GAP = 28, 8
SIDE = 128
"""Pixels of a mistake's longer side."""


def confusion_picture(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> "Image":
    """A row for each right class, a column for each predicted one, shaded by its part of the row.

    A name longer than 14 characters is cut.
    """
    if len(classes) > MOST_NAMED:
        return _shades(confusion)
    from PIL import Image, ImageDraw

    font = _font()
    names = [name if len(name) <= 14 else f"{name[:13]}…" for name in classes]
    counts = [f"{count:,}" for row in confusion for count in row]
    named = max(int(font.getlength(name)) for name in names) + 2 * GAP
    wide = max(max(int(font.getlength(text)) for text in counts) + 2 * GAP, named)
    left = named + GAP
    picture = Image.new("RGB", (left + wide * len(names), ROW * (len(names) + 2)), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((GAP, ROW / 2), "is", INK, font, anchor="lm")
    draw.text((left + GAP, ROW / 2), "taken for", INK, font, anchor="lm")
    for at, name in enumerate(names):
        draw.text((left + (at + 0.5) * wide, 1.5 * ROW), name, INK, font, anchor="mm")
        draw.text((GAP, (at + 2.5) * ROW), name, INK, font, anchor="lm")
    for down, row in enumerate(confusion):
        for across, count in enumerate(row):
            part = count / max(sum(row), 1)
            x, y = left + across * wide, (down + 2) * ROW
            draw.rectangle((x, y, x + wide - 2, y + ROW - 2), _shade(part))
            ink = PAPER if part > 0.3 else INK
            if count:
                draw.text((x + wide / 2, y + ROW / 2), f"{count:,}", ink, font, anchor="mm")
    return picture


def mistakes_picture(wrong: Sequence[Mapping[str, Any]]) -> "Image | None":
    """Mistakes with a picture, three in a row, each with what it is and was taken for.

    ``None`` if there are no pictures.
    """
    from PIL import Image, ImageDraw

    shown = [one for one in wrong if one["png"]]
    if not shown:
        return None
    font = _font()
    texts = [
        (f"is {one['target']}", f"taken for {one['predicted']}, {one['probability']:.3f}")
        for one in shown
    ]
    wide = max(SIDE, *(int(font.getlength(line)) for lines in texts for line in lines)) + 2 * GAP
    high = SIDE + 2 * ROW
    rows = -(-len(shown) // 3)
    picture = Image.new("RGB", (wide * min(3, len(shown)), high * rows), PAPER)
    draw = ImageDraw.Draw(picture)
    for number, (one, lines) in enumerate(zip(shown, texts, strict=True)):
        x, y = number % 3 * wide + GAP, number // 3 * high + GAP
        image = Image.open(io.BytesIO(base64.b64decode(one["png"]))).convert("RGB")
        scale = SIDE / max(image.size)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        picture.paste(image.resize(size, Image.Resampling.NEAREST), (x, y))
        for line, text in enumerate(lines):
            draw.text((x, y + SIDE + GAP + line * 18), text, INK, font, anchor="lt")
    return picture


def _shades(confusion: Sequence[Sequence[int]]) -> "Image":
    """The matrix without words, a square of some pixels for each pair of classes."""
    from PIL import Image

    count = len(confusion)
    picture = Image.new("RGB", (count, count), PAPER)
    picture.putdata([_shade(one / max(sum(row), 1)) for row in confusion for one in row])
    side = count * max(1, 640 // count)
    return picture.resize((side, side), Image.Resampling.NEAREST)


def _shade(part: float) -> tuple[int, ...]:
    """From paper to the full colour; small parts are seen, as the root is taken."""
    return tuple(
        round(paper + (full - paper) * part**0.5) for paper, full in zip(PAPER, SHADE, strict=True)
    )


def _font() -> "FreeTypeFont | ImageFont":
    from PIL import ImageFont

    return ImageFont.load_default(14)

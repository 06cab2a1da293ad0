"""What the link to TensorBoard opens on: the metric, as it was measured, coloured by what matters.

TensorBoard colours runs by what the groups of a regular expression find in their names, and takes
that expression from its address.
"""

import json
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from urllib.parse import quote

from sweeps.answer.hparams import pinned
from sweeps.answer.report.series import importance_of
from sweeps.answer.results import Results

COLOURS = 7
"""TensorBoard has no more, and begins again."""


def opening(results: Results) -> str:
    """The metric and its loss pinned, unsmoothed, in a colour for each value that matters most."""
    tags = pinned(results)
    cards = json.dumps([{"plugin": "scalars", "tag": tag} for tag in tags], separators=(",", ":"))
    colours = colouring(results)
    by = f"&runColorGroup={quote(f'regex:{colours}', safe='')}" if colours else ""
    return f"/?smoothing=0&pinnedCards={quote(cards)}{by}#timeseries"


def colouring(results: Results) -> str | None:
    """A regular expression for the parameter that matters most, of those with few values.

    ``None`` if there is none that has several, or if it is not known yet which matters.
    """
    names = [PurePosixPath(row.path).name for row in results]
    few = [name for name in results.swept if 1 < _values(name, names) <= COLOURS]
    if len(few) < 2:
        return _value_of(few[0]) if few else None
    importance = importance_of(results)
    shares = importance.shares if importance else {}
    known = [name for name in few if name in shares]
    return _value_of(max(known, key=shares.__getitem__)) if known else None


def _value_of(parameter: str) -> str:
    """Finds a parameter's value in a trial's name."""
    written = re.sub(r"[^\w.=+,-]", "_", parameter)
    return rf"(?:^|[,/]){re.escape(written)}=([^,]*)"


def _values(parameter: str, names: Sequence[str]) -> int:
    """How many values of a parameter there are in these names of trials."""
    return len({found[1] for name in names if (found := re.search(_value_of(parameter), name))})

"""Sweeps and results as a notebook shows them: a table in HTML, whose text is never markup."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.answer.summary import (
    best_line,
    counted,
    mean_text,
    runs_text,
    standing_text,
    summary,
)
from sweeps.definition.places import is_remote
from sweeps.definition.space import Trial, cell
from sweeps.definition.sweep_file import SweepFile
from sweeps.definition.text import format_value
from sweeps.errors import SweepsError
from sweeps.planning.size import size_line
from sweeps.records.ledger import Ledger

if TYPE_CHECKING:
    from sweeps.answer.results import Results

MOST_ROWS = 50


def as_html(results: "Results") -> str:
    """The answer in a sentence, then a line a configuration, best first."""
    names = results.swept
    behind = "below the best" if results.mode == "max" else "above the best"
    heads = [*names, "seeds", results.metric, behind, "told apart"]
    rows = [
        [
            *(cell(each.config, name) for name in names),
            runs_text(each),
            mean_text(each),
            *standing_text(results, each),
        ]
        for each in results.standings.ranked[:MOST_ROWS]
    ]
    lines = [_line(heads, "th"), *(_line(row, "td") for row in rows)]
    more = len(results.standings) - MOST_ROWS
    told = [summary(results), best_line(results) or "", f"and {more} more" if more > 0 else ""]
    return _page(results.name, told, lines)


def sweep_as_html(
    file: SweepFile, parameters: Mapping[str, Any], trials: Sequence[Trial], place: str
) -> str:
    """What a sweep asks for, how large that is, and where its trials stand.

    Args:
        parameters: as the file has them.
        trials: all of the file's; none where a sampler suggests them.
        place: its directory, which is not looked at if it is not on this machine.
    """
    told = [
        f"{file.train}, {file.metric} ({file.mode})",
        size_line(file.space, len(trials) // file.seeds, file.search),
        f"{file.seeds} seeds" if file.seeds > 1 else "",
        _trials_text(trials, place),
    ]
    heads = [_line(["parameter", "values"], "th")]
    rows = [_line([name, format_value(value, None)], "td") for name, value in parameters.items()]
    return _page(file.name, told, [*heads, *rows])


def _trials_text(trials: Sequence[Trial], place: str) -> str:
    """``12 trials: 3 finished, 9 pending, in runs/mine``."""
    if is_remote(place):
        return f"its directory: {place}"
    try:
        ledger = Ledger(Path(place))
        there = ledger.overview().trials if (ledger.directory / "sweep.json").exists() else ()
        statuses = [record.status for record in ledger.records(trials or there).values()]
    except SweepsError as error:
        return f"its directory cannot be read: {error}"
    return f"{counted(statuses)}, in {place}" if statuses else f"no trials yet in {place}"


def _page(name: str, told: Sequence[str], lines: Sequence[str]) -> str:
    texts = "".join(f"<p>{escape(text)}</p>" for text in told if text)
    return f"<h4>{escape(name)}</h4>{texts}<table>{''.join(lines)}</table>"


def _line(cells: Sequence[str], kind: str) -> str:
    return f"<tr>{''.join(f'<{kind}>{escape(cell)}</{kind}>' for cell in cells)}</tr>"

"""Results as a notebook shows them: a table in HTML, whose text is never markup."""

from html import escape
from typing import TYPE_CHECKING

from sweeps.answer.summary import (
    best_line,
    mean_text,
    runs_text,
    standing_text,
    summary,
)
from sweeps.definition.space import cell

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
    texts = "".join(f"<p>{escape(text)}</p>" for text in told if text)
    return f"<h4>{escape(results.name)}</h4>{texts}<table>{''.join(lines)}</table>"


def _line(cells: list[str], kind: str) -> str:
    return f"<tr>{''.join(f'<{kind}>{escape(cell)}</{kind}>' for cell in cells)}</tr>"

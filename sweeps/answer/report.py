"""A sweep as one page of HTML that needs nothing else: no script, no network, no TensorBoard.

What is shown is what `results` shows, with the curve of the sweep's metric for each trial, and what
each swept value came to. Everything that a record says is text here, never markup.
"""

import math
import os
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from statistics import fmean, stdev

from sweeps.answer.results import Results, Row, results_of, swept, with_loss
from sweeps.answer.summary import best_line, summary
from sweeps.definition.space import cell
from sweeps.definition.text import number
from sweeps.records.history import read_history
from sweeps.records.ledger import Ledger
from sweeps.storage.remote_ledger import open_ledger

WIDTH, HEIGHT = 860, 300
LEFT, BELOW = 60, 30
"""The chart, and the room for its numbers, in pixels."""

MOST_VALUES = 12
"""A parameter with more values than this is rather a distribution: it gets no table of values."""

STYLE = """
:root { color-scheme: light dark; --line: #8886; --best: #d9600b; --other: #7d8794; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; font-size: 1.15rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); }
.number { text-align: right; } .best { font-weight: 600; }
pre { white-space: pre-wrap; } svg { width: 100%; height: auto; font-size: 12px; }
svg text { fill: currentColor; } .axis { stroke: var(--line); }
.curve { fill: none; stroke: var(--other); stroke-width: 1.2; opacity: .7; }
.curve:hover { stroke: currentColor; stroke-width: 3; opacity: 1; }
.curve.best { stroke: var(--best); stroke-width: 3; opacity: 1; }
"""


def read_report(directory: str | os.PathLike[str], *, everything: bool = False) -> str:
    """The page for the sweep in a directory, also while it runs.

    Args:
        directory: a path, or the URI of a folder on other storage.
        everything: also trials that the sweep no longer asks for.

    Raises:
        DirectoryError: there is no sweep, or its records cannot be read.
    """
    ledger = open_ledger(directory)
    return _page(ledger, results_of(ledger, everything=everything))


def _page(ledger: Ledger, results: Results) -> str:
    rows = results.sorted()
    best = best_line(results) or "no trial has reported the metric yet"
    parts = [
        f"<h1>{escape(results.name)}</h1>",
        f"<p>{escape(summary(results))}<br><span class=best>{escape(best)}</span></p>",
        f"<h2>{escape(results.metric)} by epoch</h2>",
        _chart(ledger, results, rows),
        *_by_value(results),
        "<h2>Trials</h2>",
        _trials(results, rows),
        *_errors(rows),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(results.name)}</title>'
        f"<style>{STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _chart(ledger: Ledger, results: Results, rows: Sequence[Row]) -> str:
    """The metric of every trial by epoch; the best trial's stands out and lies on top."""
    curves = {row.id: _curve(ledger, row, results.metric) for row in rows}
    points = [point for curve in curves.values() for point in curve]
    if not points:
        return "<p>No trial has reported a finite value yet.</p>"
    last = max(epoch for epoch, _ in points)
    low, high = min(value for _, value in points), max(value for _, value in points)

    def place(epoch: int, value: float) -> tuple[float, float]:
        across = (epoch - 1) / (last - 1) if last > 1 else 0.5
        up = (value - low) / (high - low) if high > low else 0.5
        return LEFT + across * (WIDTH - LEFT - 10), 10 + (1 - up) * (HEIGHT - BELOW - 20)

    names = swept(row.config for row in rows)
    drawn = []
    for row in reversed(rows):
        kind = "curve best" if results.best and row.id == results.best.id else "curve"
        told = f"<title>{escape(_called(row, names))}</title>"
        placed = [(epoch, place(epoch, value)) for epoch, value in curves[row.id]]
        drawn += [f'<g class="{kind}">{told}{_line(placed)}</g>'] if placed else []
    marks = [
        f'<line class=axis x1="{LEFT}" x2="{WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(number(value))}</text>'
        for value in sorted({low, (low + high) / 2, high})
        for _, y in [place(1, value)]
    ]
    epochs = sorted({1, (1 + last) // 2, last})
    marks += [
        f'<text x="{place(epoch, low)[0]:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{epoch}</text>'
        for epoch in epochs
    ]
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}">{"".join(marks + drawn)}</svg>'


def _curve(ledger: Ledger, row: Row, metric: str) -> list[tuple[int, float]]:
    """Its finite values, with their epochs from 1 on."""
    history = read_history(ledger.directory / row.path)[: row.epochs]
    values = [(epoch, one.metrics.get(metric, math.nan)) for epoch, one in enumerate(history, 1)]
    return [(epoch, value) for epoch, value in values if math.isfinite(value)]


def _line(placed: Sequence[tuple[int, tuple[float, float]]]) -> str:
    """A line through neighbouring epochs, broken where one is missing; a dot for one alone."""
    parts = [f"M{x:.1f} {y:.1f}" for _, (x, y) in placed[:1]]
    for (before, _), (epoch, (x, y)) in pairwise(placed):
        parts.append(f"{'L' if epoch == before + 1 else 'M'}{x:.1f} {y:.1f}")
    (_, (x, y)) = placed[-1]
    return f'<path d="{"".join(parts)}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="1.5"/>'


def _called(row: Row, names: Iterable[str]) -> str:
    values = " ".join(f"{name}={shown}" for name in names if (shown := cell(row.config, name)))
    best = f": {number(row.best['value'])} at epoch {row.best['epoch']}" if row.best else ""
    return f"{row.id} {values}{best}"


def _by_value(results: Results) -> list[str]:
    """What the trials of each swept value came to, whatever their other values."""
    lines = []
    for name in swept(row.config for row in results):
        found: dict[str, list[float]] = {}
        for row in results:
            if row.best:
                found.setdefault(cell(row.config, name), []).append(row.best["value"])
        if 1 < len(found) <= MOST_VALUES:
            for value, bests in found.items():
                spread = number(stdev(bests)) if len(bests) > 1 else ""
                extreme = min(bests) if results.mode == "min" else max(bests)
                numbers = [str(len(bests)), number(fmean(bests)), spread, number(extreme)]
                lines.append(_cells([name, value], numbers))
    if not lines:
        return []
    heads = _cells(["parameter", "value"], ["trials", "mean", "standard deviation", "best"], "th")
    return [
        f"<h2>Best {escape(results.metric)} by value</h2>",
        "<p>Over all trials that have the value, whatever else they differ in.</p>",
        _table(heads, lines),
    ]


def _trials(results: Results, rows: Sequence[Row]) -> str:
    names = swept(row.config for row in results)
    metrics = with_loss(results.metric, dict.fromkeys(n for row in results for n in row.metrics))
    heads = [*metrics, f"best {results.metric}", "at epoch", "epochs", "seconds"]
    lines = []
    for row in rows:
        texts = [row.id, *(cell(row.config, name) for name in names), row.status]
        last = [number(row.metrics[name]) if name in row.metrics else "" for name in metrics]
        best = [number(row.best["value"]), str(row.best["epoch"])] if row.best else ["", ""]
        lines.append(_cells(texts, [*last, *best, str(row.epochs), f"{row.seconds:.1f}"]))
    return _table(_cells(["trial", *names, "status"], heads, "th"), lines)


def _errors(rows: Sequence[Row]) -> list[str]:
    lines = [_cells([row.id, row.error], []) for row in rows if row.error]
    return ["<h2>Errors</h2>", _table(_cells(["trial", "error"], [], "th"), lines)] if lines else []


def _table(heads: str, lines: Sequence[str]) -> str:
    return f"<div class=scroll><table>{heads}{''.join(lines)}</table></div>"


def _cells(texts: Iterable[str], numbers: Iterable[str], kind: str = "td") -> str:
    cells = [f"<{kind}>{escape(text)}</{kind}>" for text in texts]
    cells += [f"<{kind} class=number>{escape(text)}</{kind}>" for text in numbers]
    return f"<tr>{''.join(cells)}</tr>\n"

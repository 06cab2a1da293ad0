"""One self-contained page of HTML: no network, no TensorBoard, nothing beside it.

Jinja2 fills the template, and escapes whatever a record says; Vega draws the charts.
"""

import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from sweeps.answer.report import bundle, charts, sections, series
from sweeps.answer.report.examination import examined
from sweeps.answer.report.facts import facts
from sweeps.answer.results import Results, results_of
from sweeps.definition.text import harmless
from sweeps.errors import SweepsError
from sweeps.records.atomic import land
from sweeps.records.ledger import Ledger
from sweeps.storage.remote_ledger import MirroredLedger, open_ledger

NAME = "report.html"
PNG_WIDTH, PNG_SCALE = 760, 2
_PAPER = {"background": "white", "font": "sans-serif", "view": {"stroke": None}}


def read_report(directory: str | os.PathLike[str], *, everything: bool = False) -> str:
    """The page for the sweep in a directory, also while it runs.

    Args:
        directory: a path, or the URI of a folder on other storage.
        everything: also trials that the sweep no longer asks for.

    Raises:
        DirectoryError: there is no sweep, or its records cannot be read.
    """
    ledger = open_ledger(directory)
    results = results_of(ledger, everything=everything)
    found = series.find(results)
    return _render(ledger, results, found, charts.draw(results, found))


def write_report(
    directory: str | os.PathLike[str],
    *,
    output: Path | None = None,
    pictures: Path | None = None,
    everything: bool = False,
) -> list[str]:
    """Write the page, and the charts as PNG files if a folder for them is given.

    Args:
        output: a file in place of ``report.html`` in the sweep's directory.

    Returns:
        What was written.

    Raises:
        SweepsError: it cannot be written, or read.
    """
    ledger = open_ledger(directory)
    results = results_of(ledger, everything=everything)
    found = series.find(results)
    drawn = charts.draw(results, found)
    content = _render(ledger, results, found, drawn).encode()
    try:
        written = [_write(ledger, content, output)]
        if pictures is not None:
            pictures.mkdir(parents=True, exist_ok=True)
            written += [_write_picture(pictures, *chart) for chart in drawn.items()]
    except OSError as error:
        raise SweepsError(
            f"{error.filename or output or directory} cannot be written: {error.strerror};"
            " name a file in a folder that exists with --output"
        ) from None
    return written


def _write(ledger: Ledger, content: bytes, output: Path | None) -> str:
    if output is not None:
        output.write_bytes(content)
        return str(output)
    land(ledger.directory / NAME, content)
    if isinstance(ledger, MirroredLedger):
        ledger.mirror.push(NAME)
    return f"{ledger.where.rstrip('/')}/{NAME}"


def _write_picture(folder: Path, name: str, spec: charts.Spec) -> str:
    import vl_convert

    path = folder / f"{name}.png"
    sized = {**spec, "width": PNG_WIDTH, "config": _PAPER}
    path.write_bytes(vl_convert.vegalite_to_png(sized, scale=PNG_SCALE))
    return str(path)


def _render(
    ledger: Ledger, results: Results, found: series.Findings, drawn: Mapping[str, charts.Spec]
) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sweeps.answer.report", "."),
        autoescape=True,
        finalize=lambda value: harmless(value, keep="\n") if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("page.html.j2")
    return template.render(
        **sections.answer(results, found),
        **sections.table(results),
        **sections.parameters(results, found),
        **_background(ledger, results),
        charts=drawn,
        style=_file("page.css"),
        script=_file("page.js"),
        library=bundle.javascript() if drawn else "",
    )


def _background(ledger: Ledger, results: Results) -> dict[str, Any]:
    overview = ledger.overview()
    records = list(ledger.records(overview.trials).values())
    leader, best = results.standings.leader, results.best
    trials = [best, *(row for row in leader.counted if row != best)] if leader and best else []
    failures = [(row.id, row.error, f"{row.path}/errors.log") for row in results if row.error]
    return {
        "facts": facts(ledger, results, records),
        "failures": failures,
        "examination": examined(ledger.directory / row.path for row in trials),
        "examined": best.id if best else "",
    }


def _file(name: str) -> str:
    return (resources.files("sweeps.answer.report") / name).read_text("utf-8")

"""Results as files and frames: one schema for JSON, CSV, Parquet, pandas and polars.

A column has one type: whole numbers, numbers, truth values or text. Nested values have a column
each, named with dots; a value that is no mapping in one row and one in another, a list, or a column
of several types is text of JSON. What is missing is null, whatever the type.
"""

import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sweeps.errors import SweepsError

if TYPE_CHECKING:
    from sweeps.answer.configurations import Configuration
    from sweeps.answer.results import Results

LIBRARIES = ("pandas", "polars")
_KINDS = {
    **dict.fromkeys(("error", "where", "checkpoint", "origin.parent"), str),
    **dict.fromkeys(("best.value", "selected.value", "mean", "sd", "difference", "margin"), float),
    **dict.fromkeys(("best.epoch", "selected.epoch", "origin.epoch"), int),
    "apart": bool,
}
"""Of columns that may hold nothing at all."""


def trial_table(results: "Results") -> Any:
    """One line a trial, as an Arrow table."""
    value, origin = {"value": None, "epoch": None}, {"parent": None, "epoch": None}
    blanks = {"best": value, "selected": value, "origin": origin}
    rows = [asdict(row) for row in results]
    return _table([{**r, **{k: r[k] or blank for k, blank in blanks.items()}} for r in rows])


def history_table(results: "Results") -> Any:
    """One line a report, as an Arrow table."""
    return _table(history_dicts(results))


def history_dicts(results: "Results") -> list[dict[str, Any]]:
    """One mapping a report; epochs count from 1."""
    return [
        {
            "id": row.id,
            "seed": row.seed,
            "config": dict(row.config),
            "epoch": epoch,
            "seconds": report.seconds,
            "metrics": dict(report.metrics),
        }
        for row in results
        for epoch, report in enumerate(results.reports(row), start=1)
    ]


def configuration_table(configurations: Iterable["Configuration"]) -> Any:
    """One line a configuration, as an Arrow table."""
    return _table([configuration.to_dict() for configuration in configurations])


def write(table: Any, kind: str) -> bytes:
    """An Arrow table as ``csv`` or ``parquet``."""
    content = io.BytesIO()
    if kind == "csv":
        from pyarrow import csv

        csv.write_csv(table, content, csv.WriteOptions(quoting_style="needed"))
    else:
        from pyarrow import parquet

        parquet.write_table(table, content)
    return content.getvalue()


def as_json(data: Any) -> bytes:
    """Strict JSON, indented."""
    return json.dumps(finite(data), indent=2, allow_nan=False).encode() + b"\n"


def to_frame(table: Any, library: str) -> Any:
    """An Arrow table as a frame; whole numbers and truth values stay so beside nulls.

    Raises:
        SweepsError: there is no such library, or it is not installed.
    """
    if library not in LIBRARIES:
        raise SweepsError(f"library must be pandas or polars, got {library!r}")
    if library == "polars":
        try:
            import polars
        except ImportError:
            raise SweepsError("polars is not installed: pip install polars") from None
        return polars.from_arrow(table)
    import pandas as pd
    import pyarrow as pa

    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame = table.to_pandas()
    for name in table.column_names:
        column = table[name]
        if column.null_count and column.type in nullable:
            frame[name] = column.to_pandas(types_mapper=nullable.get)
    return frame


def finite(value: Any) -> Any:
    """The same with ``None`` for numbers that JSON lacks."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _table(rows: Sequence[Mapping[str, Any]]) -> Any:
    import pyarrow as pa

    return pa.table({name: _column(name, values) for name, values in _columns("", rows).items()})


def _columns(prefix: str, rows: Sequence[Mapping[str, Any] | None]) -> dict[str, list[Any]]:
    """The columns of nested mappings, by their dotted names."""
    found: dict[str, list[Any]] = {}
    for name in dict.fromkeys(name for row in rows if row for name in row):
        values = [row.get(name) if row else None for row in rows]
        known = [value for value in values if value not in (None, {})]
        if known and all(isinstance(value, Mapping) for value in known):
            found |= _columns(f"{prefix}{name}.", values)
        else:
            found[f"{prefix}{name}"] = values
    return found


def _column(name: str, values: Sequence[Any]) -> Any:
    """An Arrow array of the one type that holds all values to the digit, or of text."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None} or {_KINDS.get(name, str)}
    large = any(isinstance(value, int) and value.bit_length() > 63 for value in values)
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    if kinds == {int} and not large:
        return pa.array(values, pa.int64())
    if kinds <= {int, float} and not large:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    plain = all(issubclass(kind, str) for kind in kinds)
    as_text = str if plain else json.dumps
    return pa.array([None if v is None else as_text(v) for v in values], pa.string())

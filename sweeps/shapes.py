"""What our JSON files hold. Anything may have happened to one since, so it is checked when read.

``Entry.model_validate(data)`` raises ``ValueError`` for anything else; what more there is, is left.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict


def _is_plain(name: str) -> str:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError("must be the name of a folder")
    return name


def _leads_down(path: str) -> str:
    """A path that cannot leave the folder that it is relative to, unless by a link."""
    for part in path.split("/"):
        _is_plain(part)
    return path


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True)


class TrialEntry(_Entry):
    """A trial, as ``sweep.json`` lists it."""

    id: Annotated[str, AfterValidator(_is_plain)]
    config: dict[str, Any]
    name: Annotated[str, AfterValidator(_is_plain)]


class SweepEntry(_Entry):
    """``sweep.json``."""

    format: int
    name: str
    metric: str
    mode: Literal["min", "max"]
    sweep: dict[str, Any]
    trials: list[TrialEntry]
    budget: str | None = None
    formed: dict[str, Any] = {}


class RecordEntry(_Entry):
    """A trial's ``trial.json``."""

    status: str
    config: dict[str, Any]
    arrays: list[dict[str, Any]]
    attempts: int
    error: str | None
    where: str | None
    code: str | None
    data: str | None


class ReportEntry(_Entry):
    """A line of a trial's ``history.jsonl``; numbers that JSON lacks are text."""

    step: int
    metrics: dict[str, int | float | str]
    seconds: float
    checkpoint: Annotated[str, AfterValidator(_leads_down)] | None
    sha256: str | None = None

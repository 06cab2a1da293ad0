"""What our JSON files hold. Anything may have happened to one since, so it is checked when read.

``Entry.model_validate(data)`` raises ``ValueError`` for anything else; what more there is, is left.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from sweeps.definition.selection import Selection


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


class OriginEntry(_Entry):
    """The trial that another goes on from."""

    parent: Annotated[str, AfterValidator(_is_plain)]
    epoch: int = Field(ge=1)


def _has_seed(config: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(config.get("seed"), int | None):
        raise ValueError("a seed must be a whole number")
    return config


class TrialEntry(_Entry):
    """A trial, as ``sweep.json`` lists it."""

    id: Annotated[str, AfterValidator(_is_plain)]
    config: Annotated[dict[str, Any], AfterValidator(_has_seed)]
    name: Annotated[str, AfterValidator(_is_plain)]
    origin: OriginEntry | None = None


class DefinitionEntry(_Entry):
    """The sweep file, as far as it is read again."""

    train: str
    select: Annotated[Any, AfterValidator(Selection.parse)] = "last"


class FormedEntry(_Entry):
    """Which trials train together, by id."""

    settings: dict[str, Any] = {}
    arrays: list[list[str]] = []


class ToldEntry(_Entry):
    """What a configuration of a search came to."""

    state: Literal["complete", "stopped", "diverged", "failed"]
    value: float | None
    step: int
    why: str


class SearchEntry(_Entry):
    """What a search has been told so far; by ``key``, of which search it was."""

    key: str = ""
    before: list[str] = []
    told: dict[str, ToldEntry] = {}


class SweepEntry(_Entry):
    """``sweep.json``."""

    format: int
    name: str
    metric: str
    mode: Literal["min", "max"]
    sweep: DefinitionEntry
    trials: list[TrialEntry]
    budget: str | None = None
    formed: FormedEntry = FormedEntry()
    search: SearchEntry = SearchEntry()


class ArrayEntry(_Entry):
    """With whom a trial trained, and from which step on."""

    trials: list[str] = Field(min_length=1)
    step: int = Field(alias="from")


class SealEntry(_Entry):
    """What the record of a trial that has ended keeps of its other files."""

    sha256: str
    history: str
    events: dict[str, int] | list[str]


class RecordEntry(_Entry):
    """A trial's ``trial.json``."""

    status: str
    config: dict[str, Any]
    arrays: list[ArrayEntry]
    attempts: int
    error: str | None
    where: str | None
    code: str | None
    data: str | None
    sealed: SealEntry | None = None
    until: int | None = None
    origin: OriginEntry | None = None


class ReportEntry(_Entry):
    """A line of a trial's ``history.jsonl``; numbers that JSON lacks are text."""

    step: int
    metrics: dict[str, int | float | str]
    seconds: float
    checkpoint: Annotated[str, AfterValidator(_leads_down)] | None
    sha256: str | None = None
    events: dict[str, int] | None = None


class ShareEntry(_Entry):
    """What each trial of a run was given."""

    cpu: float


class MachineEntry(_Entry):
    """What a run was made on."""

    processor: str


class RunEntry(_Entry):
    """A run in ``manifest.json``, as far as it is read again."""

    share: ShareEntry
    machine: MachineEntry
    versions: dict[str, str]


class ManifestEntry(_Entry):
    """``manifest.json``."""

    runs: list[RunEntry]

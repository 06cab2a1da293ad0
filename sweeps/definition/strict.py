"""The base of all that a sweep file holds."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A part of the sweep file: unknown keys and values of another type are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

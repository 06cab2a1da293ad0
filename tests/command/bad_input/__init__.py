"""All of it, by theme: what is given, and what the one message must say."""

from tests.command.bad_input import (
    directories,
    files,
    keys,
    modules,
    overrides,
    parameters,
    records,
    spaces,
)

CASES = [
    *files.CASES,
    *keys.CASES,
    *parameters.CASES,
    *overrides.CASES,
    *modules.CASES,
    *directories.CASES,
    *records.CASES,
    *spaces.CASES,
]

"""One case of bad input, and short ways to write one."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sweeps import Sweep
from sweeps.records.history import Report, append_report
from sweeps.records.ledger import Ledger
from sweeps.records.record import Overview, Status


def nothing(folder: Path) -> None:
    """The folder is as the case's files make it."""


@dataclass(frozen=True)
class Case:
    """A command, what lies in its folder, and what its message must say."""

    command: str
    says: tuple[str, ...]
    files: Mapping[str, str]
    setup: Callable[[Path], object]


def sweep(**changes: str) -> str:
    """A sweep file, good but for these keys."""
    keys = {
        "name": "mine",
        "train": "trainer:train",
        "metric": "accuracy/test",
        "mode": "max",
        "parameters": "{dataset: digits}",
    }
    return "".join(f"{key}: {value}\n" for key, value in {**keys, **changes}.items())


def case(
    sentence: str,
    *says: str,
    file: str | None = None,
    command: str = "run sweep.yaml",
    files: Mapping[str, str] | None = None,
    setup: Callable[[Path], object] = nothing,
) -> Any:
    """One row of the table; without a ``file`` the sweep file is good."""
    files = {"sweep.yaml": sweep() if file is None else file, **(files or {})}
    return pytest.param(Case(command, says, files, setup), id=sentence)


def parameters(sentence: str, flow: str, *says: str) -> Any:
    """A row on the parameters of the shipped trainer, written as one YAML mapping."""
    return case(sentence, *says, file=sweep(parameters=flow))


def override(sentence: str, arguments: str, *says: str) -> Any:
    """A row on overrides of a sweep file that is good and has a learning rate."""
    file = sweep(parameters="{lr: 0.1, batch_size: 64, dataset: digits}")
    return case(sentence, *says, file=file, command=f"run sweep.yaml {arguments}")


def module(sentence: str, name: str, code: str, *says: str) -> Any:
    """A row on a user's own training module; each has a name of its own, as Python keeps them."""
    file = sweep(train=f"{name}:train", parameters="{lr: 0.1}")
    return case(sentence, *says, file=file, files={f"{name}.py": code})


def record(**changes: Any) -> str:
    """A sweep.json, good but for these keys."""
    keys = {
        "format": 1,
        "name": "mine",
        "metric": "loss",
        "mode": "min",
        "sweep": {"train": "trainer:train"},
        "trials": [],
    }
    return json.dumps({**keys, **changes})


def finished(folder: Path) -> None:
    """A sweep of one trial in runs/mine, as if it had run."""
    [trial] = Sweep.from_yaml(folder / "sweep.yaml").trials
    ledger = Ledger(folder / "runs/mine")
    done = replace(ledger.record(trial), status=Status.FINISHED, attempts=1)
    folder = ledger.directory / done.path
    folder.mkdir(parents=True)
    metrics = {"accuracy/test": 0.9, "loss/test": 0.1}
    append_report(folder, Report(1, metrics, seconds=1.0))
    ledger.write(done)
    ledger.write_overview(
        Overview("mine", "accuracy/test", "max", {"train": "trainer:train"}, (trial,))
    )


def elsewhere(path: str) -> Callable[[Path], None]:
    """A sweep that has run, in which this lies elsewhere and a link to it in its place."""

    def set_up(folder: Path) -> None:
        finished(folder)
        [found] = (folder / "runs/mine").glob(path)
        found.rename(folder / "elsewhere")
        found.symlink_to(folder / "elsewhere")

    return set_up


def replaced(path: str, content: str | None) -> Callable[[Path], None]:
    """A sweep that has run, in which this holds something else, or is a folder."""

    def set_up(folder: Path) -> None:
        finished(folder)
        [found] = (folder / "runs/mine").glob(path)
        shutil.rmtree(found) if found.is_dir() else found.unlink()
        found.mkdir() if content is None else found.write_text(content)

    return set_up


def lay_out(case: Case, folder: Path) -> dict[str, bytes | None]:
    for name, text in case.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    case.setup(folder)
    return snapshot(folder)


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """All that lies in a folder: files with their content, folders with none."""
    paths = folder.rglob("*")
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in paths}


def check_message(stderr: str, says: tuple[str, ...]) -> None:
    assert stderr.startswith("error: ")
    assert stderr.count("error: ") == 1
    assert "Traceback" not in stderr
    for part in says:
        assert part in stderr

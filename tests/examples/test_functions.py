"""Examples of people's own functions and tools: killed once, and as if they had not been."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from tests.commands import run_command
from tests.examples.killed import METRIC

pytestmark = pytest.mark.ray
EXAMPLES = Path(__file__).parents[2] / "examples"
SWEEP = f"""
name: functions
train: killed:train
metric: score
mode: max
parameters: {{example: {list(METRIC)}, lr: 0.01, width: 16, epochs: 3}}
max_failures: 1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the examples were run, two at once, each killed after its second epoch."""
    folder = tmp_path_factory.mktemp("functions")
    for name in METRIC:
        shutil.copy(EXAMPLES / name / f"{name}.py", folder)
    shutil.copy(Path(__file__).parent / "killed.py", folder)
    (folder / "sweep.yaml").write_text(SWEEP)
    done = run_command("run", "sweep.yaml", "--cpus", "2", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def row_of(folder: Path, example: str) -> dict[str, Any]:
    shown = run_command("results", "runs/functions", "--format", "json", cwd=folder)
    return next(row for row in json.loads(shown.stdout) if row["config"]["example"] == example)


def steps(folder: Path, tag: str) -> list[int]:
    """Of all event files below a folder."""
    found: list[int] = []
    for each in sorted({path.parent for path in folder.rglob("*.tfevents.*")}):
        events = EventAccumulator(str(each), size_guidance={"scalars": 0})
        events.Reload()
        if tag in events.Tags()["scalars"]:
            found += [event.step for event in events.Scalars(tag)]
    return found


def rows_of(folder: Path) -> int:
    """The HParams rows of a trial."""
    found = 0
    for each in {path.parent for path in folder.rglob("*.tfevents.*")}:
        events = EventAccumulator(str(each))
        events.Reload()
        tags = events.Tags()["tensors"]
        found += metadata.SESSION_START_INFO_TAG in tags and bool(_is_row(events))
    return found


def _is_row(events: EventAccumulator) -> bool:
    try:
        content = events.PluginTagToContent(metadata.PLUGIN_NAME)
    except KeyError:
        return False
    return metadata.SESSION_START_INFO_TAG in content


@pytest.mark.parametrize("example", METRIC)
def test_an_example_goes_on_after_a_kill_and_every_point_is_there_once(
    folder: Path, example: str
) -> None:
    row = row_of(folder, example)
    assert (row["status"], row["epochs"], row["attempts"]) == ("finished", 3, 2)
    assert row["checkpoint"]
    trial = folder / "runs/functions" / row["path"]
    assert steps(trial, "score") == [1, 2, 3]
    assert rows_of(trial) == 1
    if example == "dataloader_workers":
        assert steps(trial, "batch/loss") == list(range(24))
    if example == "lightning_module":
        logged = steps(trial, "train_loss")
        assert logged == sorted(set(logged))
        assert len(logged) > 3


def test_all_that_a_talkative_function_says_is_in_its_log_and_nothing_on_the_screen(
    tmp_path: Path,
) -> None:
    shutil.copytree(EXAMPLES / "noisy", tmp_path / "noisy")
    done = run_command("run", "noisy/sweep.yaml", "--cpus", "2", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "weights" not in done.stdout
    for log in (tmp_path / "runs/noisy").glob("trials/*/output.log"):
        said = log.read_text()
        assert len(said) > 100_000
        for part in ("epoch 3: 100%", "INFO epoch 1 is over", "UserWarning", "and a program that"):
            assert part in said

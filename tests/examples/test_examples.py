"""Every example runs: its sweep file is valid, and its trials train as arrays."""

import importlib
import math
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from sweeps import Sweep

EXAMPLES = Path(__file__).parents[2] / "examples"
FEW = {
    "tabular": ({"epochs": 1}, "error/validation"),
    "sequences": ({"epochs": 1, "count": 200}, "accuracy/test"),
    "images_in_folders": ({"epochs": 1}, "accuracy/test"),
    "optimizers": ({"epochs": 1, "subset": 0.2}, "accuracy/test"),
}
"""Parameters for a quick look, and what is best."""
FUNCTIONS = {"dataloader_workers", "huggingface_trainer", "lightning_module", "noisy"}
"""Of people's own functions; `test_functions.py` runs them."""


@pytest.fixture(params=FEW)
def example(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """An example's folder, copied and entered; its module is gone afterwards."""
    name: str = request.param
    shutil.copytree(EXAMPLES / name, tmp_path / name)
    monkeypatch.chdir(tmp_path / name)
    monkeypatch.syspath_prepend(tmp_path / name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield name
    torch.set_num_threads(threads)
    sys.modules.pop(name, None)


def test_an_example_is_a_sweep_whose_trials_train_as_an_array(
    example: str, capsys: pytest.CaptureFixture[str]
) -> None:
    values, metric = FEW[example]
    overrides = [f"parameters.{key}={value}" for key, value in values.items()]
    sweep = Sweep.from_yaml("sweep.yaml", overrides)
    outlook = sweep.plan(cpus=2, gpus=0)
    together = max(outlook.arrays, key=len)
    assert len(together) > 1
    task = importlib.import_module(example).task
    configs = [trial.config for trial in together[:2]]
    task.prepare(configs)
    seen: list[Mapping[str, Any]] = []
    reports = [lambda metrics, checkpoint=None: seen.append(metrics)] * 2
    assert task.train_many(configs, reports=reports) == [None, None]
    assert len(seen) == 2
    assert all(math.isfinite(metrics[metric]) for metrics in seen)
    assert "not trained as an array" not in capsys.readouterr().out


def test_every_example_has_a_file_a_sweep_and_a_line_in_the_readme() -> None:
    readme = (EXAMPLES.parent / "README.md").read_text()
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    assert folders == set(FEW) | FUNCTIONS
    for name in folders:
        assert (EXAMPLES / name / f"{name}.py").is_file()
        assert (EXAMPLES / name / "sweep.yaml").is_file()
        assert f"examples/{name}" in readme

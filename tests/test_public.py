"""The public surface, and what it costs to import."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import sweeps
import trainer
from sweeps import Sweep, Trainable
from tests.commands import PATIENCE
from tests.drivers import RunningRay


def test_the_public_names_are_these() -> None:
    assert sorted(sweeps.__all__) == [
        "AllFail",
        "CannotGoOn",
        "ClusterError",
        "DirectoryError",
        "Interrupted",
        "InvalidSweep",
        "MetricMissing",
        "Outlook",
        "Report",
        "Results",
        "Row",
        "Stopped",
        "Sweep",
        "SweepsError",
        "Trainable",
        "read_results",
    ]
    assert all(hasattr(sweeps, name) for name in sweeps.__all__)


def test_the_trainer_is_a_trainable() -> None:
    trainable: Trainable = trainer.train
    assert isinstance(trainable, Callable)  # type: ignore[arg-type]


@pytest.mark.parametrize("arguments", ["['--help']", "['plan', 'quickstart', '--gpus', '0']"])
def test_help_and_plan_import_neither_ray_nor_torch(arguments: str, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from sweeps.command.cli import app\n"
        f"try: app({arguments})\n"
        "except SystemExit as done: assert done.code == 0\n"
        "heavy = {'ray', 'torch', 'torchvision', 'tensorboard', 'sklearn', 'pandas'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=PATIENCE)
    assert not list(tmp_path.iterdir())


def test_a_sweep_runs_from_python_and_gives_its_results(
    ray_of_tests: RunningRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = Sweep.from_yaml("quickstart", ["parameters.epochs=1", "parameters.lr=0.01"])
    results = sweep.run(cpus=2, gpus=0)
    assert len(results) == 6
    assert {row.status for row in results} == {"finished"}
    best = results.best
    assert best is not None
    frame = results.to_dataframe()
    assert frame.loc[frame["id"] == best.id, "best.value"].item() == frame["best.value"].max()
    assert {p.name for p in tmp_path.iterdir()} == {"runs"}
    assert {p.name for p in (tmp_path / "runs/quickstart").iterdir()} == {
        ".lock",
        "manifest.json",
        "sweep.json",
        "trials",
    }

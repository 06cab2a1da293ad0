"""`sweeps init`: what it writes runs as it is, and it writes over nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from sweeps.definition.sweep_file import examine, read
from tests.commands import PATIENCE
from tests.conftest import run_command


def test_what_is_written_is_a_sweep_whose_own_test_passes(tmp_path: Path) -> None:
    done = run_command("init", "first", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    folder = tmp_path / "first"
    assert {path.name for path in folder.iterdir()} == {"mine.py", "sweep.yaml", "test_mine.py"}
    assert done.stdout.splitlines()[-1] == "run it with: cd first && sweeps run sweep.yaml"
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout
    assert "2 passed" in tested.stdout
    planned = run_command("plan", "sweep.yaml", "--cpus", "2", "--gpus", "0", cwd=folder)
    assert planned.returncode == 0, planned.stderr
    assert "8 trials: 8 new, in runs/first" in planned.stdout


@pytest.mark.parametrize("name", ["123", "true", "1e5", "null"])
def test_a_name_that_yaml_would_take_for_something_else_is_quoted(
    name: str, tmp_path: Path
) -> None:
    assert run_command("init", name, cwd=tmp_path).returncode == 0
    file, problems = examine(read(str(tmp_path / name / "sweep.yaml"))[0])
    assert problems == []
    assert file is not None and file.name == name


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.py").write_text("precious")
    done = run_command("init", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == ("error: mine exists, and nothing is written over; give another name\n")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["mine.py"]
    assert (tmp_path / "mine" / "mine.py").read_text() == "precious"


@pytest.mark.parametrize("name", ["../up", "", ".hidden", "a b", "a/b"])
def test_a_name_that_no_sweep_could_have_is_refused(name: str, tmp_path: Path) -> None:
    done = run_command("init", name, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: NAME must be 1 to 64 letters")
    assert list(tmp_path.iterdir()) == []

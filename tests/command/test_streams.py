"""Closed, full and broken outputs: what is shown never decides what is trained, nor how it ends."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import PATIENCE
from tests.fakes import fake_sweep

LOST = {
    "closed": (">&-", "it is closed"),
    "full": (">/dev/full", "No space left on device"),
    "gone": ("| true", "Broken pipe"),
}
READING = ["status runs/fake", "results runs/fake", "results runs/fake --format csv", "--help"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a sweep of three trials, whose values are not in ASCII."""
    folder = tmp_path_factory.mktemp("streams")
    fake_sweep(folder / "runs/fake", [{"model": "größer"}, {"model": "模型"}, {"model": "z"}])
    return folder


def shell(command: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A command of a shell's, in which `sweeps` is ours."""
    script = (
        f'sweeps() {{ "{sys.executable}" -m sweeps "$@"; }}\n{command}\nexit ${{PIPESTATUS[0]}}'
    )
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("command", READING)
def test_a_command_that_reads_ends_as_others_do_in_a_pipe(command: str, folder: Path) -> None:
    done = shell(f"(sleep 1; sweeps {command}; echo $? >&2) | true", folder)
    assert done.stderr == "141\n"


@pytest.mark.parametrize("command", READING)
@pytest.mark.parametrize("lost", ["closed", "full"])
def test_a_command_that_reads_says_what_is_wrong_with_its_output(
    lost: str, command: str, folder: Path
) -> None:
    redirection, why = LOST[lost]
    done = shell(f"sweeps {command} {redirection}", folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: standard output cannot be written: {why}\n"
    assert shell(f"sweeps {command} {redirection} 2>&-", folder).returncode == 1


def test_letters_that_an_output_lacks_are_shown_by_their_codes(folder: Path) -> None:
    done = shell("sweeps results runs/fake", folder, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert r"gr\xf6\xdfer" in done.stdout
    assert r"\u6a21\u578b" in done.stdout
    assert "größer" in shell("sweeps results runs/fake", folder, PYTHONIOENCODING="utf-8").stdout


def test_parquet_is_not_written_to_a_terminal(folder: Path) -> None:
    terminal, ours = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "sweeps", "results", "runs/fake", "--format", "parquet"],
        cwd=folder,
        stdout=ours,
        stderr=subprocess.PIPE,
        timeout=PATIENCE,
        check=False,
    )
    os.close(ours)
    os.close(terminal)
    assert done.returncode == 2
    assert b"parquet must go to a file, and not to a terminal" in done.stderr
    piped = shell("sweeps results runs/fake --format parquet | head -c 4", folder)
    assert (piped.stdout, piped.stderr) == ("PAR1", "")


@pytest.mark.ray
@pytest.mark.parametrize("lost", LOST)
def test_a_sweep_goes_on_without_its_output_and_says_so(lost: str, tmp_path: Path) -> None:
    """Its status is the sweep's, and not the output's."""
    (tmp_path / "quick.py").write_text(
        "def train(config, *, report):\n    for epoch in range(3):\n"
        "        report({'loss': epoch})\n"
    )
    (tmp_path / "sweep.yaml").write_text(
        "{name: quick, train: 'quick:train', metric: loss, mode: min, parameters: {x: größer}}"
    )
    redirection, why = LOST[lost]
    run = "sweeps run sweep.yaml --gpus 0"
    done = shell(f"(sleep 1; {run}; echo $? >&2) {redirection}", tmp_path)
    said = f"note: standard output cannot be written: {why}; the sweep goes on\n"
    assert done.stderr == f"{said}0\n"
    assert shell(f"{run} {redirection} 2>&-", tmp_path).returncode == 0  # nothing to do
    assert "1 trial: 1 finished" in shell("sweeps status runs/quick", tmp_path).stdout

"""Bad input: one clear message, exit status 2, Ray is not started, nothing is written or lost."""

import json
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from typer.testing import CliRunner

from sweeps import Sweep
from sweeps.command.cli import app
from tests.command.bad_input import CASES
from tests.command.bad_input.case import (
    Case,
    check_message,
    finished,
    lay_out,
    replaced,
    snapshot,
    sweep,
)
from tests.commands import run_command

FOR_REAL = {
    "every problem of a file is told at once with its dotted path",
    "each bad value of a grid is named",
    "a module that exits when it is imported",
    "a directory where not even root can write",
    "a cluster that does not answer",
    "results sorted by an unknown metric name the nearest",
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_with_one_clear_message(case: Case, here: Path) -> None:
    before = lay_out(case, here)
    result = CliRunner().invoke(app, shlex.split(case.command))
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2
    check_message(result.stderr, case.says)
    assert result.stdout == ""
    assert snapshot(here) == before


@pytest.mark.parametrize("case", [row for row in CASES if row.id in FOR_REAL])
def test_the_command_refuses_it_too_without_importing_ray_or_torch(
    case: Case, tmp_path: Path
) -> None:
    before = lay_out(case, tmp_path)
    settings = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPROFILEIMPORTTIME": "1"}
    done = run_command(*shlex.split(case.command), cwd=tmp_path, **settings)
    assert (done.returncode, done.stdout) == (2, "")
    told = done.stderr.splitlines()
    imports = {line.rpartition("|")[2].strip() for line in told if line.startswith("import time:")}
    assert "sweeps.command.cli" in imports
    assert not imports & {"ray", "torch"}
    message = [line for line in told if not line.startswith("import time:")]
    check_message("\n".join(message), case.says)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("command", "says"),
    [
        pytest.param("run sweep.yaml --trials 3", "--trials", id="an unknown option"),
        pytest.param("run sweep.yaml --cpus 0", "--cpus", id="no processor"),
        pytest.param("run sweep.yaml --cpus 99999999999", "--cpus", id="more than Ray can count"),
        pytest.param("plan sweep.yaml --gpus -1", "--gpus", id="a negative number of GPUs"),
        pytest.param("results runs/mine --format xml", "xml", id="an unknown format"),
        pytest.param("board runs/mine --port 99999", "--port", id="a port that cannot be"),
        pytest.param("run", "FILE", id="no file"),
        pytest.param("rnu sweep.yaml", "rnu", id="an unknown command"),
    ],
)
def test_a_wrong_option_is_named_with_the_way_to_the_help(
    command: str, says: str, here: Path
) -> None:
    (here / "sweep.yaml").write_text(sweep())
    finished(here)
    before = snapshot(here)
    result = CliRunner().invoke(app, shlex.split(command))
    assert result.exit_code == 2
    assert says in result.stderr
    assert "--help" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert snapshot(here) == before


def test_a_module_in_the_current_directory_is_found(here: Path) -> None:
    (here / "good_module.py").write_text("def train(config, *, report): ...\n")
    (here / "sweep.yaml").write_text(sweep(train="good_module:train", metric="loss"))
    result = CliRunner().invoke(app, ["plan", "sweep.yaml"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "1 trial: 1 new" in result.stdout


def test_a_number_with_an_exponent_is_a_number_in_files_and_overrides(here: Path) -> None:
    (here / "sweep.yaml").write_text(sweep(parameters="{lr: [1e-3, 1E2], dataset: digits}"))
    given = Sweep.from_yaml("sweep.yaml", ["parameters.weight_decay=1e-4"])
    assert [trial.config["lr"] for trial in given.trials] == [0.001, 100.0]
    assert {trial.config["weight_decay"] for trial in given.trials} == {0.0001}


def test_what_a_damaged_record_says_to_do_loses_nothing(here: Path) -> None:
    (here / "sweep.yaml").write_text(sweep())
    finished(here)
    (here / "runs/mine/sweep.json").unlink()
    result = CliRunner().invoke(app, ["plan", "sweep.yaml"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "1 trial: 1 finished" in result.stdout


@contextmanager
def somebody_else() -> Iterator[None]:
    """Root may write anywhere: for a moment, be a user who may not."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        pytest.param("runs/mine", 0o555, id="the directory"),
        pytest.param("runs/mine/trials", 0o555, id="the trials"),
        pytest.param("runs/mine/trials/*", 0o555, id="a trial"),
        pytest.param("runs/mine/trials/*/history.jsonl", 0o444, id="a history"),
    ],
)
def test_records_of_another_user_are_refused_before_anything_is_written(
    path: str, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not below pytest's own folder, which other users cannot even enter."""
    with TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        monkeypatch.chdir(folder)
        (folder / "sweep.yaml").write_text(sweep())
        finished(folder)
        for each in [folder, *folder.rglob("*")]:
            each.chmod(0o777 if each.is_dir() else 0o666)
        [locked] = folder.glob(path)
        locked.chmod(mode)
        before = snapshot(folder)
        with somebody_else():
            result = CliRunner().invoke(app, ["plan", "sweep.yaml"])
        assert result.exit_code == 2, result.exception
        what = str(locked.relative_to(folder))
        check_message(result.stderr, (f"{what} cannot be written",))
        assert snapshot(folder) == before
        locked.chmod(0o777)
        with somebody_else():
            assert CliRunner().invoke(app, ["plan", "sweep.yaml"]).exit_code == 0


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"status": "finished"}', "\0\0", "[" * 5000]
)
def test_a_damaged_record_of_a_trial_is_told_of_and_made_anew_from_what_it_wrote(
    content: str, here: Path
) -> None:
    (here / "sweep.yaml").write_text(sweep())
    replaced("trials/*/trial.json", content)(here)
    for command in (["status", "runs/mine"], ["results", "runs/mine"], ["plan", "sweep.yaml"]):
        result = CliRunner().invoke(app, command)
        assert (result.exit_code, result.stderr) == (0, "")
    status = CliRunner().invoke(app, ["status", "runs/mine"], env={"COLUMNS": "200"}).stdout
    assert "its record was damaged and is made anew" in status
    assert "1 trial: 1 continued" in result.stdout


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[" * 5000,
        '{"step": 1}',
        '{"step": 1, "metrics": {"loss": []}, "seconds": 1.0, "checkpoint": null}',
        '{"step": 1, "metrics": {"loss": 1}, "seconds": "long", "checkpoint": null}',
        '{"step": 1, "metrics": {"loss": 1}, "seconds": 1.0, "checkpoint": "../elsewhere.pt"}',
        '{"step": 1, "metrics": {"loss": 1}, "seconds": 1.0, "checkpoint": "/elsewhere.pt"}',
    ],
)
def test_a_damaged_history_of_a_finished_trial_is_taken_from_the_copy_in_its_record(
    line: str, here: Path
) -> None:
    (here / "sweep.yaml").write_text(sweep())
    replaced("trials/*/history.jsonl", f"{line}\n")(here)
    result = CliRunner().invoke(app, ["results", "runs/mine", "--format", "json"])
    assert result.exit_code == 0
    assert re.fullmatch(r"note: \w{8}: its history.jsonl was damaged, .*\n", result.stderr)
    [row] = json.loads(result.stdout)
    assert (row["status"], row["epochs"]) == ("finished", 1)
    assert row["metrics"] == {"accuracy/test": 0.9, "loss/test": 0.1}

"""What a sweep shows while it runs, to whoever runs it and to whoever looks from elsewhere."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from sweeps.command import complete
from sweeps.command.display import FREELY, Lines
from sweeps.command.live import Glance
from sweeps.records.history import Report
from sweeps.records.record import Record, Status
from tests.commands import run_command
from tests.fakes import fake_sweep


def trial(number: int, status: Status, *losses: float) -> Record:
    reports = [Report(step, {"loss": loss}, 1.0) for step, loss in enumerate(losses, start=1)]
    config = {"lr": number / 10, "epochs": 3}
    return Record(f"trial{number:03d}", config, f"trials/{number}", status, history=reports)


def drawn(records: list[Record], mode: str, size: tuple[int, int]) -> str:
    """The glance at these trials, on a screen of this size."""
    pick = min if mode == "min" else max
    best = {
        record.id: {"value": pick(r.metrics["loss"] for r in record.history), "epoch": 1}
        for record in records
        if record.history
    }
    console = Console(file=io.StringIO(), width=size[0], height=size[1])
    console.print(Glance(["lr"], "loss", mode).draw(records, best, "the last line", size))
    return console.file.getvalue()


@pytest.mark.parametrize(("mode", "first"), [("min", "trial002"), ("max", "trial001")])
def test_a_glance_shows_what_runs_and_the_best_and_nothing_that_waits(
    mode: str, first: str
) -> None:
    records = [
        trial(0, Status.RUNNING),
        trial(1, Status.FINISHED, 0.9),
        trial(2, Status.FINISHED, 0.1),
        trial(3, Status.FAILED, 0.01),
        *(trial(number, Status.PENDING) for number in range(4, 40)),
    ]
    lines = drawn(records, mode, (80, 24)).splitlines()
    shown = [line.split()[0] for line in lines if line.startswith("trial0")]
    other = "trial001" if mode == "min" else "trial002"
    assert shown == ["trial000", first, other]
    assert "best loss so far" in lines
    assert lines[-1] == "the last line"


def test_a_glance_fits_the_screen_and_counts_what_it_hides() -> None:
    running = [trial(number, Status.RUNNING, 0.5) for number in range(40)]
    text = drawn(running, "min", (40, 24))
    lines = text.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 40
    assert "more that run" in text


def test_a_pipe_gets_a_line_a_report_at_first_and_then_one_a_second() -> None:
    for every, count in ((False, FREELY), (True, 1000)):
        console = Console(file=io.StringIO())
        lines, record = Lines(console, "loss", every=every), trial(0, Status.RUNNING)
        lines.begin({record.id: record})
        for step in range(1, 1001):
            report = Report(step, {"loss": 0.5}, 1.0)
            record = replace(record, history=[*record.history, report][-1:])
            lines.reported(record)
        told = console.file.getvalue().count("loss 0.5")
        assert count <= told <= count + 5


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    trials = fake_sweep(tmp_path / "runs/fake", [{"lr": 0.1}, {"lr": 0.2}])
    printed = tmp_path / "runs/fake/trials" / trials[0].name / "output.log"
    printed.write_text("one\ntwo\n")
    (printed.parent / "errors.log").write_text("attempt 1: ValueError: no\n")
    (tmp_path / "mine.yaml").write_text("")
    (tmp_path / "other").mkdir()
    return tmp_path


def test_the_logs_of_a_trial_are_shown_as_they_are(folder: Path) -> None:
    shown = run_command("logs", "runs/fake", "trial000", cwd=folder)
    assert shown.stdout == "one\ntwo\nattempt 1: ValueError: no\n"
    assert run_command("logs", "runs/fake", "trial001", "-f", cwd=folder).stdout == (
        "trial001 has printed nothing\n"
    )
    unknown = run_command("logs", "runs/fake", "trial00", cwd=folder)
    assert unknown.returncode == 2
    assert "runs/fake holds no trial 'trial00'; did you mean 'trial00" in unknown.stderr


def test_a_watch_ends_with_the_run(folder: Path) -> None:
    shown = run_command("status", "runs/fake", "--watch", cwd=folder)
    assert shown.stdout.startswith("2 trials: 2 finished; 6 epochs\ntrial ")


def test_a_shell_is_offered_sweeps_directories_and_trials(folder: Path) -> None:
    assert complete.files("") == ["fashion-mnist", "quickstart", "mine.yaml", "other/", "runs/"]
    assert complete.files("qu") == ["quickstart"]
    assert complete.directories("r") == ["runs/fake", "runs/"]
    assert complete.directories("o") == ["other/"]
    offered = run_command(
        "logs",
        cwd=folder,
        _SWEEPS_COMPLETE="complete_bash",
        COMP_WORDS="sweeps logs runs/fake tr",
        COMP_CWORD="3",
    )
    assert offered.stdout.split() == ["trial000", "trial001"]

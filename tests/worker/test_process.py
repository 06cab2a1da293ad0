"""What people's functions do in their processes, and what is said of it: a sweep of many cases."""

import json
import subprocess
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.conftest import run_command, wait_until

pytestmark = pytest.mark.ray
HERE = Path(__file__).parent
SWEEP = """
name: cases
train: cases:{function}
metric: loss
mode: min
parameters: {{case: {cases}}}
max_failures: {failures}
"""


class Ran:
    """A sweep over cases that was run."""

    def __init__(self, folder: Path, done: subprocess.CompletedProcess[str], scratch: Path) -> None:
        self.folder, self.done, self.scratch = folder, done, scratch
        shown = run_command("results", "runs/cases", "--format", "json", cwd=folder)
        self.rows = {row["config"]["case"]: row for row in json.loads(shown.stdout)}

    def output(self, case: str) -> str:
        return (self.trial(case) / "output.log").read_text(errors="surrogateescape")

    def trial(self, case: str) -> Path:
        return self.folder / "runs/cases" / self.rows[case]["path"]

    def outcome(self, case: str) -> tuple[str, str | None]:
        return self.rows[case]["status"], self.rows[case]["error"]


def run(folder: Path, function: str, cases: list[str], failures: int) -> Ran:
    (folder / "cases.py").write_text((HERE / "cases.py").read_text())
    text = SWEEP.format(function=function, cases=json.dumps(cases), failures=failures)
    (folder / "sweep.yaml").write_text(text)
    scratch = Path(mkdtemp(prefix="s-"))
    done = run_command("run", "sweep.yaml", "--cpus", "1", cwd=folder, TMPDIR=str(scratch))
    return Ran(folder, done, scratch)


ENDS: dict[str, tuple[str, str | None]] = {
    "exits with 0": ("finished", None),
    "exits with 1": ("failed", "it called sys.exit(1)"),
    "exits with text": ("failed", "it called sys.exit: no data"),
    "exits at once": (
        "failed",
        "its process ended itself with status 3, before the function returned",
    ),
    "is terminated": ("failed", "its process was killed by SIGTERM"),
    "crashes": ("failed", "its process crashed: a segmentation fault (SIGSEGV)"),
    "raises": ("failed", "KeyError: 'width'"),
    "raises what cannot be shown": ("failed", "Broken"),
    "raises on the next line": ("failed", "ValueError: the shapes are not the same:"),
    "has not measured yet": ("finished", None),
    "has one bad epoch": ("finished", None),
    "diverges": ("stopped", "diverged: loss is nan from epoch 2 to 4"),
    "diverges at the end": ("stopped", "diverged: loss is nan at epoch 2"),
    "reports by another name": (
        "failed",
        "the trainable reported no 'loss'; it reported 'los'; did you mean 'los'?",
    ),
}
OTHERS = [
    "leaves everything changed",
    "finds everything fresh",
    "prints",
    "leaves processes and folders",
    "loads with workers",
    "forks",
    "reports from threads",
    "reports the metric now and then",
    "reports numbers of all kinds",
]
PLAIN = [
    "returns",
    "yields",
    "yields from a fork",
    "goes on from its checkpoint",
    "starts over",
    "asks about itself",
    "reports to a session",
    "returns a number",
    "starts a ray",
    "reports by keywords",
]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("cases")
    return run(folder, "train", [*ENDS, *OTHERS], 0)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run(tmp_path_factory.mktemp("plain"), "plain", PLAIN, 1)


@pytest.mark.parametrize("case", ENDS)
def test_how_a_trial_ended_is_said_in_a_sentence(ran: Ran, case: str) -> None:
    assert ran.outcome(case) == ENDS[case]
    assert ran.done.returncode == 1
    assert ran.done.stderr == ""


def test_a_process_begins_as_a_fresh_one_whatever_was_trained_before(ran: Ran) -> None:
    fresh = ran.rows["finds everything fresh"]["metrics"]
    assert {name: value for name, value in fresh.items() if not value} == {}
    assert len(fresh) == 14


def test_the_output_of_a_process_and_its_children_is_in_the_trials_log(ran: Ran) -> None:
    assert ran.output("prints").splitlines() == [
        "from python caf\\udce9",
        "from a descriptor",
        "from a child",
        "and its errors",
    ]


def test_nothing_that_a_trial_has_started_or_put_aside_is_left(ran: Ran) -> None:
    pid, folder = (ran.folder / "left.txt").read_text().split()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "its child to end")
    assert not Path(folder).exists()


def test_a_loader_with_workers_of_its_own_works(ran: Ran) -> None:
    row = ran.rows["loads with workers"]
    assert (row["status"], row["epochs"], row["metrics"]) == ("finished", 2, {"loss": 28.0})


def test_a_process_that_the_function_forks_ends_by_itself(ran: Ran) -> None:
    row = ran.rows["forks"]
    assert (row["status"], row["epochs"]) == ("finished", 3)
    assert ran.output("forks") == "the child has ended\n"


def test_no_report_of_several_threads_is_lost(ran: Ran) -> None:
    row = ran.rows["reports from threads"]
    assert (row["status"], row["epochs"]) == ("finished", 100)


def test_the_metric_may_be_missing_in_some_reports(ran: Ran) -> None:
    row = ran.rows["reports the metric now and then"]
    assert (row["status"], row["epochs"], row["best"]) == (
        "finished",
        4,
        {"value": 0.25, "epoch": 4},
    )
    assert "no 'loss' so far; reported was 'loss/train'" in ran.done.stdout


def test_numbers_of_all_kinds_are_recorded_and_the_rest_is_named_once(ran: Ran) -> None:
    row = ran.rows["reports numbers of all kinds"]
    assert row["metrics"] == {
        "n_params": 1234,
        "loss": 1,
        "eval/loss": 0.25,
        "eval/by/class": 0.5,
        "tensor": 2.0,
        "flag": 1,
        "test_acc": 0.75,
    }
    notes = ran.output("reports numbers of all kinds").splitlines()
    assert "note: 'text' is no number (text), and is left out of the metrics" in notes
    assert "note: 'three' is no number (Tensor of shape (3,)), and is left out of the metrics" in (
        notes
    )
    assert len(notes) == 4


def test_what_a_plain_function_returns_or_yields_is_reported(plain: Ran) -> None:
    assert plain.rows["returns"]["metrics"] == {"loss": 0.25}
    assert (plain.rows["returns"]["epochs"], plain.rows["yields"]["epochs"]) == (1, 3)
    assert plain.rows["yields"]["best"] == {"value": pytest.approx(1 / 3), "epoch": 3}


def test_a_process_that_a_generator_forks_yields_nothing(plain: Ran) -> None:
    row = plain.rows["yields from a fork"]
    assert (row["status"], row["epochs"], row["metrics"]["loss"]) == (
        "finished",
        3,
        pytest.approx(1 / 3),
    )


def test_a_plain_function_may_report_by_rays_older_name(plain: Ran) -> None:
    row = plain.rows["reports to a session"]
    assert (row["status"], row["epochs"]) == ("finished", 3)


def test_what_is_returned_and_no_report_is_shown_the_form_meant(plain: Ran) -> None:
    status, error = plain.outcome("returns a number")
    assert (status, "let it call report({'loss': ...})" in str(error)) == ("failed", True)
    assert "note: a value of type float was returned or yielded, which is no report" in (
        plain.output("returns a number")
    )
    assert "Last result" not in plain.done.stdout  # Ray Tune's own line


def test_a_plain_function_goes_on_from_its_checkpoint_if_it_asks_for_it(plain: Ran) -> None:
    asked, not_asked = (plain.rows[c] for c in ("goes on from its checkpoint", "starts over"))
    assert (asked["status"], asked["epochs"], asked["attempts"]) == ("finished", 4, 2)
    assert (not_asked["status"], not_asked["epochs"], not_asked["attempts"]) == ("finished", 3, 2)
    kept = plain.folder / "runs/cases" / asked["checkpoint"]
    assert (kept / "epoch").read_text() == "4"


def test_a_plain_function_is_told_about_itself(plain: Ran) -> None:
    assert plain.rows["asks about itself"]["metrics"] == {"loss": 1.0, "cpus": 1.0}


def test_ray_inside_of_a_trial_is_refused_where_it_would_wait_for_ever(plain: Ran) -> None:
    status, error = plain.outcome("starts a ray")
    assert status == "failed"
    assert "all processors are given to trials" in str(error)


def test_a_report_that_is_called_in_another_way_is_shown_the_form_meant(plain: Ran) -> None:
    status, error = plain.outcome("reports by keywords")
    assert status == "failed"
    assert error is not None
    assert "as in report({'loss': 0.1})" in error and "called as report(loss=1.0)" in error


def test_no_temporary_file_is_left(ran: Ran) -> None:
    assert list(ran.scratch.iterdir()) == []

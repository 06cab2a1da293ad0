"""What people read is what is there: nothing in a value acts, and tables keep what matters."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from sweeps.command.columns import VALUES, Table
from sweeps.definition.text import format_value, harmless, in_name, number, numbers, one_line, typed
from sweeps.definition.yaml12 import load
from sweeps.records.record import Status
from tests.commands import run_command
from tests.fakes import fake_sweep

ACTING = {
    "[/x]": "[/x]",
    "[red]x[/red]": "[red]x[/red]",
    ":smile:": ":smile:",
    "\x1b[31mred\x1b[2J": r"\x1b[31mred\x1b[2J",
    "two\nlines": r"two\nlines",
    "a\rb": r"a\rb",
    "\u202eback": r"\u202eback",
}


@pytest.mark.parametrize(("value", "shown"), ACTING.items())
def test_what_would_act_is_shown_by_its_code(value: str, shown: str) -> None:
    assert format_value(value) == shown
    assert one_line(value) == shown


def test_other_letters_stay_as_they_are() -> None:
    text = "größer 模型 👩\u200d🔬 café"
    assert harmless(text) == text
    assert harmless("a\nb\tc", keep="\n") == "a\nb\\tc"
    assert one_line("x" * 10_000, 20) == "x" * 17 + "..."


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        (3, "3"),
        (1e-05, "1e-05"),
        (0.1234567, "0.1234567"),
        (0.0031622776601683794, "0.00316228"),
        ("", "''"),
        ([64, "64", "a b", None], '[64, "64", a b, null]'),
        ({"a": 1, "b": ["x", "no: yes"]}, '{a: 1, b: [x, "no: yes"]}'),
    ],
)
def test_values_are_shown_as_yaml_has_them(value: object, shown: str) -> None:
    assert format_value(value) == shown
    if isinstance(value, list | dict):
        assert load(shown) == value


def test_folders_are_named_by_something_readable() -> None:
    assert in_name([64, 32]) == "64+32"
    assert in_name({"a": 1, "b": [2, 3]}) == "a=1+b=2+3"
    assert in_name("[red]x/y[/red]") == "red_x_y_red"
    assert in_name("///") == "_"
    assert in_name(-0.5) == "-0.5"


def test_what_is_printed_to_be_typed_is_quoted_and_taken_for_no_option() -> None:
    assert [typed(place) for place in ("runs/x", "f9 dir/x y", "-x")] == [
        "runs/x",
        "'f9 dir/x y'",
        "./-x",
    ]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.87841, 0.87844, 0.5], ["0.87841", "0.87844", "0.50000"]),
        ([0.8784, 0.9, None], ["0.8784", "0.9000", ""]),
        ([123.456, 7.0], ["123.5", "7.0"]),
        ([3, 12_000], ["3", "12,000"]),
        ([1.2e-7, 3.4e-7], ["1.200e-07", "3.400e-07"]),
        ([float("nan"), 0.5], ["nan", "0.5000"]),
        ([0.0], ["0.000"]),
        ([], []),
    ],
)
def test_a_column_has_the_digits_that_tell_its_numbers_apart(
    values: list[float | None], shown: list[str]
) -> None:
    assert numbers(values) == shown


def test_one_number_has_four_digits() -> None:
    assert [number(x) for x in (0.5, 12.3456, 1234.5)] == ["0.5000", "12.35", "1,234"]


def table() -> Table:
    table = Table()
    table.add("trial", ["abcdefgh"])
    table.add("lr", ["0.1"])
    table.add("status", ["finished"], 1)
    table.add("loss", ["0.5000"], right=True)
    table.add("seconds", ["1.0"], 9, right=True)
    table.add("error", ["a long sentence on what has happened to it"], 2, cut=True)
    return table


@pytest.mark.parametrize(
    ("width", "gone"),
    [
        (None, []),
        (200, []),
        (80, []),
        (64, ["seconds"]),
        (50, ["error"]),
        (30, ["status", "error"]),
        (10, ["status", "seconds", "error"]),
    ],
)
def test_what_matters_most_stays_whole_and_the_rest_goes_by_rank(
    width: int | None, gone: list[str]
) -> None:
    lines, left_out = table().fit(width)
    assert left_out == gone
    assert all(word in lines[1] for word in ("abcdefgh", "0.1", "0.5000"))
    if width and width >= 24:
        assert max(map(len, lines)) <= width
    assert ("a long sentence" in lines[1]) is ("error" not in gone)
    assert ("what has happened to it" in lines[1]) is (width in (None, 200))


def test_of_many_swept_values_some_go_and_not_what_is_said_of_them() -> None:
    table = Table()
    for n in range(14):
        table.add(f"parameter{n}", ["0.1"], VALUES)
    table.add("seeds", ["3"], 4, right=True)
    table.add("score", ["0.5000 ± 0.01"], right=True)
    table.add("told apart", ["yes"], 1, right=True)
    lines, left_out = table.fit(80)
    assert max(map(len, lines)) <= 80
    assert "parameter0" in lines[0]
    assert all(word in lines[0] for word in ("score", "told apart"))
    assert "parameter13" in left_out


def test_cells_are_aligned_by_what_they_take_on_a_screen() -> None:
    table = Table()
    table.add("name", ["模型", "abc"])
    table.add("x", ["1", "2"])
    assert str(table) == "name  x\n模型  1\nabc   2\n"


def test_tables_in_pipes_hold_what_is_there_and_never_lose_the_id(tmp_path: Path) -> None:
    """Values, names and errors that are markup, or ten thousand letters long, or act."""
    values = [*ACTING, "x" * 10_000]
    configs = [{"[b]name[/b]": value} for value in values]
    failed = {0: Status.FAILED, 3: Status.STOPPED}
    error = "[/red] :bomb: \x1b[2J"
    trials = fake_sweep(tmp_path / "s", configs, statuses=failed, error=error)
    for command in ("status", "results"):
        done = run_command(command, "s", *["--trials"][: command == "results"], cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        head, *lines = done.stdout.splitlines()
        assert "[b]name[/b]" in head
        for trial, shown, line in zip(
            trials, [*ACTING.values(), "x" * 57 + "..."], lines, strict=False
        ):
            assert line.startswith(f"{trial.id}  {shown}  ")
        assert r"[/red] :bomb: \x1b[2J" in lines[0]
        assert "failed" in lines[0]
        assert "finished" in lines[7]
    exported = run_command("results", "s", "--format", "json", cwd=tmp_path)
    found = [row["config"]["[b]name[/b]"] for row in json.loads(exported.stdout)]
    assert found == values


def test_a_console_shows_text_as_it_is_on_a_terminal_too() -> None:
    from sweeps.command.console import Plain

    console = Plain()
    console.file = io.StringIO()
    console.print("[red]x[/red] :smile: \x1b[2J\nnext")
    assert console.file.getvalue() == "[red]x[/red] :smile: \\x1b[2J\nnext\n"
    assert isinstance(console, Console)

"""What ends a run before its trials do: requests, its time, and enough."""

from pathlib import Path
from typing import Any

import pytest

from sweeps.driver.control import Control, Ending
from sweeps.records.files import LocalFiles
from sweeps.records.ledger import Ledger
from sweeps.records.record import Record, Status
from sweeps.records.requests import (
    Request,
    ask,
    ask_to_stop,
    asked_to_stop,
    forget,
    forget_to_stop,
    hear,
)


class Book:
    """An account that notes what is asked of it."""

    def __init__(self) -> None:
        self.ending: Ending | None = None
        self.records = {key: Record(key, {}, key, Status.RUNNING) for key in "ab"}
        self.stopped: list[str] = []

    def stop(self, key: str, why: str) -> None:
        self.stopped.append(key)


def control(
    folder: Path, hours: float | None = None, enough: Any = lambda records: None
) -> Control:
    return Control(Ledger(folder), hours, enough)


@pytest.mark.parametrize(
    ("request_", "kind"), [(Request("pause"), "paused"), (Request("stop"), "stopped")]
)
def test_a_request_ends_the_run_and_is_heard(tmp_path: Path, request_: Request, kind: str) -> None:
    book, path = Book(), ask(LocalFiles(tmp_path), request_)
    control(tmp_path).look(book)
    assert book.ending and book.ending.kind == kind
    assert not (tmp_path / path).exists()


def test_single_trials_are_stopped_and_others_go_on(tmp_path: Path) -> None:
    book = Book()
    ask(LocalFiles(tmp_path), Request("stop", ["b", "unknown"]))
    control(tmp_path).look(book)
    assert book.stopped == ["b"] and book.ending is None


def test_a_wider_file_is_heard_at_once_and_waits_for_the_next_round(tmp_path: Path) -> None:
    request = Request("widen", definition={"name": "x"})
    book, path, of_run = Book(), ask(LocalFiles(tmp_path), request), control(tmp_path)
    of_run.look(book)
    assert not (tmp_path / path).exists() and book.ending is None
    assert of_run.wider == [request]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"action": "pause", "who": 1}'])
def test_what_is_no_request_is_deleted(tmp_path: Path, content: str) -> None:
    files = LocalFiles(tmp_path)
    path = ask(files, Request("pause"))
    (tmp_path / path).write_text(content)
    assert list(hear(files)) == [] and not (tmp_path / path).exists()


def test_a_request_that_is_not_whole_yet_is_heard_once_it_is(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    path = ask(files, Request("pause"))
    whole = (tmp_path / path).read_text()
    (tmp_path / path).write_text("")
    assert list(hear(files)) == []
    (tmp_path / path).write_text(whole)
    assert list(hear(files)) == [Request("pause")]


def test_what_was_asked_of_a_run_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    for _ in range(2):
        ask(files, Request("pause"))
    forget(files)
    assert list(hear(files)) == []


def test_a_run_ends_when_its_time_is_over_or_it_has_done_enough(tmp_path: Path) -> None:
    book = Book()
    control(tmp_path, hours=1e-12).look(book)
    assert book.ending == Ending("enough", "the run has taken 1e-12 hours (stop_after.hours)")
    book = Book()
    control(tmp_path, 1.0, lambda records: "enough" if records == book.records else None).look(book)
    assert book.ending == Ending("enough", "enough")


def test_whether_it_is_enough_is_seen_at_every_step_however_short_trials_are(
    tmp_path: Path,
) -> None:
    book = Book()
    done = lambda records: "one" if records["a"].status is Status.FINISHED else None  # noqa: E731
    of_run = control(tmp_path, None, done)
    of_run.look(book)
    assert book.ending is None
    book.records["a"] = Record("a", {}, "a", Status.FINISHED)
    of_run.look(book)
    assert book.ending == Ending("enough", "one")


def test_a_trial_is_asked_to_stop_in_its_own_folder_until_it_begins_again(tmp_path: Path) -> None:
    files, folder = LocalFiles(tmp_path), tmp_path / "trials/x=1"
    folder.mkdir(parents=True)
    assert asked_to_stop(folder) is None
    ask_to_stop(files, "trials/x=1", "because")
    assert asked_to_stop(folder) == "because"
    forget_to_stop(files, "trials/x=1")
    assert asked_to_stop(folder) is None
    assert folder.exists()

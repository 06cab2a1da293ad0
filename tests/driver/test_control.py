"""What ends a run before its trials do: requests, its time, and enough."""

from pathlib import Path
from typing import Any

import pytest

from sweeps.driver.control import Control, Ending
from sweeps.records.ledger import Ledger
from sweeps.records.record import Record, Status
from sweeps.records.requests import Request, accepted, ask, asked_to_stop, forget_to_stop, pending


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
    book, path = Book(), ask(tmp_path, request_)
    control(tmp_path).look(book)
    assert book.ending and book.ending.kind == kind
    assert not path.exists()


def test_single_trials_are_stopped_and_others_go_on(tmp_path: Path) -> None:
    book = Book()
    ask(tmp_path, Request("stop", ["b", "unknown"]))
    control(tmp_path).look(book)
    assert book.stopped == ["b"] and book.ending is None


def test_a_wider_file_is_heard_at_once_and_waits_for_the_next_round(tmp_path: Path) -> None:
    request = Request("widen", definition={"name": "x"})
    book, path = Book(), ask(tmp_path, request)
    control(tmp_path).look(book)
    assert not path.exists() and book.ending is None
    assert accepted(tmp_path) == [request]
    assert accepted(tmp_path) == []


def test_what_is_no_request_is_removed(tmp_path: Path) -> None:
    path = ask(tmp_path, Request("pause"))
    path.write_text("{")
    assert list(pending(tmp_path)) == [] and not path.exists()


def test_a_run_ends_when_its_time_is_over_or_it_has_done_enough(tmp_path: Path) -> None:
    book = Book()
    control(tmp_path, hours=1e-12).look(book)
    assert book.ending == Ending("enough", "the run has taken 1e-12 hours (stop_after.hours)")
    book = Book()
    control(tmp_path, 1.0, lambda records: "enough" if records == book.records else None).look(book)
    assert book.ending == Ending("enough", "enough")


def test_a_trial_is_asked_to_stop_in_its_own_folder_until_it_begins_again(tmp_path: Path) -> None:
    from sweeps.records.requests import ask_to_stop

    assert asked_to_stop(tmp_path) is None
    ask_to_stop(tmp_path, "because")
    assert asked_to_stop(tmp_path) == "because"
    forget_to_stop(tmp_path)
    assert asked_to_stop(tmp_path) is None

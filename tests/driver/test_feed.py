"""What Ray Tune is handed when it has a place free, without Ray."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from ray.tune.search import Searcher

from sweeps.definition.space import Trial
from sweeps.driver.account import Book
from sweeps.driver.best_kept import BestKept
from sweeps.driver.control import Control
from sweeps.driver.failures import Failures
from sweeps.driver.feed import Feed
from sweeps.errors import CannotGoOn, SweepsError
from sweeps.planning.arrays import Array
from sweeps.planning.batch import Batch
from sweeps.records.history import Report
from sweeps.records.ledger import Ledger
from sweeps.records.record import Overview, Record, Status
from sweeps.records.requests import Request
from sweeps.worker.job import SEPARATOR


class Account:
    """A book in which a test writes."""

    def __init__(self) -> None:
        self.fatal: SweepsError | None = None
        self.records: dict[str, Record] = {}
        self.failures = Failures(1)

    @property
    def is_over(self) -> bool:
        return self.fatal is not None

    def expect(self, batch: Batch) -> None:
        for trial in (trial for array in batch.arrays for trial in array):
            self.records[trial.id] = Record(trial.id, {}, f"trials/{trial.id}")
            self.failures.expect(trial.id)

    def is_waiting(self, key: str) -> bool:
        return self.records[key].status is Status.PENDING

    def goal(self, key: str) -> int:
        return 3

    def end(self, *keys: str) -> None:
        for key in keys:
            self.records[key] = Record(key, {}, f"trials/{key}", Status.FINISHED)


class World:
    """A feed, and what it asks for."""

    def __init__(self, *batches: list[Array] | SweepsError) -> None:
        self.batches, self.asked = list(batches), list[dict[str, Any]]()
        self.book, self.control = Account(), Control(Ledger(Path()), None, lambda records: None)
        self.feed = Feed(cast(Book, self.book), self.control, self.following)
        self.feed.set_max_concurrency(4)

    def following(
        self, records: Mapping[str, Record], busy: Mapping[str, int | None]
    ) -> Batch | None:
        self.asked.append(dict(busy))
        found = self.batches.pop(0) if self.batches else None
        if isinstance(found, SweepsError):
            raise found
        return Batch(found, {}, {}) if found else None

    def suggest(self, name: str) -> Any:
        self.feed.step()
        found = self.feed.suggest(name)
        return found["array"] if isinstance(found, dict) else found


def array(*keys: str) -> Array:
    return tuple(Trial(key, {}, key) for key in keys)


def test_arrays_are_handed_out_in_order_and_what_follows_is_asked_when_that_may_have_changed() -> (
    None
):
    world = World([array("a", "b"), array("c")])
    assert world.suggest("1") == SEPARATOR.join(["trials/a", "trials/b"])
    assert world.suggest("2") == "trials/c"
    assert [world.suggest("3"), world.suggest("4")] == [None, None]
    assert world.asked == [{}], "nothing has changed since"
    world.book.end("c")
    world.feed.on_trial_complete("2")
    assert world.suggest("5") is None
    assert world.asked == [{}, {"a": 3, "b": 3}]
    world.book.end("a", "b")
    world.feed.on_trial_complete("1")
    assert world.suggest("6") == Searcher.FINISHED
    assert not world.feed.has_more()


def test_what_failed_in_an_array_follows_alone_and_what_ray_did_not_get_to_as_it_was() -> None:
    world = World([array("a", "b", "c"), array("d", "e")])
    world.suggest("1"), world.suggest("2")
    world.book.end("a")
    world.book.failures.send_alone("b")
    world.feed.on_trial_complete("1")
    assert world.suggest("3") == "trials/c"
    assert world.suggest("4") == "trials/b"
    world.feed.over()
    left = [world.suggest(name) for name in "5678"]
    assert left == [SEPARATOR.join(["trials/d", "trials/e"]), "trials/c", "trials/b", None]


def test_what_was_stopped_before_it_began_is_not_handed_out() -> None:
    world = World([array("a"), array("b"), array("c")])
    assert world.suggest("1") == "trials/a"
    world.book.end("b")
    assert world.suggest("2") == "trials/c"


def test_a_wider_file_is_asked_for_at_once() -> None:
    world = World([array("a")])
    world.suggest("1")
    assert world.suggest("2") is None
    world.control.wider.append(Request("widen"))
    world.batches.append([array("b")])
    assert world.suggest("3") == "trials/b"


def test_no_more_are_under_way_than_ray_takes_at_once() -> None:
    world = World([array("a"), array("b"), array("c")])
    world.feed.set_max_concurrency(2)
    assert [world.suggest(name) for name in "123"] == ["trials/a", "trials/b", None]
    world.book.end("a")
    world.feed.on_trial_complete("1")
    assert world.suggest("4") == "trials/c"


def test_an_array_that_ray_has_lost_is_not_waited_for() -> None:
    """Asked twice in a step, it has nothing under way; a place is asked for once in a step."""
    world = World([array("a")])
    world.suggest("1")
    assert world.suggest("2") is None
    assert world.feed.suggest("3") == Searcher.FINISHED
    world.feed.over()
    assert world.suggest("4") == "trials/a"


def test_what_goes_wrong_in_deciding_ends_the_sweep_with_its_reason() -> None:
    world = World([array("a")], SweepsError("the wider file names no metric"))
    world.suggest("1")
    world.feed.on_trial_complete("1")
    world.book.end("a")
    assert world.suggest("2") == Searcher.FINISHED
    assert isinstance(world.book.fatal, CannotGoOn)
    assert "the wider file names no metric; what was recorded is kept" in str(world.book.fatal)


@pytest.mark.parametrize("late", [False, True], ids=["known from the beginning", "added later"])
def test_of_equals_the_first_of_the_sweep_keeps_its_checkpoint(tmp_path: Path, late: bool) -> None:
    trials = [Trial(key, {}, key) for key in "ab"]
    records = []
    for trial in trials:
        (tmp_path / trial.id / "best").mkdir(parents=True)
        (tmp_path / trial.id / "best/00001.pt").touch()
        history = [Report(1, {"loss": 1.0}, 1.0)]
        records.append(Record(trial.id, {}, trial.id, Status.FINISHED, history=history))
    known = trials[:1] if late else trials
    kept = BestKept(tmp_path, Overview("s", "loss", "min", {}, tuple(known)), 1)
    kept.add(records[0])
    kept.expect(trials)
    assert kept.add(records[1]) == ["b"]
    assert (tmp_path / "a/best").exists() and not (tmp_path / "b/best").exists()

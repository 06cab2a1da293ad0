"""Hands Ray Tune what is to run: an array for each place that is free, as long as there are any."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ray.tune.search import Searcher

from sweeps.definition.space import Trial
from sweeps.driver.account import Book
from sweeps.driver.control import Control
from sweeps.driver.guarded import guarded
from sweeps.planning.arrays import Array
from sweeps.planning.batch import Batch
from sweeps.records.record import Record
from sweeps.worker.job import SEPARATOR

Following = Callable[[Mapping[str, Record], Mapping[str, int | None]], Batch | None]
"""What may begin now, by the latest records of those that have run, and the epochs up to which
those train that are under way; ``None`` if nothing may."""


class Feed(Searcher):
    """In Ray Tune's eyes a searcher, whose suggestions are the folders of an array's trials.

    It is asked for each place that becomes free. Once it has nothing left it asks what follows,
    whenever that may have changed.
    """

    def __init__(self, book: Book, control: Control, following: Following) -> None:
        super().__init__()
        self._book, self._control, self._following = book, control, following
        self._waiting: deque[Array] = deque()
        self._live: dict[str, Array] = {}
        self._ended: list[Array] = []
        self._changed = True
        self._at_most, self._in_vain = 1, 0

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Keep no more than so many arrays under way."""
        self._at_most = max_concurrent
        return True

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles searchers into its snapshot; this one is of no use there

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """An array; ``None`` if there is none now, ``FINISHED`` if there will be none.

        Asked twice in a step, Ray Tune itself has nothing under way, whatever it has told of that.
        """
        if len(self._live) >= self._at_most or not self.has_more():
            self._in_vain += 1
            waits = self._live and self._in_vain == 1 and not self._book.is_over
            return None if waits else Searcher.FINISHED
        array = self._live[trial_id] = self._waiting.popleft()
        return {"array": SEPARATOR.join(self._book.records[trial.id].path for trial in array)}

    def step(self) -> None:
        """Ray Tune begins another step."""
        self._in_vain = 0

    def has_more(self) -> bool:
        """Whether an array may begin now."""
        if self._book.is_over:
            return False
        while self._waiting and not any(map(self._waits, self._waiting[0])):
            self._waiting.popleft()  # it was stopped before it began
        if not self._waiting:
            self._refill()
        return bool(self._waiting) and not self._book.is_over

    def _waits(self, trial: Trial) -> bool:
        return self._book.is_waiting(trial.id)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Ray Tune is done with an array."""
        self._ended.append(self._live.pop(trial_id, ()))
        self._changed = True

    def over(self) -> None:
        """Ray Tune has come to its end, and with it everything that was under way."""
        self._ended += self._live.values()
        self._live.clear()
        self._changed = True

    def save(self, checkpoint_path: str) -> None:
        """Nothing: what is to be done is decided from the records."""

    @guarded
    def _refill(self) -> None:
        self._waiting.extend(_still_to_run(self._ended, self._book))
        self._ended.clear()
        if self._waiting or not (self._changed or self._control.wider):
            return
        self._changed = False
        under_way = [trial.id for array in self._live.values() for trial in array]
        busy = {key: self._book.goal(key) for key in under_way}
        if batch := self._following(self._book.records, busy):
            self._book.expect(batch)
            self._waiting.extend(batch.arrays)


def _still_to_run(arrays: Sequence[Array], book: Book) -> list[Array]:
    """What Ray Tune has left: arrays that it did not get to, and alone what failed in one."""
    again = [tuple(trial for trial in array if book.is_waiting(trial.id)) for array in arrays]
    together = [tuple(t for t in array if not book.failures.goes_alone(t.id)) for array in again]
    alone = [(t,) for array in again for t in array if book.failures.goes_alone(t.id)]
    return [array for array in together if array] + alone

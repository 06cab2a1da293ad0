"""What a run does next: decided from the records, written down, announced; then decided again."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from sweeps.driver.control import Control
from sweeps.planning.batch import Batch
from sweeps.planning.shares import Share
from sweeps.records.record import Record
from sweeps.records.requests import Request
from sweeps.state import Outlook, State


class Rounds:
    """The rounds of one run: the first as planned, then what the records ask for.

    Args:
        retry: only these trials are run, and nothing follows.
        widened: the state that a file which has asked for more trials describes.
        announce: is told of each round.

    Attributes:
        state: that of the file which has asked last.
        first: what the run begins with.
    """

    def __init__(
        self,
        state: State,
        share: Share,
        control: Control,
        retry: Sequence[str],
        widened: Callable[[Request], State],
        announce: Callable[[Outlook], None],
    ) -> None:
        self.state, self._share, self._control = state, share, control
        self._retry, self._widened, self._announce = retry, widened, announce
        self.first = state.look_ahead(state.decide(retry), share)
        self._told: tuple[State, int] | None = None

    def begin(self) -> None:
        """Write down what the run begins with."""
        self._write(self.first)

    def following(self, records: Mapping[str, Record], busy: Collection[str]) -> Batch | None:
        """What may begin now; ``None`` if nothing may.

        Args:
            records: the latest of the trials that this run has run, by id.
            busy: the ids of those that are under way.
        """
        if self._told is None:
            return self._announced(self.first)
        wider = self._control.wider
        if self._retry or not (self.state.file.search or wider):
            return None
        if busy and not (self.state.goes_ahead or wider):
            return None
        while wider:
            self.state = self._widened(wider.pop(0))
        plan = self.state.decide(now=records).without_retries().beside(busy)
        if self._told != (self.state, plan.round):
            self.state.settle()
        if not plan.todo:
            return None
        self.state.prepare(plan)
        outlook = self.state.look_ahead(plan, self._share, records)
        self._write(outlook)
        return self._announced(outlook)

    def _write(self, outlook: Outlook) -> None:
        self.state.describe(outlook)
        self.state.inherit(outlook.plan)

    def _announced(self, outlook: Outlook) -> Batch:
        now = self.state, outlook.plan.round
        announce = partial(self._announce, outlook) if self._told != now else None
        self._told = now
        versions = self.state.versions(outlook.plan.todo)
        return Batch(outlook.arrays, outlook.plan.until, versions, announce)

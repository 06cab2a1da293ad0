"""What a run does next: decided from the records, written down, announced; then decided again."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from sweeps.driver.control import Control
from sweeps.errors import SweepsError
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
        self._settled: tuple[State, int] | None = None
        self._is_wider = False
        self._error: SweepsError | None = None

    def begin(self) -> None:
        """Write down what the run begins with."""
        self._write(self.first)

    def end(self) -> None:
        """Write down what it has come to; what a search would try next is not listed."""
        listed = self.state.trials
        self.state.decide()
        self.state.settle()
        self.state.trials = listed
        self.state.describe()

    def following(
        self, records: Mapping[str, Record], busy: Mapping[str, int | None]
    ) -> Batch | None:
        """What may begin now; ``None`` if nothing may.

        What keeps others from beginning is raised once those that are under way have ended.

        Args:
            records: the latest of the trials that this run has run, by id.
            busy: up to which epoch those train that are under way, by id; ``None`` is to their end.
        """
        if self._told is None:
            return self._announced(self.first)
        if self._error is None:
            try:
                return self._next(records, busy)
            except SweepsError as error:
                self._error = error
        if not busy:
            raise self._error
        return None

    def _next(self, records: Mapping[str, Record], busy: Mapping[str, int | None]) -> Batch | None:
        wider = self._control.wider
        if self._retry or not (self.state.file.search or wider or self._is_wider):
            return None
        if busy and not (self.state.goes_ahead or wider):
            return None
        while wider:
            self.state, self._is_wider = self._widened(wider.pop(0)), True
        plan = self.state.decide(now=records, busy=busy).without_retries(records)
        now = self.state, plan.round
        if now not in (self._told, self._settled):
            self.state.settle(busy)
            self._settled = now
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

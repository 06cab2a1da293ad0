"""Attempts that fail: whether a trial is tried again, and whether any other would do better."""

from collections.abc import Mapping
from typing import Any

from sweeps.errors import AllFail
from sweeps.planning.hopeless import all_would_fail
from sweeps.worker.job import Failure

FEW = 4
"""Failed attempts, of at least two trials, after which a sweep that got no report is given up."""


class Failures:
    """Of each trial, by id: how often it has failed, and with what.

    Args:
        at_most: how often one that fails is tried again.
    """

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._counts: dict[str, int] = {}
        self._last: dict[str, str] = {}
        self._alone: set[str] = set()

    def expect(self, key: str) -> None:
        """A trial is to be run, and nothing that it did before counts."""
        self._counts[key] = 0
        self._last.pop(key, None)
        self._alone.discard(key)

    def is_final(self, key: str, failure: Failure, epochs: int, *, array: bool) -> bool:
        """An attempt has failed after so many epochs: whether it was the last one.

        An error that is the same twice in a row, with no report in between that got further, is of
        the configuration: a third attempt would end there too.
        """
        self._counts[key] += 1
        got_to = f"{epochs} {failure.summary}"
        again_the_same = not failure.lost and self._last.get(key) == got_to
        self._last[key] = got_to
        return not array and (again_the_same or self.too_often(key))

    def too_often(self, key: str) -> bool:
        return self._counts[key] > self._at_most

    def send_alone(self, key: str) -> None:
        """Try a trial again without the array that it failed in."""
        self._alone.add(key)

    def goes_alone(self, key: str) -> bool:
        return key in self._alone

    def verdict(
        self, configs: Mapping[str, Mapping[str, Any]], failure: Failure
    ) -> AllFail | str | None:
        """Of a sweep that got no report so far: why it is given up, or what to say of it.

        Args:
            configs: of all its trials, by id.
        """
        failed = {key: count for key, count in self._counts.items() if count}
        attempts = sum(failed.values())
        if len(failed) < 2 or attempts < FEW:
            return None
        if not all_would_fail([configs[key] for key in failed], configs.values()):
            return "no trial has got as far as a first report; if others fail too, the sweep ends"
        return AllFail(
            f"no trial got as far as a first report, and {attempts} attempts of"
            f" {len(failed)} trials failed; the last one with {failure.summary}\n"
            f"{failure.trace.rstrip()}"
        )

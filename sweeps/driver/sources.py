"""From where checkpoints were copied: whether one may hold the state of another trial.

A trial that writes ``model.pt`` into the current folder and hands it over has it copied. Where two
that run at the same time do so, each may be given what the other has written.
"""

import itertools


class Sources:
    """Which trials have handed over what, and when they ran."""

    def __init__(self) -> None:
        self._clock = itertools.count()
        self._began: dict[str, int] = {}
        self._ended: dict[str, int] = {}
        self._users: dict[str, list[str]] = {}

    def begin(self, key: str) -> None:
        """An attempt of a trial begins; what it did before is no matter."""
        self._began[key] = next(self._clock)
        self._ended.pop(key, None)
        for users in self._users.values():
            if key in users:
                users.remove(key)

    def end(self, key: str) -> None:
        self._ended[key] = next(self._clock)

    def other(self, key: str, place: str) -> str | None:
        """A trial that ran at the same time and has handed over the same file or folder."""
        users = self._users.setdefault(place, [])
        if key not in users:
            users.append(key)
        return next((each for each in users if each != key and self._overlap(each, key)), None)

    def _overlap(self, one: str, other: str) -> bool:
        now = next(self._clock)
        begun, ended = self._began, self._ended
        return begun[one] < ended.get(other, now) and begun[other] < ended.get(one, now)

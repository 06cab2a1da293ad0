"""What Ray Tune calls of ours, guarded: a failure there ends the sweep with its reason."""

import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol

from sweeps.driver.account import Book
from sweeps.errors import CannotGoOn, SweepsError
from sweeps.worker.recorder import no_room


class Keeps(Protocol):
    """Whatever keeps the book."""

    _book: Book


def guarded(method: Callable[..., None]) -> Callable[..., None]:
    """A failure of ours, a full disk say, ends the sweep with the reason; no trial is to blame."""

    @wraps(method)
    def guarding(self: Keeps, *args: Any, **kwargs: Any) -> None:
        try:
            method(self, *args, **kwargs)
        except OSError as error:
            self._book.fatal = no_room(error)
        except SweepsError as error:  # storage refuses, or another run has taken over
            self._book.fatal = error if isinstance(error, CannotGoOn) else _cut_short(error)
        except Exception as error:
            self._book.fatal = CannotGoOn(
                f"{method.__name__} has failed, which is a fault of Sweepboard's; what was recorded"
                f" is kept:\n{traceback.format_exc()}{error}"
            )

    return guarding


def _cut_short(error: SweepsError) -> CannotGoOn:
    """What to say of a sweep whose storage has failed it."""
    return CannotGoOn(
        f"{error}; what was recorded is kept: run the same command again once that is put right"
    )

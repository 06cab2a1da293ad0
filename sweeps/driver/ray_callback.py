"""What Ray Tune tells of its trials, passed on to the book."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle, tune
from ray.exceptions import OutOfMemoryError, RayActorError

from sweeps.driver.account import Book
from sweeps.driver.control import Control
from sweeps.driver.feed import Feed
from sweeps.driver.guarded import guarded
from sweeps.errors import CannotGoOn
from sweeps.records.folders import id_of
from sweeps.worker.job import SEPARATOR, Failure

LOOK_EVERY = 2.0
"""Seconds between two looks at whether Ray still has a node."""


def ids_of(trial: Any) -> list[str]:
    """Which of our trials a Ray trial runs."""
    return [id_of(path) for path in trial.config["array"].split(SEPARATOR)]


def name_of(trial: Any) -> str:
    first, *others = ids_of(trial)
    return f"{first}+{len(others)}" if others else first


class Watcher(tune.Callback):
    """Ray Tune's events, passed on to the book."""

    def __init__(self, book: Book, control: Control, feed: Feed) -> None:
        self._book, self._control, self._feed = book, control, feed
        self._look_again = time.monotonic() + LOOK_EVERY

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles callbacks into its snapshot; ours are of no use there

    def on_step_begin(self, iteration: int, trials: Any, **_: Any) -> None:
        self._feed.step()

    @guarded
    def on_step_end(self, iteration: int, trials: Any, **_: Any) -> None:
        """Ray Tune would wait for ever for a node to take the place of the last one."""
        self._control.look(self._book)
        if (now := time.monotonic()) < self._look_again:
            return
        self._look_again = now + LOOK_EVERY
        if not any(node["Alive"] for node in ray.nodes()):
            self._book.fatal = CannotGoOn(
                "Ray has no node left: its raylet was killed, or crashed; what was recorded is"
                " kept: run the same command again"
            )

    @guarded
    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        self._start(ids_of(trial))

    @guarded
    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: Any, **_: Any
    ) -> None:
        if "reports" in result:
            if "outside" in result:
                self._book.came_from(result["trial"], result["where"], result["outside"])
            for epoch, metrics, seconds in result["reports"]:
                self._book.report(result["trial"], epoch, metrics, seconds, result["where"])
        elif "note" in result:
            self._book.note(result["trial"], result["note"])
        elif "diverged" in result:
            self._book.diverge(result["trial"], result["diverged"])
        elif "stopped" in result:
            self._book.diverge(result["trial"], result["stopped"])
        elif "reached" in result:
            self._book.reach(result["trial"])
        elif "failed" in result and "trial" in result:
            self._book.fail(result["trial"], result["failed"], array=True)
            self._book.failures.send_alone(result["trial"])
        elif "failed" in result:
            keys = ids_of(trial)
            self._fail(keys, result["failed"])
            if not self._book.fatal:
                self._start(keys)

    @guarded
    def on_trial_recover(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        self._lose(trial)

    @guarded
    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        self._lose(trial, final=True)

    @guarded
    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        for key in self._book.running(ids_of(trial)):
            self._book.finish(key)

    def _start(self, keys: Sequence[str]) -> None:
        """An attempt begins, of those of these trials that wait for one."""
        due = [key for key in keys if self._book.is_waiting(key)]
        if len(keys) > 1:
            due = [key for key in due if not self._book.failures.goes_alone(key)]
        for key in due:
            self._book.start(key, due)

    def _lose(self, trial: Any, *, final: bool = False) -> None:
        """The Ray worker of a trial has died, or could not even start."""
        keys, error = ids_of(trial), _error_of(trial)
        told = Path(trial.error_file).read_text(encoding="utf-8") if trial.error_file else ""
        if _was_announced(error):
            for key in self._book.running(keys):
                self._book.interrupt(key)
            return
        self._fail(keys, explain(error, told), final=final)

    def _fail(self, keys: Sequence[str], failure: Failure, *, final: bool = False) -> None:
        """An attempt of all members failed.

        An array whose process died goes on as it was; one that raised, or that died too often, is
        tried one by one.
        """
        waiting = [key for key in keys if self._book.is_waiting(key)]
        array = len(keys) > 1
        for key in self._book.running(keys) or waiting:
            self._book.fail(key, failure, array=array)
            if array and (final or not failure.lost or self._book.failures.too_often(key)):
                self._book.failures.send_alone(key)


class Brake(tune.Stopper):
    """Ends the sweep once it cannot go on."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self.stop_all()

    def stop_all(self) -> bool:
        return self._book.is_over


def _error_of(trial: Any) -> Exception | None:
    """What ended an attempt, from the file that Ray has just written in its temporary folder."""
    if trial.pickled_error_file is None:
        return None
    error: Exception = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    return error


def _was_announced(error: Exception | None) -> bool:
    """Whether it is a node taken back after notice (a drain); Ray Tune does not count it either."""
    cause = getattr(error, "cause", None) or error
    return isinstance(cause, RayActorError) and cause.preempted


def explain(error: Exception | None, told: str = "") -> Failure:
    """What to say of an attempt whose Ray worker is gone, or that Ray itself has ended.

    Args:
        error: ``None`` where Ray Tune keeps none: what it says of workers that could not start.
        told: what Ray has written of it.
    """
    cause = getattr(error, "cause", None) or getattr(error, "__cause__", None) or error
    text = str(cause).strip() if cause else told.strip()
    if isinstance(cause, OutOfMemoryError):
        why = "Ray ended it, since its machine was running out of memory"
    elif cause is None:
        why = "Ray ended its worker as it started; what Ray says of it is in its errors.log"
    elif isinstance(cause, RayActorError):  # gone, and with it what it could have said
        why = "its Ray worker was killed, or its node was lost"
    else:
        why = (text or type(cause).__name__).splitlines()[0]
    return Failure(why, f"{text}\n", lost=True)

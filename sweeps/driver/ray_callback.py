"""What Ray Tune tells of its trials, passed on to the book."""

import contextlib
import time
import traceback
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle, tune
from ray.exceptions import RayActorError
from ray.tune.result import AUTO_RESULT_KEYS

from sweeps.cluster import remote
from sweeps.definition.places import is_remote
from sweeps.driver.account import Book
from sweeps.errors import CannotGoOn, ClusterError, MetricMissing, SweepsError
from sweeps.records.folders import id_of
from sweeps.records.history import Report
from sweeps.records.record import Record
from sweeps.storage.working_copy import folder_of
from sweeps.worker.attempt import TrialFailed
from sweeps.worker.deadline import struck
from sweeps.worker.job import SEPARATOR, Job
from sweeps.worker.recorder import check_metric, divergence, no_room, to_numbers

_RAY_KEYS = {*AUTO_RESULT_KEYS, "checkpoint_dir_name", "done", "experiment_tag"}
_RAY_KEYS |= {"should_checkpoint", "trial_id", "trial_log_path"}
"""What Ray Tune adds to the metrics that a function reports."""


LOOK_EVERY = 2.0
"""Seconds between two looks at whether Ray still has a node."""


def ids_of(trial: Any) -> list[str]:
    """Which of our trials a Ray trial runs."""
    return [id_of(path) for path in trial.config["array"].split(SEPARATOR)]


def name_of(trial: Any) -> str:
    first, *others = ids_of(trial)
    return f"{first}+{len(others)}" if others else first


def _guarded(tell: Callable[..., None]) -> Callable[..., None]:
    """A failure of ours, a full disk say, ends the sweep with the reason; no trial is to blame."""

    @wraps(tell)
    def guarded(self: "Watcher", *args: Any, **kwargs: Any) -> None:
        try:
            tell(self, *args, **kwargs)
        except OSError as error:
            self._book.fatal = no_room(error)
        except SweepsError as error:  # storage refuses, or another run has taken over
            self._book.fatal = error if isinstance(error, CannotGoOn) else cut_short(error)
        except Exception as error:
            self._book.fatal = CannotGoOn(
                f"{tell.__name__} has failed, which is a fault of Sweepboard's; what was recorded"
                f" is kept:\n{traceback.format_exc()}{error}"
            )

    return guarded


def cut_short(error: SweepsError) -> CannotGoOn:
    """What to say of a sweep whose storage has failed it."""
    return CannotGoOn(
        f"{error}; what was recorded is kept: run the same command again once that is put right"
    )


class Watcher(tune.Callback):
    """Ray Tune's events, passed on to the book."""

    def __init__(self, book: Book, job: Job) -> None:
        self._book = book
        self._job = job
        self._look_again = time.monotonic() + LOOK_EVERY

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles callbacks into its snapshot; ours are of no use there

    @_guarded
    def on_step_end(self, iteration: int, trials: Any, **_: Any) -> None:
        """Ray Tune would wait for ever for a node to take the place of the last one."""
        if (now := time.monotonic()) < self._look_again:
            return
        self._look_again = now + LOOK_EVERY
        if not any(node["Alive"] for node in ray.nodes()):
            self._book.fatal = CannotGoOn(
                "Ray has no node left: its raylet was killed, or crashed; what was recorded is"
                " kept: run the same command again"
            )

    @_guarded
    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        keys = ids_of(trial)
        due = [key for key in keys if self._book.is_waiting(key)]
        if len(keys) > 1:
            due = [key for key in due if not self._book.must_go_alone(key)]
        for key in due:
            self._book.start(key, due)

    @_guarded
    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: Any, **_: Any
    ) -> None:
        if self._book.records_reports:
            [key] = ids_of(trial)
            self._plain_result(key, result)
        elif "diverged" in result:
            self._book.diverge(result["trial"], result["diverged"])
        elif "error" in result:
            summary, trace, fatal = result["error"]
            self._book.fail(result["trial"], summary, trace, fatal=fatal, array=True)
            self._book.send_alone(result["trial"])
        elif "reports" in result:
            for told in result["reports"]:
                self._book.report(result["trial"], Report(*told), result["where"])

    @_guarded
    def on_trial_recover(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        self._fail(trial)

    @_guarded
    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        self._fail(trial, final=True)

    @_guarded
    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        for key in self._book.running(ids_of(trial)):
            self._book.finish(key)

    def _plain_result(self, key: str, result: Mapping[str, Any]) -> None:
        """What a plain Ray Tune function reported; text and the like are left out."""
        own = {k: v for k, v in result.items() if k not in _RAY_KEYS and _is_number(v)}
        if not own and result.keys() <= _RAY_KEYS:
            return
        numbers = to_numbers(own)
        try:
            check_metric(self._book.metric, numbers)
        except MetricMissing as error:
            self._book.fatal = error
            return
        step, seconds = result["training_iteration"] - 1, result.get("time_this_iter_s", 0.0)
        self._book.report(key, Report(step, numbers, round(seconds, 6)), result["hostname"])
        if why := divergence(self._book.metric, numbers, step + 1):
            self._book.diverge(key, why)

    def _fail(self, trial: Any, *, final: bool = False) -> None:
        """An attempt of all members failed, or none of them could even start.

        An array whose process died goes on as it was; one that raised, or that died too often, is
        tried one by one.
        """
        keys = ids_of(trial)
        error = _error_of(trial)
        if _was_announced(error):
            for key in self._book.running(keys):
                self._book.interrupt(key)
            return
        summary, trace, fatal = explain(error)
        lost = not isinstance(getattr(error, "cause", None) or error, TrialFailed)
        for timeout in filter(None, (self._struck(self._book.records[key]) for key in keys)):
            summary, trace = timeout
        waiting = [key for key in keys if self._book.is_waiting(key)]
        array = len(keys) > 1
        for key in self._book.running(keys) or waiting:
            self._book.fail(key, summary, trace, fatal=fatal, array=array, lost=lost)
            if array and (final or not lost):
                self._book.send_alone(key)

    def _struck(self, record: Record) -> tuple[str, str] | None:
        """Whether a time-out ended an attempt; of a copy, the node that has it knows."""
        if not (self._job.trial_timeout or self._job.epoch_timeout):
            return None
        if not is_remote(self._job.directory):
            return struck(self._book.directory / record.path)
        copy = folder_of(self._job.directory, record.path)
        if not self._job.on_cluster:
            return struck(copy)
        with contextlib.suppress(ClusterError):  # a node that is gone has no time-out to tell of
            answers = remote.ask_every_node(struck, copy, patience=15)
            return next(filter(None, answers.values()), None)
        return None


class Brake(tune.Stopper):
    """Ends the sweep once it cannot go on, and a plain function's trial once it has diverged."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        if "trial" in result or self.stop_all():
            return self.stop_all()
        numbers = {k: v for k, v in result.items() if k not in _RAY_KEYS and _is_number(v)}
        return divergence(self._book.metric, to_numbers(numbers), 0) is not None

    def stop_all(self) -> bool:
        return self._book.fatal is not None


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


def explain(error: Exception | None) -> tuple[str, str, type[SweepsError] | None]:
    """What to say of a failed attempt in a line, its traceback, and how it ends the sweep."""
    cause = getattr(error, "cause", None) or error
    if isinstance(cause, TrialFailed):
        return cause.summary, cause.trace, cause.fatal
    if isinstance(cause, RayActorError):  # gone, and with it what it could have said
        return "its process died: killed, out of memory, or crashed", f"{cause}\n", None
    text = str(cause).strip() or type(cause).__name__
    return text.splitlines()[0], f"{text}\n", None


def _is_number(value: Any) -> bool:
    with contextlib.suppress(TypeError, ValueError, RuntimeError):
        return bool(to_numbers({"value": value}))
    return False

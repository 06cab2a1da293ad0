"""Ray Tune runs the trials; what it tells goes into the book.

The only file that knows `ray.tune.Tuner`. A Ray trial is an array of one or more of ours. Ray
keeps its own state in a temporary folder, and nothing of it is ever read again: what has to be
done is decided from the ledger.
"""

import contextlib
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle, tune
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune.error import TuneError
from ray.tune.result import AUTO_RESULT_KEYS

from sweeps.arrays import Array
from sweeps.book import Book
from sweeps.cluster import Share, credentials_hidden
from sweeps.deadline import struck
from sweeps.display import Progress
from sweeps.errors import CannotGoOn, ClusterError, MetricMissing, SweepsError
from sweeps.history import Report
from sweeps.ledger import Ledger, id_of
from sweeps.plan import Versions
from sweeps.recorder import check_metric, divergence, no_room, to_numbers
from sweeps.sweepfile import SweepFile
from sweeps.trainable import SEPARATOR, Job, TrialFailed, ray_trainable

_RAY_KEYS = {*AUTO_RESULT_KEYS, "checkpoint_dir_name", "done", "experiment_tag"}
_RAY_KEYS |= {"should_checkpoint", "trial_id", "trial_log_path"}
"""What Ray Tune adds to the metrics that a function reports."""


LOOK_EVERY = 2.0
"""Seconds between two looks at whether Ray still has a node."""


def run_trials(
    sweep: SweepFile,
    arrays: Sequence[Array],
    ledger: Ledger,
    share: Share,
    *,
    versions: Mapping[str, Versions],
    import_path: Sequence[str],
    on_cluster: bool,
    reports: bool,
    progress: Progress,
) -> None:
    """Run these trials to their ends, as many at once as their share allows.

    Args:
        arrays: the trials, by who trains with whom.
        versions: the code and the data that each is run with, by id.
        reports: whether the trainable is called with ``report`` and so records itself on the
            worker; a plain Ray Tune function is recorded here.

    Raises:
        MetricMissing: the trainable does not report the sweep's metric.
        CannotGoOn: nothing more could come of it; what was recorded is kept.
        KeyboardInterrupt: Ctrl-C; the trials under way are recorded as interrupted.
    """
    book = Book(
        ledger,
        [trial for array in arrays for trial in array],
        progress,
        versions=versions,
        metric=sweep.metric,
        mode=sweep.mode,
        keep_best=sweep.keep_best,
        max_failures=sweep.max_failures,
        records_reports=not reports,
    )

    job = Job(
        directory=str(ledger.directory.absolute()),
        train=sweep.train,
        metric=sweep.metric,
        mode=sweep.mode,
        keep_best=sweep.keep_best,
        cpu=share.cpu,
        gpu=share.gpu,
        import_path=tuple(import_path),
        on_cluster=on_cluster,
        trial_timeout=sweep.trial_timeout,
        epoch_timeout=sweep.epoch_timeout,
    )
    with book:
        while arrays and not book.fatal:
            _fit(sweep.name, arrays, job, book, sweep.max_failures)
            arrays = _still_to_run(arrays, book)
    if book.fatal:
        raise book.fatal


def _still_to_run(arrays: Sequence[Array], book: Book) -> list[Array]:
    """What Ray Tune has left: arrays that it did not get to, and alone what failed in one."""
    again = [tuple(trial for trial in array if book.is_waiting(trial.id)) for array in arrays]
    together = [tuple(t for t in array if not book.must_go_alone(t.id)) for array in again]
    alone = [(t,) for array in again for t in array if book.must_go_alone(t.id)]
    return [array for array in together if array] + alone


def _fit(name: str, arrays: Sequence[Array], job: Job, book: Book, retries: int) -> None:
    """One run of Ray Tune, one of its trials per array.

    Ray Tune copies the whole grid for every point of it, so a point is one text: the folders of the
    array's trials.
    """
    grid = [SEPARATOR.join(book.records[trial.id].path for trial in array) for array in arrays]
    with tempfile.TemporaryDirectory(prefix="sweepboard-", ignore_cleanup_errors=True) as folder:
        tuner = tune.Tuner(
            tune.with_resources(ray_trainable(job), _request(job)),
            param_space={"array": tune.grid_search(grid)},
            tune_config=tune.TuneConfig(
                reuse_actors=True, trial_name_creator=_name, trial_dirname_creator=_name
            ),
            run_config=tune.RunConfig(
                name=name,
                storage_path=folder,
                failure_config=tune.FailureConfig(max_failures=retries),
                callbacks=[Watcher(book)],
                stop=Brake(book),
                verbose=0,
            ),
        )
        try:
            with credentials_hidden():
                tuner.fit()
        except (RuntimeError, TuneError, OutOfMemoryError) as error:
            # the memory monitor's kills come as these, and end all that Ray Tune is running
            summary, trace, _ = _explain(error)
            if not (running := book.running(list(book.records))):
                raise ClusterError(f"Ray Tune gave up: {summary}") from error
            for key in running:
                book.fail(key, summary, trace, lost=True)


def _request(job: Job) -> Callable[[dict[str, Any]], tune.PlacementGroupFactory]:
    """An array asks for one trial's processors, and the sum of its members' GPU shares."""

    def request(config: dict[str, Any]) -> tune.PlacementGroupFactory:
        gpu = round(job.gpu * len(config["array"].split(SEPARATOR)), 4)
        return tune.PlacementGroupFactory([{"CPU": job.cpu} | ({"GPU": gpu} if gpu else {})])

    return request


def _ids(trial: Any) -> list[str]:
    """Which of our trials a Ray trial runs."""
    return [id_of(path) for path in trial.config["array"].split(SEPARATOR)]


def _name(trial: Any) -> str:
    first, *others = _ids(trial)
    return f"{first}+{len(others)}" if others else first


def _guarded(tell: Callable[..., None]) -> Callable[..., None]:
    """A failure of ours, a full disk say, ends the sweep with the reason; no trial is to blame."""

    @wraps(tell)
    def guarded(self: "Watcher", *args: Any, **kwargs: Any) -> None:
        try:
            tell(self, *args, **kwargs)
        except OSError as error:
            self._book.fatal = no_room(error)
        except Exception as error:
            self._book.fatal = CannotGoOn(
                f"{tell.__name__} has failed, which is a fault of Sweepboard's; what was recorded"
                f" is kept:\n{traceback.format_exc()}{error}"
            )

    return guarded


class Watcher(tune.Callback):
    """Ray Tune's events, passed on to the book."""

    def __init__(self, book: Book) -> None:
        self._book = book
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
        keys = _ids(trial)
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
            [key] = _ids(trial)
            self._plain_result(key, result)
        elif "diverged" in result:
            self._book.diverge(result["trial"], result["diverged"])
        elif "error" in result:
            summary, trace, fatal = result["error"]
            self._book.fail(result["trial"], summary, trace, fatal=fatal, array=True)
            self._book.send_alone(result["trial"])
        elif "step" in result:
            report = Report(result["step"], result["metrics"], result["seconds"])
            self._book.report(result["trial"], report, result["where"])

    @_guarded
    def on_trial_recover(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        self._fail(trial)

    @_guarded
    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        self._fail(trial, final=True)

    @_guarded
    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        for key in self._book.running(_ids(trial)):
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
        keys = _ids(trial)
        error = _error_of(trial)
        summary, trace, fatal = _explain(error)
        lost = not isinstance(getattr(error, "cause", None) or error, TrialFailed)
        folders = [self._book.directory / self._book.records[key].path for key in keys]
        for timeout in filter(None, map(struck, folders)):
            summary, trace = timeout
        waiting = [key for key in keys if self._book.is_waiting(key)]
        array = len(keys) > 1
        for key in self._book.running(keys) or waiting:
            self._book.fail(key, summary, trace, fatal=fatal, array=array, lost=lost)
            if array and (final or not lost):
                self._book.send_alone(key)


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


def _explain(error: Exception | None) -> tuple[str, str, type[SweepsError] | None]:
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

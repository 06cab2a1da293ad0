"""Ray Tune runs the trials; what it tells goes into the book.

The only file that knows `ray.tune.Tuner`. A Ray trial is an array of one or more of ours. Ray
keeps its own state in a temporary folder, and nothing of it is ever read again: what has to be
done is decided from the ledger.
"""

import contextlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

from ray import cloudpickle, tune
from ray.exceptions import RayActorError
from ray.tune.error import TuneError
from ray.tune.result import AUTO_RESULT_KEYS

from sweeps.arrays import Array
from sweeps.book import Book
from sweeps.cluster import Share
from sweeps.display import Progress
from sweeps.errors import ClusterError, DirectoryError, MetricMissing
from sweeps.ledger import Ledger, Report, id_of
from sweeps.sweepfile import SweepFile
from sweeps.trainable import (
    SEPARATOR,
    Job,
    TrialFailed,
    check_metric,
    ray_trainable,
    to_numbers,
)

_RAY_KEYS = {*AUTO_RESULT_KEYS, "checkpoint_dir_name", "done", "experiment_tag"}
_RAY_KEYS |= {"should_checkpoint", "trial_id", "trial_log_path"}
"""What Ray Tune adds to the metrics that a function reports."""


def run_trials(
    sweep: SweepFile,
    arrays: Sequence[Array],
    ledger: Ledger,
    share: Share,
    *,
    import_path: Sequence[str],
    reports: bool,
    progress: Progress,
) -> None:
    """Run these trials to their ends, as many at once as their share allows.

    Args:
        arrays: the trials, by who trains with whom.
        reports: whether the trainable is called with ``report`` and so records itself on the
            worker; a plain Ray Tune function is recorded here.

    Raises:
        MetricMissing: the trainable does not report the sweep's metric.
        KeyboardInterrupt: Ctrl-C; the trials under way are recorded as interrupted.
    """
    trials = [trial for array in arrays for trial in array]
    book = Book(
        ledger,
        trials,
        progress,
        metric=sweep.metric,
        max_failures=sweep.max_failures,
        records_reports=not reports,
    )

    job = Job(
        directory=str(ledger.directory.absolute()),
        train=sweep.train,
        metric=sweep.metric,
        cpu=share.cpu,
        gpu=share.gpu,
        import_path=tuple(import_path),
    )
    with book:
        _fit(sweep.name, arrays, job, book, sweep.max_failures)
        while not book.fatal and (again := set(book.waiting())):  # failed in an array: now alone
            alone = [(trial,) for trial in trials if trial.id in again]
            _fit(sweep.name, alone, job, book, retries=0)
    if book.fatal:
        raise book.fatal


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
                stop=FatalStopper(book),
                verbose=0,
            ),
        )
        try:
            tuner.fit()
        except (RuntimeError, TuneError) as error:  # the memory monitor's kills come as these
            summary, trace, _ = _explain(error)
            if not (running := book.running(list(book.records))):
                raise ClusterError(f"Ray Tune gave up: {summary}") from error
            for key in running:
                book.fail(key, summary, trace)


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
    """A callback that cannot write ends the sweep with the reason, not Ray with a traceback."""

    @wraps(tell)
    def guarded(self: "Watcher", *args: Any, **kwargs: Any) -> None:
        try:
            tell(self, *args, **kwargs)
        except OSError as error:
            where = error.filename or self._book.directory
            self._book.fatal = DirectoryError(
                f"{where} cannot be written: {error.strerror}; what was recorded is kept:"
                " run the same command again once it can be"
            )

    return guarded


class Watcher(tune.Callback):
    """Ray Tune's events, passed on to the book."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles callbacks into its snapshot; ours are of no use there

    @_guarded
    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        for key in _ids(trial):
            if self._book.is_waiting(key):
                self._book.start(key)

    @_guarded
    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: Any, **_: Any
    ) -> None:
        if self._book.records_reports:
            [key] = _ids(trial)
            self._plain_result(key, result)
        elif "error" in result:
            summary, trace, fatal = result["error"]
            self._book.fail(result["trial"], summary, trace, fatal=fatal)
        elif "step" in result:
            report = Report(result["step"], result["metrics"], result["seconds"])
            self._book.report(result["trial"], report, result["where"])

    @_guarded
    def on_trial_recover(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        self._fail(trial)

    @_guarded
    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        self._fail(trial)

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

    def _fail(self, trial: Any) -> None:
        """An attempt of all members failed, or none of them could even start."""
        summary, trace, fatal = _explain(_error_of(trial))
        keys = _ids(trial)
        waiting = [key for key in keys if self._book.is_waiting(key)]
        for key in self._book.running(keys) or waiting:
            self._book.fail(key, summary, trace, fatal=fatal, alone=len(keys) == 1)


class FatalStopper(tune.Stopper):
    """Ends the sweep as soon as it is known that no trial can succeed."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self.stop_all()

    def stop_all(self) -> bool:
        return self._book.fatal is not None


def _error_of(trial: Any) -> Exception | None:
    """What ended an attempt, from the file that Ray has just written in its temporary folder."""
    if trial.pickled_error_file is None:
        return None
    error: Exception = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    return error


def _explain(error: Exception | None) -> tuple[str, str, bool]:
    """What to say of a failed attempt in a line, its traceback, and whether it ends the sweep."""
    cause = getattr(error, "cause", None) or error
    if isinstance(cause, TrialFailed):
        return cause.summary, cause.trace, cause.fatal
    if isinstance(cause, RayActorError):  # gone, and with it what it could have said
        return "its process died: killed, out of memory, or crashed", f"{cause}\n", False
    text = str(cause).strip() or type(cause).__name__
    return text.splitlines()[0], f"{text}\n", False


def _is_number(value: Any) -> bool:
    with contextlib.suppress(TypeError, ValueError, RuntimeError):
        return bool(to_numbers({"value": value}))
    return False

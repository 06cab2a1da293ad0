"""Ray Tune runs the trials; what it tells is written to the ledger and shown.

The only file that knows `ray.tune.Tuner`. Ray keeps its own state in a temporary folder, and
nothing of it is ever read again: what has to be done is decided from the ledger.
"""

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray import cloudpickle, tune
from ray.exceptions import RayActorError
from ray.tune.result import AUTO_RESULT_KEYS

from sweeps.cluster import Share
from sweeps.display import Progress
from sweeps.errors import MetricMissing
from sweeps.events import EventLog, withdraw_failure, write_failure
from sweeps.ledger import Ledger, Report, Status, append_report, rewrite_history
from sweeps.space import Trial
from sweeps.sweepfile import SweepFile
from sweeps.trainable import Job, TrialFailed, check_metric, ray_trainable, to_numbers

_RAY_KEYS = {*AUTO_RESULT_KEYS, "checkpoint_dir_name", "done", "experiment_tag"}
_RAY_KEYS |= {"should_checkpoint", "trial_id", "trial_log_path"}
"""What Ray Tune adds to the metrics that a function reports."""


def run_trials(
    sweep: SweepFile,
    trials: Sequence[Trial],
    ledger: Ledger,
    share: Share,
    *,
    import_path: Sequence[str],
    reports: bool,
    progress: Progress,
) -> None:
    """Run these trials to their ends, as many at once as their share allows.

    Args:
        reports: whether the trainable is called with ``report`` and so records itself on the
            worker; a plain Ray Tune function is recorded here.

    Raises:
        MetricMissing: the trainable does not report the sweep's metric.
        KeyboardInterrupt: Ctrl-C; the trials under way are recorded as interrupted.
    """
    job = Job(
        directory=str(ledger.directory.absolute()),
        train=sweep.train,
        metric=sweep.metric,
        cpu=share.cpu,
        gpu=share.gpu,
        import_path=tuple(import_path),
    )
    book = Book(ledger, sweep.metric, trials, progress, records_reports=not reports)
    space = [{"id": t.id, "path": book.records[t.id].path, "config": t.config} for t in trials]
    with tempfile.TemporaryDirectory(prefix="sweepboard-") as folder, book:
        tuner = tune.Tuner(
            tune.with_resources(ray_trainable(job), _request(share)),
            param_space={"trial": tune.grid_search(space)},
            tune_config=tune.TuneConfig(
                reuse_actors=True,
                trial_name_creator=_trial_id,
                trial_dirname_creator=_trial_id,
            ),
            run_config=tune.RunConfig(
                name=sweep.name,
                storage_path=folder,
                failure_config=tune.FailureConfig(max_failures=sweep.max_failures),
                callbacks=[Watcher(book)],
                stop=FatalStopper(book),
                verbose=0,
            ),
        )
        tuner.fit()
    if book.fatal:
        raise MetricMissing(book.fatal)


def _request(share: Share) -> dict[str, float]:
    return {"cpu": share.cpu} | ({"gpu": share.gpu} if share.gpu else {})


def _trial_id(trial: Any) -> str:
    identity: str = trial.config["trial"]["id"]
    return identity


class Book:
    """Keeps the records of the trials being run, and tells the display.

    Attributes:
        records: the latest record of each trial, by id.
        fatal: why no trial can succeed, once that is known.
    """

    def __init__(
        self,
        ledger: Ledger,
        metric: str,
        trials: Sequence[Trial],
        progress: Progress,
        *,
        records_reports: bool,
    ) -> None:
        self.records = ledger.records(trials)
        self.fatal: str | None = None
        self._ledger = ledger
        self._metric = metric
        self._progress = progress
        self._records_reports = records_reports
        self._events: dict[str, EventLog] = {}
        for trial in trials:
            self._update(trial.id, status=Status.PENDING)

    def __enter__(self) -> None:
        self._progress.begin(self.records)

    def __exit__(self, *_: object) -> None:
        """Whatever is under way when the run ends was interrupted."""
        for key, record in self.records.items():
            if record.status is Status.RUNNING:
                self._close_events(key, finished=False)
                self._update(key, status=Status.INTERRUPTED)
        self._progress.end()

    def start(self, key: str) -> None:
        folder = self._folder(key)
        withdraw_failure(folder)
        if self._records_reports and key not in self._events:
            rewrite_history(folder, [])  # Ray's checkpoints of an earlier run are gone
            self._events[key] = EventLog(folder, self.records[key].config, next_step=0)
        attempts = self.records[key].attempts + 1
        self._update(key, status=Status.RUNNING, attempts=attempts)
        self._progress.started(self.records[key])

    def report(self, key: str, result: Mapping[str, Any]) -> None:
        report = self._record_here(key, result) if self._records_reports else _unpack(result)
        if report is None:
            return
        history = self.records[key].history
        del history[report.step :]  # reports after the checkpoint that this attempt began from
        history.append(report)
        self._set(key, where=result.get("where") or result.get("hostname"))
        self._progress.reported(self.records[key])

    def fail(self, key: str, error: Exception | None, *, last: bool) -> None:
        cause = getattr(error, "cause", None) or error
        if isinstance(cause, TrialFailed):
            summary, trace = cause.summary, cause.trace
            self.fatal = summary if cause.fatal else self.fatal
        elif isinstance(cause, RayActorError):  # gone, and with it what it could have said
            summary = "its process died: killed, out of memory, or crashed"
            trace = f"{cause}\n"
        else:
            summary, trace = _first_line(cause), f"{cause}\n"
        attempt = self.records[key].attempts
        with (self._folder(key) / "errors.log").open("a", encoding="utf-8") as file:
            file.write(f"attempt {attempt}: {summary}\n{trace}\n")
        self._update(key, status=Status.FAILED if last else Status.PENDING, error=summary)
        if last:
            self._close_events(key, finished=False)
            write_failure(self._folder(key))
            self._progress.ended(self.records[key])
        elif not self.fatal:
            self._progress.retrying(self.records[key])

    def finish(self, key: str) -> None:
        if self.fatal:
            return
        if not self.records[key].history:
            self.fatal = f"the trainable returned without reporting {self._metric!r}"
            return
        self._close_events(key, finished=True)
        self._update(key, status=Status.FINISHED, error=None)
        self._progress.ended(self.records[key])

    def _record_here(self, key: str, result: Mapping[str, Any]) -> Report | None:
        """Record what a plain Ray Tune function reported; text and the like are left out."""
        if result.keys() <= _RAY_KEYS:
            return None
        own = {k: v for k, v in result.items() if k not in _RAY_KEYS and _is_number(v)}
        numbers = to_numbers(own)
        try:
            check_metric(self._metric, numbers)
        except MetricMissing as error:
            self.fatal = str(error)
            return None
        step = result["training_iteration"] - 1
        report = Report(step, numbers, round(result.get("time_this_iter_s", 0.0), 6))
        folder = self._folder(key)
        if step < len(self.records[key].history):  # tried again from Ray's checkpoint
            rewrite_history(folder, self.records[key].history[:step])
        append_report(folder, report)
        self._events[key].log(numbers, step)
        return report

    def _close_events(self, key: str, *, finished: bool) -> None:
        if events := self._events.pop(key, None):
            events.close(finished=finished)

    def _folder(self, key: str) -> Path:
        return self._ledger.directory / self.records[key].path

    def _update(self, key: str, **changes: Any) -> None:
        self._set(key, **changes)
        self._ledger.write(self.records[key])

    def _set(self, key: str, **changes: Any) -> None:
        self.records[key] = replace(self.records[key], **changes)


class Watcher(tune.Callback):
    """Ray Tune's events, passed on to the book."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles callbacks into its snapshot; ours are of no use there

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        self._book.start(_trial_id(trial))

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: Any, **_: Any
    ) -> None:
        self._book.report(_trial_id(trial), result)

    def on_trial_recover(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        self._book.fail(_trial_id(trial), _error_of(trial), last=False)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        self._book.fail(_trial_id(trial), _error_of(trial), last=True)

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        self._book.finish(_trial_id(trial))


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


def _unpack(result: Mapping[str, Any]) -> Report | None:
    if "step" not in result:
        return None
    return Report(result["step"], result["metrics"], result["seconds"])


def _is_number(value: Any) -> bool:
    with contextlib.suppress(TypeError, ValueError, RuntimeError):
        return bool(to_numbers({"value": value}))
    return False


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

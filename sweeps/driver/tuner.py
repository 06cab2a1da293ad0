"""Ray Tune runs the trials; what it tells goes into the book.

The only file that knows `ray.tune.Tuner`. A Ray trial is an array of one or more of ours. Ray
keeps its own state in a temporary folder, and nothing of it is ever read again: what has to be
done is decided from the ledger.
"""

from collections.abc import Callable
from typing import Any

import ray
from ray import cloudpickle, tune
from ray.exceptions import OutOfMemoryError
from ray.tune.error import TuneError
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler

from sweeps.cluster.local import credentials_hidden
from sweeps.definition.find import SearchPath
from sweeps.definition.resolve import Resolved
from sweeps.definition.sweep_file import SweepFile
from sweeps.driver.account import Book
from sweeps.driver.control import Control, Ending
from sweeps.driver.feed import Feed, Following
from sweeps.driver.progress import Progress
from sweeps.driver.ray_callback import Brake, Watcher, explain, name_of
from sweeps.errors import ClusterError
from sweeps.planning.shares import Share
from sweeps.records.ledger import Ledger
from sweeps.storage.scratch import scratch
from sweeps.worker.job import SEPARATOR, Job
from sweeps.worker.supervisor import ray_trainable

SPARE = 32
"""At least so many trials more stand ready for nodes of a cluster that nobody has announced."""


def run_trials(
    sweep: SweepFile,
    ledger: Ledger,
    share: Share,
    *,
    following: Following,
    control: Control,
    resolved: Resolved,
    search: SearchPath,
    on_cluster: bool,
    progress: Progress,
) -> Ending | None:
    """Run trials to their ends, as many at once as their share allows, until none follows.

    Args:
        search: where the trainable's module is looked for.

    Returns:
        Why the run ended before the trials did, if it has.

    Raises:
        MetricMissing: the trainable does not report the sweep's metric.
        CannotGoOn: nothing more could come of it; what was recorded is kept.
        KeyboardInterrupt: Ctrl-C; the trials under way are recorded as interrupted.
    """
    book = Book(
        ledger,
        progress,
        metric=sweep.metric,
        mode=sweep.mode,
        keep_best=sweep.keep_best,
        max_failures=sweep.max_failures,
        patience=sweep.patience,
        writes_events=bool(resolved.offered("WRITES_EVENTS")),
    )
    job = Job(
        directory=ledger.for_workers,
        train=sweep.train,
        metric=sweep.metric,
        mode=sweep.mode,
        keep_best=sweep.keep_best,
        cpu=share.cpu,
        gpu=share.gpu,
        search=search,
        code=ray.put(cloudpickle.dumps(resolved.function)) if resolved.by_value else None,
        preload=resolved.imports,
        warm=bool(resolved.offered("STAYS_WARM")),
        on_cluster=on_cluster,
        trial_timeout=sweep.trial_timeout,
        epoch_timeout=sweep.epoch_timeout,
        patience=sweep.patience,
        max_failures=sweep.max_failures,
        spare=sum(node.cpus for node in share.nodes) - share.cpu * share.at_once,
    )
    with book:
        feed = Feed(book, control, following)
        while feed.has_more():
            _fit(sweep.name, feed, job, book, Watcher(book, control, feed), share.at_once)
    if book.fatal:
        raise book.fatal
    return book.ending


def _fit(name: str, feed: Feed, job: Job, book: Book, watcher: Watcher, at_once: int) -> None:
    """One run of Ray Tune, one of its trials per array; it ends early only if Ray gives up."""
    spare = max(SPARE, at_once) if job.on_cluster else 0
    with scratch() as folder:
        tuner = tune.Tuner(
            tune.with_resources(ray_trainable(job), _request(job)),
            tune_config=tune.TuneConfig(
                search_alg=feed,
                num_samples=-1,
                reuse_actors=True,
                scheduler=InOrder(),
                max_concurrent_trials=at_once + spare,
                trial_name_creator=name_of,
                trial_dirname_creator=name_of,
            ),
            run_config=tune.RunConfig(
                name=name,
                storage_path=str(folder),
                failure_config=tune.FailureConfig(max_failures=job.max_failures),
                callbacks=[watcher, Silent()],
                stop=Brake(book),
                verbose=0,
            ),
        )
        try:
            with credentials_hidden():
                tuner.fit()
        except (RuntimeError, TuneError, OutOfMemoryError) as error:
            # the memory monitor's kills come as these, and end all that Ray Tune is running
            failure = explain(error)
            if not (running := book.running(list(book.records))):
                raise ClusterError(f"Ray Tune gave up: {failure.summary}") from error
            for key in running:
                book.fail(key, failure)
        finally:
            feed.over()


class Silent(TrialProgressCallback):
    """In place of Ray Tune's own, which prints a line of each trial that never reported."""

    def _print(self, msg: str) -> None: ...


class InOrder(FIFOScheduler):
    """Leaves it to Ray Tune which trial is next: the first that no worker is being started for.

    Ray's own choice may fall on one whose worker is just starting; the worker that has become free
    then takes the trial, the other is killed and a third is started. With trials shorter than the
    start of a worker that goes on to the end of the sweep, one processor always starting workers.
    """

    def choose_trial_to_run(self, tune_controller: Any) -> None: ...


def _request(job: Job) -> Callable[[dict[str, Any]], tune.PlacementGroupFactory]:
    """An array asks for one trial's processors, and the sum of its members' GPU shares."""

    def request(config: dict[str, Any]) -> tune.PlacementGroupFactory:
        gpu = round(job.gpu * len(config["array"].split(SEPARATOR)), 4)
        return tune.PlacementGroupFactory([{"CPU": job.cpu} | ({"GPU": gpu} if gpu else {})])

    return request

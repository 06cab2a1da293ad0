"""What Ray's public functions answer in the process of a trial.

A plain Ray Tune function calls ``ray.tune.report`` and ``ray.tune.get_checkpoint``, which look for
a session of Ray Tune's in their own process. There is none in here, and no hook to offer one, so
these functions are replaced, as soon as anybody imports them: what they are told is recorded by the
same code as any other report. ``ray.init`` leads to the sweep's own Ray.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from sweeps.errors import SweepsError
from sweeps.worker.job import Order
from sweeps.worker.member import Member

_OF_RAY = ("checkpoint_dir_name", "checkpoint_upload_mode", "delete_local_checkpoint_after_upload")
"""What else Ray's ``report`` may be told; it has no meaning for a trial of one process."""


def answer_ray(order: Order, member: Member) -> None:
    """Let Ray's functions be answered for this trial."""
    when_imported("ray", lambda ray: _lead_to_the_sweeps_ray(ray, order))
    for name in ("ray.tune", "ray.train", "ray.air.session"):  # the last as of Ray 2.0 to 2.6
        when_imported(name, lambda module: _answer(module, order, member))


def _answer(module: Any, order: Order, member: Member) -> None:
    def report(*metrics: Any, checkpoint: Any = None, **named: Any) -> None:
        named = {name: value for name, value in named.items() if name not in _OF_RAY}
        member.report(*metrics, checkpoint=checkpoint, **named)

    def get_checkpoint() -> Any:
        found = member.ask_checkpoint()
        return module.Checkpoint.from_directory(str(found)) if found else None

    context = _Context(order, member)
    module.report, module.get_checkpoint = report, get_checkpoint
    module.get_context = lambda: context


class _Context:
    """The facts about a trial that ``ray.tune.get_context()`` has."""

    def __init__(self, order: Order, member: Member) -> None:
        self._order, self._member = order, member

    def get_trial_id(self) -> str:
        return self._member.id

    def get_trial_name(self) -> str:
        return self._member.folder.name

    def get_trial_dir(self) -> str:
        return str(self._member.folder)

    def get_experiment_name(self) -> str:
        return Path(self._order.job.directory).name

    def get_trial_resources(self) -> Any:
        from ray.tune import PlacementGroupFactory

        job = self._order.job
        return PlacementGroupFactory([{"CPU": job.cpu} | ({"GPU": job.gpu} if job.gpu else {})])

    def get_world_size(self) -> int:
        return 1

    def get_world_rank(self) -> int:
        return 0

    get_local_rank = get_node_rank = get_world_rank
    get_local_world_size = get_world_size


def _lead_to_the_sweeps_ray(ray: Any, order: Order) -> None:
    begin, job = ray.init, order.job

    def init(*args: Any, **kwargs: Any) -> Any:
        if ray.is_initialized():
            return ray.get_runtime_context()
        if job.spare < 1:
            raise SweepsError(
                "ray.init() or a Ray task inside of a trial: all processors are given to trials, so"
                " that a task would wait for ever. Leave some free: with resources.cpu: 2 and"
                " `--cpus 5`, two trials run at once, and one processor is for their tasks"
            )
        kept = {k: v for k, v in kwargs.items() if k in ("namespace", "runtime_env")}
        where = order.environment["RAY_ADDRESS"]
        return begin(address=where, log_to_driver=False, logging_level="ERROR", **kept)

    ray.init = init


def when_imported(name: str, change: Callable[[Any], None]) -> None:
    """Change a module as soon as it has been imported, or now if it has been."""
    if name in sys.modules:
        change(sys.modules[name])
    else:
        sys.meta_path.insert(0, _Finder(name, change))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module as the others would, and sees to it once it has been executed."""

    def __init__(self, name: str, change: Callable[[Any], None]) -> None:
        self._name, self._change = name, change

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        run, change = spec.loader.exec_module, self._change

        def exec_module(module: ModuleType) -> None:
            run(module)
            change(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec

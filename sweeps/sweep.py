"""A sweep from Python: `Sweep.from_yaml("sweep.yaml").run()`. The command is a thin layer on it."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from sweeps.answer.results import Results, results_of
from sweeps.cluster import local, remote
from sweeps.cluster.scaling import parse_workers
from sweeps.definition.given import Given
from sweeps.definition.places import as_place, join
from sweeps.definition.resolve import Resolved, Versions
from sweeps.definition.space import Trial
from sweeps.definition.sweep_file import examine, is_shipped, read
from sweeps.driver.progress import Progress
from sweeps.driver.signals import stops_as_interrupts
from sweeps.errors import InvalidSweep, SweepsError
from sweeps.planning.arrays import Array, form_again, form_arrays
from sweeps.planning.plan import Plan, decide, stale
from sweeps.planning.shares import Node, Share, decide_share
from sweeps.planning.size import size_line
from sweeps.records import manifest
from sweeps.records.ledger import Ledger
from sweeps.records.record import Overview, damage_notes
from sweeps.storage.remote_ledger import open_ledger
from sweeps.worker.job import refuse_inside_a_trial


@dataclass(frozen=True)
class Outlook:
    """What a run would do, and what each trial would get.

    Attributes:
        size: of the search space, in a line.
        notes: what the user should know of the results that are kept.
        why_apart: what keeps trials from being in one array, where they are in several.
    """

    plan: Plan
    share: Share
    arrays: Sequence[Array]
    why_alone: str | None
    directory: str
    size: str = ""
    notes: Sequence[str] = ()
    why_apart: str | None = None


class Sweep:
    """A validated sweep: its file, its trials, and the function that trains them.

    Raises:
        InvalidSweep: a rule is broken, by the sweep or by a configuration for its trainable; all
            problems are listed.
    """

    def __init__(
        self,
        definition: Mapping[str, Any] | None = None,
        /,
        *,
        source: str = "the sweep",
        **keys: Any,
    ) -> None:
        """Describe a sweep by the keys of a sweep file, as a mapping, by name, or both.

        ``train`` may also be a function, wherever it was defined: one that no module has by its
        name travels to its processes as its code, which is then part of the trials' identity.
        """
        self._open({**(definition or {}), **keys}, source)

    @classmethod
    def from_yaml(cls, source: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Self:
        """Read a sweep file, or a shipped one by name, with ``key=value`` overrides."""
        sweep = cls.__new__(cls)
        definition, problems = read(os.fspath(source), overrides)
        file = None if is_shipped(os.fspath(source)) else Path(source)
        sweep._open(definition, os.fspath(source), problems, file)
        return sweep

    def _open(
        self,
        definition: Mapping[str, Any],
        source: str,
        problems: Sequence[str] = (),
        path: Path | None = None,
    ) -> None:
        """Check a definition whole, then against its trainable; all problems are told at once."""
        refuse_inside_a_trial()
        try:
            given = Given.read(definition, path, is_shipped=is_shipped(source))
        except SweepsError as error:
            raise InvalidSweep(source, [*problems, str(error)]) from None
        self.definition, self._search = given.definition, given.search
        file, found = examine(self.definition)
        problems = [*problems, *found]
        if file is None:
            raise InvalidSweep(source, problems)
        self.file = file
        try:
            self._resolved: Resolved = given.resolve(file.train)
        except SweepsError as error:
            raise InvalidSweep(source, [*problems, str(error)]) from None
        self.trials: list[Trial] = file.trials(self._resolved.neutral)
        budget = self._resolved.budget
        self._budget = None if budget and file.is_swept(budget) else budget
        told = {_key(problem) for problem in problems}
        found = self._resolved.find_problems(self.trials, file)
        problems += [problem for problem in found if _key(problem) not in told]
        if problems:
            raise InvalidSweep(source, problems)
        self._find_fuse_keys(source)

    def _find_fuse_keys(self, source: str) -> None:
        """What trials must agree in to train together, or why each trains alone."""
        fuse, key = self.file.fuse, self._resolved.fuse_key
        self._why_alone = "fuse is off" if fuse == "off" else None
        self._fuse_keys: dict[str, str] = {}
        if key is None and not self._why_alone:
            self._why_alone = f"{self.file.train} has no array form"
        if key is None or self._why_alone:
            return
        refused: dict[str, Exception] = {}
        for trial in self.trials:
            try:
                self._fuse_keys[trial.id] = key(trial)
            except Exception as error:  # the user's fuse_key refuses it, with its reason
                refused[trial.id] = error
                self._fuse_keys[trial.id] = f"alone {trial.id}"
        if len(refused) < len(self.trials):
            return
        why = next(iter(refused.values()), None)
        if why and fuse != "auto":
            problem = f"fuse: must be auto or off for {self.file.train}, got {fuse}: {why}"
            raise InvalidSweep(source, [problem]) from None
        self._why_alone = str(why) if why else self._why_alone

    def plan(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        storage: str | None = None,
        cpus: int | None = None,
        gpus: int | None = None,
        retry: Sequence[str] = (),
        fresh: bool = False,
    ) -> Outlook:
        """What :meth:`run` would do on this machine; writes nothing and starts nothing."""
        ledger = self._ledger(directory, storage)
        share = decide_share(self.file.resources, [local.this_machine(cpus, gpus)])
        plan = Plan(new=tuple(self.trials)) if fresh else self._decide(ledger, retry)
        return self._look_ahead(plan, share, ledger)

    def run(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        storage: str | None = None,
        address: str | None = None,
        workers: str | None = None,
        cpus: int | None = None,
        gpus: int | None = None,
        retry: Sequence[str] = (),
        fresh: bool = False,
        progress: Progress | None = None,
        announce: Callable[[Outlook], None] = lambda outlook: None,
    ) -> Results:
        """Bring a directory to the state that the sweep describes, and read the results.

        Args:
            directory: where the records are, a path or a URI; ``<storage>/<name>`` if not given.
            storage: in place of the file's.
            address: of a running Ray cluster, ``HOST:PORT`` or ``auto``; without it, this machine.
            workers: what the cluster can grow to, as ``NODES:CPUS:GPUS``; not needed on the head of
                one that ``ray up`` has made.
            cpus: how many processors of this machine to use; all, if not given.
            gpus: how many GPUs of this machine to use; all, if not given.
            retry: run only these trials, by id, or those that ``failed``.
            fresh: run all trials again; what is there is set aside as ``earlier/<n>``.
            progress: is told how the trials go on.
            announce: is told, before the first trial is run, what will be done.

        Raises:
            SweepsError: with the reason and the next step.
            KeyboardInterrupt: Ctrl-C, or as :class:`sweeps.Stopped` another signal that ends
                programs; the same call goes on from there.
        """
        ledger = self._ledger(directory, storage)
        plan = Plan(new=tuple(self.trials)) if fresh else self._decide(ledger, retry)
        if not plan.todo:
            with ledger.held():  # only which trials are listed may have changed
                self._describe(ledger)
                notes = ledger.mend(self.trials)
            return results_of(ledger, notes=notes)
        ray = self._ray(address, workers, cpus, gpus, plan)
        with ray as nodes, stops_as_interrupts():
            hint = ", or say with --workers what the cluster can grow to" if address else ""
            share = decide_share(self.file.resources, nodes, hint)
            with ledger.held():
                if address is not None:
                    remote.check_shared(ledger.for_workers)
                    if not self._resolved.by_value:
                        remote.check_module(
                            self.file.train.split(".")[0].split(":")[0], self._search.folders
                        )
                if fresh:
                    ledger.set_aside()
                outlook = self._look_ahead(self._decide(ledger, retry), share, ledger)
                announce(outlook)
                self._describe(ledger, outlook)
                manifest.add_run(
                    ledger.directory,
                    self.definition,
                    plan=str(outlook.plan),
                    seeds=[trial.seed for trial in outlook.plan.keep + outlook.plan.todo],
                    share=asdict(share),
                )
                ledger.store("manifest.json")
                ledger.mend(self.trials)
                self._run(outlook, ledger, progress or Progress(), on_cluster=address is not None)
        ledger.fetch()
        return results_of(ledger)

    def _ray(
        self,
        address: str | None,
        workers: str | None,
        cpus: int | None,
        gpus: int | None,
        plan: Plan,
    ) -> AbstractContextManager[list[Node]]:
        """Get the data ready, then Ray; what cannot work fails before Ray is started."""
        remote.check_auth_mode()
        if address is not None:
            asked = parse_workers(workers) if workers else ()
            self._resolved.prepare(trial.config for trial in plan.todo)
            return remote.remote_ray(address, asked)
        node = local.this_machine(cpus, gpus)
        decide_share(self.file.resources, [node])
        self._resolved.prepare(trial.config for trial in plan.todo)
        return local.local_ray(node)

    def _look_ahead(self, plan: Plan, share: Share, ledger: Ledger) -> Outlook:
        """Put the trials into arrays, or say why each trains alone."""
        arrays, why_alone = self._form(plan, share, ledger), self._why_alone
        if not why_alone and arrays and all(len(array) == 1 for array in arrays):
            why_alone = "no two of them have the same shapes and a place to share"
        apart = None if self._why_alone else self._why_apart(arrays)
        if apart and why_alone and len({self._fuse_keys[a[0].id] for a in arrays}) == len(arrays):
            why_alone = f"no two of them are alike: {apart}"
        records = ledger.records(plan.keep + plan.todo + plan.leave)
        notes = [*damage_notes(records.values()), *stale(plan, records, self._versions())]
        configurations = len(self.trials) // self.file.seeds
        size = size_line(self.file.space, configurations, self.file.search)
        return Outlook(plan, share, arrays, why_alone, ledger.where, size, notes, apart)

    def _why_apart(self, arrays: Sequence[Array]) -> str | None:
        """Why the trials of two arrays could not all be in one, if it is not for their number."""
        first = {self._fuse_keys[array[0].id]: array[0] for array in reversed(arrays)}
        if len(first) < 2:
            return None
        one, other, *_ = reversed(first.values())
        return self._resolved.why_apart(one, other)

    def _form(self, plan: Plan, share: Share, ledger: Ledger) -> list[Array]:
        """Arrays as they were before, where they go on; new ones for the rest.

        What has failed is tried again alone, so that it takes nobody down.
        """
        if self._why_alone:
            return [(trial,) for trial in plan.todo]
        formed = ledger.formed()
        unchanged = formed.get("settings") == self._settings(share)
        candidates = plan.resume + (plan.new if unchanged else ())
        again = form_again(candidates, formed.get("arrays", ()), self.file.fuse, share)
        placed = {trial.id for array in again for trial in array}
        rest = [trial for trial in plan.resume + plan.new if trial.id not in placed]
        key = lambda trial: f"{self._fuse_keys[trial.id]} {plan.reached.get(trial.id, 0)}"  # noqa: E731
        fresh = form_arrays(rest, self.file.fuse, share, key)
        alone = [(trial,) for trial in plan.retry]
        begun = {trial.id for trial in plan.resume}
        return sorted(again + alone + fresh, key=lambda array: array[0].id not in begun)

    def _settings(self, share: Share) -> dict[str, Any]:
        """What decides which trials train together."""
        return {"fuse": self.file.fuse, "share": [share.cpu, share.gpu, share.at_once]}

    def _run(
        self, outlook: Outlook, ledger: Ledger, progress: Progress, *, on_cluster: bool
    ) -> None:
        from sweeps.driver.tuner import run_trials  # imports Ray

        run_trials(
            self.file,
            outlook.arrays,
            ledger,
            outlook.share,
            versions=self._versions(),
            resolved=self._resolved,
            search=self._search,
            on_cluster=on_cluster,
            progress=progress,
        )

    def _versions(self) -> dict[str, Versions]:
        return self._resolved.versions(self.trials)

    def place(
        self, directory: str | os.PathLike[str] | None = None, storage: str | None = None
    ) -> str:
        """The path or URI of its directory: the one given, or ``<storage>/<name>``."""
        if directory is not None:
            return as_place(directory)
        above = self.file.storage if storage is None else storage
        return join(as_place(above), self.file.name)

    @property
    def code(self) -> Path | None:
        """The folder of the user's code, if it needs any that is not installed."""
        return self._resolved.folder

    def _ledger(
        self, directory: str | os.PathLike[str] | None, storage: str | None = None
    ) -> Ledger:
        ledger = open_ledger(self.place(directory, storage))
        ledger.check_usable(self.file.name)
        return ledger

    def _decide(self, ledger: Ledger, retry: Sequence[str]) -> Plan:
        plan = decide(self.trials, ledger.records(self.trials), self._budget)
        return plan.only(retry) if retry else plan

    def _describe(self, ledger: Ledger, outlook: Outlook | None = None) -> None:
        """Write what the sweep is, which trials it lists, and which of them train together."""
        file, formed = self.file, ledger.formed()
        if outlook:
            arrays = [[trial.id for trial in array] for array in outlook.arrays]
            placed = {key for array in arrays for key in array}
            before = [[k for k in ids if k not in placed] for ids in formed.get("arrays", ())]
            arrays += [array for array in before if array]
            formed = {"settings": self._settings(outlook.share), "arrays": arrays}
        ledger.write_overview(
            Overview(
                file.name,
                file.metric,
                file.mode,
                self.definition,
                tuple(self.trials),
                self._budget,
                formed,
            )
        )


def _key(problem: str) -> str:
    """The dotted path that a problem is about."""
    return problem.partition(":")[0]

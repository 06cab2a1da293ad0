"""A sweep from Python: `Sweep.from_yaml("sweep.yaml").run()`. The command is a thin layer on it."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Self

from sweeps.answer.results import Results, results_of
from sweeps.cluster import local, remote
from sweeps.cluster.scaling import parse_workers
from sweeps.definition.given import Given
from sweeps.definition.places import as_place, join
from sweeps.definition.resolve import Resolved
from sweeps.definition.space import Trial
from sweeps.definition.sweep_file import examine, is_shipped, read
from sweeps.driver.control import Control, Ending
from sweeps.driver.progress import Progress
from sweeps.driver.signals import stops_as_interrupts
from sweeps.errors import Interrupted, InvalidSweep, SweepsError
from sweeps.planning.course import course_problems
from sweeps.planning.forming import Former
from sweeps.planning.plan import Plan
from sweeps.planning.shares import Node, Share, decide_share
from sweeps.records import manifest
from sweeps.records.ledger import Ledger
from sweeps.records.requests import Request, forget, heard
from sweeps.rounds import Rounds
from sweeps.state import Outlook, State, Wanted
from sweeps.storage.remote_ledger import open_ledger
from sweeps.worker.job import refuse_inside_a_trial
from sweeps.worker.processes import nursery


class Sweep:
    """A validated sweep: its file, its trials, and the function that trains them.

    Attributes:
        ended: after :meth:`run`, why it ended before all trials had, by the file's ``stop_after``.
        handed: after :meth:`run`, how many trials the run that was under way was given.

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
        self._path = path
        self._place: str | None = None  # where it was last planned or run
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
        resolved = self._resolved
        self._wanted = Wanted.of(file, self.definition, resolved)
        told = {_key(problem) for problem in problems}
        found = resolved.find_problems(self._wanted.examples, file)
        resumes = "resume_from" in resolved.accepts
        found += course_problems(file, resolved.budget, resumes, resolved.changeable)
        problems += [problem for problem in found if _key(problem) not in told]
        self._former = Former(file.fuse, file.train, resolved.fuse_key, resolved.why_apart)
        if not problems and (problem := self._former.look_at(self.trials)):
            problems = [problem]
        if problems:
            raise InvalidSweep(source, problems)

    def _repr_html_(self) -> str:
        from sweeps.answer.notebook import sweep_as_html

        parameters = self.definition.get("parameters") or {}
        return sweep_as_html(self.file, parameters, self.trials, self._place or self.place())

    @property
    def trials(self) -> list[Trial]:
        """All trials of the file, in its order; none where a sampler suggests them."""
        return list(self._wanted.trials)

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
        state = State(self._wanted, self._former, ledger)
        return state.look_ahead(state.decide(retry, fresh=fresh), share)

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
        state = State(self._wanted, self._former, ledger)
        plan = state.decide(retry, fresh=fresh)
        self.ended = None if fresh or retry else state.enough()
        self.handed = 0 if fresh or retry else self._hand_over(state)
        if self.handed:
            return results_of(ledger)
        if not plan.todo or self.ended:
            with ledger.held():  # only which trials are listed may have changed
                state.settle()
                state.describe()
                notes = ledger.mend(state.trials)
            return results_of(ledger, notes=notes)
        ray = self._ray(address, workers, cpus, gpus, plan)
        with ray as nodes, stops_as_interrupts():
            hint = ", or say with --workers what the cluster can grow to" if address else ""
            share = decide_share(self.file.resources, nodes, hint)
            with ledger.held():
                forget(ledger.files)
                if address is not None:
                    remote.check_shared(ledger.for_workers)
                    if not self._resolved.by_value:
                        remote.check_module(
                            self.file.train.split(".")[0].split(":")[0], self._search.folders
                        )
                if fresh:
                    ledger.set_aside()
                    state = State(self._wanted, self._former, ledger)
                told, on_cluster = progress or Progress(), address is not None
                ending = self._train(state, share, retry, told, announce, on_cluster=on_cluster)
        ledger.fetch()
        if ending and ending.kind != "enough":
            raise Interrupted(f"{ending.why}; the same command goes on with what is left")
        self.ended = ending.why if ending else None
        return results_of(ledger)

    def _train(
        self,
        state: State,
        share: Share,
        retry: Sequence[str],
        progress: Progress,
        announce: Callable[[Outlook], None],
        *,
        on_cluster: bool,
    ) -> Ending | None:
        """Decide, train, and decide again, until there is nothing left to do."""
        from sweeps.driver.tuner import run_trials  # imports Ray

        ledger = state.ledger
        hours = self.file.stop_after.hours if self.file.stop_after else None
        control = Control(ledger, hours, lambda now: rounds.state.enough(now))
        rounds = Rounds(state, share, control, retry, partial(self._widened, ledger), announce)
        plan = rounds.first.plan
        manifest.add_run(
            ledger.directory,
            self.definition,
            plan=str(plan),
            seeds=[trial.seed for trial in plan.keep + plan.todo],
            share=asdict(share),
        )
        ledger.store("manifest.json")
        ledger.mend(state.trials)
        rounds.begin()
        ending = run_trials(
            self.file,
            ledger,
            share,
            following=rounds.following,
            control=control,
            resolved=self._resolved,
            search=self._search,
            on_cluster=on_cluster,
            progress=progress,
        )
        rounds.end()
        return ending

    def _widened(self, ledger: Ledger, request: Request) -> State:
        """What a file that has asked for more trials describes."""
        wider = Sweep.__new__(Sweep)
        path = Path(request.file) if request.file else None
        wider._open(request.definition or {}, "the wider file", (), path)
        return State(wider._wanted, wider._former, ledger)

    def _hand_over(self, state: State) -> int:
        """Give a run under way the trials that this file asks for beside its own: how many."""
        ledger = state.ledger
        if not ledger.is_held() or not ledger.formed():
            return 0
        more = state.additional()
        if not more:
            return 0
        path = str(self._path.absolute()) if self._path else None
        request = Request("widen", definition=dict(self.definition), file=path)
        return more if heard(ledger, request) else 0

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
        share = decide_share(self.file.resources, [node])
        self._resolved.prepare(trial.config for trial in plan.todo)
        preload, threads = self._resolved.imports, max(1, int(share.cpu))
        return local.local_ray(node, lambda folder: nursery(folder, preload, threads))

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
        self._place = ledger.where
        return ledger


def _key(problem: str) -> str:
    """The dotted path that a problem is about."""
    return problem.partition(":")[0]

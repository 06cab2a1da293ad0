"""A sweep as a Ray job: submitted to a cluster's jobs API, followed, stopped.

The job is ``sweeps run`` on the head, with the files that were shipped; the records are on storage
that outlives it. What is on the other side is asked before anything is sent.
"""

import asyncio
import json
import re
import secrets
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sweeps.cluster import job_start, remote
from sweeps.cluster.dashboard import Dashboard, Lost
from sweeps.cluster.local import RAY_SETTINGS, quiet
from sweeps.cluster.shipping import Package, pack
from sweeps.definition.places import is_remote
from sweeps.definition.text import typed
from sweeps.errors import CannotGoOn, ClusterError, Interrupted, SweepsError

PATIENCE = 60.0
"""Seconds that a connection may be lost before following is given up."""

SILENCE = 10.0
"""Seconds without a line, after which it is asked whether the cluster is still there."""

STOPS_WITHIN = 30
"""Seconds that a job has to record where its trials stand; then Ray kills it."""

FILE, START = "sweepboard-job.yaml", "sweepboard-job.py"
COMMAND = "sweeps.__main__"
"""The module whose `main` is the command."""

_NOISE = re.compile(
    r"\d{4}-\d\d-\d\d [\d:,]+\s+INFO (job_manager|worker|packaging)\.py:\d+ -- "
    r"|Running entrypoint for job \S+: "
)
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_OWN = (1, 2, 129, 130, 143)  # exit statuses of `sweeps run`
_AGAIN = "what was recorded is kept: submit the same sweep again to go on"


class Jobs:
    """The jobs API of a cluster.

    Args:
        address: of its dashboard, ``http://HOST:PORT``.

    Raises:
        ClusterError: nothing answers there, or it is no Ray that we can talk to.
    """

    def __init__(self, address: str) -> None:
        self._dashboard = Dashboard(address)
        self._dashboard.check()
        self.address = self._dashboard.address
        self._places: dict[str, str] = {}
        with remote.without("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):  # they would win
            from ray.job_submission import JobSubmissionClient

            quiet("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk")
            self._client = JobSubmissionClient(self.address, headers=self._dashboard.headers)

    def submit(
        self,
        name: str,
        definition: Mapping[str, Any],
        place: str,
        *,
        source: Path | None,
        options: Sequence[str] = (),
        python: str = "python",
        tell: Callable[[Package], None] = lambda package: None,
    ) -> str:
        """Ship a folder's code and start ``sweeps run``; the job's id.

        Args:
            definition: the sweep, as a file holds it.
            place: its directory: an absolute path that all nodes share, or a URI.
            source: the folder; none, if the sweep needs no code but ours.
            options: more of ``sweeps run``'s.
            python: of the head, by its path or as found on the PATH that Ray was started with.
            tell: is told what will be shipped, before it is.
        """
        check_place(place)
        job = f"{name}-{secrets.token_hex(3)}"
        here = f"{sys.version_info[0]}.{sys.version_info[1]}"
        run = ["run", FILE, "--address", "auto", "--dir", place, *options]
        with tempfile.TemporaryDirectory(prefix="sweepboard-") as folder:
            package = pack(source, Path(folder))
            tell(package)
            (Path(folder) / FILE).write_text(json.dumps(definition, indent=1) + "\n")
            shutil.copy2(job_start.__file__, Path(folder) / START)
            self._submit(
                entrypoint=f"exec {_program(python)} {shlex.join([START, here, COMMAND, *run])}",
                submission_id=job,
                runtime_env={
                    "working_dir": folder,
                    "py_modules": _our_packages(),
                    "env_vars": _environment(),
                },
                metadata={"sweep": name, "directory": place},
            )
        self._places[job] = place
        return job

    def _submit(self, **request: Any) -> None:
        from ray.exceptions import RayError

        try:
            self._client.submit_job(**request)
        except (RuntimeError, OSError, ValueError, RayError) as error:
            reason = " ".join(str(error).split())[:500]
            raise ClusterError(
                f"the Ray at {self.address} did not take the job: {reason}"
            ) from None

    def follow(
        self, job: str, show: Callable[[str], None], warn: Callable[[str], None] = lambda text: None
    ) -> int:
        """Pass on what a job prints, line by line, until it ends; its exit status.

        Args:
            show: is given each line, once.
            warn: is told when the connection is lost.

        Raises:
            ClusterError: there is no such job.
            CannotGoOn: the connection was lost for good, or the job was killed.
            Interrupted: the job was stopped.
        """
        if job not in self._places:  # submitted by another
            about = self.info(job).get("metadata") or {}
            self._places[job] = about.get("directory", "DIR")
        lines = Lines(show)
        lost: float | None = None
        while True:
            try:
                asyncio.run(self._pass_on(job, lines))
                info = self.info(job)
                lost = None
            except Lost as error:
                if lost is None:
                    lost = time.monotonic()
                    warn(f"{error}; trying again")
                if time.monotonic() - lost > PATIENCE:
                    raise CannotGoOn(f"{error}; {self.afterwards(job)}") from None
                time.sleep(1)
                continue
            if info["status"] in _ENDED:
                lines.end()
                return self._exit_status(job, info)
            time.sleep(0.2)

    async def _pass_on(self, job: str, lines: "Lines") -> None:
        """All that the job has printed, from the beginning, and what it prints until it ends."""
        lines.again()
        log = self._client.tail_job_logs(job)
        while True:
            coming = asyncio.ensure_future(anext(log, None))
            while not (await asyncio.wait([coming], timeout=SILENCE))[0]:
                await asyncio.to_thread(self.info, job)
            try:
                text = coming.result()
            except Exception as error:  # aiohttp's, or Ray's own for a connection that broke
                raise Lost(f"the connection to {self.address} was lost: {error}") from None
            if text is None:
                return
            lines.add(text)

    def stop(self, job: str) -> str:
        """End a job as Ctrl-C would; what became of it."""
        if self.info(job)["status"] not in _ENDED:
            self._dashboard.ask(f"/api/jobs/{quote(job, safe='')}/stop", "POST")
        deadline = time.monotonic() + STOPS_WITHIN + PATIENCE
        while (status := str(self.info(job)["status"])) not in _ENDED:
            if time.monotonic() > deadline:
                raise ClusterError(f"the job {job} is still {status.lower()}; ask again later")
            time.sleep(0.2)
        return status.lower()

    def info(self, job: str) -> Any:
        """What the cluster knows of a job."""
        found = self._dashboard.ask(f"/api/jobs/{quote(job, safe='')}")
        if found is None:
            raise ClusterError(
                f"there is no job {job!r} at {self.address};"
                f" `ray job list --address {self.address}` lists them"
            )
        return found

    def afterwards(self, job: str) -> str:
        """How to go on with a job that was left running."""
        at = f"--address {shlex.quote(self.address)}"
        place = typed(self._places.get(job, "DIR"))
        return (
            f"the job {job} goes on\n"
            f"follow it with: sweeps submit --follow {job} {at}\n"
            f"stop it with: sweeps submit --stop {job} {at}\n"
            f"its results, also now: sweeps results {place}"
        )

    def _exit_status(self, job: str, info: Mapping[str, Any]) -> int:
        """That of `sweeps run`, which has said why; where it could not, an error that does."""
        code = info.get("driver_exit_code")
        if info["status"] == "SUCCEEDED":
            return 0
        if info["status"] == "STOPPED":
            raise Interrupted(f"the job {job} was stopped; {_AGAIN}")
        if code in _OWN:
            return int(code)
        if code in (126, 127):
            raise ClusterError(
                "the head has no such program as the Python that was asked for; name that of the"
                " environment that Ray runs in with --python, or put it on the PATH of `ray start`"
            )
        message = " ".join(str(info.get("message")).split())[:500]
        reason = message if code is None else _how(code)  # none: it never began
        raise CannotGoOn(f"the job {job} ended before its sweep did: {reason}; {_AGAIN}")


class Lines:
    """What a job has printed, as whole lines; none is shown again after a connection broke."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._part = ""
        self._shown = 0
        self._at = 0

    def again(self) -> None:
        """The log comes from its beginning."""
        self._part, self._at = "", 0

    def add(self, text: str) -> None:
        """The next piece of the log."""
        *lines, self._part = (self._part + text).split("\n")
        for line in lines:
            self._at += 1
            if self._at > self._shown:
                self._shown = self._at
                if not _NOISE.match(line):
                    self._show(line)

    def end(self) -> None:
        """Nothing more comes: what is left is a line too."""
        if self._part:
            self.add("\n")


def check_place(place: str) -> None:
    """Refuse a directory that would go with the job."""
    if not is_remote(place) and not Path(place).is_absolute():
        raise SweepsError(
            f"storage: must be a URI such as s3://bucket/sweeps, or the absolute path of a folder"
            f" that all nodes mount, got {place}; a job's own folder goes with it; give --storage"
        )


def _our_packages() -> list[str]:
    """Sweepboard itself: the version that is here is what runs there."""
    here = Path(__file__).parents[1]
    return [str(here), str(here.with_name("trainer"))]


def _environment() -> dict[str, str]:
    """Of the job and its trials. It can be read by all who may ask for jobs: no secrets."""
    memory = {name: value for name, value in RAY_SETTINGS.items() if name.startswith("MALLOC_")}
    return {**memory, "RAY_JOB_STOP_WAIT_TIME_S": str(STOPS_WITHIN)}


def _program(python: str) -> str:
    """Quoted for the head's shell, but for a ``~`` that means the home folder there."""
    return f"~/{shlex.quote(python[2:])}" if python.startswith("~/") else shlex.quote(python)


def _how(code: int) -> str:
    """What a shell's exit status says of how a process ended."""
    number = -code if code < 0 else code - 128
    return f"its process was ended by signal {number}" if number > 0 else f"exit status {code}"

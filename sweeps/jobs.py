"""A sweep as a Ray job: submitted to a cluster's jobs API, followed, stopped.

The job is ``sweeps run`` on the head, with the files that were shipped; the records are on storage
that outlives it. What is on the other side is asked before anything is sent.
"""

import asyncio
import json
import re
import secrets
import shlex
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sweeps import remote
from sweeps.cluster import RAY_SETTINGS, environment
from sweeps.errors import CannotGoOn, ClusterError, SweepsError
from sweeps.package import Package, pack
from sweeps.storage import is_remote

PATIENCE = 60.0
"""Seconds that a connection may be lost before following is given up."""

FILE = "sweepboard-job.yaml"
_NOISE = re.compile(r"\d{4}-\d\d-\d\d [\d:,]+\s+INFO (job_manager|worker|packaging)\.py:\d+ -- ")
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


class Jobs:
    """The jobs API of a cluster.

    Args:
        address: of its dashboard, ``http://HOST:PORT``.

    Raises:
        ClusterError: nothing answers there, or it is no Ray that we can talk to.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        remote.check_auth_mode()
        _check(self.address)
        with _talking():
            from ray.job_submission import JobSubmissionClient

            self._client = _said(lambda: JobSubmissionClient(self.address), self.address)

    def submit(
        self,
        name: str,
        definition: Mapping[str, Any],
        place: str,
        *,
        source: Path,
        options: Sequence[str] = (),
        tell: Callable[[Package], None] = lambda package: None,
    ) -> str:
        """Ship a folder's code and start ``sweeps run``; the job's id.

        Args:
            definition: the sweep, as a file holds it.
            place: its directory: an absolute path that all nodes share, or a URI.
            options: more of ``sweeps run``'s.
            tell: is told what will be shipped, before it is.
        """
        if not is_remote(place) and not Path(place).is_absolute():
            raise SweepsError(
                f"storage: must be a URI such as s3://bucket/sweeps, or the absolute path of a"
                f" folder that all nodes mount, got {place}; the job's own folder goes with it"
            )
        job = f"{name}-{secrets.token_hex(3)}"
        ours = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "trainer")]
        run = ["python", "-m", "sweeps", "run", FILE, "--address", "auto", "--dir", place]
        with tempfile.TemporaryDirectory(prefix="sweepboard-") as folder:
            package = pack(source, Path(folder))
            tell(package)
            (Path(folder) / FILE).write_text(json.dumps(definition, indent=1) + "\n")
            settings = {k: v for k, v in RAY_SETTINGS.items() if k.startswith("MALLOC_")}
            with _talking():
                _said(
                    lambda: self._client.submit_job(
                        entrypoint=shlex.join([*run, *options]),
                        submission_id=job,
                        runtime_env={
                            "working_dir": folder,
                            "py_modules": ours,
                            "env_vars": settings,
                        },
                        metadata={"sweep": name, "directory": place},
                    ),
                    self.address,
                )
        return job

    def follow(self, job: str, show: Callable[[str], None]) -> int:
        """Pass on what a job prints, line by line, until it ends; its exit status.

        Raises:
            ClusterError: there is no such job.
            CannotGoOn: the connection was lost for good, or the job was killed.
        """
        self.info(job)
        lines = _Lines(show)
        lost: float | None = None
        while True:
            try:
                with _talking():
                    asyncio.run(self._pass_on(job, lines))
                info = self.info(job)
                lost = None
            except ClusterError as error:
                lost = lost or time.monotonic()
                if time.monotonic() - lost > PATIENCE:
                    raise CannotGoOn(f"{error}; {self.afterwards(job)}") from None
                time.sleep(1)
                continue
            if str(info.status) in _ENDED:
                lines.end()
                return self._exit_status(job, info)
            time.sleep(0.2)

    async def _pass_on(self, job: str, lines: "_Lines") -> None:
        lines.again()
        try:
            async for text in self._client.tail_job_logs(job):
                lines.add(text)
        except Exception as error:  # aiohttp's, or Ray's own for a connection that broke
            raise ClusterError(f"the connection to {self.address} was lost ({error})") from None

    def stop(self, job: str) -> str:
        """End a job as Ctrl-C would; what became of it."""
        if str(self.info(job).status) not in _ENDED:
            with _talking():
                _said(lambda: self._client.stop_job(job), self.address)
        deadline = time.monotonic() + PATIENCE
        while (status := str(self.info(job).status)) not in _ENDED:
            if time.monotonic() > deadline:
                raise ClusterError(f"the job {job} is still {status.lower()}; ask again later")
            time.sleep(0.2)
        return status.lower()

    def info(self, job: str) -> Any:
        """What the cluster knows of a job."""
        with _talking():
            return _said(lambda: self._client.get_job_info(job), self.address, job)

    def afterwards(self, job: str) -> str:
        """How to go on with a job that was left running."""
        at = f"--address {self.address}"
        return (
            f"the job {job} goes on; see it with `sweeps submit --follow {job} {at}`, end it with"
            f" `sweeps submit --stop {job} {at}`"
        )

    def _exit_status(self, job: str, info: Any) -> int:
        code = info.driver_exit_code
        if str(info.status) == "SUCCEEDED":
            return 0
        if code is not None and code > 0:
            return int(code)
        if str(info.status) == "STOPPED":
            return 130
        reason = " ".join(str(info.message or "its process was killed").split())
        raise CannotGoOn(
            f"the job {job} ended before its sweep did: {reason[:500]}; what was recorded is kept:"
            " submit the same sweep again to go on"
        )


class _Lines:
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
        *lines, self._part = (self._part + text).split("\n")
        for line in lines:
            self._at += 1
            if self._at > self._shown:
                self._shown = self._at
                if not _NOISE.match(line):
                    self._show(line)

    def end(self) -> None:
        if self._part:
            self.add("\n")


@contextmanager
def _talking() -> Iterator[None]:
    """Ray's client would take the address from these variables first."""
    names = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
    with environment(remote.auth_mode()), remote.without(*names):
        yield


def _said(ask: Callable[[], Any], address: str, job: str | None = None) -> Any:
    """Call the jobs API; its errors in our words."""
    from ray.exceptions import RayError

    try:
        return ask()
    except (RuntimeError, OSError, ValueError, RayError) as error:
        text = " ".join(str(error).split())
        if job and "does not exist" in text:
            raise ClusterError(
                f"there is no job {job!r} at {address}; `ray job list --address {address}` lists"
                " them"
            ) from None
        raise ClusterError(f"{address} refused or was lost: {text[:500]}") from None


def _check(address: str) -> None:
    """Ask for the version of Ray, before anything is sent."""
    if not re.fullmatch(r"https?://[^\s/]+", address):
        raise ClusterError(
            f"--address must be that of the cluster's dashboard, http://HOST:PORT, got {address!r}"
        )
    token = remote.token()
    request = urllib.request.Request(f"{address}/api/version")  # noqa: S310
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=remote.ANSWER_WITHIN) as answer:  # noqa: S310
            theirs = json.loads(answer.read(100_000))["ray_version"]
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise ClusterError(remote.refusal(address, "UNAUTHENTICATED", bool(token))) from None
        raise ClusterError(_not_a_dashboard(address)) from None
    except (ValueError, KeyError, TypeError):
        raise ClusterError(_not_a_dashboard(address)) from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise ClusterError(
            f"cannot connect to a Ray dashboard at {address}: {reason}; open a tunnel to it with"
            " `ray dashboard cluster.yaml`, or `ssh -L 8265:localhost:8265 HEAD`"
        ) from None
    remote.check_version(address, str(theirs), version("ray"))


def _not_a_dashboard(address: str) -> str:
    return (
        f"what listens at {address} is not a Ray dashboard; submit takes the address of the"
        " dashboard (port 8265 unless told otherwise), `run --address` that of the head (6379)"
    )

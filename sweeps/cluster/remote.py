"""A Ray that is running already, at an address: refused in seconds where it cannot be used."""

import importlib.util
import logging
import os
import re
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from sweeps.cluster.local import RAY_SETTINGS, environment, nodes_of_ray, quiet
from sweeps.cluster.scaling import to_come
from sweeps.definition.find import SearchPath
from sweeps.definition.places import is_remote
from sweeps.errors import ClusterError, StorageError
from sweeps.planning.shares import Node
from sweeps.storage.mirror import Mirror

A = TypeVar("A")
T = TypeVar("T")

ANSWER_WITHIN = 10.0
"""Seconds for a server to answer at all."""

LOST_WITHIN = 60.0
"""Seconds until Ray knows of a node that it is dead."""


@contextmanager
def remote_ray(address: str, workers: Sequence[Node] = ()) -> Iterator[list[Node]]:
    """A connection to a running cluster, and its nodes, with those that it may add.

    Args:
        address: ``HOST:PORT`` of its head, or ``auto`` on one of its nodes.
        workers: those that it may have; else they are taken from its own file, on its head.

    Raises:
        ClusterError: nothing answers at the address, or it is no Ray that we can talk to.
    """
    _check_answers(address)
    with environment(RAY_SETTINGS | auth_mode()):
        import ray

        quiet()
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise ClusterError(why_not(address, str(error))) from None
        try:
            alive = nodes_of_ray()
            yield [*alive, *to_come(alive, workers)]
        finally:
            ray.shutdown()


def why_not(address: str, said: str) -> str:
    """What Ray says when it does not let a program in, in our words."""
    pythons = re.findall(r"Python: (\d+\.\d+\.\d+)", said)
    if len(pythons) == 2 and pythons[0] != pythons[1]:
        return (
            f"the Ray at {address} runs in Python {pythons[0]}, here it is {pythons[1]}; use the"
            " same on both, or `sweeps submit`, which runs in the cluster's"
        )
    return f"cannot connect to Ray at {address}: {said.strip().splitlines()[0]}"


def check_module(name: str, folders: Sequence[str]) -> None:
    """Make sure that every node that can run trials finds the module of the training function.

    Args:
        folders: where it may be beside the nodes' own search path.

    Raises:
        ClusterError: one does not; every trial there would fail.
    """
    found = ask_every_node(_finds, (name, tuple(folders)))
    blind = [node for node, finds in found.items() if not finds]
    if blind:
        raise ClusterError(
            f"there is no module {name!r} on {', '.join(blind)}; install it on all nodes, or use"
            " `sweeps submit`, which ships it"
        )


def check_shared(directory: str) -> None:
    """Make sure that every node that can run trials sees a sweep's directory, and may write there.

    Args:
        directory: an absolute path, or a URI.

    Raises:
        ClusterError: one does not; each node would keep records of its own, and lose them.
    """
    if is_remote(directory):
        blind = {name: why for name, why in ask_every_node(_reaches, directory).items() if why}
        if blind:
            listed = "; ".join(f"{name}: {why}" for name, why in blind.items())
            raise ClusterError(
                f"{directory} cannot be used by all nodes ({listed}); give them credentials of"
                " their own: an instance role, or files and variables on each node"
            )
        return
    probe = Path(directory) / f".probe-{secrets.token_hex(8)}"
    try:
        probe.write_text("")
        blind = {name: why for name, why in ask_every_node(_sees, str(probe)).items() if why}
    finally:
        probe.unlink(missing_ok=True)
    if blind:
        listed = "; ".join(f"{name}: {why}" for name, why in blind.items())
        raise ClusterError(
            f"{directory} is not shared by all nodes ({listed}): each would keep its own records;"
            " name a folder that all of them mount, or a URI such as s3://bucket/sweeps, with"
            " --storage or --dir"
        )


def ask_every_node(
    ask: Callable[[A], T], argument: A, *, patience: float = LOST_WITHIN
) -> dict[str, T]:
    """Call a function on each node that can run trials; the answers by the node's name.

    A node that has died is in Ray's list for some seconds more: it is asked again until it answers,
    or is listed no longer.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    answers: dict[str, T] = {}
    names: dict[str, str] = {}
    task = ray.remote(num_cpus=0, max_retries=0)(ask)
    deadline = time.monotonic() + patience
    while True:
        alive = [n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU", 0) > 0]
        names |= {n["NodeID"]: f"{n['NodeManagerHostname']} ({n['NodeID'][:8]})" for n in alive}
        due = [n["NodeID"] for n in alive if n["NodeID"] not in answers]
        if not due:
            return {names[key]: answer for key, answer in answers.items()}
        strategies = {key: NodeAffinitySchedulingStrategy(key, soft=False) for key in due}
        asked = {
            key: task.options(scheduling_strategy=where).remote(argument)
            for key, where in strategies.items()
        }
        for key, answer in asked.items():
            try:
                answers[key] = ray.get(answer, timeout=patience)
            except ray.exceptions.RayTaskError as error:
                reason = str(error).strip().splitlines()[-1]
                raise ClusterError(
                    f"the node {names[key]} cannot run Sweepboard: {reason}; install it there, or"
                    " use `sweeps submit`, which ships it"
                ) from None
            except ray.exceptions.RayError as error:
                if time.monotonic() > deadline:
                    reason = str(error).strip().splitlines()[0]
                    raise ClusterError(f"the node {names[key]} does not answer: {reason}") from None
        time.sleep(0.2)


def _finds(sought: tuple[str, Sequence[str]]) -> bool:
    """Run on a node: whether it has a module."""
    name, folders = sought
    SearchPath(tuple(folders), first=False).extend_path()
    return importlib.util.find_spec(name) is not None


def _sees(probe: str) -> str | None:
    """Run on a node: what is wrong with the directory there, if anything is."""
    beside = f"{probe}.{os.getpid()}"
    try:
        os.stat(probe)  # noqa: PTH116
        with open(beside, "x"):  # noqa: PTH123
            os.unlink(beside)  # noqa: PTH108
    except OSError as error:
        return error.strerror or str(error)
    return None


def _reaches(uri: str) -> str | None:
    """Run on a node: why it cannot write to this storage, if it cannot."""
    with tempfile.TemporaryDirectory(prefix="sweepboard-") as local:
        try:
            Mirror(uri, Path(local)).check_writable()
        except StorageError as error:
            return str(error)
    return None


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Do without these environment variables for a while."""
    hidden = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def check_auth_mode() -> None:
    """Refuse what Ray would take for no authentication at all, without a word."""
    mode = os.environ.get("RAY_AUTH_MODE")
    if mode is not None and mode.lower() not in ("token", "disabled"):
        raise ClusterError(
            f"RAY_AUTH_MODE must be token or disabled, got {mode!r}: Ray would run without"
            " authentication; correct it, or unset it to have a token made"
        )


def _check_answers(address: str) -> None:
    """Fail in seconds where Ray would try for minutes."""
    if address == "auto":
        return
    parts = re.fullmatch(r"(?:\[([\w:.%]+)\]|([^\s/:]+)):([0-9]{1,5})", address)
    if parts is None or int(parts[3]) > 65535:
        raise ClusterError(f"--address must be auto or HOST:PORT, got {address!r}")
    try:
        socket.create_connection((parts[1] or parts[2], int(parts[3])), timeout=5).close()
    except OSError as error:
        raise ClusterError(
            f"cannot connect to Ray at {address}: {error.strerror or error}; start one with"
            " `ray start --head`, or leave --address out to run on this machine"
        ) from None
    _check_is_ray(address)


def _check_is_ray(address: str) -> None:
    """Ask what listens there for its version of Ray, as Ray's own health check does."""
    import grpc  # comes with TensorBoard

    found = token()
    sent = [("authorization", f"Bearer {found}")] if found else []
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(address, options=options) as channel:
        ask = channel.unary_unary("/ray.rpc.NodeInfoGcsService/CheckAlive")
        try:
            answer = ask(b"", timeout=ANSWER_WITHIN, metadata=sent)
        except grpc.RpcError as error:
            raise ClusterError(refusal(address, error.code().name, bool(found))) from None
    theirs = re.search(rb"\d+\.\d+\.\d+\w*", answer)
    if theirs:
        check_version(address, theirs[0].decode(), version("ray"))


def check_version(address: str, theirs: str, ours: str) -> None:
    """Refuse another version of Ray: it would fail later, and less clearly."""
    if theirs != ours:
        raise ClusterError(
            f"the Ray at {address} is version {theirs}, here it is {ours}; install the same on both"
        )


def refusal(address: str, code: str, token_sent: bool) -> str:
    if code != "UNAUTHENTICATED":
        return (
            f"what listens at {address} is not Ray; --address takes the port of `ray start --head`"
            " (6379 unless --port says otherwise), not that of its dashboard"
        )
    if token_sent:
        return (
            f"the Ray at {address} refused the token that was found here (RAY_AUTH_TOKEN,"
            " RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token); take that of the cluster"
        )
    return (
        f"the Ray at {address} asks for a token; put that of the cluster into ~/.ray/auth_token"
        " (mode 0600), or name its file with RAY_AUTH_TOKEN_PATH"
    )


def auth_mode() -> dict[str, str]:
    """The setting without which Ray's clients leave a token unused; read when ray is imported."""
    return {"RAY_AUTH_MODE": "token"} if token() else {}


def token() -> str | None:
    """The token that Ray would send, from where it looks for one."""
    if token := os.environ.get("RAY_AUTH_TOKEN"):
        return token
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path("~/.ray/auth_token").expanduser()
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None

"""One attempt of a trial, or of several as an array: around the user's function, where it trains.

The process that trains also records: a checkpoint lands, then the line of history that names it,
then TensorBoard's events are flushed, and only then is anybody told. Whatever dies after a report,
the report stays.
"""

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from inspect import isgenerator
from pathlib import Path
from typing import Any

from sweeps.definition.resolve import Resolved, resolve, resolve_code
from sweeps.errors import CannotGoOn, Misused, SweepsError
from sweeps.records.checkpoints import Start, start_together
from sweeps.worker.deadline import Deadline
from sweeps.worker.job import Failure, Order
from sweeps.worker.member import Member
from sweeps.worker.ray_api import answer_ray
from sweeps.worker.recorder import NO_ROOM, Over, no_room

Send = Callable[[dict[str, Any]], None]
"""Tells the driver; returns at once."""


def attempt(order: Order, send: Send, write_to: Callable[[Path], None]) -> Failure | None:
    """Call the user's function for one trial, or its array form for several.

    Args:
        write_to: makes a file the output of this process.

    Returns:
        Why it failed, unless it came to its end.
    """
    try:
        with ExitStack() as stack:
            members = [Member(order, path, send) for path in order.paths]
            for member in members:
                stack.callback(member.close)
            members = [member for member in members if member.is_wanted()]
            if not members:  # those of an array that failed are tried again alone
                return None
            for member in members:
                stack.callback(member.alone_in_it().release)
            write_to(members[0].folder / "output.log")
            stack.callback(_share_output, [member.folder for member in members])
            _train(order, members, stack)
        return None
    except SystemExit as end:
        return _exited(end)
    except BaseException as error:  # whatever the user's function raised
        return explain(error)


def _train(order: Order, members: Sequence[Member], stack: ExitStack) -> None:
    job = order.job
    deadline = stack.enter_context(
        Deadline(members[0].folder, job.trial_timeout, job.epoch_timeout)
    )
    if not job.warm:
        answer_ray(order, members[0])
    if order.function is None:
        search = job.search.on_this_node(order.folder)
        search.extend_path()
        resolved = resolve(job.train, search)
    else:
        resolved = resolve_code(job.train, order.function)
    for member in members:
        member.prepare(resolved, deadline)
    if resolved.reports:
        _run(resolved, members)
    else:
        _run_one(resolved, members[0])


def _run(resolved: Resolved, members: Sequence[Member]) -> None:
    """Train the members from where they stand; what becomes of each is told of."""
    folders = [member.folder for member in members]
    fresh = [Start([], None) for _ in members]
    starts = start_together(folders) if "resume_from" in resolved.accepts else fresh
    going: list[Member] = []
    for member, start in zip(members, starts, strict=True):
        try:
            member.begin(start)
            going.append(member)
        except Over as why:  # killed before it was told
            member.tell_over(why)
    if len(going) == 1:
        _run_one(resolved, going[0])
    elif going:
        _run_array(resolved, going)


def _run_array(resolved: Resolved, going: Sequence[Member]) -> None:
    errors = _call(
        resolved.offered("train_many"),
        [member.config for member in going],
        reports=[member.report for member in going],
        log_dirs=[member.folder for member in going],
        resume_from=[member.resume_from for member in going],
    )
    for member, error in zip(going, errors, strict=True):
        member.end(finished=error is None)
        if isinstance(error, Over):
            member.tell_over(error)
        elif error is not None:
            member.tell_failed(explain(error))


def _run_one(resolved: Resolved, member: Member) -> None:
    """Call the function; a dict that it returns, and each that it yields, is a report."""
    finished = False
    try:
        offered = {
            "report": member.report,
            "log_dir": member.folder,
            "resume_from": member.resume_from,
        }
        given = {name: value for name, value in offered.items() if name in resolved.accepts}
        returned = _call(resolved.function, member.config, **given)
        for each in _each(returned) if isgenerator(returned) else [returned]:
            member.report_returned(each)
        finished = True
    except SystemExit as end:
        finished = not end.code
        raise
    except Over as why:
        member.tell_over(why)
    finally:
        member.end(finished=finished)


def _each(yielded: Iterator[Any]) -> Iterator[Any]:
    """What a generator yields, in this process and not in one that it has forked."""
    end = object()
    return iter(partial(_call, next, yielded, end), end)


def _call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call the user's function; a process that it has forked ends where it would come back here.

    Else that one would end the trial, and let others write to its folder, while this one trains.
    """
    own = os.getpid()
    try:
        return function(*args, **kwargs)
    finally:
        if os.getpid() != own:
            _end_fork(sys.exception())


def _end_fork(error: BaseException | None) -> None:
    """As a script ends, but that nothing of what it shares with its parent is closed."""
    failed = bool(error.code) if isinstance(error, SystemExit) else error is not None
    if failed:
        traceback.print_exception(error)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # closed by the function, say
            stream.flush()
    os._exit(int(failed))


def _share_output(folders: Sequence[Path]) -> None:
    """What an array has printed is in the first member's file; the others get a copy."""
    first, *others = (folder / "output.log" for folder in folders)
    for other in others:
        with other.open("ab") as file:
            file.write(first.read_bytes())


def _exited(end: SystemExit) -> Failure | None:
    """What ``sys.exit`` means, as it does in a script."""
    if not end.code:
        return None
    said = f"sys.exit({end.code!r})" if isinstance(end.code, int) else f"sys.exit: {end.code}"
    return Failure(f"it called {said}", "".join(_traceback(end)))


def explain(error: BaseException) -> Failure:
    """What to tell of an error, as text."""
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        error = no_room(error)
    summary = str(error) if isinstance(error, SweepsError) else _summary(error)
    fatal = type(error).__name__ if isinstance(error, Misused | CannotGoOn) else None
    return Failure(summary, "".join(_traceback(error)), fatal)


def _summary(error: BaseException) -> str:
    """The error's kind, and the first line of its message."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # its own __str__ fails
        lines = []
    return ": ".join([type(error).__name__, *lines[:1]])


def _traceback(error: BaseException) -> list[str]:
    """The traceback from the user's function on, without the frames around it."""
    trace = traceback.TracebackException.from_exception(error)
    here = os.path.realpath(__file__)
    while len(trace.stack) > 1 and os.path.realpath(trace.stack[0].filename) == here:
        del trace.stack[0]
    return list(trace.format())

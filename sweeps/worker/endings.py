"""How a process ended before its trial did, in a sentence."""

import signal

from sweeps.worker.job import Failure
from sweeps.worker.processes import Exit

_CRASHES = {
    signal.SIGSEGV: "a segmentation fault",
    signal.SIGBUS: "a bus error",
    signal.SIGILL: "an illegal instruction",
    signal.SIGFPE: "an arithmetic error",
    signal.SIGABRT: "an abort",
}


def ended(exit_: Exit, out_of_memory: bool) -> Failure:
    """Why an attempt failed, whose process did not say so.

    Args:
        out_of_memory: whether the system has killed a process for memory in the meantime.
    """
    status = exit_.status
    if status >= 0:
        why = f"its process ended itself with status {status}, before the function returned"
        return Failure(why, f"{why}\n", lost=True)
    try:
        number = signal.Signals(-status)
        name = number.name
    except ValueError:
        name, number = f"signal {-status}", signal.SIGKILL
    if number in _CRASHES:
        why = f"its process crashed: {_CRASHES[number]} ({name})"
    elif number == signal.SIGKILL and out_of_memory:
        why = f"its process was killed by the system, which had run out of memory ({name})"
    else:
        why = f"its process was killed by {name}"
    had = f"{why}; it had used {exit_.memory / 2**30:.1f} GiB of memory at most"
    return Failure(why, f"{had}\n", lost=True)


def kills_for_memory() -> int:
    """How often this machine's kernel has killed a process for memory, as far as it tells."""
    try:
        with open("/proc/vmstat", encoding="ascii") as lines:  # noqa: PTH123
            return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    except (OSError, StopIteration, ValueError):
        return 0

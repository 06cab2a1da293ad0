"""How a sweep was run, as its records tell: by which command, on what, for how long."""

from collections.abc import Mapping, Sequence
from typing import Any

from sweeps.answer.results import Results
from sweeps.records.ledger import Ledger
from sweeps.records.manifest import read_runs
from sweeps.records.record import Record


def facts(ledger: Ledger, results: Results, records: Sequence[Record]) -> list[tuple[str, str]]:
    """Pairs of what, and how it was; what is not known is left out."""
    found = [("directory", ledger.where), *run_facts(read_runs(ledger.directory))]
    data = sorted({record.data for record in records if record.data})
    found += [
        ("data", ", ".join(data)),
        ("time", _time(results)),
        ("arrays", _arrays(results, records)),
    ]
    return [(name, text) for name, text in found if text]


def run_facts(runs: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What the manifest says: the latest commands, and what the last of them ran on."""
    if not runs:
        return []
    last = runs[-1]
    commands = [f"{run.get('time', '')}  {_command(run)}" for run in runs[-5:]]
    return [
        ("commands", "\n".join(commands)),
        ("versions", ", ".join(f"{k} {v}" for k, v in last["versions"].items())),
        ("code", _git(last.get("git"))),
        ("machine", _machine(last["machine"])),
    ]


def _command(run: Mapping[str, Any]) -> str:
    return " ".join(map(str, run.get("command", ())))


def _git(state: Any) -> str:
    if not isinstance(state, Mapping):
        return "not in a git repository"
    changed = " with uncommitted changes" if state.get("diff") else ""
    untracked = state.get("untracked") or []
    beside = f", {len(untracked)} untracked files" if untracked else ""
    return f"commit {state.get('commit', 'unknown')}{changed}{beside}"


def _machine(machine: Mapping[str, Any]) -> str:
    memory = machine.get("memory")
    parts = [
        machine["processor"],
        f"{machine['cpus']} processors" if machine.get("cpus") else "",
        f"{memory / 2**30:.0f} GiB" if isinstance(memory, int | float) else "",
        ", ".join(map(str, machine.get("gpus") or ())) or "no GPU",
        machine.get("system", ""),
    ]
    return ", ".join(part for part in parts if part)


def _time(results: Results) -> str:
    seconds = [row.seconds for row in results if row.epochs]
    if not seconds:
        return ""
    epochs = sum(row.epochs for row in results)
    return f"{epochs:,} epochs; a trial took {min(seconds):.1f} to {max(seconds):.1f} s"


def _arrays(results: Results, records: Sequence[Record]) -> str:
    """How many trained together; what that saved is only told for the waiting."""
    together: dict[tuple[str, ...], float] = {}
    seconds = {row.id: row.seconds for row in results}
    for record in records:
        if record.arrays and record.history:
            members = tuple(record.arrays[0]["trials"])
            together[members] = max(together.get(members, 0.0), seconds.get(record.id, 0.0))
    shared = {members: taken for members, taken in together.items() if len(members) > 1}
    if not shared:
        return "every trial trained alone"
    trials = sum(map(len, shared))
    took, largest = sum(shared.values()), max(map(len, shared))
    return (
        f"{trials} trials trained in {len(shared)} arrays of up to {largest}; these took"
        f" {took:,.0f} s in all, {took / trials:.1f} s a trial"
    )

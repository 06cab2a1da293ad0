"""Directories in which links, damage, or another version's records lie where ours should."""

from typing import Any

from tests.command.bad_input.case import case, elsewhere, record, replaced

RUN, PLAN, STATUS = "run sweep.yaml", "plan sweep.yaml", "status runs/mine"
WRITES_THROUGH = "here/elsewhere, and a run would write through it; replace it by what it"


def link(sentence: str, path: str, says: str) -> Any:
    """A row on a link at a place that a run would write to."""
    return case(sentence, says, WRITES_THROUGH, command=RUN, setup=elsewhere(path))


def overview(sentence: str, **changes: Any) -> Any:
    """A row on a sweep.json that holds something else than was written."""
    return case(
        sentence,
        "old/sweep.json is damaged (not the record of a sweep); run the sweep again: it is written",
        command="status old",
        files={"old/sweep.json": record(**changes)},
    )


def trial(**changes: Any) -> dict[str, Any]:
    return {"id": "abcdefgh", "config": {"seed": 0}, "name": "abcdefgh"} | changes


CASES = [
    link("trials that are a link", "trials", "runs/mine/trials is a link to /"),
    link("a trial that is a link", "trials/*", "runs/mine/trials/"),
    link("a history that is a link", "trials/*/history.jsonl", "/history.jsonl is a link to /"),
    link("a trial's record that is a link", "trials/*/trial.json", "/trial.json is a link to /"),
    link("a sweep's record that is a link", "sweep.json", "runs/mine/sweep.json is a link to /"),
    case(
        "a link is told before anything is planned, too",
        "runs/mine/trials is a link to /",
        command=PLAN,
        setup=elsewhere("trials"),
    ),
    case(
        "a link that leads nowhere",
        "runs/mine/.lock is a link to /nowhere/at/all, and a run would write through it",
        command=RUN,
        setup=lambda folder: [
            (folder / "runs/mine").mkdir(parents=True),
            (folder / "runs/mine/.lock").symlink_to("/nowhere/at/all"),
        ],
    ),
    case(
        "trials that are a file",
        "runs/mine/trials must be a folder; move it away, or choose another directory with --dir",
        command=RUN,
        setup=replaced("trials", "mine"),
    ),
    case(
        "a history that is a folder",
        "/history.jsonl must be a file; move it away, or choose another directory with --dir",
        command=RUN,
        setup=replaced("trials/*/history.jsonl", None),
    ),
    case(
        "the status of a history that is a folder",
        "/history.jsonl cannot be read: Is a directory",
        command=STATUS,
        setup=replaced("trials/*/history.jsonl", None),
    ),
    case(
        "the results of a record that is a folder",
        "/trial.json cannot be read: Is a directory",
        command="results runs/mine",
        setup=replaced("trials/*/trial.json", None),
    ),
    case(
        "the status of an empty record of a sweep",
        "runs/mine/sweep.json is damaged (not JSON: Expecting value: line 1 column 1 (char 0));",
        "run the sweep again: it is written anew, and what has finished is kept",
        command=STATUS,
        setup=replaced("sweep.json", ""),
    ),
    case(
        "the status of a record that is nested too deeply",
        "runs/mine/sweep.json is damaged (not JSON: maximum recursion depth exceeded",
        command=STATUS,
        setup=replaced("sweep.json", "[" * 5000),
    ),
    overview("a record without its format", format=None),
    overview("a record of no metric", metric=None),
    overview("a record of a list for a metric", metric=["loss"]),
    overview("a record of neither min nor max", mode="best"),
    overview("a record of a number for what trains together", formed=3),
    overview("a record of no training function", sweep={}),
    overview("a record of arrays that are no lists", formed={"arrays": 3}),
    overview("a record of a trial without a configuration", trials=[trial(config=None)]),
    overview("a record of a number for a trial", trials=[trial(id=3)]),
    overview("a record of a list for a seed", trials=[trial(config={"seed": [1]})]),
    overview("a record of a trial elsewhere", trials=[trial(name="../../elsewhere")]),
    overview("a record of a trial at an absolute path", trials=[trial(name="/elsewhere")]),
    overview("a record of a trial above", trials=[trial(name="..")]),
]

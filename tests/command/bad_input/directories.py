"""Directories and clusters that cannot be used, and records that cannot be read."""

from tests.command.bad_input.case import case, finished, record

CASES = [
    case(
        "a directory that is a file",
        "taken cannot be written (",
        "/taken: Not a directory); choose another directory with --dir",
        command="run sweep.yaml --dir taken",
        files={"taken": "by a file"},
    ),
    case(
        "a directory below a file",
        "taken/sweep cannot be written (",
        "/taken: Not a directory)",
        command="run sweep.yaml --dir taken/sweep",
        files={"taken": "by a file"},
    ),
    case(
        "a directory where not even root can write",
        "/proc/sweep cannot be written (/",
        "choose another directory with --dir",
        command="run sweep.yaml --dir /proc/sweep",
    ),
    case(
        "a directory whose name is too long",
        "cannot be read: File name too long",
        command=f"run sweep.yaml --dir {'x' * 300}",
    ),
    case(
        "a directory that belongs to another sweep",
        "old belongs to the sweep 'other', not 'mine'; choose another directory with --dir",
        command="run sweep.yaml --dir old",
        files={"old/sweep.json": record(name="other"), "old/trials/a/trial.json": "{}"},
    ),
    case(
        "a directory that is not empty",
        "old is not empty and holds no sweep; choose another directory with --dir",
        command="run sweep.yaml --dir old",
        files={"old/notes.txt": "mine"},
    ),
    case(
        "a directory whose record is no JSON",
        "old/sweep.json is damaged (not JSON: Expecting",
        "and no trials are beside it; delete it, or choose another directory with --dir",
        command="run sweep.yaml --dir old",
        files={"old/sweep.json": record()[:-5]},
    ),
    case(
        "a directory whose record is of something else",
        "old/sweep.json is damaged (not the record of a sweep)",
        command="run sweep.yaml --dir old",
        files={"old/sweep.json": record(trials=[{}])},
    ),
    case(
        "a directory of a newer format",
        "old/sweep.json must have format 1, got 2; use the version of Sweepboard that wrote it",
        command="run sweep.yaml --dir old",
        files={"old/sweep.json": record(format=2)},
    ),
    case(
        "a cluster that does not answer",
        "cannot connect to Ray at 127.0.0.1:1: Connection refused; start one with",
        "`ray start --head`, or leave --address out to run on this machine",
        command="run sweep.yaml --address 127.0.0.1:1",
    ),
    case(
        "a cluster's address without a port",
        "--address must be auto or HOST:PORT, got 'head'",
        command="run sweep.yaml --address head",
    ),
    case(
        "a web page for a cluster's address",
        "--address must be auto or HOST:PORT, got 'http://127.0.0.1:8265'",
        command="run sweep.yaml --address http://127.0.0.1:8265",
    ),
    case(
        "a port that cannot be",
        "--address must be auto or HOST:PORT, got '127.0.0.1:99999'",
        command="run sweep.yaml --address 127.0.0.1:99999",
    ),
    case(
        "the status of a folder that does not exist",
        "runs/none holds no sweep: there is no runs/none/sweep.json;",
        command="status runs/none",
    ),
    case(
        "results of a folder that holds no sweep",
        "folder holds no sweep: there is no folder/sweep.json; give a directory of `sweeps run`",
        command="results folder",
        files={"folder/notes.txt": "mine"},
    ),
    case(
        "a board on a file",
        "sweep.yaml holds no sweep: there is no sweep.yaml/sweep.json;",
        command="board sweep.yaml",
    ),
    case(
        "a directory without a name",
        "a directory must have a name, got ''",
        command="run sweep.yaml --dir ''",
    ),
    case(
        "storage without a name", "must have a name, got ''", command="plan sweep.yaml --storage ''"
    ),
    case(
        "storage whose URI lacks a slash",
        "a URI has two slashes after its colon, got s3:/bucket; write s3://bucket",
        command="plan sweep.yaml --storage s3:/bucket",
    ),
    case(
        "a file's URI without a host lacks two",
        "a URI has two slashes after its colon, got file:/sweeps; write file:///sweeps",
        command="plan sweep.yaml --storage file:/sweeps",
    ),
    case("the status of nothing", "a directory must have a name, got ''", command="status ''"),
    case(
        "the status of a misspelt sweep names the nearest",
        "runs/mien holds no sweep: there is no runs/mien/sweep.json; did you mean 'runs/mine'?",
        command="status runs/mien",
        setup=finished,
    ),
    case(
        "the name of a sweep for its directory names the directory",
        "mine holds no sweep: there is no mine/sweep.json; did you mean 'runs/mine'?",
        command="board mine",
        setup=finished,
    ),
    case(
        "the status of a damaged record",
        "old/sweep.json is damaged (not a JSON object); run the sweep again: it is written anew,",
        command="status old",
        files={"old/sweep.json": "[]"},
    ),
    case(
        "results sorted by an unknown metric name the nearest",
        "no trial reported 'loss/tset'; did you mean 'loss/test'?",
        command="results runs/mine --sort loss/tset",
        setup=finished,
    ),
    case(
        "results into a folder that does not exist",
        "--output none/results.csv cannot be written: No such file or directory;",
        "name a file in a folder that exists",
        command="results runs/mine --format csv --output none/results.csv",
        setup=finished,
    ),
]

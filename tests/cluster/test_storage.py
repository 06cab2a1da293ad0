"""A sweep whose directory is on object storage: written, killed, continued, read back."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sweeps.definition.places import as_place, is_remote, join
from sweeps.errors import StorageError
from sweeps.storage.mirror import Mirror, is_record
from tests.cluster.conftest import KEY, Bucket, InBucket
from tests.commands import run_command, wait_until
from tests.conftest import Board
from tests.faults.conftest import TOGETHER


def numbers(sweep: InBucket, bucket: Bucket) -> dict[int, Any]:
    """What a sweep has come to, read from the bucket, without the time that it took."""
    shown = run_command("results", sweep.uri, "--format", "json", cwd=sweep.folder, **bucket.env)
    assert shown.returncode == 0, shown.stderr
    kept = ("status", "epochs", "metrics", "best", "error")
    return {r["config"]["x"]: {k: r[k] for k in kept} for r in json.loads(shown.stdout)}


def reports(sweep: InBucket, bucket: Bucket) -> int:
    """How many reports are in the bucket."""
    files = bucket.files(sweep.key)
    return sum(c.count(b"\n") for path, c in files.items() if path.endswith("history.jsonl"))


def opened_from_python(uri: str, bucket: Bucket) -> bytes:
    """What the best trial's checkpoint holds, for a script that reads the results."""
    code = (
        "import sys; from sweeps import read_results; results = read_results(sys.argv[1]);"
        "sys.stdout.buffer.write(results.checkpoint(results.best).read_bytes())"
    )
    command, env = [sys.executable, "-c", code, uri], {**os.environ, **bucket.env}
    return subprocess.run(command, env=env, check=True, capture_output=True).stdout


def test_a_sweep_goes_to_a_bucket_and_is_read_there_as_a_folder_is(
    sweep: InBucket,
    bucket: Bucket,
    undisturbed: dict[int, Any],
    open_board: Callable[..., Board],
) -> None:
    to = ("--storage", sweep.uri.rpartition("/")[0])
    done = sweep.run(*to, **bucket.env)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"see it with: sweeps board {sweep.uri}\n" in done.stdout
    assert numbers(sweep, bucket) == {x: undisturbed[x] for x in range(1, 7)}
    files = bucket.files(sweep.key)
    best = done.stdout.partition("its checkpoint: ")[2].splitlines()[0].removeprefix(sweep.uri)
    assert json.loads(files[best.lstrip("/")])
    kept = {path.split("/", 2)[2] for path in files if path.startswith("trials/")}
    assert {p for p in kept if "/" in p} == {"checkpoints/00004.json", "best/00004.json"}
    assert opened_from_python(sweep.uri, bucket) == files[best.lstrip("/")]
    assert "holder.json" not in files
    assert not [path for path, content in files.items() if KEY.encode() in content]

    status = run_command("status", sweep.uri, cwd=sweep.folder, **bucket.env)
    assert "6 trials: 6 finished; not running" in status.stdout
    report = run_command("report", sweep.uri, cwd=sweep.folder, **bucket.env)
    assert report.stdout == f"{sweep.uri}/report.html\n"
    assert b"How it was run" in bucket.files(sweep.key)["report.html"]
    board = open_board(sweep.uri, **bucket.env)
    assert len(board.wait_for_runs(6)) == 6

    again = sweep.run(*to, **bucket.env)
    assert "nothing to do: all trials in s3://" in again.stdout
    fresh = sweep.run(*to, "--fresh", "parameters.x=[1]", **bucket.env)
    assert fresh.returncode == 0, fresh.stderr
    assert numbers(sweep, bucket) == {1: undisturbed[1]}
    sweep.uri += "/earlier/1"
    assert numbers(sweep, bucket) == {x: undisturbed[x] for x in range(1, 7)}


def test_a_driver_that_was_killed_and_a_second_one_at_once(
    sweep: InBucket,
    bucket: Bucket,
    undisturbed: dict[int, Any],
) -> None:
    gate = sweep.folder / "gate"
    gate.write_text("2")
    process = sweep.start("--dir", sweep.uri, TOGETHER, **bucket.env)
    wait_until(lambda: reports(sweep, bucket) >= 4, "four reports in the bucket")
    second = sweep.run("--dir", sweep.uri, **bucket.env)
    assert second.returncode == 2
    assert "is in use by another `sweeps run` (process" in second.stderr
    assert str(process.pid) in second.stderr
    sweep.kill(process)
    gate.unlink()
    planned = run_command("plan", "sweep.yaml", "--dir", sweep.uri, cwd=sweep.folder, **bucket.env)
    assert "2 continued" in planned.stdout, planned
    done = sweep.run("--dir", sweep.uri, **bucket.env)
    assert (done.returncode, done.stderr) == (0, "")
    assert numbers(sweep, bucket) == {x: undisturbed[x] for x in range(1, 7)}


def test_a_run_is_asked_for_more_trials_to_stop_one_and_to_pause_through_the_bucket(
    sweep: InBucket,
    bucket: Bucket,
    undisturbed: dict[int, Any],
) -> None:
    def ask(*arguments: str) -> str:
        done = run_command(*arguments, cwd=sweep.folder, **bucket.env)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    gate = sweep.folder / "gate"
    gate.write_text("2")
    process = sweep.start("--dir", sweep.uri, TOGETHER, **bucket.env)
    wait_until(lambda: reports(sweep, bucket) >= 4, "four reports in the bucket")
    [one, other] = [x for x, found in numbers(sweep, bucket).items() if found["epochs"]]
    ids = {
        int(path.partition("x=")[2].partition(",")[0]): path.split("/")[1].rpartition(",")[2]
        for path in bucket.files(sweep.key)
        if path.endswith("trial.json")
    }
    ask("stop", sweep.uri, ids[one])
    more = ask("run", "sweep.yaml", "--dir", sweep.uri, TOGETHER, "parameters.x=[1,2,3,4,5,6,7]")
    assert "1 more trial" in more
    gate.write_text("3")
    wait_until(lambda: numbers(sweep, bucket)[one]["status"] == "stopped", "it to be stopped")
    ask("pause", sweep.uri)
    status, stderr = sweep.wait_for(process)
    assert status == 130 and stderr.startswith("paused by `sweeps pause`; the same command")
    assert not [path for path in bucket.files(sweep.key) if "/." in path or path.startswith(".")]
    gate.unlink()
    done = sweep.run("--dir", sweep.uri, **bucket.env)
    assert (done.returncode, done.stderr) == (0, "")
    found = numbers(sweep, bucket)
    assert found[one]["error"] == "stopped by `sweeps stop`"
    assert found[other] == undisturbed[other]


def test_a_trial_that_is_killed_and_one_that_takes_too_long(
    sweep: InBucket,
    bucket: Bucket,
    undisturbed: dict[int, Any],
) -> None:
    """The worker is gone, and its copy with what it had not written; the record is not."""
    faults = {1: "killed", 2: "sleeps"}
    few = ("epoch_timeout=5", "parameters.x=[1,2]")
    done = sweep.run("--dir", sweep.uri, *few, faults=faults, **bucket.env)
    assert (done.returncode, done.stderr) == (0, "")
    files = bucket.files(f"{sweep.key}/trials").items()
    logs = b"".join(content for path, content in files if path.endswith("errors.log"))
    assert b"its process was killed by SIGKILL" in logs
    assert b"took longer than 5 s (epoch_timeout), and was ended" in logs
    assert numbers(sweep, bucket) == {x: undisturbed[x] for x in (1, 2)}


def test_storage_that_goes_away_ends_the_sweep_and_loses_nothing(
    sweep: InBucket,
    bucket: Bucket,
    undisturbed: dict[int, Any],
) -> None:
    process = sweep.start("--dir", sweep.uri, "max_failures=0", **bucket.env)
    wait_until(lambda: reports(sweep, bucket) >= 2, "two reports in the bucket")
    bucket.stop()
    try:
        status, said = sweep.wait_for(process)
    finally:
        bucket.start()
    assert status == 1, said
    assert "cannot be" in said
    assert "run the same command again once that is put right" in said
    assert "Traceback" not in said
    done = sweep.run("--dir", sweep.uri, **bucket.env)
    assert (done.returncode, done.stderr) == (0, "")
    assert numbers(sweep, bucket) == {x: undisturbed[x] for x in range(1, 7)}


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("s3://me:secret@bucket/sweeps", "must not hold credentials, got s3://...@bucket/sweeps"),
        ("s3:///sweeps", "must name a bucket or host"),
        ("nowhere://x/y", "cannot be used as storage: Protocol not known: nowhere"),
        ("s3://no-such-bucket/sweeps", "NO_SUCH_BUCKET"),
    ],
)
def test_storage_that_cannot_be_used_is_refused_before_anything_is_run(
    sweep: InBucket,
    bucket: Bucket,
    place: str,
    says: str,
) -> None:
    done = sweep.run("--storage", place, **bucket.env)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    assert not (sweep.folder / "runs").exists()


def test_places_are_joined_as_people_would_write_them() -> None:
    assert join("runs", "mine") == "runs/mine"
    assert join("s3://b/sweeps?region=eu-west-1", "mine") == "s3://b/sweeps/mine?region=eu-west-1"
    assert as_place("file:///shared/my%20sweeps") == "/shared/my sweeps"
    assert as_place("s3://b/sweeps/") == "s3://b/sweeps"
    assert not is_remote("runs/x=s3://y")
    assert is_remote("s3://b")


@pytest.fixture
def mirror(tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    for name, value in bucket.env.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "copy").mkdir()
    return Mirror(f"s3://{bucket.name}/{tmp_path.name}/m", tmp_path / "copy")


def test_a_copy_is_brought_up_to_date_and_written_back(
    mirror: Mirror,
    bucket: Bucket,
    tmp_path: Path,
) -> None:
    top = f"{tmp_path.name}/m"
    for name in ("a/trial.json", "a/weights.pt", "b/trial.json"):
        bucket.write(f"{top}/{name}", name.encode())
    mirror.pull(contents=is_record)
    assert (mirror.local / "a/trial.json").read_text() == "a/trial.json"
    assert (mirror.local / "a/weights.pt").read_bytes() == b""
    mirror.push()
    assert bucket.files(top)["a/weights.pt"] == b"a/weights.pt"  # a name without content is none

    (mirror.local / "a/trial.json").write_text("changed")
    (mirror.local / "a/weights.pt").unlink()
    (mirror.local / "a/.lock").touch()
    mirror.push("b")
    assert bucket.files(top)["a/trial.json"] == b"a/trial.json"
    mirror.push("a")
    assert bucket.files(top) == {"a/trial.json": b"changed", "b/trial.json": b"b/trial.json"}

    bucket.write(f"{top}/a/trial.json", b"theirs")
    bucket.client.delete_object(Bucket=bucket.name, Key=f"{top}/b/trial.json")
    mirror.pull()
    assert (mirror.local / "a/trial.json").read_text() == "theirs"
    assert not (mirror.local / "b/trial.json").exists()


def test_a_key_that_leads_out_of_the_copy_is_refused(
    mirror: Mirror,
    bucket: Bucket,
    tmp_path: Path,
) -> None:
    bucket.write(f"{tmp_path.name}/m/a/../../../outside", b"")
    with pytest.raises(StorageError, match="names no file below it"):
        mirror.pull()
    assert [p.name for p in tmp_path.iterdir()] == ["copy"]

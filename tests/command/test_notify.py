"""Whom a run tells of what, by `--notify`."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from sweeps.command import notify
from sweeps.command.notify import Notifier, sender
from sweeps.driver.progress import Progress
from sweeps.errors import SweepsError
from sweeps.records.record import Record, Status
from tests.commands import wait_until


def test_a_command_gets_the_text_as_its_last_argument_and_the_event_in_its_environment(
    tmp_path: Path,
) -> None:
    told, script = tmp_path / "told", tmp_path / "tell.sh"
    script.write_text(
        f'echo "$SWEEPS_EVENT" "$SWEEPS_DIR" "$1" "$2" > {told}.part; mv {told}.part {told}'
    )
    sender(f"sh {script} 'a b'", "runs/x")("end", "x: all done")
    wait_until(told.exists, "the command to run")
    assert told.read_text() == "end runs/x a b x: all done\n"


def test_a_url_gets_a_post_of_json() -> None:
    found: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.handle_request).start()
    sender(f"http://127.0.0.1:{server.server_port}/x", "runs/x")("failure", "x failed")
    assert found == [{"text": "x failed", "event": "failure", "directory": "runs/x"}]
    server.server_close()
    sender(f"http://127.0.0.1:{server.server_port}/x", "runs/x")("end", "nobody is there")


def test_a_command_that_is_not_there_is_refused() -> None:
    with pytest.raises(SweepsError, match="there is no command 'no-such-thing'"):
        sender("no-such-thing --loud", "runs/x")


def test_the_first_failure_and_a_stall_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "STALL", 0.0)
    told: list[str] = []
    notifier = Notifier(Progress(), "x", lambda event, text: told.append(event))
    failed = Record("a", {}, "a", Status.FAILED, error="no")
    notifier.begin({})
    notifier.ended(Record("b", {}, "b", Status.FINISHED))
    notifier.ended(failed)
    notifier.ended(failed)
    wait_until(lambda: "stall" in told, "a stall to be noticed")
    notifier.end()
    assert told == ["failure", "stall"]

"""Fashion-MNIST that is missing or damaged: what is wrong with it, and every way out."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweeps.command.cli import app
from tests.command.bad_input.case import Case, check_message, lay_out, nothing, snapshot, sweep

OFFLINE = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "no_proxy": ""}
RAW = Path("FashionMNIST/raw")
FASHION = sweep(parameters="{dataset: fashion_mnist}")


def test_missing_data_that_cannot_be_fetched_are_told_with_every_way_out(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPS_DATA", str(tmp_path / "data"))
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    # what urlopen keeps has the proxies of whoever was the first in this process to call it
    monkeypatch.setattr("urllib.request._opener", None)
    before = lay_out(Case("", (), {"sweep.yaml": FASHION}, nothing), here)
    result = CliRunner().invoke(app, ["run", "sweep.yaml"])
    assert result.exit_code == 2
    says = [f"error: Fashion-MNIST is not in {tmp_path / 'data' / RAW} and could not be put there"]
    says += ["Connection refused", "Put these files there, packed (.gz) or unpacked:"]
    says += [f"{part}-idx{n}-ubyte.gz\n" for part, n in (("train-images", 3), ("t10k-labels", 1))]
    says += ["data_dir=", "SWEEPS_DATA", "dataset=digits, which needs no files"]
    check_message(result.stderr, tuple(says))
    assert snapshot(here) == before


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        pytest.param(
            "train-images-idx3-ubyte",
            lambda content: content[: len(content) // 2],
            "must be 47,040,016 bytes, is 23,520,008",
            id="half a file",
        ),
        pytest.param(
            "t10k-labels-idx1-ubyte",
            lambda content: content[:99] + bytes([content[99] ^ 1]) + content[100:],
            "has the right size but other bytes than the official file (SHA-256)",
            id="a bit that is wrong",
        ),
        pytest.param(
            "train-labels-idx1-ubyte",
            lambda content: content[:-10],
            "must be 60,008 bytes, is 59,998",
            id="fewer labels than images",
        ),
    ],
)
def test_damaged_data_are_named_with_what_to_do(
    name: str,
    change: Callable[[bytes], bytes],
    says: str,
    here: Path,
    fashion_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = tmp_path / "data" / RAW
    raw.mkdir(parents=True)
    for file in (fashion_data / RAW).glob("*-ubyte"):
        (raw / file.name).symlink_to(file)
    (raw / name).unlink()
    (raw / name).write_bytes(change((fashion_data / RAW / name).read_bytes()))
    monkeypatch.setenv("SWEEPS_DATA", str(tmp_path / "data"))
    before = lay_out(Case("", (), {"sweep.yaml": FASHION}, nothing), here)
    result = CliRunner().invoke(app, ["run", "sweep.yaml"])
    assert result.exit_code == 2
    what_to_do = "delete what is damaged and run again: it is unpacked or downloaded anew"
    check_message(result.stderr, ("Fashion-MNIST is damaged:", f"{raw / name}: {says}", what_to_do))
    assert snapshot(here) == before

"""Fashion-MNIST: found, unpacked and verified, or a message that says what to do."""

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from trainer import prepare
from trainer.sources import FILES, DataError, data_root, locate

RAW = Path("FashionMNIST/raw")
NAMES = sorted(FILES)


@pytest.fixture
def unpacked(fashion_data: Path, tmp_path: Path) -> Path:
    """A data folder with links to the unpacked files; to change one, replace its link."""
    (tmp_path / RAW).mkdir(parents=True)
    for name in NAMES:
        (tmp_path / RAW / name).symlink_to(fashion_data / RAW / name)
    prepare([{"data_dir": str(tmp_path)}])
    return tmp_path


@pytest.fixture
def packed(fashion_data: Path, tmp_path: Path) -> Path:
    """A data folder with nothing but links to the four archives."""
    (tmp_path / RAW).mkdir(parents=True)
    for name in NAMES:
        archive = fashion_data / RAW / f"{name}.gz"
        if not archive.is_file():
            pytest.skip(f"this test needs {archive}")
        (tmp_path / RAW / archive.name).symlink_to(archive)
    return tmp_path


def replace(path: Path, change: Callable[[bytes], bytes]) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(change(content))


def flip_a_bit(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@contextmanager
def lock_is_waited_for() -> Iterator[threading.Event]:
    """Set as soon as someone in this process waits for a lock."""
    event, logger = threading.Event(), logging.getLogger("filelock")

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "not acquired" in record.getMessage():
                event.set()

    watch, level = Watch(), logger.level
    logger.addHandler(watch)
    logger.setLevel(logging.DEBUG)
    try:
        yield event
    finally:
        logger.setLevel(level)
        logger.removeHandler(watch)


def test_the_data_are_found_by_parameter_then_environment_then_in_the_cache(
    fashion_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for root in ("parameter", "environment", "cache/sweepboard", "home/.cache/sweepboard"):
        (tmp_path / root).mkdir(parents=True)
        (tmp_path / root / "FashionMNIST").symlink_to(fashion_data / "FashionMNIST")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SWEEPS_DATA", str(tmp_path / "environment"))
    found = [locate("fashion_mnist", str(tmp_path / "parameter"))]
    found.append(locate("fashion_mnist", None))
    monkeypatch.delenv("SWEEPS_DATA")
    found.append(locate("fashion_mnist", None))
    monkeypatch.delenv("XDG_CACHE_HOME")
    found.append(locate("fashion_mnist", None))
    roots = ("parameter", "environment", "cache/sweepboard", "home/.cache/sweepboard")
    assert found == [tmp_path / root / RAW for root in roots]
    assert data_root("~/data") == tmp_path / "home/data"


def test_digits_need_no_files(tmp_path: Path) -> None:
    assert locate("digits", str(tmp_path)) is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_archives_is_unpacked_and_stays_usable(packed: Path) -> None:
    prepare([{"data_dir": str(packed)}])
    for name, (size, _) in FILES.items():
        assert (packed / RAW / name).stat().st_size == size
    # what the message on damage says to do helps
    damaged = packed / RAW / "t10k-labels-idx1-ubyte"
    replace(damaged, flip_a_bit)
    with pytest.raises(DataError, match="delete what is damaged and run again"):
        prepare([{"data_dir": str(packed)}])
    damaged.unlink()
    prepare([{"data_dir": str(packed)}])


def test_processes_that_prepare_at_the_same_time_all_succeed(packed: Path) -> None:
    code = f"import trainer; trainer.prepare([{{'data_dir': {str(packed)!r}}}])"
    started = [
        subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    ended = [(process.communicate()[1], process.returncode) for process in started]
    assert ended == [("", 0)] * 3


@pytest.mark.parametrize("so_far", [None, 0, 100])
def test_files_that_another_process_is_just_unpacking_are_waited_for(
    unpacked: Path, so_far: int | None
) -> None:
    unfinished = unpacked / RAW / "t10k-labels-idx1-ubyte"
    whole = unfinished.read_bytes()
    unfinished.unlink()
    if so_far is not None:
        unfinished.write_bytes(whole[:so_far])
    with ThreadPoolExecutor() as pool, lock_is_waited_for() as waited_for:
        with FileLock(unpacked / ".fashion_mnist.lock"):
            found = pool.submit(locate, "fashion_mnist", str(unpacked))
            while not waited_for.wait(0.01):
                assert not found.done(), found.exception()
            unfinished.write_bytes(whole)
        assert found.result() == unpacked / RAW


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("train-images-idx3-ubyte", lambda content: content[:-1], "must be 47,040,016 bytes"),
        ("t10k-images-idx3-ubyte", lambda content: b"", "must be 7,840,016 bytes, is 0"),
        ("train-labels-idx1-ubyte", lambda content: content[:30_008], "must be 60,008 bytes"),
        ("t10k-labels-idx1-ubyte", lambda content: content + b"\0", "must be 10,008 bytes"),
        ("train-images-idx3-ubyte", flip_a_bit, "the right size but other bytes"),
        ("t10k-labels-idx1-ubyte", flip_a_bit, "the right size but other bytes"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong_and_what_to_do(
    unpacked: Path, name: str, change: Callable[[bytes], bytes], reason: str
) -> None:
    replace(unpacked / RAW / name, change)
    with pytest.raises(DataError) as raised:
        prepare([{"data_dir": str(unpacked)}])
    message = str(raised.value)
    assert f"{unpacked / RAW / name}: " in message
    assert reason in message
    assert "delete what is damaged and run again" in message
    assert not any(other in message for other in NAMES if other != name)


def test_a_damaged_archive_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / RAW).mkdir(parents=True)
    archive = tmp_path / RAW / "train-labels-idx1-ubyte.gz"
    archive.write_bytes(b"\x1f\x8bnot all of it")
    with pytest.raises(DataError) as raised:
        prepare([{"data_dir": str(tmp_path)}])
    assert str(archive) in str(raised.value)
    assert "delete it and run again" in str(raised.value)


def test_a_folder_that_cannot_be_made_is_an_error_with_the_ways_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError) as raised:
        prepare([{"data_dir": str(tmp_path / "file")}])
    message = str(raised.value)
    assert str(tmp_path / "file" / RAW) in message
    assert all(f"{name}.gz" in message for name in NAMES)
    assert "data_dir=" in message and "SWEEPS_DATA" in message and "dataset=digits" in message


def test_a_batch_larger_than_the_training_set_is_refused() -> None:
    prepare([{"dataset": "digits", "batch_size": 1500}])
    with pytest.raises(DataError) as raised:
        prepare([{"dataset": "digits", "batch_size": size} for size in (1500, 1501)])
    assert str(raised.value) == (
        "batch_size must be at most 1,500, the training images of digits; got 1,501"
    )

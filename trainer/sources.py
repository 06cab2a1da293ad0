"""Where the data sets come from: found or downloaded, and checked. Needs no torch.

torchvision downloads and unpacks Fashion-MNIST. It checks only the archives, so files that were
damaged after unpacking would be trained on without a word; here each unpacked file is compared
with the SHA-256 of the official one (0.05 s for all four).
"""

import hashlib
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filelock import FileLock


class DataError(Exception):
    """The data set is missing, damaged, or does not fit the configuration."""


DOWNLOAD_TIMEOUT = 10.0
TRAIN_SIZES = {"fashion_mnist": 60_000, "digits": 1_500}

FILES = {  # name: (bytes, SHA-256), of the files as unpacked
    "train-images-idx3-ubyte": (
        47_040_016,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    "train-labels-idx1-ubyte": (
        60_008,
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    "t10k-images-idx3-ubyte": (
        7_840_016,
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    "t10k-labels-idx1-ubyte": (
        10_008,
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}


def locate(dataset: str, data_dir: str | None) -> Path | None:
    """Make sure that a data set can be loaded; the folder of its files, if it has any.

    Raises:
        DataError: files are missing and out of reach, or damaged.
    """
    return _locate_fashion_mnist(data_dir) if dataset == "fashion_mnist" else None


def version(dataset: str) -> str:
    """A checksum of a data set's files."""
    if dataset == "fashion_mnist":  # no other files are ever trained on
        digests = "".join(digest for _, digest in FILES.values())
        return f"fashion_mnist {hashlib.sha256(digests.encode()).hexdigest()[:16]}"
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise DataError("the digits come with scikit-learn, which is not installed")
    digits = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    return f"digits {hashlib.sha256(digits.read_bytes()).hexdigest()[:16]}"


def check_batch_size(config: Mapping[str, Any]) -> None:
    """Raise :class:`DataError` if a batch would be larger than the training set."""
    images = int(config["subset"] * TRAIN_SIZES[config["dataset"]])
    images -= round(config["validation"] * images)
    if config["batch_size"] > images:
        raise DataError(
            f"batch_size must be at most {images:,}, the training images of {config['dataset']};"
            f" got {config['batch_size']:,}"
        )


def data_root(data_dir: str | None) -> Path:
    """The data folder: the parameter, else ``SWEEPS_DATA``, else a cache in the user's home."""
    chosen = data_dir or os.environ.get("SWEEPS_DATA")
    if chosen:
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "sweepboard"


def _locate_fashion_mnist(data_dir: str | None) -> Path:
    """The folder that holds the four files, unpacked and verified; they are fetched if missing."""
    raw = data_root(data_dir) / "FashionMNIST" / "raw"
    if not _all_present(raw):
        _fetch(raw)
    problems = _problems(raw)
    if problems:
        with suppress(OSError), _lock(raw):  # another process may be unpacking: look again after
            problems = _problems(raw)
    if problems:
        raise DataError(
            "Fashion-MNIST is damaged:\n"
            + "\n".join(f"  {problem}" for problem in problems)
            + "\n  delete what is damaged and run again: it is unpacked or downloaded anew"
        )
    return raw


def _all_present(raw: Path) -> bool:
    return all((raw / name).is_file() for name in FILES)


def _lock(raw: Path) -> FileLock:
    return FileLock(raw.parent.parent / ".fashion_mnist.lock")


def _problems(raw: Path) -> list[str]:
    return [problem for name in FILES if (problem := _damage(raw / name))]


def _damage(path: Path) -> str | None:
    size, digest = FILES[path.name]
    if path.stat().st_size != size:
        return f"{path}: must be {size:,} bytes, is {path.stat().st_size:,}"
    if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        return f"{path}: has the right size but other bytes than the official file (SHA-256)"
    return None


def _fetch(raw: Path) -> None:
    """Let torchvision unpack the archives, downloading what is missing; one process at a time."""
    from torchvision.datasets import FashionMNIST
    from torchvision.datasets.utils import check_integrity, extract_archive

    root = raw.parent.parent
    try:
        raw.mkdir(parents=True, exist_ok=True)
        with _lock(raw):
            if _all_present(raw):  # another process was quicker
                return
            for archive, md5 in FashionMNIST.resources:
                if (raw / archive).exists() and not check_integrity(str(raw / archive), md5):
                    raise DataError(
                        f"Fashion-MNIST is damaged:\n  {raw / archive}: MD5 must be {md5}\n"
                        "  delete it and run again, or put a good copy there"
                    )
                if (raw / archive).exists() and not (raw / archive).with_suffix("").exists():
                    extract_archive(str(raw / archive), str(raw))
            if not _all_present(raw):
                with _patience(DOWNLOAD_TIMEOUT):
                    FashionMNIST(root=str(root), download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"Fashion-MNIST is not in {raw} and could not be put there ({_reason(error)}).\n"
            "  Put these files there, packed (.gz) or unpacked:\n"
            + "\n".join(f"    {archive}" for archive, _ in FashionMNIST.resources)
            + "\n  or name the folder above FashionMNIST with data_dir=… or SWEEPS_DATA;"
            " or use dataset=digits, which needs no files"
        ) from error


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Let new sockets give up after so long without an answer, where they would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _reason(error: Exception) -> str:
    """The last line: torchvision says there what became of the download."""
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__

"""Data sets as tensors, held once, and batches of them in a seeded order.

Images stay bytes until a batch of them is used: Fashion-MNIST is mapped from its files, so all
trials of a node share one copy in the page cache, and a GPU holds 55 MB instead of 220.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from trainer.config import TrainConfig
from trainer.sources import FILES, TRAIN_SIZES, locate


@dataclass(frozen=True)
class Split:
    """Images, uint8 (N, 1, 28, 28), and their labels, int64 (N), on one device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, part: float) -> "Split":
        """The first of the examples: this part of them, at least one."""
        count = max(1, int(part * len(self)))
        return Split(self.images[:count], self.labels[:count])

    def to(self, device: torch.device) -> "Split":
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """A training and a test split of one data set."""

    train: Split
    test: Split


def load_for(settings: TrainConfig, device: torch.device) -> Dataset:
    """The data that a run trains and is tested on."""
    data = load_dataset(settings.dataset, settings.data_dir, device)
    return Dataset(data.train.first(settings.subset), data.test.first(settings.subset))


@lru_cache(maxsize=2)
def load_dataset(dataset: str, data_dir: str | None, device: torch.device) -> Dataset:
    """A data set's tensors on a device; a second call in the same process costs nothing."""
    raw = locate(dataset, data_dir)
    loaded = _load_fashion_mnist(raw) if raw else _load_digits()
    return Dataset(loaded.train.to(device), loaded.test.to(device))


def batches(
    split: Split, batch_size: int, generator: Generator | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Cut a split into batches: images float (n, 1, 28, 28) in [0, 1], labels int64 (n).

    With a generator the order is a new permutation drawn from it, else the stored order. Every
    example is used once; the last batch may be smaller.
    """
    if generator is None:
        pairs = zip(split.images.split(batch_size), split.labels.split(batch_size), strict=True)
        for images, labels in pairs:
            yield to_float(images), labels
        return
    order = torch.randperm(len(split), generator=generator).to(split.labels.device)
    for index in order.split(batch_size):
        yield to_float(split.images[index]), split.labels[index]


def to_float(images: Tensor) -> Tensor:
    """Bytes to numbers in [0, 1], of torch's default type."""
    return images.to(torch.get_default_dtype()).div_(255)


def _load_fashion_mnist(raw: Path) -> Dataset:
    """Map the four files; source: the official Fashion-MNIST distribution in IDX format."""

    def split(prefix: str) -> Split:
        images = _map_file(raw / f"{prefix}-images-idx3-ubyte")[16:].view(-1, 1, 28, 28)
        labels = _map_file(raw / f"{prefix}-labels-idx1-ubyte")[8:].long()
        return Split(images, labels)

    return Dataset(train=split("train"), test=split("t10k"))


def _map_file(path: Path) -> Tensor:
    size, _ = FILES[path.name]
    return torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)


def _load_digits() -> Dataset:
    """scikit-learn's 1,797 handwritten digits, 8 x 8 enlarged to 28 x 28; 1,500 to train on."""
    from sklearn.datasets import load_digits  # 1 s, and only needed here

    digits = load_digits()
    small = torch.from_numpy(digits.images).float().unsqueeze(1)  # (N, 1, 8, 8), 0 ... 16
    large = F.interpolate(small, size=(28, 28), mode="bilinear", align_corners=False)
    images = (large * (255 / 16)).round().clamp(0, 255).to(torch.uint8)
    labels = torch.from_numpy(digits.target).long()
    count = TRAIN_SIZES["digits"]
    return Dataset(
        train=Split(images[:count], labels[:count]), test=Split(images[count:], labels[count:])
    )

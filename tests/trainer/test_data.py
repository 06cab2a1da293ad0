"""Data sets as tensors, and batches of them."""

from pathlib import Path

import torch
from torch import Generator

from trainer.batch import Order
from trainer.data import Split
from trainer.images import load_dataset


def numbered(count: int) -> Split:
    """A split whose labels are 0 ... count - 1, each image filled with its label."""
    labels = torch.arange(count)
    return Split(labels.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 28, 28), labels)


def drawn(split: Split, generator: Generator | None) -> Order | None:
    return Order(torch.randperm(len(split), generator=generator)) if generator else None


def order(split: Split, batch_size: int, generator: Generator | None) -> list[int]:
    batches = split.batches(batch_size, drawn(split, generator))
    return torch.cat([labels for _, labels in batches]).tolist()


def test_digits_are_1500_images_to_train_on_and_297_to_test_on() -> None:
    data = load_dataset("digits", None)
    for split, count in [(data.train, 1500), (data.test, 297)]:
        assert split.inputs.shape == (count, 1, 28, 28)
        assert split.inputs.dtype == torch.uint8
        assert split.targets.shape == (count,)
        assert split.targets.dtype == torch.int64
        assert len(split) == count
        assert split.targets.unique().tolist() == list(range(10))
        assert split.inputs.max() > 200  # the range of a byte is used, not that of digits, 0 to 16


def test_fashion_mnist_is_read_from_its_files_in_their_order(fashion_data: Path) -> None:
    data = load_dataset("fashion_mnist", str(fashion_data))
    assert data.train.inputs.shape == (60_000, 1, 28, 28)
    assert data.test.inputs.shape == (10_000, 1, 28, 28)
    # the first labels as published, and the same number of images of every class
    assert data.train.targets[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    assert data.test.targets[:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]
    assert data.train.targets.bincount().tolist() == [6_000] * 10
    raw = (fashion_data / "FashionMNIST/raw/t10k-images-idx3-ubyte").read_bytes()
    assert bytes(data.test.inputs[-1].flatten().tolist()) == raw[-28 * 28 :]


def test_a_second_load_in_one_process_shares_the_first_ones_memory() -> None:
    first = load_dataset("digits", None)
    assert load_dataset("digits", None).train.inputs.data_ptr() == first.train.inputs.data_ptr()


def test_the_last_short_batch_is_kept() -> None:
    data = load_dataset("digits", None)
    for generator in (None, Generator()):
        sizes = [len(labels) for _, labels in data.train.batches(64, drawn(data.train, generator))]
        assert sizes == [64] * 23 + [28]


def test_batches_are_floats_between_0_and_1_and_leave_the_bytes_as_they_are() -> None:
    split = numbered(256)
    for images, labels in split.batches(100, drawn(split, Generator())):
        assert images.dtype == torch.float32
        assert images.shape == (len(labels), 1, 28, 28)
        assert torch.equal(images[:, 0, 5, 7], labels / 255)
    assert torch.equal(split.inputs[:, 0, 0, 0], torch.arange(256).to(torch.uint8))


def test_without_a_generator_the_stored_order_is_kept() -> None:
    assert order(numbered(10), 3, None) == list(range(10))


def test_with_a_generator_every_example_comes_once_in_another_order() -> None:
    shuffled = order(numbered(100), 8, Generator().manual_seed(0))
    assert shuffled != list(range(100))
    assert sorted(shuffled) == list(range(100))


def test_every_epoch_has_an_order_of_its_own_that_its_seed_decides() -> None:
    def epochs(seed: int) -> list[list[int]]:
        generator = Generator().manual_seed(seed)
        return [order(numbered(100), 8, generator) for _ in range(2)]

    first, second = epochs(seed=1)
    assert first != second
    assert epochs(seed=1) == [first, second]
    assert epochs(seed=2) != [first, second]


def test_the_order_does_not_depend_on_the_batch_size() -> None:
    split = numbered(100)
    assert order(split, 8, Generator().manual_seed(1)) == order(
        split, 33, Generator().manual_seed(1)
    )

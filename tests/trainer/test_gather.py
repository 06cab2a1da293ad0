"""A batch gathered in lanes holds the same numbers as torch's own way to them."""

from collections.abc import Iterator

import pytest
import torch

from trainer.fused.gather import gather


@pytest.fixture(params=[torch.float32, torch.float64], ids=["32 bits", "64 bits"], autouse=True)
def dtype(request: pytest.FixtureRequest) -> Iterator[None]:
    torch.set_default_dtype(request.param)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 7, 9), (1, 4, 4)])
def test_each_place_holds_the_byte_of_its_image_over_255(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (50, *shape), dtype=torch.uint8, generator=generator)
    index = torch.randint(0, 50, (3, 48), generator=generator)
    expected = images[index].movedim(1, -1).to(torch.get_default_dtype()) / 255
    assert torch.equal(gather(images, index), expected)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(4, 1, 28, 28),
        torch.zeros(4, 1, 3, 5, dtype=torch.uint8),
        torch.zeros(4, 28, 28, 1, dtype=torch.uint8).movedim(3, 1).transpose(2, 3),
    ],
    ids=["no bytes", "too few", "not contiguous"],
)
def test_what_it_cannot_read_is_refused(images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="images must be contiguous bytes, at least 16 in each"):
        gather(images, torch.zeros(1, 16, dtype=torch.int64))


@pytest.mark.parametrize("index", [[4], [-1]], ids=["behind", "before"])
def test_an_index_outside_of_the_images_is_refused(index: list[int]) -> None:
    images = torch.zeros(4, 1, 28, 28, dtype=torch.uint8)
    with pytest.raises(ValueError, match="from 0 to before 4"):
        gather(images, torch.tensor([index * 16]))

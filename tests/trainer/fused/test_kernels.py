"""The kernels of convolutions for arrays on CPUs give torch's values and gradients."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.fused.convolution import Convolve, backward_kernel, forward_kernel
from trainer.fused.tiles import Shape
from trainer.fused.vectors import Machine, this_machine

MODELS, IMAGES = 3, 32

CONVOLUTIONS = {  # channels in and out, height and width, kernel, pooled, rectified
    "the first of the CNN": (1, 6, (28, 28), (5, 5), True, True),
    "the second of the CNN": (6, 12, (12, 12), (5, 5), True, True),
    "odd sizes, pooled, without ReLU": (3, 5, (13, 12), (3, 5), True, False),
    "one by one": (3, 7, (13, 9), (1, 1), True, True),
    "not pooled, even kernel": (2, 4, (9, 10), (4, 2), False, False),
    "a kernel as large as the image": (4, 8, (7, 7), (7, 7), False, False),
    "a large kernel": (2, 3, (12, 11), (9, 9), False, False),
}


@pytest.fixture(params=[torch.float32, torch.float64], ids=["32 bits", "64 bits"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    kind: torch.dtype = request.param
    return kind


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def alone(images: Tensor, weight: Tensor, bias: Tensor, pooled: bool, rectified: bool) -> Tensor:
    """What torch does, model by model, in the layout of the kernels."""
    results = []
    for one, own, offset in zip(images, weight, bias, strict=True):
        result = F.conv2d(one.movedim(-1, 0), own, offset)
        result = F.max_pool2d(result, 2) if pooled else result
        results.append(F.relu(result) if rectified else result)
    return torch.stack(results).movedim(1, -1)


def drawn(dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, dtype=dtype).requires_grad_()


def compare(
    inputs: tuple[Tensor, Tensor, Tensor], pooled: bool, rectified: bool, needed: list[Tensor]
) -> None:
    expected = alone(*inputs, pooled, rectified)
    got = Convolve.apply(*inputs, pooled, rectified)
    error = 1e-9 if got.dtype is torch.float64 else 1e-3
    torch.testing.assert_close(got, expected, rtol=error, atol=error)
    factor = torch.randn_like(expected)
    wanted = torch.autograd.grad((expected * factor).sum(), needed)
    for own, one in zip(torch.autograd.grad((got * factor).sum(), needed), wanted, strict=True):
        torch.testing.assert_close(own, one, rtol=error, atol=error)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_values_and_gradients_are_those_of_torch(name: str, dtype: torch.dtype) -> None:
    inputs, outputs, size, kernel, pooled, rectified = CONVOLUTIONS[name]
    images = drawn(dtype, (MODELS, inputs, *size, IMAGES))
    weight = drawn(dtype, (MODELS, outputs, inputs, *kernel))
    bias = drawn(dtype, (MODELS, outputs))
    compare((images, weight, bias), pooled, rectified, [images, weight, bias])
    compare((images.detach(), weight, bias), pooled, rectified, [weight, bias])


def test_models_may_share_their_images_and_have_views_as_weights(dtype: torch.dtype) -> None:
    images = drawn(dtype, (1, 2, 8, 8, IMAGES)).detach().expand(MODELS, 2, 8, 8, IMAGES)
    weight, bias = drawn(dtype, (4, MODELS, 2, 3, 3)), drawn(dtype, (4, MODELS))
    turned = (images, weight.transpose(0, 1), bias.t())
    compare(turned, True, True, [weight, bias])


def test_several_threads_do_the_same(dtype: torch.dtype) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        test_values_and_gradients_are_those_of_torch("the second of the CNN", dtype)
    finally:
        torch.set_num_threads(before)


def test_what_is_not_a_number_stays_in_its_model_and_image() -> None:
    images = torch.zeros(2, 1, 6, 6, 16)
    images[0, 0, 0, 0, 3] = float("nan")
    weight, bias = torch.ones(2, 1, 1, 3, 3), torch.ones(2, 1)
    for rectified in (False, True):
        result = Convolve.apply(images, weight, bias, True, rectified)
        assert result.isnan().nonzero().tolist() == [[0, 0, 0, 0, 3]]


@pytest.fixture
def narrower(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Vectors of 16 bytes in 16 registers, as on the plainest processors."""
    machine = Machine(16, 16, this_machine().name, this_machine().features)
    monkeypatch.setattr("trainer.fused.convolution.this_machine", lambda: machine)
    forward_kernel.cache_clear()
    backward_kernel.cache_clear()
    yield
    forward_kernel.cache_clear()
    backward_kernel.cache_clear()


@pytest.mark.usefixtures("narrower")
def test_narrow_vectors_in_few_registers_do_the_same(dtype: torch.dtype) -> None:
    test_values_and_gradients_are_those_of_torch("the second of the CNN", dtype)
    test_values_and_gradients_are_those_of_torch("a large kernel", dtype)


def test_a_kernel_is_compiled_once_for_its_shape() -> None:
    shape = Shape(1, 2, 6, 6, (3, 3), pooled=True, rectified=False, double=False)
    assert forward_kernel(shape) is forward_kernel(shape)


GOOD = {
    "images": torch.zeros(2, 3, 8, 8, 16),
    "weight": torch.zeros(2, 4, 3, 3, 3),
    "bias": torch.zeros(2, 4),
    "pooled": True,
    "rectified": True,
}
BAD: dict[str, tuple[dict[str, object], str]] = {
    "other types": ({"images": torch.zeros(2, 3, 8, 8, 16).double()}, "types must agree"),
    "half numbers": (
        {name: GOOD[name].bfloat16() for name in ("images", "weight", "bias")},
        "of 32 or 64 bits",
    ),
    "fewer channels": ({"images": torch.zeros(2, 2, 8, 8, 16)}, "do not fit one another"),
    "more models": ({"images": torch.zeros(3, 3, 8, 8, 16)}, "do not fit one another"),
    "other biases": ({"bias": torch.zeros(2, 3)}, "do not fit one another"),
    "no multiple of 16": ({"images": torch.zeros(2, 3, 8, 8, 5)}, "a multiple of 16, got 5"),
    "no images": ({"images": torch.zeros(2, 3, 8, 8, 0)}, "a multiple of 16, got 0"),
    "nothing left after pooling": ({"images": torch.zeros(2, 3, 3, 3, 16)}, "are too small"),
    "ReLU alone": ({"pooled": False}, "only together with pooling"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_kernels_would_read_wrongly_is_refused(name: str) -> None:
    wrong, reason = BAD[name]
    with pytest.raises(ValueError, match=reason):
        Convolve.apply(*(GOOD | wrong).values())

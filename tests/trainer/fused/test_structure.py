"""Two models may share an array if nothing that a forward can see tells them apart."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.fused import difference, structure


class Net(nn.Module):
    def __init__(self, width: int = 8, rate: float = 0.1, **settings: object) -> None:
        super().__init__()
        self.scale = settings.get("scale", 1.0)
        self.activation = settings.get("activation", F.relu)
        self.layers = nn.Sequential(nn.Linear(4, width), nn.Dropout(rate), nn.Linear(width, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(self.activation(x) * self.scale)  # type: ignore[operator, no-any-return]


def on_meta(*args: object, **settings: object) -> nn.Module:
    with torch.device("meta"):
        return Net(*args, **settings)  # type: ignore[arg-type]


def test_rates_of_dropout_and_the_numbers_in_tensors_do_not_count() -> None:
    assert difference(Net(rate=0.1), Net(rate=0.5)) is None
    assert structure(on_meta()) == structure(Net())


def test_a_difference_is_said_in_a_line_with_the_layers_name() -> None:
    said = difference(on_meta(8), on_meta(16))
    assert said is not None and said.startswith("layers.0: Linear(in_features=4, out_features=8)")
    assert "out_features=16" in said and "\n" not in said
    said = difference(structure(on_meta(scale=1.0)), structure(on_meta(scale=2.0)))
    assert said is not None and said.startswith("the model: ") and "scale=2.0" in said


def test_functions_are_told_apart_by_what_they_do() -> None:
    assert difference(on_meta(activation=F.relu), on_meta(activation=F.gelu))
    one, other = (on_meta(activation=lambda x, by=by: x * by) for by in (1, 1))
    assert difference(one, other) is None
    first, second = 2.0, 3.0
    assert difference(
        on_meta(activation=lambda x: x * first), on_meta(activation=lambda x: x * second)
    )


def test_what_is_trained_what_is_shared_and_buffers_count() -> None:
    frozen, tied = Net(8), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    frozen.layers[0].bias.requires_grad_(requires_grad=False)  # type: ignore[union-attr]
    assert "not trained" in str(difference(Net(8), frozen))
    tied[1].weight = tied[0].weight
    said = difference(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), tied)
    assert "the same as 0.weight" in str(said)
    assert difference(nn.BatchNorm1d(4), nn.BatchNorm1d(4, affine=False))

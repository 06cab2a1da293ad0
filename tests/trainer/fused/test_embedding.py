"""Embeddings in an array learn what each would alone."""

import pytest
import torch
from torch import Tensor, nn

from tests.trainer.fused.both import Make, build, learns_the_same
from trainer.fused import CannotFuse, ModuleArray

TOKENS = torch.randint(0, 12, (2, 7))
TOKENS[0, 0] = 11


class Mean(nn.Module):
    def __init__(self, **settings: object) -> None:
        super().__init__()
        self.table = nn.Embedding(12, 6, **settings)  # type: ignore[arg-type]
        self.out = nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.table(x).mean(dim=1))  # type: ignore[no-any-return]


class Bag(nn.Module):
    def __init__(self, **settings: object) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(12, 6, **settings)  # type: ignore[arg-type]
        self.out = nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.bag(x))  # type: ignore[no-any-return]


class Offsets(Bag):
    def forward(self, x: Tensor) -> Tensor:
        starts = torch.arange(0, x.numel(), x.shape[1])
        return self.out(self.bag(x.flatten(), starts))  # type: ignore[no-any-return]


class Tied(nn.Module):
    """The table of the tokens is also the last layer, as in language models."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.last = nn.Embedding(12, 6), nn.Linear(6, 12, bias=False)
        self.last.weight = self.table.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.table(x).amax(dim=1))  # type: ignore[no-any-return]


MODELS: dict[str, Make] = {
    "embedding": Mean,
    "with padding": lambda: Mean(padding_idx=3),
    "with padding at the end": lambda: Mean(padding_idx=-1),
    "by frequency": lambda: Mean(scale_grad_by_freq=True),
    "bag": Bag,
    "bag of sums": lambda: Bag(mode="sum", padding_idx=3),
    "bag of means with padding": lambda: Bag(padding_idx=3),
    "bag of largest": lambda: Bag(mode="max"),
    "bags by offsets": Offsets,
    "tied": Tied,
}


@pytest.mark.parametrize("name", MODELS)
def test_model(name: str) -> None:
    learns_the_same(MODELS[name], TOKENS)


def test_tables_that_a_lookup_changes_are_refused() -> None:
    with pytest.raises(CannotFuse, match="max_norm"):
        ModuleArray(build(lambda: Mean(max_norm=1.0)), TOKENS)

"""Models and data as people write them, each with something besides a plain forward."""

from collections import namedtuple
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trainer import Tensors

Config = Mapping[str, Any]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


X, Y = drawn(60, 6), torch.arange(60) % 3
Scores = namedtuple("Scores", ["logits", "features"])


def rows(config: Config) -> Tensors:
    return Tensors(train=(X[:40].clone(), Y[:40]), test=(X[40:].clone(), Y[40:]))


class Model(nn.Module):
    """A perceptron, for what is different in each of those below."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Any:
        return self.last(self.hidden(x))

    def hidden(self, x: Tensor) -> Tensor:
        return self.first(x).relu()


class ClampedGradients(Model):
    def __init__(self) -> None:
        super().__init__()
        self.first.weight.register_hook(lambda gradient: gradient.clamp(-1e-3, 1e-3))


class MovingCentre(Model):
    def __init__(self) -> None:
        super().__init__()
        self.centre = torch.zeros(8)  # no buffer

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        if self.training:
            self.centre = 0.9 * self.centre + 0.1 * hidden.detach().mean(dim=0)
        return hidden - self.centre


class Counting(Model):
    def __init__(self) -> None:
        super().__init__()
        self.steps = torch.zeros(())

    def hidden(self, x: Tensor) -> Tensor:
        self.steps += self.training
        return super().hidden(x) * (1 + self.steps / 10)


class OwnGenerator(Model):
    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(0)

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        return hidden + 0.1 * torch.randn(hidden.shape, generator=self.generator)


class StochasticDepth(Model):
    """Draws into a tensor that is made for it."""

    def hidden(self, x: Tensor) -> Tensor:
        kept = torch.empty(len(x), 1).bernoulli_(0.9) if self.training else 1.0
        return super().hidden(x) * kept


class Sampling(Model):
    """Draws in evaluation too, as a variational autoencoder may."""

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        return hidden + 0.1 * torch.randn_like(hidden)


class MaskedMean(Model):
    """Takes as many rows as numbers say."""

    def forward(self, x: Tensor) -> Any:
        hidden = self.hidden(x)
        chosen = hidden[hidden[:, 0] > 0]
        return self.last(hidden) + chosen.sum() / max(1, len(chosen))


class Assigning(Model):
    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x).clone()
        hidden[hidden > 1] = hidden.mean()
        return hidden


class Attending(Model):
    """Keeps what it has computed, for somebody to look at."""

    def hidden(self, x: Tensor) -> Tensor:
        self.weights = super().hidden(x)
        return self.weights


class TwoHeads(Model):
    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Any:
        hidden = self.hidden(x)
        return self.last(hidden), self.value(hidden)


class Named(Model):
    def forward(self, x: Tensor) -> Any:
        hidden = self.hidden(x)
        return Scores(self.last(hidden), None)


class Keeping(Model):
    """Keeps its configuration, as many do."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config


class ByName(Model):
    def forward(self, tokens: Tensor, scale: Tensor) -> Any:
        return super().forward(tokens * scale)


def shuffled_names(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Now and then its names come in another order."""
    if torch.rand(()) < 0.5:
        inputs = dict(inputs)
        inputs["tokens"] = inputs.pop("tokens") * 1.1
    return inputs


class Output(dict[str, Tensor]):
    """Read by name as well, as what Hugging Face's models give."""

    def __getattr__(self, name: str) -> Tensor:
        return self[name]


class Answering(Model):
    def forward(self, x: Tensor) -> Any:
        hidden = self.hidden(x)
        return Output(logits=self.last(hidden), hidden=hidden)


class Interacting(Model):
    """Takes from a square of products those above its diagonal: the same places always."""

    def __init__(self) -> None:
        super().__init__()
        self.above = torch.ones(8, 8, dtype=torch.bool).triu(1)
        self.nothing = torch.full((1,), torch.nan)
        self.last = nn.Linear(28, 3)

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        return (hidden.unsqueeze(2) * hidden.unsqueeze(1))[:, self.above]


class Freezing(Model):
    """Does what a parameter says that only it reads."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        return hidden.detach() + 0 * hidden.sum() if self.config.get("freeze") else hidden


class InPlace(Model):
    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x.sub_(0.5).div_(2.0))


class Spectral(Model):
    def __init__(self) -> None:
        super().__init__()
        nn.utils.parametrizations.spectral_norm(self.first)


class Encoder(nn.Module):
    """torch's transformer with a mask of what is padded, as its documentation has it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 8, padding_idx=0)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder, self.last = nn.TransformerEncoder(layer, 2), nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        padded = tokens == 0
        found = self.encoder(self.embed(tokens), src_key_padding_mask=padded)
        kept = (~padded).unsqueeze(2)
        out: Tensor = self.last((found * kept).sum(dim=1) / kept.sum(dim=1))
        return out


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.last = nn.Embedding(9, 8), nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        scores: Tensor = self.last(self.embed(tokens)).transpose(1, 2)
        return scores


def third_class_late(config: Config) -> Tensors:
    """Of the third class there is none among the first."""
    return without_third_class(0)


def third_class_first(config: Config) -> Tensors:
    """Of the third class there are some in the first batch of eight, and none in the next two."""
    return without_third_class(8)


def without_third_class(begin: int) -> Tensors:
    place = torch.arange(60)
    y = torch.where((begin <= place) & (place < 24), place % 2, Y)
    return Tensors(train=(X[:40], y[:40]), test=(X[40:], y[40:]))


def sentences(config: Config) -> Tensors:
    tokens = torch.randint(1, 9, (60, 7), generator=torch.Generator().manual_seed(0))
    tokens[torch.arange(7) >= (2 + torch.arange(60) % 6).unsqueeze(1)] = 0
    return Tensors(train=(tokens[:40], Y[:40]), test=(tokens[40:], Y[40:]))


def tags(config: Config) -> Tensors:
    tokens = sentences(config).train.inputs, sentences(config).test.inputs
    train, test = (torch.where(t == 0, -100, t % 3) for t in tokens)
    return Tensors(train=(tokens[0], train), test=(tokens[1], test))


class Bags:
    """Sentences of any length, one after the other, and where each begins."""

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> tuple[list[int], int]:
        return [1 + (index + n) % 8 for n in range(1 + index % 4)], index % 3


def chained(items: list[tuple[list[int], int]]) -> tuple[tuple[Tensor, Tensor], Tensor]:
    lengths = torch.tensor([0, *(len(tokens) for tokens, _ in items)])
    tokens = torch.tensor([token for tokens, _ in items for token in tokens])
    return (tokens, lengths.cumsum(dim=0)[:-1]), torch.tensor([label for _, label in items])


class BagOfWords(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.EmbeddingBag(9, 3)

    def forward(self, tokens: Tensor, offsets: Tensor) -> Tensor:
        out: Tensor = self.embed(tokens, offsets)
        return out

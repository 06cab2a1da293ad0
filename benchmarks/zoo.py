"""Nine kinds of small models on data made offline, each as a task for a sweep.

    PYTHONPATH=benchmarks python -m trainer zoo:mlp lr=0.01 epochs=2

Two thousand examples to learn from, four hundred to look at; what has to be told apart is put into
them, so that training is training. The models and the data are also those of the other contenders.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from trainer import Task, Tensors

TRAIN, TEST, CLASSES = 2000, 400, 10
EPOCHS, BATCH = 8, 64
MODELS = ("mlp", "lenet", "cnn", "resnet", "autoencoder", "gru", "lstm", "transformer", "bag")


def build(name: str) -> Any:
    """A freshly initialised model."""
    import architectures

    return getattr(architectures, name)()


@cache
def dataset(name: str) -> tuple[Any, Any]:
    """Inputs and targets, the training examples first."""
    import torch

    draw = torch.Generator().manual_seed(0)
    count = TRAIN + TEST
    labels = torch.randint(0, CLASSES, (count,), generator=draw)

    def marked(*shape: int) -> Any:
        """Noise around a pattern for each class."""
        patterns = torch.randn(CLASSES, *shape, generator=draw)
        return 0.5 * patterns[labels] + torch.randn(count, *shape, generator=draw)

    def tokens(length: int, words: int) -> Any:
        """Words at random, a third of them from the class's own part of the vocabulary."""
        part = words // CLASSES
        anywhere = torch.randint(0, words, (count, length), generator=draw)
        own = labels[:, None] * part + torch.randint(0, part, (count, length), generator=draw)
        return torch.where(torch.rand(count, length, generator=draw) < 0.3, own, anywhere)

    match name:
        case "mlp":
            return marked(8), labels
        case "lenet" | "cnn":
            return marked(1, 28, 28), labels
        case "resnet":
            return marked(3, 32, 32), labels
        case "autoencoder":
            images = marked(1, 28, 28).sigmoid()
            return images, images
        case "gru" | "lstm":
            return marked(32, 8), labels
        case "transformer":
            return tokens(32, 100), labels
    return tokens(40, 2000), labels


def _task(name: str) -> Task:
    def model(config: Mapping[str, Any]) -> Any:
        return build(name)

    def data(config: Mapping[str, Any]) -> Tensors:
        inputs, targets = dataset(name)
        return Tensors(
            train=(inputs[:TRAIN], targets[:TRAIN]), test=(inputs[TRAIN:], targets[TRAIN:])
        )

    scores: dict[str, Callable[..., Any] | str] = {"accuracy": "accuracy"}
    if name == "autoencoder":
        return Task(model=model, data=data, loss="mse_loss")
    return Task(model=model, data=data, metrics=scores)


mlp, lenet, cnn, resnet, autoencoder, gru, lstm, transformer, bag = map(_task, MODELS)

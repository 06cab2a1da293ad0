"""The shipped task: a small CNN that tells clothes, or handwritten digits, apart.

It says beforehand what its functions read, and looks at nothing but files, so that a sweep of it is
planned without an import of torch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.config import TrainConfig
from trainer.sources import check_batch_size, locate, version
from trainer.task import Task


def model(config: Mapping[str, Any]) -> Any:
    """The network; see :class:`trainer.model.CNN`."""
    from trainer.model import CNN

    return CNN()


def data(config: Mapping[str, Any]) -> Any:
    """The images, or the first part of them."""
    from trainer.data import Tensors
    from trainer.images import load_dataset

    whole = load_dataset(config["dataset"], config["data_dir"])
    part = config["subset"]
    return Tensors(train=whole.train.first(part), test=whole.test.first(part))


def verify(config: Mapping[str, Any]) -> None:
    """Raises ``DataError`` if a batch would be larger than the training set."""
    check_batch_size(config)


def fetch(configs: Sequence[Mapping[str, Any]]) -> None:
    """Download Fashion-MNIST if it is missing; processes that do so at once wait for one another.

    Raises:
        trainer.sources.DataError: the data are missing or damaged.
    """
    for dataset, data_dir in dict.fromkeys((c["dataset"], c["data_dir"]) for c in configs):
        locate(dataset, data_dir)


def data_version(config: Mapping[str, Any]) -> str:
    """Identifies the images, the same on every machine."""
    return version(config["dataset"])


CLASSES = {
    "fashion_mnist": (
        "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
        "ankle boot",
    ),
    "digits": tuple("0123456789"),
}  # fmt: skip

task = Task(
    model=model,
    data=data,
    loss="cross_entropy",
    metrics={"accuracy": "accuracy"},
    counts={"correct": "accuracy"},
    config=TrainConfig,
    verify=verify,
    fetch=fetch,
    version=data_version,
    classes=lambda config: CLASSES[config["dataset"]],
    rehearse=False,
    model_keys=(),
    data_keys=("dataset", "subset", "data_dir"),
    neutral=("data_dir",),
    unit="images",
)

"""The way people do it by hand: one run after another, in one loop, in one process.

Twelve runs over lr, batch_size and shuffle: a DataLoader and a SummaryWriter each, every image
decoded anew in every epoch, a histogram of every parameter and gradient, `add_hparams` at the end
of each run. It never looks at the test images; their accuracy is measured here after each run, and
that time is told apart (`not_counted`).

    python benchmarks/article.py --data DIR --logs DIR [--epochs 5] [--part 1.0]

Prints one JSON object with the accuracies of each run.
"""

import argparse
import itertools
import json
import time
import warnings
from pathlib import Path

import torch
import torchvision
from torch import nn
from torch.nn import functional as F
from torch.optim import Adam
from torch.utils.data import DataLoader, Dataset, Subset
from torch.utils.tensorboard import SummaryWriter
from torchvision import transforms

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class CNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels=1, out_channels=6, kernel_size=5)
        self.conv2 = nn.Conv2d(in_channels=6, out_channels=12, kernel_size=5)
        self.fc1 = nn.Linear(in_features=12 * 4 * 4, out_features=120)
        self.fc2 = nn.Linear(in_features=120, out_features=60)
        self.out = nn.Linear(in_features=60, out_features=10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), kernel_size=2, stride=2)
        x = F.max_pool2d(F.relu(self.conv2(x)), kernel_size=2, stride=2)
        x = torch.flatten(x, start_dim=1)
        return self.out(F.relu(self.fc2(F.relu(self.fc1(x)))))


def one_run(
    train: Dataset, logs: Path, lr: float, batch_size: int, shuffle: bool, epochs: int
) -> tuple[CNN, float]:
    """Train once; the model, and its training accuracy over the last epoch."""
    loader = DataLoader(train, batch_size=batch_size, shuffle=shuffle)
    comment = f"batch_size={batch_size} lr={lr} shuffle={shuffle}"
    board = SummaryWriter(str(logs / comment))
    model = CNN().to(DEVICE)
    optimizer = Adam(model.parameters(), lr=lr)
    criterion = nn.CrossEntropyLoss()
    log_model(board, model, train)
    for epoch in range(epochs):
        total_loss, total_correct = 0.0, 0
        for images, labels in loader:
            images, labels = images.to(DEVICE), labels.to(DEVICE)
            predictions = model(images)
            loss = criterion(predictions, labels)
            total_loss += loss.item()
            total_correct += (predictions.argmax(dim=1) == labels).sum().item()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        accuracy = total_correct / len(train)
        log_epoch(board, model, total_loss, total_correct, len(train), epoch)
    board.add_hparams(
        {"lr": lr, "bsize": batch_size, "shuffle": shuffle},
        {"accuracy": accuracy, "loss": total_loss},
    )
    board.close()
    return model, accuracy


def log_model(board: SummaryWriter, model: nn.Module, train: Dataset) -> None:
    images, _ = next(iter(DataLoader(train, batch_size=100)))
    board.add_image("images", torchvision.utils.make_grid(images))
    board.add_graph(model, images.to(DEVICE))


def log_epoch(
    board: SummaryWriter, model: nn.Module, loss: float, correct: int, count: int, epoch: int
) -> None:
    board.add_scalar("Loss", loss, epoch)
    board.add_scalar("Correct", correct, epoch)
    board.add_scalar("Accuracy", correct / count, epoch)
    for name, parameter in model.named_parameters():
        board.add_histogram(name, parameter, epoch)
        board.add_histogram(f"{name}.grad", parameter.grad, epoch)


@torch.no_grad()
def accuracy_on(model: CNN, test: Dataset) -> float:
    correct = sum(
        int((model(images.to(DEVICE)).argmax(dim=1).cpu() == labels).sum())
        for images, labels in DataLoader(test, batch_size=1000)
    )
    return correct / len(test)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--logs", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--part", type=float, default=1.0)
    options = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)
    tensor = transforms.ToTensor()
    train = torchvision.datasets.FashionMNIST(str(options.data), transform=tensor, download=True)
    test = torchvision.datasets.FashionMNIST(str(options.data), train=False, transform=tensor)
    if options.part < 1:
        train = Subset(train, range(int(options.part * len(train))))
        test = Subset(test, range(int(options.part * len(test))))
    not_counted, trials = 0.0, []
    for lr, batch_size, shuffle in itertools.product((0.01, 0.001), (32, 64, 128), (True, False)):
        model, accuracy = one_run(train, options.logs, lr, batch_size, shuffle, options.epochs)
        values = {"lr": lr, "batch_size": batch_size, "shuffle": shuffle}
        began = time.perf_counter()
        accuracies = {"accuracy/train": accuracy, "accuracy/test": accuracy_on(model, test)}
        not_counted += time.perf_counter() - began
        trials.append({**values, **accuracies})
    print(json.dumps({"not_counted": not_counted, "trials": trials}))


if __name__ == "__main__":
    main()

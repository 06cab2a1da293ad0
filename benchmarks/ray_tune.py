"""A plain Ray Tune script, as Ray's documentation teaches it: a DataLoader in every trial.

    python benchmarks/ray_tune.py --data DIR --logs DIR [--epochs 5] [--part 1.0]

The grid by `tune.grid_search`, one processor a trial, `tune.report` after every epoch, evaluation
on the test images every epoch, and the same TensorBoard logging as the hand-written loop.
"""

import argparse
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import ray
import torch
import torchvision
from article import CNN, DEVICE, log_epoch, log_model
from ray import tune
from torch import nn
from torch.optim import Adam
from torch.utils.data import DataLoader, Subset
from torch.utils.tensorboard import SummaryWriter
from torchvision import transforms


def train(config: dict[str, Any]) -> None:
    warnings.simplefilter("ignore", FutureWarning)
    tensor = transforms.ToTensor()
    train_set = torchvision.datasets.FashionMNIST(config["data"], transform=tensor)
    test_set = torchvision.datasets.FashionMNIST(config["data"], train=False, transform=tensor)
    if config["part"] < 1:
        train_set = Subset(train_set, range(int(config["part"] * len(train_set))))
        test_set = Subset(test_set, range(int(config["part"] * len(test_set))))
    loader = DataLoader(train_set, batch_size=config["batch_size"], shuffle=config["shuffle"])
    test_loader = DataLoader(test_set, batch_size=1000)
    model = CNN().to(DEVICE)
    optimizer = Adam(model.parameters(), lr=config["lr"])
    criterion = nn.CrossEntropyLoss()
    name = f"lr={config['lr']},batch_size={config['batch_size']},shuffle={config['shuffle']}"
    board = SummaryWriter(f"{config['logs']}/{name}")
    log_model(board, model, train_set)
    for epoch in range(config["epochs"]):
        total_loss, correct = 0.0, 0
        for images, labels in loader:
            images, labels = images.to(DEVICE), labels.to(DEVICE)
            predictions = model(images)
            loss = criterion(predictions, labels)
            total_loss += loss.item()
            correct += (predictions.argmax(dim=1) == labels).sum().item()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        log_epoch(board, model, total_loss, correct, len(train_set), epoch)
        with torch.no_grad():
            tested = sum(
                int((model(images.to(DEVICE)).argmax(dim=1).cpu() == labels).sum())
                for images, labels in test_loader
            )
        board.add_scalar("Accuracy/test", tested / len(test_set), epoch)
        tune.report(
            {"accuracy/train": correct / len(train_set), "accuracy/test": tested / len(test_set)}
        )
    board.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--logs", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--part", type=float, default=1.0)
    options = parser.parse_args()
    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    space = {
        "lr": tune.grid_search([0.01, 0.001]),
        "batch_size": tune.grid_search([32, 64, 128]),
        "shuffle": tune.grid_search([True, False]),
        "data": str(options.data.absolute()),
        "logs": str(options.logs.absolute()),
        "epochs": options.epochs,
        "part": options.part,
    }
    share = {"cpu": 1, "gpu": 0.25} if torch.cuda.is_available() else {"cpu": 1}
    with tempfile.TemporaryDirectory() as folder:
        results = tune.Tuner(
            tune.with_resources(train, share),
            param_space=space,
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        ).fit()
    names = ("lr", "batch_size", "shuffle")
    trials = [
        {name: result.config[name] for name in names}
        | {name: result.metrics[name] for name in ("accuracy/train", "accuracy/test")}
        for result in results
    ]
    print(json.dumps({"trials": trials}))


if __name__ == "__main__":
    main()

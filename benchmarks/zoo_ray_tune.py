"""A model of the zoo in a plain Ray Tune script: a DataLoader in every trial.

    python benchmarks/zoo_ray_tune.py mlp --logs DIR

As `ray_tune.py`: one processor a trial, `tune.report` and TensorBoard's scalars after every epoch.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import ray
import torch
import zoo
from ray import tune
from torch.nn import functional as F
from torch.optim import Adam
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.tensorboard import SummaryWriter


def train(config: dict[str, Any]) -> None:
    torch.manual_seed(config["seed"])
    name = config["model"]
    inputs, targets = zoo.dataset(name)
    loss_of = F.mse_loss if name == "autoencoder" else F.cross_entropy
    train_set = TensorDataset(inputs[: zoo.TRAIN], targets[: zoo.TRAIN])
    loader = DataLoader(train_set, batch_size=zoo.BATCH, shuffle=True)
    test_set = TensorDataset(inputs[zoo.TRAIN :], targets[zoo.TRAIN :])
    test_loader = DataLoader(test_set, batch_size=1000)
    model = zoo.build(name)
    optimizer = Adam(model.parameters(), lr=config["lr"], weight_decay=config["weight_decay"])
    board = SummaryWriter(
        f"{config['logs']}/{config['lr']},{config['weight_decay']},{config['seed']}"
    )
    for epoch in range(zoo.EPOCHS):
        total = 0.0
        model.train()
        for batch, wanted in loader:
            loss = loss_of(model(batch), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        model.eval()
        with torch.no_grad():
            tested = sum(float(loss_of(model(b), w)) * len(b) for b, w in test_loader) / zoo.TEST
        board.add_scalar("loss/train", total / zoo.TRAIN, epoch)
        board.add_scalar("loss/test", tested, epoch)
        for key, parameter in model.named_parameters():
            board.add_histogram(f"weights/{key}", parameter, epoch)
        tune.report({"loss/train": total / zoo.TRAIN, "loss/test": tested})
    board.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=zoo.MODELS)
    parser.add_argument("--logs", type=Path, required=True)
    options = parser.parse_args()
    here = {"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}}
    ray.init(address="local", include_dashboard=False, log_to_driver=False, runtime_env=here)
    space = {
        "lr": tune.grid_search([0.01, 0.003, 0.001]),
        "weight_decay": tune.grid_search([0.0, 0.0001]),
        "seed": tune.grid_search([0, 1]),
        "model": options.model,
        "logs": str(options.logs.absolute()),
    }
    with tempfile.TemporaryDirectory() as folder:
        results = tune.Tuner(
            tune.with_resources(train, {"cpu": 1}),
            param_space=space,
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        ).fit()
    print(json.dumps({"losses": [result.metrics["loss/test"] for result in results]}))


if __name__ == "__main__":
    main()

"""The grid through `torch.func.vmap`: the trials of each batch size as one vectorised model.

    python benchmarks/vmap.py --data DIR --logs DIR [--epochs 5] [--part 1.0]

What torch's model-ensembling tutorial teaches, with Adam written out over the stacked parameters.
Data in memory, evaluation every epoch, scalars and histograms per trial.
"""

import argparse
import itertools
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from article import CNN, log_epoch, log_model
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn import functional as F
from torch.utils.tensorboard import SummaryWriter

from trainer.batch import to_float
from trainer.data import Split
from trainer.images import load_dataset

SHAPE = CNN()


def predict(parameters: dict[str, torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    return functional_call(SHAPE, parameters, (images,))


def loss_of(
    parameters: dict[str, torch.Tensor], images: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    logits = predict(parameters, images)
    return F.cross_entropy(logits, labels), (logits.argmax(dim=1) == labels).sum()


def train_group(
    configs: list[dict[str, Any]], train: Split, test: Split, epochs: int, logs: Path
) -> list[dict[str, Any]]:
    models = [CNN() for _ in configs]
    boards = [SummaryWriter(str(logs / json.dumps(config))) for config in configs]
    images = [(image, 0) for image in to_float(train.inputs[:100])]
    for model, board in zip(models, boards, strict=True):
        log_model(board, model, images)
    parameters, _ = stack_module_state(models)
    parameters = {name: value.detach() for name, value in parameters.items()}
    mean = {name: torch.zeros_like(value) for name, value in parameters.items()}
    square = {name: torch.zeros_like(value) for name, value in parameters.items()}
    rate = torch.tensor([config["lr"] for config in configs])
    step, size = 0, configs[0]["batch_size"]
    learn = vmap(grad_and_value(loss_of, has_aux=True))
    for epoch in range(epochs):
        orders = torch.stack(
            [
                torch.randperm(len(train)) if config["shuffle"] else torch.arange(len(train))
                for config in configs
            ]
        )
        losses, correct = torch.zeros(len(configs)), torch.zeros(len(configs))
        for index in orders.split(size, dim=1):
            batch = to_float(train.inputs[index])
            gradients, (loss, right) = learn(parameters, batch, train.targets[index])
            losses += loss
            correct += right
            step += 1
            for name, gradient in gradients.items():
                mean[name].lerp_(gradient, 0.1)
                square[name].mul_(0.999).addcmul_(gradient, gradient, value=0.001)
                scale = (square[name] / (1 - 0.999**step)).sqrt_().add_(1e-8)
                shaped = rate.view(-1, *[1] * (gradient.dim() - 1)) / (1 - 0.9**step)
                parameters[name] -= shaped * mean[name] / scale
        tested = torch.zeros(len(configs))
        for chunk, labels in zip(test.inputs.split(1000), test.targets.split(1000), strict=True):
            with torch.no_grad():
                logits = vmap(predict, in_dims=(0, None))(parameters, to_float(chunk))
            tested += (logits.argmax(dim=2) == labels).sum(dim=1)
        for k, (model, board) in enumerate(zip(models, boards, strict=True)):
            for name, parameter in model.named_parameters():
                parameter.data, parameter.grad = parameters[name][k], gradients[name][k]
            log_epoch(board, model, float(losses[k]), int(correct[k]), len(train), epoch)
            board.add_scalar("Accuracy/test", float(tested[k]) / len(test), epoch)
    for board in boards:
        board.close()
    return [
        config
        | {
            "accuracy/train": float(correct[k]) / len(train),
            "accuracy/test": float(tested[k]) / len(test),
        }
        for k, config in enumerate(configs)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--logs", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--part", type=float, default=1.0)
    options = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)
    data = load_dataset("fashion_mnist", str(options.data))
    train, test = data.train.first(options.part), data.test.first(options.part)
    trials = []
    for size in (32, 64, 128):
        configs = [
            {"lr": lr, "batch_size": size, "shuffle": shuffle}
            for lr, shuffle in itertools.product((0.01, 0.001), (True, False))
        ]
        trials += train_group(configs, train, test, options.epochs, options.logs)
    print(json.dumps({"trials": trials}))


if __name__ == "__main__":
    main()

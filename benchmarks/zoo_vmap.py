"""A model of the zoo through `torch.func.vmap` as it comes: twelve trials as one model.

    python benchmarks/zoo_vmap.py mlp --logs DIR

What torch's model-ensembling tutorial teaches, with Adam written out over the stacked parameters;
data in memory, TensorBoard's scalars and histograms after every epoch. Two threads, as it is one
process.
"""

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import torch
import zoo
from torch import Tensor
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn import functional as F
from torch.utils.tensorboard import SummaryWriter

GRID = list(itertools.product((0.01, 0.003, 0.001), (0.0, 0.0001), (0, 1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=zoo.MODELS)
    parser.add_argument("--logs", type=Path, required=True)
    options = parser.parse_args()
    inputs, targets = zoo.dataset(options.model)
    loss_of: Any = F.mse_loss if options.model == "autoencoder" else F.cross_entropy
    models = []
    for _, _, seed in GRID:
        torch.manual_seed(seed)
        models.append(zoo.build(options.model))
    boards = [SummaryWriter(f"{options.logs}/{n}") for n in range(len(models))]
    shape = models[0]
    stacked, buffers = stack_module_state(models)
    parameters = {name: value.detach() for name, value in stacked.items()}

    def loss(p: dict[str, Tensor], b: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return loss_of(functional_call(shape, (p, b), (x,)), y)

    learn = vmap(grad_and_value(loss), randomness="different")
    look = vmap(loss, in_dims=(0, 0, None, None), randomness="different")
    mean = {name: torch.zeros_like(value) for name, value in parameters.items()}
    square = {name: torch.zeros_like(value) for name, value in parameters.items()}
    rates = torch.tensor([lr for lr, _, _ in GRID])
    decays = torch.tensor([decay for _, decay, _ in GRID])
    step = 0
    for epoch in range(zoo.EPOCHS):
        total = torch.zeros(len(models))
        shape.train()
        orders = torch.stack([torch.randperm(zoo.TRAIN) for _ in models])
        for index in orders.split(zoo.BATCH, dim=1):
            gradients, losses = learn(parameters, buffers, inputs[index], targets[index])
            total += losses * index.shape[1]
            step += 1
            for name, gradient in gradients.items():
                ones = [1] * (gradient.dim() - 1)
                gradient = gradient + decays.view(-1, *ones) * parameters[name]
                mean[name].lerp_(gradient, 0.1)
                square[name].mul_(0.999).addcmul_(gradient, gradient, value=0.001)
                scale = (square[name] / (1 - 0.999**step)).sqrt_().add_(1e-8)
                shaped = rates.view(-1, *ones) / (1 - 0.9**step)
                parameters[name] -= shaped * mean[name] / scale
        shape.eval()
        with torch.no_grad():
            tested = look(parameters, buffers, inputs[zoo.TRAIN :], targets[zoo.TRAIN :])
        for k, board in enumerate(boards):
            board.add_scalar("loss/train", float(total[k]) / zoo.TRAIN, epoch)
            board.add_scalar("loss/test", float(tested[k]), epoch)
            for name, value in parameters.items():
                board.add_histogram(f"weights/{name}", value[k], epoch)
    for board in boards:
        board.close()
    print(json.dumps({"losses": tested.tolist()}))


if __name__ == "__main__":
    main()

"""What a step of training costs, in processor time, for each of the models of the zoo.

    python benchmarks/steps.py [--members 6] [--only mlp lstm] [--write]

One thread, no start-up, no logging, no evaluation: milliseconds of a processor for a step of 64
examples of one model, by a DataLoader and a loop as people write it, by our loop for one model
alone, as a member of an array, and by `torch.func.vmap` as it comes. The best of many rounds, by
turns; processor time, as it is less disturbed by what else a machine does.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import zoo
from torch import Tensor
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn import functional as F
from torch.optim import Adam
from torch.utils.data import DataLoader, TensorDataset

from trainer.fused import ArrayOptimizer, ModuleArray

RESULTS = Path(__file__).parent / "results" / "steps.json"
SECONDS = 1.0
"""Of a processor, for each model and contender."""


def by_loader(model: str) -> Callable[[], None]:
    """A DataLoader, and a loss that is read at every step."""
    inputs, targets = zoo.dataset(model)
    loader = DataLoader(
        TensorDataset(inputs, targets), batch_size=zoo.BATCH, shuffle=True, drop_last=True
    )
    network = zoo.build(model)
    optimizer = Adam(network.parameters(), lr=0.001)
    batches: Iterator[Any] = iter(())

    def step() -> None:
        nonlocal batches
        batch = next(batches, None)
        if batch is None:
            batches = iter(loader)
            batch = next(batches)
        loss = _loss(model)(network(batch[0]), batch[1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def alone(model: str) -> Callable[[], None]:
    """As `trainer/loop.py` trains one: batches picked from memory, torch's fused Adam."""
    inputs, targets = zoo.dataset(model)
    network = zoo.build(model)
    optimizer = Adam(network.parameters(), lr=0.001, fused=True)

    def step() -> None:
        index = torch.randint(zoo.TRAIN, (zoo.BATCH,))
        loss = _loss(model)(network(inputs[index]), targets[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def array(model: str, members: int) -> Callable[[], None]:
    inputs, targets = zoo.dataset(model)
    networks = [zoo.build(model) for _ in range(members)]
    optimizers = [Adam(network.parameters(), lr=0.001) for network in networks]
    whole = ModuleArray(networks, inputs[:2])
    optimizer = ArrayOptimizer(whole.stacked(), optimizers)

    def step() -> None:
        index = torch.randint(zoo.TRAIN, (members, zoo.BATCH))
        outputs, wanted = whole(inputs[index]), targets[index]
        if model == "autoencoder":
            losses = F.mse_loss(outputs, wanted, reduction="none").flatten(1).mean(dim=1)
        else:
            scores = F.cross_entropy(outputs.flatten(0, 1), wanted.flatten(), reduction="none")
            losses = scores.view(members, -1).mean(dim=1)
        optimizer.step(torch.autograd.grad(losses.sum(), whole.stacked()))

    return step


def by_vmap(model: str, members: int) -> Callable[[], None]:
    """As torch's tutorial on ensembles, with Adam over the stacked parameters."""
    inputs, targets = zoo.dataset(model)
    networks = [zoo.build(model) for _ in range(members)]
    stacked, buffers = stack_module_state(networks)
    parameters = {name: value.detach().clone().requires_grad_() for name, value in stacked.items()}
    optimizer = Adam(parameters.values(), lr=0.001, fused=True)

    def loss(p: dict[str, Tensor], b: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return _loss(model)(functional_call(networks[0], (p, b), (x,)), y)

    learn = vmap(grad_and_value(loss), randomness="different")

    def step() -> None:
        index = torch.randint(zoo.TRAIN, (members, zoo.BATCH))
        gradients, _ = learn(parameters, buffers, inputs[index], targets[index])
        for name, parameter in parameters.items():
            parameter.grad = gradients[name]
        optimizer.step()

    return step


def _loss(model: str) -> Callable[[Tensor, Tensor], Tensor]:
    return F.mse_loss if model == "autoencoder" else F.cross_entropy


def timed(steps: dict[str, Callable[[], None]]) -> dict[str, float | str]:
    """Each contender's fastest step, in milliseconds of a processor; or why it cannot."""
    found: dict[str, float | str] = {}
    for name, step in list(steps.items()):
        try:
            step(), step()
        except Exception as error:  # vmap has no rule for some
            found[name] = str(error).strip().splitlines()[0]
            del steps[name]
    best = dict.fromkeys(steps, float("inf"))
    begun = time.process_time()
    while time.process_time() - begun < SECONDS * len(steps):
        for name, step in steps.items():
            before = time.process_time()
            step()
            best[name] = min(best[name], time.process_time() - before)
    return found | {name: 1000 * seconds for name, seconds in best.items()}


def measure(model: str, members: int) -> dict[str, float | str]:
    """Milliseconds for a step of one model; for those of many, of their share of it."""
    torch.manual_seed(0)
    steps = {
        "loader": by_loader(model),
        "alone": alone(model),
        "vmap": by_vmap(model, members),
        "array": array(model, members),
    }
    found = timed(steps)
    return {
        name: value
        if isinstance(value, str)
        else round(value / (members if name in ("vmap", "array") else 1), 3)
        for name, value in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=6)
    parser.add_argument("--only", nargs="+", default=zoo.MODELS)
    parser.add_argument("--write", action="store_true", help="into results/steps.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'model':12}{'loader':>9}{'alone':>9}{'vmap':>9}{'array':>9}   x loader  x alone")
    warnings.simplefilter("ignore")  # vmap's, of rules that it has not
    results = {}
    for model in options.only:
        results[model] = found = measure(model, options.members)
        cells = [
            f"{v:9.2f}" if isinstance(v, float) else f"{'no':>9}"
            for v in (found[n] for n in ("loader", "alone", "vmap", "array"))
        ]
        times = [float(found[n]) / float(found["array"]) for n in ("loader", "alone")]
        print(f"{model:12}{''.join(cells)}{times[0]:11.1f}{times[1]:9.2f}", flush=True)
    if options.write:
        report = {
            "members": options.members,
            "batch_size": zoo.BATCH,
            "torch": torch.__version__,
            "milliseconds": results,
        }
        RESULTS.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

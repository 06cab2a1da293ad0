"""What people's models, data and optimizers do besides a plain forward.

In an array each comes out as alone, or trains alone and the reason is said; never silently
otherwise.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.trainer.conftest import Recorder
from tests.trainer.peoples import (
    Answering,
    Assigning,
    Attending,
    BagOfWords,
    Bags,
    ByName,
    ClampedGradients,
    Config,
    Counting,
    Encoder,
    Freezing,
    InPlace,
    Interacting,
    Keeping,
    MaskedMean,
    Model,
    MovingCentre,
    Named,
    OwnGenerator,
    Sampling,
    Spectral,
    StochasticDepth,
    Tagger,
    TwoHeads,
    X,
    Y,
    chained,
    drawn,
    rows,
    sentences,
    shuffled_names,
    tags,
    third_class_first,
    third_class_late,
)
from trainer import Datasets, Task, Tensors
from trainer.fused import CannotFuse


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    """In 64 bits, sums in another order agree to many digits even after many steps."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def first_output(outputs: Any, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs[0], targets)


def by_its_name(outputs: Any, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs.logits, targets)


def value_of_the_third(outputs: Any, targets: Tensor) -> Tensor:
    """The second head is trained where there is something for it."""
    scores, values = outputs
    loss, chosen = F.cross_entropy(scores, targets), targets == 2
    return loss + (values[chosen] - 2).square().mean() if chosen.any() else loss


def by_name(config: Config) -> Tensors:
    return Tensors(
        train=({"tokens": X[:40], "scale": X[:40] ** 2}, Y[:40]),
        test=({"tokens": X[40:], "scale": X[40:] ** 2}, Y[40:]),
    )


def mixed(inputs: Tensor) -> Tensor:
    """Changes its inputs in place, by NumPy's random numbers."""
    inputs += 0.1 * torch.from_numpy(np.random.randn(*inputs.shape))
    return inputs


def clamping(parameters: Iterable[nn.Parameter], config: Config) -> torch.optim.Optimizer:
    made = torch.optim.SGD(list(parameters), lr=config["lr"])

    def clamp(*_: Any) -> None:
        for group in made.param_groups:
            for parameter in group["params"]:
                parameter.data.clamp_(-0.3, 0.3)

    made.register_step_post_hook(clamp)
    return made


def last_layer(parameters: Iterable[nn.Parameter], config: Config) -> torch.optim.Optimizer:
    return torch.optim.SGD(list(parameters)[-2:], lr=config["lr"])


def a(model: Callable[[], nn.Module], **keys: Any) -> Task:
    return Task(**{"model": lambda config: model(), "data": rows} | keys)


ARRAYS = {
    "draws into a new tensor": a(StochasticDepth),
    "draws in evaluation": a(Sampling),
    "a second output": a(TwoHeads, loss=first_output),
    "a named tuple with nothing in it": a(Named, loss=first_output),
    "keeps its configuration": Task(model=Keeping, data=rows),
    "inputs by name": a(ByName, data=by_name),
    "inputs by name, in any order": a(ByName, data=by_name, augment=shuffled_names),
    "outputs by name": a(Answering, loss=by_its_name),
    "a mask that stays the same": a(Interacting),
    "a padded transformer": a(Encoder, data=sentences),
    "targets that do not count": a(Tagger, data=tags),
    "augmentation by NumPy, in place": a(Model, augment=mixed),
    "class weights and smoothing": a(Model, loss=nn.CrossEntropyLoss(drawn(3).abs().double())),
    "an optimizer of one layer": a(Model, optimizer=last_layer),
}

ALONE = {
    "changes its attributes: centre": a(MovingCentre),
    "changes its attributes: steps": a(Counting),
    "changes its attributes: the model": a(Attending),
    "a random generator of its own": a(OwnGenerator),
    "as large as numbers say (a mask as an index)": a(MaskedMean),
    "places that numbers in a tensor choose": a(Assigning),
    "an autograd function of its own": a(Spectral),
    "fails in an array": a(InPlace),
    "SGD has hooks on its step": a(Model, optimizer=clamping),
    "whether the loss depends on value.weight changes": a(
        TwoHeads, data=third_class_first, loss=value_of_the_third
    ),
}

CONFIGS: list[Config] = [
    {"epochs": 2, "batch_size": 8, "lr": 0.05, "seed": 0, "shuffle": False},
    {"epochs": 2, "batch_size": 8, "lr": 0.02, "seed": 1, "shuffle": True, "clip": 0.1},
]


def assert_as_alone(task: Task, configs: list[Config]) -> None:
    """Trained one by one, twice as what one leaves behind must not matter, and then together."""
    whole = []
    for config in (*configs, *configs):
        report = Recorder()
        task(config, report=report)
        whole.append(report.metrics)
    reports = [Recorder() for _ in configs]
    assert task.train_many(configs, reports=reports) == [None] * len(configs)
    for alone, again, report in zip(whole, whole[len(configs) :], reports, strict=False):
        for first, second, third in zip(alone, again, report.metrics, strict=True):
            names = [name for name in first if not name.endswith("per_second")]
            assert [second[name] for name in names] == [first[name] for name in names]
            assert [third[name] for name in names] == pytest.approx([first[name] for name in names])


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("named", ARRAYS)
def test_in_an_array_it_comes_out_as_alone(named: str, capsys: pytest.CaptureFixture[str]) -> None:
    task, smoothed = ARRAYS[named], named.endswith("smoothing")
    assert_as_alone(task, [{**c, "label_smoothing": 0.1} if smoothed else c for c in CONFIGS])
    assert "not trained as an array" not in capsys.readouterr().out


@pytest.mark.parametrize("reason", ALONE)
def test_what_an_array_cannot_do_trains_alone_and_the_reason_is_said(
    reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_as_alone(ALONE[reason], CONFIGS)
    said = capsys.readouterr()
    assert "not trained as an array, but one after the other: " in said.out
    assert (reason in said.out, said.err) == (True, "")


def test_a_parameter_that_one_of_the_members_reads_otherwise_is_noticed_each_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    task = Task(model=Freezing, data=rows)
    assert_as_alone(task, [{**config, "freeze": False} for config in CONFIGS])
    assert "not trained as an array" not in capsys.readouterr().out
    assert_as_alone(task, [{**c, "freeze": n == 1} for n, c in enumerate(CONFIGS)])
    assert "not trained as an array" in capsys.readouterr().out


def test_what_an_array_meets_on_its_way_ends_it_and_tried_again_its_members_train_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = a(TwoHeads, data=third_class_late, loss=value_of_the_third)
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    configs = [{**config, "shuffle": False} for config in CONFIGS]
    reports = [Recorder() for _ in configs]
    with pytest.raises(CannotFuse, match="which parameters the loss depends on changes") as failed:
        task.train_many(configs, reports=reports, log_dirs=folders)
    assert failed.value.__notes__ == [
        "Tried again, the members of this array train one after the other."
    ]
    assert [report.metrics for report in reports] == [[], []]
    assert task.train_many(configs, reports=reports, log_dirs=folders) == [None, None]
    assert "one after the other: it failed: which parameters the loss" in capsys.readouterr().out
    for config, report in zip(configs, reports, strict=True):
        alone = Recorder()
        task(config, report=alone)
        assert report.metrics[-1]["loss/train"] == alone.metrics[-1]["loss/train"]


def test_hooks_on_parameters_are_known_before_anything_is_trained() -> None:
    with pytest.raises(ValueError, match=r"first\.weight: a parameter with hooks"):
        a(ClampedGradients).fuse_key({"epochs": 1})


def test_examples_are_counted_and_not_the_rows_of_what_a_batch_holds_first() -> None:
    task = a(
        BagOfWords,
        data=lambda config: Datasets(train=Bags(), test=Bags(), collate=chained),
        metrics={"accuracy": "accuracy"},
    )
    report = Recorder()
    task({"epochs": 1, "batch_size": 8, "lr": 1e-9, "shuffle": False}, report=report)
    [metrics] = report.metrics
    assert metrics["accuracy/train"] == metrics["accuracy/test"] <= 1
    assert metrics["loss/train"] == pytest.approx(metrics["loss/test"])


def test_what_cannot_be_trained_is_said_before_anything_is() -> None:
    class Stream(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            yield X[0], Y[0]

    with pytest.raises(ValueError, match="Stream has not: read it into Tensors"):
        Datasets(train=Stream(), test=Stream())
    many = a(Model, optimizer=lambda parameters, config: torch.optim.LBFGS(parameters))
    with pytest.raises(ValueError, match="LBFGS evaluates a loss several times in a step"):
        many.prepare([{"epochs": 1, "batch_size": 8}])
    kept = a(Model, optimizer=lambda p, config: torch.optim.Adam(p, amsgrad=True))
    with pytest.raises(ValueError, match="amsgrad has no array form"):
        kept.fuse_key({"epochs": 1})

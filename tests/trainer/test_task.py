"""A user's own model, data and loss as a task: what it gets, and what is refused."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import Field, ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from tests.trainer.conftest import Interrupted, Recorder, accumulate, hparams_records
from trainer import Settings, Task, Tensors
from trainer.checkpoint import load
from trainer.data import splits_of
from trainer.state import build_model

Config = Mapping[str, Any]


class Net(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(8, width)
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.dropout(F.relu(self.first(x))))
        return out


def model(config: Config) -> nn.Module:
    return Net(config["width"], config.get("dropout", 0.0))


def points(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points of three classes that a line tells apart."""
    x = torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))
    return x, (x @ torch.arange(24.0).view(8, 3).cos()).argmax(dim=1)


def data(config: Config) -> Tensors:
    return Tensors(train=points(200, 0), test=points(70, 1))


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs.argmax(dim=1) == targets


TASK = Task(model=model, data=data, loss=F.cross_entropy, metrics={"accuracy": accuracy})
BASE = {"width": 12, "lr": 0.01, "epochs": 3, "batch_size": 32}
EVERYTHING = [
    {},
    {"dropout": 0.5},
    {"schedule": "cosine", "warmup": 0.5},
    {"schedule": "linear", "optimizer": "sgd", "lr": 0.1},
    {"schedule": "step", "step_size": 1, "gamma": 0.5, "optimizer": "adamw", "weight_decay": 0.1},
    {"clip": 0.1},
    {"label_smoothing": 0.2},
    {"beta1": 0.5, "beta2": 0.9},
    {"validation": 0.2},
    {"shuffle": False},
]


def trained(task: Task = TASK, **values: Any) -> list[dict[str, Any]]:
    report = Recorder()
    task({**BASE, **values}, report=report)
    return learned(report)


def learned(report: Recorder) -> list[dict[str, Any]]:
    return [{k: v for k, v in m.items() if not k.endswith("_per_second")} for m in report.metrics]


def test_it_learns_and_reports_every_metric_under_its_name() -> None:
    report = Recorder()
    TASK({**BASE, "epochs": 8}, report=report)
    assert set(report.metrics[0]) == set(TASK.METRICS) == set(TASK.metrics_of(BASE))
    assert report.metrics[-1]["accuracy/test"] > 0.8
    assert report.metrics[-1]["loss/train"] < report.metrics[0]["loss/train"] / 2


def test_the_metrics_are_means_over_all_examples() -> None:
    [metrics] = trained(epochs=1, lr=1e-12)
    net = build_model(TASK.setup(BASE)).eval()
    x, y = points(70, 1)
    with torch.no_grad():
        outputs = net(x)
    assert metrics["loss/test"] == pytest.approx(F.cross_entropy(outputs, y).item(), rel=1e-5)
    assert metrics["accuracy/test"] == pytest.approx(accuracy(outputs, y).float().mean().item())


def test_tensorboard_gets_what_the_shipped_task_gets(tmp_path: Path) -> None:
    report = Recorder()
    TASK(BASE, report=report, log_dir=tmp_path)
    shown = accumulate(tmp_path)
    assert set(shown.Tags()["scalars"]) == set(TASK.METRICS)
    names = [f"{layer}.{kind}" for layer in ("first", "last") for kind in ("weight", "bias")]
    expected = {f"{kind}/{name}" for kind in ("weights", "gradients") for name in names}
    assert set(shown.Tags()["histograms"]) == expected
    assert "[first]" in " ".join(node.name for node in shown.Graph().node)
    assert not shown.Tags()["images"]  # they are none
    row = hparams_records(tmp_path)[0].session_start_info.hparams
    assert set(row) == {*BASE, "seed"}


@pytest.mark.parametrize("values", EVERYTHING, ids=str)
def test_a_run_interrupted_after_every_epoch_ends_with_the_same_bits(
    values: dict[str, Any], tmp_path: Path
) -> None:
    config = {**BASE, **values}
    whole, parts, last = Recorder(), [], None
    TASK(config, report=whole, log_dir=tmp_path / "whole")
    for _ in range(3):
        part = Recorder(stop_after=1)
        with pytest.raises(Interrupted):
            TASK(config, report=part, log_dir=tmp_path / "parts", resume_from=last)
        last = part.last
        parts += learned(part)
    assert parts == learned(whole)
    one, other = load(whole.last)["model"], load(part.last)["model"]
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("values", [value for value in EVERYTHING[1:] if "schedule" not in value])
def test_every_setting_changes_what_is_learned(values: dict[str, Any]) -> None:
    assert trained(**values) != trained()


def test_a_schedule_is_obeyed_and_what_it_multiplies_is_kept(tmp_path: Path) -> None:
    rates: list[float] = []

    class Watched(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    own = Task(model=model, data=data, optimizer=lambda p, c: Watched(p, lr=c["lr"]))
    values = {"lr": 1.0, "batch_size": 100, "schedule": "cosine", "warmup": 1.0}
    report = Recorder()
    own({**BASE, **values}, report=report, log_dir=tmp_path)
    # two steps an epoch, each at the time of its middle
    assert rates == pytest.approx([0.25, 0.75, 0.961940, 0.691342, 0.308658, 0.038060], abs=1e-5)
    assert load(report.last)["optimizer"]["param_groups"][0]["lr"] == 1.0


def test_a_schedule_of_ones_own_is_a_factor_of_the_time() -> None:
    times: list[float] = []

    def schedule(time: float, config: Config) -> float:
        times.append(time)
        return 0.0

    own = Task(model=model, data=data, schedule=schedule)
    first, *_, last = trained(own, batch_size=100)
    assert times == [0.25, 0.75, 1.25, 1.75, 2.25, 2.75]
    assert first["loss/test"] == last["loss/test"]
    assert not own.extends(BASE)


def test_a_step_of_ones_own_sees_the_model_and_the_inputs() -> None:
    def step(net: nn.Module, x: Tensor, y: Tensor, config: Config) -> tuple[Tensor, Tensor]:
        outputs = net(x)
        return F.cross_entropy(outputs, y) + config["penalty"] * x.square().mean(), outputs

    own = Task(model=model, data=data, step=step, metrics={"accuracy": "accuracy"})
    free, dear = trained(own, penalty=0.0), trained(own, penalty=100.0)
    assert dear[-1]["loss/test"] > free[-1]["loss/test"] + 50
    with pytest.raises(ValueError, match="a step of one's own sees one model at a time"):
        own.fuse_key({**BASE, "penalty": 1.0})


def test_augmentation_changes_what_is_trained_on_and_not_what_is_tested() -> None:
    still = Task(model=model, data=data, augment=lambda x: x)
    noisy = Task(model=model, data=data, augment=lambda x: x + torch.randn_like(x))
    assert trained(still) == trained(Task(model=model, data=data))
    assert trained(noisy) == trained(noisy) != trained(still)
    assert trained(noisy, lr=1e-12)[0]["loss/test"] == trained(still, lr=1e-12)[0]["loss/test"]


def test_the_held_out_examples_are_the_same_for_all_seeds_and_are_not_trained_on() -> None:
    splits = splits_of(data({}), 0.2)
    assert [len(splits[name]) for name in ("train", "test", "validation")] == [160, 70, 40]
    kept = {tuple(row) for row in next(splits["train"].batches(200))[0].tolist()}
    held = {tuple(row) for row in next(splits["validation"].batches(200))[0].tolist()}
    assert not kept & held
    assert TASK.metrics_of({**BASE, "validation": 0.2}) != TASK.METRICS
    assert "accuracy/validation" in trained(validation=0.2)[0]


def test_the_parameters_that_nobody_reads_and_those_that_are_missing_are_named() -> None:
    TASK.check(BASE)
    with pytest.raises(ValidationError) as raised:
        TASK.check({**BASE, "depth": 3})
    assert [problem["loc"] for problem in raised.value.errors()] == [("depth",)]
    assert "dropout" in TASK.keys(BASE)
    with pytest.raises(ValueError, match="'width', which is not set; did you mean it by 'widht'"):
        TASK.check({"widht": 12})
    with pytest.raises(ValidationError, match="lr"):
        TASK.check({**BASE, "lr": -1.0})


class Declared(Settings):
    width: int = Field(default=16, ge=1, description="of the hidden layer")
    dropout: float = Field(default=0.0, ge=0, lt=1)


def test_declared_parameters_have_types_bounds_and_defaults() -> None:
    own = Task(model=model, data=data, config=Declared)
    own.check({})
    with pytest.raises(ValidationError) as raised:
        own.check({"width": 0, "dropout": "much", "wide": 1})
    wrong = {problem["loc"][0] for problem in raised.value.errors()}
    assert wrong == {"width", "dropout", "wide"}
    report = Recorder()
    own({"epochs": 1}, report=report)
    assert len(report.metrics) == 1


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (
            Task(model=lambda c: nn.Linear(9, 3), data=data),
            r"the model or the loss fails on inputs of \(2, 8\)",
        ),
        (
            Task(model=model, data=data, loss=lambda o, t: F.cross_entropy(o, t, reduction="none")),
            "the loss must be one number, the mean of a batch; got shape",
        ),
        (Task(model=model, data=data, loss="cross_entropies"), "has no 'cross_entropies'"),
    ],
)
def test_a_model_that_does_not_take_the_data_is_refused_before_it_trains(
    task: Task, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        task.prepare([BASE])


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"batch_size": 201}, "batch_size must be at most 200"),
        ({"batch_size": 181, "validation": 0.1}, "batch_size must be at most 180"),
        ({"validation": 0.001}, "validation must hold out some of 200 examples"),
    ],
)
def test_a_configuration_that_does_not_fit_the_data_is_refused(
    values: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        TASK.check({**BASE, **values})


def test_label_smoothing_is_refused_where_the_loss_does_not_know_it() -> None:
    own = Task(model=model, data=data, loss=lambda o, t: F.cross_entropy(o, t))
    with pytest.raises(ValueError, match="label_smoothing"):
        own.check({**BASE, "label_smoothing": 0.1})


def test_arrays_of_any_shape_that_are_no_pairs_of_one_length_are_refused() -> None:
    with pytest.raises(ValueError, match="of one length above 0, got lengths 3, 4"):
        Tensors(train=(torch.zeros(4, 2), torch.zeros(3)), test=(torch.zeros(1), torch.zeros(1)))
    with pytest.raises(ValueError, match="must be \\(inputs, targets\\)"):
        Tensors(train=torch.zeros(4, 2), test=(torch.zeros(1), torch.zeros(1)))


def test_data_are_loaded_once_for_all_that_look_alike_to_them() -> None:
    calls: list[int] = []

    def counted(config: Config) -> Tensors:
        calls.append(config["rows"])
        return Tensors(train=points(config["rows"], 0), test=points(70, 1))

    own = Task(model=model, data=counted)
    for rows in (100, 150, 100):
        for lr in (0.1, 0.2):
            own.check({**BASE, "rows": rows, "lr": lr})
            own.fuse_key({**BASE, "rows": rows, "lr": lr})
    assert calls == [100, 150]


def test_data_that_are_mapped_from_a_file_stay_in_it(tmp_path: Path) -> None:
    x, y = points(200, 0)
    np.save(tmp_path / "x.npy", x.numpy().astype("float16"))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    own = Task(model=model, data=lambda c: Tensors(train=(mapped, y.numpy()), test=points(70, 1)))
    held = own.load(BASE).train.inputs
    assert held.data_ptr() == mapped.ctypes.data
    assert trained(own)[-1]["loss/train"] < trained(own)[0]["loss/train"]


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(5, 4)
        self.last = nn.Linear(12, 2)

    def forward(self, word: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        joined = torch.cat([self.words(word), x], dim=1)
        return self.last(joined), joined


def test_a_model_may_take_several_inputs_and_give_several_outputs() -> None:
    x, y = points(100, 0)
    words = (y % 5).to(torch.uint8)
    pair = ((words, x), {"class": y % 2})
    own = Task(
        model=lambda c: TwoInputs(),
        data=lambda c: Tensors(train=pair, test=pair),
        loss=lambda o, t: F.cross_entropy(o[0], t["class"]) + 0.01 * o[1].square().mean(),
        metrics={"accuracy": lambda o, t: o[0].argmax(1) == t["class"]},
    )
    own.check({"epochs": 2})
    own.prepare([{"epochs": 2}])
    report = Recorder()
    own({"epochs": 30, "lr": 0.05}, report=report)
    assert report.metrics[-1]["accuracy/test"] > 0.9


def test_importing_a_task_imports_no_torch() -> None:
    code = "import sys; from trainer import Task, Settings; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

"""Configurations of any task as one array: found to be alike, trained as each would be alone."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.trainer.conftest import Interrupted, Recorder
from trainer import Datasets, Task, Tensors
from trainer.checkpoint import load
from trainer.fused import Timing

Config = Mapping[str, Any]


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    """In 64 bits, sums in another order agree to many digits even after many steps."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def perceptron(config: Config) -> nn.Module:
    dropout = nn.Dropout(config["dropout"])
    width = config.get("width", 10)
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), dropout, nn.Linear(width, 3))


def classes(config: Config) -> Tensors:
    x = random(110, 6)
    y = (x @ random(6, 3, seed=1)).argmax(dim=1)
    return Tensors(train=(x[:70], y[:70]), test=(x[70:], y[70:]))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(2, 5, batch_first=True)
        self.out = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.gru(x)[0].mean(dim=1))
        return out


class Residual(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.dropout = nn.Dropout2d(dropout)
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(x)))
        out: Tensor = self.out(self.dropout(x + self.second(x)).mean(dim=(2, 3)))
        return out


def shaped(*shape: int) -> Callable[[Config], Tensors]:
    def data(config: Config) -> Tensors:
        x, y = random(90, *shape), torch.arange(90) % 3
        return Tensors(train=(x[:60], y[:60]), test=(x[60:], y[60:]))

    return data


def noisy(x: Tensor) -> Tensor:
    return x + 0.1 * torch.randn_like(x)


def reconstruction(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().mean()


MEAN = {"error": lambda outputs, targets: (outputs - targets).abs().mean()}
RIGHT: dict[str, Any] = {"accuracy": "accuracy"}
TASKS = {
    "perceptron": Task(model=perceptron, data=classes, metrics=RIGHT),
    "recurrent": Task(model=lambda c: Recurrent(), data=shaped(7, 2), metrics=RIGHT),
    "residual": Task(model=lambda c: Residual(c["dropout"]), data=shaped(2, 8, 8), metrics=RIGHT),
    "augmented": Task(model=perceptron, data=classes, augment=noisy, counts={"right": "accuracy"}),
    "autoencoder": Task(
        model=lambda c: nn.Sequential(nn.Linear(6, 2), nn.Tanh(), nn.Linear(2, 6)),
        data=lambda c: Tensors(
            train=(random(60, 6), random(60, 6)), test=(random(30, 6), random(30, 6))
        ),
        loss=reconstruction,
        metrics=MEAN,
    ),
    "by name": Task(
        model=lambda c: nn.Linear(6, 2),
        data=lambda c: Tensors(
            train=(random(60, 6), random(60, 2)), test=(random(30, 6), random(30, 2))
        ),
        loss="mse_loss",
        metrics=MEAN,
    ),
}
OWN = [
    {"lr": 0.01, "dropout": 0.0},
    {"lr": 0.003, "dropout": 0.5, "seed": 3, "weight_decay": 0.1, "clip": 0.5},
    {"lr": 0.02, "dropout": 0.2, "schedule": "cosine", "warmup": 1.0, "shuffle": False},
    {"lr": 0.01, "dropout": 0.2, "schedule": "step", "step_size": 1, "beta1": 0.5, "seed": 4},
]
"""What members of one array may differ in."""


def configs_of(task: Task, **values: Any) -> list[dict[str, Any]]:
    reads = "dropout" in task.keys({"dropout": 0.1})
    configs = [{"epochs": 2, "batch_size": 16, **own, **values} for own in OWN]
    return configs if reads else [{k: v for k, v in c.items() if k != "dropout"} for c in configs]


def together(task: Task, configs: list[dict[str, Any]], **arguments: Any) -> list[Recorder]:
    reports = [Recorder() for _ in configs]
    assert task.train_many(configs, reports=reports, **arguments) == [None] * len(configs)
    return reports


def alone(task: Task, config: dict[str, Any]) -> Recorder:
    report = Recorder()
    task(config, report=report)
    return report


def assert_same(one: Recorder, other: Recorder, rel: float = 1e-6) -> None:
    assert len(one.metrics) == len(other.metrics) > 0
    for mine, want in zip(one.metrics, other.metrics, strict=True):
        assert mine.keys() == want.keys()
        for name in mine:
            if not name.endswith("_per_second"):
                assert mine[name] == pytest.approx(want[name], rel=rel), name


@pytest.mark.parametrize("name", TASKS)
def test_members_that_differ_in_all_they_may_learn_what_each_would_alone(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    task = TASKS[name]
    configs = configs_of(task)
    for config in configs:
        task.check(config)
    assert len({task.fuse_key(config) for config in configs}) == 1
    for config, report in zip(configs, together(task, configs), strict=True):
        assert_same(report, alone(task, config))
    assert capsys.readouterr().out == ""  # it would say so if they had not been an array


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_label_smoothing_is_each_members_own(smoothing: float) -> None:
    configs = [{"epochs": 1, "dropout": 0.0, "label_smoothing": s} for s in (smoothing, 0.1)]
    task = TASKS["perceptron"]
    for config, report in zip(configs, together(task, configs), strict=True):
        assert_same(report, alone(task, config))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"batch_size": 32}, "batch_size is 16 and 32"),
        ({"epochs": 3}, "epochs is 2 and 3"),
        ({"validation": 0.1}, "validation is 0.0 and 0.1"),
        ({"width": 11}, "width is not set and 11, which are other models"),
        ({"dropout": 0.4, "lr": 0.5, "seed": 7, "optimizer": "sgd"}, None),
    ],
)
def test_why_two_do_not_share_an_array_is_told(values: dict[str, Any], reason: str | None) -> None:
    base = {"epochs": 2, "batch_size": 16, "dropout": 0.1}
    assert TASKS["perceptron"].why_apart(base, {**base, **values}) == reason


def test_configurations_of_other_data_do_not_share() -> None:
    def data(config: Config) -> Tensors:
        x = random(60, 6, seed=config["source"])
        return Tensors(train=(x, torch.arange(60) % 3), test=(x, torch.arange(60) % 3))

    task = Task(model=perceptron, data=data)
    one, other = ({"dropout": 0.0, "source": n} for n in (0, 1))
    assert task.why_apart(one, other) == "source is 0 and 1"
    assert task.fuse_key(one) != task.fuse_key(other)


@pytest.mark.parametrize("name", ["perceptron", "residual", "augmented"])
def test_an_array_that_was_interrupted_goes_on_to_the_same_bits(name: str, tmp_path: Path) -> None:
    task, whole, parts = TASKS[name], tmp_path / "whole", tmp_path / "parts"
    configs = configs_of(task, epochs=3)
    folders = [[root / str(n) for n in range(len(configs))] for root in (whole, parts)]
    together(task, configs, log_dirs=folders[0])
    reports = [Recorder(stop_after=1) for _ in configs]
    errors = task.train_many(configs, reports=reports, log_dirs=folders[1])
    assert all(isinstance(error, Interrupted) for error in errors)
    saved = [report.last for report in reports]
    together(task, configs, log_dirs=folders[1], resume_from=saved)
    for one, other in zip(*folders, strict=True):
        mine, want = (load(f / "checkpoint-00003.pt")["model"] for f in (one, other))
        assert all(torch.equal(mine[key], want[key]) for key in want)


def test_members_that_end_early_leave_the_others_what_they_would_be_alone() -> None:
    task = TASKS["residual"]
    configs = configs_of(task, epochs=4)
    reports = [Recorder(), Recorder(stop_after=1), Recorder(stop_after=2), Recorder()]
    errors = task.train_many(configs, reports=reports)
    assert [type(error).__name__ for error in errors] == [
        "NoneType", "Interrupted", "Interrupted", "NoneType",
    ]  # fmt: skip
    assert [len(report.metrics) for report in reports] == [4, 1, 2, 4]
    for index in (0, 3):
        assert_same(reports[index], alone(task, configs[index]))


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.one(x) if x.sum() > 0 else self.other(x)
        return out


def test_a_model_that_no_array_can_hold_trains_one_after_the_other_and_says_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    task = Task(model=lambda c: Branching(), data=classes)
    configs = [{"epochs": 2, "lr": lr} for lr in (0.1, 0.01)]
    reports = together(task, configs)
    assert "not trained as an array, but one after the other: " in capsys.readouterr().out
    for config, report in zip(configs, reports, strict=True):
        assert_same(report, alone(task, config), rel=0)


def test_whether_an_array_pays_is_timed_once_and_kept_beside_the_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Timed again, it could come out otherwise, and the run would not end with the same bits."""
    task = TASKS["perceptron"]
    configs = configs_of(task, epochs=3)[:2]
    folders = [tmp_path / str(n) for n in range(2)]
    monkeypatch.setattr("trainer.array.time_array", lambda *_: Timing(1.0, 3.0, 2))
    reports = [Recorder(stop_after=1) for _ in configs]
    task.train_many(configs, reports=reports, log_dirs=folders)
    assert "an array is 0.67 times as fast here" in capsys.readouterr().out
    kept = {"together": False, "because": "an array is 0.67 times as fast here"}
    assert [json.loads((folder / "array.json").read_text()) for folder in folders] == [kept] * 2

    monkeypatch.setattr("trainer.array.time_array", lambda *_: pytest.fail("timed again"))
    saved = [report.last for report in reports]
    rest = together(task, configs, log_dirs=folders, resume_from=saved)
    for config, report in zip(configs, rest, strict=True):
        whole = alone(task, config)
        whole.metrics = whole.metrics[1:]
        assert_same(report, whole, rel=0)


class Points:
    """A map-style data set that changes every item at random when it is read."""

    def __init__(self, first: int, last: int) -> None:
        self._first, self._last = first, last

    def __len__(self) -> int:
        return self._last - self._first

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        READ.append(index)
        position = self._first + index
        return random(110, 6)[position] + 0.1 * torch.randn(6), position % 3


READ: list[int] = []


@pytest.mark.parametrize("one_order", [False, True])
def test_items_are_read_once_for_members_of_one_order(one_order: bool) -> None:
    task = Task(
        model=perceptron,
        data=lambda c: Datasets(train=Points(0, 70), test=Points(70, 110), one_order=one_order),
        metrics=RIGHT,
    )
    configs = [{"epochs": 2, "dropout": 0.1, "seed": seed} for seed in (0, 0, 1)]
    together(task, configs)
    READ.clear()
    reports = together(task, configs)
    trained, tested = (1 if one_order else 2) * 70 * 2, 40 * 2
    shown = len(READ) - trained - tested
    assert 0 < shown <= 2 * (70 + 2 + 1 + 40)  # for the picture, the graph and an example
    for config, report in zip(configs, reports, strict=True):
        assert_same(report, alone(task, config))


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_read_does_not_depend_on_how_many_read_it(workers: int) -> None:
    def task(count: int) -> Task:
        data = Datasets(train=Points(0, 70), test=Points(70, 110), workers=count)
        return Task(model=perceptron, data=lambda c: data)

    torch.set_default_dtype(torch.float32)  # which a worker process begins with
    config = {"epochs": 1, "dropout": 0.0}
    assert_same(alone(task(workers), config), alone(task(0), config), rel=0)

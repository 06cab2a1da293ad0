"""What a trained model gets wrong, written after its last epoch."""

import base64
import io
import json
import math
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.tensorboard.summary import compute_curve

from tests.trainer.conftest import Recorder
from trainer import Task, Tensors, train, train_many
from trainer.data import Split
from trainer.examination import THRESHOLDS, Answers, curves, examine
from trainer.pictures import MOST_NAMED, PAPER, confusion_picture, mistakes_picture

CONFIG = {"dataset": "digits", "epochs": 2, "batch_size": 100}


def test_the_matrix_and_the_worst_mistakes_are_those_of_the_answers() -> None:
    images = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 1, 8, 8) * 60
    answers = Answers(Split(images, torch.tensor([0, 0, 1, 1])))
    scores = torch.tensor([[2.0, 0, 0], [0, 1, 0], [3, 0, 0], [0, 4, 0]])
    answers.add(scores, torch.tensor([0, 0, 1, 1]))
    found = examine(answers, ["a", "b", "c"])
    assert found["confusion"] == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert found["per_class"] == [0.5, 0.5, None]
    told = [(one["index"], one["target"], one["predicted"]) for one in found["wrong"]]
    assert told == [(2, "b", "a"), (1, "a", "b")]
    assert found["wrong"][0]["probability"] == pytest.approx(0.9094, abs=1e-3)
    picture = Image.open(io.BytesIO(base64.b64decode(found["wrong"][0]["png"])))
    assert (picture.size, picture.getpixel((0, 0))) == ((8, 8), 120)


def test_a_classs_curve_is_that_of_the_class_against_all_others() -> None:
    torch.manual_seed(0)
    scores, targets = torch.randn(200, 3), torch.randint(3, (200,))
    answers = Answers(split=None)
    for part in range(0, 200, 60):  # in batches
        answers.add(scores[part : part + 60], targets[part : part + 60])
    found = curves(answers).numpy()
    assert found.shape == (3, 6, THRESHOLDS)
    chances = scores.softmax(dim=1).numpy()
    for number in range(3):
        expected = compute_curve((targets == number).numpy(), chances[:, number], THRESHOLDS)
        assert found[number] == pytest.approx(expected)


def test_a_model_that_diverged_has_curves_all_the_same() -> None:
    answers = Answers(split=None)
    answers.add(torch.full((4, 2), math.nan), torch.tensor([0, 0, 1, 1]))
    assert torch.isfinite(curves(answers)).all()


@pytest.mark.parametrize("count", [2, MOST_NAMED, MOST_NAMED + 1])
def test_the_matrix_is_a_picture_with_names_as_long_as_they_can_be_read(count: int) -> None:
    confusion = torch.full((count, count), 3) + torch.eye(count, dtype=torch.int64) * 1000
    names = [f"a class of a long name {n}" for n in range(count)]
    picture = confusion_picture(names, confusion.tolist())
    assert max(picture.size) < 3000
    assert picture.getpixel((picture.width - 3, picture.height - 3)) != PAPER  # it is right there
    assert (picture.width == picture.height) == (count > MOST_NAMED)


def test_mistakes_without_pictures_are_not_drawn() -> None:
    one = {"index": 0, "target": "a", "predicted": "b", "probability": 0.5, "png": None}
    assert mistakes_picture([one]) is None
    assert mistakes_picture([]) is None


def test_alone_and_in_an_array_it_is_written_and_agrees_with_what_is_reported(
    tmp_path: Path,
) -> None:
    reports = [Recorder() for _ in range(3)]
    train(CONFIG, report=reports[0], log_dir=tmp_path / "0")
    folders = [tmp_path / str(n) for n in (1, 2)]
    configs = [CONFIG, CONFIG | {"lr": 0.01}]
    assert train_many(configs, reports=reports[1:], log_dirs=folders) == [None, None]
    for number, report in enumerate(reports):
        found = json.loads((tmp_path / str(number) / "examination.json").read_text())
        right = sum(row[n] for n, row in enumerate(found["confusion"]))
        assert right == report.metrics[-1]["correct/test"]
        assert sum(map(sum, found["confusion"])) == 297
        assert found["classes"] == list("0123456789")
        assert found["epoch"] == 2
        assert all(one["png"] for one in found["wrong"])


def test_a_run_that_ends_early_is_not_examined(tmp_path: Path) -> None:
    errors = train_many(
        [CONFIG, CONFIG],
        reports=[Recorder(stop_after=1), Recorder(stop_after=1)],
        log_dirs=[tmp_path / "0", tmp_path / "1"],
    )
    assert all(errors)
    assert not list(tmp_path.rglob("examination.json"))


def test_names_that_are_not_those_of_the_outputs_are_refused() -> None:
    pair = torch.randn(10, 2), torch.zeros(10, dtype=torch.int64)
    task = Task(
        model=lambda config: nn.Linear(2, 3),
        data=lambda config: Tensors(train=pair, test=pair),
        classes=["one", "two"],
    )
    with pytest.raises(ValueError, match=r"scores of 2 classes for each example, got \(2, 3\)"):
        task.prepare([{"batch_size": 5}])

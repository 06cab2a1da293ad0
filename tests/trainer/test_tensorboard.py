"""All of a run is in TensorBoard, read back here from real event files."""

import math
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.plugins.hparams import api_pb2

from tests.trainer.conftest import Interrupted, Recorder, accumulate, hparams_records, statuses
from trainer import METRICS, train, train_many
from trainer.checkpoint import load
from trainer.model import CNN
from trainer.tensorboard import TensorBoardLogger, image_grid, mark_failed, shows_inputs

CONFIG = {"dataset": "digits", "data_dir": None, "epochs": 3, "lr": 0.01, "shuffle": False}
Run = tuple[Path, Recorder]
EXAMINED = {"images/confusion_matrix", "images/mistakes"}
PARAMETERS = [
    f"{layer}.{kind}"
    for layer in ("conv1", "conv2", "fc1", "fc2", "out")
    for kind in ("weight", "bias")
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The folder and the reports of a run that went well."""
    log_dir, report = tmp_path_factory.mktemp("runs") / "one", Recorder()
    train(CONFIG, report=report, log_dir=log_dir)
    return log_dir, report


def interrupted(log_dir: Path, epochs: int, **values: Any) -> Recorder:
    report = Recorder(stop_after=epochs)
    with pytest.raises(Interrupted):
        train(CONFIG | values, report=report, log_dir=log_dir)
    return report


def date_back(log_dir: Path) -> None:
    """Make a first attempt's event file older: files are read in the order of their seconds."""
    [file] = log_dir.glob("events.*")
    file.rename(file.with_name("events.out.tfevents.0000000001.earlier"))


def test_one_run_is_one_event_file(finished: Run) -> None:
    assert len(list(finished[0].glob("events.*"))) == 1
    assert not [path for path in finished[0].iterdir() if path.is_dir()]  # no second run inside


def test_every_metric_is_a_scalar_at_every_epoch_with_the_value_reported(finished: Run) -> None:
    shown = accumulate(finished[0])
    assert set(shown.Tags()["scalars"]) == set(METRICS)
    for name in METRICS:
        events = shown.Scalars(name)
        assert [event.step for event in events] == [1, 2, 3]
        reported = [metrics[name] for metrics in finished[1].metrics]
        assert [event.value for event in events] == pytest.approx(reported, rel=1e-6)


def test_every_parameter_and_its_gradient_is_a_histogram_at_every_epoch(finished: Run) -> None:
    shown = accumulate(finished[0])
    expected = {f"{kind}/{name}" for kind in ("weights", "gradients") for name in PARAMETERS}
    assert set(shown.Tags()["histograms"]) == expected
    sizes = {name: p.numel() for name, p in CNN().named_parameters()}
    for tag in expected:
        events = shown.Histograms(tag)
        assert [event.step for event in events] == [1, 2, 3]
        for event in events:
            assert event.histogram_value.num == sizes[tag.partition("/")[2]]
            assert sum(event.histogram_value.bucket) == event.histogram_value.num


def test_the_last_histogram_is_of_the_weights_in_the_checkpoint(finished: Run) -> None:
    saved = load(finished[1].last)["model"]
    shown = accumulate(finished[0])
    for name in PARAMETERS:
        value = shown.Histograms(f"weights/{name}")[-1].histogram_value
        assert value.min == saved[name].min().item()
        assert value.max == saved[name].max().item()
        assert value.sum == pytest.approx(saved[name].double().sum().item())
        assert value.sum_squares == pytest.approx(saved[name].double().square().sum().item())


def test_the_first_images_and_the_graph_of_all_layers_are_shown(finished: Run) -> None:
    shown = accumulate(finished[0])
    [image] = shown.Images("images")
    assert (image.step, image.width, image.height) == (0, 300, 300)
    names = " ".join(node.name for node in shown.Graph().node)
    assert all(f"[{layer}]" in names for layer in ("conv1", "conv2", "fc1", "fc2", "out"))


def test_what_the_final_model_gets_wrong_is_shown_once_after_the_last_epoch(finished: Run) -> None:
    shown = accumulate(finished[0])
    assert set(shown.Tags()["images"]) == {"images", *EXAMINED}
    for tag in EXAMINED:
        assert [event.step for event in shown.Images(tag)] == [3]
    curves = {f"precision_recall/{digit}" for digit in range(10)}
    assert curves <= set(shown.Tags()["tensors"])
    for tag in curves:
        assert [event.step for event in shown.Tensors(tag)] == [3]


def test_the_trials_of_a_sweep_show_their_inputs_once_and_each_its_own_mistakes(
    tmp_path: Path,
) -> None:
    names = ["lr=0.1,aaaaaaaa", "lr=0.01,bbbbbbbb", "lr=0.001,cccccccc"]
    folders = [tmp_path / name for name in names]
    short = CONFIG | {"epochs": 1}
    train(short, report=Recorder(), log_dir=folders[0])
    configs = [short | {"lr": lr} for lr in (0.01, 0.001)]
    reports = [Recorder(), Recorder()]
    assert train_many(configs, reports=reports, log_dirs=folders[1:]) == [None, None]
    tags = [set(accumulate(folder).Tags()["images"]) for folder in folders]
    assert tags == [{"images", *EXAMINED}, EXAMINED, EXAMINED]


def test_the_trial_that_shows_the_inputs_shows_them_again_and_is_replaced_if_it_is_gone(
    tmp_path: Path,
) -> None:
    first, second = tmp_path / "lr=0.1,aaaaaaaa", tmp_path / "lr=0.2,bbbbbbbb"
    grid, other = torch.zeros(1, 4, 4), torch.ones(1, 4, 4)
    first.mkdir()
    second.mkdir()
    assert shows_inputs(first, grid)
    assert not shows_inputs(second, grid)
    assert shows_inputs(first, grid)
    assert shows_inputs(second, other)  # it learns from something else
    shutil.rmtree(first)
    assert shows_inputs(second, grid)
    assert shows_inputs(tmp_path / "my-own-run", grid)  # it is no trial of a sweep


def test_the_table_of_runs_gets_one_row_with_true_types_and_a_success(finished: Run) -> None:
    start, end = hparams_records(finished[0])
    row = start.session_start_info.hparams
    kinds = {name: value.WhichOneof("kind") for name, value in row.items()}
    assert kinds == {
        "lr": "number_value",
        "epochs": "number_value",
        "seed": "number_value",  # shown though it was not set
        "shuffle": "bool_value",
        "dataset": "string_value",
    }  # and no data_dir, which is None
    assert row["lr"].number_value == 0.01
    assert row["shuffle"].bool_value is False
    assert row["dataset"].string_value == "digits"
    assert start.session_start_info.group_name == "one"
    assert end.session_end_info.status == api_pb2.STATUS_SUCCESS


def test_a_run_that_an_exception_ends_has_no_end_until_it_is_marked_as_failed(
    tmp_path: Path,
) -> None:
    interrupted(tmp_path, epochs=1)
    assert len(hparams_records(tmp_path)) == 1
    assert statuses(tmp_path) == []
    mark_failed(tmp_path)
    assert statuses(tmp_path) == [api_pb2.STATUS_FAILURE]
    assert [event.step for event in accumulate(tmp_path).Scalars("loss/test")] == [1]


def test_an_exception_closes_the_event_file(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    interrupted(tmp_path, epochs=2)
    assert set(threading.enumerate()) == before  # an open file has a thread that writes to it


def test_an_epoch_is_in_the_event_file_by_the_time_it_is_reported(tmp_path: Path) -> None:
    metrics = {f"metric/{i}": float(i) for i in range(2000)}
    with TensorBoardLogger(tmp_path, {}, purge_step=0) as logger:
        logger.log_epoch(metrics, CNN(), 1)
        assert set(accumulate(tmp_path).Tags()["scalars"]) == set(metrics)
        assert "weights/out.bias" in accumulate(tmp_path).Tags()["histograms"]


def test_a_resumed_run_shows_every_step_once(tmp_path: Path) -> None:
    first = interrupted(tmp_path, epochs=3, shuffle=True)
    date_back(tmp_path)
    # not from the latest checkpoint: what was logged after it is superseded
    train(CONFIG | {"shuffle": True}, log_dir=tmp_path, resume_from=first.checkpoints[-2])
    shown = accumulate(tmp_path)
    for name in METRICS:
        assert [event.step for event in shown.Scalars(name)] == [1, 2, 3]
    for name in PARAMETERS:
        assert [event.step for event in shown.Histograms(f"weights/{name}")] == [1, 2, 3]
    assert len(shown.Images("images")) == 1
    for tag in EXAMINED:  # the attempt that was superseded had come to its last epoch
        assert [event.step for event in shown.Images(tag)] == [3]
    assert statuses(tmp_path) == [api_pb2.STATUS_SUCCESS]


def test_a_run_begun_again_shows_only_the_second_attempt(tmp_path: Path) -> None:
    interrupted(tmp_path, epochs=2, seed=1)
    date_back(tmp_path)
    report = Recorder()
    train(CONFIG | {"seed": 2}, report=report, log_dir=tmp_path)
    shown = accumulate(tmp_path)
    values = [(event.step, event.value) for event in shown.Scalars("loss/test")]
    expected = [metrics["loss/test"] for metrics in report.metrics]
    assert values == [(step, pytest.approx(loss)) for step, loss in enumerate(expected, start=1)]
    assert len(shown.Images("images")) == 1


def test_nothing_finite_to_draw_does_not_end_a_run(tmp_path: Path) -> None:
    model = CNN()
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        parameters["conv1.weight"].fill_(math.nan)
        parameters["conv2.weight"][0] = math.inf
        parameters["fc1.bias"].fill_(0)
    with TensorBoardLogger(tmp_path, {}, purge_step=0) as logger:
        logger.log_epoch({"loss/train": math.nan}, model, 1)
    shown = accumulate(tmp_path)
    assert math.isnan(shown.Scalars("loss/train")[0].value)
    tags = set(shown.Tags()["histograms"])
    assert tags == {f"weights/{name}" for name in PARAMETERS} - {"weights/conv1.weight"}
    assert shown.Histograms("weights/conv2.weight")[0].histogram_value.num == 11 * 6 * 25
    assert shown.Histograms("weights/fc1.bias")[0].histogram_value.num == 120


def test_a_run_that_diverges_is_trained_and_reported_to_its_end(tmp_path: Path) -> None:
    report = Recorder()
    train(CONFIG | {"lr": 1e30}, report=report, log_dir=tmp_path)
    assert len(report.metrics) == 3
    assert not math.isfinite(report.metrics[-1]["loss/train"])
    assert statuses(tmp_path) == [api_pb2.STATUS_SUCCESS]


@pytest.mark.parametrize(("count", "side"), [(1, 1), (3, 1), (4, 2), (100, 10), (120, 10)])
def test_the_image_grid_is_the_largest_square_of_framed_images(count: int, side: int) -> None:
    images = torch.rand(count, 1, 28, 28)
    grid = image_grid(images)
    assert grid.shape == (1, side * 30, side * 30)
    for i in range(side * side):
        row, column = divmod(i, side)
        tile = grid[:, row * 30 : row * 30 + 30, column * 30 : column * 30 + 30]
        assert torch.equal(tile[:, 1:-1, 1:-1], images[i])
        assert tile[0, 0, 0] == tile[0, -1, -1] == pytest.approx(0.3)

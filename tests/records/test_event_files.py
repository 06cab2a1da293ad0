"""Event files of the trainable's own: what stays, whatever it logs and however it counts."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams import metadata
from torch.utils.tensorboard import SummaryWriter

from sweeps.records.event_files import event_files, hide_rows, positions, reopen
from sweeps.records.events import EventLog, write_failure
from sweeps.records.history import Report, next_step
from trainer import train


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    return events


def steps(folder: Path, tag: str) -> list[int]:
    return [event.step for event in read(folder).Scalars(tag)]


def rows(folder: Path) -> int:
    """The folders that have an HParams row."""
    found = 0
    for each in {path.parent for path in event_files(folder)}:
        try:
            content = read(each).PluginTagToContent(metadata.PLUGIN_NAME)
        except KeyError:
            continue
        found += metadata.SESSION_START_INFO_TAG in content
    return found


def log_batches(writer: SummaryWriter, batches: range) -> None:
    """What a person logs: by batch, by images seen, and without any step."""
    for batch in batches:
        writer.add_scalar("batch/loss", 1.0 / (batch + 1), batch)
        writer.add_scalar("seen/loss", 1.0, 128 * batch)
        writer.add_text("log", f"batch {batch}", batch)
        writer.add_histogram("weights", torch.arange(4.0), batch)
        writer.add_pr_curve("curve", torch.tensor([0, 1]), torch.tensor([0.2, 0.8]), batch)


def report(folder: Path, step: int) -> Report:
    return Report(step, {"loss": 1.0}, 0.1, f"{step}.pt", "0", positions(folder))


@pytest.mark.parametrize("below", ["", "lightning_logs/version_0"])
def test_what_was_logged_before_the_checkpoint_stays_and_each_point_once(
    tmp_path: Path, below: str
) -> None:
    own = EventLog(tmp_path, {"lr": 0.1})
    history: list[Report] = []
    writer = SummaryWriter(str(tmp_path / below))
    for step in (1, 2):
        log_batches(writer, range(50 * step - 50, 50 * step))
        writer.flush()
        history.append(report(tmp_path, step))
        own.log({"loss": 1.0}, step)
    log_batches(writer, range(100, 130))  # after the last checkpoint
    writer.close()
    own.close(finished=False)
    other = SummaryWriter(str(tmp_path / "later"))
    other.add_scalar("x", 1.0, 0)
    other.close()

    reopen(tmp_path, history)
    again = SummaryWriter(str(tmp_path / below))
    log_batches(again, range(100, 200))
    again.close()
    folder = tmp_path / below
    assert steps(folder, "batch/loss") == list(range(200))
    assert steps(folder, "seen/loss") == list(range(0, 128 * 200, 128))
    tensors = read(folder).Tensors
    assert [e.step for e in tensors("log/text_summary")] == list(range(200))
    assert [e.step for e in tensors("curve")] == list(range(200))
    assert not list(tmp_path.glob("later/*"))
    assert steps(tmp_path, "loss") == [1, 2]


def test_a_file_that_was_named_anew_is_cut_all_the_same(tmp_path: Path) -> None:
    writer = SummaryWriter(str(tmp_path))
    log_batches(writer, range(3))
    writer.flush()
    history = [report(tmp_path, 1)]
    log_batches(writer, range(3, 9))
    writer.close()
    [file] = event_files(tmp_path)
    rest = file.name.partition(".tfevents.")[2].partition(".")[2]
    file.rename(tmp_path / f"events.out.tfevents.0000000001.{rest}")
    reopen(tmp_path, history)
    assert steps(tmp_path, "batch/loss") == [0, 1, 2]


def test_a_trial_has_one_row_whatever_the_function_adds(tmp_path: Path) -> None:
    own = EventLog(tmp_path, {"lr": 0.1, "depth": None})
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("mine", 1.0, 0)
        writer.add_hparams({"lr": 0.1}, {"hparam/loss": 0.5})
        writer.add_hparams({"lr": 0.1}, {"hparam/loss": 0.5}, run_name="same")
        writer.add_scalar("mine", 2.0, 1)
    own.close(finished=True)
    before = {path: path.stat().st_size for path in event_files(tmp_path)}
    assert rows(tmp_path) == 3
    hide_rows(tmp_path)
    assert rows(tmp_path) == 1
    assert {path: path.stat().st_size for path in event_files(tmp_path)} == before
    assert steps(tmp_path, "mine") == [0, 1]
    [folder] = [p.parent for p in event_files(tmp_path) if p.parent.name == "same"]
    assert steps(folder, "hparam/loss") == [0]


def test_a_scalar_that_the_function_logs_under_a_reported_name_is_there_once(
    tmp_path: Path,
) -> None:
    own = EventLog(tmp_path, {})
    own.log({"loss": 1.0, "acc": 0.1}, 1)
    with SummaryWriter(str(tmp_path)) as writer:
        for batch in range(10):
            writer.add_scalar("loss", 1.0, batch)
    own.log({"loss": 1.0, "acc": 0.2}, 2, {"loss"})
    own.close(finished=True, others={"loss"})
    assert steps(tmp_path, "loss") == list(range(10))
    assert steps(tmp_path, "acc") == [1, 2]


@pytest.mark.parametrize("first", [0, 1, 7])
def test_a_trainable_that_writes_all_scalars_itself_numbers_them_as_it_likes(
    tmp_path: Path, first: int
) -> None:
    history: list[Report] = []
    with SummaryWriter(str(tmp_path)) as writer:
        for epoch in range(3):
            writer.add_scalar("loss", 1.0, first + epoch)
            writer.flush()
            history.append(report(tmp_path, next_step(history)))
    reopen(tmp_path, history, writes_events=True)
    assert steps(tmp_path, "loss") == [first, first + 1, first + 2]


def test_the_marks_of_a_failure_are_the_sweeps_own(tmp_path: Path) -> None:
    write_failure(tmp_path)
    assert positions(tmp_path) == {}


def test_what_the_final_model_gets_wrong_is_there_once_if_it_was_not_reported_at_first(
    tmp_path: Path,
) -> None:
    history: list[Report] = []
    saved: list[Path] = []

    def report(metrics: Mapping[str, float], *, checkpoint: Path | None = None) -> None:
        if len(history) == 1 and len(saved) == 1:
            saved.append(tmp_path)
            raise KeyboardInterrupt  # after it was logged
        assert checkpoint is not None
        saved.append(checkpoint)
        history.append(Report(next_step(history), metrics, 1.0, events=positions(tmp_path)))

    config = {"dataset": "digits", "epochs": 2, "batch_size": 500}
    with pytest.raises(KeyboardInterrupt):
        train(config, report=report, log_dir=tmp_path)
    assert images_logged(tmp_path) == 3
    reopen(tmp_path, history, writes_events=True)
    assert images_logged(tmp_path) == 1  # that of the inputs
    train(config, report=report, log_dir=tmp_path, resume_from=saved[0])
    assert images_logged(tmp_path) == 3


def images_logged(folder: Path) -> int:
    """In all files, also those that are superseded by others."""
    events = [event for path in event_files(folder) for event in EventFileLoader(str(path)).Load()]
    tags = [value.tag for event in events for value in event.summary.value]
    return sum(tag.partition("/")[0] == "images" for tag in tags)

"""What the tests of the trainer share: the CPU, a recording report, events read back."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams import plugin_data_pb2


@pytest.fixture(autouse=True, scope="module")
def on_one_thread_of_the_cpu() -> Iterator[None]:
    """Equal bits are promised for the CPU, so a machine's GPU is not used here.

    One thread is quick enough for models this small; several that wait for one another take
    minutes instead of seconds on a machine that is busy.
    """
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setenv("OMP_NUM_THREADS", "1")  # of commands that a test starts
        torch.set_num_threads(1)
        yield
    torch.set_num_threads(threads)


class Recorder:
    """A report that keeps what it is told, and can interrupt the run after some epochs."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.metrics: list[dict[str, Any]] = []
        self.checkpoints: list[Path | None] = []
        self._stop_after = stop_after

    def __call__(self, metrics: Mapping[str, Any], *, checkpoint: Path | None = None) -> None:
        self.metrics.append(dict(metrics))
        self.checkpoints.append(checkpoint)
        if len(self.metrics) == self._stop_after:
            raise Interrupted

    @property
    def last(self) -> Path:
        """The checkpoint reported last."""
        found = self.checkpoints[-1]
        assert found is not None
        return found

    @property
    def learned(self) -> list[dict[str, Any]]:
        """The metrics without the one that is a matter of time."""
        return [{k: v for k, v in m.items() if k != "images_per_second"} for m in self.metrics]


class Interrupted(Exception):
    """Raised by a report, as when a run is stopped from outside."""


def accumulate(log_dir: Path) -> EventAccumulator:
    """A run as TensorBoard shows it."""
    everything = {"scalars": 0, "histograms": 0, "images": 0, "tensors": 0}
    return EventAccumulator(str(log_dir), size_guidance=everything).Reload()


def hparams_records(log_dir: Path) -> list[plugin_data_pb2.HParamsPluginData]:
    """Every record of the HParams plugin in a run's event files, in the order written."""
    records = []
    for file in sorted(log_dir.glob("events.*")):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "hparams":
                    content = value.metadata.plugin_data.content
                    records.append(plugin_data_pb2.HParamsPluginData.FromString(content))
    return records


def statuses(log_dir: Path) -> list[int]:
    """The ends that a run's event files tell of."""
    records = hparams_records(log_dir)
    return [r.session_end_info.status for r in records if r.HasField("session_end_info")]

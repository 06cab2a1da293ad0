"""Everything of a training run that becomes a TensorBoard event.

One writer, one event file, one HParams row per run. ``SummaryWriter.add_hparams`` would write a
second run, turn booleans into numbers and always claim success, so the three records of the
HParams plugin are written directly.
"""

import copy
import hashlib
import json
import math
import re
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.hparams import summary_v2 as hparams
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.tensorboard import SummaryWriter

from trainer.pictures import confusion_picture, mistakes_picture

BINS = 64
MOST_CURVES = 20
"""Classes with a precision-recall curve; of more, those of the lowest accuracy."""


def _never_fails(log: Callable[..., None]) -> Callable[..., None]:
    """A run is not lost for want of a picture of it; a full disk is told by its checkpoint."""

    @wraps(log)
    def guarded(*args: Any) -> None:
        try:
            log(*args)
        except Exception as error:
            warnings.warn(f"TensorBoard: {log.__name__} failed: {error!r}", stacklevel=2)

    return guarded


class TensorBoardLogger:
    """Writes one run's events to a folder; closes its file on every way out.

    Args:
        log_dir: the run's folder, created if need be. ``None`` writes nothing.
        config: the hyper-parameters of the HParams row, with their own types.
        purge_step: events at this step and later, left by an earlier attempt, are superseded.
    """

    def __init__(self, log_dir: Path | None, config: Mapping[str, Any], purge_step: int) -> None:
        self._writer: SummaryWriter | None = None
        self._log_dir = log_dir
        if log_dir is None:
            return
        self._writer = SummaryWriter(str(log_dir), purge_step=purge_step, max_queue=10_000)
        row = {
            k: v if isinstance(v, bool | int | float) else str(v)
            for k, v in config.items()
            if v is not None  # as text, it would keep TensorBoard from sorting a column of numbers
        }
        row, group = _session_group(log_dir.name, row)
        self._add(hparams.hparams_pb(row, trial_id=group))
        self._writer.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file; a run that ended well is marked as a success.

        One that did not may be tried again, and TensorBoard keeps the first end it reads: whoever
        decides that it was the last attempt writes the failure, with :func:`mark_failed`.
        """
        if self._writer is None:
            return
        if kind is None:
            self._add(_session_end(api_pb2.STATUS_SUCCESS))
        self._writer.close()

    @_never_fails
    def log_model(self, model: nn.Module, inputs: Any) -> None:
        """Log a batch of inputs as a picture, if they are images (N, 1 or 3, H, W), and the graph.

        The trials of a sweep learn from the same images, so only one of them shows these. It is
        traced as in evaluation: a trace must not change what the model keeps of its batches.
        """
        if self._writer is None or self._log_dir is None:
            return
        if isinstance(inputs, Tensor) and inputs.dim() == 4 and inputs.shape[1] in (1, 3):
            grid = image_grid(inputs)
            if shows_inputs(self._log_dir, grid):
                self._writer.add_image("images", grid, 0)
        given = tuple(inputs.values()) if isinstance(inputs, dict) else inputs
        shown = copy.deepcopy(model).eval()  # a forward may keep what it computes on the model
        with warnings.catch_warnings():  # tracing is deprecated in torch, and is told twice
            warnings.simplefilter("ignore")
            # add_graph would trace with a check that imports torch's distributed tensors: 1 s
            traced = torch.jit.trace(shown, given, check_trace=False)
            self._writer.add_graph(traced, given)

    @_never_fails
    def log_epoch(self, metrics: Mapping[str, float], model: nn.Module, step: int) -> None:
        """Log an epoch's scalars, and every parameter and its last gradient as histograms."""
        if self._writer is None:
            return
        for tag, value in metrics.items():
            self._writer.add_scalar(tag, value, step)
        for name, parameter in model.named_parameters():
            _add_histogram(self._writer, f"weights/{name}", parameter.detach(), step)
            if parameter.grad is not None:
                _add_histogram(self._writer, f"gradients/{name}", parameter.grad, step)
        self._writer.flush()

    @_never_fails
    def log_examination(self, found: Mapping[str, Any], curves: Tensor, step: int) -> None:
        """Log what the model of the last epoch gets wrong, once.

        Args:
            found: as :func:`trainer.examination.examine` returns it.
            curves: as :func:`trainer.examination.curves` returns them.
        """
        if self._writer is None:
            return
        classes, right = found["classes"], found["per_class"]
        worst = sorted(range(len(classes)), key=lambda n: 1.0 if right[n] is None else right[n])
        for number in worst[:MOST_CURVES]:
            tag = f"precision_recall/{classes[number]}"
            tp, fp, tn, fn, precision, recall = curves[number].numpy()
            self._writer.add_pr_curve_raw(tag, tp, fp, tn, fn, precision, recall, step)
        pictures = {
            "images/confusion_matrix": confusion_picture(classes, found["confusion"]),
            "images/mistakes": mistakes_picture(found["wrong"]),
        }
        for tag, picture in pictures.items():
            if picture:
                self._writer.add_image(tag, np.asarray(picture), step, dataformats="HWC")
        self._writer.flush()

    def _add(self, summary: Summary) -> None:
        if self._writer is not None and self._writer.file_writer is not None:
            self._writer.file_writer.add_summary(summary, 0)


def image_grid(images: Tensor) -> Tensor:
    """The first n x n of a batch (N, C, H, W) as one picture (C, n (H + 2), n (W + 2)).

    torchvision's ``make_grid`` does the same after an import of 2.5 s in every worker.
    """
    side = math.isqrt(len(images))
    framed = F.pad(images[: side * side], (1, 1, 1, 1), value=0.3)
    rows = [torch.cat(list(row), dim=2) for row in framed.split(side)]
    return torch.cat(rows, dim=1)


def shows_inputs(log_dir: Path, grid: Tensor) -> bool:
    """Whether this run shows a picture of the inputs: in a sweep, the first trial that has it does.

    An empty file in its folder says so to the others, and goes with the folder. A trial that begins
    again shows it again. What is no trial of a sweep shows its own.
    """
    if not _trial_of(log_dir.name):
        return True
    digest = hashlib.sha256(grid.cpu().numpy().tobytes()).hexdigest()[:8]
    own = log_dir / f"inputs-{digest}.shown"
    if not own.exists():
        own.touch()
    first = own, own.stat().st_mtime_ns
    for path in log_dir.parent.glob(f"*/{own.name}"):
        with suppress(FileNotFoundError):  # its trial was not the first either
            first = min(first, (path, path.stat().st_mtime_ns), key=lambda one: (one[1], one[0]))
    if first[0] != own:
        own.unlink()
    return first[0] == own


def mark_failed(log_dir: Path) -> None:
    """Write the end of a run that failed for good, in an event file of its own."""
    with SummaryWriter(str(log_dir), filename_suffix=".failed") as writer:
        if writer.file_writer is not None:
            writer.file_writer.add_summary(_session_end(api_pb2.STATUS_FAILURE), 0)


def _add_histogram(writer: SummaryWriter, tag: str, values: Tensor, step: int) -> None:
    """Bin in torch: 30 times faster than handing the values to ``add_histogram``."""
    values = values.flatten().double().cpu()
    values = values[values.isfinite()]
    if not len(values):  # all of it diverged: there is nothing to draw
        return
    counts, edges = torch.histogram(values, BINS)
    writer.add_histogram_raw(
        tag,
        min=values.min().item(),
        max=values.max().item(),
        num=len(values),
        sum=values.sum().item(),
        sum_squares=values.square().sum().item(),
        bucket_limits=edges[1:].tolist(),
        bucket_counts=counts.tolist(),
        global_step=step,
    )


def _session_group(name: str, row: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """A run is a group of its own, but the trials of a sweep, ``<values>,seed=<n>,<id>``.

    Those that differ in nothing but the seed share one, and are its sessions.
    """
    if not _trial_of(name):
        return dict(row), name
    *values, _ = name.split(",")
    rest = {key: value for key, value in row.items() if key != "seed"}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:4]
    swept = ",".join(value for value in values if not value.startswith("seed="))
    return rest, f"{swept or 'all'},{digest}"


def _trial_of(name: str) -> str | None:
    """The id of the trial whose folder has this name; ``None`` if it is no trial's."""
    last = name.rpartition(",")[2]
    return last if re.fullmatch(r"[a-z2-7]{8}", last) else None


def _session_end(status: int) -> Summary:
    """The HParams plugin's record that a run has ended."""
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
    content = plugin_data_pb2.HParamsPluginData(
        session_end_info=end, version=metadata.PLUGIN_DATA_VERSION
    )
    value = Summary.Value(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=metadata.create_summary_metadata(content),
        tensor=metadata.NULL_TENSOR,
    )
    return Summary(value=[value])

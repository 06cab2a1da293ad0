"""Several training runs as one array: the loop of `loop.py`, for all of them at once.

Each run keeps what it has alone: its seed, its order of examples, its optimizer's settings and
schedule, its random numbers, its TensorBoard file and its checkpoints, which continue alone or in
any array. What is shared is the step. On a GPU the step is captured as a CUDA graph and replayed.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from trainer import choice
from trainer.config import Report
from trainer.data import Examples, splits_of
from trainer.fused import CannotFuse
from trainer.loop import end_epoch, one_epoch, pick_device
from trainer.paying import time_array
from trainer.state import TrainState
from trainer.task import Setup
from trainer.tensorboard import TensorBoardLogger
from trainer.together import TrainingArray
from trainer.trust import check_array, why_not


def run_array(
    setups: Sequence[Setup],
    *,
    reports: Sequence[Report],
    log_dirs: Sequence[Path | None],
    resume_from: Sequence[Path | None],
) -> list[Exception | None]:
    """See :meth:`trainer.Task.train_many`."""
    device = pick_device()
    members = [
        Member(setup, report, log_dir)
        for setup, report, log_dir in zip(setups, reports, log_dirs, strict=True)
    ]
    interrupted: BaseException | None = None
    try:
        for member, checkpoint_path in zip(members, resume_from, strict=True):
            with member.own_failures():
                member.begin(checkpoint_path, device)
        ready = sorted((member for member in members if not member.error), key=_epoch)
        for _, together in groupby(ready, key=_epoch):
            train_together(list(together), device)
    except BaseException as error:
        interrupted = error
        raise
    finally:
        for member in members:
            member.close(interrupted)
    return [member.error for member in members]


@dataclass
class Member:
    """One run in an array."""

    setup: Setup
    report: Report
    log_dir: Path | None
    error: Exception | None = None

    def begin(self, resume_from: Path | None, device: torch.device) -> None:
        """Build the model, from a checkpoint if there is one, and open the log."""
        self.state = TrainState.fresh(self.setup, device)
        if resume_from:
            self.state.restore(resume_from)
        self.logger = TensorBoardLogger(self.log_dir, self.setup.shown, self.state.purge_step)

    def log_model(self, inputs: Any) -> None:
        with self.own_failures():
            if self.state.epoch == 0:
                self.logger.log_model(self.state.model, inputs)

    def end_epoch(self, metrics: Mapping[str, float]) -> None:
        """Log, save and report."""
        with self.own_failures():
            end_epoch(self.state, metrics, self.logger, self.log_dir, self.report)

    @contextmanager
    def own_failures(self) -> Iterator[None]:
        """A failure in here stays this member's own."""
        try:
            yield
        except Exception as error:  # from the caller's report, the disk, a checkpoint
            self.error = error

    def close(self, interrupted: BaseException | None) -> None:
        error = interrupted or self.error
        if hasattr(self, "logger"):
            self.logger.__exit__(type(error) if error else None, error, None)


def train_together(members: list[Member], device: torch.device) -> None:
    """Train members that stand at the same epoch to their end."""
    setup = members[0].setup
    splits = splits_of(setup.task.load(setup.config), setup.settings.validation, device)
    example = splits["train"].example(100)
    for member in members:
        member.log_model(example)
    array, reason = form(members, splits, device)
    if array is None:
        print(f"not trained as an array, but one after the other: {reason}", flush=True)
        for member in members:
            train_alone(member, splits)
        return
    try:
        while members and members[0].state.epoch < setup.settings.epochs:
            for member, metrics in zip(members, epoch_of(array, members), strict=True):
                if not member.error:
                    member.end_epoch(metrics)
            ended = [index for index, member in enumerate(members) if member.error]
            if len(ended) == len(members):
                break
            if len(ended) >= len(members) / 2:
                array.drop(ended)
                members = [member for member in members if not member.error]
    finally:
        array.close()


def epoch_of(array: TrainingArray, members: Sequence[Member]) -> list[dict[str, float]]:
    """Train one epoch; where the array fails, its members train alone when they are tried again.

    Other errors, of reading the data say, are no reason to: they would change the last digits.
    """
    try:
        return array.epoch()
    except (CannotFuse, RuntimeError) as error:  # torch raises the latter, also without memory
        folders = [member.log_dir for member in members]
        choice.write(folders, together=False, because=f"it failed: {why_not(error)}")
        error.add_note("Tried again, the members of this array train one after the other.")
        raise


def form(
    members: Sequence[Member], splits: Mapping[str, Examples], device: torch.device
) -> tuple["TrainingArray | None", str]:
    """An array of the members, if there is one and it pays, and the reason.

    What was chosen when they began holds to their end.
    """
    folders = [member.log_dir for member in members]
    chosen = choice.read(folders)
    if chosen and not chosen["together"]:
        return None, str(chosen["because"])
    states = [member.state for member in members]
    try:
        array = TrainingArray(states, splits, device)
        if not chosen:
            check_array(array, states, splits["train"])
    except Exception as error:  # of a user's code; alone it will show again, if it is the user's
        reason = why_not(error)
        if not isinstance(error, torch.OutOfMemoryError):  # there may be enough another time
            choice.write(folders, together=False, because=reason)
        return None, reason
    if chosen:
        return array, str(chosen["because"])
    timing = time_array(array, states, splits["train"])
    reason = f"an array is {timing.ratio:.2f} times as fast here" if timing else "it is short"
    together = timing is None or timing.pays
    choice.write(folders, together=together, because=reason)
    if not together:
        array.close()
    return (array if together else None), reason


def train_alone(member: Member, splits: Mapping[str, Examples]) -> None:
    """Train one member to its end, or to its own failure."""
    with member.own_failures():
        while not member.error and member.state.epoch < member.setup.settings.epochs:
            member.end_epoch(one_epoch(member.state, splits))


def _epoch(member: Member) -> int:
    return member.state.epoch

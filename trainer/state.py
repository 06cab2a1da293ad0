"""All that changes while a run trains, and so all that a checkpoint holds."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from trainer import checkpoint
from trainer.batch import Order
from trainer.data import Examples, Split
from trainer.examination import Answers
from trainer.optimizers import build_optimizer
from trainer.reader import LARGEST_SEED
from trainer.schedules import schedule_of

if TYPE_CHECKING:
    from trainer.task import Setup

SHUFFLE_STREAM = 1 << 31
"""Added to the seed for the order of batches, so that it is not the stream of the weights.

torch's generator for the CPU uses the low 32 bits of a seed, so nothing above them would do."""


@dataclass
class TrainState:
    """A run between two epochs.

    Attributes:
        shuffling: draws the order of an epoch.
        noise: draws what is random in a step: dropout, augmentation.
        epoch: the last that was trained; 0 before the first.
        step: at which it stands in TensorBoard, and the number of its checkpoint: the epoch itself,
            but one less in a run that was begun when steps counted from 0.
        answers: what the model says of the test examples, after its last epoch, if it is asked.
    """

    setup: "Setup"
    model: nn.Module
    optimizer: Optimizer
    shuffling: Generator
    noise: Generator
    epoch: int = 0
    step: int = 0
    answers: Answers | None = None

    def __post_init__(self) -> None:
        self._rates = [group["lr"] for group in self.optimizer.param_groups]
        self._factor = _schedule(self.setup)

    @classmethod
    def fresh(cls, setup: "Setup", device: torch.device) -> Self:
        model = build_model(setup).to(device)
        seed = setup.settings.seed
        shuffling = Generator().manual_seed(SHUFFLE_STREAM + seed)
        noise = Generator(device).manual_seed(_noise_seed(seed))
        return cls(setup, model, build_optimizer(setup, model), shuffling, noise)

    @property
    def purge_step(self) -> int:
        """From which step on TensorBoard forgets what an earlier attempt has left."""
        return self.step + 1 if self.epoch else 0

    def draw_order(self, split: Examples) -> Order | None:
        """The order of the next epoch; ``None``: as the examples are stored."""
        settings = self.setup.settings
        if isinstance(split, Split):
            if not settings.shuffle:
                return None
            return Order(torch.randperm(len(split), generator=self.shuffling))
        one = Generator().manual_seed(self.epoch)
        generator = one if split.one_order else self.shuffling
        count = len(split)
        shuffled = settings.shuffle
        positions = torch.randperm(count, generator=generator) if shuffled else torch.arange(count)
        return Order(positions, int(torch.randint(LARGEST_SEED, (), generator=generator)))

    def set_rates(self, time: float) -> None:
        """Set the learning rate for a step at this time, in epochs with fractions."""
        if self._factor is None:
            return
        factor = self._factor(time)
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """What is random in evaluation follows from seed and epoch, and takes training no further.

        A model may draw then too, as one that samples what it gives.
        """
        before = self.noise.get_state()
        self.noise.manual_seed(_noise_seed(f"{self.setup.settings.seed} after {self.epoch}"))
        try:
            yield
        finally:
            self.noise.set_state(before)

    def asked(self, name: str, split: Examples) -> Answers | None:
        """Where what it says of a split is to go; ``None`` if nobody asks."""
        last = self.epoch + 1 == self.setup.settings.epochs
        if name == "test" and last and self.setup.classes:
            self.answers = Answers(split)
            return self.answers
        return None

    def to_dict(self) -> dict[str, Any]:
        self._put_rates_back()
        return {
            "model": _copied(self.model.state_dict()),
            "optimizer": _copied(self.optimizer.state_dict()),
            "shuffling": self.shuffling.get_state(),
            "noise": self.noise.get_state(),
            "epoch": self.epoch,
            "step": self.step,
        }

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint; raises ``CheckpointError`` if it is not one of this model."""
        saved = checkpoint.load(path)
        try:
            self.model.load_state_dict(saved["model"])
            own = self.optimizer.state_dict()["param_groups"]
            if _kinds(saved["optimizer"]["param_groups"]) != _kinds(own):
                raise ValueError("the optimizer's settings differ")
            # numbers are the configuration's: load_state_dict would take over the other run's
            self.optimizer.load_state_dict({**saved["optimizer"], "param_groups": own})
            self.shuffling.set_state(saved["shuffling"])
            if "noise" in saved:  # not in those from before there was any
                self.noise.set_state(saved["noise"])
            if "next_epoch" in saved:  # from when steps counted from 0: such a run goes on so
                saved |= {"epoch": saved["next_epoch"], "step": saved["next_epoch"] - 1}
            self.epoch, self.step = int(saved["epoch"]), int(saved["step"])
        except Exception as error:  # the file may hold anything
            raise checkpoint.CheckpointError(
                f"{path} is not a checkpoint of this model and optimizer: {error}"
            ) from error

    def _put_rates_back(self) -> None:
        """The rate of a step follows from its time; what is saved is what it is a factor of."""
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate


def build_model(setup: "Setup") -> nn.Module:
    """A freshly initialised network; the same seed gives the same weights.

    The layers draw from torch's global generator, so it is seeded for the length of this call
    and put back: nobody else's random numbers change.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(setup.settings.seed)  # not the GPUs' as well
        model: nn.Module = setup.task.build(setup.config)
        return model


def _kinds(groups: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What makes an optimizer another one: all of its settings but their numbers."""
    return [{name: _kind(value) for name, value in group.items()} for group in groups]


def _kind(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_kind(item) for item in value]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "a number" if is_number else value


def _schedule(setup: "Setup") -> Any:
    own = setup.task.schedule
    if own is None:
        return schedule_of(setup.settings)
    return lambda time: float(own(time, setup.config))


def _noise_seed(seed: int | str) -> int:
    """Another stream than those of the weights and the order, which have all other seeds."""
    return int.from_bytes(hashlib.sha256(f"noise {seed}".encode()).digest()[:4], "big")


def _copied(value: Any) -> Any:
    """Tensors of their own: in an array they are views, and a view is saved with all of it."""
    if isinstance(value, Tensor):
        return value.clone()
    return {k: _copied(v) for k, v in value.items()} if isinstance(value, dict) else value

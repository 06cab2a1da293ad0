"""Losses and metrics: of one model, and of all models of an array at once.

A loss or metric is called for one member after another, as it stands. The few that almost everyone
uses have a form over all members here, which saves starting their kernels once for each.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.batch import each, leaves

ELEMENTWISE = (
    F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.binary_cross_entropy,
    F.binary_cross_entropy_with_logits,
)  # fmt: skip
"""Losses that are the mean of something for each number."""


IGNORED = -100
"""A target that says of an example, or of a place in it, that it does not count, as in torch."""


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Whether the largest output is the target's: scores (N, classes, ...), targets (N, ...)."""
    return outputs.argmax(dim=1) == targets


METRICS = {"accuracy": accuracy}
"""Metrics that a task may name."""


def resolve_metrics(named: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    """Metrics, or those of :data:`METRICS` by their names.

    Raises:
        ValueError: there is none of this name.
    """
    found = {}
    for name, metric in named.items():
        if isinstance(metric, str) and metric not in METRICS:
            raise ValueError(f"metrics: must be a function or {', '.join(METRICS)}, got {metric!r}")
        found[name] = METRICS[metric] if isinstance(metric, str) else metric
    return found


def resolve_loss(loss: Any) -> Callable[..., Tensor]:
    """A loss, or one of ``torch.nn.functional`` by its name.

    Raises:
        ValueError: there is none of this name.
    """
    if not isinstance(loss, str):
        return loss  # type: ignore[no-any-return]
    found = getattr(F, loss, None)
    if not callable(found):
        raise ValueError(f"loss: torch.nn.functional has no {loss!r}")
    return found  # type: ignore[no-any-return]


def loss_of(loss: Callable[..., Tensor], outputs: Any, targets: Any, smoothing: float) -> Tensor:
    """The mean loss of a batch."""
    if smoothing and isinstance(loss, nn.CrossEntropyLoss):
        return F.cross_entropy(
            *(outputs, targets, loss.weight),
            ignore_index=loss.ignore_index,
            reduction=loss.reduction,
            label_smoothing=smoothing,
        )
    if smoothing:
        return loss(outputs, targets, label_smoothing=smoothing)
    return loss(outputs, targets)


def losses_of(
    loss: Callable[..., Tensor], outputs: Any, targets: Any, smoothings: Sequence[float]
) -> Tensor:
    """Each member's mean loss, (K), of what all of them gave: (K, N, ...)."""
    if loss is F.cross_entropy and isinstance(outputs, Tensor) and not targets.is_floating_point():
        return _cross_entropies(outputs, targets, smoothings)
    if loss in ELEMENTWISE and outputs.shape == targets.shape:
        return loss(outputs, targets, reduction="none").flatten(1).mean(dim=1)
    members = zip(range(len(smoothings)), smoothings, strict=True)
    return torch.stack(
        [loss_of(loss, member_of(outputs, k), member_of(targets, k), s) for k, s in members]
    )


def member_of(values: Any, index: int) -> Any:
    """One member's part of what all gave."""
    return each(lambda tensor: tensor[index], values)


def _cross_entropies(outputs: Tensor, targets: Tensor, smoothings: Sequence[float]) -> Tensor:
    if outputs.dim() == 3:
        scores, classes = outputs.transpose(1, 2), targets  # lies so in an array of lanes
    else:
        scores, classes = outputs.flatten(0, 1), targets.flatten(0, 1)
    hard = F.cross_entropy(scores, classes, reduction="none")
    kept = classes.view(len(targets), -1) != IGNORED
    counts = kept.sum(dim=1)
    losses = hard.view(len(targets), -1).sum(dim=1) / counts
    if not any(smoothings):
        return losses
    # made where it is needed: a copy from the host could not be part of a captured step
    part = torch.cat([losses.new_full((1,), smoothing) for smoothing in smoothings])
    spread = -F.log_softmax(scores, dim=1).mean(dim=1)
    return (1 - part) * losses + part * (spread.view(len(targets), -1) * kept).sum(dim=1) / counts


class Totals:
    """Sums over an epoch, kept on the device; reading them is the epoch's one synchronisation.

    Args:
        means: metrics that are averaged over the examples: functions of outputs and targets.
        counts: metrics that are summed.
        members: how many models are counted side by side; ``None`` for one alone.
    """

    def __init__(
        self,
        means: Mapping[str, Any],
        counts: Mapping[str, Any],
        device: torch.device,
        members: int | None = None,
    ) -> None:
        self._functions = resolve_metrics({**means, **counts})
        self._counts = frozenset(counts)
        self._shape = () if members is None else (members,)
        self._device = device
        self.loss = torch.zeros(self._shape, dtype=torch.float64, device=device)
        self._sums: dict[str, Tensor] = {}
        self._per_example: dict[str, float] = {}

    def reset(self) -> None:
        """In place, as captured steps add to the same memory."""
        self.loss.zero_()
        for total in self._sums.values():
            total.zero_()

    def add(self, mean_losses: Tensor, outputs: Any, targets: Any, count: int) -> None:
        """Add a batch of this many examples."""
        self.loss += mean_losses * count
        for name, function in self._functions.items():
            total, numbers = self._measure(function, outputs, targets, count)
            if name not in self._sums:
                kind = torch.float64 if total.is_floating_point() else torch.int64
                self._sums[name] = torch.zeros(self._shape, dtype=kind, device=self._device)
            self._sums[name] += total
            self._per_example[name] = numbers / count

    def _measure(
        self, function: Callable[..., Any], outputs: Any, targets: Any, count: int
    ) -> tuple[Tensor, int]:
        """A metric's sum over a batch, and how many numbers it is of."""
        if not self._shape:
            return _sum(function(outputs, targets), count, self._device)
        if function is accuracy:
            right = outputs.argmax(dim=2) == targets
            return right.flatten(1).sum(dim=1), right[0].numel()
        measured = [
            _sum(function(member_of(outputs, k), member_of(targets, k)), count, self._device)
            for k in range(self._shape[0])
        ]
        return torch.stack([total for total, _ in measured]), measured[0][1]

    def read(self, split: str, count: int) -> list[dict[str, float]]:
        """Each member's means and counts over this many examples."""
        losses = self.loss.reshape(-1).tolist()
        sums = {name: total.reshape(-1).tolist() for name, total in self._sums.items()}
        return [
            {f"loss/{split}": losses[k] / count}
            | {
                f"{name}/{split}": values[k]
                if name in self._counts
                else values[k] / (count * self._per_example[name])
                for name, values in sums.items()
            }
            for k in range(len(losses))
        ]


def _sum(value: Any, count: int, device: torch.device) -> tuple[Tensor, int]:
    """The sum of a metric's numbers; one number alone is the mean of a batch."""
    found = torch.as_tensor(value, device=device)
    if found.dim() == 0:
        return found.double() * count, count
    if not found.is_floating_point():
        return found.sum(dtype=torch.int64), found.numel()
    return found.sum(dtype=torch.float64), found.numel()


def in_full(outputs: Any) -> Any:
    """Outputs in the type of the weights, whatever the layers computed in."""
    kind = torch.get_default_dtype()
    return each(lambda t: t.to(kind) if t.is_floating_point() else t, outputs)


def on_device(loss: Any, device: torch.device) -> Any:
    """A loss that is a module has weights of its own."""
    return loss.to(device) if isinstance(loss, nn.Module) else loss


def detached(outputs: Any) -> Any:
    return each(lambda tensor: tensor.detach(), outputs)


def first_leaf(values: Any) -> Tensor:
    return leaves(values)[0]  # type: ignore[no-any-return]

"""Recurrent networks in an array learn what each would alone."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from tests.trainer.fused.both import build, learns_the_same
from trainer.fused import CannotFuse, ModuleArray, cells

EXAMPLE = (2, 7, 5)
"""Sequences of seven steps of five numbers."""


class Last(nn.Module):
    """A classifier of the last step, of all steps' mean, and of the last state."""

    def __init__(self, kind: type[nn.RNNBase], **settings: object) -> None:
        super().__init__()
        self.cells = kind(5, 6, batch_first=True, **settings)  # type: ignore[arg-type]
        self.out = nn.Linear(6 * (2 if self.cells.bidirectional else 1), 10)

    def forward(self, x: Tensor) -> Tensor:
        outputs, last = self.cells(x)
        last = last[0] if isinstance(last, tuple) else last
        seen: Tensor = self.out(outputs[:, -1]) + self.out(outputs.mean(dim=1))
        return seen + last[-1].sum(dim=-1, keepdim=True)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize(
    "settings",
    [{}, {"num_layers": 2, "bidirectional": True}, {"num_layers": 3, "dropout": 0.4},
     {"bias": False}],
    ids=["plain", "deep, both ways", "dropout", "no bias"],
)  # fmt: skip
def test_recurrent_layers(kind: type[nn.RNNBase], settings: dict[str, object]) -> None:
    learns_the_same(lambda: Last(kind, **settings), torch.rand(*EXAMPLE))


def test_an_lstm_of_whole_vectors_has_kernels_of_its_own() -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(5, 5), _Outputs(nn.LSTM(5, 32, 2, batch_first=True)))

    learns_the_same(make, torch.rand(*EXAMPLE))


class _Outputs(nn.Module):
    def __init__(self, cells: nn.Module) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, x: Tensor) -> Tensor:
        outputs, (hidden, cell) = self.cells(x)
        return torch.cat((3 * outputs[:, ::2].mean(dim=1), hidden[0], cell[1]), dim=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kernels_keep_extremes_and_what_is_not_a_number(dtype: torch.dtype) -> None:
    gates = torch.tensor([0.0, 1e-4, -3, 30, -30, 1e4, -1e4, torch.nan], dtype=dtype).repeat(2)
    now = gates.expand(1, 1, 4, 16).reshape(1, 1, 64).contiguous()
    active, cell = torch.empty(1, 1, 1, 64, dtype=dtype), torch.zeros(1, 2, 1, 16, dtype=dtype)
    squashed, outputs = (torch.empty(1, 1, 1, 16, dtype=dtype) for _ in range(2))
    cells.there(0, now, active, cell, squashed, outputs)
    want = now.sigmoid()
    want[..., 48:] = now[..., 48:].tanh()
    rounding = 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(active[0], want, rtol=rounding, atol=rounding, equal_nan=True)
    new = want[..., :16] * want[..., 48:]
    torch.testing.assert_close(cell[:, 1], new, rtol=rounding, atol=rounding, equal_nan=True)


class TimeFirst(nn.Module):
    """Steps first, from a state that is learned, by its name in ``nonlinearity``."""

    def __init__(self) -> None:
        super().__init__()
        self.begin = nn.Parameter(torch.zeros(1, 1, 6))
        self.cells = nn.RNN(5, 6, nonlinearity="relu")
        self.gates = nn.LSTM(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        steps = x.transpose(0, 1)
        outputs, _ = self.cells(steps, self.begin.expand(1, len(x), 6).contiguous())
        outputs, (hidden, cell) = self.gates(outputs)
        return torch.cat((outputs[-1], hidden[0], cell[0]), dim=1)


def test_steps_first_and_a_first_state_that_is_learned() -> None:
    learns_the_same(TimeFirst, torch.rand(*EXAMPLE))


class ByHand(nn.Module):
    """A loop of one's own over cells."""

    def __init__(self, kind: type[nn.RNNCellBase]) -> None:
        super().__init__()
        self.cell, self.out = kind(5, 6), nn.Linear(6, 10)  # type: ignore[call-arg]

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for step in x.unbind(dim=1):
            state = self.cell(step, state)
        return self.out(state[0] if isinstance(state, tuple) else state)  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_cells_in_a_loop_of_the_forwards_own(kind: type[nn.RNNCellBase]) -> None:
    learns_the_same(lambda: ByHand(kind), torch.rand(*EXAMPLE))


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.GRU(5, 6, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, torch.full((len(x),), 7), batch_first=True)
        return self.cells(packed)[1][0]  # type: ignore[no-any-return]


def test_packed_sequences_and_projections_are_refused() -> None:
    with pytest.raises(CannotFuse, match=r"numbers in a tensor|packed"):
        ModuleArray(build(Packed), torch.rand(*EXAMPLE))
    with pytest.raises(CannotFuse, match="proj_size"):
        ModuleArray(build(lambda: nn.LSTM(5, 6, proj_size=3)), torch.rand(*EXAMPLE))

"""LSTM, GRU and plain recurrent networks: K models step together, one batched product a step.

``torch.vmap`` runs an LSTM for one member after another, and takes a GRU apart. Here inputs are
projected for all steps at once; a step is a product of the states and a few kernels over all gates;
and the way back is written out, so that nobody has thousands of small tensors to keep (`steps.py`).

Cost: an LSTM alone has a kernel of its own in torch on CPUs; with kernels between the products
(`cells.py`) an array is half again as fast. A GRU has none, and is twice as fast here.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from trainer.fused.common import CannotFuse
from trainer.fused.forms.linear import linear
from trainer.fused.forms.registry import RANDOM, chosen, form
from trainer.fused.forms.steps import GRUSteps, LSTMSteps
from trainer.fused.streams import Streams

Layer = Callable[..., tuple[Tensor, list[Tensor]]]
"""Maps inputs (K, T, N, in), states (K, N, H), and weights to outputs and the last states."""


@chosen(torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu)
def recurrent(function: Any, x: Tensor, second: Any, *rest: Any) -> Any:
    """torch gives them inputs and states; with packed sequences, sizes and so on."""
    if isinstance(second, Tensor) and rest and isinstance(rest[0], Tensor | tuple):
        raise CannotFuse(f"{function.__name__}: packed sequences have no array form")
    forms: Any = {torch.lstm: _lstm, torch.gru: _gru, torch.rnn_tanh: _rnn_tanh}
    return forms.get(function, _rnn_relu)


RANDOM.update((torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu))


def _lstm(x: Tensor, states: Sequence[Tensor], *rest: Any, streams: Streams) -> Any:
    """x (K, N, T, in) or (K, T, N, in); states two of (K, layers, N, H)."""
    if states[0].shape[-1] != states[1].shape[-1]:
        raise CannotFuse("lstm: proj_size has no array form")
    return _layers(_lstm_layer, x, states, *rest, streams=streams)


def _gru(x: Tensor, state: Tensor, *rest: Any, streams: Streams) -> Any:
    return _layers(_gru_layer, x, [state], *rest, streams=streams)


def _rnn_tanh(x: Tensor, state: Tensor, *rest: Any, streams: Streams) -> Any:
    return _layers(_rnn_layer(torch.tanh), x, [state], *rest, streams=streams)


def _rnn_relu(x: Tensor, state: Tensor, *rest: Any, streams: Streams) -> Any:
    return _layers(_rnn_layer(torch.relu), x, [state], *rest, streams=streams)


def _layers(
    layer: Layer,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    training: bool,
    bidirectional: bool,
    batch_first: bool,
    *,
    streams: Streams,
) -> tuple[Tensor, ...]:
    """All layers, in both directions; arguments as torch's own functions take them."""
    if batch_first:
        x = x.transpose(1, 2)
    directions = 2 if bidirectional else 1
    each = 4 if has_biases else 2
    last: list[list[Tensor]] = []
    for number in range(num_layers):
        outputs = []
        for direction in range(directions):
            place = number * directions + direction
            own = list(weights[place * each : (place + 1) * each])
            if not has_biases:
                own += [own[0].new_zeros(own[0].shape[:2])] * 2
            begin = [state[:, place] for state in states]
            steps = x.flip(1) if direction else x
            output, ended = layer(steps, begin, *own)
            outputs.append(output.flip(1) if direction else output)
            last.append(ended)
        x = outputs[0] if directions == 1 else torch.cat(outputs, dim=-1)
        if training and dropout > 0 and number < num_layers - 1:
            x = x * streams.kept(x.shape[1:], dropout, x)
    ends = [torch.stack(list(same), dim=1) for same in zip(*last, strict=True)]
    return (x.transpose(1, 2) if batch_first else x, *ends)


def _lstm_layer(
    x: Tensor, begin: Sequence[Tensor], w_in: Tensor, w: Tensor, b_in: Tensor, b: Tensor
) -> tuple[Tensor, list[Tensor]]:
    w_in, w, bias = (_sigmoids_first(one) for one in (w_in, w, b_in + b))
    gates = linear(x, w_in, bias)
    outputs, cells = LSTMSteps.apply(gates, w.to(gates.dtype), *(s.to(gates.dtype) for s in begin))
    return outputs, [outputs[:, -1], cells]


def _sigmoids_first(weights: Tensor) -> Tensor:
    """Gates i, f, g, o as i, f, o, g: three sigmoids side by side."""
    i, f, g, o = weights.chunk(4, dim=1)
    return torch.cat((i, f, o, g), dim=1)


def _gru_layer(
    x: Tensor, begin: Sequence[Tensor], w_in: Tensor, w: Tensor, b_in: Tensor, b: Tensor
) -> tuple[Tensor, list[Tensor]]:
    gates = linear(x, w_in, b_in)
    dtype = gates.dtype
    outputs = GRUSteps.apply(gates, w.to(dtype), b.to(dtype), begin[0].to(dtype))
    return outputs, [outputs[:, -1]]


def _rnn_layer(activation: Callable[[Tensor], Tensor]) -> Layer:
    def layer(
        x: Tensor, begin: Sequence[Tensor], w_in: Tensor, w: Tensor, b_in: Tensor, b: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        gates = linear(x, w_in, b_in + b)
        state, turned = begin[0].to(gates.dtype), w.to(gates.dtype).transpose(1, 2)
        states = []
        for gate in gates.unbind(1):
            state = activation(torch.baddbmm(gate, state, turned))
            states.append(state)
        return torch.stack(states, dim=1), [state]

    return layer


@form(torch.lstm_cell)
def lstm_cell(
    x: Tensor, states: Sequence[Tensor], w_in: Tensor, w: Tensor, b_in: Any = None, b: Any = None
) -> tuple[Tensor, Tensor]:
    """One step: x (K, N, in), states two of (K, N, H)."""
    gates = linear(x, w_in, b_in) + linear(states[0], w, b)
    i, f, g, o = gates.chunk(4, dim=-1)
    cell = f.sigmoid() * states[1] + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


@form(torch.gru_cell)
def gru_cell(
    x: Tensor, state: Tensor, w_in: Tensor, w: Tensor, b_in: Any = None, b: Any = None
) -> Tensor:
    given, own = linear(x, w_in, b_in).chunk(3, dim=-1), linear(state, w, b).chunk(3, dim=-1)
    reset, update = (given[0] + own[0]).sigmoid(), (given[1] + own[1]).sigmoid()
    new = (given[2] + reset * own[2]).tanh()
    return torch.lerp(new, state, update)


@form(torch.rnn_tanh_cell)
def rnn_tanh_cell(
    x: Tensor, state: Tensor, w_in: Tensor, w: Tensor, b_in: Any = None, b: Any = None
) -> Tensor:
    return (linear(x, w_in, b_in) + linear(state, w, b)).tanh()


@form(torch.rnn_relu_cell)
def rnn_relu_cell(
    x: Tensor, state: Tensor, w_in: Tensor, w: Tensor, b_in: Any = None, b: Any = None
) -> Tensor:
    return (linear(x, w_in, b_in) + linear(state, w, b)).relu()

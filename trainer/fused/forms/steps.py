"""The steps of K recurrent layers, there and back.

Tensors are (K, T, N, ...): models, steps, examples. What does not depend on the step before is
done for all steps at once, before or after the loop.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainer.fused.common import MULTIPLE


class LSTMSteps(torch.autograd.Function):
    """gates (K, T, N, 4 H) in the order i, f, o, g; weight (K, 4 H, H); states (K, N, H).

    Returns the hidden states (K, T, N, H) and the last cells (K, N, H).
    """

    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor]:
        models, steps, count, width = gates.shape
        size = width // 4
        active = torch.empty_like(gates, memory_format=torch.contiguous_format)
        cells = gates.new_empty(models, steps + 1, count, size)
        squashed, outputs = (gates.new_empty(models, steps, count, size) for _ in range(2))
        cells[:, 0] = cell
        turned, state = weight.transpose(1, 2), hidden
        compiled = _may_be_compiled(gates, size)
        for t in range(steps):
            now = torch.baddbmm(gates[:, t], state, turned)
            if compiled:
                compiled.there(t, now, active, cells, squashed, outputs)
                state = outputs[:, t]
                continue
            torch.sigmoid(now[..., : 3 * size], out=active[:, t, :, : 3 * size])
            torch.tanh(now[..., 3 * size :], out=active[:, t, :, 3 * size :])
            i, f, o, g = active[:, t].split(size, dim=-1)
            cell = torch.mul(f, cells[:, t], out=cells[:, t + 1]).addcmul_(i, g)
            torch.tanh(cell, out=squashed[:, t])
            state = torch.mul(o, squashed[:, t], out=outputs[:, t])
        ctx.save_for_backward(weight, hidden, active, cells, squashed, outputs)
        return outputs, cells[:, -1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        to_outputs, to_cell = gradients[0].contiguous(), gradients[1].clone()
        weight, hidden, active, cells, squashed, outputs = ctx.saved_tensors
        to_gates = torch.empty_like(active)
        to_cell = to_cell.contiguous()
        to_state = torch.zeros_like(to_cell)
        tensors = (to_outputs, active, cells, squashed, to_gates)
        compiled = _may_be_compiled(active, outputs.shape[-1])
        slopes = None if compiled else _slopes(active, squashed)
        for t in reversed(range(outputs.shape[1])):
            if compiled:
                compiled.back(t, to_state, to_cell, *tensors)
            else:
                _step_back(t, to_state, to_cell, slopes, *tensors)
            to_state = torch.bmm(to_gates[:, t], weight)
        before = torch.cat((hidden.unsqueeze(1), outputs[:, :-1]), dim=1)
        return to_gates, _product(to_gates, before), to_state, to_cell


def _may_be_compiled(gates: Tensor, size: int) -> Any:
    """The kernels for what is between two products, where they can be used; else ``None``."""
    if gates.device.type != "cpu" or gates.dtype not in (torch.float32, torch.float64):
        return None
    if size % MULTIPLE:
        return None
    from trainer.fused import cells  # LLVM, which GPUs do not need

    return cells


def _slopes(active: Tensor, squashed: Tensor) -> tuple[Tensor, Tensor]:
    """Of all gates, and of a cell's gradient through the states, for all steps at once."""
    size = squashed.shape[-1]
    _, _, o, g = active.split(size, dim=-1)
    slopes = active * (1 - active)
    torch.sub(1, g * g, out=slopes[..., 3 * size :])
    return slopes, o * (1 - squashed * squashed)


def _step_back(
    t: int,
    to_state: Tensor,
    to_cell: Tensor,
    slopes: Any,
    to_outputs: Tensor,
    active: Tensor,
    cells: Tensor,
    squashed: Tensor,
    to_gates: Tensor,
) -> None:
    """As :func:`trainer.fused.cells.back`, in operations of torch."""
    i, f, _, g = active[:, t].split(squashed.shape[-1], dim=-1)
    to_state = to_state + to_outputs[:, t]
    to_cell.addcmul_(to_state, slopes[1][:, t])
    to_i, to_f, to_o, to_g = to_gates[:, t].split(squashed.shape[-1], dim=-1)
    torch.mul(to_cell, g, out=to_i)
    torch.mul(to_cell, cells[:, t], out=to_f)
    torch.mul(to_state, squashed[:, t], out=to_o)
    torch.mul(to_cell, i, out=to_g)
    to_gates[:, t].mul_(slopes[0][:, t])
    to_cell.mul_(f)


class GRUSteps(torch.autograd.Function):
    """gates (K, T, N, 3 H) in the order r, z, n; weight (K, 3 H, H); bias (K, 3 H).

    Given the state (K, N, H), returns the hidden states (K, T, N, H).
    """

    @staticmethod
    def forward(ctx: Any, gates: Tensor, weight: Tensor, bias: Tensor, hidden: Tensor) -> Tensor:
        models, steps, count, width = gates.shape
        size = width // 3
        active = torch.empty_like(gates, memory_format=torch.contiguous_format)
        inner, outputs = (gates.new_empty(models, steps, count, size) for _ in range(2))
        turned, biases, state = weight.transpose(1, 2), bias.unsqueeze(1), hidden
        for t in range(steps):
            own = torch.baddbmm(biases, state, turned)
            both = torch.add(
                gates[:, t, :, : 2 * size], own[..., : 2 * size], out=active[:, t, :, : 2 * size]
            ).sigmoid_()
            reset, update = both.split(size, dim=-1)
            inner[:, t] = own[..., 2 * size :]
            new = active[:, t, :, 2 * size :]
            torch.addcmul(gates[:, t, :, 2 * size :], reset, inner[:, t], out=new).tanh_()
            state = torch.lerp(new, state, update, out=outputs[:, t])
        ctx.save_for_backward(weight, hidden, active, inner, outputs)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (to_outputs,) = gradients
        weight, hidden, active, inner, outputs = ctx.saved_tensors
        size, steps = outputs.shape[-1], outputs.shape[1]
        reset, update, new = active.split(size, dim=-1)
        before = torch.cat((hidden.unsqueeze(1), outputs[:, :-1]), dim=1)
        # what a gradient of the state becomes at z and at n, and from n on at r and at the product
        at_z = (before - new) * update * (1 - update)
        at_n = (1 - update) * (1 - new * new)
        at_r = inner * reset * (1 - reset)
        to_own = torch.empty_like(active)
        to_new = torch.empty_like(outputs)
        to_state = torch.zeros_like(hidden)
        for t in reversed(range(steps)):
            to_state = to_state + to_outputs[:, t]
            to_r, to_z, to_inner = to_own[:, t].split(size, dim=-1)
            of_new = torch.mul(to_state, at_n[:, t], out=to_new[:, t])
            torch.mul(to_state, at_z[:, t], out=to_z)
            torch.mul(of_new, at_r[:, t], out=to_r)
            torch.mul(of_new, reset[:, t], out=to_inner)
            kept = to_state.mul_(update[:, t])
            to_state = torch.baddbmm(kept, to_own[:, t], weight)
        to_gates = torch.cat((to_own[..., : 2 * size], to_new), dim=-1)
        return to_gates, _product(to_own, before), to_own.sum(dim=(1, 2)), to_state


def _product(to_gates: Tensor, states: Tensor) -> Tensor:
    """The weights' gradient, (K, gates, H), summed over steps and examples."""
    return torch.bmm(to_gates.flatten(1, 2).transpose(1, 2), states.flatten(1, 2))

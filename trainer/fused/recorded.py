"""An array of models of any kind: their tensors stacked, and their forward recorded.

Parameters and buffers become (K, *shape), inputs (K, N, ...). For each shape of the inputs, in
training and in evaluation, the forward of one member is recorded once (`recorder.py`).
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainer.batch import each, form, leaves
from trainer.fused.recorder import Notes, record
from trainer.fused.streams import Rates, Streams
from trainer.fused.structure import rates_of


class Recorded:
    """The stacked tensors of models of one structure, and what is computed of them.

    Attributes:
        parameters: by a member's name for them, (K, *shape) each.
        buffers: likewise.
    """

    name = "recorded"

    def __init__(self, members: Sequence[nn.Module], streams: Streams) -> None:
        self._size, self._streams = len(members), streams
        self._pattern = copy.deepcopy(members[0])
        _put_rates(self._pattern, members)
        self.parameters: dict[str, nn.Parameter] = {}
        for name, parameter in members[0].named_parameters():
            own = [member.get_parameter(name).data for member in members]
            self.parameters[name] = nn.Parameter(torch.stack(own), parameter.requires_grad)
        self.buffers = {
            name: torch.stack([member.get_buffer(name) for member in members])
            for name, _ in members[0].named_buffers()
        }
        self._notes: dict[Any, Notes] = {}

    def arrange(self, inputs: Tensor) -> Tensor:
        return inputs

    def gather(self, images: Tensor, index: Tensor) -> Tensor:
        """Bytes (M, C, H, W) at an index (K, N), as numbers in [0, 1]."""
        return images[index].to(torch.get_default_dtype()).div_(255)

    def run(self, arranged: Any, count: int, *, training: bool) -> Any:
        """What the forward gives, with the members in front."""
        inputs = leaves(arranged)
        shapes = tuple((tensor.shape, tensor.dtype, tensor.device) for tensor in inputs)
        autocast = torch.is_autocast_enabled(inputs[0].device.type)
        key = (training, autocast, form(arranged), shapes)
        notes = self._notes.get(key)
        if notes is None:
            # other numbers than those that it will first run on: were they part of the notes,
            # the comparison with the members would show it
            own = each(lambda tensor: tensor[0].roll(1, dims=0), arranged)
            pattern = copy.deepcopy(self._pattern).train(training)
            notes = record(pattern, own, self._held, self._size, self._streams)
            self._notes[key] = notes
        return notes.run(*inputs)

    def tie(self, members: Sequence[nn.Module]) -> None:
        """The members' tensors become views of the array's."""
        for name, parameter in self.parameters.items():
            for member, own in zip(members, parameter.data, strict=True):
                member.get_parameter(name).data = own
        for name, buffer in self.buffers.items():
            module, _, attribute = name.rpartition(".")
            for member, own in zip(members, buffer, strict=True):
                setattr(member.get_submodule(module), attribute, own)

    def _held(self, name: str) -> Tensor:
        return self.parameters[name] if name in self.parameters else self.buffers[name]


def _put_rates(pattern: nn.Module, members: Sequence[nn.Module]) -> None:
    """Where the members' dropout rates differ, the pattern holds all of them."""
    found = [rates_of(member) for member in members]
    for place in found[0]:
        rates = [own[place] for own in found]
        if len(set(rates)) > 1:
            module, attribute = place
            setattr(pattern.get_submodule(module), attribute, Rates(rates))

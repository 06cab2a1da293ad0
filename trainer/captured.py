"""A step as one CUDA graph."""

from collections.abc import Callable, Sequence

import torch

WARM_UP = 2
"""Steps of a shape that run before it is captured as a CUDA graph, so that libraries are set up."""


class CapturedStep:
    """A step that runs as it is at first, and from then on as one CUDA graph.

    Starting some sixty small kernels takes longer than running them; a graph starts them as one.
    """

    def __init__(self, step: Callable[[], None], streams: Sequence[torch.Generator] = ()) -> None:
        """``streams``: what the step draws random numbers from; each replay goes on in them."""
        self._step = step
        self._left = WARM_UP
        self._graph = torch.cuda.CUDAGraph()
        for stream in streams:
            self._graph.register_generator_state(stream)

    def __call__(self) -> None:
        if self._left > 0:
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                self._step()
            torch.cuda.current_stream().wait_stream(stream)
        else:
            if self._left == 0:
                with torch.cuda.graph(self._graph):
                    self._step()
            self._graph.replay()
        self._left -= 1

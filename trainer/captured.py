"""A step as one CUDA graph."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

WARM_UP = 2
"""Steps of a shape that run before it is captured as a CUDA graph, so that libraries are set up."""

WAITS = "synchronizing CUDA operation"
"""Of this torch warns where a program waits for the GPU, if it is asked to."""


class CapturedStep:
    """A step that runs as it is at first, and from then on as one CUDA graph.

    Starting some sixty small kernels takes longer than running them; a graph starts them as one.
    A step that waits for the GPU, as a loss that looks at its numbers does, cannot be captured: it
    goes on as it is, and that is said.
    """

    def __init__(self, step: Callable[[], None], streams: Sequence[torch.Generator] = ()) -> None:
        """``streams``: what the step draws random numbers from; each replay goes on in them."""
        self._step = step
        self._left = WARM_UP
        self._waits = False
        self._graph = torch.cuda.CUDAGraph()
        for stream in streams:
            self._graph.register_generator_state(stream)

    def __call__(self) -> None:
        if self._left > 0 or self._waits:
            self._run()
        else:
            if self._left == 0:
                with torch.cuda.graph(self._graph):
                    self._step()
            self._graph.replay()
        self._left -= 1

    def _run(self) -> None:
        """On a stream of its own, as is required before a capture."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            if self._left == 1:  # what is set up once has been
                with _watched() as waits:
                    self._step()
                self._waits = bool(waits)
            else:
                self._step()
        torch.cuda.current_stream().wait_stream(stream)


@contextmanager
def _watched() -> Iterator[list[str]]:
    """What waits for the GPU in here is named afterwards."""
    found: list[str] = []
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            torch.cuda.set_sync_debug_mode(before)
    for warning in told:
        if WAITS in str(warning.message):
            found.append(f"{warning.filename}:{warning.lineno}")
    if found:
        print(f"a step waits for the GPU at {found[0]}: it is not captured", flush=True)

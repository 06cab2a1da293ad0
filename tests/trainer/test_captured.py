"""When a step is captured, on a stand-in for the GPU that counts what is asked of it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from trainer.captured import WARM_UP, CapturedStep


class Graph:
    """Counts captures and replays; a replay is what was captured."""

    def __init__(self) -> None:
        self.captured = self.replayed = 0

    @contextmanager
    def capture(self) -> Iterator[None]:
        self.captured += 1
        yield

    def replay(self) -> None:
        self.replayed += 1


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> Graph:
    made, mode = Graph(), ["default"]
    stream = SimpleNamespace(wait_stream=lambda other: None)
    fakes: dict[str, Any] = {
        "CUDAGraph": lambda: made,
        "graph": Graph.capture,
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
        "stream": lambda _: nullcontext(),
        "get_sync_debug_mode": lambda: mode[-1],
        "set_sync_debug_mode": mode.append,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake, raising=False)
    return made


def test_after_its_first_steps_it_is_captured_once_and_replayed(graph: Graph) -> None:
    ran: list[int] = []
    step = CapturedStep(lambda: ran.append(graph.captured))
    for _ in range(WARM_UP + 3):
        step()
    assert ran == [0, 0, 1]
    assert (graph.captured, graph.replayed) == (1, 3)


def test_one_that_waits_for_the_gpu_goes_on_as_it_is_and_says_where(
    graph: Graph, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def waits() -> None:
        ran.append(torch.cuda.get_sync_debug_mode())  # type: ignore[arg-type]
        if ran[-1] == "warn":
            warnings.warn("called a synchronizing CUDA operation", stacklevel=1)

    step = CapturedStep(waits)
    for _ in range(WARM_UP + 3):
        step()
    assert ran == ["default", "warn", "default", "default", "default"]
    assert (graph.captured, graph.replayed) == (0, 0)
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("a step waits for the GPU at ") and "test_captured.py:" in line

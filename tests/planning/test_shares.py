"""What a trial gets of a machine or cluster, and what can never be met."""

import pytest

from sweeps.cluster.local import count_gpus
from sweeps.definition.sweep_file import Resources
from sweeps.errors import ClusterError
from sweeps.planning.shares import Node, decide_share

LAPTOP = [Node(2, 0)]
BOX = [Node(16, 2)]


@pytest.mark.parametrize(
    ("resources", "nodes", "gpu", "at_once"),
    [
        (Resources(), LAPTOP, 0, 2),
        (Resources(), BOX, 0.25, 8),
        (Resources(cpu=4), BOX, 0.25, 4),
        (Resources(gpu=0.3), BOX, 0.3, 6),
        (Resources(gpu=2), BOX, 2, 1),
        (Resources(gpu=0), BOX, 0, 16),
        (Resources(cpu=0.5), LAPTOP, 0, 4),
        (Resources(), [*BOX, *LAPTOP, *BOX], 0.25, 16),
    ],
)
def test_a_trial_gets_its_share_and_the_rest_is_packed(
    resources: Resources, nodes: list[Node], gpu: float, at_once: int
) -> None:
    share = decide_share(resources, nodes)
    assert (share.gpu, share.at_once) == (gpu, at_once)


@pytest.mark.parametrize(
    ("resources", "nodes"),
    [
        (Resources(cpu=3), LAPTOP),
        (Resources(gpu=1), LAPTOP),
        (Resources(gpu=3), BOX),
        (Resources(cpu=3, gpu=1), [Node(16, 0), Node(2, 1)]),
        (Resources(), []),
    ],
)
def test_a_request_that_no_node_can_meet_is_an_error_at_once(
    resources: Resources, nodes: list[Node]
) -> None:
    with pytest.raises(ClusterError, match="but no node has that"):
        decide_share(resources, nodes)


@pytest.mark.parametrize(("visible", "count"), [("", 0), ("-1", 0), ("0", 1), ("0,3", 2)])
def test_only_visible_gpus_count(monkeypatch: pytest.MonkeyPatch, visible: str, count: int) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert count_gpus() == count

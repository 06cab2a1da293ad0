"""Clusters that grow: what they can become counts, and what they cannot is refused."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeps.cluster import scaling
from sweeps.cluster.scaling import parse_workers, to_come
from sweeps.definition.sweep_file import Resources
from sweeps.errors import ClusterError
from sweeps.planning.shares import Node, decide_share
from tests.cluster.head import Head
from tests.cluster.test_submit import Submitted
from tests.commands import PATIENCE, wait_until

CLUSTER = {
    "cluster_name": "growing",
    "max_workers": 2,
    "provider": {"type": "aws", "region": "us-west-2"},
    "head_node_type": "head",
    "available_node_types": {
        "head": {"resources": {"CPU": 0}, "node_config": {}},
        "gpu": {"resources": {"CPU": 2, "GPU": 1}, "node_config": {}, "max_workers": 2},
    },
}
HEAD = Node(0, 0)
COMING = Node(2, 1, there=False)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with the file that `ray up` leaves there."""
    (tmp_path / "ray_bootstrap_config.yaml").write_text(json.dumps(CLUSTER))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def growing(home: Path) -> Iterator[Head]:
    """A head without a processor for trials, and without a worker yet."""
    started = Head("--num-cpus=0", HOME=str(home))
    yield started
    started.close()


def test_a_sweep_waits_for_the_gpus_that_the_cluster_will_add(growing: Head, home: Path) -> None:
    """The test stands in for the autoscaler."""
    (home / "work").mkdir()
    sweep = Submitted(home / "work", growing)
    refused = sweep.submit(*sweep.of_file("resources.gpu=2"))
    assert refused.returncode == 2
    assert "a trial asks for 1 CPU and 2 GPU, but no node has that" in refused.stdout
    assert "or say with --workers what the cluster can grow to" in refused.stdout
    assert not sweep.trials()
    process = sweep.begin(*sweep.of_file())
    wait_until((sweep.directory / "manifest.json").exists, "the sweep to begin")
    growing.add_node("--num-cpus=2", "--num-gpus=1")
    output, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (0, "")
    grown = "4 at once when the cluster has grown (now 0), each with 1 CPU and 0.25 GPU, as gpu is"
    assert grown in output
    sweep.check(1, 2)


def test_what_a_cluster_can_grow_to_is_read_from_its_file(home: Path) -> None:
    assert to_come([HEAD], ()) == [COMING, COMING]
    assert to_come([HEAD, Node(2, 1)], ()) == [COMING]
    share = decide_share(Resources(), [HEAD, COMING, COMING])
    assert (share.gpu, share.at_once) == (0.25, 4)
    (home / "ray_bootstrap_config.yaml").write_text("[]")
    assert to_come([HEAD], ()) == []
    assert scaling.CLUSTER_FILE.name == "ray_bootstrap_config.yaml"


def test_what_the_user_says_of_it_goes_first(home: Path) -> None:
    assert to_come([HEAD], parse_workers("3:8:0")) == [Node(8, 0, there=False)] * 3
    for wrong in ("3", "0:1:1", "a:b:c", "3:8"):
        with pytest.raises(ClusterError, match="must be NODES:CPUS:GPUS"):
            parse_workers(wrong)

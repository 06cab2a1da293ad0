"""What a cluster may yet become: the nodes that it adds by itself when trials wait for them.

Ray has no public call that tells. ``ray up`` leaves on the head the file that the autoscaler there
is started with, which says it; where there is none (on Kubernetes, or seen from outside of the
cluster), the user says it with ``--workers``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sweeps.definition import yaml12
from sweeps.errors import ClusterError
from sweeps.planning.shares import Node

CLUSTER_FILE = Path("~/ray_bootstrap_config.yaml")
"""Where ``ray up`` puts it, by Ray's documentation of `ray start --autoscaling-config`."""


def parse_workers(text: str) -> list[Node]:
    """``8:4:1`` is up to eight nodes with 4 CPUs and 1 GPU each."""
    parts = re.fullmatch(r"(\d{1,5}):(\d{1,4}):(\d{1,3})", text)
    if parts is None or not int(parts[1]):
        raise ClusterError(
            "--workers must be NODES:CPUS:GPUS, such as 8:4:1 for up to eight nodes with 4 CPUs and"
            f" 1 GPU each, got {text!r}"
        )
    return [Node(float(parts[2]), float(parts[3]), there=False)] * int(parts[1])


def to_come(alive: Sequence[Node], asked: Sequence[Node]) -> list[Node]:
    """The nodes that may be added to those which are there already.

    Args:
        asked: those that the user names; else the cluster's own file is asked.
    """
    missing, here = [], list(alive)
    for node in asked or _of_file():
        same = replace(node, there=True)
        if same in here:
            here.remove(same)
        else:
            missing.append(node)
    return missing


def _of_file() -> list[Node]:
    """Every worker that the cluster's file allows, and no more than it allows in all."""
    try:
        found = yaml12.load(CLUSTER_FILE.expanduser().read_text(encoding="utf-8"))
        most, nodes = int(found.get("max_workers", 2)), []
        types: Mapping[str, Any] = found["available_node_types"]
        for name, kind in types.items():
            count = int(kind.get("max_workers", 0 if name == found["head_node_type"] else most))
            has = kind.get("resources", {})
            shape = Node(float(has.get("CPU", 0)), float(has.get("GPU", 0)), there=False)
            nodes += [shape] * min(count, most)
        return nodes[:most]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml12.YamlError):
        return []  # no such file, or none that `ray up` has written

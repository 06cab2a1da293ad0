"""What one trial gets of the nodes, and so how many run at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sweeps.definition.sweep_file import Resources
from sweeps.errors import ClusterError

AUTO_GPU = 0.25


@dataclass(frozen=True)
class Node:
    """A machine's processors and GPUs, as Ray counts them.

    Attributes:
        there: false for one that the cluster adds when trials wait for it.
    """

    cpus: float
    gpus: float
    there: bool = True


@dataclass(frozen=True)
class Share:
    """What one trial gets, and so how many run at once."""

    cpu: float
    gpu: float
    auto: bool
    nodes: tuple[Node, ...]

    @property
    def at_once(self) -> int:
        """How many trials run at once, each alone."""
        return self.arrays_at_once(1)

    def arrays_at_once(self, size: int) -> int:
        """How many arrays of this size: each takes one trial's CPUs and its members' GPU shares."""
        return sum(_fit(node, self.cpu, self.gpu, size) for node in self.nodes)

    def __str__(self) -> str:
        gpu = f"{self.gpu:g} GPU" if self.gpu else "no GPU"
        why = ", as gpu is auto" if self.auto else ""
        now = replace(self, nodes=tuple(node for node in self.nodes if node.there))
        grown = f" when the cluster has grown (now {now.at_once})" if now != self else ""
        return f"{self.at_once} at once{grown}, each with {self.cpu:g} CPU and {gpu}{why}"


def decide_share(resources: Resources, nodes: Sequence[Node], hint: str = "") -> Share:
    """What a trial gets on these nodes.

    Args:
        hint: what else to do, for the message of the error.

    Raises:
        ClusterError: no node could ever run a trial.
    """
    auto = resources.gpu == "auto"
    quarter = AUTO_GPU if any(node.gpus for node in nodes) else 0.0
    gpu = quarter if auto else float(resources.gpu)
    share = Share(resources.cpu, gpu, auto, tuple(nodes))
    if share.at_once == 0:
        have = "; ".join(sorted({f"{n.cpus:g} CPU and {n.gpus:g} GPU" for n in nodes})) or "nothing"
        raise ClusterError(
            f"a trial asks for {resources.cpu:g} CPU and {gpu:g} GPU, but no node has that"
            f" (nodes have: {have}); lower resources.cpu or resources.gpu, or add nodes"
            f"{hint}"
        )
    return share


def _fit(node: Node, cpu: float, gpu: float, size: int) -> int:
    by_cpu = int(node.cpus / cpu + 1e-9)
    if not gpu:
        return by_cpu
    whole = gpu * size
    by_gpu = int(node.gpus) * int(1 / whole + 1e-9) if whole < 1 else int(node.gpus / whole + 1e-9)
    return min(by_cpu, by_gpu)

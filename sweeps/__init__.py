"""Run a grid of PyTorch trials through Ray Tune, and read every one of them in TensorBoard.

    from sweeps import Sweep

    results = Sweep.from_yaml("sweep.yaml").run()
    results.best, results.to_dataframe()

What is asked for is imported then: every process of a sweep imports this package, and most need
little of it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeps.answer.results import Results, Row, read_results
    from sweeps.definition.resolve import Report, Trainable
    from sweeps.driver.signals import Stopped
    from sweeps.errors import (
        AllFail,
        CannotGoOn,
        ClusterError,
        DirectoryError,
        Interrupted,
        InvalidSweep,
        MetricMissing,
        SweepsError,
    )
    from sweeps.state import Outlook
    from sweeps.sweep import Sweep

__version__: str

__all__ = [
    "AllFail",
    "CannotGoOn",
    "ClusterError",
    "DirectoryError",
    "Interrupted",
    "InvalidSweep",
    "MetricMissing",
    "Outlook",
    "Report",
    "Results",
    "Row",
    "Stopped",
    "Sweep",
    "SweepsError",
    "Trainable",
    "read_results",
]

_WHERE = dict.fromkeys(__all__, "errors")
_WHERE |= dict.fromkeys(("Results", "Row", "read_results"), "answer.results")
_WHERE |= dict.fromkeys(("Report", "Trainable"), "definition.resolve")
_WHERE |= {"Outlook": "state", "Stopped": "driver.signals", "Sweep": "sweep"}
"""The module that each is in."""


if not TYPE_CHECKING:  # to whom a name that is not there is an error

    def __getattr__(name: str) -> Any:
        """Import a public name, or read the installed version."""
        from importlib import import_module, metadata

        if name == "__version__":
            return metadata.version("sweepboard")
        if name not in _WHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

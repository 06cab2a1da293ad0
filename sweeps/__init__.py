"""Run a grid of PyTorch trials through Ray Tune, and read every one of them in TensorBoard.

from sweeps import Sweep

results = Sweep.from_yaml("sweep.yaml").run()
results.best, results.to_dataframe()
"""

from importlib.metadata import version

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

__version__ = version("sweepboard")

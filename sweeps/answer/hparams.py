"""What TensorBoard is told of a sweep as a whole: the columns of HParams, and the manifest.

The columns are the swept parameters, the metric and the losses first. TensorBoard finds all of that
itself where nothing tells it, with every constant and metric in the order of the alphabet. It looks
for the record of an experiment in every run, so a file beside a trial's own does, and no run is
listed that is no trial. The manifest, a text, is in the same file.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from tensorboard.plugins.hparams import summary_v2 as hparams

from sweeps.answer.manifest_text import manifest_summary
from sweeps.answer.results import Results, with_loss
from sweeps.definition.space import flat
from sweeps.records.event_files import OWN_SUFFIX
from sweeps.records.event_writer import EventWriter
from sweeps.records.ledger import Ledger

MOST_LISTED = 12
"""Numbers of a parameter to tick; more are chosen by a range."""

_SUFFIX = f".columns{OWN_SUFFIX}"


def describe_sweeps(ledgers: Sequence[Ledger], sweeps: Sequence[Results]) -> None:
    """Write it into the first trial of each sweep; not where that can't be written.

    One set of columns is for all sweeps, and stands in the first.
    """
    columns = hparams.hparams_config_pb(_parameters(sweeps), _metrics(sweeps))
    for ledger, results in zip(ledgers, sweeps, strict=True):
        with suppress(OSError):
            for old in ledger.trials_dir.glob(f"*/events.out.tfevents.*{_SUFFIX}"):
                old.unlink()
            first = next((r for r in results if (ledger.directory / r.path).is_dir()), None)
            told = [columns if ledger is ledgers[0] else None, manifest_summary(ledger)]
            if first is not None and any(told):
                writer = EventWriter(ledger.directory / first.path, _SUFFIX)
                for summary in filter(None, told):
                    writer.add(summary, 0)
                writer.close()


def pinned(results: Results) -> list[str]:
    """The metric and its loss."""
    reported = dict.fromkeys(name for row in results for name in row.metrics)
    return with_loss(results.metric, reported)


def _metrics(sweeps: Sequence[Results]) -> list[Any]:
    firsts = [name for results in sweeps for name in pinned(results)]
    reported = [name for results in sweeps for row in results for name in row.metrics]
    losses = [name for name in reported if "loss" in name]
    return [hparams.Metric(name) for name in dict.fromkeys([*firsts, *losses, *reported])]


def _parameters(sweeps: Sequence[Results]) -> list[Any]:
    names = dict.fromkeys(name for results in sweeps for name in results.swept)
    configs = [flat(row.config) for results in sweeps for row in results]
    return [hparams.HParam(n, _domain([c[n] for c in configs if n in c])) for n in names]


def _domain(values: Sequence[Any]) -> Any:
    """All values of a parameter, in the one type that TensorBoard sees; as in a trial's row."""
    known = [v if isinstance(v, bool | int | float) else str(v) for v in values if v is not None]
    kinds = {type(value) for value in known}
    if kinds <= {int, float}:
        numbers = sorted({float(value) for value in known}) or [0.0]
        few = len(numbers) <= MOST_LISTED
        return hparams.Discrete(numbers) if few else hparams.RealInterval(numbers[0], numbers[-1])
    if len(kinds) == 1:
        return hparams.Discrete(list(dict.fromkeys(known)))
    return None

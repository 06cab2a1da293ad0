"""What ``manifest.json`` says of a sweep, as text for TensorBoard."""

import yaml
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.text.metadata import create_summary_metadata

from sweeps.answer.report.facts import run_facts
from sweeps.definition.text import harmless
from sweeps.records.ledger import Ledger
from sweeps.records.manifest import read_runs

TAG = "manifest"


def manifest_text(ledger: Ledger) -> str | None:
    """How the sweep was run, and its file as last run; ``None`` if there is no manifest.

    TensorBoard takes text for Markdown, in which an indented line is shown as it is.
    """
    runs = read_runs(ledger.directory)
    if not runs:
        return None
    facts = [("directory", ledger.where), *run_facts(runs), ("plan", str(runs[-1].get("plan", "")))]
    lines = [
        f"{name if first else '':<12}{line}"
        for name, text in facts
        for first, line in ((not at, line) for at, line in enumerate(text.split("\n")))
    ]
    file = yaml.safe_dump(runs[-1].get("sweep"), sort_keys=False, allow_unicode=True)
    return "\n".join(f"    {harmless(line)}" for line in [*lines, "", *file.splitlines()])


def manifest_summary(ledger: Ledger) -> Summary | None:
    """The same as a record of the text plugin."""
    text = manifest_text(ledger)
    if text is None:
        return None
    tensor = TensorProto(
        dtype=DT_STRING, string_val=[text.encode()], tensor_shape=TensorShapeProto()
    )
    about = create_summary_metadata(TAG, "how the sweep was run")
    return Summary(value=[Summary.Value(tag=TAG, metadata=about, tensor=tensor)])

"""A trial that goes on from another: its beginning is copied, so that its curve is whole.

The reports up to the epoch are its parent's, and the checkpoint of that epoch lies in its own
folder: whatever becomes of the parent, the trial can go on.
"""

import os
import shutil
from dataclasses import replace

from sweeps.definition.space import Trial
from sweeps.records.atomic import remove
from sweeps.records.checkpoints import is_whole
from sweeps.records.history import rewrite_history
from sweeps.records.ledger import Ledger

FOLDER = "inherited"
"""Within a trial's folder: where its parent's checkpoint is."""


def inherit(ledger: Ledger, child: Trial, parent: Trial) -> None:
    """Give a trial the beginning that it has from its parent, unless it has it already.

    If the parent's checkpoint is gone, nothing is done: the trial fails, and says why. The history
    comes last, so that a beginning that was cut short is made again.
    """
    if child.origin is None:
        return
    record, source, epoch = ledger.record(child), ledger.record(parent), child.origin.epoch
    if len(record.history) >= epoch or len(source.history) < epoch:
        return
    *before, last = source.history[:epoch]
    if last.checkpoint is None:
        return
    ledger.bring(f"{source.path}/{last.checkpoint}")
    checkpoint = ledger.directory / source.path / last.checkpoint
    if not is_whole(checkpoint, last.sha256):
        return
    ledger.write(record)
    folder = ledger.directory / record.path
    target = folder / FOLDER / f"{last.step:05d}{checkpoint.suffix}"
    part = target.with_name(f".{target.name}.part")
    target.parent.mkdir(exist_ok=True)
    remove(part)
    shutil.copytree(checkpoint, part) if checkpoint.is_dir() else shutil.copy2(checkpoint, part)
    remove(target)
    os.replace(part, target)  # noqa: PTH105
    own = target.relative_to(folder).as_posix()
    bare = [replace(report, checkpoint=None, sha256=None, events={}) for report in before]
    rewrite_history(folder, [*bare, replace(last, checkpoint=own, events={})])
    ledger.store(record.path)

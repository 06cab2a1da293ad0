"""From whom the members of a population have what they know."""

from collections.abc import Iterable

from sweeps.answer.results import Row
from sweeps.definition.space import flat
from sweeps.definition.text import format_value
from sweeps.records.record import Status


def origin_text(row: Row) -> str:
    """``abcd2345 at epoch 2``; blank for a trial that has begun by itself."""
    return f"{row.origin['parent']} at epoch {row.origin['epoch']}" if row.origin else ""


def lineage(rows: Iterable[Row]) -> list[str]:
    """Of each trial that has finished, what it was up to which epoch; none without parents."""
    by_id = {row.id: row for row in rows}
    if not any(row.origin for row in by_id.values()):
        return []
    return [_line(row, by_id) for row in by_id.values() if row.status == Status.FINISHED]


def _line(row: Row, by_id: dict[str, Row]) -> str:
    """``gh: lr=0.01 to epoch 2 (ab); lr=0.008 to epoch 4 (gh)``, of what differs between them."""
    if row.origin is None:
        return f"{row.id}: its own from its beginning"
    chain = [(row, row.epochs)]
    while (origin := chain[0][0].origin) and (parent := by_id.get(origin["parent"])):
        chain.insert(0, (parent, origin["epoch"]))
    configs = [flat(one.config) for one, _ in chain]
    names = [n for n in configs[-1] if len({repr(config.get(n)) for config in configs}) > 1]
    parts = []
    for (one, epoch), config in zip(chain, configs, strict=True):
        values = ", ".join(f"{n}={format_value(config[n])}" for n in names if n in config)
        parts.append(f"{f'{values} ' if values else ''}to epoch {epoch} ({one.id})")
    return f"{row.id}: {'; '.join(parts)}"

"""Tables as lines of text: as wide as they need to be, or as a terminal is.

On a terminal what matters most stays whole, and what does not fit beside it is left out and named.
In a pipe or a file nothing is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size

from sweeps.definition.text import one_line

GAP = "  "
WHOLE = 0
"""The rank of a column that is never left out."""
VALUES = -1
"""The rank of a swept parameter: they stay if all of them fit, and else come after what is said of
them."""

SAID = 2
"""What is said of configurations has a rank up to this."""
LEAST = 24
"""Letters of a column of sentences that are worth showing."""


@dataclass(frozen=True)
class Column:
    """One column; of those that are too many, the one of the highest rank goes first.

    Attributes:
        right: numbers stand to the right.
        cut: its cells are sentences, which may be cut to the room that is left; in one column.
    """

    name: str
    cells: Sequence[str]
    rank: int
    right: bool = False
    cut: bool = False

    @property
    def width(self) -> int:
        return max(map(cell_len, [self.name, *self.cells]))

    def within(self, width: int) -> "Column":
        cells = [_cut(cell, width) for cell in self.cells]
        return Column(self.name, cells, self.rank, self.right)


@dataclass
class Table:
    """Columns of one length."""

    columns: list[Column] = field(default_factory=list)

    def add(
        self,
        name: str,
        cells: Sequence[str],
        rank: int = WHOLE,
        *,
        right: bool = False,
        cut: bool = False,
    ) -> None:
        """Add a column at the right."""
        texts = [one_line(cell) for cell in cells]
        self.columns.append(Column(one_line(name), texts, rank, right, cut))

    def fit(self, width: int | None = None) -> tuple[list[str], list[str]]:
        """The head and the rows as lines, and the names of the columns that were left out."""
        shown, left_out = _chosen(self.columns, width)
        if width is not None:  # where even what stays is too wide, the terminal wraps the lines
            room = max(width - _needed(shown), 0) + LEAST
            shown = [column.within(room) if column.cut else column for column in shown]
        rows = zip(*([column.name, *column.cells] for column in shown), strict=True)
        widths = [column.width for column in shown]
        lines = [
            GAP.join(
                _padded(cell, width, column.right)
                for cell, width, column in zip(row, widths, shown, strict=True)
            ).rstrip()
            for row in rows
        ]
        return lines, [column.name for column in left_out]

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in self.fit()[0])


def _chosen(columns: Sequence[Column], width: int | None) -> tuple[list[Column], list[Column]]:
    """Which columns are shown, and which are left out: whatever fits, by rank."""
    if width is None or _needed(columns) <= width:
        return list(columns), []
    kept = [column for column in columns if column.rank in (WHOLE, VALUES)]
    if _needed(kept) > width:
        kept = [column for column in kept if column.rank == WHOLE]
    rest = [column for column in columns if column not in kept]
    for column in sorted(rest, key=lambda c: SAID + 0.5 if c.rank == VALUES else c.rank):
        if _needed([*kept, column]) <= width:
            kept.append(column)
    return [c for c in columns if c in kept], [c for c in columns if c not in kept]


def _needed(columns: Sequence[Column]) -> int:
    widths = [min(column.width, LEAST) if column.cut else column.width for column in columns]
    return sum(widths) + len(GAP) * (len(columns) - 1)


def _padded(cell: str, width: int, right: bool) -> str:
    room = " " * (width - cell_len(cell))
    return room + cell if right else cell + room


def _cut(cell: str, width: int) -> str:
    return cell if cell_len(cell) <= width else f"{set_cell_size(cell, width - 3)}..."

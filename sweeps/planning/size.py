"""How large a search space is, in a line."""

import math

from sweeps.definition.search import Search
from sweeps.definition.space import Space

_NAMES = {"independent": "draws", "sobol": "Sobol points", "halton": "Halton points"}


def size_line(space: Space, configurations: int, search: Search | None = None) -> str:
    """How many points there are, and how many of them are tried.

    Args:
        configurations: how many are tried, seeds not counted.
    """
    grid = math.prod(len(axis.points) for axis in space.axes)
    counts = [len(values) if (values := p.values()) else None for p in space.drawn.values()]
    endless = [name for name, count in zip(space.drawn, counts, strict=True) if count is None]
    points = None if endless else grid * math.prod(count or 1 for count in counts)
    if points is None:
        size = f"endless in {', '.join(endless)}"
    else:
        size = "1 point" if points == 1 else f"{points:,} points"
    sizes = [f"{'+'.join(axis.names)} {len(axis.points)}" for axis in space.axes]
    sizes += [f"{name} {count}" for name, count in zip(space.drawn, counts, strict=True) if count]
    listed = f" ({' x '.join(sizes)})" if sizes and (len(sizes) > 1 or endless) else ""
    if search and search.sampler:
        tried = f"; {search.sampler} suggests {search.trials}, {search.at_once} at once"
        tried += ", until all are tried" if points is not None and search.trials > points else ""
    else:
        tried = _tried(space, grid, configurations)
    return f"space: {size}{listed}{tried}"


def _tried(space: Space, grid: int, configurations: int) -> str:
    if space.drawn:
        at = f" at each of {grid} grid points" if grid > 1 else ""
        fewer = "" if configurations == grid * space.samples else f": {configurations} that differ"
        return f"; {space.samples} {_NAMES[space.draws]}{at}{fewer}"
    return "" if configurations == grid else f"; {configurations} are left"

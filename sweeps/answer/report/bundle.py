"""The chart library's JavaScript (Vega, Vega-Lite, Vega-Embed), to be put into a page whole."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from sweeps.records.atomic import land


def javascript() -> str:
    """About 0.9 MB, made from what vl-convert holds, without a network.

    That takes seconds, so it is kept in the user's cache folder for the next page.
    """
    import vl_convert

    versions = f"{vl_convert.get_vega_version()}-{vl_convert.get_vega_embed_version()}"
    kept = _cache() / f"vega-{versions}.js"
    with suppress(OSError, UnicodeDecodeError):
        return kept.read_text("utf-8")
    made: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    with suppress(OSError):  # then it is made again the next time
        kept.parent.mkdir(parents=True, exist_ok=True)
        land(kept, made.encode())
    return made


def _cache() -> Path:
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # nobody's home
        base = tempfile.gettempdir()
    return Path(base) / "sweepboard"

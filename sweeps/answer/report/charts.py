"""The charts of a report, by Altair: the page draws them in its own colours, files in these."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sweeps.answer.report import series
from sweeps.answer.report.series import Findings
from sweeps.answer.results import Results, with_loss
from sweeps.answer.statistics.curve import fit_curve
from sweeps.answer.statistics.effects import Effect, Interaction
from sweeps.definition.text import format_value, number

Spec = dict[str, Any]

LEADER, OTHER = "#d9600b", "#6f8fb0"
"""Legible on a light ground and on a dark one."""


def draw(results: Results, findings: Findings) -> dict[str, Spec]:
    """The charts for which there is something to show, as Vega-Lite, by name."""
    reported = dict.fromkeys(name for row in results for name in row.metrics)
    charts: dict[str, Spec | None] = {}
    for kind, metric in zip(("curves", "loss"), with_loss(results.metric, reported), strict=False):
        charts[kind] = curves(results, metric)
    charts["effects"] = effects(results, findings.factors)
    for place, (name, log) in enumerate(findings.drawn.items()):
        charts[f"drawn-{place}"] = scatter(results, name, log=log)
    if findings.interaction:
        charts["interaction"] = interaction(results, findings.interaction)
    charts["parallel"] = parallel(results)
    if findings.importance:
        charts["importance"] = importance(findings.importance.shares)
    return {name: spec for name, spec in charts.items() if spec}


def curves(results: Results, metric: str) -> Spec | None:
    """A line a configuration with its band; the page says which are shown, by ``shown``."""
    import altair as alt

    sheet = _Sheet()
    shown = series.chosen(results)
    points = series.curves(results, shown, metric)
    if not points:
        return None
    captions = series.captions(results, shown)
    points = [{**point, "label": captions[point["c"]]} for point in points]
    hover = alt.selection_point("hover", fields=["c"], on="pointerover", empty=False)
    visible = alt.param("shown", value=list(range(len(shown))))
    leads = alt.datum.c == (0 if results.standings.leader else -1)
    colour = alt.when(leads).then(alt.value(LEADER)).otherwise(alt.value(OTHER))
    base = alt.Chart(sheet.data(points)).transform_filter("indexof(shown, datum.c) >= 0")
    last = max(point["e"] for point in points)
    ticks = list(range(1, last + 1, -(-last // 10)))
    x = alt.X("e:Q", title="epoch", axis=alt.Axis(values=ticks, format="d"))
    x = x.scale(zero=False, nice=False)
    y = alt.Y("m:Q", title=metric, scale=alt.Scale(zero=False))
    faint = alt.when(leads).then(alt.value(0.2)).otherwise(alt.value(0.05))
    band = base.mark_area().encode(
        opacity=faint, x=x, y=alt.Y("lo:Q", title=metric), y2="hi:Q", color=colour, detail="c:N"
    )
    wide = alt.when(hover).then(alt.value(4)).when(leads).then(alt.value(3)).otherwise(alt.value(1))
    line = base.mark_line(interpolate="linear").encode(
        x=x, y=y, color=colour, detail="c:N", strokeWidth=wide
    )
    told = ["label:N", _told("e", "epoch"), _told("m", metric), _told("n", "seeds")]
    dots = base.mark_circle(size=45).encode(x=x, y=y, color=colour, detail="c:N", tooltip=told)
    return sheet.spec(alt.layer(band, line, dots.add_params(hover)).add_params(visible), 320)


def effects(results: Results, found: Sequence[Effect]) -> Spec | None:
    """The mean of each level, the others averaged over, with its interval."""
    import altair as alt

    sheet = _Sheet()
    rows = [
        {
            "level": f"{effect.name} = {format_value(value)}",
            "parameter": effect.name,
            "mean": mean,
            "low": mean - margin if np.isfinite(margin) else mean,
            "high": mean + margin if np.isfinite(margin) else mean,
        }
        for effect in found
        for value, mean, margin in zip(effect.values, effect.means, effect.margins, strict=True)
    ]
    if not rows:
        return None
    order = [row["level"] for row in rows]
    y = alt.Y("level:N", sort=order, title=None, axis=alt.Axis(labelLimit=220))
    scale, axis = alt.Scale(zero=False), alt.Axis(tickCount=6)
    x = alt.X("mean:Q", title=results.metric, scale=scale, axis=axis)
    base = alt.Chart(sheet.data(rows)).encode(
        y=y, color=alt.Color("parameter:N", legend=None, scale=alt.Scale(scheme="tableau10"))
    )
    bars = base.mark_rule(strokeWidth=3).encode(
        x=alt.X("low:Q", title=results.metric, scale=scale, axis=axis), x2="high:Q"
    )
    told = ["level:N", _told("mean", "mean"), _told("low", "from"), _told("high", "to")]
    dots = base.mark_circle(size=110, opacity=1).encode(x=x, tooltip=told)
    return sheet.spec(alt.layer(bars, dots), max(24 * len(rows), 60))


def scatter(results: Results, name: str, *, log: bool) -> Spec | None:
    """The mean of every configuration over a drawn parameter, with the fitted curve."""
    import altair as alt

    sheet = _Sheet()
    points = [
        {"x": float(each.values[name]), "y": each.mean}
        for each in results.standings
        if each.mean is not None and each.values.get(name) is not None
    ]
    if not points:
        return None
    kind = alt.Scale(type="log", nice=False) if log else alt.Scale(zero=False, nice=False)
    x = alt.X("x:Q", title=name, scale=kind, axis=alt.Axis(labelOverlap=True, format="~g"))
    y = alt.Y("y:Q", title=results.metric, scale=alt.Scale(zero=False))
    told = [_told("x", name, ".4~g"), _told("y", results.metric)]
    dots = alt.Chart(sheet.data(points)).mark_circle(color=OTHER, opacity=0.7).encode(x=x, y=y)
    layers = [dots.encode(tooltip=told)]
    xs, ys = (np.array([point[key] for point in points]) for key in ("x", "y"))
    if fitted := fit_curve(xs, ys, log=log):
        columns = zip(fitted.x, fitted.mean, fitted.low, fitted.high, strict=True)
        rows = [dict(zip("xyab", map(float, row), strict=True)) for row in columns]
        base = alt.Chart(sheet.data(rows)).encode(x=x)
        layers.insert(0, base.mark_area(color=LEADER, opacity=0.2).encode(y="a:Q", y2="b:Q"))
        layers.append(base.mark_line(color=LEADER, strokeWidth=2.5).encode(y=y))
    return sheet.spec(alt.layer(*layers), 240)


def interaction(results: Results, found: Interaction) -> Spec:
    """The means of two parameters' values as a small grid."""
    import altair as alt

    sheet = _Sheet()
    rows = [
        {
            "row": format_value(found.rows[i]),
            "column": format_value(found.columns[j]),
            "mean": float(found.means[i, j]),
            "text": number(float(found.means[i, j])),
        }
        for i, j in np.ndindex(found.means.shape)
        if np.isfinite(found.means[i, j])
    ]
    means = found.means[np.isfinite(found.means)]
    middle = float(means.min() + means.max()) / 2
    base = alt.Chart(sheet.data(rows)).encode(
        x=alt.X("column:N", sort=None, title=found.second, axis=alt.Axis(labelAngle=0)),
        y=alt.Y("row:N", sort=None, title=found.first),
    )
    shade = alt.Color("mean:Q", scale=alt.Scale(scheme="blues"), legend=None)
    told = [alt.Tooltip("row:N", title=found.first), alt.Tooltip("column:N", title=found.second)]
    cells = base.mark_rect().encode(color=shade, tooltip=[*told, _told("mean", results.metric)])
    ink = alt.when(alt.datum.mean > middle).then(alt.value("white")).otherwise(alt.value("black"))
    texts = base.mark_text(fontSize=13).encode(text="text:N", color=ink)
    return sheet.spec(alt.layer(cells, texts), 44 * len(found.rows))


def parallel(results: Results) -> Spec | None:
    """Every configuration as a line over the parameters, coloured by its mean."""
    import altair as alt

    sheet = _Sheet()
    lines, names = series.parallel(results)
    if len(names) < 3 or not lines:
        return None
    ends: dict[tuple[str, float], str] = {(r["axis"], r["at"]): r["value"] for r in lines}
    crowded = {n for n in names if sum(axis == n for axis, _ in ends) > series.MOST_LEVELS}
    crowded.add(results.metric)
    ticks = [
        {"axis": axis, "at": at, "value": value}
        for (axis, at), value in ends.items()
        if axis not in crowded or at in (0.0, 1.0)
    ]
    good_last = [OTHER, LEADER] if results.mode == "max" else [LEADER, OTHER]
    scheme = alt.Scale(range=good_last)
    x = alt.X("axis:N", sort=names, title=None, scale=alt.Scale(padding=0.4))
    x = x.axis(labelAngle=0, domain=False, grid=True, labelLimit=110)
    y = alt.Y("at:Q", axis=None)
    told = ["axis:N", "value:N", _told("mean", results.metric)]
    drawn = (
        alt.Chart(sheet.data(lines))
        .mark_line(opacity=0.75, strokeWidth=2)
        .encode(
            x=x,
            y=y,
            detail="c:N",
            tooltip=told,
            color=alt.Color("mean:Q", title=results.metric, scale=scheme).legend(
                orient="bottom", gradientLength=200
            ),
        )
    )
    marks = alt.Chart(sheet.data(ticks)).mark_text(dx=6, align="left", fontWeight="bold")
    return sheet.spec(alt.layer(drawn, marks.encode(x=x, y=y, text="value:N")), 260)


def importance(shares: Mapping[str, float]) -> Spec:
    """Which share of what was seen each parameter accounts for."""
    import altair as alt

    sheet = _Sheet()
    rows = [{"name": name, "share": share} for name, share in shares.items()]
    x = alt.X(
        "share:Q",
        title="share",
        axis=alt.Axis(format=".0%", tickCount=5),
        scale=alt.Scale(domainMin=0),
    )
    y = alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=220))
    bars = alt.Chart(sheet.data(rows)).mark_bar(color=OTHER, height={"band": 0.6})
    return sheet.spec(
        bars.encode(x=x, y=y, tooltip=["name:N", _told("share", "share", ".0%")]),
        max(30 * len(rows), 60),
    )


def _told(field: str, title: str, form: str = ".4~f") -> Any:
    import altair as alt

    return alt.Tooltip(f"{field}:Q", title=title, format=form)


class _Sheet:
    """The data of one chart, kept beside it: Altair would check every line of them."""

    def __init__(self) -> None:
        self._datasets: dict[str, Sequence[Mapping[str, Any]]] = {}

    def data(self, rows: Sequence[Mapping[str, Any]]) -> Any:
        import altair as alt

        name = f"data-{len(self._datasets)}"
        self._datasets[name] = rows
        return alt.NamedData(name=name)

    def spec(self, chart: Any, height: int) -> Spec:
        """As wide as the place it is put in; its text is never scaled."""
        spec: Spec = chart.properties(width="container", height=height).to_dict()
        spec["autosize"] = {"type": "fit-x", "contains": "padding"}
        spec["datasets"] = self._datasets
        spec.pop("config", None)  # the page has its own
        return spec

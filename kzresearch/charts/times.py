"""Charts over time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import altair as alt
import polars as pl
from IPython.display import Markdown

from kzresearch import captions
from kzresearch.charts.theme import (
    ACCENT,
    MARK,
    QUIET,
    SHAPES,
    WIDTH,
    Layers,
    Panels,
    drawn,
    heading,
    rows,
)
from kzresearch.figures import number
from kzresearch.language import collation, later, say

END, GAP = 300, 13  # pixels: height of a chart of lines, least distance of the names at its end
FEW = 15  # years that can each have a point
GREY, PEERS = "#a9b4bf", "#52606d"  # lines and names of the countries that are not marked
MORE_SHAPES = [*SHAPES, "triangle-down", "cross", "triangle-right", "triangle-left"]
PANEL, LOW, LANE, MARGIN = 110, 50, 29, 60  # pixels: a panel, one of few figures, a bar, an axis
LINE = 12  # pixels of a line more at a bar
CLOSE, ASIDE = 22, 9  # pixels: what a point with its number needs, how far one steps aside
HALO: dict[str, Any] = {"stroke": "white", "strokeWidth": 4, "strokeJoin": "round"}
SIDES: dict[str, dict[str, Any]] = {
    "right": {"align": "left", "dx": 9},
    "left": {"align": "right", "dx": -9},
    "over": {"dy": -11},
    "under": {"dy": 12},
}
"""Where a point's number stands."""
_FIGURE = {
    "shown": later("figure"),
    "unit": later("unit"),
    "period": later("period"),
    "source": later("source"),
    "id": later("id"),
}
_SCORES = {"value": later("value"), "lower": later("lower"), "upper": later("upper")}
Span = tuple[int, int]


def freedom(frame: pl.DataFrame, marked: list[int], title: str, source: str) -> Layers | Markdown:
    """Freedom in the World's total by edition, the editions in `marked` with their number.

    >>> scores = kz.load_freedom_in_the_world().filter(country="Kazakhstan")
    >>> chart = kz.charts.freedom(scores, [2021], "Kazakhstan", "Freedom House")
    >>> print(chart.to_dict()["description"])
    Line chart. Kazakhstan, points of 100, higher is freer. Kazakhstan from 26 in 2013 to 23 in
    2025. 2021: 23. Last scores: Kazakhstan 23 in 2025.
    """
    country = captions.country_name(frame["country"][0])
    points = frame.select(
        country=pl.lit(country), year="edition", value=pl.col("total").cast(pl.Float64)
    )
    return lines(
        points,
        country,
        title,
        say("points of 100, higher is freer"),
        source,
        time=say("edition (year of publication)"),
        domain=(0, 100),
        years=marked,
        height=200,
    )


@drawn
def lines(
    frame: pl.DataFrame,
    marked: str,
    title: str,
    unit: str,
    source: str,
    *,
    time: str | None = None,
    domain: tuple[float, float] | None = None,
    years: Sequence[int] = (),
    decimals: int = 0,
    height: int = END,
) -> Layers | Markdown:
    """Countries' scores over time: the `marked` one in colour, each named at its end.

    Columns `country`, `year`, `value`, and `lower`, `upper` where there are bounds, drawn as a band.
    `unit` and `time` name the axes, `domain` are the ends of the scale if it has any. The marked
    country has its number, with `decimals`, in the `years`. Where there is nothing to draw, a sentence says so
    instead.

    >>> scores = kz.load_torture_indices().filter(index="v2cltort")
    >>> chart = kz.charts.lines(scores, "Kazakhstan", "Freedom from torture", "score", "V-Dem v14")
    >>> print(chart.to_dict()["description"])
    Line chart. Freedom from torture, score. Kazakhstan from −0.469 in 1990 to −0.568 in 2023. ...
    """
    known = frame.filter(pl.col("value").is_not_null()).sort("country", "year")
    if known.is_empty():
        return Markdown(say("*{title}: nothing to draw, no score is at hand.*", title=title))
    time = say("year") if time is None else time
    bounds = [n for n in ("lower", "upper") if n in known.columns and known[n].count()]
    seen = [score for name in ("value", *bounds) for score in known[name].drop_nulls()]
    low, high = domain or (math.floor(min(seen)), math.ceil(max(seen)))
    when = known["year"].to_list()
    own = alt.datum.country == marked
    span = alt.Scale(domain=[min(when), max(when)], nice=False)
    y = alt.Y(
        "value:Q", title=unit, scale=alt.Scale(domain=[low, high]), axis=alt.Axis(tickCount=6)
    )
    base = alt.Chart(known).encode(
        x=alt.X(
            "year:Q",
            title=time,
            scale=span,
            axis=alt.Axis(format="d", tickMinStep=1, grid=False, labelFlush=False),
        ),
        y=y,
        detail=alt.Detail("country:N"),
        tooltip=[
            alt.Tooltip("country:N", title=say("country")),
            alt.Tooltip("year:Q", title=say("year")),
            *(alt.Tooltip(f"{n}:Q", title=say(_SCORES[n])) for n in ("value", *bounds)),
        ],
    )
    layers = []
    if bounds:
        colour = alt.condition(own, alt.value(MARK), alt.value(QUIET))
        band = base.transform_filter("isValid(datum.lower)").mark_area(opacity=0.2)
        layers.append(
            band.encode(y=alt.Y("lower:Q", title=unit), y2=alt.Y2("upper:Q"), color=colour)
        )
    at_own = base.transform_filter(own)
    chosen = at_own.transform_filter(alt.FieldOneOfPredicate("year", list(years)))
    names = alt.Chart(_ends(known, (high - low) * GAP / height, low)).encode(
        x=alt.X("year:Q", title=time), y=alt.Y("at:Q", title=unit), text=alt.Text("country:N")
    )
    beside: dict[str, Any] = {"align": "left", "dx": 17}
    layers += [
        base.transform_filter(~own).mark_line(color=GREY, strokeWidth=1.3),
        at_own.mark_line(strokeWidth=3, point=known["year"].n_unique() <= FEW),
        chosen.mark_point(size=160, filled=False, strokeWidth=2),
        chosen.mark_text(dy=-16, dx=6, align="right", fontWeight="bold").encode(
            text=alt.Text("value:Q", format=f".{decimals}f")
        ),
        names.mark_rule(xOffset=3, x2Offset=14, strokeWidth=1, color=GREY).encode(
            x2=alt.X2("year:Q"), y=alt.Y("value:Q", title=unit), y2=alt.Y2("at:Q")
        ),
        names.transform_filter(~own).mark_text(fontSize=11, color=PEERS, **beside),
        names.transform_filter(own).mark_text(fontWeight="bold", color=MARK, **beside),
    ]
    return Layers(layer=layers).properties(
        width=WIDTH,
        height=height,
        title=heading(title, source),
        description=_scored(known, marked, title, unit, years),
        usermeta=rows(known, "country", "year", "value", *bounds),
    )


def _ends(known: pl.DataFrame, gap: float, low: float) -> pl.DataFrame:
    """Where the countries' names stand at the end of the lines, none upon another: column `at`."""
    last = known.group_by("country").agg(pl.col("value").last()).sort("value", "country")
    at: list[float] = []
    for value in reversed(last["value"].to_list()):
        at.append(min(value, at[-1] - gap) if at else value)
    at.reverse()
    for index, height in enumerate(at):
        at[index] = max(height, at[index - 1] + gap if index else low - gap)
    return last.select(
        "country",
        "value",
        pl.Series("at", at, pl.Float64, strict=False),
        year=pl.lit(known["year"].max()),
    )


def _scored(known: pl.DataFrame, marked: str, title: str, unit: str, years: Sequence[int]) -> str:
    """What a chart of lines shows, in words."""
    own = known.filter(pl.col("country") == marked)
    scores = [
        say(
            "{country} {value} in {year}",
            country=row["country"],
            value=row["value"],
            year=str(row["year"]),
        )
        for row in known.group_by("country", maintain_order=True).last().iter_rows(named=True)
    ]
    said = [say("Line chart. {title}, {unit}.", title=title, unit=unit)]
    if own.height:
        first, last = own.row(0, named=True), own.row(-1, named=True)
        said += [
            say(
                "{country} from {first} in {since} to {last} in {until}.",
                country=marked,
                first=first["value"],
                since=str(first["year"]),
                last=last["value"],
                until=str(last["year"]),
            )
        ]
        named = own.filter(pl.col("year").is_in(list(years)))
        said += [f"{y}: {number(v)}." for y, v in named.select("year", "value").rows()]
    return " ".join([*said, say("Last scores: {scores}.", scores="; ".join(scores))])


@drawn
def timeline(
    frame: pl.DataFrame, title: str, source: str, breaks: Mapping[str, date] | None = None
) -> Panels | Markdown:
    """Figures by period: calendar years as points above, other periods as bars below.

    `frame` as `publications.Trend.drawn` gives it. Each `panel` (what one is) has points on an axis
    of its own, from nought; each source has a shape; lines join figures of one `series` alone.
    Figures of other periods have no axis of quantity: their number stands above a bar from first to
    last day. What is not `clear` is hollow. `breaks` are days by their letter, within the years
    drawn, marked wherever torture alone is counted. Where there is nothing to draw, a sentence says
    so instead.

    >>> from kzresearch.publications import trend
    >>> found = trend("registered")
    >>> chart = kz.charts.timeline(found.drawn(), found.title, found.source_line)
    >>> print(chart.to_dict()["description"])
    Timeline. Figures on torture cases, with others for comparison: registered, Kazakhstan. ...
    """
    if frame.is_empty():
        return Markdown(say("*{title}: nothing to draw, no period is known.*", title=title))
    colour = pl.when("own").then(pl.lit(ACCENT)).otherwise(pl.lit(MARK))
    known = frame.with_columns(
        start=_in_years("period_start"),
        end=_in_years("period_end") + 1 / 365,
        stroke=colour,
        fill=pl.when("clear").then(colour).otherwise(pl.lit("white")),
    )
    points = known.filter(pl.col("year").is_not_null()).sort("year", "value")
    bars = known.filter(pl.col("year").is_null()).sort("start", "end", "id")
    years = [day.year for name in ("period_start", "period_end") for day in known[name]]
    span = (min(years), max(years) + 1)
    marked = breaks or {}
    days = pl.DataFrame(
        {"letter": [*marked], "at": [*marked.values()]}, {"letter": pl.String, "at": pl.Date}
    ).with_columns(at=_in_years("at"))
    names = points["source"].unique().sort().to_list()
    order = collation()
    panels = points.select("on_torture", "panel").unique().rows()
    panels.sort(key=lambda panel: (not panel[0], order(panel[1])))
    parts = [
        _panel(points.filter(pl.col("panel") == name), name, span, names, days)
        for _, name in panels
    ]
    if bars.height:
        parts.append(_lanes(bars, span, days))
    reading = (
        later("{source}. Hollow: something is unclear. {letters}: dated acts, named below")
        if marked
        else later("{source}. Hollow: something is unclear.")
    )
    return (
        Panels(vconcat=parts, spacing=16)
        .resolve_scale(shape="shared")
        .properties(
            title=heading(title, say(reading, source=source, letters=",\u00a0".join(marked))),
            description=say("Timeline. {title}. {figures}.", title=title, figures=_told(known)),
            usermeta=rows(known, "id", "period", "value", "unit", "source", "shown", "clear"),
            autosize=alt.AutoSizeParams(type="pad"),
        )
    )


def _panel(
    points: pl.DataFrame, name: str, span: Span, names: list[str], days: pl.DataFrame
) -> Layers:
    """Calendar years in one unit; figures of one year that lie close stand side by side in it."""
    height = PANEL if points.height > 2 else LOW
    gap = pl.col("value").diff().over("year") * (height / pl.col("value").max())  # in pixels
    near = (gap.shift(-1).over("year") < CLOSE, gap < CLOSE)  # to the next higher, lower
    under, over = (one.fill_null(value=False) for one in near)
    own = pl.when(over).then(pl.lit("left")).otherwise(pl.lit("right"))
    theirs = pl.when(under).then(pl.lit("under")).otherwise(pl.lit("over"))
    step = ASIDE * (span[1] - span[0]) / (WIDTH - MARGIN)  # in years
    aside = step * (under.cast(pl.Int8) - over.cast(pl.Int8))
    counts = alt.Axis(
        tickCount=height / 25, tickMinStep=1, format=",d", minExtent=MARGIN, maxExtent=MARGIN
    )
    base = alt.Chart(
        points.with_columns(
            middle=pl.col("year") + 0.5,
            at=pl.col("year") + 0.5 + aside,
            side=pl.when("own").then(own).otherwise(theirs),
        )
    ).encode(
        x=_years("at", span),
        y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=True), axis=counts),
        tooltip=_tooltip(),
    )
    shapes = alt.Scale(domain=names, range=(MORE_SHAPES * len(names))[: len(names)])
    legend = alt.Legend(title=None, orient="top", columns=4, labelLimit=240, symbolSize=75)
    marks = base.mark_point(size=75, opacity=1, strokeWidth=1.7).encode(
        shape=alt.Shape("source:N", scale=shapes, legend=legend),
        stroke=alt.Stroke("stroke:N", scale=None),
        fill=alt.Fill("fill:N", scale=None),
    )
    line = base.transform_filter("isValid(datum.series)").encode(detail=alt.Detail("series:N"))
    above = base.encode(x=_years("middle", span))  # numbers keep to the column of their year
    placed = [
        ((above if "dy" in place else base).transform_filter(f"datum.side == '{side}'"), place)
        for side, place in SIDES.items()
    ]
    layers = [
        *(_marked(days, span) if points["on_torture"].all() else []),
        line.mark_line(color=QUIET, strokeWidth=1),
        *(_words(one, **place, **HALO) for one, place in placed),
        marks,  # upon the halos, which would hide a point near by
        *(_words(one, **place) for one, place in placed),
    ]
    return Layers(layer=layers).properties(width=WIDTH - MARGIN, height=height, title=_small(name))


def _lanes(bars: pl.DataFrame, span: Span, days: pl.DataFrame) -> Layers:
    """Other periods, a bar each, its number above it."""
    first, last = span
    late = last - pl.col("start") < pl.col("end") - first  # there is more room on the left
    more = max(one.count("\n") for one in bars["label"])  # lines, which all lanes have room for
    base = alt.Chart(bars.with_columns(late=late)).encode(
        y=alt.Y("id:N", sort=None, title=None, axis=None), tooltip=_tooltip()
    )
    half = more * LINE / 2
    above = alt.ExprRef(f"{half - 6} - {LINE} * (split(datum.label, '\\n').length - 1)")
    lanes = base.mark_bar(height=7, strokeWidth=1.5, yOffset=7 + half).encode(
        x=_years("start", span),
        x2=alt.X2("end:Q"),
        stroke=alt.Stroke("stroke:N", scale=None),
        fill=alt.Fill("fill:N", scale=None),
    )
    texts = [
        _words(
            base.transform_filter(test).encode(x=_years(at, span)),
            **{"align": align, "dy": above, "lineBreak": "\n", "lineHeight": LINE, **halo},
        )
        for test, align, at in (("!datum.late", "left", "start"), ("datum.late", "right", "end"))
        for halo in (HALO, {})
    ]
    note = say("other periods than a calendar year, from first to last day (no common scale)")
    return Layers(layer=[*_marked(days, span), lanes, *texts]).properties(
        width=WIDTH - MARGIN, height=alt.Step(LANE + more * LINE), title=_small(note)
    )


def _years(name: str, span: Span) -> alt.X:
    """An axis of time in years, each named in its middle."""
    first, last = span
    axis = alt.Axis(
        values=list(range(first, last)),
        format="d",
        labelOffset=(WIDTH - MARGIN) / (last - first) / 2,
        labelFontSize=11,
        labelFlush=False,
        tickSize=4,
    )
    return alt.X(f"{name}:Q", title=None, scale=alt.Scale(domain=span, nice=False), axis=axis)


def _marked(days: pl.DataFrame, span: Span) -> list[alt.Chart]:
    """The days of `breaks`, each a dashed rule with its letter."""
    base = alt.Chart(days).encode(
        x=_years("at", span), tooltip=alt.Tooltip("letter:N", title=say("see below"))
    )
    return [
        base.mark_rule(color=QUIET, strokeWidth=1.2, strokeDash=[3, 3]),
        base.mark_text(y=-5, fontSize=11, fontWeight="bold").encode(text=alt.Text("letter:N")),
    ]


def _words(base: alt.Chart, **place: Any) -> alt.Chart:
    return base.encode(text=alt.Text("label:N")).mark_text(fontSize=11, **place)


def _small(text: str) -> alt.Title:
    return alt.Title(text, fontSize=12, fontWeight="normal", frame="group", offset=10)


def _tooltip() -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{name}:N", title=say(title)) for name, title in _FIGURE.items()]


def _in_years(name: str) -> pl.Expr:
    """A day as a number of years: 2022.5 in the middle of 2022."""
    day = pl.col(name)
    return day.dt.year() + (day.dt.ordinal_day() - 1) / (365 + day.dt.is_leap_year().cast(pl.Int8))


def _told(known: pl.DataFrame) -> str:
    """Every figure in words, by period."""
    said = [
        say(
            "{period}: {told}, {source}"
            if row["clear"]
            else "{period}: {told}, {source} (unclear)",
            **{name: row[name] for name in ("period", "told", "source")},
        )
        for row in known.sort("start", "end", "id").iter_rows(named=True)
    ]
    return "; ".join(said)

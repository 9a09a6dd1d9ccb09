"""The chart of monthly reports: cumulative figures as points, those of single months as bars."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import polars as pl
from IPython.display import Markdown

from kzresearch import captions
from kzresearch.charts.theme import (
    INK,
    MARK,
    QUIET,
    WIDTH,
    Layers,
    Panels,
    drawn,
    heading,
    rows,
)
from kzresearch.figures import number
from kzresearch.language import initials, say

TALL, LOW, MARGIN = 170, 120, 60  # pixels: the upper chart, the lower, the axis of figures
YEAR = 35  # pixels: what a year needs below an axis
FEW, MANY = 20, 40  # periods that can each have a number; months that can each have a letter
ABSENT = "×"
_MONTH = "floor((datum.value - floor(datum.value)) * 12)"
_YEAR = "format(floor(datum.value), 'd')"


@drawn
def periods(
    cumulative: pl.DataFrame, monthly: pl.DataFrame, title: str, source: str
) -> Panels | Markdown:
    """Figures of reports over time: from January to the month above, of the month alone below.

    Columns `period` (YYYY-MM), `value` (null where it is missing), `unit`, and `clear` (otherwise a
    mark is hollow); `cumulative` also `months`, `series` (points of one are joined by a line) and
    `change` (a number that stands at a rule where something changed, or null). Whole years are
    squares with their figure. What is missing has a cross at the foot, never a mark at nought.
    Where there is nothing to draw, a sentence says so instead.

    >>> _ = kz.ingest("reports/2023-12")
    >>> from kzresearch.series import over_periods
    >>> found = over_periods("146", region="KZ-75")
    >>> chart = kz.charts.periods(
    ...     found.cumulative_drawn(), found.monthly_drawn(), "Torture, Almaty", "Form 1-M"
    ... )
    >>> print(chart.to_dict()["description"])
    Points and bars over time. Torture, Almaty, offences. Since January: January–December 2022: 24;
    January 2023: no figure; ...
    """
    if not cumulative["value"].count():
        return Markdown(say("*{title}: nothing to draw, no figure is at hand.*", title=title))
    above, below = (_placed(frame) for frame in (cumulative, monthly))
    every = pl.concat([above.select("start", "end"), below.select("start", "end")])
    span = (min(every["start"].to_list()), max(every["end"].to_list()))
    unit = cumulative["unit"].drop_nulls()[0]
    subtitle = say(
        "{source}. Square: a whole year. Hollow: something is to be minded. {absent}: no figure. "
        "Dashed, with a number: something changed, named below.",
        source=source,
        absent=ABSENT,
    )
    alone = monthly.select("period", in_month="value")
    parts = [_above(above, span, unit), *([_below(below, span, unit)] if below.height else [])]
    return Panels(vconcat=parts, spacing=14).properties(
        title=heading(title, subtitle),
        description=_told(above, below, title, unit),
        usermeta=rows(
            cumulative.join(alone, on="period", how="left", maintain_order="left"),
            *("period", "months", "value", "in_month", "unit", "clear", "note"),
        ),
        autosize=alt.AutoSizeParams(type="pad"),
    )


def _placed(frame: pl.DataFrame) -> pl.DataFrame:
    """With where each month stands on the axis, in years, and what is shown of it."""
    month = pl.col("period").str.slice(5).cast(pl.Int64)
    start = pl.col("period").str.head(4).cast(pl.Int64) + (month - 1) / 12
    shown = [None if v is None else number(v) for v in frame["value"]]
    return frame.with_columns(
        start=start,
        at=start + 0.5 / 12,
        end=start + 1 / 12,
        shown=pl.Series(shown, dtype=pl.String),
        fill=pl.when("clear").then(pl.lit(MARK)).otherwise(pl.lit("white")),
        note=pl.col("note").fill_null(""),
    )


def _above(points: pl.DataFrame, span: tuple[float, float], unit: str) -> Layers:
    """Cumulative figures: circles, and squares for whole years; lines where they go on."""
    named = points.with_columns(
        shown=pl.when((pl.col("months") == 12) | (pl.len() <= FEW))
        .then("shown")
        .otherwise(pl.lit("")),
        whole=pl.col("months") == 12,
    )
    there = named.filter(pl.col("value").is_not_null())
    base = alt.Chart(there).encode(x=_months("at", span), y=_figures(there), tooltip=_tooltip())
    shape = alt.condition("datum.whole", alt.value("square"), alt.value("circle"))
    changed = alt.Chart(named.filter(pl.col("change").is_not_null())).encode(
        x=_months("start", span), tooltip=alt.Tooltip("change:N", title=say("see below"))
    )
    layers = [
        changed.mark_rule(color=QUIET, strokeWidth=1.2, strokeDash=[3, 3]),
        changed.mark_text(y=-12, fontSize=11, fontWeight="bold").encode(text=alt.Text("change:N")),
        base.mark_line(color=QUIET, strokeWidth=1.2).encode(detail=alt.Detail("series:N")),
        base.mark_point(opacity=1, strokeWidth=1.7, stroke=MARK).encode(
            shape=shape,
            size=alt.condition("datum.whole", alt.value(95), alt.value(45)),
            fill=alt.Fill("fill:N", scale=None),
        ),
        base.mark_text(dy=-12, fontSize=11).encode(text=alt.Text("shown:N")),
        *_absent(named, span),
    ]
    said = say(
        "{unit} registered from January to the end of the month (cumulative, net)", unit=say(unit)
    )
    return Layers(layer=layers).properties(width=WIDTH - MARGIN, height=TALL, title=_small(said))


def _below(bars: pl.DataFrame, span: tuple[float, float], unit: str) -> Layers:
    """Figures of single months; nought is a line at the foot."""
    there = bars.filter(pl.col("value").is_not_null()).with_columns(
        start=pl.col("start") + 0.1 / 12, end=pl.col("end") - 0.1 / 12
    )
    base = alt.Chart(there).encode(y=_figures(there), tooltip=_tooltip())
    layers = [
        base.mark_bar(stroke=MARK, strokeWidth=1.2).encode(
            x=_months("start", span),
            x2=alt.X2("end:Q"),
            y2=alt.datum(0),
            fill=alt.Fill("fill:N", scale=None),
        ),
        *_absent(bars, span),
    ]
    if bars.height <= MANY:
        text = base.mark_text(dy=-7, fontSize=10)
        layers.append(text.encode(x=_months("at", span), text=alt.Text("shown:N")))
    said = say("{unit} registered in the month alone, by its own report (net)", unit=say(unit))
    return Layers(layer=layers).properties(width=WIDTH - MARGIN, height=LOW, title=_small(said))


def _absent(frame: pl.DataFrame, span: tuple[float, float]) -> list[alt.Chart]:
    gone = frame.filter(pl.col("value").is_null())
    base = alt.Chart(gone).encode(x=_months("at", span), tooltip=_tooltip())
    mark = base.mark_text(text=ABSENT, fontSize=13, color=INK, baseline="bottom", dy=2)
    return [mark.encode(y=alt.value("height"))] if gone.height else []


def _months(name: str, span: tuple[float, float]) -> alt.X:
    """An axis of time in years: each month by its initial, or where they are many each year alone."""
    first, last = span
    count = round((last - first) * 12)
    scale = alt.Scale(domain=[first, last], nice=False, zero=False)
    look: dict[str, Any] = {
        "labelFontSize": 11,
        "labelFlush": False,
        "grid": False,
        "labelOverlap": False,
    }
    if count <= MANY:
        initial = f"substring('{initials()}', {_MONTH}, {_MONTH} + 1)"
        room = (math.ceil(first) - first) / (last - first) * (WIDTH - MARGIN) > YEAR
        dated = f"{_MONTH} == 0 || datum.index == 0" if room else f"{_MONTH} == 0"
        axis = alt.Axis(
            values=[first + (place + 0.5) / 12 for place in range(count)],
            labelExpr=f"{dated} ? [{initial}, {_YEAR}] : {initial}",
            ticks=False,
            labelPadding=5,
            **look,
        )
    else:
        years = [float(year) for year in range(math.ceil(first), math.ceil(last))]
        axis = alt.Axis(
            values=[first, *years] if years[0] - first > 0.3 else years,
            labelExpr=_YEAR,
            tickSize=16,
            labelAlign="left",
            labelPadding=-11,
            labelOffset=4,
            **look,
        )
    return alt.X(f"{name}:Q", title=None, scale=scale, axis=axis)


def _figures(frame: pl.DataFrame) -> alt.Y:
    """An axis of figures from nought, in whole numbers; the greatest has room for its own above it."""
    most = max([*frame["value"].to_list(), 1])
    axis = alt.Axis(tickCount=min(5, int(most)), format=",d", minExtent=MARGIN, maxExtent=MARGIN)
    scale = alt.Scale(domain=[0, most * 1.08], nice=False)
    return alt.Y("value:Q", title=None, scale=scale, axis=axis)


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("period:N", title=say("period")),
        alt.Tooltip("value:Q", title=say("figure")),
        alt.Tooltip("note:N", title=say("to mind")),
    ]


def _small(text: str) -> alt.Title:
    return alt.Title(text, fontSize=12, fontWeight="normal", frame="group", offset=20)


def _told(above: pl.DataFrame, below: pl.DataFrame, title: str, unit: str) -> str:
    """Every figure in words."""
    none = say("no figure")
    since = [
        " ".join(
            [
                f"{captions.months(line['period'])}: {line['shown'] or none}",
                *(
                    []
                    if line["clear"] or line["value"] is None
                    else [say("(something is to be minded)")]
                ),
                *([say("(change {n})", n=line["change"])] if line["change"] else []),
            ]
        )
        for line in above.iter_rows(named=True)
    ]
    alone = [
        f"{line['period']}: {none if line['shown'] is None else line['shown']}"
        for line in below.iter_rows(named=True)
    ]
    return say(
        "Points and bars over time. {title}, {unit}. Since January: {since}. In the month alone: {alone}.",
        title=title,
        unit=say(unit),
        since="; ".join(since),
        alone="; ".join(alone),
    )

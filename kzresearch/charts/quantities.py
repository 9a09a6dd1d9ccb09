"""Charts of quantities side by side."""

from __future__ import annotations

import altair as alt
import polars as pl
from IPython.display import Markdown

from kzresearch.charts.theme import (
    BAR,
    KINDS,
    SHAPES,
    WIDTH,
    Channels,
    Layers,
    drawn,
    heading,
    layer,
    nominal,
    quantity,
    rows,
    wrapped,
)
from kzresearch.figures import number
from kzresearch.language import later, localised, say

_LIMITS = {
    "estimate": later("estimate"),
    "lower": later("lower limit"),
    "upper": later("upper limit"),
}
_NOTHING = later("*{title}: nothing to draw, no figure is reported.*")


@drawn
def bars(frame: pl.DataFrame, title: str, unit: str, source: str) -> Layers | Markdown:
    """Horizontal bars in the frame's order, each with its number: columns `label`, `value`.

    `unit` names the axis, `source` stands below the title. Rows without a value are left out; where
    there is nothing to draw, a sentence says so instead.

    >>> report = kz.period_report("2022-12")
    >>> chart = kz.charts.bars(report.severity(), "By severity, 2022", "offences", "Form 1-M")
    >>> print(chart.to_dict()["description"])
    Bar chart. By severity, 2022. In offences: especially grave: 2,200; grave: 43,663; ...
    """
    if not (frame["value"].fill_null(0) > 0).any():
        why = (
            later("*{title}: nothing to draw, every figure is nought.*")
            if frame["value"].count()
            else _NOTHING
        )
        return Markdown(say(why, title=title))
    known = frame.filter(pl.col("value").is_not_null()).select(
        "label",
        "value",
        lines=pl.col("label").map_elements(wrapped, return_dtype=pl.String),
        shown=pl.col("value").map_elements(number, return_dtype=pl.String),
    )
    described = "; ".join(f"{label}: {shown}" for label, _, _, shown in known.iter_rows())
    twowrapped = known["lines"].str.contains("\n", literal=True).any()
    counts = {"format": ",d", "tickCount": 5, "tickMinStep": 1}
    labels = {"domain": False, "labelExpr": "split(datum.label, '\\n')", "ticks": False}
    both: Channels = {
        "x": quantity("value", axis=counts, title=unit),
        "y": nominal("lines", axis=labels, sort=None, title=None),
        "tooltip": [nominal("label", title=" "), nominal("shown", title=unit)],
    }
    written = both | {"text": nominal("shown")}
    return Layers(
        layer=[layer(known, "bar", both), layer(known, "text", written, align="left", dx=5)],
        width=WIDTH,
        height=alt.Step(BAR * (1.4 if twowrapped else 1)),
        title=heading(title, source),
        description=say(
            "Bar chart. {title}. In {unit}: {values}.", title=title, unit=unit, values=described
        ),
        config={"scale": {"bandPaddingInner": 0.3}},
        # room for the space in a number, which is drawn wider than it is measured
        padding={"left": 5, "top": 5, "right": 12, "bottom": 5},
        usermeta=rows(known, "label", "value"),
    )


@drawn
def intervals(
    frame: pl.DataFrame, title: str, unit: str, source: str, *, axis_format: str = ",.3~g"
) -> Layers | Markdown:
    """Estimates with their intervals, one line each in the frame's order.

    Columns `label`, `estimate`, `lower`, `upper` (in the `unit` of the axis), and `kind` where a
    label has several: each kind has a colour and a shape. `axis_format` is for numbers on the axis
    and in tooltips (`".0%"` for shares of 1). Rows without an estimate are left out; where there is
    nothing to draw, a sentence says so instead.

    >>> ways = kz.case_flow("2022-12", article="146").filter(kind="outcome")
    >>> ways = ways.rename({"share": "estimate"}).drop("kind")
    >>> chart = kz.charts.intervals(ways, "Torture, 2022", "share", "Form 1-M", axis_format=".0%")
    >>> print(chart.to_dict()["description"])
    Estimates with 95 % intervals. Torture, 2022. In share: terminated on rehabilitating
    grounds: 0.885 (0.862 to 0.904); sent to court: 0.0109 (0.00593 to 0.0199); ...
    """
    known = frame.filter(pl.col("estimate").is_not_null()).with_columns(
        lines=pl.col("label").map_elements(wrapped, return_dtype=pl.String)
    )
    if known.is_empty():
        return Markdown(say(_NOTHING, title=title))
    kinds = known["kind"].unique(maintain_order=True).to_list() if "kind" in known.columns else []
    labels = {
        "domain": False,
        "grid": True,
        "labelExpr": "split(datum.label, '\\n')",
        "ticks": False,
    }
    shown = axis_format.replace(".0", ".1")
    both: Channels = {
        "y": nominal("lines", axis=labels, sort=None, title=None),
        "tooltip": [
            *(nominal(name, title=" ") for name in (["label", "kind"] if kinds else ["label"])),
            *(quantity(name, format=shown, title=say(words)) for name, words in _LIMITS.items()),
        ],
    }
    shape = {}
    if kinds:
        legend = {"direction": "horizontal", "labelLimit": 400, "orient": "top", "title": None}
        colours = {"domain": kinds, "range": KINDS[: len(kinds)]}
        shapes = {"domain": kinds, "range": SHAPES[: len(kinds)]}
        both["yOffset"] = nominal("kind", sort=kinds)
        both["color"] = nominal("kind", legend=legend, scale=colours)
        shape = {"shape": nominal("kind", legend=legend, scale=shapes)}
    span = {"x": quantity("lower", title=unit), "x2": {"field": "upper"}}
    axis = {"format": axis_format, "tickCount": 6}
    at = {"x": quantity("estimate", axis=axis, scale={"zero": True}, title=unit)}
    rules = layer(known, "rule", both | span)
    return Layers(
        layer=[
            rules.transform_filter("isValid(datum.lower) && isValid(datum.upper)"),
            layer(known, "point", both | at | shape, opacity=1, size=70),
        ],
        width=WIDTH,
        height=alt.Step(BAR * (0.75 if kinds else 1)),
        title=heading(title, source),
        description=say(
            "Estimates with 95 % intervals. {title}. In {unit}: {values}.",
            title=title,
            unit=unit,
            values=_described(known),
        ),
        usermeta=rows(known, "label", *(["kind"] if kinds else []), "estimate", "lower", "upper"),
    )


def _described(known: pl.DataFrame) -> str:
    """Every line of an `intervals` chart in words."""
    said = []
    for line in known.iter_rows(named=True):
        name = f"{line['label']}, {line['kind']}" if "kind" in line else line["label"]
        limits = [line["lower"], line["upper"]]
        value = localised(f"{line['estimate']:.3g}")
        if None not in limits:
            lower, upper = (localised(f"{limit:.3g}") for limit in limits)
            value = say("{value} ({lower} to {upper})", value=value, lower=lower, upper=upper)
        said.append(f"{name}: {value}")
    return "; ".join(said)

"""Charts of quantities side by side."""

from __future__ import annotations

import altair as alt
import polars as pl
from IPython.display import Markdown

from kzresearch.charts.theme import BAR, KINDS, SHAPES, WIDTH, heading, wrapped
from kzresearch.figures import number


def bars(
    frame: pl.DataFrame, title: str, unit: str, source: str
) -> alt.LayerChart | alt.FacetChart | Markdown:
    """Horizontal bars in the frame's order, each with its number: columns `label`, `value`.

    `unit` names the axis, `source` stands below the title. Rows without a value are left out; where
    there is nothing to draw, a sentence says so instead.
    """
    if not (frame["value"].fill_null(0) > 0).any():
        why = "every figure is nought" if frame["value"].count() else "no figure is reported"
        return Markdown(f"*{title}: nothing to draw, {why}.*")
    known = frame.filter(pl.col("value").is_not_null()).select(
        "label",
        "value",
        lines=pl.col("label").map_elements(wrapped, return_dtype=pl.String),
        shown=pl.col("value").map_elements(number, return_dtype=pl.String),
    )
    described = "; ".join(f"{label}: {shown}" for label, _, _, shown in known.iter_rows())
    twowrapped = known["lines"].str.contains("\n", literal=True).any()
    axis = alt.Axis(ticks=False, domain=False, labelExpr="split(datum.label, '\\n')")
    base = alt.Chart(known).encode(
        x=alt.X("value:Q", title=unit, axis=alt.Axis(tickCount=5, format=",d", tickMinStep=1)),
        y=alt.Y("lines:N", sort=None, title=None, axis=axis),
        tooltip=[alt.Tooltip("label:N", title=" "), alt.Tooltip("shown:N", title=unit)],
    )
    text = base.mark_text(align="left", dx=5).encode(text="shown:N")
    return (
        alt.layer(base.mark_bar(), text)
        .properties(
            width=WIDTH,
            height=alt.Step(BAR * (1.4 if twowrapped else 1)),
            title=heading(title, source),
            description=f"Bar chart. {title}. In {unit}: {described}.",
        )
        .configure_scale(bandPaddingInner=0.3)
    )


def intervals(
    frame: pl.DataFrame, title: str, unit: str, source: str, *, axis_format: str = ",.3~g"
) -> alt.LayerChart | alt.FacetChart | Markdown:
    """Estimates with their intervals, one line each in the frame's order.

    Columns `label`, `estimate`, `lower`, `upper` (in the `unit` of the axis), and `kind` where a
    label has several: each kind has a colour and a shape. `axis_format` is for numbers on the axis
    and in tooltips (`".0%"` for shares of 1). Rows without an estimate are left out; where there is
    nothing to draw, a sentence says so instead.
    """
    known = frame.filter(pl.col("estimate").is_not_null()).with_columns(
        lines=pl.col("label").map_elements(wrapped, return_dtype=pl.String)
    )
    if known.is_empty():
        return Markdown(f"*{title}: nothing to draw, no figure is reported.*")
    kinds = known["kind"].unique(maintain_order=True).to_list() if "kind" in known.columns else []
    axis = alt.Axis(tickCount=6, format=axis_format)
    base = alt.Chart(known).encode(
        y=alt.Y(
            "lines:N",
            sort=None,
            title=None,
            axis=alt.Axis(
                ticks=False, domain=False, grid=True, labelExpr="split(datum.label, '\\n')"
            ),
        ),
        tooltip=[
            alt.Tooltip("label:N", title=" "),
            *([alt.Tooltip("kind:N", title=" ")] if kinds else []),
            *(
                alt.Tooltip(f"{name}:Q", format=axis_format.replace(".0", ".1"))
                for name in ("estimate", "lower", "upper")
            ),
        ],
    )
    if kinds:
        legend = alt.Legend(title=None, orient="top", direction="horizontal", labelLimit=400)
        base = base.encode(
            yOffset=alt.YOffset("kind:N", sort=kinds),
            color=alt.Color("kind:N", legend=legend).scale(domain=kinds, range=KINDS[: len(kinds)]),
        )
    x = alt.X("estimate:Q", title=unit, axis=axis, scale=alt.Scale(zero=True))
    spans = base.transform_filter("isValid(datum.lower) && isValid(datum.upper)")
    points = base.mark_point(opacity=1, size=70).encode(x=x)
    if kinds:
        shapes = alt.Scale(domain=kinds, range=SHAPES[: len(kinds)])
        points = points.encode(shape=alt.Shape("kind:N", legend=legend, scale=shapes))
    return alt.layer(
        spans.mark_rule().encode(x=alt.X("lower:Q", title=unit), x2="upper:Q"),
        points,
    ).properties(
        width=WIDTH,
        height=alt.Step(BAR * (0.75 if kinds else 1)),
        title=heading(title, source),
        description=f"Estimates with 95 % intervals. {title}. In {unit}: {_described(known)}.",
    )


def _described(known: pl.DataFrame) -> str:
    """Every line of an `intervals` chart in words."""
    said = []
    for line in known.iter_rows(named=True):
        name = f"{line['label']}, {line['kind']}" if "kind" in line else line["label"]
        limits = [line["lower"], line["upper"]]
        span = "" if None in limits else " ({:.3g} to {:.3g})".format(*limits)
        said.append(f"{name}: {line['estimate']:.3g}{span}")
    return "; ".join(said)

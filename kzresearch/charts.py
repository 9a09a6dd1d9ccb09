"""The project's charts: Altair, one look, with an alternative text computed from the data.

A chart is shown as Vega-Lite JSON under a `…+json` type, which JupyterLab draws without a network
and which stays in the notebook's output, the same in every run.
"""

from __future__ import annotations

import textwrap
from typing import Any

import altair as alt
import polars as pl
from IPython.display import Markdown

from kzresearch.figures import number

MIME = "application/vnd.vegalite.v5+json"
"""The newest Vega-Lite type that JupyterLab draws by itself."""

INK, MARK, QUIET = "#1f2933", "#2f5d8a", "#7b8794"
WIDTH, BAR, LINE = 720, 26, 40  # pixels; characters of a label's line
FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"


def _render(spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    spec = {**spec, "$schema": "https://vega.github.io/schema/vega-lite/v5.json"}
    return {MIME: spec, "text/plain": spec.get("description", "chart")}


@alt.theme.register("kzresearch", enable=True)
def _theme() -> alt.theme.ThemeConfig:
    return {
        "config": {
            "font": FONT,
            "background": "white",
            "view": {"stroke": None},
            "autosize": {"type": "fit-x", "contains": "padding"},
            "title": {
                "anchor": "start",
                "frame": "bounds",
                "fontSize": 15,
                "subtitleFontSize": 12,
                "subtitleColor": "#52606d",
                "color": INK,
                "offset": 12,
            },
            "axis": {
                "labelFontSize": 12,
                "titleFontSize": 12,
                "titleFontWeight": "normal",
                "labelColor": INK,
                "titleColor": "#52606d",
                "gridColor": "#e4e7eb",
                "domainColor": QUIET,
                "labelLimit": 330,
            },
            "bar": {"color": MARK},
            "line": {"color": MARK, "strokeWidth": 2},
            "point": {"color": MARK, "filled": True, "size": 55},
            "text": {"color": INK, "fontSize": 12},
        }
    }


alt.renderers.register("kzresearch", _render)
alt.renderers.enable("kzresearch")


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
        lines=pl.col("label").map_elements(_lines, return_dtype=pl.String),
        shown=pl.col("value").map_elements(number, return_dtype=pl.String),
    )
    described = "; ".join(f"{label}: {shown}" for label, _, _, shown in known.iter_rows())
    two_lines = known["lines"].str.contains("\n", literal=True).any()
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
            height=alt.Step(BAR * (1.4 if two_lines else 1)),
            title=_title(title, source),
            description=f"Bar chart. {title}. In {unit}: {described}.",
        )
        .configure_scale(bandPaddingInner=0.3)
    )


def _lines(label: str) -> str:
    """The label in one line or two, the rest left out."""
    return "\n".join(textwrap.wrap(label, LINE, max_lines=2, placeholder=" …"))


def _title(title: str, source: str) -> alt.Title:
    return alt.Title(textwrap.wrap(title, 90), subtitle=textwrap.wrap(source, 100))


def freedom(
    frame: pl.DataFrame, marked: list[int], title: str, source: str
) -> alt.LayerChart | alt.FacetChart:
    """Freedom in the World's total by edition, the editions in `marked` with their number."""
    points = frame.select("edition", "total", "status").sort("edition")
    first, last = points.row(0, named=True), points.row(-1, named=True)
    named = "; ".join(f"edition {e}: {t}, {s}" for e, t, s in points.iter_rows() if e in marked)
    description = (
        f"Line chart. {title}. From {first['total']} of 100 in edition {first['edition']} to "
        f"{last['total']} in edition {last['edition']}. {named}."
    )
    base = alt.Chart(points).encode(
        x=alt.X("edition:O", title="edition (year of publication)", axis=alt.Axis(labelAngle=0)),
        y=alt.Y(
            "total:Q",
            title="points of 100, higher is freer",
            scale=alt.Scale(domain=[0, 100]),
            axis=alt.Axis(tickCount=5),
        ),
        tooltip=["edition:O", "total:Q", "status:N"],
    )
    chosen = base.transform_filter(alt.FieldOneOfPredicate("edition", marked))
    return alt.layer(
        base.mark_line(),
        base.mark_point(),
        chosen.mark_point(size=160, filled=False, strokeWidth=2),
        chosen.mark_text(dy=-16, fontWeight="bold").encode(text="total:Q"),
    ).properties(
        width=WIDTH,
        height=200,
        title=_title(title, source),
        description=description,
    )

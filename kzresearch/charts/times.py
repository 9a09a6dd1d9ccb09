"""Charts over time."""

from __future__ import annotations

import altair as alt
import polars as pl

from kzresearch.charts.theme import WIDTH, heading


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
        title=heading(title, source),
        description=description,
    )

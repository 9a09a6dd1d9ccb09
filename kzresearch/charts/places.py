"""Charts of regions: on a map, side by side, and against what chance would leave."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl
from IPython.display import Markdown

from kzresearch.charts.theme import (
    ACCENT,
    BAR,
    INK,
    MARK,
    PALE,
    QUIET,
    SHAPES,
    WIDTH,
    ZOOM,
    Layers,
    drawn,
    heading,
    rows,
)
from kzresearch.figures import NOT_REPORTED, number
from kzresearch.funnels import ZONES, Funnel
from kzresearch.language import current, later, say

if TYPE_CHECKING:
    from kzresearch.boundaries import Boundaries

SHADES = ["#e3ebf3", "#b3cbe0", "#7fa8cc", MARK]
"""From few to many; in grey each is darker than the one before."""
TILE, FUNNEL = 64, 380  # pixels high; how wide, the page says
TILE_LINE = 17  # characters of a line on a tile
SIDES: dict[str, tuple[Any, int, int]] = {
    "right": ("left", 9, 0),
    "left": ("right", -9, 0),
    "above": ("left", -5, -14),
    "below": ("left", -5, 14),
    "above left": ("right", 5, -14),
    "below left": ("right", 5, 14),
}
"""Where a point's name can be written: alignment, and pixels from the point."""
CITIES = {"KZ-71": (29, 2), "KZ-75": (0, 22), "KZ-79": (35, 12)}
"""Where a city's name and number stand, in pixels from its square: clear of what is around it."""
_NOTHING = later("*{title}: nothing to draw, no figure is above nought.*")
KAZAKHSTAN: dict[str, Any] = {
    "type": "conicEqualArea",
    "rotate": [-67, 0, 0],
    "parallels": [43, 53],
}


@drawn
def region_map(
    frame: pl.DataFrame,
    title: str,
    unit: str,
    source: str,
    boundaries: Boundaries | None = None,
) -> Layers:
    """A map of regions, each with its number, shaded by class.

    Columns `region`, `label`, `value` (in `unit`; null: not reported), `shown` (what is written of
    it), `tile_row`, `tile_column`, and `lines` where a tile has not just the label. Drawn as tiles of one
    size, or with `boundaries` (features with the code as `iso`) in an equal-area projection, cities as
    squares. The classes hold about equally many regions each; nought, and not reported, are white
    classes of their own.

    >>> from kzresearch.geography import regional_report
    >>> places = regional_report("2022-12", "146").places("gross_caseload")
    >>> chart = kz.charts.region_map(places, "Torture cases, 2022", "offences", "Form 1-M")
    >>> print(chart.to_dict()["description"])
    Map. Torture cases, 2022. In offences: Almaty: 189; Almaty Region: 95; ...
    """
    known = _classed(frame).with_columns(
        lines=pl.col("lines" if "lines" in frame.columns else "label").map_elements(
            _lines, return_dtype=pl.String
        )
    )
    classes = known.sort("class").select("band", "shade").unique(maintain_order=True)
    legend = alt.Legend(
        orient="top",
        titleLimit=WIDTH,
        symbolType="square",
        symbolStrokeColor=QUIET,
        symbolStrokeWidth=1,
    )
    scale = alt.Scale(domain=classes["band"].to_list(), range=classes["shade"].to_list())
    colour = alt.Color("band:N", title=unit, scale=scale, legend=legend)
    tooltip = [alt.Tooltip("label:N", title=" "), alt.Tooltip("shown:N", title=unit)]
    if boundaries is None:
        chart = _tiles(known, colour, tooltip)
    else:
        chart = _outlines(known, boundaries, colour, tooltip)
        source = f"{source}. {boundaries.credit}"
    said = "; ".join(f"{label}: {shown}" for label, shown in known.select("label", "shown").rows())
    return chart.properties(
        width=WIDTH,
        title=heading(title, source),
        description=say("Map. {title}. In {unit}: {values}.", title=title, unit=unit, values=said),
        usermeta=rows(known, "region", "label", "value"),
    )


def _classed(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with each value's class in words and in order, and its shade."""
    value = pl.col("value")
    above = pl.when(value > 0).then(value)
    many = min(len(SHADES), frame.filter(value > 0)["value"].n_unique())
    rank = (above.rank("min") - 1) * many // pl.max_horizontal(above.count(), 1)
    shades = {-2: "#ffffff", -1: "#ffffff"} | dict(enumerate(SHADES[len(SHADES) - many :]))
    classed = frame.with_columns(
        **{"class": pl.when(value.is_null()).then(-2).otherwise(rank.fill_null(-1)).cast(pl.Int64)},
    )
    by_size = pl.col("shown").sort_by("value")
    low, high = by_size.first().over("class"), by_size.last().over("class")
    return classed.with_columns(
        band=pl.when(low == high).then(low).otherwise(pl.concat_str(low, high, separator="–")),
        shade=pl.col("class").replace_strict(shades, return_dtype=pl.String),
        ink=pl.when(pl.col("class") == many - 1, many > 0)
        .then(pl.lit("#ffffff"))
        .otherwise(pl.lit(INK)),
    )


def _lines(name: str) -> str:
    """The name in lines that a tile is wide enough for."""
    return "\n".join(line for one in name.split("\n") for line in textwrap.wrap(one, TILE_LINE))


def _tiles(known: pl.DataFrame, colour: alt.Color, tooltip: list[alt.Tooltip]) -> Layers:
    base = alt.Chart(known).encode(
        x=alt.X("tile_column:O", axis=None, scale=alt.Scale(padding=0.03)),
        y=alt.Y("tile_row:O", axis=None, scale=alt.Scale(padding=0.05)),
        tooltip=tooltip,
    )
    ink = alt.Color("ink:N", scale=None)
    three = "length(split(datum.lines, '\\n')) > 2"
    words = base.mark_text(
        dy=alt.expr(f"{three} ? -21 : -16"), fontSize=11, lineBreak="\n", lineHeight=12
    )
    numbers = base.mark_text(dy=alt.expr(f"{three} ? 20 : 17"), fontSize=16, fontWeight="bold")
    layers = [
        base.mark_rect(stroke=QUIET, strokeWidth=1).encode(color=colour),
        words.encode(text=alt.Text("lines:N"), color=ink),
        numbers.encode(text=alt.Text("shown:N"), color=ink),
    ]
    return Layers(layer=layers).properties(height=TILE * max(known["tile_row"].to_list()))


def _outlines(
    known: pl.DataFrame, boundaries: Boundaries, colour: alt.Color, tooltip: list[alt.Tooltip]
) -> Layers:
    shapes = alt.Data(
        values=boundaries.topology,
        format=alt.TopoDataFormat(type="topojson", feature=boundaries.feature),
    )
    fields = ["label", "shown", "band"]
    base = alt.Chart(shapes).transform_lookup(
        "properties.iso", alt.LookupData(known, "region", fields)
    )
    middle = base.transform_calculate(
        place="geoCentroid(null, datum)", east="datum.place[0]", north="datum.place[1]"
    ).encode(longitude=alt.Longitude("east:Q"), latitude=alt.Latitude("north:Q"), tooltip=tooltip)
    city = middle.transform_filter("datum.properties.type == 'city'")
    layers = [
        base.mark_geoshape(stroke=QUIET, strokeWidth=0.8).encode(color=colour, tooltip=tooltip),
        city.mark_square(size=220, opacity=1, color="white"),
        city.mark_square(size=120, opacity=1, stroke=INK, strokeWidth=1).encode(color=colour),
    ]
    across, down = (
        f"({json.dumps({code: of[axis] for code, of in CITIES.items()})}[datum.properties.iso] || 0)"
        for axis in (0, 1)
    )
    for size, dy, field, weight in ((9, -6, "label:N", "normal"), (12, 6, "shown:N", "bold")):
        font: dict[str, Any] = {
            "fontSize": size,
            "fontWeight": weight,
            "dx": alt.expr(across),
            "dy": alt.expr(f"{dy} + {down}"),
        }
        halo = middle.mark_text(stroke="white", strokeWidth=3.5, strokeJoin="round", **font)
        text = alt.Text(field)
        layers += [halo.encode(text=text), middle.mark_text(**font).encode(text=text)]
    return Layers(layer=layers).project(**KAZAKHSTAN).properties(height=400)


@drawn
def pairs(
    frame: pl.DataFrame, names: dict[str, str], title: str, unit: str, source: str
) -> Layers | Markdown:
    """Two bars for each row, in the frame's order, each with its number, nought too.

    `names` gives the frame's two columns (in `unit`) and their words; `label` names the rows.
    Where there is nothing to draw, a sentence says so instead.

    >>> figures = kz.load_form_1m("2022-12", ["KZ-71", "KZ-75"], "R1", "146")
    >>> wide = figures.pivot("measure", index="region", values="value")
    >>> chart = kz.charts.pairs(
    ...     wide.rename({"region": "label"}),
    ...     {"registered": "registered", "terminated_rehabilitating": "terminated"},
    ...     "Torture, 2022", "offences", "Form 1-M",
    ... )
    >>> print(chart.to_dict()["description"])
    Bar chart with two bars each. Torture, 2022. In offences: KZ-71: 2 registered, 23 terminated;
    KZ-75: 24 registered, 164 terminated.
    """
    kinds = list(names.values())
    known = (
        frame.select("label", *(pl.col(column).alias(kind) for column, kind in names.items()))
        .unpivot(on=kinds, index="label", variable_name="kind")
        .with_columns(shown=pl.col("value").map_elements(number, return_dtype=pl.String))
        .with_columns(pl.col("shown").fill_null(say(NOT_REPORTED)))
    )
    if not (known["value"].fill_null(0) > 0).any():
        return Markdown(say(_NOTHING, title=title))
    legend = alt.Legend(title=None, orient="top", labelLimit=400, symbolStrokeColor=MARK)
    base = alt.Chart(known).encode(
        x=alt.X("value:Q", title=unit, axis=alt.Axis(tickCount=5, format=",d", tickMinStep=1)),
        y=alt.Y(
            "label:N",
            sort=None,
            title=None,
            axis=alt.Axis(ticks=False, domain=False, labelPadding=6),
        ),
        yOffset=alt.YOffset("kind:N", sort=kinds),
        tooltip=[
            alt.Tooltip("label:N"),
            alt.Tooltip("kind:N"),
            alt.Tooltip("shown:N", title=unit),
        ],
    )
    colour = alt.Color("kind:N", legend=legend, scale=alt.Scale(domain=kinds, range=[MARK, PALE]))
    said = "; ".join(
        f"{label}: "
        + ", ".join(f"{number(value)} {kind}" for kind, value in zip(kinds, of, strict=True))
        for label, *of in frame.select("label", *names).iter_rows()
    )
    layers = [
        base.mark_bar(stroke=MARK, strokeWidth=0.6).encode(color=colour),
        base.mark_text(align="left", dx=4, fontSize=10).encode(text=alt.Text("shown:N")),
    ]
    return Layers(layer=layers).properties(
        width=WIDTH,
        height=alt.Step(BAR * 0.55),
        title=heading(title, source),
        description=say(
            "Bar chart with two bars each. {title}. In {unit}: {values}.",
            title=title,
            unit=unit,
            values=said,
        ),
        usermeta=rows(frame, "label", *names),
    )


@drawn
def funnel(
    plot: Funnel, title: str, size: str, unit: str, source: str, *, axis_format: str = ",.3~g"
) -> Layers | Markdown:
    """A funnel plot: a point for each region, the pooled value, and the limits around it.

    `size` and `unit` name the axes. Points beyond the limits have another shape and their name.
    Where there is nothing to draw, a sentence says so instead.

    >>> from kzresearch.geography import regional_report
    >>> shares = regional_report("2022-12", "146").funnel_of_shares()
    >>> chart = kz.charts.funnel(shares, "Torture cases terminated", "cases", "share", "Form 1-M")
    >>> print(chart.to_dict()["description"])
    Funnel plot. Torture cases terminated. In share: all together 88.5 %; Almaty: 86.8 %: within
    the limits; Almaty Region: 57.9 %: outside the 99.8 % limits; ...
    """
    if plot.points.is_empty() or not plot.centre:
        return Markdown(say(_NOTHING, title=title))
    values = plot.points["value"].to_list() + plot.limits["upper"].to_list()
    sizes = [0.8 * plot.points["size"].to_numpy().min(), *plot.limits["size"].to_list()]
    domains = [min(sizes), max(sizes)], [0, max(values) * 1.08]
    levels = {
        level: say("{level} % limits", level=level * 100)
        for level in plot.limits["level"].unique().sort()
    }
    zones = [say(zone) for zone in ZONES]
    points = _beside(plot.points, *domains).with_columns(
        zone=pl.col("zone").replace_strict(ZONES, zones),
        shown=pl.col("value").map_elements(plot.show, return_dtype=pl.String),
        big=pl.col("size").map_elements(lambda n: number(round(n)), return_dtype=pl.String),
    )
    lines = plot.limits.unpivot(["lower", "upper"], index=["size", "level"]).with_columns(
        limit=pl.col("level").replace_strict(levels, return_dtype=pl.String)
    )
    top = alt.Legend(title=None, orient="top")
    x = alt.X(
        "size:Q",
        title=size,
        # 1M is an English reader's million
        axis=alt.Axis(
            format="~s" if current() == "en" else ",d",
            tickCount=max(1, min(6, int(max(sizes) - min(sizes)))),
        ),
        scale=alt.Scale(domain=domains[0], nice=False),
    )
    y = alt.Y(
        "value:Q",
        title=unit,
        axis=alt.Axis(format=axis_format, tickCount=6),
        scale=alt.Scale(domain=domains[1], nice=False),
    )
    dashes = alt.Scale(domain=[*levels.values()], range=[[2, 3], [1, 0]])
    curves = alt.Chart(lines).encode(
        x=x,
        y=y,
        detail=alt.Detail("variable:N"),
        strokeDash=alt.StrokeDash("limit:N", legend=top, scale=dashes),
    )
    centre = alt.Chart(pl.DataFrame({"value": [plot.centre]})).encode(y=y)
    tooltip = {"label": " ", "shown": unit, "big": size, "zone": " "}
    base = alt.Chart(points).encode(
        x=x, y=y, tooltip=[alt.Tooltip(f"{name}:N", title=words) for name, words in tooltip.items()]
    )
    colours, shapes = [PALE, MARK, ACCENT], SHAPES[:3]
    look: dict[str, Any] = {"opacity": 1, "stroke": INK, "strokeWidth": 0.6, "clip": True}
    points_at = base.add_params(ZOOM).mark_point(size=75, **look)
    marks = points_at.encode(
        color=alt.Color("zone:N", legend=top, scale=alt.Scale(domain=zones, range=colours)),
        shape=alt.Shape("zone:N", legend=top, scale=alt.Scale(domain=zones, range=shapes)),
    )
    names = [
        base.transform_filter(alt.datum.side == side)
        .mark_text(align=align, dx=dx, dy=dy, fontSize=11, clip=True)
        .encode(text=alt.Text("label:N"))
        for side, (align, dx, dy) in SIDES.items()
    ]
    said = "; ".join(": ".join(line) for line in points.select("label", "shown", "zone").rows())
    layers = [
        curves.mark_line(color=QUIET, strokeWidth=1.2, clip=True),
        centre.mark_rule(color=QUIET, strokeWidth=1, clip=True),
        marks,
        *names,
    ]
    return Layers(layer=layers).properties(
        width=WIDTH,
        height=FUNNEL,
        title=heading(title, source),
        description=say(
            "Funnel plot. {title}. In {unit}: all together {centre}; {values}.",
            title=title,
            unit=unit,
            centre=plot.show(plot.centre),
            values=said,
        ),
        usermeta=rows(points, "label", "size", "value", "zone"),
    )


def _beside(points: pl.DataFrame, across: list[float], up: list[float]) -> pl.DataFrame:
    """The points with the `side` their name is written on, so that names keep clear of each other."""
    scale = (WIDTH - 60) / (across[1] - across[0]), FUNNEL / (up[1] - up[0])
    known = points.with_columns(
        x=(pl.col("size") - across[0]) * scale[0], y=(up[1] - pl.col("value")) * scale[1]
    )
    taken = [(x - 8, y - 8, x + 8, y + 8) for x, y in known.select("x", "y").rows()]
    sides = []
    for label, zone, x, y in known.select("label", "zone", "x", "y").iter_rows():
        if zone == ZONES[0]:
            sides.append("")
            continue
        wide = 6.2 * len(label) if current() == "en" else 6.8 * len(label)
        boxes = {
            side: (x + dx - (wide if align == "right" else 0), y + dy - 6)
            for side, (align, dx, dy) in SIDES.items()
        }
        free = [
            side
            for side, (left, high) in boxes.items()
            if 0 <= left <= WIDTH - 60 - wide
            and 0 <= high <= FUNNEL - 12
            and not any(
                left < b[2] and b[0] < left + wide and high < b[3] and b[1] < high + 12
                for b in taken
            )
        ]
        sides.append(free[0] if free else "right")
        left, high = boxes[sides[-1]]
        taken.append((left, high, left + wide, high + 12))
    return points.with_columns(side=pl.Series(sides, dtype=pl.String))

"""The look that every chart shares, and how a chart is shown.

A chart is shown as Vega-Lite JSON under a `…+json` type, which JupyterLab draws without a network
and which stays in the notebook's output, the same in every run.
"""

from __future__ import annotations

import textwrap
from contextlib import nullcontext
from typing import Any, ClassVar

import altair as alt
import polars as pl
from altair.utils.schemapi import debug_mode

from kzresearch.charts import MIME
from kzresearch.language import current, of_numbers

INK, MARK, QUIET = "#1f2933", "#2f5d8a", "#7b8794"
ACCENT, PALE = "#d55e00", "#d3dce6"
"""A second colour, told from `MARK` by the colour-blind and in grey, and one for what lies behind."""
KINDS = [MARK, ACCENT, "#8a8f98", "#e0b13a"]
SHAPES = ["circle", "diamond", "square", "triangle-up"]
"""Kinds of a thing, in order; each has its shape too, so that colour is never needed."""
WIDTH, BAR, LINE = 720, 26, 40  # pixels; characters of a label's line
FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"

ZOOM = alt.selection_interval(name="zoom", bind="scales", zoom="wheel![event.shiftKey]")
"""Lets a reader look closer: turn the wheel with Shift, drag; a double click takes it back."""

Channels = dict[str, Any]
"""A chart's `encoding`, as Vega-Lite has it."""


def as_data(spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    """An Altair renderer: a chart as JSON that JupyterLab and a page draw, the same in every run."""
    spec = {**spec, "$schema": "https://vega.github.io/schema/vega-lite/v5.json"}
    return {MIME: spec, "text/plain": spec.get("description", "chart")}


@alt.theme.register("kzresearch", enable=False)
def _theme() -> alt.theme.ThemeConfig:
    numbers: Any = of_numbers()
    guides: Any = {"guide-label": {"fill": INK}, "guide-title": {"fill": INK}}
    return {
        "config": {
            **({"locale": {"number": numbers}} if numbers else {}),
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
                "tickColor": QUIET,
                "labelLimit": 330,
            },
            "legend": {
                "labelFontSize": 12,
                "titleFontSize": 12,
                "labelColor": INK,
                "titleColor": INK,
            },
            # on white paper in JupyterLab's dark theme too, whose colours for text are light
            "style": guides,
            "bar": {"color": MARK},
            "rule": {"color": MARK, "strokeWidth": 2},
            "line": {"color": MARK, "strokeWidth": 2},
            "point": {"color": MARK, "filled": True, "size": 55},
            "text": {"color": INK, "fontSize": 12},
        }
    }


alt.renderers.register("kzresearch", as_data)


def _values(data: Any) -> Any:
    """What Altair makes of the rows of a chart; in a third of the time where no date is among them."""
    if not isinstance(data, pl.DataFrame) or any(kind.is_temporal() for kind in data.dtypes):
        return alt.default_data_transformer(data)
    alt.limit_rows(data)
    return {"values": data.to_dicts()}


alt.data_transformers.register("kzresearch", _values)


class AsItIs(alt.VegaLiteSchema):
    """Part of a chart in Vega-Lite's own words, of which Altair looks at no value.

    It would do so several times for each layer.
    """

    _schema: ClassVar[dict[str, Any]] = {"type": "object"}

    def __deepcopy__(self, _: Any = None) -> AsItIs:
        return AsItIs(**_copied(self._kwds))

    def __repr__(self) -> str:
        return repr(self._kwds)

    def to_dict(self, *_: Any, **__: Any) -> dict[str, Any]:
        """The words, in an object of the caller's own."""
        words: dict[str, Any] = _copied(self._kwds)
        return words


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(one) for name, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, list) else value


class _Drawn:
    """A chart with this look, shown in this way; a user's own charts are left as Altair has them.

    It is shown without Altair's validation: the tests validate every kind of chart.
    """

    def to_dict(self, *how: Any, **more: Any) -> Any:
        """The chart's specification, with the look."""
        asked = alt.data_transformers  # a user may have asked for more rows, or another way
        by_default = asked.active == "default" and not asked.options
        rows = asked.enable("kzresearch") if by_default else nullcontext()
        with alt.theme.enable("kzresearch"), rows, debug_mode(False):
            return super().to_dict(*how, **more)  # type: ignore[misc]

    def _repr_mimebundle_(self, *_: Any, **__: Any) -> Any:
        return as_data(self.to_dict(validate=False, context={"pre_transform": False}))


class Layers(_Drawn, alt.LayerChart):
    """Charts one upon another."""


class Panels(_Drawn, alt.VConcatChart):
    """Charts one below another."""


def layer(rows: pl.DataFrame | alt.Data, kind: str, encoding: Channels, **look: Any) -> alt.Chart:
    """Marks of a kind, in Vega-Lite's own words: Altair's classes for them take three times as long."""
    mark: Any = AsItIs(type=kind, **look)
    channels: Any = AsItIs(**encoding)
    return alt.Chart(rows, mark=mark, encoding=channels)


def quantity(field: str, **more: Any) -> Channels:
    """A channel of numbers."""
    return {"field": field, **more, "type": "quantitative"}


def nominal(field: str, **more: Any) -> Channels:
    """A channel of names."""
    return {"field": field, **more, "type": "nominal"}


def rows(frame: pl.DataFrame, *columns: str) -> AsItIs:
    """What a chart shows, as a table that a reader can get: a chart's `usermeta`."""
    shown = frame[list(columns)] if columns else frame
    return AsItIs(columns=shown.columns, rows=[list(row) for row in shown.iter_rows()])


drawn = debug_mode(False)
"""Decorates what draws a chart: Altair would validate every part of it, over and over."""


def wrapped(label: str) -> str:
    """The label in one line or two, the rest left out."""
    return "\n".join(textwrap.wrap(label, LINE, max_lines=2, placeholder=" …"))


def heading(title: str, source: str) -> alt.Title:
    """What is shown, and below it where it comes from."""
    line = 90 if current() == "en" else 82  # Cyrillic letters are wider
    return alt.Title(textwrap.wrap(title, line), subtitle=textwrap.wrap(source, 100))

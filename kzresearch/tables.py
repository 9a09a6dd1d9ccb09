"""Tables for publication: great_tables, each with its source note."""

from __future__ import annotations

import hashlib
import html as markup
from dataclasses import dataclass
from typing import Any

import polars as pl
from great_tables import GT, html, loc, style


@dataclass(frozen=True)
class Table:
    """A table to look at: `gt` is the great_tables object, `frame` what it shows."""

    gt: GT
    frame: pl.DataFrame
    title: str

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        # The object's own text would name its place in memory, another in every run.
        lines = ["\t".join(map(str, row)) for row in self.frame.iter_rows()]
        return {
            "text/html": self.gt.as_raw_html(),
            "text/plain": "\n".join([self.title, *lines]),
        }


def figures(frame: pl.DataFrame, title: str, source: str) -> Table:
    """A table of figures: columns `label`, `text`, `unit`, and `note` where there is one."""
    columns, headings = ["label", "text"], {"label": "", "text": "Number", "unit": "Unit"}
    units = frame["unit"].unique()
    if len(units) == 1:
        headings["text"] = units[0].capitalize()
    else:
        columns.append("unit")
    if frame["note"].drop_nulls().len():
        columns.append("note")
        headings["note"] = "Note"
    shown = frame.select(pl.col(columns).fill_null(""))
    return table(shown, title, source, headings, numbers=["text"])


def freedom(frame: pl.DataFrame, title: str, source: str) -> Table:
    """Freedom in the World, one row per edition: `PeriodReport.freedom()`."""
    headings = {
        "edition": "Edition",
        "year_reviewed": "Year reviewed",
        "status": "Status",
        "total": "Total (of 100)",
        "political_rights": "Political rights (of 40)",
        "civil_liberties": "Civil liberties (of 60)",
        "political_rights_rating": "PR rating (1–7)",
        "civil_liberties_rating": "CL rating (1–7)",
        "relation": "This edition",
    }
    numbers = [name for name in headings if name not in ("status", "relation")]
    return table(frame.select(*headings), title, source, headings, numbers)


def table(
    frame: pl.DataFrame,
    title: str,
    source: str,
    headings: dict[str, str],
    numbers: list[str],
) -> Table:
    """A frame as a table; `headings` name its columns, those in `numbers` are set to the right."""
    # Without a fixed id two runs of the same notebook would differ.
    table_id = "t" + hashlib.sha256(title.encode()).hexdigest()[:10]
    made = (
        GT(frame, id=table_id)
        .tab_header(title=title)
        .cols_label({k: v for k, v in headings.items() if k in frame.columns})
        .cols_align("left")
        .cols_align("right", columns=numbers)
        .tab_style(style.text(size="90%"), loc.source_notes())
        .tab_source_note(html(markup.escape(source)))
        .tab_options(table_font_size="14px", heading_align="left", table_margin_left="0px")
    )
    return Table(made, frame, title)

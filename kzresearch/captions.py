"""What figures are about, in words: the months, the region, the row of the form, the source."""

from __future__ import annotations

import calendar
from typing import TYPE_CHECKING

import polars as pl

from kzresearch import datasets, sources
from kzresearch.form_1m import codebook
from kzresearch.form_1m.reader import SOURCE as FORM_1M
from kzresearch.regions import COUNTRY, change_of_bounds, region_name

if TYPE_CHECKING:
    from IPython.display import Markdown


def months(period: str) -> str:
    """The months that a period's figures cover: `January–December 2022`."""
    year, month = period.split("-")
    name = calendar.month_name[int(month)]
    return f"January {year}" if month == "01" else f"January–{name} {year}"


def title(period: str, region: str) -> str:
    """`Kazakhstan, January–December 2022`."""
    return f"{region_name(region)}, {months(period)}"


def row_name(row: str, period: str | None = None) -> str:
    """A row of the form in English: `Article 146. Torture`, `Chapter 3. Criminal offences …`.

    With a period: as the version of the form in use then has it.
    """
    return str(codebook.row_line(row, period)["name"])


def article_name(article: str | int, period: str | None = None) -> str:
    """`Article 146. Torture`."""
    return row_name(datasets.row_of(article), period)


def source_line(period: str, region: str) -> str:
    """Where the form's figures come from, for below a chart or a table."""
    held = datasets.coverage().filter(pl.col("period") == period)
    if region != COUNTRY or not datasets.is_summed(period):
        held = held.filter(pl.col("region") == region)
    ids = held["source"].unique().sort(descending=True).to_list()
    if FORM_1M in ids:  # the workbooks' own figures go before a publication's about them
        ids = [FORM_1M]
    by_id = [sources.source(source_id)["attribution"] for source_id in ids]
    line = f"{title(period, region)}. Source: {'; '.join(by_id)}"
    if FORM_1M in ids:
        line += f". {_books(period, region)}"
    return line


def _books(period: str, region: str) -> str:
    """Which workbooks a period's figures of a region come from."""
    own = "military, transport and central bodies file their own"
    if region != COUNTRY:
        return f"The region's workbook; {own}"
    if not datasets.is_summed(period):
        return "The national workbook"
    held = datasets.coverage().filter(pl.col("period") == period, pl.col("source") == FORM_1M)
    return f"Sum of {held.height} regional workbook{'s' * (held.height != 1)}; {own}"


def heading(period: str, region: str, what: str) -> Markdown:
    """What a notebook is about, in one line, and a warning where the region's bounds changed."""
    line = f"**{title(period, region)}** · {what}"
    note = change_of_bounds(region, period)
    return markdown(f"{line}\n\n**Mind:** {note}." if note else line)


def markdown(text: str) -> Markdown:
    """Text that a notebook shows as prose."""
    from IPython.display import Markdown

    return Markdown(text)

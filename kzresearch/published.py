"""Figures on torture cases in Kazakhstan that others published, 2012 to 2025.

They are kept as they stand, those that contradict each other too. What the project says of each in
its own words stands in `data/transcribed/published_ambiguities.csv`, written by hand: region,
article, what one is, whether the figure is a bound, what is unclear; and unit, publisher, date and
indicator where the file's hold words of the source or of its making, or a name. Sentences of the
sources are not taken over.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from kzresearch.errors import SourceError
from kzresearch.resources import data_dir
from kzresearch.schemas import Published

FILE = "observations.csv"
AMBIGUITIES = "published_ambiguities.csv"
HEADER = [
    *("obs_id", "period_start", "period_end", "geography", "article", "indicator", "value"),
    *("unit", "source_title", "source_publisher", "source_date", "source_url", "quote", "note"),
]
OWN_HEADER = [
    *("id", "region", "article", "indicator", "bound", "unit", "counted", "source", "publisher"),
    *("date_published", "flag", "ambiguity"),
]
DAY = r"^\d{4}(-\d{2}){0,2}$"
# How the file marks a title that nobody saw: taken from the address, or words standing in for it.
UNSEEN_TITLE = r"\(title (not shown|from URL)"


def published(raw: Path, ambiguities: Path | None = None) -> pl.DataFrame:
    """Return published figures on torture cases, each with its source and what is unclear.

    `raw` is the folder of raw files; the one read is in its subfolder `published`. `ambiguities` is
    what the project says of each figure (default: its own file).

    Returns one row per figure, sorted by `id`, with the columns of `schemas.Published`. No quotes.

    Raises SourceError if a file is missing, a column is not the expected one, an id is there twice
    or in one file only, or a date or value cannot be read.

    Source: the publications named in each row, compiled by the project (`published_figures` in
    `data/sources.toml`).
    """
    rows = _table(raw / "published" / FILE, HEADER).rename({"obs_id": "id"})
    own = _table(ambiguities or data_dir() / "transcribed" / AMBIGUITIES, OWN_HEADER)
    for missing in sorted(set(rows["id"]) ^ set(own["id"]), key=str):
        raise SourceError(f"{missing} is not in both {FILE} and {AMBIGUITIES}.")
    try:
        joined = rows.join(own, on="id", validate="1:1", suffix="_own")
        return joined.select(_columns()).sort("id")
    except pl.exceptions.PolarsError as error:
        why = str(error).splitlines()[0]
        raise SourceError(f"{FILE} with {AMBIGUITIES} cannot be read: {why}") from None


def _table(path: Path, header: list[str]) -> pl.DataFrame:
    """Read a text file as text, empty fields null; its columns must be those of `header`."""
    try:
        frame = pl.read_csv(path.read_bytes(), infer_schema=False)
    except OSError:
        raise SourceError(f"{path.name} is not where it is looked for.") from None
    except pl.exceptions.PolarsError:
        raise SourceError(f"{path.name} is not a table with commas between its columns.") from None
    if frame.columns != header:
        raise SourceError(f"{path.name} has not the columns {', '.join(header)}.")
    return frame


def _columns() -> list[pl.Expr]:
    """Return the table's columns in order, from both files'; the project's own words go first."""
    unseen = pl.col("source_title").str.contains(UNSEEN_TITLE)
    dated = pl.when(pl.col("source_date").str.contains(DAY)).then("source_date")
    made = {
        "period_start": pl.col("period_start").str.to_date("%Y-%m-%d"),
        "period_end": pl.col("period_end").str.to_date("%Y-%m-%d"),
        "article": pl.col("article_own"),
        "indicator": pl.coalesce("indicator_own", "indicator"),
        "value": pl.col("value").cast(pl.Float64),
        "unit": pl.coalesce("unit_own", "unit"),
        "publisher": pl.coalesce("publisher", "source_publisher"),
        "title": pl.when(~unseen).then("source_title"),
        "date_published": pl.coalesce("date_published", dated),
        "address": pl.col("source_url"),
    }
    return [made.get(name, pl.col(name)).alias(name) for name in Published.column_names()]

"""`data/README.md`, made from the codebook, the schemas and the sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import dataframely as dy
import polars as pl

from kzresearch import schemas, sources
from kzresearch.form_1m import codebook

INTRODUCTION = """# Data of kzresearch

Generated from the codebook, the schemas and `sources.toml` by `kzresearch build`; do not edit.

The tables here are this project's own: figures taken from the sources named below, each with the
place it was taken from. The sources' files are not here. The figures are used under their sources'
terms, which the code's licence does not change.

| file | what | built from |
|---|---|---|
| `form_1m/2022-12.parquet` | Form 1-M, January–December 2022, 20 regions, every section, row and \
column | the regional workbooks |
| `form_1m/2021-02.parquet` | the figures of Form 1-M for January–February 2021 that the press \
reported | `transcribed/form_1m_reported.csv` |
| `workbooks.csv` | the workbooks behind the figures | the workbooks' own metadata |
| `freedom_in_the_world.csv` | Freedom in the World, Kazakhstan and 11 post-Soviet countries, \
editions 2013–2025 | Freedom House's files |
| `population.parquet` | population on 1 January 2000–2023 by region, sex, area; two revisions of 2023 | \
the statistics bureau's files |
| `published.csv` | figures on torture cases 2012–2025 published elsewhere, conflicts kept | \
`published` in the sources, `transcribed/published_ambiguities.csv` |
| `torture_indices.parquet` | V-Dem and HRMI indices, 12 countries; the V-Dem part is under \
CC BY-SA 4.0 | V-Dem's and HRMI's files |
| `transcribed/regions.csv` | the 20 regions, and South Kazakhstan until 2018 | compiled by hand |
| `transcribed/region_titles.csv` | other names of regions in titles of reports | compiled by hand |
| `transcribed/form_1m_reported.csv` | figures only the press reported | transcribed by hand |
| `sources.toml` | where everything comes from | written by hand |

Figures are **cumulative** from January of the year to the month of `period`, and *registered* and
*in proceedings* are **net**: an offence whose case is terminated on rehabilitating grounds leaves
both. Never subtract one month's report from the next. A figure that a source does not give has no
row; in a workbook a nought is a nought.
"""


def markdown() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *_tables(), *_codebook(), *_sources()]).rstrip() + "\n"


def _tables() -> Iterator[str]:
    yield "## Columns of the tables\n"
    tables = {
        "load_form_1m": schemas.Form1M,
        "load_workbooks": schemas.Workbooks,
        "load_regions": schemas.Regions,
        "load_freedom_in_the_world": schemas.FreedomInTheWorld,
        "load_population": schemas.Population,
        "load_published": schemas.Published,
        "load_torture_indices": schemas.TortureIndices,
        "load_sources": schemas.Sources,
        "codebook": schemas.Codebook,
    }
    for loader, schema in tables.items():
        yield f"### `{loader}()`\n\n{_first_line(schema)}\n"
        rows = (
            (f"`{name}`", str(column.dtype), (column.metadata or {}).get("description", ""))
            for name, column in schema.columns().items()
        )
        yield _table(("column", "type", "meaning"), rows)
        if schema is schemas.Form1M:
            yield (
                'Where the country is asked for (`region="KZ"`), a column `cells` more: the list of '
                "`{workbook, cell}` that a figure was taken from.\n"
            )


def _codebook() -> Iterator[str]:
    yield "## Codebook of Form 1-M\n"
    yield (
        "`kzresearch.codebook()` gives all of it as a frame, the form's own captions and the notes "
        "on single columns and rows included.\n"
    )
    yield "### Sections\n"
    sections = codebook.sections().select("section", "title_en", "scope", "columns", "rows")
    yield _table(("section", "title", "counts", "columns", "rows"), sections.iter_rows())
    yield "### Measures (columns)\n"
    yield _table(("measure", "unit", "sections", "meaning"), _measures())
    yield "### Rows\n"
    yield (
        "Every article of the Criminal Code has the row `article:N`. Titles are the form's official "
        "Russian ones; the English is this project's translation.\n"
    )
    names = codebook.row_names().select(
        pl.format("`{}`", "row"), "name", pl.col("title_ru").fill_null("")
    )
    yield _table(("row", "English", "official title"), names.iter_rows())


def _measures() -> Iterator[tuple[str, str, str, str]]:
    columns = codebook.lines().filter(pl.col("kind") == "column")
    for measure, description in codebook.measure_descriptions():
        where = columns.filter(pl.col("name") == measure)
        units = ", ".join(where["unit"].unique(maintain_order=True)) or "offences"
        places = ", ".join(where["section"]) or "publications only"
        yield f"`{measure}`", units, places, description


def _sources() -> Iterator[str]:
    yield "## Sources\n"
    for block in sources.read_sources():
        yield f"### {block['title']}\n"
        for label, key in (
            ("Producer", "producer"),
            ("Version", "version"),
            ("Address", "address"),
            ("Licence", "licence"),
            ("Passed on here", "redistribution"),
            ("Cite as", "citation"),
        ):
            if block.get(key):
                yield f"- {label}: {block[key]}"
        yield f"- In the `source` column: `{block['id']}`\n"


def _first_line(schema: type[dy.Schema]) -> str:
    return (schema.__doc__ or "").splitlines()[0]


def _table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    def line(cells: Iterable[object]) -> str:
        return "| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |"

    names = list(header)
    return "\n".join([line(names), line("---" for _ in names), *map(line, rows)]) + "\n"

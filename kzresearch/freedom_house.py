"""Freedom in the World (Freedom House): status, ratings and scores of twelve post-Soviet countries.

An *edition* is named after the year it was published in and reviews the year before. A *rating*
runs from 1 (most free) to 7 (least free); a *score* is points, higher is freer. The two are never
mixed.
"""

from __future__ import annotations

import hashlib
from itertools import zip_longest
from typing import TYPE_CHECKING

import fastexcel
import polars as pl

from kzresearch.language import later

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "freedom_in_the_world"
WORKBOOK = "All_data_FIW_2013-2024.xlsx"
EXPORT = "All_data_FIW_2013-2025_export.csv"
SHEET = "FIW13-24"
TOTAL_COLUMN = "AR"  # the column of `Total` in the sheet
WORKBOOK_EDITIONS = range(2013, 2025)
EXPORT_EDITIONS = range(2013, 2026)

COUNTRIES = {
    "Armenia": "ARM",
    "Azerbaijan": "AZE",
    "Belarus": "BLR",
    "Georgia": "GEO",
    "Kazakhstan": "KAZ",
    "Kyrgyzstan": "KGZ",
    "Moldova": "MDA",
    "Russia": "RUS",
    "Tajikistan": "TJK",
    "Turkmenistan": "TKM",
    "Ukraine": "UKR",
    "Uzbekistan": "UZB",
}
STATUSES = {"F": later("Free"), "PF": later("Partly Free"), "NF": later("Not Free")}
RANGES = {
    "political_rights_rating": (1, 7),
    "civil_liberties_rating": (1, 7),
    "political_rights": (0, 40),
    "civil_liberties": (0, 60),
    "total": (0, 100),
}

# Both files open with a title in row 1 and carry this header in row 2.
HEADER_ROW = 2
HEADER = (
    *("Country/Territory", "Region", "C/T", "Edition", "Status", "PR rating", "CL rating"),
    *("A1", "A2", "A3", "A", "B1", "B2", "B3", "B4", "B", "C1", "C2", "C3", "C"),
    *("Add Q", "Add A", "PR"),
    *("D1", "D2", "D3", "D4", "D", "E1", "E2", "E3", "E"),
    *("F1", "F2", "F3", "F4", "F", "G1", "G2", "G3", "G4", "G", "CL", "Total"),
)
RENAMED = {
    "Country/Territory": "country",
    "Edition": "edition",
    "Status": "status",
    "PR rating": "political_rights_rating",
    "CL rating": "civil_liberties_rating",
    "PR": "political_rights",
    "CL": "civil_liberties",
    "Total": "total",
}
SUBTOTALS = ("A", "B", "C", "Add Q", "Add A", "D", "E", "F", "G")
COLUMNS = (
    *("country", "iso3", "edition", "year_reviewed", "status", *RANGES),
    *("source", "workbook", "cell"),
)


def freedom_in_the_world(raw: Path) -> pl.DataFrame:
    """Return Freedom in the World for twelve post-Soviet countries, editions 2013 to 2025.

    Editions 2013 to 2024 come from Freedom House's workbook, 2025 from a later export of the same
    table; where both have an edition they must agree.

    Parameters
    ----------
    raw
        Folder of raw files; the two read are in its subfolder `freedom_house`.

    Returns
    -------
    One row per country and edition (12 x 13), sorted by both: `country`, `iso3`, `edition` (year
    published), `year_reviewed` (edition - 1), `status` (Free, Partly Free or Not Free),
    `political_rights_rating` and `civil_liberties_rating` (1 most free to 7 least free),
    `political_rights` (points, 0-40), `civil_liberties` (points, 0-60), `total` (points, 0-100),
    `source`, `workbook` (sha256 of the file the row is from), `cell` (where its total stands: a
    cell of the sheet, or a line of the export, which is a text file).

    Raises
    ------
    ValueError
        If a file cannot be read, a header is not the expected one, a country's edition is missing
        or there twice, a value is not a number or out of range, points do not add up, or the two
        files disagree.
    FileNotFoundError
        If one of the two files is not there.

    Source: Freedom House, Freedom in the World (`freedom_in_the_world` in `data/sources.toml`).
    """
    folder = raw / "freedom_house"
    workbook = _read_workbook(folder / WORKBOOK)
    export = _read_export(folder / EXPORT)
    _check_agreement(workbook, export)
    later = export.filter(pl.col("edition") >= WORKBOOK_EDITIONS.stop)
    return pl.concat([workbook, later]).sort("country", "edition")


def _read_workbook(path: Path) -> pl.DataFrame:
    content = path.read_bytes()
    cell = pl.format(f"{SHEET}!{TOTAL_COLUMN}{{}}", "row")
    return _tidy(_sheet(content, path.name), path.name, WORKBOOK_EDITIONS).select(
        _columns(content, cell)
    )


def _read_export(path: Path) -> pl.DataFrame:
    content = path.read_bytes()
    cell = pl.format("line {}", "row")
    return _tidy(_lines(content, path.name), path.name, EXPORT_EDITIONS).select(
        _columns(content, cell)
    )


def _sheet(content: bytes, file: str) -> pl.DataFrame:
    """Return every cell of the workbook's sheet as text, row by row as the sheet has them."""
    try:
        # `skip_rows=0` keeps leading blank rows, so that row numbers are those of the sheet.
        return (
            fastexcel.read_excel(content)
            # fastexcel's own stubs name pyarrow, which the project does not install.
            .load_sheet(SHEET, header_row=None, skip_rows=0, dtypes="string")  # pyright: ignore[reportUnknownMemberType]
            .to_polars()
        )
    except fastexcel.FastExcelError as error:
        msg = f"{file} is not a workbook with a sheet {SHEET} that can be read."
        raise ValueError(msg) from error


def _lines(content: bytes, file: str) -> pl.DataFrame:
    """Return every field of the export as text, one row per line of the file."""
    try:
        # Without quoting every line is a row, so that row numbers are line numbers.
        return pl.read_csv(
            content, separator=";", has_header=False, infer_schema=False, quote_char=None
        )
    except pl.exceptions.PolarsError as error:
        msg = f"{file} is not a table of {len(HEADER)} columns parted by semicolons."
        raise ValueError(msg) from error


def _columns(content: bytes, cell: pl.Expr) -> list[pl.Expr]:
    """Return the table's columns in order, with where each row was taken from."""
    added = {
        "iso3": pl.col("country").replace_strict(COUNTRIES),
        "year_reviewed": pl.col("edition") - 1,
        "source": pl.lit(SOURCE),
        "workbook": pl.lit(hashlib.sha256(content).hexdigest()),
        "cell": cell,
    }
    return [added.get(name, pl.col(name)).alias(name) for name in COLUMNS]


def _tidy(cells: pl.DataFrame, file: str, editions: range) -> pl.DataFrame:
    """Return the checked rows of the twelve countries from a file's cells, all text."""
    _check_header(cells, file)
    rows = (
        cells.rename(dict(zip(cells.columns, HEADER, strict=True)))
        .with_row_index("row", offset=1)
        .slice(HEADER_ROW)
        .filter(pl.col("Country/Territory").is_in(list(COUNTRIES)))
        .rename(RENAMED)
    )
    numbers = rows.with_columns(
        pl.col("status").replace_strict(STATUSES, default=None),
        # Question A was dropped with edition 2018; `N/A` there adds no points.
        pl.col("Add A").replace({"N/A": "0"}),
    ).with_columns(pl.col("edition", *RANGES, *SUBTOTALS).cast(pl.Int64, strict=False))
    _check_values(numbers, file)
    _check_sums(numbers, file)
    _check_complete(numbers, file, editions)
    return numbers


def _check_header(cells: pl.DataFrame, file: str) -> None:
    found = cells.row(HEADER_ROW - 1) if cells.height >= HEADER_ROW else ()
    for number, (seen, expected) in enumerate(zip_longest(found, HEADER), start=1):
        if seen != expected:
            msg = (
                f"Row {HEADER_ROW} of {file} is not the expected header: "
                f"column {number} is {seen!r}, not {expected!r}."
            )
            raise ValueError(msg)


def _check_values(rows: pl.DataFrame, file: str) -> None:
    for name in ("status", "edition", *SUBTOTALS):
        _refuse(rows.filter(pl.col(name).is_null()), file, f"has no valid {name}")
    for name, (low, high) in RANGES.items():
        outside = ~pl.col(name).is_between(low, high).fill_null(value=False)
        _refuse(rows.filter(outside), file, f"has no {name} from {low} to {high}")


def _check_sums(rows: pl.DataFrame, file: str) -> None:
    # Question A's points are part of PR already, so the total is PR + CL in every edition.
    a_to_c = pl.sum_horizontal("A", "B", "C", "Add A") - pl.col("Add Q")
    sums = {
        "political_rights": a_to_c,
        "civil_liberties": pl.sum_horizontal("D", "E", "F", "G"),
        "total": pl.sum_horizontal("political_rights", "civil_liberties"),
    }
    for name, expected in sums.items():
        wrong = rows.filter(pl.col(name) != expected)
        _refuse(wrong, file, f"has a {name} that is not the sum of its parts")


def _check_complete(rows: pl.DataFrame, file: str, editions: range) -> None:
    there = rows.select("country", "edition").rows()
    for key in ((country, edition) for country in COUNTRIES for edition in editions):
        if (times := there.count(key)) != 1:
            msg = f"{file} has {key[0]}, edition {key[1]}, {times} times, not once."
            raise ValueError(msg)
    _refuse(rows.filter(~pl.col("edition").is_in(list(editions))), file, "is not an edition known")


def _check_agreement(workbook: pl.DataFrame, export: pl.DataFrame) -> None:
    both = workbook.join(export, on=["country", "edition"], suffix="_export", validate="1:1")
    for name in ("status", *RANGES):
        other = f"{name}_export"
        for row in both.filter(pl.col(name) != pl.col(other)).head(1).iter_rows(named=True):
            msg = (
                f"The files disagree on {name} of {row['country']}, edition {row['edition']}: "
                f"{row[name]} in {WORKBOOK} ({row['cell']}), "
                f"{row[other]} in {EXPORT} ({row['cell_export']})."
            )
            raise ValueError(msg)


def _refuse(bad: pl.DataFrame, file: str, problem: str) -> None:
    for row in bad.head(1).iter_rows(named=True):
        msg = f"Row {row['row']} of {file} ({row['country']}, {row['edition']}) {problem}."
        raise ValueError(msg)

"""Torture and the rule of law in twelve post-Soviet countries, as V-Dem and HRMI rate them.

Each index has its own scale and one version; they are shown side by side, never averaged. V-Dem's
indicators (`v2cl…`) are interval scores, its indices (`v2x…`) run from 0 to 1, HRMI's score runs
from 0 to 10; on all of them higher is freer. What is derived from V-Dem carries V-Dem's licence,
CC BY-SA 4.0.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kzresearch.errors import SourceError
from kzresearch.freedom_house import COUNTRIES
from kzresearch.language import later

VDEM = "vdem_v14_torture_selected.csv"
HRMI = "hrmi_cpr_v5-1_KAZ_KGZ.csv"
VDEM_SOURCE, HRMI_SOURCE = "vdem_v14", "hrmi_cpr_v5_1"
VDEM_VERSION, HRMI_VERSION = "V-Dem v14 (March 2024)", "HRMI v5-1 (2022)"

INTERVAL = later("interval scale, higher is freer")
UNIT = later("0 to 1, higher is freer")
TEN = later("0 to 10, higher is freer")
# An interval score has no bounds; one beyond these is a slip of the file, not a rating.
RANGES = {INTERVAL: (-5.0, 5.0), UNIT: (0.0, 1.0), TEN: (0.0, 10.0)}

# V-Dem's column → what V-Dem calls it, and its scale.
VDEM_INDICES = {
    "v2cltort": (later("Freedom from torture"), INTERVAL),
    "v2clkill": (later("Freedom from political killings"), INTERVAL),
    "v2x_clphy": (later("Physical violence index"), UNIT),
    "v2xcl_rol": (later("Equality before the law and individual liberty index"), UNIT),
    "v2x_rule": (later("Rule of law index"), UNIT),
    "v2x_jucon": (later("Judicial constraints on the executive index"), UNIT),
    "v2x_libdem": (later("Liberal democracy index"), UNIT),
    "v2clacjstm": (later("Access to justice for men"), INTERVAL),
    "v2clacjstw": (later("Access to justice for women"), INTERVAL),
    "v2x_civlib": (later("Civil liberties index"), UNIT),
}
VDEM_HEADER = ["country_name", "country_text_id", "country_id", "year", *VDEM_INDICES]
VDEM_YEARS = dict.fromkeys(COUNTRIES.values(), range(1990, 2024)) | {"RUS": range(1970, 2024)}

HRMI_METRIC, HRMI_INDEX, HRMI_NAME = "tort", "hrmi_tort", "Freedom from torture"
HRMI_HEADER = ["year", "country_code", "metric_code", "mean", "sd", "lobound_10", "upbound_90"]
HRMI_YEARS = dict.fromkeys(["KAZ", "KGZ"], range(2017, 2022))

COLUMNS = [
    *("country", "iso3", "year", "index", "name", "value", "lower", "upper"),
    *("scale", "version", "source", "workbook", "cell"),
]


@dataclass(frozen=True)
class _File:
    """A text file: its name, checksum, and fields as text with the number of their `line`."""

    name: str
    sha256: str
    lines: pl.DataFrame


def torture_indices(raw: Path) -> pl.DataFrame:
    """Return ratings of torture and the rule of law by country, year and index.

    Parameters
    ----------
    raw
        Folder of raw files; the two read are in its subfolder `indicators`.

    Returns
    -------
    One row per country, year and index, sorted by index, country, year: `country`, `iso3`, `year`
    rated, `index` (V-Dem's code, or `hrmi_tort`), `name`, `value`, `lower` and `upper` (10th and
    90th percentile; null for V-Dem, whose file at hand has none), `scale` (in words), `version`,
    `source`, `workbook` (sha256 of the file), `cell` (line and column). `value` is null where the
    source's field is empty. Of HRMI only the score of freedom from torture is taken.

    Raises
    ------
    SourceError
        If a file is missing, a column is not the expected one, a country's year is missing or
        there twice, or a value is not a number within its scale.

    Source: V-Dem v14 and HRMI v5-1 (`vdem_v14` and `hrmi_cpr_v5_1` in `data/sources.toml`).
    """
    folder = raw / "indicators"
    frame = pl.concat([_vdem(folder / VDEM), _hrmi(folder / HRMI)])
    return frame.sort("index", "country", "year")


def _vdem(path: Path) -> pl.DataFrame:
    file = _file(path, VDEM_HEADER)
    lines = file.lines.rename({"country_text_id": "iso3"})
    named = pl.col("country_name").replace_strict(COUNTRIES, default=None)
    for row in lines.filter(named.ne_missing(pl.col("iso3"))).iter_rows(named=True):
        raise SourceError(
            f"Line {row['line']} of {file.name} has the unknown country {row['country_name']!r}, "
            f"{row['iso3']!r}."
        )
    lines = _checked(lines, file, VDEM_YEARS)
    long = lines.unpivot(
        list(VDEM_INDICES), index=["line", "iso3", "year"], variable_name="index"
    ).with_columns(
        pl.lit(None, pl.String).alias("lower"),
        pl.lit(None, pl.String).alias("upper"),
        pl.col("index").replace_strict({k: n for k, (n, _) in VDEM_INDICES.items()}).alias("name"),
        pl.col("index").replace_strict({k: s for k, (_, s) in VDEM_INDICES.items()}).alias("scale"),
        pl.format("line {}, {}", "line", "index").alias("cell"),
    )
    return _finish(long, file, VDEM_VERSION, VDEM_SOURCE)


def _hrmi(path: Path) -> pl.DataFrame:
    file = _file(path, HRMI_HEADER)
    lines = file.lines.filter(pl.col("metric_code") == HRMI_METRIC)
    lines = lines.rename(
        {"country_code": "iso3", "mean": "value", "lobound_10": "lower", "upbound_90": "upper"}
    )
    lines = _checked(lines, file, HRMI_YEARS)
    lacking = pl.any_horizontal(pl.col("value", "lower", "upper").is_null())
    for line in lines.filter(lacking)["line"]:
        raise SourceError(f"Line {line} of {file.name} lacks a score or one of its bounds.")
    long = lines.with_columns(
        pl.lit(HRMI_INDEX).alias("index"),
        pl.lit(HRMI_NAME).alias("name"),
        pl.lit(TEN).alias("scale"),
        pl.format("line {}, mean", "line").alias("cell"),
    )
    return _finish(long, file, HRMI_VERSION, HRMI_SOURCE)


def _file(path: Path, header: list[str]) -> _File:
    """Read a text file whose columns must be those of `header`; empty fields are null."""
    try:
        content = path.read_bytes()
    except OSError:
        raise SourceError(f"{path.name} is not in the raw folder indicators.") from None
    try:
        # Without quoting every line is a row, so that row numbers are line numbers.
        lines = pl.read_csv(content, has_header=False, infer_schema=False, quote_char=None)
    except pl.exceptions.PolarsError:
        raise SourceError(f"{path.name} is not a table with commas between its columns.") from None
    if list(lines.row(0)) != header:
        raise SourceError(f"{path.name} has not the columns {', '.join(header)}.")
    lines.columns = header
    lines = lines.with_row_index("line", offset=1).slice(1)
    return _File(path.name, hashlib.sha256(content).hexdigest(), lines)


def _checked(lines: pl.DataFrame, file: _File, years: dict[str, range]) -> pl.DataFrame:
    """Return the lines with whole years, once every country has each of its years once."""
    lines = lines.with_columns(pl.col("year").cast(pl.Int64, strict=False))
    there = lines.select("iso3", "year").rows()
    expected = {(iso3, year) for iso3, known in years.items() for year in known}
    for iso3, year in [*expected, *there]:
        times = there.count((iso3, year))
        if times != 1 or (iso3, year) not in expected:
            raise SourceError(
                f"{file.name} has {iso3}, {year}, {times} times; known are "
                f"{', '.join(years)} with each year once."
            )
    return lines


def _finish(long: pl.DataFrame, file: _File, version: str, source: str) -> pl.DataFrame:
    countries = {iso3: country for country, iso3 in COUNTRIES.items()}
    return _numbers(long, file).select(
        pl.col("iso3").replace_strict(countries).alias("country"),
        *COLUMNS[1:9],
        pl.lit(version).alias("version"),
        pl.lit(source).alias("source"),
        pl.lit(file.sha256).alias("workbook"),
        "cell",
    )


def _numbers(long: pl.DataFrame, file: _File) -> pl.DataFrame:
    """Return the values as numbers, each within its scale and between its bounds."""
    for name in ("value", "lower", "upper"):
        number = pl.col(name).cast(pl.Float64, strict=False)
        low = pl.col("scale").replace_strict({s: r[0] for s, r in RANGES.items()})
        high = pl.col("scale").replace_strict({s: r[1] for s, r in RANGES.items()})
        within = number.is_between(low, high).fill_null(value=False)
        for row in long.filter(pl.col(name).is_not_null() & ~within).iter_rows(named=True):
            raise SourceError(
                f"{row['cell']} of {file.name}: {row[name]!r} is no {name} on the scale "
                f"{row['scale']}."
            )
    numbers = long.with_columns(pl.col("value", "lower", "upper").cast(pl.Float64))
    outside = (pl.col("value") < pl.col("lower")) | (pl.col("value") > pl.col("upper"))
    for row in numbers.filter(outside).iter_rows(named=True):
        raise SourceError(f"{row['cell']} of {file.name}: the score is outside its own bounds.")
    return numbers

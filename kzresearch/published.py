"""Figures on torture cases in Kazakhstan that others published, 2012 to 2025.

They are kept as they stand, those that contradict each other too. What is unclear about one, the
project says in its own short words (`data/transcribed/published_ambiguities.csv`, written by hand);
sentences of the sources are not taken over.
"""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from kzresearch.errors import SourceError
from kzresearch.resources import data_dir
from kzresearch.schemas import FLAGS, INDICATORS, NOT_NAMED

FILE = "observations.csv"
AMBIGUITIES = "published_ambiguities.csv"
HEADER = [
    *("obs_id", "period_start", "period_end", "geography", "article", "indicator", "value"),
    *("unit", "source_title", "source_publisher", "source_date", "source_url", "quote", "note"),
]
COLUMNS = [
    *("id", "period_start", "period_end", "geography", "region", "article", "indicator"),
    *("value", "unit", "publisher", "title", "date_published", "address", "ambiguity", "flag"),
]

# A place within a region is of that region only where the source names the region.
REGIONS = {
    "KZ": "KZ",
    "Almaty city": "KZ-75",
    "Shymkent": "KZ-79",
    "West Kazakhstan region": "KZ-27",
    "West Kazakhstan region (prison RU-170/3, Uralsk)": "KZ-27",
    "Turkestan region": "KZ-61",
    "Almaty region (Koshmambet)": "KZ-19",
    "Almaty region (Koshmambet case)": "KZ-19",
    "Zhetysu region": "KZ-33",
    "Zhetysu region (Taldykorgan)": "KZ-33",
    "Almaty region/Zhetysu (Taldykorgan)": None,
    **dict.fromkeys(["Atyrau", "Karaganda", "Taraz", "Aqtobe", "Uralsk", "Kostanay"]),
    **dict.fromkeys(["Oskemen", "Semey"]),
}
ARTICLES = {
    "146": "146",
    "146 part 2": "146 part 2",
    "chapter 3 (constitutional rights)": "chapter 3",
    "all articles": "all",
    "torture-unspecified": f"torture, {NOT_NAMED}",
    # The article of the time is the compiler's remark, not read in the law.
    "torture-unspecified (CC art. 141-1 at the time)": f"torture, {NOT_NAMED}",
    "ill-treatment": f"ill-treatment, {NOT_NAMED}",
    "abuse of power (not only torture)": f"abuse of power, {NOT_NAMED}",
}
# The one such figure: the report's words fit an interrupted and an expired investigation.
RENAMED_INDICATORS = {"interrupted": "interrupted_or_expired"}
# Units and publishers in our own words where the file's hold words of the source or of its making.
UNITS = {
    "criminal offences (уголовных преступления)": "criminal offences",
    "statements (заявлений) registered by the prosecutor's office": (
        "statements registered by the prosecutor's office"
    ),
    "prosecutor checks (проверок) held on the 176 NPM facts": (
        "prosecutor checks held on the 176 NPM facts"
    ),
    "'forensic investigations' (Anticorruption Agency)": "investigations (Anti-Corruption Agency)",
    "allegations to ombudsperson Azimova": "allegations to ombudsperson",
    "cases investigated by the anti-corruption service": "cases with the anti-corruption service",
    "criminal cases (status truncated)": "criminal cases",
    "criminal cases of torture and abuse of power": "criminal cases, torture or abuse of power",
    "criminal cases on torture and abuse of power": "criminal cases, torture or abuse of power",
    "facts (фактов)": "facts",
    "offences against minors (of the 88)": "offences against minors",
    "offences against women (of the 88)": "offences against women",
    "people officially considered victims of torture (hot irons)": "recognised victims (hot irons)",
    "persons (truncated; presumably officers)": "persons",
    "suspects, 'employees of special and law enforcement agencies'": "suspects, officials",
}
PUBLISHERS = {
    "Kazinform (inform.kz); cites 'official resource of the agency' (agency not named in excerpt; "
    "Ombudsman A. Lastayev is quoted)": "Kazinform (inform.kz), citing an official resource",
    # who speaks for an office has no part in a figure: the office stays, the name does not
    "ACCA (acca.media), S. Shalabaev, Prosecutor General's Office": (
        "ACCA (acca.media), citing the Prosecutor General's Office"
    ),
    "Caravan.kz, citing prosecutor of Turkestan region M. Tleuberdiev": (
        "Caravan.kz, citing the prosecutor of Turkistan Region"
    ),
    "Tengrinews, citing Deputy Prosecutor General Zh. Asanov": (
        "Tengrinews, citing the Deputy Prosecutor General"
    ),
    "Trend (trend.az), B. Asylov in Majilis": "Trend (trend.az), citing a speech in the Majilis",
    "Наше время / nv.kz, quoting Y. Kilymzhanov (General Prosecutor's Office)": (
        "Наше время / nv.kz, quoting the Prosecutor General's Office"
    ),
}
DAY = re.compile(r"^\d{4}(-\d{2}){0,2}$")
DATES = {
    "2016-03 (approx.; date not in excerpt)": "2016-03 (approximate)",
    "2016-07 (from URL; day not shown)": "2016-07",
    "2017-02 (approx.; video item, date not in excerpt)": "2017-02 (approximate)",
    "2021 (day not shown in excerpt)": "2021",
    "2021-03 (day not shown in excerpt)": "2021-03",
    "2022-02 (after 23 Feb)": "2022-02",
    "2022-02 (early; day not shown)": "2022-02",
    "2022-12/2023-01": "2022-12 or 2023-01",
    "2023 (day not shown)": "2023",
    "2023-02 (approx.)": "2023-02 (approximate)",
    "2023-02 (year inferred; text says 'On February 10')": "2023-02 (year inferred)",
    "2025-07 (approx.)": "2025-07 (approximate)",
    "page shows 20.08.2022; statement itself is of about Feb-Mar 2022": (
        "2022-08-20 (shown on the page; the statement is older)"
    ),
    "unknown (2018-2019 approx.)": None,
    "unknown (2023 approx.)": None,
    "unknown (date not shown; 2024-2025)": None,
}
# How the file marks a title that nobody saw: taken from the address, or words standing in for it.
UNSEEN_TITLE = r"\(title (not shown|from URL)"


def published(raw: Path, ambiguities: Path | None = None) -> pl.DataFrame:
    """Return published figures on torture cases, each with its source and what is unclear.

    Parameters
    ----------
    raw
        Folder of raw files; the one read is in its subfolder `published`.
    ambiguities
        What is unclear about each figure: `id`, `flag`, `ambiguity` (default: the project's own).

    Returns
    -------
    One row per figure, sorted by `id`: `period_start` and `period_end` (days, null if not known),
    `geography`, `region` (ISO 3166-2, `KZ` the country, null where the place is not one),
    `article`, `indicator`, `value`, `unit`, `publisher`, `title` (null if nobody saw it),
    `date_published` (text, null if not known), `address`, `ambiguity` (null if nothing is unclear)
    and `flag` (see `schemas.FLAGS`). No quotes.

    Raises
    ------
    SourceError
        If a file is missing, a column is not the expected one, an id is there twice or has no
        ambiguity, or a field holds what is not known.

    Source: the publications named in each row, compiled by the project (`published_figures` in
    `data/sources.toml`).
    """
    rows = _table(raw / "published" / FILE, HEADER).rename({"obs_id": "id"})
    doubts = _table(
        ambiguities or data_dir() / "transcribed" / AMBIGUITIES, ["id", "flag", "ambiguity"]
    )
    _check_ids(rows, doubts)
    _check_words(rows, doubts)
    return rows.join(doubts, on="id", validate="1:1").select(_columns()).sort("id")


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


def _check_ids(rows: pl.DataFrame, doubts: pl.DataFrame) -> None:
    for name, frame in ((FILE, rows), (AMBIGUITIES, doubts)):
        for doubled in frame.filter(pl.col("id").is_duplicated())["id"]:
            raise SourceError(f"{name} has {doubled} more than once.")
    for missing in sorted(set(rows["id"]) ^ set(doubts["id"]), key=str):
        raise SourceError(f"{missing} is not in both {FILE} and {AMBIGUITIES}.")
    text = doubts["ambiguity"].drop_nulls().str.extract_all(r"P\d{4}").explode().drop_nulls()
    for unknown in sorted(set(text) - set(rows["id"])):
        raise SourceError(f"{AMBIGUITIES} refers to {unknown}, which is not there.")


def _check_words(rows: pl.DataFrame, doubts: pl.DataFrame) -> None:
    """Refuse a field that holds what is not known; nothing is guessed."""
    known = {
        "geography": pl.col("geography").is_in(list(REGIONS)),
        "article": pl.col("article").is_in(list(ARTICLES)),
        "indicator": pl.col("indicator").replace(RENAMED_INDICATORS).is_in(INDICATORS),
        "value": pl.col("value").cast(pl.Float64, strict=False).is_between(0, 1e9),
        "source_date": (
            pl.col("source_date").is_in(list(DATES))
            | pl.col("source_date").str.contains(DAY.pattern)
        ),
        **{name: _day_or_null(name) for name in ("period_start", "period_end")},
        **{name: pl.col(name).is_not_null() for name in ("unit", "source_publisher", "source_url")},
    }
    for name, good in known.items():
        for row in rows.filter(~good.fill_null(value=False)).iter_rows(named=True):
            raise SourceError(f"{row['id']} in {FILE} has no {name} that is known: {row[name]!r}.")
    flagged = pl.col("flag").is_in(list(FLAGS)).fill_null(value=False)
    for row in doubts.filter(~flagged).iter_rows(named=True):
        raise SourceError(f"{row['id']} in {AMBIGUITIES} has an unknown flag {row['flag']!r}.")
    unsaid = (pl.col("flag") == "clear") != pl.col("ambiguity").is_null()
    for row in doubts.filter(unsaid).iter_rows(named=True):
        raise SourceError(f"{row['id']} in {AMBIGUITIES} must say what is unclear, or be clear.")


def _day_or_null(name: str) -> pl.Expr:
    return pl.col(name).is_null() | pl.col(name).str.to_date("%Y-%m-%d", strict=False).is_not_null()


def _columns() -> list[pl.Expr]:
    """Return the table's columns in order, from the file's and the ambiguities'."""
    unseen = pl.col("source_title").str.contains(UNSEEN_TITLE)
    made = {
        "period_start": pl.col("period_start").str.to_date("%Y-%m-%d"),
        "period_end": pl.col("period_end").str.to_date("%Y-%m-%d"),
        "region": pl.col("geography").replace_strict(REGIONS, return_dtype=pl.String),
        "article": pl.col("article").replace_strict(ARTICLES),
        "indicator": pl.col("indicator").replace(RENAMED_INDICATORS),
        "value": pl.col("value").cast(pl.Float64),
        "unit": pl.col("unit").replace(UNITS),
        "publisher": pl.col("source_publisher").replace(PUBLISHERS),
        "title": pl.when(~unseen).then("source_title"),
        "date_published": pl.col("source_date").replace(DATES),
        "address": pl.col("source_url"),
    }
    return [made.get(name, pl.col(name)).alias(name) for name in COLUMNS]

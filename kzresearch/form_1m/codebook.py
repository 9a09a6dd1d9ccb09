"""What Form 1-M calls its sections, rows and columns, and what this package calls them.

The files in `codebook/` hold one line per section, column, row, measure and row name. The captions
are the form's own: a workbook whose captions differ is not understood and not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import dataframely as dy
import polars as pl

from kzresearch.resources import read_texts
from kzresearch.schemas import Codebook

if TYPE_CHECKING:
    from collections.abc import Sequence

_FOLDER = Path(__file__).with_name("codebook")

FORM_ID = "50119"
"""How the official software numbers Form 1-M in a file's description."""


@dataclass(frozen=True)
class Section:
    """One sheet of the form: where its parts stand and the captions it is recognised by."""

    name: str
    title: str
    header_first_row: int
    number_row: int
    code_column: str
    label_caption: str
    code_caption: str
    columns: pl.DataFrame  # number, column, measure, unit, caption, note
    rows: pl.DataFrame  # code, row, caption, note


@cache
def _table(name: str) -> pl.DataFrame:
    return read_texts(_FOLDER / f"{name}.csv")


@cache
def section_names() -> list[str]:
    """The 26 sections in the form's order: R1, R1-1, …, PRIL11."""
    return _table("sections")["section"].to_list()


def sections() -> pl.DataFrame:
    """One line per section: official and English title, what it counts, where its parts stand."""
    return _table("sections")


def measure_descriptions() -> list[tuple[str, str]]:
    """Every measure with what it means."""
    return _table("measures").select("measure", "description").rows()


@cache
def section(name: str) -> Section:
    """The form's section of that name."""
    line = _table("sections").row(by_predicate=pl.col("section") == name, named=True)
    number = pl.col("number").cast(pl.Int64)
    return Section(
        name=name,
        title=line["title_ru"],
        header_first_row=int(line["header_first_row"]),
        number_row=int(line["number_row"]),
        code_column=line["code_column"],
        label_caption=line["label_caption"] or "",
        code_caption=line["code_caption"] or "",
        columns=_table("columns").filter(pl.col("section") == name).with_columns(number),
        rows=_table("rows")
        .filter(pl.col("section") == name)
        .with_columns(pl.col("code").cast(pl.Int64)),
    )


@cache
def template(*names: str) -> pl.DataFrame:
    """Every figure of the sections in the order read: section, row, measure, unit, cell, note."""
    return pl.concat([_section_template(name) for name in names], rechunk=True)


def _section_template(name: str) -> pl.DataFrame:
    spec = section(name)
    notes = pl.concat_str("note", "note_row", separator="; ", ignore_nulls=True)
    return (
        spec.columns.join(spec.rows, how="cross", suffix="_row", maintain_order="left_right")
        .with_columns(
            cell=pl.format("{}!{}{}", "section", "column", pl.col("code") + spec.number_row),
            note=pl.when(notes != "").then(notes),
        )
        .select("section", "row", "measure", "unit", "cell", "note")
    )


@cache
def measures() -> list[str]:
    """Every measure's name, those that only a publication reports included."""
    return _table("measures")["measure"].to_list()


@cache
def only_reported() -> frozenset[str]:
    """Measures that no column of the form holds: a publication gives no more than that."""
    return frozenset(measures()) - frozenset(_table("columns")["measure"])


def held(table: str, sections: list[str]) -> list[str]:
    """The rows (`"rows"`) or measures (`"columns"`) that at least one of the sections has."""
    return list(dict.fromkeys(name for one in sections for name in _held(table).get(one, ())))


@cache
def _held(table: str) -> dict[str, list[str]]:
    frame, found = _table(table), dict[str, list[str]]()
    names = frame[{"rows": "row", "columns": "measure"}[table]]
    for section, name in zip(frame["section"], names, strict=True):
        found.setdefault(section, []).append(name)
    return found


def warm() -> None:
    """Read what lookups need; no polars query is made."""
    for table in ("rows", "columns"):
        _held(table)
    section_names()
    only_reported()
    _row_lines()


@cache
def row_names() -> pl.DataFrame:
    """One line per row key: row, kind, chapter, article, name (English), title_ru (official)."""
    return _table("row_names")


def row_line(row: str) -> dict[str, str | None]:
    """The line of one row key in `row_names`."""
    return _row_lines()[row]


@cache
def _row_lines() -> dict[str, dict[str, str | None]]:
    return {line["row"]: line for line in row_names().iter_rows(named=True)}


def codebook(section: str | Sequence[str] | None = None) -> dy.DataFrame[Codebook]:
    """What every section, row and column of the form means.

    Returns one line per column (623) and per row (9,500) of the form's 26 sections, in the form's
    order, as `kzresearch.schemas.Codebook` describes: its place, its name here, its English label,
    unit, official Russian title and the official caption it is recognised by.

    Raises `UnknownValueError` for a section that the form does not have.

    Source: the captions of Form 1-M as filed for 2022; the English names are this project's.
    """
    from kzresearch.errors import unknown_value

    names = section_names()
    wanted = names if section is None else [section] if isinstance(section, str) else list(section)
    for name in wanted:
        if name not in names:
            raise unknown_value("section", name, names)
    order = pl.col("section").cast(pl.Enum(names))
    columns = (
        _table("columns")
        .join(_table("measures"), on="measure", maintain_order="left")
        .select(
            "section",
            kind=pl.lit("column"),
            number=pl.col("number").cast(pl.Int64),
            position="column",
            name="measure",
            label="description",
            unit="unit",
            article=pl.lit(None, pl.String),
            title_ru=pl.lit(None, pl.String),
            caption="caption",
            note="note",
        )
    )
    number_row = _table("sections").select("section", pl.col("number_row").cast(pl.Int64))
    rows = (
        _table("rows")
        .join(row_names(), on="row", maintain_order="left")
        .join(number_row, on="section", maintain_order="left")
        .select(
            "section",
            kind=pl.lit("row"),
            number=pl.col("code").cast(pl.Int64),
            position=(pl.col("code").cast(pl.Int64) + pl.col("number_row")).cast(pl.String),
            name="row",
            label="name",
            unit=pl.lit(None, pl.String),
            article="article",
            title_ru="title_ru",
            caption="caption",
            note="note",
        )
    )
    frame = (
        pl.concat([columns, rows])
        .filter(pl.col("section").is_in(wanted))
        .sort(order, "kind", "number", maintain_order=True)
    )
    return Codebook.validate(frame)


def parse_articles(caption: str) -> list[tuple[str, str | None, str | None]]:
    """Articles a caption names, as (article, part, point): `'… (ст.120 ч.3 п.1)'` → 120, 3, 1.

    Only parentheses that hold `ст.` count. `296-303` is a range, `188-1` an article of its own:
    `N-M` is a range where M > N. Articles stay strings, so that `'001'` keeps its noughts.
    """
    import re

    found: list[tuple[str, str | None, str | None]] = []
    for group in re.findall(r"\(([^()]*ст\.[^()]*)\)", " ".join(caption.split())):
        text = re.sub(r"\bУК(\s+РК)?\b", "", group).replace(" и ", ",")
        for item in re.sub(r"(ст\.\s*)+", "", text).split(","):
            match = re.match(
                r"\s*(\d+)(?:-(\d+))?\.?\s*(?:ч\.\s*(\d+))?\s*(?:п\.\s*(\d+))?\s*$", item
            )
            if not match:
                raise ValueError(f"no article in {item!r} of {caption!r}")
            number, suffix, part, point = match.groups()
            if suffix and int(suffix) > int(number):
                last = int(suffix)
                found += [(str(n), part, point) for n in range(int(number), last + 1)]
            elif not suffix and len(number) == 1 and found and found[-1][1]:
                found.append((found[-1][0], number, point))
            else:
                found.append((f"{number}-{suffix}" if suffix else number, part, point))
    return found

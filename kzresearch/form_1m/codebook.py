"""What Form 1-M calls its sections, rows and columns, and what this package calls them.

The files in `codebook/` hold one line per section, column, row, measure and row name. The captions
are the form's own: a workbook whose captions differ is not understood and not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import dataframely as dy
import polars as pl

from kzresearch.resources import read_texts
from kzresearch.schemas import Codebook

if TYPE_CHECKING:
    from collections.abc import Sequence

_FOLDER = Path(__file__).with_name("codebook")

BUNDLED = "2022"
"""The version of the form that comes with the package: the reports of 2022."""

FORM_ID = "50119"
"""How the official software numbers Form 1-M in a file's description."""


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
class Form:
    """A version of the form: the sections of its workbooks, their columns and rows, and their names.

    `columns`, `rows` and `row_names` are as the files in `codebook/`; names mean the same in every
    version.
    """

    name: str
    sections: pl.DataFrame  # section, title_ru, title_en, scope, header_first_row …
    columns: pl.DataFrame  # section, number, column, measure, unit, caption, note
    rows: pl.DataFrame  # section, code, row, caption, note
    measures: pl.DataFrame  # measure, description
    row_names: pl.DataFrame  # row, kind, chapter, article, name (English), title_ru (official)

    @cached_property
    def section_names(self) -> list[str]:
        """The sections in the form's order."""
        return self.sections["section"].to_list()

    @cache  # noqa: B019  a form lives as long as the process
    def section(self, name: str) -> Section:
        """The section of that name."""
        line = self.sections.row(by_predicate=pl.col("section") == name, named=True)
        number, code = pl.col("number").cast(pl.Int64), pl.col("code").cast(pl.Int64)
        return Section(
            name=name,
            title=line["title_ru"],
            header_first_row=int(line["header_first_row"]),
            number_row=int(line["number_row"]),
            code_column=line["code_column"],
            label_caption=line["label_caption"] or "",
            code_caption=line["code_caption"] or "",
            columns=self.columns.filter(pl.col("section") == name).with_columns(number),
            rows=self.rows.filter(pl.col("section") == name).with_columns(code),
        )

    @cache  # noqa: B019
    def template(self, *names: str) -> pl.DataFrame:
        """Every figure of the sections (default: all) as read: section, row, measure, unit, cell, note."""
        sections = [self._section_template(name) for name in names or self.section_names]
        return pl.concat(sections, rechunk=True)

    def _section_template(self, name: str) -> pl.DataFrame:
        spec = self.section(name)
        notes = pl.concat_str("note", "note_row", separator="; ", ignore_nulls=True)
        return (
            spec.columns.join(spec.rows, how="cross", suffix="_row", maintain_order="left_right")
            .with_columns(
                cell=pl.format("{}!{}{}", "section", "column", pl.col("code") + spec.number_row),
                note=pl.when(notes != "").then(notes),
            )
            .select("section", "row", "measure", "unit", "cell", "note")
        )


def form(name: str = BUNDLED) -> Form:
    """A version of the form by its name; the bundled one, unless another is named."""
    return next(one for one in forms() if one.name == name)


def forms() -> tuple[Form, ...]:
    """Every version known: the bundled one, then those of the user's store."""
    return (_bundled(),)


@cache
def _bundled() -> Form:
    tables = ("sections", "columns", "rows", "measures", "row_names")
    return Form(BUNDLED, *(read_texts(_FOLDER / f"{name}.csv") for name in tables))


class _Names(NamedTuple):
    """What the versions of the form name, all taken together."""

    sections: list[str]
    measures: dict[str, str]  # with what they mean
    rows: dict[str, dict[str, str | None]]  # lines of `row_names`; a later version's title stands
    rows_held: dict[str, list[str]]  # by section
    measures_held: dict[str, list[str]]


@lru_cache(maxsize=8)
def _names(versions: tuple[Form, ...]) -> _Names:
    """No polars query is made, which would start threads: a process that has them may be forked."""
    names = _Names([], {}, {}, {}, {})
    for one in versions:
        names.sections.extend(n for n in one.section_names if n not in names.sections)
        names.measures.update(
            zip(one.measures["measure"], one.measures["description"], strict=True)
        )
        names.rows.update((str(line["row"]), line) for line in one.row_names.iter_rows(named=True))
        for table, name, held in (
            (one.rows, "row", names.rows_held),
            (one.columns, "measure", names.measures_held),
        ):
            for section, held_name in zip(table["section"], table[name], strict=True):
                found = held.setdefault(section, [])
                if not found or found[-1] != held_name:
                    found.append(held_name)
    for held in (names.rows_held, names.measures_held):
        held.update({section: list(dict.fromkeys(found)) for section, found in held.items()})
    return names


def section_names() -> list[str]:
    """The sections in the form's order: R1, R1-1, …, PRIL11."""
    return _names(forms()).sections


def sections() -> pl.DataFrame:
    """One line per section: official and English title, what it counts, where its parts stand."""
    return form().sections


def measure_descriptions() -> list[tuple[str, str]]:
    """Every measure with what it means."""
    return list(_names(forms()).measures.items())


def measures() -> list[str]:
    """Every measure's name, those that only a publication reports included."""
    return list(_names(forms()).measures)


def only_reported() -> frozenset[str]:
    """Measures that no column of the form holds: a publication gives no more than that."""
    held = _names(forms()).measures_held.values()
    return frozenset(measures()) - {name for names in held for name in names}


def held(table: str, sections: list[str]) -> list[str]:
    """The rows (`"rows"`) or measures (`"columns"`) that at least one of the sections has."""
    names = _names(forms())
    by_section = {"rows": names.rows_held, "columns": names.measures_held}[table]
    return list(dict.fromkeys(name for one in sections for name in by_section.get(one, ())))


def warm() -> None:
    """Read what lookups need; no polars query is made."""
    _names(forms())


def row_names() -> pl.DataFrame:
    """One line per row key: row, kind, chapter, article, name (English), title_ru (official)."""
    versions = forms()
    return versions[0].row_names if len(versions) == 1 else _all_row_names(versions)


@lru_cache(maxsize=8)
def _all_row_names(versions: tuple[Form, ...]) -> pl.DataFrame:
    lines = list(_names(versions).rows.values())
    return pl.DataFrame(lines, schema=versions[0].row_names.schema)


def row_line(row: str) -> dict[str, str | None]:
    """The line of one row key in `row_names`."""
    return _names(forms()).rows[row]


def codebook(section: str | Sequence[str] | None = None) -> dy.DataFrame[Codebook]:
    """What every section, row and column of the form means.

    Returns one line per column (623) and per row (9,500) of the form's 26 sections, in the form's
    order, as `kzresearch.schemas.Codebook` describes: its place, its name here, its English label,
    unit, official Russian title and the official caption it is recognised by.

    Raises `UnknownValueError` for a section that the form does not have.

    Source: the captions of Form 1-M as filed for 2022; the English names are this project's.
    """
    from kzresearch.errors import unknown_value

    version = form()
    names = version.section_names
    wanted = names if section is None else [section] if isinstance(section, str) else list(section)
    for name in wanted:
        if name not in names:
            raise unknown_value("section", name, names)
    order = pl.col("section").cast(pl.Enum(names))
    columns = version.columns.join(version.measures, on="measure", maintain_order="left").select(
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
    number_row = version.sections.select("section", pl.col("number_row").cast(pl.Int64))
    rows = (
        version.rows.join(version.row_names, on="row", maintain_order="left")
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

"""Raw cells → located sections. What differs from the codebook is refused, never guessed at."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import polars as pl

from kzresearch.errors import WorkbookError
from kzresearch.form_1m.sheet import plans, remember
from kzresearch.form_1m.workbook import Head, Workbook, column_index, column_letters
from kzresearch.schemas import LARGEST_COUNT, MONEY

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from kzresearch.form_1m.codebook import Form, Section

# Cyrillic letters of the number row, above the labels and above the row codes
LABEL_HEADING, CODE_HEADING = "А", "Б"
MAX_ROWS = 10_000  # looked at for the cell to name in an error
WIDTH = 80  # characters of a caption that an error shows


class UnlikeFormError(WorkbookError):
    """Sheets, captions or codes that differ from a version of the form."""


# What has been found in order once needs no second look: workbooks of one release share it.
_ACCEPTED_HEADS: dict[tuple[bytes, bytes | None], int] = {}  # → number of label columns
_ACCEPTED_ROWS: dict[Section, list[pl.Series]] = {}  # labels and codes


def lessons() -> dict[Hashable, Any]:
    """What this process has learnt of layouts: how to read their sheets, and heads found in order."""
    return {**plans(), **_ACCEPTED_HEADS}


def learn(lessons: Mapping[Any, Any]) -> None:
    """Know from now on what another process has learnt."""
    for key, lesson in lessons.items():
        if isinstance(lesson, int):
            _ACCEPTED_HEADS[key] = lesson
        else:
            remember(key, lesson)


def check_sheets(workbook: Workbook, form: Form) -> None:
    """Refuse a workbook that lacks a sheet of the form or holds another; their order is free."""
    expected, found = form.sheet_names, list(workbook.sheets)
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    if missing or extra:
        parts = []
        if missing:
            parts.append("expected sheet " + ", ".join(map(repr, missing)) + ", which is not there")
        if extra:
            parts.append("found sheet " + ", ".join(map(repr, extra)) + ", which the form has not")
        raise unlike(workbook, "sheets", "; ".join(parts))


def unlike(workbook: Workbook, where: str, what: str) -> UnlikeFormError:
    """An error about a place where the workbook is not as the form."""
    return UnlikeFormError(str(workbook.error(where, what)))


def figures(workbook: Workbook, section: Section) -> pl.Series:
    """All figures of one section, in the order of the form's `template`, as Float64.

    Raises WorkbookError naming the first cell that differs from the form.
    """
    name = section.sheet
    xml = workbook.sheet_xml(name)
    digest = workbook.head_digest(xml, section.number_row)
    accepted = _expected_head(section), digest
    labels = _ACCEPTED_HEADS.get(accepted)
    if labels is None:
        head = workbook.head(name, section.number_row)
        _check_head(workbook, section, head)
        labels = column_index(section.code_column) - min(column for _, column in head.cells)
        if digest is not None:
            _ACCEPTED_HEADS[accepted] = labels
    code = column_index(section.code_column)
    body = workbook.body(name, section.number_row, code)
    if body is not None:
        body = _without_blanks(body, section.rows.height, labels + 1 + section.columns.height)
    if body is None or body.width != labels + 1 + section.columns.height or body.is_empty():
        raise _difference(workbook, section, labels)
    columns = body.get_columns()
    if not _rows_agree(section, columns[: labels + 1]):
        raise _difference(workbook, section, labels)
    if any(series.dtype not in (pl.Float64, pl.Int64) for series in columns[labels + 1 :]):
        raise _difference(workbook, section, labels)
    # Money is stored with floating-point noise below the third decimal.
    money = section.columns["unit"] == MONEY
    values = pl.concat(
        [
            _rounded(series) if is_money else series.cast(pl.Float64).alias("value")
            for series, is_money in zip(columns[labels + 1 :], money, strict=True)
        ]
    )
    return values + 0.0  # −0 is 0


def _without_blanks(body: pl.DataFrame, height: int, width: int) -> pl.DataFrame:
    """The body without rows below and columns beside the form that are formatted but empty."""
    if body.width > width and all(s.null_count() == len(s) for s in body.get_columns()[width:]):
        body = body.select(pl.nth(range(width)))
    below = body[height:]
    if all(series.null_count() == below.height for series in below.get_columns()):
        body = body[:height]
    return body


@cache
def _expected_head(section: Section) -> bytes:
    """Digest of what a head is compared with."""
    captions = section.columns.select("number", "caption").rows()
    places = section.header_first_row, section.number_row, section.code_column
    texts = section.title, section.label_caption, section.code_caption
    return hashlib.sha256(repr((places, texts, captions)).encode()).digest()


def _check_head(workbook: Workbook, section: Section, head: Head) -> None:
    """The title, the captions and the number row stand where they belong, and nothing beside."""

    def expect(row: int, column: int, what: str, expected: str, found: str) -> None:
        if found != expected:
            wanted, shown = _apart(expected, found)
            where = f"{section.sheet}!{column_letters(column)}{row}"
            raise unlike(workbook, where, f"expected {what} {wanted}, found {shown}")

    code, number_row = column_index(section.code_column), section.number_row
    first_row = section.header_first_row
    above = {place: text for place, text in head.cells.items() if place[0] < first_row}
    first = min(above, default=(1, 0))
    expect(*first, "the title", section.title, " / ".join(str(above[p]) for p in sorted(above)))
    expect(number_row, code, "the code column's heading", CODE_HEADING, head.text(number_row, code))
    label = min(column for row, column in head.cells if row == number_row)
    found = head.text(number_row, label)
    expect(number_row, label, "the label column's heading", LABEL_HEADING, found)
    captions = range(first_row, number_row)
    for column, expected in ((label, section.label_caption), (code, section.code_caption)):
        path = heading_path((row, head.text(row, column)) for row in captions)
        found = " > ".join(text for _, text in path)
        expect(first_row, column, "the caption", expected, found)
    for number, expected in section.columns.select("number", "caption").iter_rows():
        column = code + number
        found = head.text(number_row, column)
        expect(number_row, column, "the column number", str(number), found)
        path = heading_path((row, head.text(row, column)) for row in captions)
        found = " > ".join(text for _, text in path)
        row = _where_they_part(path, expected, first_row)
        expect(row, column, "the column caption", expected, found)
    last = code + section.columns.height
    for row, column in sorted(head.cells):
        if row >= first_row and not label <= column <= last:
            expect(row, column, "beside the form", "", head.text(row, column))


def _rows_agree(section: Section, columns: list[pl.Series]) -> bool:
    """Whether the label columns and, after them, the code column are those of the form."""
    accepted = _ACCEPTED_ROWS.get(section, [])
    if len(columns) == len(accepted) and all(map(pl.Series.equals, columns, accepted)):
        return True
    *labels, codes = columns
    captions = (
        pl.DataFrame(labels)
        .select(pl.all().cast(pl.String).str.replace_all(r"\s+", " ").str.strip_chars(" "))
        .select(pl.all().replace("", None))
        .select(pl.concat_str(pl.all(), separator=" > ", ignore_nulls=True))
        .to_series()
    )
    numbers = codes.dtype in (pl.Float64, pl.Int64)
    expected = section.rows["code"].cast(pl.Float64)
    agree = numbers and codes.cast(pl.Float64).equals(expected)
    if not agree or not captions.equals(section.rows["caption"]):
        return False
    _ACCEPTED_ROWS[section] = columns
    return True


@dataclass(frozen=True)
class _Search:
    """Looks below the number row, cell by cell, for what differs from the form."""

    workbook: Workbook
    section: Section
    labels: int
    cells: dict[tuple[int, int], str | float]

    @property
    def code(self) -> int:
        return column_index(self.section.code_column)

    def error(self, row: int, column: int, expected: str, found: str) -> WorkbookError:
        return self.workbook.error(self._where(row, column), f"expected {expected}, found {found}")

    def unlike(self, row: int, column: int, expected: str, found: str) -> UnlikeFormError:
        what = f"expected {expected}, found {found}"
        return unlike(self.workbook, self._where(row, column), what)

    def _where(self, row: int, column: int) -> str:
        return f"{self.section.sheet}!{column_letters(column)}{row}"

    def caption(self, row: int, number: int, caption: str) -> WorkbookError | None:
        texts = [Head.text_of(self.cells.get((row, column))) for column in range(self.code)]
        for column in range(self.code - self.labels):
            if texts[column]:
                return self.unlike(row, column, "an empty cell", _quoted(texts[column]))
        found = [text for text in texts if text]
        if " > ".join(found) == caption:
            return None
        place = self.code - self.labels
        parts = caption.split(" > ")
        if len(parts) == len(found):
            places = [column for column, text in enumerate(texts) if text]
            place = next(p for p, a, b in zip(places, parts, found, strict=True) if a != b)
        expected, shown = _apart(caption, " > ".join(found))
        return self.unlike(row, place, f"the caption {expected} (row {number})", shown)

    def numbers(self, row: int, number: int) -> WorkbookError | None:
        code = self.cells.get((row, self.code))
        if not isinstance(code, float) or code != number:
            return self.unlike(row, self.code, f"the row code {number}", _cell(code))
        for column in range(self.code + 1, self.code + 1 + self.section.columns.height):
            value = self.cells.get((row, column))
            if not isinstance(value, float):
                return self.error(row, column, "a number", _cell(value))
        return None

    def beside(self) -> WorkbookError | None:
        last_row = self.section.number_row + self.section.rows.height
        last = self.code + self.section.columns.height
        for row, column in sorted(self.cells):
            found = _cell(self.cells[row, column])
            if row > last_row:
                expected = f"no row below row {self.section.rows.height}"
                return self.unlike(row, column, expected, found)
            if row > self.section.number_row and column > last:
                expected = "an empty cell beside the form's last column"
                return self.unlike(row, column, expected, found)
        return None

    def dates(self) -> WorkbookError:
        """Numbers shown as dates or times, which differ in their format alone."""
        first_row = self.section.number_row
        date = self.workbook.date_cell(self.section.sheet, first_row, self.labels + 1)
        if date is None:
            what = "this sheet cannot be decoded; the file is damaged"
            return self.workbook.error(self.section.sheet, what)
        index, column, found = date
        row = first_row + 1 + index
        return self.error(row, self.code + 1 + column, "a plain number", _cell(found))


def _difference(workbook: Workbook, section: Section, labels: int) -> WorkbookError:
    """The first cell below the number row that differs from the form."""
    cells = workbook.head(section.sheet, MAX_ROWS).cells
    search = _Search(workbook, section, labels, cells)
    for number, caption in section.rows.select("code", "caption").iter_rows():
        row = section.number_row + number
        error = search.caption(row, number, caption) or search.numbers(row, number)
        if error:
            return error
    return search.beside() or search.dates()


def _cell(value: str | float | None) -> str:
    """A cell's value in an error: a text is told from a number."""
    if value is None:
        return "a blank"
    if not isinstance(value, str):
        return f"{value:.15g}"
    return _quoted(value) + " as a text" * value.lstrip("+-").isdecimal()


def _rounded(money: pl.Series) -> pl.Series:
    """To three decimals; a column with a negative stays as it is, to be refused for it."""
    money = money.cast(pl.Float64).alias("value")
    negative = money.min()
    return money if isinstance(negative, float) and negative < 0 else money.round(3)


def check_values(workbook: Workbook, frame: pl.DataFrame) -> None:
    """Refuse a blank, infinite or negative figure, and a count that is not whole, by its cell."""
    value, count = pl.col("value"), pl.col("unit") != MONEY
    wrong = {
        "a number": value.is_null() | ~value.is_finite(),
        "no negative figure": value < 0,
        "a whole count": count & ((value != value.floor()) | (value > LARGEST_COUNT)),
    }
    found = frame.select(pl.any_horizontal(*wrong.values()).arg_true().first()).item()
    if found is None:
        return
    figure = frame[found]
    expected = next(name for name, rule in wrong.items() if figure.select(rule).item())
    number = figure["value"].item()
    shown = "a blank or an error" if number is None else f"{number!r}".removesuffix(".0")
    raise workbook.error(figure["cell"].item(), f"expected {expected}, found {shown}")


def heading_path(texts: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """Distinct consecutive texts, each with its row: a caption through its merged headings."""
    path: list[tuple[int, str]] = []
    for row, text in texts:
        if text and (not path or path[-1][1] != text):
            path.append((row, text))
    return path


def _where_they_part(path: list[tuple[int, str]], expected: str, first_row: int) -> int:
    """The row of the first heading that is not the expected one."""
    parts = expected.split(" > ")
    if len(path) != len(parts):
        return first_row
    return next(
        (row for (row, text), part in zip(path, parts, strict=True) if text != part), first_row
    )


def _apart(expected: str, found: str) -> tuple[str, str]:
    """Both texts, quoted; long ones from a little before they part, so that one sees where."""
    start = next(
        (i for i, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b),
        min(len(expected), len(found)),
    )
    start = 0 if start < WIDTH - 20 else start - 20
    return _quoted(expected, start) or "nothing", _quoted(found, start) or "nothing"


def _quoted(text: str, start: int = 0) -> str:
    part = text[start : start + WIDTH]
    after = "…" if start + WIDTH < len(text) else ""
    return f"'{'…' if start else ''}{part}{after}'" if text else ""

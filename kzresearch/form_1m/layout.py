"""Raw cells → located sections. What differs from the codebook is refused, never guessed at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from kzresearch.form_1m import codebook
from kzresearch.form_1m.workbook import Head, Workbook, column_index, column_letters
from kzresearch.schemas import MONEY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kzresearch.form_1m.codebook import Section

# Cyrillic letters of the number row, above the labels and above the row codes
LABEL_HEADING, CODE_HEADING = "А", "Б"

# What has been found in order once needs no second look: workbooks of one release share it.
_ACCEPTED_HEADS: dict[tuple[str, bytes | None], int] = {}  # → number of label columns
_ACCEPTED_ROWS: dict[str, list[pl.Series]] = {}  # labels and codes by section


def check_sheets(workbook: Workbook) -> None:
    """Refuse a workbook that lacks a sheet of the form or holds another; their order is free."""
    expected, found = codebook.section_names(), list(workbook.sheets)
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    if missing or extra:
        parts = []
        if missing:
            parts.append("expected sheet " + ", ".join(map(repr, missing)) + ", which is not there")
        if extra:
            parts.append("found sheet " + ", ".join(map(repr, extra)) + ", which the form has not")
        raise workbook.error("sheets", "; ".join(parts) + "; use the file as it was published")


def figures(workbook: Workbook, name: str) -> pl.Series:
    """All figures of one section, in the order of `codebook.template(name)`, as Float64.

    Raises WorkbookError naming the first cell that differs from the form.
    """
    section = codebook.section(name)
    xml = workbook.sheet_xml(name)
    digest = workbook.head_digest(xml, section.number_row)
    labels = _ACCEPTED_HEADS.get((name, digest))
    if labels is None:
        head = workbook.head(name, xml, section.number_row)
        _check_head(workbook, section, head)
        labels = column_index(section.code_column) - min(column for _, column in head.cells)
        if digest is not None:
            _ACCEPTED_HEADS[name, digest] = labels
    body = workbook.body(name, section.number_row, labels)
    return _Body(workbook, section, body, labels).figures()


def _check_head(workbook: Workbook, section: Section, head: Head) -> None:
    """The number row, the captions above it and the first row's code stand where they belong."""

    def expect(row: int, column: int, what: str, expected: str, found: str) -> None:
        if found != expected:
            raise workbook.error(
                f"{section.name}!{column_letters(column)}{row}",
                f"expected {what} {_quoted(expected)}, found {_quoted(found)}; "
                "this is not the form that the codebook describes",
            )

    code = column_index(section.code_column)
    number_row = section.number_row
    above = {
        place: text for place, text in head.cells.items() if place[0] < section.header_first_row
    }
    first = min(above, default=(1, 0))
    expect(*first, "the title", section.title, " / ".join(str(above[p]) for p in sorted(above)))
    expect(number_row, code, "the code column's heading", CODE_HEADING, head.text(number_row, code))
    captions = range(section.header_first_row, number_row)
    label = min(column for row, column in head.cells if row == number_row)
    expect(
        number_row, label, "the label column's heading", LABEL_HEADING, head.text(number_row, label)
    )
    for column, expected in ((label, section.label_caption), (code, section.code_caption)):
        found = _path(head.text(row, column) for row in captions)
        expect(section.header_first_row, column, "the caption", expected, found)
    for number, expected in section.columns.select("number", "caption").iter_rows():
        column = code + number
        found = head.text(number_row, column)
        expect(number_row, column, "the column number", str(number), found)
        found = _path(head.text(row, column) for row in captions)
        expect(section.header_first_row, column, "the column caption", expected, found)
    last = code + section.columns.height
    for (row, column), value in sorted(head.cells.items()):
        if row >= number_row and (column > last or column < label):
            expect(row, column, "an empty cell", "", f"{value}")


class _Body:
    """The rows below the number row of one section, compared with the codebook."""

    def __init__(
        self, workbook: Workbook, section: Section, frame: pl.DataFrame, labels: int
    ) -> None:
        self.workbook, self.section, self.frame, self.labels = workbook, section, frame, labels

    def cell(self, index: int, column: int) -> str:
        """Address of a cell of the frame."""
        offset = column_index(self.section.code_column) - self.labels
        letters = column_letters(column + offset)
        return f"{self.section.name}!{letters}{index + self.section.number_row + 1}"

    def figures(self) -> pl.Series:
        self._check_rows()
        width = self.section.columns.height
        start = self.labels + 1
        for column in range(start + width, self.frame.width):
            extra = self.frame.to_series(column).is_not_null().arg_true()
            if len(extra):
                self._refuse(extra[0], column, "an empty cell beside the form's last column")
        if self.frame.width < start + width:
            where = self.cell(0, self.frame.width)
            raise self.workbook.error(where, "expected a column of figures, found none")
        columns = self.frame.get_columns()[start : start + width]
        values = [self._numbers(start + i, series) for i, series in enumerate(columns)]
        # Money is stored with floating-point noise below the third decimal.
        money = self.section.columns["unit"] == MONEY
        return pl.concat([v.round(3) if m else v for v, m in zip(values, money, strict=True)])

    def _refuse(self, index: int, column: int, expected: str) -> None:
        value = self.frame[index, column] if index < self.frame.height else None
        found = "a blank" if value is None else _quoted(str(value))
        raise self.workbook.error(self.cell(index, column), f"expected {expected}, found {found}")

    def _check_rows(self) -> None:
        rows = self.section.rows
        raw = self.frame.get_columns()[: self.labels + 1]
        accepted = _ACCEPTED_ROWS.get(self.section.name, [])
        if len(raw) == len(accepted) and all(map(pl.Series.equals, raw, accepted)):
            return
        captions = (
            pl.DataFrame(raw[: self.labels])
            .select(pl.all().str.replace_all(r"\s+", " ").str.strip_chars(" "))
            .select(pl.all().replace("", None))
            .select(pl.concat_str(pl.all(), separator=" > ", ignore_nulls=True))
            .to_series()
        )
        codes = raw[self.labels]
        whole = codes.cast(pl.Int64, strict=False)
        if captions.equals(rows["caption"]) and whole.equals(rows["code"]):
            _ACCEPTED_ROWS[self.section.name] = raw
            return
        for index, (code, caption) in enumerate(rows.select("code", "caption").iter_rows()):
            if index >= self.frame.height:
                self._refuse(index, self.labels, f"row {code}, {_quoted(caption)}")
            if captions[index] != caption:
                where = self.cell(index, 0)
                found = _quoted(captions[index] or "")
                raise self.workbook.error(
                    where, f"expected the caption {_quoted(caption)} (row {code}), found {found}"
                )
            if codes[index] != code:
                self._refuse(index, self.labels, f"the row code {code}")
        if self.frame.height > rows.height:
            filled = self.frame[rows.height :].select(pl.any_horizontal(pl.all().is_not_null()))
            extra = filled.to_series().arg_true()
            if len(extra):
                index = rows.height + extra[0]
                where = self.cell(index, 0)
                raise self.workbook.error(where, f"expected no row below row {rows.height}")
            self.frame = self.frame[: rows.height]

    def _numbers(self, column: int, series: pl.Series) -> pl.Series:
        if series.dtype == pl.Float64:
            return series.alias("value")
        if series.dtype != pl.Int64:
            self._refuse_text(column)
        return series.cast(pl.Float64).alias("value")

    def _refuse_text(self, column: int) -> None:
        """Name the first cell of a column that holds no plain number."""
        offset = column_index(self.section.code_column) - self.labels
        xml = self.workbook.sheet_xml(self.section.name)
        last = self.section.number_row + self.section.rows.height
        cells = self.workbook.head(self.section.name, xml, last).cells
        for index in range(self.section.rows.height):
            found = cells.get((index + self.section.number_row + 1, column + offset))
            if not isinstance(found, float):
                shown = "a blank" if found is None else _quoted(found)
                raise self.workbook.error(
                    self.cell(index, column), f"expected a number, found {shown}"
                )
        raise self.workbook.error(self.cell(0, column), "expected plain numbers, found dates")


def check_values(workbook: Workbook, frame: pl.DataFrame) -> None:
    """Refuse a blank, infinite or negative figure, and a count that is not whole, by its cell."""
    value, count = pl.col("value"), pl.col("unit") != MONEY
    wrong = {
        "a number": value.is_null() | ~value.is_finite(),
        "no negative figure": value < 0,
        "a whole count": count & (value != value.floor()),
    }
    found = frame.select(pl.any_horizontal(*wrong.values()).arg_true().first()).item()
    if found is None:
        return
    figure = frame[found]
    expected = next(name for name, rule in wrong.items() if figure.select(rule).item())
    number = figure["value"].item()
    shown = "a blank or an error" if number is None else f"{number:g}"
    raise workbook.error(figure["cell"].item(), f"expected {expected}, found {shown}")


def _path(texts: Iterable[str]) -> str:
    """Distinct consecutive texts, joined: the caption of a column through its merged headings."""
    path: list[str] = []
    for text in texts:
        if text and (not path or path[-1] != text):
            path.append(text)
    return " > ".join(path)


def _quoted(text: str) -> str:
    return f"'{text[:80]}…'" if len(text) > 80 else f"'{text}'" if text else "nothing"

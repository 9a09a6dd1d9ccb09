"""A workbook of Excel 97 to 2003 (`.xls`) → what `layout` asks of a workbook.

The Excel library is not used here: it does not tell formulas, truth values and merges of such a
file, and damaged ones can make it panic, or take all memory. The records that a report consists of
are few ([MS-XLS], BIFF8), so they are read as they stand; what no report holds is refused.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from kzresearch.form_1m.workbook import Head, Workbook, column_letters, normalise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kzresearch.errors import WorkbookError

MAX_BYTES = 16 * 2**20  # a report has 2.4
MAX_CELLS = 500_000  # of all sheets: a report has 240,000, and of merges 5,000
MAX_SPACE = 1_000_000  # from A1 to the last cell of each sheet: a report has 300,000
MAX_FORMAT = 255  # letters of the format of a number
TOO_MUCH = "holds more than a Form 1-M report does; not read"
RESAVE = "save it as plain .xlsx"

# Records by their numbers.
_BOF, _FILEPASS, _SHEET, _CONTINUE, _STRINGS = 0x809, 0x2F, 0x85, 0x3C, 0xFC
_FORMAT, _CELL_FORMAT, _MERGES = 0x41E, 0xE0, 0xE5
_TEXT, _NUMBER, _RK, _RKS = 0xFD, 0x203, 0x27E, 0xBD  # RK: a number in four bytes
_REFUSED = dict.fromkeys((0x06, 0x206, 0x406), "a formula") | {
    0x205: "a truth value or an error",
    0x204: "a text as older versions write it",
    0xD6: "a text as older versions write it",
}
_BIFF8, _WORKSHEET = 0x600, 0
_STREAMS = ("Workbook", "Book", "EncryptedPackage")
# The stream of the file's properties, and theirs by number.
_SUMMARY = "\x05SummaryInformation"
_CODE_PAGE, _TITLE, _COMMENTS = 1, 2, 6
_UTF_8 = 65001

_DATE_FORMATS = {*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)}  # built in
_NO_PLACEHOLDER = re.compile(r'"[^"]*"|\[[^\]]*\]|[\\_*].')
_DATE_PLACEHOLDER = re.compile(r"[ymdhs]", re.IGNORECASE)


@dataclass
class _Sheet:
    """The cells of a sheet that hold something, by row (from 1) and column (from 0); its merges."""

    name: str = ""
    cells: dict[tuple[int, int], str | float] = field(default_factory=dict)
    merges: list[tuple[int, ...]] = field(default_factory=list)  # top, bottom, left, right
    first_column: int = 256
    last_column: int = -1
    last_row: int = 0

    def merged_cells(self) -> int:
        """How many cells merges name, twice where two overlap."""
        return sum(
            max(min(bottom + 1, self.last_row) - top, 0)
            * max(min(right, self.last_column) + 1 - left, 0)
            for top, bottom, left, right in self.merges
        )

    def body(self, skip_rows: int, labels: int) -> pl.DataFrame:
        """The rows below, columns before `labels` as text; one that holds a text is all text."""
        rows = range(skip_rows + 1, self.last_row + 1)
        columns = range(self.first_column, self.last_column + 1)
        series = []
        for column in columns:
            values = [self.cells.get((row, column)) for row in rows]
            if column < labels or any(isinstance(value, str) for value in values):
                texts = [None if value is None else Head.text_of(value) for value in values]
                series.append(pl.Series(str(column), texts, pl.String))
            else:
                series.append(pl.Series(str(column), values, pl.Float64))
        return pl.DataFrame(series)


@dataclass
class _Book:
    """Takes a workbook's records one by one."""

    workbook: Workbook
    sheets: dict[str, _Sheet] = field(default_factory=dict)
    begins: dict[int, _Sheet] = field(default_factory=dict)  # where a sheet's records must begin
    sheet: _Sheet = field(default_factory=_Sheet)
    strings: list[bytes] = field(default_factory=list)  # the record of the texts, and what goes on
    dates: set[int] = field(default_factory=lambda: set(_DATE_FORMATS))
    formats: list[int] = field(default_factory=list)  # of each kind of cell
    count: int = 0

    @cached_property
    def texts(self) -> list[str]:
        """The texts that cells refer to, normalised."""
        return [normalise(text) for text in _texts(self.strings)]

    def take(self, place: int, kind: int, content: bytes, before: int) -> None:
        """Take in a record; what no report holds is refused."""
        if kind in (_TEXT, _NUMBER, _RK, _RKS):
            self._cells(kind, content)
        elif kind in _REFUSED:
            row, column = struct.unpack_from("<HH", content)
            raise self._error(row, column, _REFUSED[kind])
        elif kind == _STRINGS or (kind == _CONTINUE and before == _STRINGS):
            self.strings.append(content)
        elif kind == _MERGES:
            count = struct.unpack_from("<H", content)[0]
            self.sheet.merges += struct.iter_unpack("<4H", content[2 : 2 + 8 * count])
        elif kind in (_BOF, _SHEET, _FILEPASS):
            self._part(place, kind, content)
        elif kind == _CELL_FORMAT:
            self.formats.append(struct.unpack_from("<H", content, 2)[0])
        elif kind == _FORMAT:
            number, length, wide = struct.unpack_from("<HHB", content)
            shown = _NO_PLACEHOLDER.sub("", _text(content, min(length, MAX_FORMAT), wide, 5))
            if _DATE_PLACEHOLDER.search(shown):
                self.dates.add(number)

    def _error(self, row: int, column: int, what: str) -> WorkbookError:
        where = f"{self.sheet.name}!{column_letters(column)}{row + 1}"
        return self.workbook.error(where, f"{what}, where the form holds plain figures only")

    def _part(self, place: int, kind: int, content: bytes) -> None:
        if kind == _FILEPASS:
            raise self.workbook.error("", f"an encrypted workbook; {RESAVE}, without a password")
        if kind == _BOF:
            if place == 0 and struct.unpack_from("<H", content)[0] != _BIFF8:
                raise self.workbook.error("", f"a workbook older than Excel 97; {RESAVE}")
            self.sheet = self.begins.pop(place, _Sheet())
            return
        begin, _, of_kind, length, wide = struct.unpack_from("<IBBBB", content)
        name = normalise(_text(content, length, wide, 8))
        if of_kind != _WORKSHEET:
            raise self.workbook.error("sheets", f"'{name}' is no sheet of cells; leave it out")
        if name in self.sheets:
            raise self.workbook.error("sheets", f"two sheets are named '{name}'; leave one")
        self.sheets[name] = self.begins[begin] = _Sheet(name)

    def _cells(self, kind: int, content: bytes) -> None:
        row, column, of_format = struct.unpack_from("<3H", content)
        if kind == _TEXT:
            self._cell(row, column, self.texts[struct.unpack_from("<I", content, 6)[0]])
        elif kind == _NUMBER:
            self._number(row, column, of_format, struct.unpack_from("<d", content, 6)[0])
        else:  # one or several numbers, each behind its format
            end = 10 if kind == _RK else len(content) - 2
            for number, start in enumerate(range(4, end, 6)):
                of_format = struct.unpack_from("<H", content, start)[0]
                self._number(row, column + number, of_format, _rk(content[start + 2 : start + 6]))

    def _number(self, row: int, column: int, of_format: int, number: float) -> None:
        date = self.formats[of_format] in self.dates
        self._cell(row, column, f"{number:.15g}, shown as a date or time" if date else number)

    def _cell(self, row: int, column: int, value: str | float) -> None:
        sheet, at = self.sheet, (row + 1, column)
        self.count += 1
        if self.count > MAX_CELLS:
            raise self.workbook.error("", TOO_MUCH)
        if at in sheet.cells:
            raise self._error(row, column, "a cell that stands there twice")
        if value != "":
            sheet.cells[at] = value
            sheet.first_column = min(sheet.first_column, column)
            sheet.last_column = max(sheet.last_column, column)
            sheet.last_row = max(sheet.last_row, row + 1)


@dataclass(frozen=True)
class OldWorkbook(Workbook):
    """A `.xls` workbook in memory."""

    @cached_property
    def _members(self) -> Any:
        """What holds the records; looked at when the file is opened, to refuse it at once."""
        return self._container

    @cached_property
    def _container(self) -> tuple[dict[str, bytes], dict[int, Any]]:
        """The streams that matter of the compound file that an .xls is, and its properties."""
        if len(self.data) > MAX_BYTES:
            raise self.error("", f"larger than {MAX_BYTES // 2**20} MiB, so no Form 1-M report")
        try:
            streams, properties = _unpacked(self.data)
        except Exception:  # for what is damaged it raises errors without a common base
            raise self._damaged() from None
        if "EncryptedPackage" in streams:
            raise self.error("", f"an encrypted workbook; {RESAVE}, without a password")
        if "Workbook" not in streams or "Book" in streams:
            raise self.error("", f"no workbook of Excel 97 or later; {RESAVE}")
        return streams, properties

    def _damaged(self) -> WorkbookError:
        return self.error("", f"this .xls workbook cannot be read; {RESAVE}")

    @cached_property
    def _sheets(self) -> dict[str, _Sheet]:
        """Sheet name → its cells, in the workbook's order."""
        book, before = _Book(self), 0
        try:
            for place, kind, content in _records(self._container[0]["Workbook"]):
                book.take(place, kind, content, before)
                before = before if kind == _CONTINUE else kind
        except (struct.error, IndexError):
            raise self._damaged() from None
        if book.begins or not book.sheets:
            raise self._damaged()  # a sheet's records do not stand where they should
        sheets = list(book.sheets.values())
        if sum(one.last_row * (one.last_column + 1) for one in sheets) > MAX_SPACE:
            raise self.error("", TOO_MUCH)
        if sum(one.merged_cells() for one in sheets) > MAX_CELLS:
            raise self.error("", TOO_MUCH)
        return book.sheets

    def property(self, name: str) -> str:
        """The file's `title` or `description`, normalised; '' where it has none."""
        properties = self._container[1]
        value = properties.get({"title": _TITLE, "description": _COMMENTS}[name])
        if isinstance(value, bytes):
            page = int(properties.get(_CODE_PAGE) or 0) & 0xFFFF
            try:
                value = value.decode("utf-8" if page == _UTF_8 else f"cp{page}")
            except (LookupError, UnicodeDecodeError):
                return ""
        return normalise(value.rstrip("\0")) if isinstance(value, str) else ""

    @cached_property
    def saved_under(self) -> str:
        """Such a file does not say where it was saved."""
        return ""

    @cached_property
    def sheets(self) -> dict[str, str]:
        """Sheet name → itself, in the workbook's order."""
        return {name: name for name in self._sheets}

    def new_layout(self) -> bytes | None:
        """None: nothing is remembered of these."""
        return None

    def sheet_xml(self, sheet: str) -> bytes:  # noqa: ARG002
        """No XML; that the sheet holds no formula is known."""
        return b""

    def head_digest(self, xml: bytes, rows: int) -> bytes | None:  # noqa: ARG002
        """Every head is looked at."""
        return None

    def head(self, sheet: str, rows: int) -> Head:
        """The first `rows` rows of a sheet, with the merges that begin there."""
        known = self._sheets[sheet]
        rows, columns = min(rows, known.last_row), known.last_column + 1
        cells = {at: value for at, value in known.cells.items() if at[0] <= rows}
        merged = {
            (row, column): (top + 1, left)
            for top, bottom, left, right in known.merges
            for row in range(top + 1, min(bottom + 1, rows) + 1)
            for column in range(left, min(right + 1, columns))
        }
        return Head(cells, merged)

    def body(self, sheet: str, skip_rows: int, labels: int) -> pl.DataFrame | None:
        """As that of an .xlsx, but a column of different kinds comes as text."""
        return self._sheets[sheet].body(skip_rows, labels)

    def date_cell(self, sheet: str, skip_rows: int, first: int) -> tuple[int, int, str] | None:  # noqa: ARG002
        """None: a number that is shown as a date or time is a text here."""
        return None


def _unpacked(data: bytes) -> tuple[dict[str, bytes], dict[int, Any]]:
    """The streams that matter of a compound file, and its properties; any error if damaged."""
    import olefile

    with olefile.OleFileIO(io.BytesIO(data)) as container:
        names = {path[0] for path in container.listdir() if len(path) == 1}
        wanted = [n for n in (*_STREAMS, _SUMMARY) if n in names]
        if any(container.get_size(name) > len(data) for name in wanted):
            raise ValueError(wanted)
        streams = {name: container.openstream(name).read() for name in wanted}
        return streams, container.getproperties(_SUMMARY) if _SUMMARY in names else {}


def _records(stream: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Place, kind and content of each record, to the end of the stream."""
    place = 0
    while place + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, place)
        yield place, kind, stream[place + 4 : place + 4 + length]
        place += 4 + length


def _text(content: bytes, length: int, wide: int, start: int) -> str:
    """A text of so many letters, of one or of two bytes each; what is none is replaced."""
    size = 1 + (wide & 1)
    encoding = "utf-16-le" if wide & 1 else "latin-1"
    return content[start : start + size * length].decode(encoding, "replace")


def _rk(content: bytes) -> float:
    """A number in four bytes: whole, or the first half of a floating-point one; or its hundredth."""
    if content[0] & 2:
        number = float(struct.unpack("<i", content)[0] >> 2)
    else:
        number = struct.unpack("<d", bytes([0, 0, 0, 0, content[0] & 0xFC, *content[1:]]))[0]
    return number / 100 if content[0] & 1 else number


def _texts(parts: list[bytes]) -> Iterator[str]:
    """The texts of a workbook, which run on from one record into the next."""
    number, start = 0, 8
    count = struct.unpack_from("<I", parts[0], 4)[0]
    for _ in range(count):
        if start == len(parts[number]):
            number, start = number + 1, 0
        length, flags = struct.unpack_from("<HB", parts[number], start)
        start += 3
        after = 0  # what stands behind the letters: changes of font, pronunciation
        if flags & 8:
            after += 4 * struct.unpack_from("<H", parts[number], start)[0]
            start += 2
        if flags & 4:
            after += struct.unpack_from("<I", parts[number], start)[0]
            start += 4
        text, wide = "", flags & 1
        while length:
            if start == len(parts[number]):
                number, start = number + 1, 1
                wide = parts[number][0] & 1
            here = min(length, (len(parts[number]) - start) // (1 + wide))
            if not here:
                raise IndexError(number)
            text += _text(parts[number], here, wide, start)
            length, start = length - here, start + here * (1 + wide)
        while after > len(parts[number]) - start:
            number, start, after = number + 1, 0, after - (len(parts[number]) - start)
        start += after
        yield text

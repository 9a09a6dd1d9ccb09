"""A Form 1-M workbook as bytes → its identity, sheet list, header cells and body of figures.

Nothing here knows what a row or a column means; `layout` does. Limits guard against damaged and
hostile files. Of the file's properties only the title and the description are read: never a name
of a person.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
import zipfile
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from kzresearch.errors import WorkbookError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import fastexcel
    import polars as pl

    Entry = tuple[tuple[int, int], str | float]

MAX_FILE_BYTES = 64 * 2**20
MAX_MEMBERS = 2_000
MAX_PART_BYTES = 128 * 2**20
MAX_COLUMNS = 256
MAX_TOTAL_BYTES = 512 * 2**20

_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MERGE = re.compile(rb'<(?:\w+:)?mergeCell\s[^>]*?ref="([A-Z]{1,3})([0-9]+):([A-Z]{1,3})([0-9]+)"')
_FORMULA = re.compile(rb"<f[\s>/]")
_PREFIXED_FORMULA = re.compile(rb"<\w+:f[\s>/]")


def normalise(text: str) -> str:
    """Blanks of every kind collapsed to one, none at the ends: how captions are compared."""
    return " ".join(text.split())


@cache
def column_letters(index: int) -> str:
    """Excel letters of the 0-based column `index`: 0 → A, 26 → AA."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


@cache
def column_index(letters: str) -> int:
    """0-based index of a column's Excel letters: A → 0, AA → 26."""
    index = 0
    for letter in letters:
        index = index * 26 + ord(letter) - 64
    return index - 1


@dataclass(frozen=True)
class Head:
    """The cells of a sheet's first rows by (row, column index): texts normalised, and numbers."""

    cells: dict[tuple[int, int], str | float]
    merged: dict[tuple[int, int], tuple[int, int]]  # cell of a merge → its top left cell

    def text(self, row: int, column: int) -> str:
        """Text of a cell, or of the merge it lies in; '' where empty."""
        place = (row, column)
        value = self.cells.get(place)
        return self.text_of(
            self.cells.get(self.merged.get(place, place)) if value is None else value
        )

    @staticmethod
    def text_of(value: str | float | None) -> str:
        """A cell's value as it is compared and shown."""
        return value if isinstance(value, str) else "" if value is None else f"{value:.15g}"


@dataclass(frozen=True)
class Workbook:
    """One workbook in memory. Every error names the file and what to do about it."""

    name: str
    data: bytes = field(repr=False)

    @classmethod
    def open(cls, path: str | Path) -> Workbook:
        """Read a file; WorkbookError if it is missing, too large or no .xlsx workbook."""
        path = Path(path)
        try:
            if path.is_dir():
                raise WorkbookError(f"{path.name}: a folder; give the path of one .xlsx file")
            if not path.is_file():
                raise WorkbookError(f"{path.name}: no such file; give the path of one .xlsx file")
            if path.stat().st_size > MAX_FILE_BYTES:
                limit = MAX_FILE_BYTES // 2**20
                raise WorkbookError(f"{path.name}: larger than {limit} MiB, so no Form 1-M report")
            data = path.read_bytes()
        except OSError as error:
            raise WorkbookError(f"{path.name}: cannot be read ({error.strerror})") from None
        workbook = cls(path.name, data)
        _ = workbook._parts
        return workbook

    @cached_property
    def sha256(self) -> str:
        """Checksum of the file as it is."""
        return hashlib.sha256(self.data).hexdigest()

    def error(self, where: str, what: str) -> WorkbookError:
        """A WorkbookError about a place in this file."""
        return WorkbookError(f"{self.name}: {where}: {what}" if where else f"{self.name}: {what}")

    @cached_property
    def _parts(self) -> zipfile.ZipFile:
        if self.data.startswith(_OLE_MAGIC):
            raise self.error("", "an old .xls or an encrypted workbook; save it as plain .xlsx")
        try:
            archive = zipfile.ZipFile(io.BytesIO(self.data))
        except (zipfile.BadZipFile, ValueError, OSError):
            raise self.error("", "not an Excel workbook (.xlsx)") from None
        infos = archive.infolist()
        if len(infos) > MAX_MEMBERS or sum(i.file_size for i in infos) > MAX_TOTAL_BYTES:
            raise self.error("", "unpacks to more than a Form 1-M report holds; not read")
        if "xl/workbook.xml" not in archive.namelist():
            raise self.error("", "not an Excel workbook (.xlsx): it holds no xl/workbook.xml")
        return archive

    def _part(self, name: str) -> bytes:
        if name not in self._parts.namelist():
            raise self.error(name, "this part of the workbook is missing; the file is damaged")
        info = self._parts.getinfo(name)
        if info.file_size > MAX_PART_BYTES:
            raise self.error(name, "unpacks to more than a Form 1-M report holds; not read")
        try:
            return self._parts.read(info)
        except Exception:  # zipfile and its decompressors raise errors without a common base
            raise self.error(name, "this part cannot be unpacked; the file is damaged") from None

    def _xml(self, name: str) -> ElementTree.Element:
        data = self._part(name)
        if b"<!DOCTYPE" in data:
            raise self.error(
                name, "holds a document type declaration, which no report does; not read"
            )
        try:
            return ElementTree.fromstring(data)
        except ElementTree.ParseError:
            raise self.error(name, "is not well-formed XML; the file is damaged") from None

    def property(self, name: str) -> str:
        """The file's `title` or `description`, normalised; '' where it has none."""
        if name not in ("title", "description"):
            raise ValueError(name)
        if "docProps/core.xml" not in self._parts.namelist():
            return ""
        text = self._xml("docProps/core.xml").findtext("{http://purl.org/dc/elements/1.1/}" + name)
        return normalise(text or "")

    @cached_property
    def saved_under(self) -> str:
        """The folder the file says it was saved in (x15ac:absPath); '' where it says nothing."""
        match = re.search(rb"<[\w:]*absPath\s[^>]*?url=\"([^\"]*)\"", self._part("xl/workbook.xml"))
        return match[1].decode("utf-8", "replace") if match else ""

    @cached_property
    def sheets(self) -> dict[str, str]:
        """Sheet name → its part in the archive, in the workbook's order."""
        relations = {
            element.get("Id"): element.get("Target", "")
            for element in self._xml("xl/_rels/workbook.xml.rels")
        }
        sheets: dict[str, str] = {}
        for sheet in self._xml("xl/workbook.xml").iterfind("{*}sheets/{*}sheet"):
            key = next((v for k, v in sheet.attrib.items() if k.endswith("}id")), None)
            target = relations.get(key, "")
            part = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
            name = normalise(sheet.get("name", ""))
            if name in sheets:
                raise self.error("sheets", f"two sheets are named '{name}'; leave one")
            sheets[name] = part
        return sheets

    @cached_property
    def _strings_digest(self) -> bytes:
        name = "xl/sharedStrings.xml"
        data = self._part(name) if name in self._parts.namelist() else b""
        return hashlib.sha256(data).digest()

    @cached_property
    def _strings(self) -> list[str]:
        if "xl/sharedStrings.xml" not in self._parts.namelist():
            return []
        items = self._xml("xl/sharedStrings.xml").iterfind("{*}si")
        return [normalise(_text(item)) for item in items]

    def sheet_xml(self, sheet: str) -> bytes:
        """The XML of a sheet, which holds no formula and no document type."""
        data = self._part(self.sheets[sheet])
        if b"<!DOCTYPE" in data[:65_536]:
            raise self.error(sheet, "holds a document type declaration, as no report does")
        plain = b"<worksheet" in data[:2048]
        formula = (_FORMULA if plain else _PREFIXED_FORMULA).search(data)
        if formula:
            before = data[max(formula.start() - 2_000, 0) : formula.start()]
            cells = re.findall(rb'\sr="([A-Z]{1,3}[0-9]+)"', before)
            where = f"{sheet}!{cells[-1].decode()}" if cells else sheet
            raise self.error(where, "a formula, where the form holds plain figures only")
        return data

    def head_digest(self, xml: bytes, rows: int) -> bytes | None:
        """Equal for sheets whose first `rows` rows, merges and texts are equal byte for byte."""
        start, end = xml.find(b"<sheetData>"), xml.find(b'<row r="%d"' % (rows + 1))
        tail = xml.rfind(b"</sheetData>")
        if not 0 <= start < end < tail:
            return None
        digest = hashlib.sha256(self._strings_digest)
        digest.update(xml[start:end])
        digest.update(xml[xml.find(b"<mergeCells", tail) : xml.find(b"</mergeCells>", tail)])
        return digest.digest()

    def head(self, sheet: str, xml: bytes, rows: int) -> Head:
        """The first `rows` rows of a sheet, with the merges that begin there."""
        try:
            cells = dict(self._first_cells(xml, rows))
        except (ElementTree.ParseError, ValueError, IndexError):
            raise self.error(sheet, "is not a well-formed sheet; the file is damaged") from None
        merged = {}
        for left, top, right, bottom in _MERGE.findall(xml, max(xml.rfind(b"</sheetData>"), 0)):
            first = int(top), column_index(left.decode())
            last = min(int(bottom), rows), min(column_index(right.decode()), MAX_COLUMNS)
            for row in range(first[0], last[0] + 1):
                for column in range(first[1], last[1] + 1):
                    merged[row, column] = first
        return Head(cells, merged)

    def _first_cells(self, data: bytes, rows: int) -> Iterator[Entry]:
        parser: Any = ElementTree.XMLPullParser(events=("end",))
        number = 0
        for start in range(0, len(data), 4_096):
            parser.feed(data[start : start + 4_096])
            for _, element in parser.read_events():
                if element.tag.endswith("}row"):
                    number = int(element.get("r") or number + 1)
                    if number > rows:
                        return
                    yield from self._row_cells(element, number)

    def _row_cells(self, row: ElementTree.Element, number: int) -> Iterator[Entry]:
        column = -1
        for cell in row:
            reference = cell.get("r")
            column = column_index(reference.rstrip("0123456789")) if reference else column + 1
            if not len(cell):
                continue
            kind = cell.get("t")
            value = next((child.text for child in cell if child.tag.endswith("}v")), None)
            if kind == "inlineStr":
                text = normalise(_text(cell))
            elif kind == "s":
                text = self._strings[int(value or "")]
            elif kind == "b":
                text = "FALSE" if value == "0" else "TRUE"
            else:
                text = normalise(value or "")
            if text and kind in (None, "n"):
                yield (number, column), float(text)
            elif text:
                yield (number, column), text

    @cached_property
    def _reader(self) -> fastexcel.ExcelReader:
        import fastexcel

        # It says aloud where it cannot tell the type of an empty column.
        logging.getLogger("fastexcel").setLevel(logging.ERROR)
        try:
            return fastexcel.read_excel(self.data)
        except fastexcel.FastExcelError:
            raise self.error("", "cannot be decoded as an Excel workbook") from None

    def body(self, sheet: str, skip_rows: int, labels: int) -> pl.DataFrame | None:
        """Rows below the first `skip_rows`; the sheet's first `labels` columns are read as text.

        Leading columns that are empty in the whole sheet are not part of the frame. None where a
        column holds cells of different kinds (numbers and texts, truth values or dates), or where
        the sheet cannot be decoded at all.
        """
        return self._load(sheet, skip_rows, dict.fromkeys(range(labels), "string"))

    def date_cell(self, sheet: str, skip_rows: int, first: int) -> tuple[int, int, str] | None:
        """Row and column, from the body's first figure, of a cell that is shown as a date or time."""
        import polars as pl

        body = self._load(sheet, skip_rows, "string")
        if body is None:
            return None
        figures = body.select(pl.nth(range(first, body.width)))
        dates = figures.select(pl.all().cast(pl.Float64, strict=False).is_null())
        for index, row in enumerate(dates.iter_rows()):
            if any(row):
                column = row.index(True)
                return index, column, figures[index, column] or "a time"
        return None

    def _load(self, sheet: str, skip_rows: int, dtypes: Any) -> pl.DataFrame | None:
        import fastexcel

        name = next(n for n in self._reader.sheet_names if normalise(n) == sheet)
        try:
            return self._reader.load_sheet(
                name,
                header_row=None,
                skip_rows=skip_rows,
                schema_sample_rows=None,
                dtypes=dtypes,
                dtype_coercion="coerce" if dtypes == "string" else "strict",
            ).to_polars()
        except fastexcel.FastExcelError:
            return None


def _text(item: ElementTree.Element) -> str:
    """Text of a string item or inline string, without phonetic guides."""
    if len(item) == 1 and item[0].tag.endswith("}t"):
        return item[0].text or ""
    phonetic = {t for guide in item.iterfind(".//{*}rPh") for t in guide.iter()}
    return "".join(t.text or "" for t in item.iterfind(".//{*}t") if t not in phonetic)

"""A Form 1-M workbook as bytes → its identity, sheet list, header cells and body of figures.

Nothing here knows what a row or a column means; `layout` does. `archive` and `sheet` guard against
damaged and hostile files; here the parts must be those that every program finds by the workbook's
own lists. Of the file's properties only the title and the description are read: never a name of a
person.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from kzresearch.errors import WorkbookError
from kzresearch.form_1m.archive import ArchiveError, members, unpack
from kzresearch.form_1m.sheet import MAIN, Sheet, SheetError, is_known, parse, parse_table, text_of
from kzresearch.form_1m.sheet import column_of as column_index
from kzresearch.form_1m.sheet import letters_of as column_letters
from kzresearch.form_1m.sheet import normalised as normalise

if TYPE_CHECKING:
    import zipfile
    from xml.etree import ElementTree

    import polars as pl

__all__ = ["Head", "Workbook", "column_index", "column_letters", "normalise"]

MAX_FILE_BYTES = 32 * 2**20
MAX_SHEETS = 256
MAX_TEXT = 1_000  # characters of a property or a folder's name; a sheet's name has 31 at most

_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_STRINGS, _STYLES = "xl/sharedStrings.xml", "xl/styles.xml"
_PROPERTIES = "docProps/core.xml"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "{http://schemas.openxmlformats.org/package/2006/"
_RELATION, _OVERRIDE = _PACKAGE + "relationships}Relationship", _PACKAGE + "content-types}Override"


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


def read_file(path: str | Path) -> tuple[str, bytes]:
    """A file's name, as it may be shown, and its bytes; WorkbookError if it is missing or too large."""
    path = Path(path)
    name = "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in path.name
    )
    try:
        if path.is_dir():
            raise WorkbookError(f"{name}: a folder; give the path of one .xlsx file")
        if not path.is_file():  # nor a device or a pipe, which may never end
            raise WorkbookError(f"{name}: no such file; give the path of one .xlsx file")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise WorkbookError(f"{name}: cannot be read ({error.strerror})") from None
    if len(data) > MAX_FILE_BYTES:
        limit = MAX_FILE_BYTES // 2**20
        raise WorkbookError(f"{name}: larger than {limit} MiB, so no Form 1-M report")
    return name, data


@dataclass(frozen=True)
class Workbook:
    """One workbook in memory. Every error names the file and what to do about it."""

    name: str
    data: bytes = field(repr=False)
    _latest: dict[str, Sheet] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, path: str | Path) -> Workbook:
        """Read a file; WorkbookError if it is missing, too large or no workbook."""
        return cls.of(*read_file(path))

    @classmethod
    def of(cls, name: str, data: bytes) -> Workbook:
        """The workbook in a file's bytes; WorkbookError if there is none."""
        from kzresearch.form_1m.xls import OldWorkbook

        workbook: Workbook = (OldWorkbook if data.startswith(_OLE_MAGIC) else cls)(name, data)
        _ = workbook._members
        return workbook

    @cached_property
    def sha256(self) -> str:
        """Checksum of the file as it is."""
        return hashlib.sha256(self.data).hexdigest()

    def error(self, where: str, what: str) -> WorkbookError:
        """A WorkbookError about a place in this file."""
        return WorkbookError(f"{self.name}: {where}: {what}" if where else f"{self.name}: {what}")

    @cached_property
    def _members(self) -> dict[str, zipfile.ZipInfo]:
        try:
            found = members(self.data)
        except ArchiveError as error:
            raise self.error("", str(error)) from None
        if "content.xml" in found:
            raise self.error("", "an OpenDocument workbook (.ods); save it as plain .xlsx")
        if "xl/workbook.xml" not in found:
            raise self.error("", "not an Excel workbook (.xlsx): it holds no xl/workbook.xml")
        return found

    def _part(self, name: str) -> bytes:
        if name not in self._members:
            raise self.error(name, "this part of the workbook is missing; the file is damaged")
        try:
            return unpack(self.data, self._members[name])
        except ArchiveError as error:
            raise self.error(name, str(error)) from None

    def _xml(self, name: str) -> ElementTree.Element:
        try:
            return parse(self._part(name))
        except SheetError as error:
            raise self.error(name, str(error)) from None

    def property(self, name: str) -> str:
        """The file's `title` or `description`, normalised; '' where it has none."""
        if name not in ("title", "description"):
            raise ValueError(name)
        return self._properties[name]

    @cached_property
    def _properties(self) -> dict[str, str]:
        if _PROPERTIES not in self._members:
            return {"title": "", "description": ""}
        root = self._xml(_PROPERTIES)
        return {name: self._property(root, name) for name in ("title", "description")}

    def _property(self, root: ElementTree.Element, name: str) -> str:
        found = list(root.iter("{http://purl.org/dc/elements/1.1/}" + name))
        text = normalise((found[0].text or "") if found else "")
        if len(found) > 1 or (found and len(found[0])) or len(text) > MAX_TEXT:
            raise self.error(_PROPERTIES, f"holds no one {name}; the file is damaged")
        return text

    def _table(self, part: str, name: str) -> ElementTree.Element:
        try:
            return parse_table(self._part(part), name)
        except SheetError as error:
            raise self.error(part, str(error)) from None

    @cached_property
    def _list(self) -> ElementTree.Element:
        return self._table("xl/workbook.xml", "workbook")

    @cached_property
    def saved_under(self) -> str:
        """The folder the file says it was saved in (x15ac:absPath); '' where it says nothing."""
        found = [e.get("url", "") for e in self._list.iter() if e.tag.endswith("}absPath")]
        if len(found) > 1 or len("".join(found)) > MAX_TEXT:
            raise self.error("xl/workbook.xml", "names several folders; the file is damaged")
        return found[0] if found else ""

    def _relations(self, name: str, folder: str) -> dict[str, tuple[str, str]]:
        """A relation's id → its kind and the part it leads to, '' where that is not in the file."""
        found: dict[str, tuple[str, str]] = {}
        for element in self._xml(name):
            if element.tag != _RELATION or len(element):
                raise self.error(name, "holds more than relations; the file is damaged")
            kind, target = element.get("Type", ""), element.get("Target", "")
            kind = kind.removeprefix(_RELATIONS + "/")
            if element.get("TargetMode", "Internal") != "Internal":
                target = ""
            elif not target.startswith("/"):
                target = folder + target
            key = element.get("Id", "")
            if key in found:
                raise self.error(name, "two relations have one name; the file is damaged")
            found[key] = kind, target.lstrip("/")
        return found

    @cached_property
    def sheets(self) -> dict[str, str]:
        """Sheet name → its part in the archive, in the workbook's order."""
        relations = self._relations("xl/_rels/workbook.xml.rels", "xl/")
        self._check_places(relations)
        listed = self._list.findall(f"{MAIN}sheets/{MAIN}sheet")
        if len(listed) > MAX_SHEETS:
            raise self.error("sheets", "more of them than a Form 1-M report has; not read")
        if len(listed) != sum(e.tag.endswith("}sheet") for e in self._list.iter()):
            raise self.error("sheets", "listed more than once; the file is damaged")
        sheets: dict[str, str] = {}
        for sheet in listed:
            key = sheet.get(f"{{{_RELATIONS}}}id", "")
            kind, part = relations.get(key, ("", ""))
            name = normalise(sheet.get("name", ""))
            if len(name) > MAX_TEXT:
                raise self.error("sheets", "a name longer than a sheet can have")
            if name in sheets:
                raise self.error("sheets", f"two sheets are named '{name}'; leave one")
            if kind != "worksheet" or part in sheets.values():
                raise self.error(
                    "sheets", f"'{name}' has no table of its own in the file; it is damaged"
                )
            sheets[name] = part
        self._check_types(list(sheets.values()))
        return sheets

    def _check_places(self, relations: dict[str, tuple[str, str]]) -> None:
        """The parts that are read by their usual names are those which the relations lead to."""
        package = self._relations("_rels/.rels", "")
        for part, ending, found in (
            ("xl/workbook.xml", "officeDocument", package),
            (_PROPERTIES, "/core-properties", package),
            (_STRINGS, "sharedStrings", relations),
            (_STYLES, "styles", relations),
        ):
            led_to = [target for kind, target in found.values() if kind.endswith(ending)]
            lost = (
                part == _PROPERTIES and part not in self._members
            )  # the caller says what they said
            if led_to != [part] * (part in self._members) and not (lost and led_to == [part]):
                raise self.error(part, "the workbook does not lead to this part; it is damaged")

    def _check_types(self, sheets: list[str]) -> None:
        """The list of the parts' types, by which some programs find them, names the same ones."""
        listed = [
            (element.get("PartName", "").removeprefix("/"), element.get("ContentType", ""))
            for element in self._xml("[Content_Types].xml")
            if element.tag == _OVERRIDE
        ]

        def of_type(ending: str) -> list[str]:
            return [part for part, kind in listed if kind.endswith(ending)]

        texts = [_STRINGS] if _STRINGS in self._members else []
        if (
            of_type(".main+xml") != ["xl/workbook.xml"]
            or of_type(".sharedStrings+xml") != texts
            or not set(sheets) <= set(of_type(".worksheet+xml"))
            or len(dict(listed)) < len(listed)
        ):
            raise self.error("[Content_Types].xml", "lists other parts; the file is damaged")

    @cached_property
    def _shared(self) -> bytes:
        """Digest of the workbook's texts and number formats."""
        styles = self._part(_STYLES) if _STYLES in self._members else b""
        return hashlib.sha256(self._strings_digest + hashlib.sha256(styles).digest()).digest()

    @cached_property
    def _strings_digest(self) -> bytes:
        data = self._part(_STRINGS) if _STRINGS in self._members else b""
        return hashlib.sha256(data).digest()

    @cached_property
    def _strings(self) -> list[str]:
        if _STRINGS not in self._members:
            return []
        return [text_of(item) for item in self._table(_STRINGS, "sst").iterfind(MAIN + "si")]

    @cached_property
    def _styles(self) -> tuple[bytes, int]:
        if _STYLES not in self._members:
            return b"", 1
        formats = self._table(_STYLES, "styleSheet").findall(f"{MAIN}cellXfs/{MAIN}xf")
        return self._part(_STYLES), len(formats)

    def _sheet(self, sheet: str) -> Sheet:
        """The sheet read latest is kept: its head, body and errors come from one unpacking."""
        if sheet not in self._latest:
            found = Sheet(
                self._part(self.sheets[sheet]),
                lambda: self._strings,
                lambda: self._styles,
                self._shared + sheet.encode(),  # two sheets may differ in the texts of titles alone
            )
            self._latest.clear()
            self._latest[sheet] = found
        return self._latest[sheet]

    def new_layout(self) -> bytes | None:
        """What tells the first sheet's layout from others; None where it is known, or cannot be told."""
        for sheet in self.sheets:
            layout = self._sheet(sheet).layout
            return layout if layout and not is_known(layout) else None
        return None

    def sheet_xml(self, sheet: str) -> bytes:
        """The XML of a sheet."""
        return self._sheet(sheet).xml

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

    def head(self, sheet: str, rows: int) -> Head:
        """The first `rows` rows of a sheet, with the merges that begin there."""
        found = self._sheet(sheet)
        try:
            first = takewhile(lambda one: one[0][0] <= rows, found.cells.items())
            cells = {at: cell.value for at, cell in first}
            return Head(cells, found.merged(rows))
        except SheetError as error:
            raise self._at(sheet, error) from None

    def _at(self, sheet: str, error: SheetError) -> WorkbookError:
        return self.error(f"{sheet}!{error.cell}" if error.cell else sheet, str(error))

    def body(self, sheet: str, skip_rows: int, labels: int) -> pl.DataFrame | None:
        """Rows below the first `skip_rows`; the sheet's first `labels` columns are read as text.

        Leading columns that are empty in the whole sheet are not part of the frame. None where a
        column holds cells of different kinds (numbers and texts, truth values or dates), or where
        the sheet cannot be decoded at all.
        """
        try:
            return self._sheet(sheet).body(skip_rows, labels)
        except SheetError as error:
            raise self._at(sheet, error) from None

    def date_cell(self, sheet: str, skip_rows: int, first: int) -> tuple[int, int, str] | None:
        """Row and column, from the body's first figure, of a cell that is shown as a date or time."""
        import polars as pl

        body = self._sheet(sheet).decode(skip_rows, "string")
        if body is None:
            return None
        figures = body.select(pl.nth(range(first, body.width)))
        dates = figures.select(pl.all().cast(pl.Float64, strict=False).is_null())
        for index, row in enumerate(dates.iter_rows()):
            if any(row):
                column = row.index(True)
                return index, column, figures[index, column] or "a time"
        return None

"""A sheet's XML → its cells, by one strict walk; a sheet known before is read by its figures alone.

The walk refuses what programs read in different ways: cells out of order or twice, formulas,
comments within numbers, numbers that only some take for numbers. What it has understood is written
out plainly and decoded by the Excel library, and both must agree. Workbooks of one release differ
in what stands in `<v>` only, so the next one needs neither.
"""

from __future__ import annotations

import hashlib
import html
import io
import logging
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, NamedTuple
from xml.etree import ElementTree

import polars as pl

MAX_ROWS = 10_000
MAX_COLUMNS = 256
MAX_MERGED = 100_000  # cells that lie in merges
MAX_TAGS = 250_000  # tags and attributes of a part that is looked at one by one
MAX_WORKBOOKS = 24  # kinds of workbooks that are remembered: each region's own, if need be …
MAX_PLANS = MAX_WORKBOOKS * 26  # … with the layouts of their sheets …
MAX_PLAN_BYTES = 2**20  # … if they are as small as those of reports
MAX_FRAME_BYTES = 2**16  # what stands around the list of cells in one that is remembered

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
MAIN = f"{{{_MAIN}}}"  # before the names of a spreadsheet's elements
_DECLARATION = re.compile(rb"(?:\xef\xbb\xbf)?\s*<\?xml\s[^>]*?\?>")
_ENCODING = re.compile(rb"""\sencoding\s*=\s*["']([^"']*)["']""")
_REFERENCE = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})")
_ROW = re.compile(r"[1-9][0-9]{0,6}")
_INDEX = re.compile(r"[0-9]{1,7}")
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|NaN|-?INF"
_KINDS = {  # what stands in a cell by its `t`
    "n": re.compile(rf"(?:{_NUMBER})?"),
    "s": _INDEX,
    "b": re.compile(r"[01]"),
    "e": re.compile(r"#[A-Z0-9/!?_]{1,20}"),
    "d": re.compile(r"[0-9TZ:.+-]{4,40}"),
    "str": re.compile(r".*", re.DOTALL),
    "inlineStr": re.compile(r"\s*"),
}
_NAMES = {"n": "a number", "b": "0 or 1", "e": "an error", "d": "a date", "s": "a text's number"}
_NAMES["inlineStr"] = "a text"
_VALUE, _INLINE = MAIN + "v", MAIN + "is"
_ATTRIBUTES = {"n": "", "s": ' t="str"', "b": ' t="b"', "e": ' t="e"', "d": ' t="d"'}
_AREA = re.compile(r"[A-Z]{1,3}[1-9][0-9]{0,6}(?::[A-Z]{1,3}[1-9][0-9]{0,6})?")
_MERGE = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6}):([A-Z]{1,3})([1-9][0-9]{0,6})")
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_LED_TO = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    f'<Relationship Id="rId1" Type="{_RELATIONS}/{{}}" Target="{{}}"/></Relationships>'
)
_PARTS = {  # of a workbook of one sheet
    "_rels/.rels": _LED_TO.format("officeDocument", "xl/workbook.xml"),
    "xl/_rels/workbook.xml.rels": _LED_TO.format("worksheet", "worksheets/sheet1.xml"),
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>'
    '<sheet name="sheet" sheetId="1" r:id="rId1"/></sheets></workbook>',
}


class SheetError(ValueError):
    """What is wrong with a part's XML, and at which cell; the workbook adds whose."""

    def __init__(self, what: str, cell: str = "") -> None:
        super().__init__(what)
        self.cell = cell


class Cell(NamedTuple):
    """A cell that is not empty: `kind` is n(umber), s(tring), b(oolean), e(rror) or d(ate)."""

    kind: str
    text: str  # as in the file, of a string its normalised text
    style: str
    stored: str | None  # what stands in <v>; None for a text that stands in the cell

    @property
    def value(self) -> str | float:
        """The number, or the text that is shown."""
        if self.kind == "n":
            return float(self.text)
        return (
            {"0": "FALSE", "1": "TRUE"}.get(self.text, self.text) if self.kind == "b" else self.text
        )


Cells = dict[tuple[int, int], Cell]  # by row from 1 and column from 0, in the sheet's order


def parse(data: bytes) -> ElementTree.Element:
    """A part's XML; SheetError unless it is UTF-8 with elements, attributes and text alone.

    In UTF-8 a search for bytes finds every document type declaration: no entity is ever declared.
    """
    declared = _DECLARATION.match(data)
    encoding = _ENCODING.search(declared[0]) if declared else None
    try:
        data.decode()
    except UnicodeDecodeError:
        raise SheetError("is not written in UTF-8; save the file again as .xlsx") from None
    if b"\0" in data or (encoding and encoding[1].lower() not in (b"utf-8", b"us-ascii")):
        raise SheetError("is not written in UTF-8; save the file again as .xlsx")
    if b"<!" in data or b"<?" in data[declared.end() if declared else 0 :]:
        raise SheetError(
            "holds a document type declaration, a comment or an instruction, which no report does; "
            "not read"
        )
    if data.count(b"<") + data.count(b"=") > MAX_TAGS:
        raise SheetError("holds more than a Form 1-M report does; not read")
    try:
        return ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError):
        raise SheetError("is not well-formed XML; the file is damaged") from None


def normalised(text: str) -> str:
    """Blanks of every kind collapsed to one, none at the ends: how captions are compared."""
    return " ".join(text.split())


def parse_table(data: bytes, name: str) -> ElementTree.Element:
    """As `parse`, of a part whose root is a spreadsheet's element of that name."""
    root = parse(data)
    if root.tag != MAIN + name:
        raise SheetError("is not of the usual format; save the file again as plain .xlsx")
    return root


def text_of(item: ElementTree.Element) -> str:
    """Text of a string item or inline string, without phonetic guides, blanks made one."""
    phonetic = {t for guide in item.iter(MAIN + "rPh") for t in guide.iter()}
    return normalised("".join(t.text or "" for t in item.iter(MAIN + "t") if t not in phonetic))


@lru_cache
def letters_of(index: int) -> str:
    """Excel letters of the 0-based column `index`: 0 → A, 26 → AA."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


@lru_cache
def column_of(letters: str) -> int:
    """0-based index of a column's Excel letters: A → 0, AA → 26."""
    index = 0
    for letter in letters:
        index = index * 26 + ord(letter) - 64
    return index - 1


@dataclass(frozen=True)
class _Plan:
    """Where the figures of a layout stand among what its `<v>` hold, and what else these hold."""

    fixed: pl.Series  # numbers of those that are no figures …
    stored: pl.Series  # … and what they hold
    labels: list[pl.Series]
    figures: pl.Series  # numbers of the figures, column after column; null where a cell is empty
    names: list[str]

    def frame(self, stored: pl.Series) -> pl.DataFrame | None:
        """The body of a sheet of this layout whose `<v>` hold `stored`; None if it is not."""
        if not stored.gather(self.fixed).equals(self.stored):
            return None
        try:
            numbers = stored.gather(self.figures).cast(pl.Float64)
        except pl.exceptions.InvalidOperationError:
            return None
        if not numbers.is_finite().all():
            return None
        height = len(numbers) // len(self.names)
        columns = [
            numbers.slice(index * height, height).alias(name)
            for index, name in enumerate(self.names)
        ]
        return pl.DataFrame([*self.labels, *columns])


_PLANS: dict[tuple[bytes, int, int], _Plan] = {}  # by layout, rows skipped and label columns


def is_known(layout: bytes) -> bool:
    """Whether a sheet of this layout was read before, and others of it are read in a tenth of the time."""
    return any(known == layout for known, _, _ in _PLANS)


def plans() -> dict[Any, Any]:
    """How to read the layouts that are known, by what tells these apart."""
    return dict(_PLANS)


def remember(layout: Any, plan: Any) -> None:
    """Read sheets of a layout by this plan, which this or another process has made."""
    while len(_PLANS) >= MAX_PLANS:
        _PLANS.pop(next(iter(_PLANS)), None)
    _PLANS[layout] = plan


@dataclass(frozen=True)
class Sheet:
    """One sheet, of whose workbook three things are needed.

    `strings` gives the shared texts, `styles` the part with the number formats and how many of them
    a cell can have; `shared` tells sheets of another name, or with others of both, apart.
    """

    xml: bytes
    strings: Callable[[], list[str]] = field(repr=False)
    styles: Callable[[], tuple[bytes, int]] = field(repr=False)
    shared: bytes

    @cached_property
    def cells(self) -> Cells:
        """All cells that are not empty; SheetError where they could be read in two ways."""
        cells = dict(_walk(self._root, self.strings))
        _, styles = self.styles()
        for style, (row, column) in {cell.style: place for place, cell in cells.items()}.items():
            if int(style) >= styles:
                where = f"{letters_of(column)}{row}"
                raise SheetError("a format that the workbook does not hold", where)
        return cells

    def merged(self, rows: int) -> dict[tuple[int, int], tuple[int, int]]:
        """Cell of a merge that begins in the first `rows` rows → its top left cell."""
        merged: dict[tuple[int, int], tuple[int, int]] = {}
        area = 0
        for element in self._root.iterfind(f"{MAIN}mergeCells/{MAIN}mergeCell"):
            match = _MERGE.fullmatch(element.get("ref", ""))
            if not match:
                continue
            first = int(match[2]), column_of(match[1])
            last = min(int(match[4]), rows), min(column_of(match[3]), MAX_COLUMNS)
            area += max(last[0] - first[0] + 1, 0) * max(last[1] - first[1] + 1, 0)
            if area > MAX_MERGED:
                raise SheetError("merges more cells than a Form 1-M report does; not read")
            for row in range(first[0], last[0] + 1):
                for column in range(first[1], last[1] + 1):
                    merged[row, column] = first
        return merged

    @property
    def layout(self) -> bytes:
        """What tells layouts apart; b"" for a sheet that is not plain."""
        return self._split[0]

    def body(self, skipped: int, labels: int) -> pl.DataFrame | None:
        """Rows below the first `skipped`; the sheet's first `labels` columns are text.

        None where a column holds cells of different kinds or of a kind that is not decoded.
        """
        layout, stored = self._split
        key = layout, skipped, labels
        if layout and key in _PLANS and (frame := _PLANS[key].frame(stored)) is not None:
            return frame
        cells = self.cells
        frame = self.decode(skipped, dict.fromkeys(range(labels), "string"))
        if frame is None:
            return None
        if _height(cells) <= skipped:
            return frame
        grid = _Grid.of(frame, cells, skipped)
        _compare(frame, grid)
        plan = _plan(frame, cells, grid, stored) if layout else None
        if plan:
            remember(key, plan)
        return frame

    def decode(self, skipped: int, dtypes: Any) -> pl.DataFrame | None:
        """What the Excel library makes of the cells, written out plainly; None where it cannot."""
        import fastexcel

        # It says aloud where it cannot tell the type of an empty column.
        logging.getLogger("fastexcel").setLevel(logging.ERROR)
        try:
            return (
                fastexcel.read_excel(_written_out(self.cells, self.styles()[0]))
                .load_sheet(
                    0,
                    header_row=None,
                    skip_rows=skipped,
                    schema_sample_rows=None,
                    dtypes=dtypes,
                    dtype_coercion="coerce" if dtypes == "string" else "strict",
                )
                .to_polars()
            )
        except fastexcel.FastExcelError:
            return None
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # no Exception, and of no module
                raise
            return None

    @cached_property
    def _split(self) -> tuple[bytes, pl.Series]:
        """Digest of the sheet but for what its `<v>` hold, and that; b"" where it is not plain."""
        start, end = self.xml.find(b"<sheetData>"), self.xml.rfind(b"</sheetData>")
        other = b"", pl.Series([], dtype=pl.String)
        if not 0 <= start < end or b"\1" in self.xml:
            return other
        before, after = self.xml[:start], self.xml[end + len(b"</sheetData>") :]
        if len(before) + len(after) > MAX_FRAME_BYTES or not _is_plain(before, after):
            return other
        try:
            text = self.xml[start:end].decode()
        except UnicodeDecodeError:
            return other
        # Every second piece is what a <v> holds; \1 tells its end from the beginning of another.
        split = pl.Series([text]).str.replace_all("</v>", "<v>\1", literal=True).str.split("<v>")
        pieces = split.explode()
        digest = hashlib.sha256(self.shared)
        digest.update(pieces.gather_every(2).str.join("<v>").item().encode())
        return digest.digest(), pieces.gather_every(2, 1)

    @cached_property
    def _root(self) -> ElementTree.Element:
        return parse_table(self.xml, "worksheet")


@lru_cache(maxsize=MAX_PLANS)
def _is_plain(before: bytes, after: bytes) -> bool:
    """Whether rows written without a prefix between the two are the one list of the sheet's cells."""
    try:
        _ = _list_of_rows(parse_table(before + b"<sheetData/>" + after, "worksheet"))
    except SheetError:
        return False
    return True


def _list_of_rows(root: ElementTree.Element) -> ElementTree.Element:
    """The one list of rows of a sheet; SheetError where there is none or another one."""
    named = {tag for tag in {element.tag for element in root.iter()} if tag.endswith("}sheetData")}
    lists = list(root.iter(MAIN + "sheetData"))
    if len(lists) != 1 or lists[0] not in list(root) or named != {MAIN + "sheetData"}:
        raise SheetError("holds no list of cells or several; the file is damaged")
    if not all(_AREA.fullmatch(e.get("ref", "")) for e in root.iterfind(MAIN + "dimension")):
        raise SheetError("states no area of cells; the file is damaged")
    return lists[0]


def _walk(root: ElementTree.Element, strings: Callable[[], list[str]]) -> Iterator[Any]:
    """Places and cells of a sheet whose rows and cells are each there once, in order."""
    number = 0
    seen: dict[tuple[str, str, str], Cell | None] = {}  # most cells are like others
    name = MAIN + "c"
    for row in _list_of_rows(root):
        stated = row.get("r", str(number + 1))
        if row.tag != MAIN + "row" or not _ROW.fullmatch(stated) or int(stated) <= number:
            raise SheetError(f"has no row in order after row {number}; the file is damaged")
        number, column = int(stated), -1
        for element in row:
            following = f"{letters_of(column + 1)}{number}"
            place = element.get("r", following)
            column = column + 1 if place == following else _column(place, number, column)
            if element.tag != name:
                raise SheetError(f"row {number} holds more than cells; the file is damaged")
            cell = _cell(element, place, strings, seen) if len(element) else None
            if cell is None:
                continue
            if number > MAX_ROWS or column >= MAX_COLUMNS:
                raise SheetError("a cell outside of what a Form 1-M report holds", place)
            yield (number, column), cell


def _column(place: str, number: int, before: int) -> int:
    """Column of a cell of row `number` that follows column `before`, not at once."""
    match = _REFERENCE.fullmatch(place)
    if not match or int(match[2]) != number or column_of(match[1]) <= before:
        raise SheetError(f"row {number} holds no cells in order; the file is damaged")
    return column_of(match[1])


def _cell(
    element: ElementTree.Element,
    place: str,
    strings: Callable[[], list[str]],
    seen: dict[tuple[str, str, str], Cell | None],
) -> Cell | None:
    """What a cell's elements hold, None for an empty one; SheetError unless it is a plain value."""
    kind, style, value = element.get("t", "n"), element.get("s", "0"), element[0]
    name = _INLINE if kind == "inlineStr" else _VALUE
    if len(element) != 1 or value.tag != name or (name == _VALUE and len(value)):
        if any(child.tag == MAIN + "f" for child in element):
            raise SheetError("a formula, where the form holds plain figures only", place)
        raise SheetError("a cell that holds no value or several; the file is damaged", place)
    key = kind, style, value.text or ""
    if key in seen:
        return seen[key]
    if kind not in _KINDS or not _INDEX.fullmatch(style):
        raise SheetError("a cell of an unknown kind; the file is damaged", place)
    if not _KINDS[kind].fullmatch(key[2]):
        shown = normalised(key[2])
        among = "" if shown == key[2] else " among blanks"
        raise SheetError(f"expected {_NAMES[kind]}, found '{shown[:80]}'{among}", place)
    if kind == "inlineStr":
        return _text(text_of(value), style, None)
    seen[key] = _content(*key, place, strings)
    return seen[key]


def _content(
    kind: str, style: str, stored: str, place: str, strings: Callable[[], list[str]]
) -> Cell | None:
    """What stands in `<v>`, as a cell; None where it is empty."""
    if kind == "n":
        return Cell("n", stored, style, stored) if stored else None
    if kind == "s":
        known = strings()
        if int(stored) >= len(known):
            raise SheetError("a text that the workbook does not hold; the file is damaged", place)
        return _text(known[int(stored)], style, stored)
    if kind == "str":
        return _text(normalised(stored), style, None)
    return Cell(kind, stored, style, stored)


def _text(text: str, style: str, stored: str | None) -> Cell | None:
    return Cell("s", text, style, stored) if text else None


def _written_out(cells: Cells, styles: bytes) -> bytes:
    """A workbook of one sheet that holds these cells, as plain as can be."""
    letters = [letters_of(column) for column in range(MAX_COLUMNS)]
    data, current = [], 0
    for (row, column), (kind, text, style, _) in cells.items():
        if row != current:
            data.append(f'</row><row r="{row}">' if current else f'<row r="{row}">')
            current = row
        shown = text if kind == "n" else html.escape(text, quote=False)
        data.append(
            f'<c r="{letters[column]}{row}" s="{style}"{_ATTRIBUTES[kind]}><v>{shown}</v></c>'
        )
    if current:
        data.append("</row>")
    parts = _PARTS | {
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{_MAIN}"><sheetData>{"".join(data)}'
        "</sheetData></worksheet>"
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
        if styles:
            archive.writestr("xl/styles.xml", styles)
    return buffer.getvalue()


def _height(cells: Cells) -> int:
    """The number of the last row: cells stand in the sheet's order."""
    return next(reversed(cells))[0] if cells else 0


class _Grid(NamedTuple):
    """The cells of a body, column after column, and of each which of the sheet's `<v>` is its own."""

    height: int
    cells: list[Cell | None]
    numbers: list[int | None]

    @classmethod
    def of(cls, frame: pl.DataFrame, cells: Cells, skipped: int) -> _Grid:
        """Of a body that was decoded; SheetError where it is not of the cells' shape."""
        columns = {column for _, column in cells}
        first, height = min(columns), _height(cells) - skipped
        if frame.shape != (height, max(columns) - first + 1):
            raise SheetError("is read in two ways; the file is damaged")
        grid = cls(height, [None] * (height * frame.width), [None] * (height * frame.width))
        number = 0
        for (row, column), cell in cells.items():
            if row > skipped:
                at = (column - first) * height + row - skipped - 1
                grid.cells[at] = cell
                if cell.stored is not None:
                    grid.numbers[at] = number
            number += cell.stored is not None
        return grid

    def columns(self) -> Iterator[list[Cell | None]]:
        """The cells of each column."""
        return (
            self.cells[start : start + self.height]
            for start in range(0, len(self.cells), self.height)
        )


def _compare(frame: pl.DataFrame, grid: _Grid) -> None:
    """Refuse a sheet of which the Excel library has read other numbers or texts."""
    for series, column in zip(frame, grid.columns(), strict=True):
        kinds = {cell.kind for cell in column if cell}
        values = [cell.text if cell and cell.kind != "e" else None for cell in column]
        if kinds <= {"n", "e"} and series.dtype.is_numeric():
            numbers = [None if text is None else float(text) for text in values]
            same = series.cast(pl.Float64).equals(pl.Series(numbers, dtype=pl.Float64))
        elif kinds <= {"s"} and series.dtype == pl.String:
            same = series.equals(pl.Series(values, dtype=pl.String))
        else:  # of a kind that no figure is taken from
            same = True
        if not same:
            raise SheetError("is read in two ways; the file is damaged")


def _plan(frame: pl.DataFrame, cells: Cells, grid: _Grid, stored: pl.Series) -> _Plan | None:
    """How to read other sheets of this layout; None where it holds more than numbers and texts."""
    if not {cell.kind for cell in cells.values()} <= {"n", "s"}:
        return None
    held = [cell.stored for cell in cells.values() if cell.stored is not None]
    if held != stored.to_list():
        return None
    if frame.estimated_size() > MAX_PLAN_BYTES or len(stored) > MAX_PLAN_BYTES // 16:
        return None
    labels = [series for series in frame if series.dtype == pl.String]
    figures = frame.get_columns()[len(labels) :]
    if not figures or any(not series.dtype.is_float() for series in figures):
        return None
    start = len(labels) * grid.height
    if not {cell.kind for cell in grid.cells[start:] if cell} <= {"n"}:
        return None
    taken = grid.numbers[start:]
    fixed = pl.Series(sorted({*range(len(held))} - {*taken}), dtype=pl.UInt32)
    return _Plan(
        fixed,
        pl.Series(stored.gather(fixed).to_list(), dtype=pl.String),  # a copy that keeps no sheet
        labels,
        pl.Series(taken, dtype=pl.UInt32),
        [series.name for series in figures],
    )

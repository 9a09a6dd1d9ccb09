"""Small Form 1-M workbooks, made from the codebook, for tests that change one thing in them.

make_workbook(path, ["R11"], edits={"R11": {"E7": -1}})
make_workbook(path, ["R11"], edits={"R11": lambda grid: grid.delete_row(9)})
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import xlsxwriter

from kzresearch.form_1m import codebook
from kzresearch.form_1m.codebook import Form

Edit = Mapping[str, Any] | Callable[["Grid"], None]
Values = Callable[[str, int, int], float]

MONEY_SECTIONS = ("R4", "R4-1")
DESCRIPTION = "28327;50119;{organ_code}%;__"


@dataclass(frozen=True)
class Formula:
    """A cell that computes its value."""

    text: str
    value: float = 0


@dataclass(frozen=True)
class Raw:
    """A cell as XML: its attributes and what stands in it."""

    attributes: str
    content: str


def place(address: str) -> tuple[int, int]:
    """Excel address → (row from 1, column from 0)."""
    letters, row = re.fullmatch(r"([A-Z]+)(\d+)", address).groups()
    column = 0
    for letter in letters:
        column = column * 26 + ord(letter) - 64
    return int(row), column - 1


@dataclass
class Grid:
    """The cells of one sheet by (row from 1, column from 0), and its merges."""

    cells: dict[tuple[int, int], Any]
    merges: list[tuple[int, int, int, int]]  # first row, first column, last row, last column

    def __getitem__(self, address: str) -> Any:
        return self.cells.get(place(address))

    def __setitem__(self, address: str, value: Any) -> None:
        self.cells[place(address)] = value

    def unmerge(self) -> None:
        """The text of each merge repeated in all its cells."""
        for top, left, bottom, right in self.merges:
            for row in range(top, bottom + 1):
                for column in range(left, right + 1):
                    self.cells[row, column] = self.cells[top, left]
        self.merges = []

    def delete_row(self, number: int) -> None:
        """Take a row out; those below move up."""
        self._move(lambda row, column: None if row == number else (row - (row > number), column))

    def insert_row(self, number: int, **values: Any) -> None:
        """Put a row in above row `number`: values by column letters."""
        self._move(lambda row, column: (row + (row >= number), column))
        for letters, value in values.items():
            self[f"{letters}{number}"] = value

    def swap_rows(self, one: int, other: int) -> None:
        """Change the places of two rows."""
        places = {one: other, other: one}
        self._move(lambda row, column: (places.get(row, row), column))

    def delete_column(self, letters: str) -> None:
        """Take a column out; those right of it move left."""
        gone = place(f"{letters}1")[1]
        self._move(lambda row, column: None if column == gone else (row, column - (column > gone)))

    def insert_column(self, letters: str) -> None:
        """Put an empty column in before the column named."""
        new = place(f"{letters}1")[1]
        self._move(lambda row, column: (row, column + (column >= new)))

    def swap_columns(self, one: str, other: str, first_row: int = 1) -> None:
        """Change the places of two columns, from `first_row` down."""
        a, b = place(f"{one}1")[1], place(f"{other}1")[1]
        places = {a: b, b: a}
        self._move(
            lambda row, column: (row, places.get(column, column) if row >= first_row else column)
        )

    def _move(self, to: Callable[[int, int], tuple[int, int] | None]) -> None:
        self.unmerge()
        moved = {to(*at): value for at, value in self.cells.items()}
        self.cells = {at: value for at, value in moved.items() if at is not None}


def value_of(section: str, row: int, column: int) -> float:
    """The figure that a workbook made without `values` holds: another in each cell of a section."""
    value = row * 100 + column
    return value + 0.125 if section in MONEY_SECTIONS else value


def first_label_column(section: str) -> int:
    """R11 leaves column A empty, as in the official file."""
    return 1 if section == "R11" else 0


@cache
def _frame(
    name: str, form: Form
) -> tuple[dict[tuple[int, int], Any], list[tuple[int, int, int, int]]]:
    """What a section holds without its figures."""
    section = form.section(name)
    label, code = first_label_column(name), place(f"{section.code_column}1")[1]
    last = section.number_row - 1
    cells: dict[tuple[int, int], Any] = {}
    title = section.title.split(" / ")
    for index, part in enumerate(title):
        cells[section.header_first_row - len(title) + index, label] = part
    cells[section.number_row, label], cells[section.number_row, code] = "А", "Б"
    cells[section.header_first_row, label] = section.label_caption
    cells[section.header_first_row, code] = section.code_caption
    merges = [(section.header_first_row, label, last, code - 1)]
    merges.append((section.header_first_row, code, last, code))
    captions = dict(section.columns.select("number", "caption").iter_rows())
    for number in captions:
        cells[section.number_row, code + number] = number
    _captions(
        {code + number: caption.split(" > ") for number, caption in captions.items()},
        range(section.header_first_row, last + 1),
        cells,
        merges,
    )
    for number, caption in section.rows.select("code", "caption").iter_rows():
        row = section.number_row + number
        for index, part in enumerate(caption.split(" > ")):
            cells[row, label + index] = part
        cells[row, code] = number
    return cells, merges


def _captions(
    paths: dict[int, list[str]],
    rows: range,
    cells: dict[tuple[int, int], Any],
    merges: list[tuple[int, int, int, int]],
) -> None:
    """Captions as a tree: common beginnings merged across columns, the last level down."""
    for level, row in enumerate(rows):
        upper = {c: tuple(p[: level + 1]) for c, p in paths.items() if level < len(p) - 1}
        for _, group in groupby(sorted(upper), key=lambda c: (upper[c], _run_start(upper, c))):
            columns = list(group)
            cells[row, columns[0]] = upper[columns[0]][-1]
            if len(columns) > 1:
                merges.append((row, columns[0], row, columns[-1]))
        for column, path in paths.items():
            if level == len(path) - 1:
                cells[row, column] = path[-1]
                if row < rows[-1]:
                    merges.append((row, column, rows[-1], column))


def _run_start(paths: Mapping[int, tuple[str, ...]], column: int) -> int:
    """First of the adjacent columns that have this column's path."""
    while paths.get(column - 1) == paths[column]:
        column -= 1
    return column


def make_grid(name: str, values: Values = value_of, form: Form | None = None) -> Grid:
    """A section as the form has it, with figures by section, row code and column number."""
    form = form or codebook.form()
    section = form.section(name)
    cells, merges = _frame(name, form)
    cells = {at: value for at, value in cells.items() if value != ""}
    code = place(f"{section.code_column}1")[1]
    for row in section.rows["code"]:
        for column in section.columns["number"]:
            cells[section.number_row + row, code + column] = values(name, row, column)
    return Grid(cells, list(merges))


def make_workbook(
    path: Path,
    sections: Iterable[str] = ("R11",),
    *,
    values: Values = value_of,
    edits: Mapping[str, Edit] | None = None,
    organ_code: str = "1971",
    title: str = "1-M  Астана (Свод)",
    description: str | None = None,
    author: str = "АРМ ЕРДР",
    folder: str | None = None,
    sheets: Iterable[str] | None = None,
    inline: bool = False,
    form: Form | None = None,
) -> Path:
    """Write a workbook of all sheets of a form (the bundled version's 26) with the `sections` filled.

    `edits` change a sheet before it is written: values by address, or a function of its `Grid`.
    `folder` is what the file says it was saved in; `sheets` are the sheets' names in their order;
    `inline` puts texts into the cells instead of the shared strings.
    """
    edits, filled, form = edits or {}, list(sections), form or codebook.form()
    raw: dict[str, bytes] = {}
    workbook = xlsxwriter.Workbook(path, {"constant_memory": inline})
    workbook.set_properties(
        {
            "title": title,
            "comments": description or DESCRIPTION.format(organ_code=organ_code),
            "author": author,
        }
    )
    names = form.section_names if sheets is None else list(sheets)
    day = workbook.add_format({"num_format": "yyyy-mm-dd"})
    for number, name in enumerate(names, 1):
        sheet = workbook.add_worksheet(name)
        if name in filled:
            grid = make_grid(name, values, form)
            _edit(grid, edits.get(name, {}))
            raw |= {f"{number}!{at}": xml for at, xml in _write(sheet, grid, day)}
    workbook.close()
    changes: dict[str, Callable[[bytes], bytes]] = {}
    if folder is not None:
        changes["xl/workbook.xml"] = lambda data: _saved_in(data, folder)
    for key, xml in raw.items():
        number, address = key.split("!")
        part = f"xl/worksheets/sheet{number}.xml"
        earlier = changes.get(part, lambda data: data)
        changes[part] = lambda data, a=address, x=xml, e=earlier: _raw_cell(e(data), a, x)
    if changes:
        rewrite(path, changes)
    return path


def make_whole_form(path: Path, **options: Any) -> Path:
    """A workbook with all sections filled; it takes seconds."""
    form = options.get("form") or codebook.form()
    return make_workbook(path, form.section_names, **options)


def rewrite(path: Path, changes: Mapping[str, Callable[[bytes], bytes | None]]) -> Path:
    """Change parts of a workbook by their names; a part whose change gives None is left out."""
    with zipfile.ZipFile(path) as archive:
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    for name, change in changes.items():
        parts[name] = change(parts.get(name, b""))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in parts.items():
            if data is not None:
                archive.writestr(name, data)
    return path


def part_of(sheet: str) -> str:
    """Where a sheet of a workbook in the form's order stands in the archive."""
    return f"xl/worksheets/sheet{codebook.form().section_names.index(sheet) + 1}.xml"


def _edit(grid: Grid, edit: Edit) -> None:
    if callable(edit):
        edit(grid)
        return
    for address, value in edit.items():
        grid[address] = value


def _write(sheet: Any, grid: Grid, day: Any) -> Iterable[tuple[str, bytes]]:
    """Write a grid; gives the cells that are XML by their addresses, to put in afterwards."""
    for top, left, bottom, right in grid.merges:
        sheet.merge_range(top - 1, left, bottom - 1, right, "")
    for (row, column), value in sorted(grid.cells.items()):
        at = row - 1, column
        if isinstance(value, Raw):
            sheet.write_number(*at, 0)
            name = xlsxwriter.utility.xl_rowcol_to_cell(*at)
            yield name, f'<c r="{name}" {value.attributes}>{value.content}</c>'.encode()
        elif isinstance(value, Formula):
            sheet.write_formula(*at, value.text, None, value.value)
        elif isinstance(value, bool):
            sheet.write_boolean(*at, value)
        elif isinstance(value, str):
            sheet.write_string(*at, value)
        elif isinstance(value, (int, float)):
            sheet.write_number(*at, value)
        elif value is not None:
            sheet.write_datetime(*at, value, day)


def _raw_cell(data: bytes, address: str, xml: bytes) -> bytes:
    pattern = rb'<c r="%s"[^>]*>.*?</c>' % address.encode()
    changed, count = re.subn(pattern, lambda _: xml, data, count=1)
    assert count == 1, address
    return changed


def _saved_in(data: bytes, folder: str) -> bytes:
    path = (
        '<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
        '<mc:Choice Requires="x15" xmlns:x15="http://schemas.microsoft.com/office/spreadsheetml/'
        f'2010/11/main"><x15ac:absPath url="{folder}" xmlns:x15ac="http://schemas.microsoft.com/'
        'office/spreadsheetml/2010/11/ac"/></mc:Choice></mc:AlternateContent>'
    )
    assert b"<bookViews>" in data
    return data.replace(b"<bookViews>", path.encode() + b"<bookViews>", 1)


def refusal(path: Path, *, period: str | None = "2022-12", section: str | None = "R11") -> str:
    """The one error that reading a workbook ends in, without the file's name that begins it."""
    import pytest

    from kzresearch import WorkbookError, read_form_1m

    with pytest.raises(WorkbookError) as caught:
        read_form_1m(path, period, section)
    message = str(caught.value)
    assert caught.type is WorkbookError
    assert message.startswith(f"{path.name}: "), message
    assert "\n" not in message
    return message.removeprefix(f"{path.name}: ")

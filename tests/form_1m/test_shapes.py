"""One report in every shape it comes in: what other programs make of a workbook changes no figure."""

from __future__ import annotations

import random
import re
import shutil
import struct
import subprocess
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import openpyxl
import polars as pl
import pytest
from openpyxl.comments import Comment

import kzresearch as kz
from kzresearch.form_1m import xls
from kzresearch.form_1m.workbook import Workbook
from tests.conftest import tool
from tests.workbooks import (
    MONEY_SECTIONS,
    Formula,
    make_whole_form,
    make_workbook,
    part_of,
    refusal,
    rewrite,
)

Book = openpyxl.Workbook


def figures(path: Path, section: str | None = "R11") -> pl.DataFrame:
    """What is read of a workbook, without its checksum and who stated the period."""
    return kz.read_form_1m(path, "2022-12", section).drop("workbook", "period_source")


def as_(kind: str, *paths: Path) -> list[Path]:
    """Workbooks as LibreOffice saves them, in a folder beside."""
    office, out = tool("soffice"), paths[0].parent / f"as_{kind}"
    profile = f"-env:UserInstallation={(paths[0].parent / 'profile').as_uri()}"
    command = [office, "--headless", profile, "--convert-to", kind, "--outdir", str(out)]
    subprocess.run([*command, *map(str, paths)], check=True, capture_output=True, timeout=300)
    return [out / f"{path.stem}.{kind}" for path in paths]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole form with other figures everywhere, money with noise, to read and never to change."""

    def value(section: str, row: int, column: int) -> float:
        chance = random.Random(f"{section} {row} {column}")
        if section in MONEY_SECTIONS:
            return chance.random() * 1e6
        return chance.choice([0, 1, 5, 1000, 10**6])

    return make_whole_form(tmp_path_factory.mktemp("whole") / "whole.xlsx", values=value)


# re-saved by other programs


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["xlsx", "xls"])
def test_whole_form_saved_by_libreoffice(whole: Path, kind: str):
    (saved,) = as_(kind, whole)
    found = figures(saved, None)
    assert found.height == 217_460
    assert found.equals(figures(whole, None))


@pytest.mark.slow
def test_whole_form_saved_by_openpyxl(whole: Path, tmp_path: Path):
    openpyxl.load_workbook(whole).save(tmp_path / "a.xlsx")
    assert figures(tmp_path / "a.xlsx", None).equals(figures(whole, None))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["xlsx", "xls"])
def test_official_workbooks_saved_by_libreoffice(official: list[Path], tmp_path: Path, kind: str):
    names = ("Astana", "Ulytau_Region", "Zhetysu_Region")  # the first as published
    chosen = [path for path in official if path.stem in names]
    saved = as_(kind, *(Path(shutil.copy(path, tmp_path / path.name)) for path in chosen))
    for path, again in zip(chosen, saved, strict=True):
        assert figures(again, None).equals(figures(path, None)), path.name


@pytest.mark.slow
def test_official_workbook_saved_by_openpyxl(official: list[Path], tmp_path: Path):
    path = next(path for path in official if path.stem == "Astana")
    openpyxl.load_workbook(path).save(tmp_path / "a.xlsx")
    assert figures(tmp_path / "a.xlsx", None).equals(figures(path, None))


# what people do to a workbook


def _reversed(book: Book) -> None:
    book._sheets.reverse()
    book.active = 3


def _hidden_sheets(book: Book) -> None:
    book["R11"].sheet_state = "veryHidden"
    book["R1"].sheet_state = "hidden"


def _hidden_rows_and_columns(book: Book) -> None:
    sheet = book["R11"]
    for row in (1, 2, 5, 9, 10, 27):
        sheet.row_dimensions[row].hidden = True
    for column in ("A", "C", "F", "AB"):
        sheet.column_dimensions[column].hidden = True
    sheet.auto_filter.ref = "B6:AB27"


def _looks(book: Book) -> None:
    sheet = book["R11"]
    sheet.freeze_panes = "E7"
    sheet.column_dimensions["E"].width = 40
    sheet.row_dimensions[8].height = 60
    sheet["E8"].comment = Comment("проверить: 1 000", "имя")
    sheet["F9"].number_format = '# ##0.00" тг"'
    sheet["G9"].number_format = "0%"
    sheet["B8"].font = openpyxl.styles.Font(bold=True, color="FFFF0000")
    sheet.sheet_view.zoomScale = 55
    sheet.protection.enable()
    sheet.print_title_rows = "1:6"


def _blanks_beyond(book: Book) -> None:
    sheet = book["R11"]
    for address in ("AD9", "AZ3", "B40", "AC200"):
        sheet[address].fill = openpyxl.styles.PatternFill("solid", fgColor="FFFFFF00")


def _names_with_blanks(book: Book) -> None:
    book["R11"].title = " R11 "
    book["R1"].title = "R1\xa0"


SHAPES: dict[str, Callable[[Book], None]] = {
    "as it was": lambda _: None,
    "sheets in another order": _reversed,
    "hidden sheets": _hidden_sheets,
    "hidden rows and columns": _hidden_rows_and_columns,
    "looks": _looks,
    "formatted blanks beyond": _blanks_beyond,
    "names with blanks": _names_with_blanks,
}


@pytest.fixture(scope="module")
def expected(good: Path) -> pl.DataFrame:
    return figures(good)


def changed(good: Path, to: Path, shape: str) -> Path:
    book = openpyxl.load_workbook(good)
    SHAPES[shape](book)
    book.save(to)
    return to


@pytest.mark.parametrize("shape", SHAPES)
def test_shape(good: Path, expected: pl.DataFrame, tmp_path: Path, shape: str):
    assert figures(changed(good, tmp_path / "a.xlsx", shape)).equals(expected)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["xlsx", "xls"])
def test_shapes_saved_by_libreoffice(good: Path, expected: pl.DataFrame, tmp_path: Path, kind: str):
    made = [changed(good, tmp_path / f"{n}.xlsx", shape) for n, shape in enumerate(SHAPES)]
    for shape, saved in zip(SHAPES, as_(kind, *made), strict=True):
        assert figures(saved).equals(expected), shape  # the region is that of the properties


def test_prefixed_tags(good: Path, expected: pl.DataFrame, tmp_path: Path):
    def prefixed(data: bytes) -> bytes:
        data = re.sub(rb"<(/?)(\w+)(?=[\s/>])", rb"<\1x:\2", data)
        return data.replace(b"xmlns=", b"xmlns:x=", 1)

    path = Path(shutil.copy(good, tmp_path / "a.xlsx"))
    parts = [part_of("R11"), "xl/sharedStrings.xml"]
    assert figures(rewrite(path, dict.fromkeys(parts, prefixed))).equals(expected)


def test_rich_texts_and_what_else_excel_writes(good: Path, expected: pl.DataFrame, tmp_path: Path):
    def rich(data: bytes) -> bytes:
        text = rb'<si><r><t xml:space="preserve">\1 </t></r><r><rPr><b/></rPr><t>\2</t></r></si>'
        return re.sub(rb"<si><t>([^<]+) ([^<]+)</t></si>", text, data)

    def rows(data: bytes) -> bytes:
        data = data.replace(b"<row ", b'<row x14ac:dyDescent="0.25" ')
        name = b'xmlns:x14ac="http://schemas.microsoft.com/office/spreadsheetml/2009/9/ac"'
        return data.replace(b"<worksheet ", b"<worksheet " + name + b" ", 1)

    path = Path(shutil.copy(good, tmp_path / "a.xlsx"))
    saved = rewrite(path, {"xl/sharedStrings.xml": rich, part_of("R11"): rows})
    assert figures(saved).equals(expected)


def test_lost_properties_cost_what_they_said(good: Path, expected: pl.DataFrame, tmp_path: Path):
    path = Path(shutil.copy(good, tmp_path / "a.xlsx"))
    rewrite(path, {"docProps/core.xml": lambda _: None, "docProps/app.xml": lambda _: None})
    assert refusal(path).startswith("file properties: no title")
    frame = kz.read_form_1m(path, "2022-12", "R11", region="KZ-71")
    assert frame.drop("workbook", "period_source").equals(expected)


# .xls is read as strictly as .xlsx


@pytest.fixture(scope="module")
def old(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound .xls workbook."""
    return as_("xls", Path(shutil.copy(good, tmp_path_factory.mktemp("old") / "good.xlsx")))[0]


DIFFERENCES = {
    "text": ({"E9": "5"}, "R11!E9: expected a number, found '5'"),
    "text instead of all": (
        {f"E{row}": "5" for row in range(7, 28)},
        "R11!E7: expected a number, found '5'",
    ),
    "blank": ({"E9": None}, "R11!E9: expected a number, found a blank"),
    "formula": (
        {"E9": Formula("=1+1", 2)},
        "R11!E9: a formula, where the form holds plain figures only",
    ),
    "truth value": (
        {"E9": True},
        "R11!E9: a formula, where the form holds plain figures only",  # as LibreOffice saves it
    ),
    "error": (
        {"E9": Formula("=1/0", "#DIV/0!")},
        "R11!E9: a formula, where the form holds plain figures only",
    ),
    "date": (
        {"E9": datetime(2022, 1, 5)},
        "R11!E9: expected a number, found '44566, shown as a date or time'",
    ),
    "half": ({"E9": 1.5}, "R11!E9: expected a whole count, found 1.5"),
    "negative": ({"E9": -1}, "R11!E9: expected no negative figure, found -1"),
    "caption": ({"H5": "мужчин"}, "R11!H5: expected the column caption 'из графы 3 > женщин'"),
    "label": ({"C8": "Убийство"}, "R11!C8: expected the caption 'из них: > Убийство (ст.99 ч.1)'"),
    "code": ({"D9": 30}, "R11!D9: expected the row code 3, found 30"),
    "row more": ({"E28": 1}, "R11!E28: expected no row below row 21, found 1"),
    "column more": ({"AC9": 1}, "R11!AC9: expected an empty cell beside the form's last column"),
}


@pytest.mark.slow
def test_xls_is_refused_by_the_cell_that_differs(tmp_path: Path):
    made = [
        make_workbook(tmp_path / f"{number}.xlsx", edits={"R11": edits})
        for number, (edits, _) in enumerate(DIFFERENCES.values())
    ]
    for (case, (_, what)), saved in zip(DIFFERENCES.items(), as_("xls", *made), strict=True):
        assert refusal(saved).startswith(what), case


@pytest.mark.slow
def test_xls_with_large_and_broken_numbers(tmp_path: Path):
    values = [0, 1, -0.0, 1e-3, 0.125, 12.34, 2**29, 2**30, 2**31, 123456789.123, 2**53]
    edits = {f"E{row}": value for row, value in enumerate(values, 7)}
    path = make_workbook(tmp_path / "a.xlsx", ["R4"], edits={"R4": edits})
    assert figures(*as_("xls", path), "R4").equals(figures(path, "R4"))


@pytest.mark.slow
def test_xls_of_another_form(tmp_path: Path):
    path = make_workbook(tmp_path / "a.xlsx", title="СНГ-1  Астана (Свод)")
    assert refusal(*as_("xls", path)).startswith("file properties: this is form СНГ-1")


def record(kind: int, *content: int) -> bytes:
    """A record of numbers of two bytes."""
    return struct.pack(f"<{2 + len(content)}H", kind, 2 * len(content), *content)


def replaced(old: Path, to: Path, before: bytes, after: bytes) -> Path:
    """The file with the first of some bytes changed for others, as many."""
    data = old.read_bytes()
    assert len(before) == len(after)
    assert before in data
    to.write_bytes(data.replace(before, after, 1))
    return to


CHANGES = {
    "password": (record(0x42, 1200), record(0x2F, 1), "an encrypted workbook; save it as plain"),
    "Excel 95": (
        struct.pack("<4H", 0x809, 16, 0x600, 5),
        struct.pack("<4H", 0x809, 16, 0x500, 5),
        "a workbook older than Excel 97; save it as plain .xlsx",
    ),
    "another stream": (
        "Workbook".encode("utf-16-le"),
        "Otherone".encode("utf-16-le"),
        "no workbook of Excel 97 or later; save it as plain .xlsx",
    ),
    "chart": (b"\0\0\x03\0R11", b"\0\2\x03\0R11", "sheets: 'R11' is no sheet of cells"),
    "two of a name": (b"\x03\0R10", b"\x03\0R11", "sheets: two sheets are named 'R11'"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CHANGES)
def test_xls_that_is_not_read(old: Path, tmp_path: Path, case: str):
    before, after, expected = CHANGES[case]
    assert refusal(replaced(old, tmp_path / "a.xls", before, after)).startswith(expected)


@pytest.mark.slow
def test_xls_that_holds_too_much(old: Path, monkeypatch: pytest.MonkeyPatch):
    for limit in ("MAX_CELLS", "MAX_SPACE"):
        with monkeypatch.context() as patch:
            patch.setattr(xls, limit, 500)
            assert refusal(old) == "holds more than a Form 1-M report does; not read"
    monkeypatch.setattr(xls, "MAX_BYTES", 1000)
    assert refusal(old) == "larger than 0 MiB, so no Form 1-M report"


@pytest.mark.slow
def test_damaged_xls_is_one_error_or_another_figure(
    old: Path, expected: pl.DataFrame, tmp_path: Path
):
    """There are no checksums in such a file: a changed figure is not noticed, all else is."""
    chance, sound = random.Random(1), old.read_bytes()
    path, read = tmp_path / "a.xls", 0
    for _ in range(300):
        data = bytearray(sound)
        for _ in range(chance.choice([1, 2, 10])):
            at = chance.randrange(len(data))
            data[at : at + chance.choice([1, 4])] = chance.randbytes(chance.choice([1, 4, 100]))
        path.write_bytes(data)
        try:
            found = figures(path)
        except kz.WorkbookError:
            continue
        read += 1
        assert found.drop("value").equals(expected.drop("value"))
        assert (found["value"] != expected["value"]).sum() <= 30
    assert read


@pytest.mark.slow
@pytest.mark.parametrize("kept", [0.01, 0.5, 0.9])
def test_truncated_xls(old: Path, tmp_path: Path, kept: float):
    data = old.read_bytes()
    (tmp_path / "a.xls").write_bytes(data[: int(len(data) * kept)])
    assert "save it as plain .xlsx" in refusal(tmp_path / "a.xls")


@pytest.mark.slow
def test_properties_of_an_xls_in_cyrillic_of_one_byte(old: Path, tmp_path: Path):
    """Excel writes them in the code page of the machine."""
    title = "1-M  Астана (Свод)"
    wide, narrow = title.encode(), title.encode("cp1251")
    data = old.read_bytes()
    at = data.index(wide)
    start = data.rindex(struct.pack("<I", 30), 0, at)
    data = data[:at] + narrow + b"\0" * (len(wide) - len(narrow)) + data[at + len(wide) :]
    assert struct.unpack_from("<I", data, start + 4)[0] >= len(wide)
    code_page = struct.pack("<Ihh", 2, -535, 0)
    assert data.count(code_page) >= 1
    (tmp_path / "a.xls").write_bytes(data.replace(code_page, struct.pack("<Ihh", 2, 1251, 0)))
    assert Workbook.open(tmp_path / "a.xls").property("title") == "1-M Астана (Свод)"


def test_texts_that_run_on_into_the_next_record():
    def header(length: int, flags: int) -> bytes:
        return struct.pack("<HB", length, flags)

    parts = [
        struct.pack("<II", 6, 6) + header(3, 0) + b"abc" + header(4, 1) + "Аб".encode("utf-16-le"),
        b"\x01" + "вг".encode("utf-16-le") + header(6, 1 | 8) + struct.pack("<H", 2) + b"\x31\x04",
        b"\x00" + b"latin" + b"\0" * 3,
        b"\0" * 5 + header(2, 4) + struct.pack("<I", 6) + b"ok",
        b"\0" * 6 + header(3, 1) + "😀!".encode("utf-16-le") + header(2, 1) + b"\x3d\xd8!\0",
    ]
    texts = ["abc", "Абвг", "бlatin", "ok", "😀!", "\ufffd!"]  # the last is half a letter
    assert list(xls._texts(parts)) == texts
    with pytest.raises((IndexError, struct.error)):
        list(xls._texts(parts[:3]))


@pytest.mark.parametrize(
    ("value", "content"),
    [(12.0, 12 << 2 | 2), (-3.0, (-3 << 2 | 2) & 0xFFFFFFFF), (1.23, 123 << 2 | 3), (0.0, 2)],
)
def test_whole_numbers_in_four_bytes(value: float, content: int):
    assert xls._rk(struct.pack("<I", content)) == value


def test_other_numbers_in_four_bytes():
    half = struct.pack("<d", 1.5)[4:]
    assert xls._rk(half) == 1.5
    assert xls._rk(bytes([half[0] | 1, *half[1:]])) == 0.015


# other files of office programs


def test_open_document_is_named(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.ods", "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", "<x/>")
    assert refusal(tmp_path / "a.ods") == "an OpenDocument workbook (.ods); save it as plain .xlsx"


def test_encrypted_xlsx_is_named(old: Path, tmp_path: Path):
    data = old.read_bytes()
    name = "\x05DocumentSummaryInformation".encode("utf-16-le")
    assert name in data
    other = "EncryptedPackage".encode("utf-16-le").ljust(len(name), b"\0")
    at = data.index(name)
    changed = bytearray(data.replace(name, other))
    changed[at + 64 : at + 66] = struct.pack("<H", 2 * 17)
    (tmp_path / "a.xlsx").write_bytes(changed)
    assert refusal(tmp_path / "a.xlsx").startswith("an encrypted workbook; save it as plain .xlsx")

"""A file that is no sound workbook ends in one error; a name of a person is never told."""

import io
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kzresearch as kz
from kzresearch.form_1m import archive
from kzresearch.form_1m import workbook as module
from kzresearch.form_1m.workbook import Workbook, column_index, column_letters, normalise
from tests.workbooks import make_workbook, part_of, refusal, rewrite

R11 = part_of("R11")


@given(st.text())
def test_normalise_is_idempotent(text: str):
    once = normalise(text)
    assert normalise(once) == once
    assert once == once.strip()
    assert "  " not in once


@given(st.lists(st.text("абв", min_size=1), min_size=1), st.text(" \u00a0\t\n\u2009", min_size=1))
def test_normalise_makes_every_blank_one_blank(words: list[str], blank: str):
    assert normalise(blank + blank.join(words) + blank) == " ".join(words)


@given(st.integers(0, 16_383))
def test_letters_and_index_are_inverse(index: int):
    assert column_index(column_letters(index)) == index


@pytest.mark.parametrize(
    ("index", "letters"),
    [(0, "A"), (25, "Z"), (26, "AA"), (51, "AZ"), (52, "BA"), (701, "ZZ"), (702, "AAA")],
)
def test_letters_as_excel_has_them(index: int, letters: str):
    assert column_letters(index) == letters
    assert column_index(letters) == index


def _archive(**parts: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "not an Excel workbook (.xlsx)"),
        (b"region,registered\nKZ-71,20313\n", "not an Excel workbook (.xlsx)"),
        ("Форма № 1-М".encode(), "not an Excel workbook (.xlsx)"),
        (b"PK\x03\x04" + b"\0" * 64, "not an Excel workbook (.xlsx)"),
        (_archive(readme=b"1-M"), "it holds no xl/workbook.xml"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 504, "save it as plain .xlsx"),
    ],
    ids=["empty", "text", "Cyrillic text", "zip header only", "zip of something else", "old .xls"],
)
def test_file_that_is_no_workbook(tmp_path: Path, data: bytes, expected: str):
    path = tmp_path / "Астана.XLSX"
    path.write_bytes(data)
    assert expected in refusal(path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
def test_truncated_file(tmp_path: Path, good: Path, kept: float):
    path = tmp_path / "a.xlsx"
    path.write_bytes(good.read_bytes()[: int(good.stat().st_size * kept)])
    assert "not an Excel workbook (.xlsx)" in refusal(path)


def test_missing_file(tmp_path: Path):
    assert "no such file; give the path of one .xlsx file" in refusal(tmp_path / "gone.xlsx")


def test_folder(tmp_path: Path):
    folder = tmp_path / "2022-12"
    folder.mkdir()
    assert "give the path of one .xlsx file" in refusal(folder)


def test_file_that_may_not_be_read(tmp_path: Path, good: Path, monkeypatch):
    path = tmp_path / "a.xlsx"
    path.write_bytes(good.read_bytes())

    def denied(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "cannot be read (Permission denied)" in refusal(path)


DAMAGE = {
    "sheet cut in its figures": (R11, lambda xml: xml[: xml.find(b'<row r="20"')], "R11"),
    "sheet cut in its captions": (R11, lambda xml: xml[:900], "R11"),
    "sheet of bytes": (R11, lambda xml: b"\x00\x01" * 500, "R11"),
    "sheet empty": (R11, lambda xml: b"", "R11"),
    "cell not closed": (R11, lambda xml: xml.replace(b"</v></c>", b"</v>", 40), "R11"),
    "stray ampersand": (R11, lambda xml: xml.replace(b"<v>201</v>", b"<v>2&01</v>"), "R11"),
    "sheet missing": (R11, lambda xml: None, R11),
    "text number too high": (
        R11,
        lambda xml: xml.replace(b't="s"><v>', b't="s"><v>99999'),
        "R11",
    ),
    "texts cut": ("xl/sharedStrings.xml", lambda xml: xml[:2_000], "xl/sharedStrings.xml"),
    "texts missing": ("xl/sharedStrings.xml", lambda xml: None, "xl/sharedStrings.xml"),
    "sheet list cut": ("xl/workbook.xml", lambda xml: xml[:300], "xl/workbook.xml"),
    "sheet list missing": ("xl/workbook.xml", lambda xml: None, "not an Excel workbook"),
    "relations missing": (
        "xl/_rels/workbook.xml.rels",
        lambda xml: None,
        "xl/_rels/workbook.xml.rels",
    ),
    "properties cut": ("docProps/core.xml", lambda xml: xml[:200], "docProps/core.xml"),
    "properties missing": (
        "docProps/core.xml",
        lambda xml: None,
        "file properties: no title as a Form 1-M report has it",
    ),
}


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_part(tmp_path: Path, case: str):
    part, change, where = DAMAGE[case]
    path = rewrite(make_workbook(tmp_path / "a.xlsx", ["R11"]), {part: change})
    assert refusal(path).startswith(where)


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(
    "part",
    [R11, "xl/workbook.xml", "xl/sharedStrings.xml", "docProps/core.xml"],
    ids=["sheet", "sheet list", "texts", "properties"],
)
def test_document_type_is_refused(tmp_path: Path, part: str):
    def declare(xml: bytes) -> bytes:
        start = xml.index(b"?>") + 2
        return xml[:start] + b'<!DOCTYPE x [<!ENTITY a "5">]>' + xml[start:]

    path = rewrite(make_workbook(tmp_path / "a.xlsx", ["R11"]), {part: declare})
    message = refusal(path)
    assert message.startswith("R11: " if part == R11 else f"{part}: ")
    assert "document type declaration" in message


def test_part_whose_checksum_is_wrong(tmp_path: Path):
    path = make_workbook(tmp_path / "a.xlsx", ["R11"])
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(R11)
    data = bytearray(path.read_bytes())
    data[info.header_offset + 30 + len(R11) + info.compress_size // 2] ^= 0xFF
    path.write_bytes(data)
    assert refusal(path).startswith(f"{R11}: this part cannot be unpacked")


@pytest.mark.parametrize(
    ("limit", "value", "expected"),
    [
        ("MAX_FILE_BYTES", 1_000, "larger than"),
        ("MAX_MEMBERS", 10, "unpacks to more than a Form 1-M report holds"),
        ("MAX_TOTAL_BYTES", 10_000, "unpacks to more than a Form 1-M report holds"),
        ("MAX_PART_BYTES", 500, "unpacks to more than a Form 1-M report holds"),
    ],
)
def test_file_that_unpacks_to_too_much(good: Path, monkeypatch, limit, value, expected):
    monkeypatch.setattr(archive if hasattr(archive, limit) else module, limit, value)
    assert expected in refusal(good)


def test_file_that_declares_too_much_is_not_unpacked(tmp_path: Path, good: Path, monkeypatch):
    path = rewrite_size(good, tmp_path / "bomb.xlsx", R11, 2**32 - 2)
    monkeypatch.setattr(zlib, "decompressobj", lambda *_: pytest.fail("unpacked"))
    assert "unpacks to more than a Form 1-M report holds" in refusal(path)


def rewrite_size(source: Path, target: Path, part: str, size: int) -> Path:
    """A copy whose directory says that a part unpacks to `size` bytes."""
    data = bytearray(source.read_bytes())
    entry = data.rindex(part.encode()) - 46  # of the directory at the archive's end
    assert data[entry : entry + 4] == b"PK\x01\x02"
    data[entry + 24 : entry + 28] = size.to_bytes(4, "little")
    target.write_bytes(data)
    return target


def test_text_that_is_no_table_of_the_form(tmp_path: Path):
    import xlsxwriter

    path = tmp_path / "budget.xlsx"
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet("R11").write(0, 0, 5)
    assert refusal(path) == (
        "file properties: no title as a Form 1-M report has it; use the file as it was published, "
        "or if its region is known give it: region='KZ-75'"
    )


NAME = "Иванова Тайна"


@pytest.mark.parametrize("folder", [None, rf"C:\Users\{NAME}\1-M\2022\12\1971" + "\\"])
def test_name_of_a_person_is_in_no_figure(tmp_path: Path, folder: str | None):
    path = make_workbook(tmp_path / "a.xlsx", ["R11"], author=NAME, folder=folder)
    assert zipfile.ZipFile(path).read("docProps/core.xml").decode().count(NAME) == 2
    frame = kz.read_form_1m(path, "2022-12", "R11")
    assert NAME not in frame.write_csv()
    assert NAME not in repr(Workbook.open(path))


@pytest.mark.parametrize(
    "options",
    [
        {"title": f"1-M  {NAME}"},
        {"title": f"СНГ-1  {NAME} (Свод)"},
        {"title": f"1-M  {NAME} (Свод)", "organ_code": "1999"},
        {"description": f"{NAME};50119"},
        {"organ_code": "1999"},
        {"title": "1-M  Алматы (Свод)"},
        {"folder": rf"C:\Users\{NAME}\1-M\2022\12\1975" + "\\"},
        {"folder": rf"C:\Users\{NAME}\1-M\2022\13\1971" + "\\"},
        {"folder": rf"C:\Users\{NAME}\1-M\2021\12\1971" + "\\"},
        {"edits": {"R11": {"E9": -1}}},
        {"sheets": ["R11"]},
    ],
)
def test_name_of_a_person_is_in_no_error(tmp_path: Path, options: dict):
    path = make_workbook(tmp_path / "a.xlsx", ["R11"], **{"author": NAME, **options})
    message = refusal(path)
    assert "Иванова" not in message
    assert "Тайна" not in message


def test_properties_with_names_are_not_given(good: Path):
    workbook = Workbook.open(good)
    for name in ("creator", "lastModifiedBy", "title\u00a0"):
        with pytest.raises(ValueError, match=name):
            workbook.property(name)

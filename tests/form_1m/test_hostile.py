"""Whatever bytes are given: the figures as another reader has them, or one error; never more."""

import io
import os
import re
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import kzresearch as kz
from kzresearch.form_1m import archive, layout, sheet
from kzresearch.form_1m.workbook import Workbook
from tests import fuzz
from tests.workbooks import make_workbook, part_of, refusal, rewrite

R11 = part_of("R11")
BOOK, RELATIONS, TEXTS = "xl/workbook.xml", "xl/_rels/workbook.xml.rels", "xl/sharedStrings.xml"
STYLES, TYPES, PACKAGE = "xl/styles.xml", "[Content_Types].xml", "_rels/.rels"
PROPERTIES = "docProps/core.xml"
SPREADSHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"

Change = Callable[[bytes], bytes | None]


@pytest.fixture(params=["first workbook", "after a sound workbook"])
def known(request: pytest.FixtureRequest, good: Path, monkeypatch) -> None:
    """What has been read before must not change what is taken."""
    for module, name in (
        (layout, "_ACCEPTED_HEADS"),
        (layout, "_ACCEPTED_ROWS"),
        (sheet, "_PLANS"),
    ):
        monkeypatch.setattr(module, name, {})
    if request.param != "first workbook":
        kz.read_form_1m(good, "2022-12", "R11")
        assert sheet._PLANS


def taken(path: Path, good: Path) -> pl.DataFrame:
    """The frame of a workbook, which is as openpyxl reads the file and as its identities say."""
    frame = kz.read_form_1m(path, "2022-12", "R11")
    fuzz.compare(path, "R11", good.read_bytes(), frame)
    return frame


def changed(good: Path, folder: Path, **changes: Change) -> Path:
    path = folder / "a.xlsx"
    path.write_bytes(good.read_bytes())
    return rewrite(path, changes)


def replaced(old: bytes, new: bytes) -> Change:
    def change(xml: bytes) -> bytes:
        assert old in xml, old
        return xml.replace(old, new, 1)

    return change


def between(start: bytes, end: bytes, by: Callable[[bytes], bytes]) -> Change:
    """What stands from `start` to the next `end`, changed."""

    def change(xml: bytes) -> bytes:
        first = xml.index(start)
        last = xml.index(end, first) + len(end)
        return xml[:first] + by(xml[first:last]) + xml[last:]

    return change


E9 = b'<c r="E9"><v>301</v></c>'


def cell(new: bytes) -> Change:
    """E9, which holds 301, as something else."""
    return replaced(E9, new)


# -- cells ----------------------------------------------------------------------------------------

NOT_TAKEN: dict[str, tuple[bytes, str]] = {
    "blank": (b'<c r="E9"/>', "R11!E9: expected a number, found a blank"),
    "empty": (b'<c r="E9"><v></v></c>', "R11!E9: expected a number, found a blank"),
    "infinite": (b'<c r="E9"><v>inf</v></c>', "R11!E9: expected a number, found 'inf'"),
    "INF": (b'<c r="E9"><v>INF</v></c>', "R11!E9: expected a number, found inf"),
    "nan": (b'<c r="E9"><v>nan</v></c>', "R11!E9: expected a number, found 'nan'"),
    "too large for a double": (b'<c r="E9"><v>1e999</v></c>', "R11!E9: expected a number"),
    "above 2^53": (b'<c r="E9"><v>9007199254740994</v></c>', "R11!E9: expected a whole count"),
    "hexadecimal": (b'<c r="E9"><v>0x10</v></c>', "R11!E9: expected a number, found '0x10'"),
    "hexadecimal fraction": (b'<c r="E9"><v>0x1p3</v></c>', "R11!E9: expected a number"),
    "underscore": (b'<c r="E9"><v>1_000</v></c>', "R11!E9: expected a number, found '1_000'"),
    "blanks around": (b'<c r="E9"><v> 12 </v></c>', "R11!E9: expected a number, found '12'"),
    "full width": ('<c r="E9"><v>１２</v></c>'.encode(), "R11!E9: expected a number, found '１２'"),
    "Arabic digits": ('<c r="E9"><v>٣</v></c>'.encode(), "R11!E9: expected a number, found '٣'"),
    "decimal comma": (b'<c r="E9"><v>1,5</v></c>', "R11!E9: expected a number, found '1,5'"),
    "fraction": (b'<c r="E9"><v>1.5</v></c>', "R11!E9: expected a whole count, found 1.5"),
    "negative": (b'<c r="E9"><v>-1</v></c>', "R11!E9: expected no negative figure, found -1"),
    "truth value": (b'<c r="E9" t="b"><v>1</v></c>', "R11!E9: expected a number, found 'TRUE'"),
    "no truth value": (b'<c r="E9" t="b"><v>5</v></c>', "R11!E9: expected 0 or 1, found '5'"),
    "error": (b'<c r="E9" t="e"><v>#N/A</v></c>', "R11!E9: expected a number, found a blank or an"),
    "number as an error": (b'<c r="E9" t="e"><v>5</v></c>', "R11!E9: expected an error, found '5'"),
    "text": (b'<c r="E9" t="str"><v>5</v></c>', "R11!E9: expected a number, found '5'"),
    "shared text": (b'<c r="E9" t="s"><v>5</v></c>', "R11!E9: expected a number, found '"),
    "shared text of no number": (b'<c r="E9" t="s"><v>1e0</v></c>', "R11!E9: expected a text's"),
    "shared text not there": (b'<c r="E9" t="s"><v>9999</v></c>', "R11!E9: a text that the work"),
    "text in the cell": (
        b'<c r="E9" t="inlineStr"><is><t>5</t></is></c>',
        "R11!E9: expected a number, found '5'",
    ),
    "date": (b'<c r="E9" t="d"><v>2022-12-31</v></c>', "R11!E9: expected a"),
    "kind unknown": (b'<c r="E9" t="x"><v>5</v></c>', "R11!E9: a cell of an unknown kind"),
    "format unknown": (b'<c r="E9" s="99"><v>5</v></c>', "R11!E9: a format that the workbook"),
    "format no number": (b'<c r="E9" s="-1"><v>5</v></c>', "R11!E9: a cell of an unknown kind"),
    "formula": (b'<c r="E9"><f>E7-E8</f><v>5</v></c>', "R11!E9: a formula, where the form holds"),
    "formula last": (b'<c r="E9"><v>5</v><f>E7-E8</f></c>', "R11!E9: a formula"),
    "shared formula": (
        b'<c r="E9"><f t="shared" ref="E9:E10" si="0">E7</f><v>5</v></c>',
        "R11!E9: a formula",
    ),
    "use of a shared formula": (b'<c r="E9"><f t="shared" si="0"/><v>5</v></c>', "R11!E9: a form"),
    "array formula": (b'<c r="E9"><f t="array" ref="E9">E7</f><v>5</v></c>', "R11!E9: a formula"),
    "formula with a prefix": (
        b'<c r="E9"><x:f xmlns:x="%s">E7</x:f><v>5</v></c>' % SPREADSHEET.encode(),
        "R11!E9: a formula",
    ),
    "two values": (b'<c r="E9"><v>5</v><v>6</v></c>', "R11!E9: a cell that holds no value or"),
    "value in a value": (b'<c r="E9"><v><b>5</b></v></c>', "R11!E9: a cell that holds no value"),
    "value and more": (b'<c r="E9"><v>5<b/>6</v></c>', "R11!E9: a cell that holds no value or"),
    "text and value": (
        b'<c r="E9" t="inlineStr"><is><t>5</t></is><v>6</v></c>',
        "R11!E9: a cell that holds no value or several",
    ),
    "value of another kind": (b'<c r="E9"><x:v xmlns:x="urn:x">5</x:v></c>', "R11!E9: a cell that"),
    "cell in something": (b"<x>" + E9 + b"</x>", "R11: row 9 holds more than cells"),
    "alternatives": (
        b'<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
        b'<mc:Choice Requires="z"><c r="E9"><v>5</v></c></mc:Choice><mc:Fallback>'
        + E9
        + b"</mc:Fallback>"
        b"</mc:AlternateContent>",
        "R11: row 9 holds more than cells",
    ),
    "comment": (b'<c r="E9"><v>3<!-- -->01</v></c>', "R11: holds a document type declaration, a c"),
    "CDATA": (b'<c r="E9"><v><![CDATA[301]]></v></c>', "R11: holds a document type declaration, a"),
    "instruction": (b'<c r="E9"><v>3<?x y?>01</v></c>', "R11: holds a document type declaration"),
    "entity": (b'<c r="E9"><v>&a;</v></c>', "R11: is not well-formed XML"),
    "half a value": (b'<c r="E9"><v>5<v>6</c>', "R11: is not well-formed XML"),
    "value closed twice": (b'<c r="E9"></v>5</v></c>', "R11: is not well-formed XML"),
    "value opened twice": (b'<c r="E9"><v>5<v></c>', "R11: is not well-formed XML"),
    "mark of the reader's own": (b'<c r="E9"><v>5<v>\1</c>', "R11: is not well-formed XML"),
    "bytes that are no text": (b'<c r="E9"><v>5\xff</v></c>', "R11: is not written in UTF-8"),
    "twice": (E9 + b'<c r="E9"><v>5</v></c>', "R11: row 9 holds no cells in order"),
    "twice, the same": (E9 + E9, "R11: row 9 holds no cells in order"),
    "after its neighbour": (b'<c r="F9"><v>5</v></c>', "R11: row 9 holds no cells in order"),
    "of another row": (b'<c r="E8"><v>301</v></c>', "R11: row 9 holds no cells in order"),
    "lower case": (b'<c r="e9"><v>301</v></c>', "R11: row 9 holds no cells in order"),
    "absolute": (b'<c r="$E$9"><v>301</v></c>', "R11: row 9 holds no cells in order"),
    "no place": (b'<c r=""><v>301</v></c>', "R11: row 9 holds no cells in order"),
    "place with a blank": (b'<c r="E9 "><v>301</v></c>', "R11: row 9 holds no cells in order"),
    "row with zeros": (b'<c r="E09"><v>301</v></c>', "R11: row 9 holds no cells in order"),
}


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("case", NOT_TAKEN)
def test_cell_that_is_no_plain_figure(tmp_path: Path, good: Path, case: str):
    new, expected = NOT_TAKEN[case]
    path = changed(good, tmp_path, **{R11: cell(new)})
    assert refusal(path).startswith(expected)


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5.0),
        ("+5", 5.0),
        ("005", 5.0),
        ("5.", 5.0),
        ("5.000", 5.0),
        ("1e2", 100.0),
        ("2.5E+1", 25.0),
        ("-0", 0.0),
        ("9007199254740992", 2.0**53),
        ("301&#48;", 3010.0),
    ],
)
def test_number_however_it_is_spelled(tmp_path: Path, good: Path, text: str, value: float):
    path = changed(good, tmp_path, **{R11: cell(b'<c r="E9"><v>%s</v></c>' % text.encode())})
    frame = taken(path, good)
    assert frame.filter(cell="R11!E9")["value"].item() == value
    others = pl.col("cell") != "R11!E9"
    sound = kz.read_form_1m(good, "2022-12", "R11")
    assert frame.filter(others)["value"].equals(sound.filter(others)["value"])


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    "new",
    [
        b"<c><v>301</v></c>",
        b'<c r="E9" t="n" s="0" spans="1:3"><v>301</v></c>',
        b"<c r='E9' ><v >301</v ></c >",
        b'\n <c r="E9">\n<v>301</v>\n</c>\n',
        b'<x:c xmlns:x="%s" r="E9"><x:v>301</x:v></x:c>' % SPREADSHEET.encode(),
    ],
    ids=["no place", "attributes", "blanks", "lines", "prefix"],
)
def test_cell_however_it_is_spelled(tmp_path: Path, good: Path, new: bytes):
    frame = taken(changed(good, tmp_path, **{R11: cell(new)}), good)
    assert frame["value"].equals(kz.read_form_1m(good, "2022-12", "R11")["value"])


def styled(number_format: bytes) -> dict[str, Change]:
    """E9 shown in a format of its own."""
    formats = b'<numFmts count="1"><numFmt numFmtId="164" formatCode="%s"/></numFmts><fonts'
    second = b'<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0"/></cellXfs>'
    return {
        R11: cell(b'<c r="E9" s="1"><v>301</v></c>'),
        STYLES: lambda xml: replaced(b"<fonts", formats % number_format)(
            replaced(b"</cellXfs>", second)(xml)
        ),
    }


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("number_format", [b"yyyy-mm-dd", b"h:mm", b"[h]:mm:ss", b"mmm yy"])
def test_number_shown_as_a_date(tmp_path: Path, good: Path, number_format: bytes):
    path = changed(good, tmp_path, **styled(number_format))
    assert refusal(path).startswith("R11!E9: expected a plain number, found '")


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("number_format", [b"0%", b"#,##0.00", b"&quot;d&quot;0", b"[Red]0"])
def test_number_shown_otherwise_is_the_number_stored(tmp_path, good: Path, number_format: bytes):
    frame = taken(changed(good, tmp_path, **styled(number_format)), good)
    assert frame.filter(cell="R11!E9")["value"].item() == 301.0


# -- sheets ---------------------------------------------------------------------------------------

ROW_9, ROW_10 = b'<row r="9"', b'<row r="10"'
DOCTYPE = b'<!DOCTYPE x [<!ENTITY a "5">]>'
FAR = b'<row r="1048576"><c r="XFD1048576"><v>5</v></c></row></sheetData>'

SHEETS: dict[str, tuple[Change, str]] = {
    "rows swapped": (
        lambda x: x.replace(ROW_9, b"<row r='x'").replace(ROW_10, ROW_9),
        "R11: has no row in order after row 8",
    ),
    "row twice": (replaced(ROW_10, ROW_9), "R11: has no row in order after row 9"),
    "row repeated": (between(ROW_9, b"</row>", lambda r: r + r), "R11: has no row in order after"),
    "row 0": (replaced(ROW_9, b'<row r="0"'), "R11: has no row in order after row 8"),
    "row of letters": (replaced(ROW_9, b'<row r="x"'), "R11: has no row in order after row 8"),
    "something among the rows": (replaced(ROW_9, b"<x/>" + ROW_9), "R11: has no row in order"),
    "cell far away": (replaced(b"</sheetData>", FAR), "R11!XFD1048576: a cell outside of what"),
    "cell beyond all": (
        replaced(b"</sheetData>", FAR.replace(b"XFD", b"ZZZ")),
        "R11!ZZZ1048576: a cell outside of what",
    ),
    "two lists of cells": (
        between(b"<sheetData>", b"</sheetData>", lambda x: x + x),
        "R11: holds no list of cells or several",
    ),
    "empty list of cells first": (
        replaced(b"<sheetData>", b"<sheetData/><sheetData>"),
        "R11: holds no list of cells or several",
    ),
    "list of cells elsewhere": (
        between(b"<sheetData>", b"</sheetData>", lambda x: b"<x>" + x + b"</x>"),
        "R11: holds no list of cells or several",
    ),
    "list of cells with a prefix too": (
        replaced(b"<sheetData>", b'<x:sheetData xmlns:x="urn:x"/><sheetData>'),
        "R11: holds no list of cells or several",
    ),
    "alternatives": (
        between(
            b"<sheetData>",
            b"</sheetData>",
            lambda x: b'<mc:AlternateContent xmlns:mc="urn:mc">' + x + b"</mc:AlternateContent>",
        ),
        "R11: holds no list of cells or several",
    ),
    "list of cells in a comment": (
        replaced(b"<sheetData>", b"<!-- <sheetData> --><sheetData>"),
        "R11: holds a document type declaration, a comment",
    ),
    "strict": (
        replaced(SPREADSHEET.encode(), b"http://purl.oclc.org/ooxml/spreadsheetml/main"),
        "R11: is not of the usual format",
    ),
    "no namespace": (
        replaced(SPREADSHEET.encode(), b"urn:x"),
        "R11: is not of the usual format",
    ),
    "chart sheet": (
        lambda x: x.replace(b"<worksheet", b"<chartsheet").replace(b"</worksheet", b"</chartsheet"),
        "R11: is not of the usual format",
    ),
    "document type": (replaced(b"?>", b"?>" + DOCTYPE), "R11: holds a document type declaration"),
    "document type late": (
        replaced(b"<worksheet", b" " * 100_000 + DOCTYPE + b"<worksheet"),
        "R11: holds a document type declaration",
    ),
    "area of no cells": (
        replaced(b'"B3:AB27"', b'"ZZZZ9:A-1"'),
        "R11: states no area of cells",
    ),
    "too many tags": (
        replaced(b"</sheetData>", b"<row/>" * 300_000 + b"</sheetData>"),
        "R11: holds more than a Form 1-M report does",
    ),
}


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("case", SHEETS)
def test_sheet_that_can_be_read_in_two_ways(tmp_path: Path, good: Path, case: str):
    change, expected = SHEETS[case]
    assert refusal(changed(good, tmp_path, **{R11: change})).startswith(expected)


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    "change",
    [
        replaced(b'<dimension ref="B3:AB27"/>', b'<dimension ref="A1:XFD1048576"/>'),
        replaced(b'<dimension ref="B3:AB27"/>', b'<dimension ref="E7"/>'),
        replaced(b'<dimension ref="B3:AB27"/>', b""),
        lambda xml: re.sub(rb' spans="[^"]*"', b' spans="1:16384"', xml),
        lambda xml: re.sub(rb' spans="[^"]*"', b' spans="9:2"', xml),
        lambda xml: re.sub(rb'<row r="\d+"', b"<row", xml[xml.index(ROW_9) :]).join(
            [xml[: xml.index(ROW_9)], b""]
        ),
        replaced(b"</sheetData>", b'<row r="1048576"><c r="XFD1048576"/></row></sheetData>'),
        replaced(b"<sheetData>", b"<a>" * 200 + b"</a>" * 200 + b"<sheetData>"),
        lambda xml: re.sub(rb"<(/?)(?=\w)", rb"<\1x:", xml).replace(b" xmlns=", b" xmlns:x=", 1),
        lambda xml: b"\xef\xbb\xbf" + xml,
    ],
    ids=[
        *("everything", "too small", "none", "wide", "backwards", "rows unnumbered"),
        *("empty cell far away", "deep", "prefix", "mark of UTF-8"),
    ],
)
def test_what_makes_no_difference(tmp_path: Path, good: Path, change: Change):
    frame = taken(changed(good, tmp_path, **{R11: change}), good)
    assert frame["value"].equals(kz.read_form_1m(good, "2022-12", "R11")["value"])


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1251", "utf-7"]
)
@pytest.mark.parametrize("part", [R11, BOOK, RELATIONS, TEXTS, STYLES, TYPES, PACKAGE, PROPERTIES])
def test_part_in_another_encoding(tmp_path: Path, good: Path, part: str, encoding: str):
    def encoded(xml: bytes) -> bytes:
        text = xml.decode().replace("UTF-8", encoding)
        return text.replace("?>", f"?>{DOCTYPE.decode()}", 1).encode(encoding, "replace")

    message = refusal(changed(good, tmp_path, **{part: encoded}))
    assert message.startswith("R11: " if part == R11 else f"{part}: ")
    assert "is not written in UTF-8" in message


@pytest.mark.parametrize("part", [R11, BOOK, RELATIONS, TEXTS, STYLES, TYPES, PACKAGE, PROPERTIES])
@pytest.mark.parametrize(
    "declared",
    [
        DOCTYPE,
        b'<!DOCTYPE x SYSTEM "file:///etc/hostname">',
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "http://127.0.0.1:9/">]>',
        b'<!DOCTYPE x [<!ENTITY % a SYSTEM "http://127.0.0.1:9/"> %a;]>',
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "' + b"&a;" * 999 + b'">]>',
    ],
    ids=["inner", "file", "network", "parameter", "expansion"],
)
def test_document_type_in_any_part(tmp_path: Path, good: Path, part: str, declared: bytes):
    message = refusal(changed(good, tmp_path, **{part: replaced(b"?>", b"?>" + declared)}))
    assert message.startswith("R11: " if part == R11 else f"{part}: ")
    assert "holds a document type declaration" in message


# -- what leads to the parts ----------------------------------------------------------------------

OTHER = b'<Relationship Id="rId15" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
SHEET_15 = b'Target="worksheets/sheet15.xml"'
NO_TABLE = "sheets: 'R11' has no table of its own"

LEADS: dict[str, tuple[dict[str, Change], str]] = {
    **{
        f"target {target.decode()}": (
            {RELATIONS: replaced(SHEET_15, b'Target="%s"' % target)},
            expected,
        )
        for target, expected in {
            b"http://127.0.0.1:9/sheet.xml": TYPES,
            b"file:///etc/passwd": TYPES,
            b"../../../etc/passwd": TYPES,
            b"/etc/passwd": TYPES,
            b"worksheets/../worksheets/sheet15.xml": TYPES,
            b"worksheets\\sheet15.xml": TYPES,
            b"worksheets/Sheet15.xml": TYPES,
            b"worksheets/sheet99.xml": TYPES,
            b"sharedStrings.xml": TYPES,
            b"worksheets/sheet14.xml": NO_TABLE,
            b"": TYPES,
        }.items()
    },
    "outside": ({RELATIONS: replaced(SHEET_15, SHEET_15 + b' TargetMode="External"')}, TYPES),
    "chart sheet": (
        {RELATIONS: replaced(b'/worksheet" ' + SHEET_15, b'/chartsheet" ' + SHEET_15)},
        NO_TABLE,
    ),
    "relation twice": (
        {RELATIONS: replaced(b"</Relationships>", OTHER + b'x" Target="x"/></Relationships>')},
        f"{RELATIONS}: two relations have one name",
    ),
    "relation of another kind": (
        {RELATIONS: replaced(b"</Relationships>", b'<x xmlns="urn:x" Id="x"/></Relationships>')},
        f"{RELATIONS}: holds more than relations",
    ),
    "two lists of sheets": (
        {BOOK: between(b"<sheets>", b"</sheets>", lambda x: x + x)},
        "sheets: two sheets are named 'R1'",
    ),
    "hidden list of sheets": (
        {BOOK: between(b"<sheets>", b"</sheets>", lambda x: x + b"<x>" + x + b"</x>")},
        "sheets: listed more than once",
    ),
    "long name": (
        {BOOK: replaced(b'name="R11"', b'name="%s"' % (b"R" * 100_000))},
        "sheets: a name longer than a sheet can have",
    ),
    "another workbook": (
        {PACKAGE: replaced(b"xl/workbook.xml", b"xl/other.xml"), "xl/other.xml": lambda _: b"<x/>"},
        f"{BOOK}: the workbook does not lead to this part",
    ),
    "another workbook by its type": (
        {
            TYPES: between(
                b'<Override PartName="/xl/workbook.xml"',
                b"/>",
                lambda x: x.replace(b"workbook.xml", b"other.xml") + x,
            ),
        },
        f"{TYPES}: lists other parts",
    ),
    "other texts": (
        {
            RELATIONS: replaced(b"sharedStrings.xml", b"other.xml"),
            "xl/other.xml": lambda _: b"<x/>",
        },
        f"{TEXTS}: the workbook does not lead to this part",
    ),
    "other texts by their type": (
        {TYPES: replaced(b"/xl/sharedStrings.xml", b"/xl/other.xml")},
        f"{TYPES}: lists other parts",
    ),
    "other properties": (
        {PACKAGE: replaced(b"docProps/core.xml", b"docProps/other.xml")},
        f"{PROPERTIES}: the workbook does not lead to this part",
    ),
    "other formats": (
        {RELATIONS: replaced(b"styles.xml", b"other.xml")},
        f"{STYLES}: the workbook does not lead to this part",
    ),
    "texts of another namespace": (
        {TEXTS: replaced(SPREADSHEET.encode(), b"urn:x")},
        f"{TEXTS}: is not of the usual format",
    ),
    "formats that are no XML": ({STYLES: lambda xml: xml[:300]}, f"{STYLES}: is not well-formed"),
    "two titles": (
        {PROPERTIES: between(b"<dc:title>", b"</dc:title>", lambda x: x + x)},
        f"{PROPERTIES}: holds no one title",
    ),
    "long title": (
        {PROPERTIES: replaced(b"<dc:title>", b"<dc:title>" + b"1 " * 100_000)},
        f"{PROPERTIES}: holds no one title",
    ),
}


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("case", LEADS)
def test_parts_that_another_program_would_not_find(tmp_path: Path, good: Path, case: str):
    changes, expected = LEADS[case]
    assert refusal(changed(good, tmp_path, **changes)).startswith(expected)


def test_two_folders_say_two_periods(tmp_path: Path):
    path = make_workbook(tmp_path / "a.xlsx", folder=r"C:\1-M\2022\12\1971" + "\\")
    rewrite(path, {BOOK: between(b"<mc:Alt", b"t>", lambda x: x + x.replace(b"12\\", b"11\\"))})
    assert refusal(path, period=None).startswith(f"{BOOK}: names several folders")


def test_folder_in_a_comment_says_no_period(tmp_path: Path, good: Path):
    said = rb'<!-- <a:absPath url="C:\1-M\2022\11\1971\"/> --><workbook'
    path = changed(good, tmp_path, **{BOOK: replaced(b"<workbook", said)})
    assert refusal(path, period=None).startswith(f"{BOOK}: holds a document type declaration, a c")


@pytest.mark.parametrize("state", [b"hidden", b"veryHidden"])
def test_hidden_sheet_is_read(tmp_path: Path, good: Path, state: bytes):
    path = changed(
        good, tmp_path, **{BOOK: replaced(b'name="R11"', b'name="R11" state="%s"' % state)}
    )
    assert taken(path, good)["value"].sum() > 0


def test_workbook_with_macros_is_read_and_nothing_run(tmp_path: Path, good: Path):
    macros = b"application/vnd.ms-excel.sheet.macroEnabled.main+xml"
    plain = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
    changes = {TYPES: replaced(plain, macros), "xl/vbaProject.bin": lambda _: b"\xd0\xcf\x11\xe0"}
    assert taken(changed(good, tmp_path, **changes), good)["value"].sum() > 0


# -- archives -------------------------------------------------------------------------------------


def pack(path: Path, parts: list[tuple[str, bytes]], **options: int) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        warnings.simplefilter("ignore")  # of members of one name
        for name, data in parts:
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, options.get("method", zipfile.ZIP_DEFLATED)
            packed.writestr(info, data)
    return path


def parts_of(path: Path) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as packed:
        return [(name, packed.read(name)) for name in packed.namelist()]


@pytest.mark.parametrize(
    "name",
    [
        *(R11, R11.upper(), "xl/Worksheets/sheet15.xml", R11.replace("/", "\\"), "/" + R11),
        *("xl/../" + R11, "../../etc/cron.d/x", "./" + R11, "xl//worksheets/sheet15.xml", "C:/x"),
        *("xl/a\nb.xml", "xl/\u202ex.xml", ""),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_member_of_a_name_that_programs_read_differently(tmp_path, good: Path, name, first):
    parts = parts_of(good)
    other = dict(parts)[R11].replace(b"<v>301</v>", b"<v>5</v>")
    parts.insert(0 if first else len(parts), (name, other))
    path = pack(tmp_path / "a.xlsx", parts)
    assert refusal(path) == "holds parts of one name or of no plain name; not read"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_member_packed_unusually(tmp_path: Path, good: Path, method: int):
    path = pack(tmp_path / "a.xlsx", parts_of(good), method=method)
    assert "cannot be unpacked" in refusal(path)


def test_member_not_packed(tmp_path: Path, good: Path):
    path = pack(tmp_path / "a.xlsx", parts_of(good), method=zipfile.ZIP_STORED)
    assert taken(path, good)["value"].sum() > 0


def test_member_whose_sizes_follow_it(tmp_path: Path, good: Path):
    path = tmp_path / "a.xlsx"

    class Stream(io.RawIOBase):  # of which no part can be written again
        def __init__(self) -> None:
            self.file = path.open("wb")

        def writable(self) -> bool:
            return True

        def write(self, data) -> int:
            return self.file.write(data)

        def close(self) -> None:
            self.file.close()

    with Stream() as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in parts_of(good):
            packed.writestr(name, data)
    with zipfile.ZipFile(path) as packed:
        assert all(info.flag_bits & 8 for info in packed.infolist())
    assert taken(path, good)["value"].sum() > 0


def test_archive_of_64_bits(tmp_path: Path, good: Path):
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in parts_of(good):
            with packed.open(name, "w", force_zip64=True) as member:
                member.write(data)
    assert taken(path, good)["value"].sum() > 0


@pytest.mark.parametrize(
    ("before", "after"), [(b"MZ", b""), (b"PK\3\4", b""), (b"", b"x"), (b"", b"PK\5\6" + bytes(18))]
)
def test_data_around_the_archive(tmp_path: Path, good: Path, before: bytes, after: bytes):
    path = tmp_path / "a.xlsx"
    path.write_bytes(before + good.read_bytes() + after)
    message = refusal(path)
    assert "the file is damaged" in message or "not an Excel workbook" in message


def test_archive_in_front_of_another(tmp_path: Path, good: Path):
    path = tmp_path / "a.xlsx"
    path.write_bytes(good.read_bytes() * 2)
    assert refusal(path) == "its parts do not follow each other; the file is damaged"


def entry(data: bytes, name: str) -> tuple[int, int]:
    """Where a member's header stands and where its line in the directory does."""
    local, central = data.index(b"PK\3\4"), data.rindex(name.encode()) - 46
    assert data[central : central + 4] == b"PK\1\2"
    (local,) = struct.unpack_from("<I", data, central + 42)
    assert data[local : local + 4] == b"PK\3\4"
    return local, central


def write(at: int, kind: str, value: int | bytes) -> Callable[[bytearray, int, int], None]:
    """A field of a member's header (`at` below 0) or of its line in the directory."""

    def change(data: bytearray, local: int, central: int) -> None:
        struct.pack_into("<" + kind, data, local - at - 1 if at < 0 else central + at, value)

    return change


LIES = {
    "encrypted": ([write(8, "H", 1), write(-7, "H", 1)], "an encrypted workbook"),
    "encrypted, by its header": ([write(-7, "H", 1)], "an encrypted workbook"),
    "encrypted, by the directory": ([write(8, "H", 1)], "an encrypted workbook"),
    "another name": ([write(-31, "1s", b"X")], "its directory differs from its parts"),
    "another method": ([write(10, "H", 0)], "its directory differs from its parts"),
    "no method": ([write(10, "H", 99), write(-9, "H", 99)], f"{R11}: this part cannot be unpacked"),
    "larger": ([write(24, "I", 99_999)], "its directory differs from its parts"),
    "larger, in both": (
        [write(24, "I", 99_999), write(-23, "I", 99_999)],
        f"{R11}: this part cannot be unpacked",
    ),
    "smaller, in both": (
        [write(24, "I", 9_999), write(-23, "I", 9_999)],
        f"{R11}: this part cannot be unpacked",
    ),
    "of no size, in both": (
        [write(24, "I", 0), write(-23, "I", 0)],
        f"{R11}: this part cannot be unpacked",
    ),
    "huge": ([write(24, "I", 2**32 - 2)], "unpacks to more than a Form 1-M report holds"),
    "packed smaller": ([write(20, "I", 9), write(-19, "I", 9)], "its parts do not follow each"),
    "another checksum": (
        [write(16, "I", 9), write(-15, "I", 9)],
        f"{R11}: this part cannot be unpacked",
    ),
    "elsewhere": ([write(42, "I", 0)], "its parts do not follow each other"),
    "beyond the file": ([write(42, "I", 2**31)], "its parts do not follow each other"),
    "long extra": ([write(-29, "H", 9_999)], "its parts do not follow each other"),
}


@pytest.mark.parametrize("case", LIES)
def test_headers_that_lie(tmp_path: Path, good: Path, case: str):
    changes, expected = LIES[case]
    data = bytearray(good.read_bytes())
    for change in changes:
        change(data, *entry(data, R11))
    path = tmp_path / "a.xlsx"
    path.write_bytes(data)
    assert refusal(path).startswith(expected)


def test_size_that_lies_with_a_checksum_that_fits(tmp_path: Path, good: Path):
    data = bytearray(good.read_bytes())
    xml = dict(parts_of(good))[R11]
    local, central = entry(data, R11)
    for at in (local + 14, central + 16):
        struct.pack_into("<I", data, at, zlib.crc32(xml[:9_999]))
    for at in (local + 22, central + 24):
        struct.pack_into("<I", data, at, 9_999)
    path = tmp_path / "a.xlsx"
    path.write_bytes(data)
    with zipfile.ZipFile(path) as packed:
        assert packed.read(R11) == xml[:9_999]  # Python's own reader sees a shorter sheet
    assert refusal(path) == f"{R11}: this part cannot be unpacked; the file is damaged"


def test_members_that_overlap(tmp_path: Path, good: Path):
    """As many members as there are bytes may share one stream of data."""
    data = bytearray(good.read_bytes())
    local, _ = entry(data, part_of("R1"))
    _, central = entry(data, R11)
    struct.pack_into("<I", data, central + 42, local)
    path = tmp_path / "a.xlsx"
    path.write_bytes(data)
    assert refusal(path) == "its parts do not follow each other; the file is damaged"


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        (
            "xls",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(4_096),
            "this .xls workbook cannot be read",
        ),
        ("csv", b"a;b\n1;2\n", "not an Excel workbook"),
        ("html", b"<html><table><tr><td>5</td></tr></table></html>", "not an Excel workbook"),
        ("xml", b'<?xml version="1.0"?><Workbook/>', "not an Excel workbook"),
        ("pdf", b"%PDF-1.7\n", "not an Excel workbook"),
        ("gz", b"\x1f\x8b\x08" + bytes(64), "not an Excel workbook"),
        ("nothing", b"", "not an Excel workbook"),
        ("zeros", bytes(100_000), "not an Excel workbook"),
    ],
)
def test_file_of_another_kind(tmp_path: Path, name: str, data: bytes, expected: str):
    path = tmp_path / f"{name}.xlsx"
    path.write_bytes(data)
    assert refusal(path).startswith(expected)


@pytest.mark.parametrize("inside", ["xl/workbook.bin", "word/document.xml"])
def test_archive_of_another_kind(tmp_path: Path, inside: str):
    path = pack(tmp_path / "a.xlsx", [("mimetype", b"x"), (inside, b"<x/>")])
    assert refusal(path) == "not an Excel workbook (.xlsx): it holds no xl/workbook.xml"


# -- paths ----------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("kind", ["pipe", "device", "endless device", "link to nothing", "loop"])
def test_path_that_is_no_file(tmp_path: Path, kind: str):
    path = tmp_path / "a.xlsx"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        to = {"device": "/dev/null", "endless device": "/dev/zero", "loop": str(path)}
        path.symlink_to(to.get(kind, tmp_path / "gone"))
    message = refusal(path)
    assert "give the path of one .xlsx file" in message or "cannot be read" in message


def test_link_to_a_file(tmp_path: Path, good: Path):
    path = tmp_path / "a.xlsx"
    path.symlink_to(good)
    assert kz.read_form_1m(path, "2022-12", "R11").height == 504


def test_file_that_changes_after_it_was_opened(tmp_path: Path, good: Path):
    path = tmp_path / "a.xlsx"
    path.write_bytes(good.read_bytes())
    workbook = Workbook.open(path)
    path.write_bytes(b"")
    assert workbook.sha256 == Workbook.open(good).sha256
    assert workbook.body("R11", 6, 3).height == 21


def test_name_of_a_file_is_one_line(tmp_path: Path):
    path = tmp_path / "a\nb\x1b[31m.xlsx"
    path.write_bytes(b"")
    with pytest.raises(kz.WorkbookError) as caught:
        kz.read_form_1m(path, "2022-12")
    assert str(caught.value) == r"a\nb\x1b[31m.xlsx: not an Excel workbook (.xlsx)"


# -- time, memory, and what else a process may do -------------------------------------------------

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="memory is counted as Linux does")
APART = """
import re, resource, sys, time
from pathlib import Path
import kzresearch as kz
from kzresearch.form_1m import codebook, accounting
import fastexcel, openpyxl
codebook.forms()
done = []
def watch(event, args):
    if event.startswith(("socket.", "subprocess", "os.", "shutil", "urllib")) and event not in READS:
        done.append(event)
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        done.append(f"open {args[0]} {args[1]}")
READS = {"os.scandir", "os.listdir", "os.putenv"}
def memory(key):
    return int(re.search(rf"{key}:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
Path("/proc/self/clear_refs").write_text("5")  # the most memory is counted anew
before = memory("VmRSS")
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
sys.addaudithook(watch)
start = time.perf_counter()
try:
    found = f"taken {kz.read_form_1m(sys.argv[1], '2022-12', 'R11').height}"
except kz.WorkbookError as error:
    found = str(error)
seconds = time.perf_counter() - start
more = (memory("VmHWM") - before) // 1024
print(more, round(seconds, 1), done, found, sep="\\n")
"""


def apart(path: Path) -> tuple[int, float, str]:
    """Megabytes that reading a file takes beyond the process's own, seconds, and what came of it."""
    done = subprocess.run(
        [sys.executable, "-c", APART, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    more, seconds, acts, found = done.stdout.rstrip("\n").split("\n")
    assert acts == "[]"
    return int(more), float(seconds), found


def text_of_size(size: int) -> bytes:
    return b"<sst xmlns='%s'><si><t>" % SPREADSHEET.encode() + b"x" * size + b"</t></si></sst>"


def with_sheet(inner: bytes) -> Change:
    return lambda _: (
        b'<worksheet xmlns="%s"><sheetData>%s</sheetData></worksheet>'
        % (
            SPREADSHEET.encode(),
            inner,
        )
    )


HUNDRED = 100 * 2**20
MOST = 8 * 2**20 - 1_000  # what a part may have
BOMBS: dict[str, tuple[dict[str, Change], str]] = {
    "a text of 100 MB": ({TEXTS: lambda _: text_of_size(HUNDRED)}, "unpacks to more than"),
    "an attribute of 100 MB": (
        {R11: with_sheet(b'<row r="' + b"1" * HUNDRED + b'"/>')},
        "unpacks to more than",
    ),
    "a sheet of 100 MB": ({R11: with_sheet(b"<row/>" * (HUNDRED // 6))}, "unpacks to more than"),
    "1,000 parts of 1 MB": (
        {f"xl/media/{i}": lambda _: bytes(2**20) for i in range(1_000)},
        "unpacks to more than",
    ),
    "a text as large as may be": ({TEXTS: lambda _: text_of_size(MOST)}, "R11"),
    "an attribute as large as may be": (
        {R11: with_sheet(b'<row r="' + b"1" * MOST + b'"/>')},
        "R11: has no row in order",
    ),
    "as many values as may be": ({R11: with_sheet(b"<v>" * (MOST // 3))}, "R11: holds more than a"),
    "as many cells as may be": ({R11: with_sheet(b"<c/>" * (MOST // 4))}, "R11: holds more than a"),
    "as many rows as are looked at": (
        {R11: with_sheet(b"<row/>" * 249_000)},
        "R11!A1: expected the title",
    ),
    "as many cells as are looked at": (
        {R11: with_sheet(b"<row>" + b"<c/>" * 249_000 + b"</row>")},
        "R11",
    ),
    "cells across all that is looked at": (
        {
            R11: replaced(
                b"</sheetData>", b'<row r="10000"><c r="IV10000"><v>1</v></c></row></sheetData>'
            )
        },
        "R11!IV10000: expected no row below row 21, found 1",
    ),
    "deep": ({R11: with_sheet(b"<a>" * 120_000 + b"</a>" * 120_000)}, "R11: has no row in order"),
    "deep texts": (
        {
            TEXTS: lambda xml: xml.replace(
                b"<si>", b"<si>" + b"<a>" * 120_000 + b"</a>" * 120_000, 1
            )
        },
        "taken",
    ),
    "many texts": (
        {TEXTS: lambda _: text_of_size(1).replace(b"</sst>", b"<si/>" * 249_000 + b"</sst>")},
        "R11",
    ),
    "many merges of all cells": (
        {
            R11: replaced(
                b"</sheetData>",
                b"</sheetData><mergeCells>"
                + b'<mergeCell ref="A1:XFD1048576"/>' * 100_000
                + b"</mergeCells>",
            )
        },
        "R11: merges more cells than a Form 1-M report does",
    ),
    "entities": (
        {
            R11: replaced(
                b"?>",
                b"?><!DOCTYPE x [<!ENTITY a0 'aaaaaaaaaa'>"
                + b"".join(
                    b"<!ENTITY a%d '%s'>" % (i, b"&a%d;" % (i - 1) * 10) for i in range(1, 12)
                )
                + b"]>",
            )
        },
        "R11: holds a document type declaration",
    ),
    "entities in another encoding": (
        {TEXTS: lambda xml: (DOCTYPE + xml).decode().encode("utf-16")},
        f"{TEXTS}: is not written in UTF-8",
    ),
    "links to the network": (
        {
            R11: replaced(b"?>", b'?><!DOCTYPE x SYSTEM "http://127.0.0.1:9/x">'),
            "xl/externalLinks/externalLink1.xml": lambda _: b"<x/>",
        },
        "R11: holds a document type declaration",
    ),
}


@pytest.mark.slow
@LINUX
@pytest.mark.parametrize("case", BOMBS)
def test_time_and_memory(tmp_path: Path, good: Path, case: str):
    changes, expected = BOMBS[case]
    more, seconds, found = apart(changed(good, tmp_path, **changes))
    print(case, more, "MB", seconds, "s", found)
    assert found.removeprefix("a.xlsx: ").startswith(expected) or expected in found[:60], found
    assert more < 500
    assert seconds < 30


@pytest.mark.slow
@LINUX
def test_directory_that_states_little_for_much(tmp_path: Path, good: Path):
    path = changed(good, tmp_path, **{TEXTS: lambda _: bytes(HUNDRED)})
    data = bytearray(path.read_bytes())
    local, central = entry(data, TEXTS)
    for at in (local + 22, central + 24):
        struct.pack_into("<I", data, at, 10)
    path.write_bytes(data)
    more, _, found = apart(path)
    assert f"{TEXTS}: this part cannot be unpacked" in found
    assert more < 200


@pytest.mark.slow
@LINUX
def test_file_of_headers_alone(tmp_path: Path):
    path = tmp_path / "a.xlsx"
    line = b"PK\1\2" + bytes(42)
    count = 32 * 2**20 // len(line) - 1
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 65_535, 65_535, count * len(line), 0, 0)
    path.write_bytes(line * count + end)
    more, seconds, found = apart(path)
    assert "unpacks to more than a Form 1-M report holds" in found
    assert more < 200
    assert seconds < 5


def test_panic_of_the_excel_library_is_one_error(tmp_path: Path, good: Path, monkeypatch):
    """What Rust calls a panic reaches Python as no Exception; none is known, so one is made."""
    import fastexcel

    class PanicException(BaseException):
        pass

    def panic(*_, **__):
        raise PanicException

    monkeypatch.setattr(fastexcel, "read_excel", panic)
    path = changed(good, tmp_path, **{R11: cell(b'<c r="E9" s="0"><v>301</v></c>')})
    assert refusal(path) == "R11: this sheet cannot be decoded; the file is damaged"


def test_readers_that_disagree(good: Path, monkeypatch):
    """Figures that the Excel library and the walk read differently are not taken from either."""
    real = sheet._written_out
    monkeypatch.setattr(
        sheet,
        "_written_out",
        lambda cells, styles: real(cells, styles).replace(b"<v>301</v>", b"<v>302</v>"),
    )
    monkeypatch.setattr(sheet, "_PLANS", {})
    assert refusal(good) == "R11: is read in two ways; the file is damaged"


def test_layouts_remembered_are_bounded(tmp_path: Path, good: Path, monkeypatch):
    monkeypatch.setattr(sheet, "MAX_PLANS", 3)
    for number in range(5):
        path = changed(
            good, tmp_path, **{R11: replaced(ROW_9, b'<row r="9" ht="%d"' % (10 + number))}
        )
        assert taken(path, good)["value"].sum() > 0
        assert len(sheet._PLANS) <= 3


def test_limits_leave_room_for_real_workbooks(official: list[Path]):
    for path in official:
        infos = archive.members(path.read_bytes()).values()
        assert max(info.file_size for info in infos) * 8 < archive.MAX_PART_BYTES
        assert sum(info.file_size for info in infos) * 8 < archive.MAX_TOTAL_BYTES


# -- fuzzing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", fuzz.LEVELS)
def test_fuzzing_again_gives_the_same_cases(tmp_path: Path, level: str):
    bases = fuzz.sound(tmp_path, None)
    cases = [fuzz.case(bases, 7, level, number) for number in range(8)]
    assert cases == [fuzz.case(bases, 7, level, number) for number in range(8)]
    assert len({data for _, _, data in cases}) == 8


@pytest.mark.parametrize("level", fuzz.LEVELS)
def test_fuzzing_finds_nothing_in_a_few_cases(tmp_path: Path, level: str):
    bases = fuzz.sound(tmp_path, None)
    path = tmp_path / "case.xlsx"
    found = [fuzz.examine(7, bases, level, number, path) for number in range(25)]
    assert [why for status, why in found if status == "finding"] == []
    assert {status for status, _ in found} == {"taken", "refused"}


def altered(frame: pl.DataFrame) -> pl.DataFrame:
    value = pl.when(cell="R11!F9").then(9_999.0).otherwise("value").alias("value")
    return frame.with_columns(value)


def wrong_label(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(row=pl.col("row").reverse())


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (altered, "R11!F9: 9999.0 in the frame"),
        (wrong_label, "R11!E7 is not of article:001"),
        (lambda frame: frame.head(9), "9 figures"),
        (lambda _: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_fuzzing_finds_what_is_wrong(tmp_path: Path, monkeypatch, wrong, expected: str):
    bases = fuzz.sound(tmp_path, None)[:1]
    read = kz.read_form_1m
    monkeypatch.setattr(kz, "read_form_1m", lambda *given: wrong(read(*given)))
    found = [fuzz.examine(7, bases, "cells", n, tmp_path / "case.xlsx") for n in range(12)]
    findings = [why for status, why in found if status == "finding"]
    assert findings
    assert all(expected in why for why in findings)


def test_fuzzing_finds_an_identity_that_is_not_flagged(tmp_path: Path, monkeypatch):
    from kzresearch.form_1m import accounting

    bases = fuzz.sound(tmp_path, None)[:1]
    check = accounting.check_form_1m
    monkeypatch.setattr(
        accounting, "check_form_1m", lambda frame: check(frame).with_columns(fails=pl.lit(0))
    )
    found = [fuzz.examine(7, bases, "cells", n, tmp_path / "case.xlsx") for n in range(12)]
    assert any("0 tests fail, of sums made here" in why for _, why in found)


@pytest.mark.slow
@LINUX
def test_fuzzing_finds_a_process_that_dies_or_hangs(tmp_path: Path):
    worker = fuzz.Worker(7, fuzz.sound(tmp_path, None), tmp_path / "case.xlsx")

    def result() -> tuple[str, str]:
        while (found := worker.result()) is None:
            worker.pipe.poll(1)
        return found

    worker.start(("cells", 0))
    assert result()[0] in {"taken", "refused"}
    worker.start(("cells", 1))
    worker.process.kill()
    assert result() == ("finding", "the process died (-9)")
    worker.start(("cells", 2))
    worker.until = 0
    assert result() == ("finding", f"more than {fuzz.SECONDS} s")
    worker.start(("cells", 3))
    assert result()[0] in {"taken", "refused"}
    worker.start(None)
    worker.process.join()

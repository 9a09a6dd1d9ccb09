"""`make fuzz`: workbooks broken at random, on three levels, each read in a process of its own.

bytes    bytes of a sound workbook's file
members  members of the archive and their XML: tags, attributes, encodings, names, headers
cells    figures and cells of a sound workbook

A case is right if the file is refused by one WorkbookError of one line, or if the frame equals what
openpyxl reads of the same file, cell by cell, and `check_form_1m` fails as many tests as sums made
here. A crash, another error, more than SECONDS or MEGABYTES are findings: kept with what is needed
to make them again. A case depends on the seed, its level and its number only. It is generated
blindly: no coverage is measured, neither of Python nor of the Excel library's Rust.

    python -m tests.fuzz --seconds 120 --seed 1 [--level cells] [--real WORKBOOK]
    python -m tests.fuzz --seed 1 --level cells --case 4711
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import multiprocessing
import os
import random
import re
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

SECONDS, MEGABYTES = 20, 500
PERIOD = "2022-12"
ROWS, COLUMNS = range(1, 22), range(1, 25)  # of R11's figures

# -- sound workbooks ------------------------------------------------------------------------------


def sound(folder: Path, real: Path | None) -> list[tuple[str, bytes]]:
    """Section and bytes of the workbooks that are broken."""
    from tests.workbooks import make_workbook

    if real:
        return [(section, real.read_bytes()) for section in ("R11", "R1", "R4", "PRIL4")]
    figures = adding_up(random.Random(0))
    made = [
        ("R11", {"values": lambda _, row, column: figures[row, column]}),
        ("R11", {"values": lambda *_: 0, "inline": True}),
        ("PRIL3", {}),
    ]
    return [
        (section, make_workbook(folder / "sound.xlsx", [section], **options).read_bytes())
        for section, options in made
    ]


def adding_up(chance: random.Random) -> dict[tuple[int, int], int]:
    """Figures of R11 for which its identities hold, by row code and column number."""
    figures = {(row, column): chance.randrange(50) for row in ROWS for column in COLUMNS}
    for row in ROWS:
        figures[row, 3] += figures[row, 4] + figures[row, 5]
        figures[row, 6] = figures[row, 7] + figures[row, 8]
        figures[row, 10] = sum(figures[row, column] for column in range(11, 20))
    for column in COLUMNS:
        figures[1, column] = sum(figures[row, column] for row in range(2, 10))
    return figures


# -- how they are broken --------------------------------------------------------------------------

NUMBERS = [
    *("0", "1", "7", "12", "100", "2147483648", "4294967296", "9007199254740992", "1.0", "1e2"),
    *(
        "2.5E1",
        "007",
        "+5",
        "5.",
        "0.0",
        "-0",
        "12345678901234567890",
        "9007199254740993",
        "1E-400",
    ),
]
NASTY = [
    *("", " ", " 12 ", "1 2", "-1", "-0.0", "0.5", "1e999", "-1e999", "NaN", "INF", "-INF", "inf"),
    *(
        "nan",
        "Infinity",
        "1_000",
        "0x10",
        "0x1p3",
        "１２",
        "٣",
        "1,5",
        "1 000",
        "1\u00a0000",
        "12\n",
    ),
    *("1e", "e1", ".", "+", "--1", "1.2.3", "нет", "TRUE", "#N/A", "44926", "2022-12-31", "&#49;2"),
    *(
        "1<!-- -->2",
        "<![CDATA[12]]>",
        "<?x y?>12",
        "<b>12</b>",
        "1</v><v>2",
        "&lt;",
        "&amp;",
        "&x;",
    ),
    *(
        "12]]>",
        "\x00",
        "9" * 400,
        "9" * 20_000,
        "0." + "0" * 20_000 + "1",
        "=1+1",
        "5</v><f>1+1</f><v>6",
    ),
]
KINDS = ["n", "s", "b", "e", "str", "d", "inlineStr", "x", "", "N", "n "]
ENCODINGS = ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "cp1251", "utf-7", "utf-32", "cp037"]
DOCTYPES = [
    b'<!DOCTYPE x [<!ENTITY a "5">]>',
    b'<!DOCTYPE x SYSTEM "file:///etc/passwd">',
    b'<!DOCTYPE x [<!ENTITY a SYSTEM "http://127.0.0.1:9/">]>',
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "' + b"&a;" * 99 + b'">]>',
]
NAMES = [
    *(
        "../x",
        "/x",
        "C:\\x",
        "xl\\workbook.xml",
        "xl/../x",
        "xl//workbook.xml",
        "./xl/workbook.xml",
    ),
    *("XL/WORKBOOK.XML", "xl/workbook.xml\0", "xl/Worksheets/Sheet15.xml", "xl/workbook.bin", ""),
    *("xl/workbook.xml", "xl/worksheets/sheet15.xml", "xl/styles.xml", "EncryptedPackage"),
]
TARGETS = [
    *("../../../etc/passwd", "file:///etc/passwd", "http://127.0.0.1:9/x", "/xl/workbook.xml"),
    *("worksheets/sheet15.xml", "/xl/worksheets/sheet15.xml", "worksheets/sheet1.xml", "", "."),
    *("worksheets/../worksheets/sheet15.xml", "sharedStrings.xml", "%2e%2e/x"),
]
PIECES = [
    *(b"<!-- x -->", b"<![CDATA[1]]>", b"<?x y?>", b"&a;", b"&#0;", b"<", b">", b"&", b'"', b"\0"),
    *(b"<sheetData>", b"</sheetData>", b"<sheetData/>", b'<row r="1">', b"</row>", b"<v>5</v>"),
    *(b'<c r="E7"><v>5</v></c>', b'<c r="XFD1048576"><v>5</v></c>', b"<c><v>5</v></c>"),
    *(b'<row r="1048576"><c r="XFD1048576"><v>5</v></c></row>', b"<f>1+1</f>", b"<f/>", b"\xff"),
    *(b'<row r="7"><c r="E7"><v>5</v></c></row>', b'<row><c r="e7"><v>5</v></c></row>', b"\1"),
    *(b"<x xmlns='y'/>", b"<is><t>5</t></is>", b"<extLst/>", b"<a>" * 9_999, b"\xe2\x80\xa8"),
    *(b'<x:c xmlns:x="urn:x" r="E7"><x:v>5</x:v></x:c>', b"<mc:AlternateContent>", b"<Default/>"),
]


def break_bytes(chance: random.Random, _: str, data: bytes) -> bytes:
    """Bytes changed, left out, put in or repeated, mostly in the archive's headers."""
    found = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 4, 16])):
        heads = [m.start() for m in re.finditer(rb"PK[\1\3\5][\2\4\6]", found)] or [0]
        at = chance.choice(
            [chance.choice(heads) + chance.randrange(50), chance.randrange(len(found))]
        )
        at = min(at, len(found) - 1)
        match chance.randrange(6):
            case 0:
                found[at] ^= 1 << chance.randrange(8)
            case 1:
                found[at] = chance.randrange(256)
            case 2:
                value = chance.choice([0, 1, 2**31, 2**32 - 1, len(found), chance.randrange(2**32)])
                found[at : at + 4] = struct.pack("<I", value)
            case 3:
                del found[at : at + chance.choice([1, 4, 64, 1_000, len(found)])]
            case 4:
                found[at:at] = chance.randbytes(chance.choice([1, 4, 64, 1_000]))
            case 5:
                start = chance.randrange(len(found))
                found[at:at] = found[start : start + chance.choice([4, 46, 500, len(found)])]
        if not found:
            break
    return bytes(found)


def _spans(xml: bytes, pattern: bytes) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(pattern, xml, re.DOTALL)]


def _replaced(
    chance: random.Random, xml: bytes, pattern: bytes, by: Callable[[bytes], bytes]
) -> bytes:
    """One of what matches, replaced."""
    spans = _spans(xml, pattern)
    if not spans:
        return xml
    start, end = chance.choice(spans)
    return xml[:start] + by(xml[start:end]) + xml[end:]


ELEMENT = rb"<(?:c|row|sheet|si|Relationship|Override|mergeCell|xf|t|v|dc:title)\b[^>]*?(?:/>|>.*?</\w[^>]*>)"


def break_xml(chance: random.Random, xml: bytes) -> bytes:
    """One change of a part's XML."""
    nasty = chance.choice(
        [*NASTY, *NUMBERS, *TARGETS, *KINDS, "E7", "e7", "XFD1048576", "99", "A0"]
    )
    value = nasty.replace("<", "&lt;").replace('"', "").encode("utf-8", "replace")

    def swapped(xml: bytes) -> bytes:
        spans = _spans(xml, chance.choice([rb"<c\b.*?(?:/>|</c>)", rb"<row\b.*?</row>", ELEMENT]))
        if len(spans) < 2:
            return xml
        (a, b), (c, d) = sorted(chance.sample(spans, 2))
        if c < b:
            return xml
        return xml[:a] + xml[c:d] + xml[b:c] + xml[a:b] + xml[d:]

    def prefixed(xml: bytes) -> bytes:
        xml = re.sub(rb"<(/?)(?=\w)(?!\w+:)", rb"<\1x:", xml)
        return xml.replace(b" xmlns=", b" xmlns:x=", 1)

    def elsewhere(xml: bytes) -> bytes:
        at = chance.choice([0, len(xml), chance.randrange(len(xml) + 1)])
        return xml[:at] + chance.choice(PIECES) + xml[at:]

    def between(xml: bytes) -> bytes:
        return _replaced(chance, xml, rb"[<>]", lambda b: chance.choice([b + p, p + b]))

    p = chance.choice(PIECES)
    ways: list[Callable[[bytes], bytes]] = [
        partial(_replaced, chance, pattern=rb'(?<==")[^"]*', by=lambda _: value),
        partial(
            _replaced, chance, pattern=rb' (?:r|t|s|Id|Target|name|r:id)="[^"]*"', by=lambda _: b""
        ),
        partial(_replaced, chance, pattern=rb' [\w:]+="[^"]*"', by=lambda a: a + a),
        partial(_replaced, chance, pattern=rb' r="[^"]*"', by=bytes.lower),
        partial(
            _replaced,
            chance,
            pattern=rb'(?<= r=")[^"]*',
            by=lambda _: (
                b"%s%d" % (chance.choice([b"E", b"F", b"AB", b"XFD"]), chance.randrange(30))
            ),
        ),
        partial(
            _replaced,
            chance,
            pattern=rb"<c [^>]*",
            by=lambda c: c + b' t="%s"' % chance.choice(KINDS).encode(),
        ),
        partial(
            _replaced,
            chance,
            pattern=rb'(?<= t=")[^"]*',
            by=lambda _: chance.choice(KINDS).encode(),
        ),
        partial(
            _replaced,
            chance,
            pattern=rb"(?<=<v>)[^<]*",
            by=lambda _: chance.choice(NASTY).encode("utf-8", "replace"),
        ),
        partial(
            _replaced,
            chance,
            pattern=rb"(?<=Target=\")[^\"]*",
            by=lambda _: chance.choice(TARGETS).encode(),
        ),
        partial(
            _replaced,
            chance,
            pattern=rb"<Relationship ",
            by=lambda a: a + b'TargetMode="External" ',
        ),
        partial(_replaced, chance, pattern=ELEMENT, by=lambda _: b""),
        partial(_replaced, chance, pattern=ELEMENT, by=lambda e: e + e),
        partial(_replaced, chance, pattern=ELEMENT, by=lambda e: b"<x>" + e + b"</x>"),
        partial(
            _replaced,
            chance,
            pattern=rb"(?<=</)\w+|(?<=<)\w+",
            by=lambda _: chance.choice([b"c", b"v", b"row", b"x", b"x:v", b"f", b"is"]),
        ),
        partial(
            _replaced,
            chance,
            pattern=rb"<sheetData>.*</sheetData>",
            by=lambda e: chance.choice(
                [e + e, b"<sheetData/>" + e, e + b"<sheetData/>", b"<!--" + e + b"-->" + e]
            ),
        ),
        partial(
            _replaced,
            chance,
            pattern=rb"http://[^\"]*main",
            by=lambda _: chance.choice(
                [b"http://purl.oclc.org/ooxml/spreadsheetml/main", b"urn:x", b""]
            ),
        ),
        partial(
            _replaced,
            chance,
            pattern=rb"numFmtId=\"\d+\"",
            by=lambda _: b'numFmtId="%d"' % chance.choice([0, 9, 14, 22, 45, 46, 47, 164, 999999]),
        ),
        swapped,
        prefixed,
        elsewhere,
        between,
        lambda xml: xml.replace(b"?>", b"?>" + chance.choice(DOCTYPES), 1).replace(
            b"<v>", b"<v>&a;", chance.randrange(2)
        ),
        lambda xml: chance.choice(DOCTYPES) + xml,
        lambda xml: xml.decode("utf-8", "replace").encode(chance.choice(ENCODINGS), "replace"),
        lambda xml: xml.replace(b"UTF-8", chance.choice(ENCODINGS).encode()),
        lambda xml: xml[: chance.randrange(len(xml) + 1)],
        lambda xml: xml.replace(b"<v>", b"<v>" + p, 1),
        lambda xml: xml.replace(b'"', b"'"),
        lambda xml: b"",
    ]
    return chance.choice(ways)(xml)


def break_members(chance: random.Random, section: str, data: bytes) -> bytes:
    """Parts changed, left out, doubled, renamed or packed in another way."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = [(info.filename, archive.read(info)) for info in archive.infolist()]
    own = part_of_section(section, parts)
    known = [own, own, own, "xl/workbook.xml", "xl/_rels/workbook.xml.rels", "xl/sharedStrings.xml"]
    known += ["xl/styles.xml", "[Content_Types].xml", "_rels/.rels", "docProps/core.xml"]
    for _ in range(chance.choice([1, 1, 1, 1, 2, 3])):
        _break_one(chance, parts, known)
    packed = _packed(chance, parts)
    if chance.random() < 0.1:
        packed = break_bytes(chance, section, packed)
    if chance.random() < 0.03:
        packed = chance.choice([b"x" + packed, packed + b"x", packed + packed, packed + bytes(22)])
    return packed


def _break_one(chance: random.Random, parts: list[tuple[str, bytes]], known: list[str]) -> None:
    index, other = _index(chance, parts, known), _index(chance, parts, known)
    name, xml = parts[index]
    twins = [name, name, name.upper(), name.replace("/", "\\"), "/" + name, "./" + name]
    match chance.randrange(20):
        case 0:
            del parts[index]
        case 1:
            twin = chance.choice(twins), chance.choice([xml, break_xml(chance, xml), b""])
            parts.insert(chance.randrange(len(parts) + 1), twin)
        case 2:
            parts[index] = chance.choice(NAMES), xml
        case 3:
            parts.append((chance.choice(NAMES), chance.choice([xml, b"", b"0" * 99_999])))
        case 4:
            parts[index], parts[other] = (name, parts[other][1]), (parts[other][0], xml)
        case _:
            parts[index] = name, break_xml(chance, xml)


def _packed(chance: random.Random, parts: list[tuple[str, bytes]]) -> bytes:
    found = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(found, "w") as archive:
        warnings.simplefilter("ignore")  # of members of one name
        for name, xml in parts:
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, chance.choice([0, 8, 8, 8, 8])
            if chance.random() < 0.003:
                info.compress_type = zipfile.ZIP_BZIP2
            archive.writestr(info, xml, compresslevel=1)
    return found.getvalue()


def part_of_section(section: str, parts: list[tuple[str, bytes]]) -> str:
    """Where the sheet of a section stands."""
    files = dict(parts)
    key = re.search(
        rb'name="%s" sheetId="\d+" r:id="(\w+)"' % section.encode(), files["xl/workbook.xml"]
    )
    for element in re.findall(rb"<Relationship [^>]*>", files["xl/_rels/workbook.xml.rels"]):
        if b'Id="%s"' % key[1] in element:
            return "xl/" + re.search(rb'Target="([^"]*)"', element)[1].decode()
    raise AssertionError(section)


def _index(chance: random.Random, parts: list[tuple[str, bytes]], known: list[str]) -> int:
    names = [name for name, _ in parts]
    here = [name for name in known if name in names]
    if here and chance.random() < 0.9:
        return names.index(chance.choice(here))
    return chance.randrange(len(parts)) if parts else 0


def break_cells(chance: random.Random, section: str, data: bytes) -> bytes:
    """Figures and other cells of a sheet with other contents, kinds and formats."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = [(info.filename, archive.read(info)) for info in archive.infolist()]
    own = part_of_section(section, parts)
    xml = dict(parts)[own]
    spans = _spans(xml, rb"<c\b[^>]*?(?:/>|>.*?</c>)")
    figures = [s for s in spans if b"<v>" in xml[slice(*s)] and b" t=" not in xml[slice(*s)]]
    area = re.compile(rb'<c r="(?:[E-Z]|A[A-Z])(?:[7-9]|\d\d+)"')
    if chance.random() < 0.9:
        figures = [s for s in figures if area.match(xml, s[0])]
    chosen = chance.sample(figures, chance.choice([1, 1, 2, 3, 8, len(figures) // 2]))
    if chance.random() < 0.2:
        chosen += chance.sample([s for s in spans if s not in chosen], 1)
    plain = chance.random() < 0.7
    for start, end in sorted(chosen, reverse=True):
        xml = xml[:start] + _other_cell(chance, xml[start:end], plain) + xml[end:]
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as archive:
        for name, part in parts:
            info = zipfile.ZipInfo(name)  # of no time: the same case has the same bytes
            archive.writestr(info, xml if name == own else part, zipfile.ZIP_DEFLATED, 1)
    return found.getvalue()


def _other_cell(chance: random.Random, cell: bytes, plain: bool) -> bytes:
    place = re.search(rb'r="([^"]*)"', cell)[1]
    if plain or chance.random() < 0.8:
        number = chance.choice([str(chance.randrange(10_000)), chance.choice(NUMBERS)])
        return re.sub(rb"<v>[^<]*</v>", b"<v>%s</v>" % number.encode(), cell)
    text = chance.choice(NASTY + NUMBERS).encode("utf-8", "replace")
    style = chance.choice([b"", b"", b' s="1"', b' s="999999"', b' s="-1"'])
    kind = chance.choice(KINDS).encode()
    return chance.choice(
        [
            b'<c r="%s"%s><v>%s</v></c>' % (place, style, text),
            b'<c r="%s"%s t="%s"><v>%s</v></c>' % (place, style, kind, text),
            b'<c r="%s" t="inlineStr"><is><t>%s</t></is></c>' % (place, text),
            b'<c r="%s"><f>%s</f><v>5</v></c>' % (place, text),
            b'<c r="%s"/>' % place,
            cell + cell,
            b"",
        ]
    )


LEVELS = {"bytes": break_bytes, "members": break_members, "cells": break_cells}


def case(
    bases: list[tuple[str, bytes]], seed: int, level: str, number: int
) -> tuple[str, bytes, bytes]:
    """Section of a workbook, the sound one and what it was broken to."""
    chance = random.Random(f"{seed} {level} {number}")
    section, data = chance.choice(bases)
    return section, data, LEVELS[level](chance, section, data)


# -- what must come of it -------------------------------------------------------------------------


class WrongError(Exception):
    """A finding."""


def outcome(path: Path, section: str, sound: bytes) -> str:
    """'taken', or the reason of the refusal; WrongError where it is neither."""
    from kzresearch import WorkbookError, read_form_1m

    try:
        frame = read_form_1m(path, PERIOD, section)
    except WorkbookError as error:
        message = str(error)
        if type(error) is not WorkbookError or "\n" in message or len(message) > 5_000:
            raise WrongError(f"not one sentence: {message[:500]!r}") from error
        if not message.startswith(f"{path.name}: "):
            raise WrongError(f"no name of the file: {message[:500]!r}") from error
        return message.removeprefix(f"{path.name}: ")
    compare(path, section, sound, frame)
    return "taken"


def compare(path: Path, section: str, sound: bytes, frame: Any) -> None:
    """WrongError unless openpyxl reads the same numbers, and labels that belong to them."""
    from kzresearch.form_1m import codebook
    from tests.workbooks import place

    cells = independent(path, section, sound)
    form = codebook.forms()[0].section(section)
    code = place(f"{form.code_column}1")[1]
    rows = dict(form.rows.select("row", "code").iter_rows())
    columns = dict(form.columns.select("measure", "number").iter_rows())
    captions = dict(form.rows.select("code", "caption").iter_rows())
    if len(frame) != len(rows) * len(columns):
        raise WrongError(f"{len(frame)} figures")
    for cell, row, measure, value in frame.select("cell", "row", "measure", "value").iter_rows():
        at = place(cell.split("!")[1])
        if at != (form.number_row + rows[row], code + columns[measure]):
            raise WrongError(f"{cell} is not of {row}, {measure}")
        other = cells.get(at)
        if type(other) not in (int, float) or round(other, 3) + 0.0 != value:
            raise WrongError(f"{cell}: {value!r} in the frame, {other!r} in the file")
    for number, caption in captions.items():
        row = form.number_row + number
        texts = [" ".join(str(cells.get((row, c)) or "").split()) for c in range(code)]
        if " > ".join(text for text in texts if text) != caption or cells[row, code] != number:
            raise WrongError(f"row {number} of another name: {texts}")
    for number in columns.values():
        if str(cells.get((form.number_row, code + number))) != str(number):
            raise WrongError(f"column {number} of another number")
    if section == "R11":
        compare_identities(
            frame, {(row, c): cells[row + 6, c + 3] for row in ROWS for c in COLUMNS}
        )


def independent(path: Path, section: str, sound: bytes) -> dict[tuple[int, int], Any]:
    """Row and column (from 0) → value, as openpyxl has it.

    What no figure depends on may be broken in ways that openpyxl minds: it gets that from the sound
    workbook, and everything but the sheet and its texts where it minds something else.
    """
    with zipfile.ZipFile(io.BytesIO(sound)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    own = part_of_section(section, list(parts.items()))
    unread = ("docProps/app", "xl/theme", "xl/drawings", "xl/printer", "xl/worksheets/")
    with zipfile.ZipFile(path) as archive:
        bare = re.sub(
            rb"(<worksheet[^>]*>).*?(<sheetData.*</sheetData>).*",
            rb"\1\2</worksheet>",
            archive.read(own),
            flags=re.DOTALL,
        )
    others = {n: p for n, p in parts.items() if n.startswith(unread) and n != own}
    most = {n: p for n, p in parts.items() if n != "xl/sharedStrings.xml"} | {own: bare}
    try:
        return _by_openpyxl(path, section, others)
    except Exception:
        try:
            return _by_openpyxl(path, section, most)
        except Exception as error:
            raise WrongError(f"openpyxl cannot read what was taken: {error!r}") from error


def _by_openpyxl(path: Path, section: str, parts: dict[str, bytes]) -> dict[tuple[int, int], Any]:
    import openpyxl

    mended = io.BytesIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # of what openpyxl does not keep
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(mended, "w") as copy:
            for name in dict.fromkeys([*archive.namelist(), *parts]):
                copy.writestr(name, parts.get(name) or archive.read(name))
        book = openpyxl.load_workbook(mended, read_only=True)
        (name,) = (name for name in book.sheetnames if " ".join(name.split()) == section)
        book[name].reset_dimensions()
        lines = book[name].iter_rows()
        return {(c.row, c.column - 1): c.value for row in lines for c in row if c.value is not None}


def compare_identities(frame: Any, f: dict[tuple[int, int], Any]) -> None:
    """WrongError unless as many tests of R11's identities fail as sums made here."""
    from kzresearch.form_1m.accounting import check_form_1m

    expected = {
        "V7:R11": sum(f[1, c] != sum(f[r, c] for r in range(2, 10)) for c in COLUMNS),
        "H1:R11": sum(f[r, 10] != sum(f[r, c] for c in range(11, 20)) for r in ROWS),
        "H2:R11": sum(f[r, 6] != f[r, 7] + f[r, 8] for r in ROWS),
        "H5:R11": sum(max(f[r, 4], f[r, 5]) > f[r, 3] for r in ROWS),
    }
    fails = dict(check_form_1m(frame).select("identity", "fails").iter_rows())
    for identity, count in expected.items():
        if fails[identity] != count:
            raise WrongError(f"{identity}: {fails[identity]} tests fail, of sums made here {count}")


# -- running --------------------------------------------------------------------------------------


def _memory(key: str) -> int:
    """Kilobytes of this process, now (VmRSS) or at most (VmHWM)."""
    return int(re.search(rf"{key}:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def examine(
    seed: int, bases: list[tuple[str, bytes]], level: str, number: int, path: Path
) -> tuple[str, str]:
    """Whether a case was taken, refused or is a finding, and why."""
    section, sound, data = case(bases, seed, level, number)
    path.write_bytes(data)
    if linux := sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")  # the most memory is counted anew
        before = _memory("VmRSS")
    try:
        found = outcome(path, section, sound)
    except WrongError as error:
        return "finding", str(error)
    except BaseException:  # a panic of the Rust library is no Exception
        return "finding", traceback.format_exc()
    if linux and (more := (_memory("VmHWM") - before) // 1024) > MEGABYTES:
        return "finding", f"{more} MB of memory"
    return ("taken", "") if found == "taken" else ("refused", found)


def _work(seed: int, bases: list[tuple[str, bytes]], pipe: Connection, path: Path) -> None:
    import resource

    import openpyxl  # noqa: F401  what is imported later would count as memory of a case

    from kzresearch.form_1m import accounting, codebook  # noqa: F401

    codebook.forms()[0].section("R11")
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 4 * 2**30,) * 2)
    while (job := pipe.recv()) is not None:
        pipe.send(examine(seed, bases, *job, path))


class Worker:
    """A process that examines one case after the other, and is replaced when it does not."""

    def __init__(self, seed: int, bases: list[tuple[str, bytes]], path: Path) -> None:
        self.given = seed, bases, path
        self.job: tuple[str, int] | None = None
        self._begin()

    def _begin(self) -> None:
        seed, bases, path = self.given
        self.pipe, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self.process = context.Process(target=_work, args=(seed, bases, theirs, path), daemon=True)
        self.process.start()
        theirs.close()
        self.until = time.monotonic() + 60  # it imports first

    def start(self, job: tuple[str, int] | None) -> None:
        """Begin with a case; None ends the process."""
        self.job, self.until = job, max(self.until, time.monotonic() + SECONDS)
        self.pipe.send(job)

    def result(self) -> tuple[str, str] | None:
        """What came of the case; None while it is looked at."""
        try:
            if self.pipe.poll():
                self.until = 0.0
                return self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            why = f"the process died ({self.process.exitcode})"
        else:
            if time.monotonic() < self.until:
                return None
            self.process.kill()
            self.process.join()
            why = f"more than {SECONDS} s"
        self._begin()
        return "finding", why


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--level", choices=LEVELS, action="append")
    parser.add_argument("--case", type=int, help="one case alone, in this process")
    parser.add_argument("--real", type=Path, help="an official workbook to break instead")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"))
    options = parser.parse_args()
    levels = options.level or list(LEVELS)
    seed = random.randrange(10**6) if options.seed is None else options.seed
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bases = sound(folder, options.real)
        if options.case is not None:
            status, why = examine(seed, bases, levels[0], options.case, folder / "case.xlsx")
            print(f"{status}: {why}")
            return int(status == "finding")
        print(f"seed {seed}, {options.seconds:g} s", flush=True)
        workers = [
            Worker(seed, bases, folder / f"case-{index}.xlsx") for index in range(options.workers)
        ]
        found: dict[str, Counter] = {level: Counter() for level in levels}
        for (level, number), (status, why) in _outcomes(workers, levels, options.seconds):
            found[level][status, re.sub(r"'.*?'|[A-Z]*\d+", "…", why)[:90]] += 1
            if status == "finding":
                _keep(options.out, seed, level, number, why, bases)
        return _report(found)


def _outcomes(
    workers: list[Worker], levels: list[str], seconds: float
) -> Iterator[tuple[tuple[str, int], tuple[str, str]]]:
    """Each case and what came of it, the levels in turn, as long as told."""
    jobs = ((level, number) for number in itertools.count() for level in levels)
    end = time.monotonic() + seconds
    for worker in workers:
        worker.start(next(jobs))
    while busy := [worker for worker in workers if worker.job]:
        wait([worker.pipe for worker in busy], timeout=1)
        for worker in busy:
            result = worker.result()
            if result is not None:
                yield worker.job, result
                worker.start(next(jobs) if time.monotonic() < end else None)


def _report(found: dict[str, Counter]) -> int:
    findings = 0
    for level, outcomes in found.items():
        by_status = Counter()
        for (status, _), count in outcomes.items():
            by_status[status] += count
        findings += by_status["finding"]
        print(f"{level}: {outcomes.total()} cases, {dict(by_status)}")
        refused = Counter({why: n for (status, why), n in outcomes.items() if status == "refused"})
        for why, count in refused.most_common(8):
            print(f"    {count:6} {why}")
    print(f"{sum(map(Counter.total, found.values()))} cases, {findings} findings")
    return int(findings > 0)


def _keep(out: Path, seed: int, level: str, number: int, why: str, bases: list) -> None:
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{level}-{seed}-{number}.xlsx"
    path.write_bytes(case(bases, seed, level, number)[2])
    path.with_suffix(".txt").write_text(why)
    again = f"python -m tests.fuzz --seed {seed} --level {level} --case {number}"
    print(f"FINDING {path}: {why.strip().splitlines()[-1][:300]}\n    again: {again}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""Whole workbooks of Form 1-M for tests of the store: one is made, and the others are changed copies."""

from __future__ import annotations

import re
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from kzresearch.form_1m import codebook
from kzresearch.regions import load_regions
from tests.workbooks import DESCRIPTION, make_whole_form, part_of, rewrite

SPARSE = 16
"""One figure in so many is not 0, as in the official files."""


def figure(_section: str, row: int, column: int) -> float:
    """What each figure of the made workbook is."""
    return float(row + column) if (row * 31 + column * 7) % SPARSE == 0 else 0.0


@cache
def _whole() -> Path:
    return make_whole_form(Path(mkdtemp()) / "whole.xlsx", values=figure)


def make_report(path: Path, region: str = "KZ-75", **cells: float) -> Path:
    """A workbook of a region; `cells` are figures of section R1 by their addresses.

    The cell R1!E7 holds the region's own number, so that no two regions have the same figures.
    """
    line = load_regions().row(by_predicate=_is(region), named=True)
    title = f"1-M  {line['form_name_ru']} (Свод)"
    description = DESCRIPTION.format(organ_code=line["organ_code"])
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_whole(), path)

    def core(xml: bytes) -> bytes:
        text = xml.decode()
        text = re.sub("(<dc:title>).*?(</dc:title>)", rf"\g<1>{title}\g<2>", text)
        changed = re.sub(
            "(<dc:description>).*?(</dc:description>)", rf"\g<1>{description}\g<2>", text
        )
        return changed.encode()

    def sheet(xml: bytes) -> bytes:
        for address, value in ({"E7": int(region[3:])} | cells).items():
            pattern = rb'(<c r="%s"[^>]*><v>)[^<]*(</v>)' % address.encode()
            xml, count = re.subn(pattern, rb"\g<1>%s\g<2>" % f"{value:.15g}".encode(), xml)
            assert count == 1, address
        return xml

    return rewrite(path, {"docProps/core.xml": core, part_of("R1"): sheet})


def _is(region: str):
    import polars as pl

    return pl.col("region") == region


def made() -> dict[tuple[str, int, int], float]:
    """The figures of the made workbook that are not 0, by section, row code and column number."""
    form = codebook.form()
    return {
        (name, row, column): value
        for name in form.section_names
        for row in form.section(name).rows["code"]
        for column in form.section(name).columns["number"]
        if (value := figure(name, row, column))
    }

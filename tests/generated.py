"""Many workbooks with the layout of the official ones and other figures, for measuring at scale.

    paths = generated.write(folder, generated.periods(60), raw)   # 60 × 20 workbooks

The base of each region is its official workbook of 2022-12, where raw files are at hand: every byte
of it stays but the figures, and the period where the file states one. Where they are not, it is a
workbook that `tests.workbooks` makes of the bundled figures of the region. About 6.3 % of the figures
are not 0, as in the official files. The periods, 2023-01 and on, are invented, as the figures are: no
new region is a part of another one in them. The same seed gives the same figures.
"""

import multiprocessing
import re
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from kzresearch.form_1m import codebook
from kzresearch.form_1m.workbook import Workbook, column_letters
from kzresearch.regions import load_regions
from kzresearch.resources import data_dir, read_texts
from tests.workbooks import make_whole_form, place

BASE = "2022-12"
_FIGURE = re.compile(rb'<c r="([E-Z]|[A-Z]{2})(\d+)"(?: s="\d+")?><v>([^<]*)</v>')
"""A cell of a number, right of the row codes."""
_STATED = re.compile(rb"(\\)\d{4}(\\)\d{1,2}(\\\d{4}\\)")
"""Year and month in the folder that a file says it was saved in."""
SPREAD = 0.25
"""How far figures are from those of the base: standard deviation of the logarithm."""
MOVED = 0.05
"""Share of the figures that are 0 instead; as many that were 0 are not."""


def periods(number: int) -> list[str]:
    """Months from 2023-01 on."""
    return [f"{2023 + month // 12}-{month % 12 + 1:02d}" for month in range(number)]


@dataclass(frozen=True)
class Base:
    """A workbook to write others from: its parts, and the figures of its sheets."""

    region: str
    file: str
    parts: dict[str, bytes]
    around: dict[str, list[bytes]]  # the XML of each sheet without its figures, in pieces
    cells: list[str]  # R1!E7 …, in the order of the sheets and of their XML
    values: np.ndarray

    @cached_property
    def _money(self) -> np.ndarray:
        return self.values != np.floor(self.values)

    def figures(self, period: str, seed: int = 0) -> np.ndarray:
        """The figures of a period, by the order of `cells`: counts whole, money with three decimals."""
        year, month = map(int, period.split("-"))
        random = np.random.default_rng([seed, year, month, int(self.region.removeprefix("KZ-"))])
        places = np.flatnonzero(self.values)
        found = self.values[places] * np.exp(random.normal(0, SPREAD, len(places)))
        found = np.where(self._money[places], found.round(3), found.round().clip(1))
        gone = random.random(len(places)) < MOVED
        zeros = np.flatnonzero(self.values == 0)
        figures = np.zeros_like(self.values)
        figures[places[~gone]] = found[~gone]
        come = random.choice(zeros, gone.sum(), replace=False)
        figures[come] = random.geometric(0.5, len(come))
        return figures

    def write(self, folder: Path, period: str, seed: int = 0) -> Path:
        """Write the workbook of a period below `folder`, into a folder of the period's name."""
        values = self.figures(period, seed)
        texts = [b"0"] * len(values)
        for at in np.flatnonzero(values):
            texts[at] = b"%.17g" % values[at]  # with the noise that the official files have
        year, month = period.split("-")
        saved = rb"\g<1>%s\g<2>%s\g<3>" % (year.encode(), month.encode())
        changed = {"xl/workbook.xml": _STATED.sub(saved, self.parts["xl/workbook.xml"])}
        start = 0
        for part, pieces in self.around.items():
            both: list[bytes] = [b""] * (2 * len(pieces) - 1)
            both[::2], both[1::2] = pieces, texts[start : start + len(pieces) - 1]
            start += len(pieces) - 1
            changed[part] = b"".join(both)
        path = folder / period / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, data in {**self.parts, **changed}.items():
                archive.writestr(name, data)
        return path


def base(region: str, raw: Path | None = None) -> Base:
    """The base of a region: its official workbook among the raw files, or one made here."""
    file = _files()[region]
    if raw is not None:
        return _base(region, raw / "form_1m" / BASE / file)
    line = load_regions().row(by_predicate=pl.col("region") == region, named=True)
    with TemporaryDirectory() as folder:
        path = make_whole_form(
            Path(folder) / file,
            values=bundled(region),
            organ_code=line["organ_code"],
            title=f"1-M  {line['form_name_ru']} (Свод)",
        )
        return _base(region, path)


def _files() -> dict[str, str]:
    """Region → the name of its official workbook."""
    table = read_texts(data_dir() / "workbooks.csv").filter(pl.col("period") == BASE)
    return dict(table.select("region", "file").iter_rows())


def bundled(region: str) -> Callable[[str, int, int], float]:
    """The bundled figures of a region, by section, row code and column number."""
    table = pl.scan_parquet(data_dir() / "form_1m" / f"{BASE}.parquet")
    wanted = (pl.col("region") == region) & (pl.col("value") != 0)
    held = dict(table.filter(wanted).select("cell", "value").collect().iter_rows())
    first = {
        name: (place(f"{section.code_column}1")[1], section.number_row)
        for name, section in ((n, codebook.form().section(n)) for n in codebook.section_names())
    }

    def value(section: str, row: int, column: int) -> float:
        code, number_row = first[section]
        return held.get(f"{section}!{column_letters(code + column)}{number_row + row}", 0)

    return value


def _base(region: str, path: Path) -> Base:
    workbook = Workbook.open(path)
    with zipfile.ZipFile(path) as archive:
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    around: dict[str, list[bytes]] = {}
    cells, values = [], []
    for name, part in workbook.sheets.items():
        xml, end = parts[part], 0
        first = xml.index(b'<row r="%d"' % (codebook.form().section(name).number_row + 1))
        pieces = around[part] = []
        for figure in _FIGURE.finditer(xml, first):
            pieces.append(xml[end : figure.start(3)])
            cells.append(f"{name}!{(figure[1] + figure[2]).decode()}")
            values.append(float(figure[3]))
            end = figure.end(3)
        pieces.append(xml[end:])
    return Base(region, path.name, parts, around, cells, np.array(values))


def _write(folder: Path, months: list[str], raw: Path | None, seed: int, region: str) -> list[Path]:
    one = base(region, raw)
    return [one.write(folder, period, seed) for period in months]


def write(folder: Path, months: list[str], raw: Path | None = None, seed: int = 0) -> list[Path]:
    """Write the workbooks of all regions for these periods; about 1 MB each."""
    regions = list(_files())
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        written = pool.map(partial(_write, folder, months, raw, seed), regions)
        return sorted(path for paths in written for path in paths)

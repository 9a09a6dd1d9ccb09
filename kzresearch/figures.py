"""One number with its unit and the cells it was taken from; sums keep both."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import polars as pl

from kzresearch.errors import KzresearchError
from kzresearch.language import later, localised, noted, say

NOT_REPORTED = later("not reported")
CONTRADICTED = later("does not add up in the source")
"""What is shown of a figure that cannot be computed, as what the source reports contradicts itself."""
NOT_DEFINED = later("not defined")
"""What is shown of a share of nothing, though all that it needs is reported."""
LIMITS = {
    "_lower": later("lower limit of the 95 % interval"),
    "_upper": later("upper limit of the 95 % interval"),
}
"""How the names of an interval's limits end, and what is said of each."""
LEAST = 0.0005
"""The least share that one decimal of a percent shows."""


class Cell(NamedTuple):
    """A cell of a workbook: `workbook` is the file's sha256, `cell` as in `R1!Q70`."""

    workbook: str
    cell: str


class UnitError(KzresearchError):
    """Figures of different units put together."""


@dataclass(frozen=True)
class Figure:
    """A figure: `value` (None where no source reports it), `unit`, and where it comes from.

    Sums and differences of figures keep the cells of both, are None where one of them is, and
    refuse different units: `registered + terminated`.

    >>> (kz.Figure(106, "offences") + kz.Figure(812, "offences")).text
    '918'
    >>> kz.Figure(None, "offences").text
    'not reported'
    """

    value: float | None
    unit: str
    cells: tuple[Cell, ...] = ()
    sources: tuple[str, ...] = ()
    formula: str | None = None
    note: str | None = None
    shown: str | None = None  # a word in place of the number

    @property
    def text(self) -> str:
        """What a reader is shown: `1,234`, or `not reported`."""
        return self.shown or number(self.value)

    def __add__(self, other: Figure) -> Figure:
        return self._with(other, 1)

    def __sub__(self, other: Figure) -> Figure:
        return self._with(other, -1)

    def _with(self, other: Figure, sign: int) -> Figure:
        if self.unit != other.unit:
            raise UnitError(f"{self.unit} and {other.unit} cannot be added: different units")
        if self.value is None or other.value is None:
            return Figure(None, self.unit)
        return Figure(
            value=self.value + sign * other.value,
            unit=self.unit,
            cells=tuple(dict.fromkeys(self.cells + other.cells)),
            sources=tuple(dict.fromkeys(self.sources + other.sources)),
        )

    def named(self, formula: str, note: str | None = None) -> Figure:
        """The same figure with the formula it follows, and a note.

        >>> both = kz.Figure(106, "offences") + kz.Figure(812, "offences")
        >>> both.named("in_proceedings + terminated_rehabilitating").formula
        'in_proceedings + terminated_rehabilitating'
        """
        return replace(self, formula=formula, note=note)


def number(value: float | None) -> str:
    """A number as it is shown: thousands parted, decimals only where there are any; a dash for nan."""
    if value is None:
        return say(NOT_REPORTED)
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if value == round(value):
        shown = f"{value + 0.0:,.0f}"  # −0 is 0
    else:
        shown = f"{value:,.3f}".rstrip("0").rstrip(".") if abs(value) >= 0.0005 else f"{value:.1g}"
    return localised(shown.replace("-", "−"))


def percent(share: float | None) -> str:
    """A share of 1 as it is shown: `88.5 %`; one too small for that is not shown as none."""
    if share is None:
        return say(NOT_REPORTED)
    if 0 < share < LEAST:
        return localised("< 0.1 %")
    return localised("> 99.9 %" if 1 - LEAST < share < 1 else f"{share * 100:.1f} %")


def estimate(value: float | None) -> str:
    """A rate or ratio as it is shown: two decimals, three or two digits where it is small."""
    if value is None:
        return say(NOT_REPORTED)
    if value == 0 or abs(value) >= 0.095:
        return localised(f"{value:,.2f}")
    return localised(f"{value:.3f}" if abs(value) >= 0.0095 else f"{value:.2g}")


def with_limits(
    name: str,
    found: tuple[float | None, float | None, float | None],
    unit: str,
    taken_from: Iterable[Figure],
    formula: str,
) -> dict[str, Figure]:
    """An estimate and its interval as figures: `name`, `name_lower`, `name_upper`.

    `found` is a `rates.Interval`; a unit that begins with "share" is shown in percent. Values have
    six digits, so that they are the same on every machine. Cells are those of the figures that the
    estimate was taken from.
    """
    parts = list(taken_from)
    cells = tuple(dict.fromkeys(cell for one in parts for cell in one.cells))
    sources = tuple(dict.fromkeys(source for one in parts for source in one.sources))
    made = {}
    for suffix, value in zip(("", "_lower", "_upper"), found, strict=True):
        digits = None if value is None else float(f"{value:.6g}")
        shown = say(NOT_DEFINED) if all(one.value is not None for one in parts) else None
        if digits is not None:
            shown = percent(digits) if unit.startswith("share") else estimate(digits)
        note = say(LIMITS[suffix]) if suffix else None
        made[f"{name}{suffix}"] = Figure(digits, unit, cells, sources, formula, note, shown)
    return made


def place(cell: str) -> str:
    """Where a cell stands, for readers: `R1!Q70`; the line of a text file in the reader's language."""
    found = re.fullmatch(r"line (\d+)(?:, (.+))?", cell)
    if not found:
        return cell
    line, column = found.groups()
    if column:
        return say("line {line}, {column}", line=line, column=column)
    return say("line {line}", line=line)


def origin(cells: Iterable[Cell]) -> str:
    """Cells in words: `R1!Q70`, and `R1!Q70 of 20 workbooks` for a sum; empty for none."""
    files = Counter(place(cell.cell) for cell in cells)
    groups: dict[int, list[str]] = {}
    for cell, many in files.items():
        groups.setdefault(many, []).append(cell)
    said = (
        say("{cells} of {n} {n:workbook|workbooks}", cells=", ".join(of), n=n)
        if n > 1
        else ", ".join(of)
        for n, of in groups.items()
    )
    return "; ".join(said)


class Lookup:
    """The figures of a `load_form_1m` frame by where they stand in the form.

    `lookup("R1", "article:146", "registered", "offences")` has value None where the frame has no
    such row. Raises KzresearchError for a frame that holds a figure twice.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        place = ("section", "row", "measure")
        self._lines = {tuple(line[n] for n in place): line for line in frame.iter_rows(named=True)}
        if len(self._lines) < frame.height:
            twice = frame.filter(frame.select(place).is_duplicated()).select(place).row(0)
            raise KzresearchError(
                f"several figures for {', '.join(twice)}: filter by period, region and source"
            )

    def __contains__(self, place: tuple[str, str, str]) -> bool:
        """Whether there is a figure of that section, row and measure."""
        return place in self._lines

    def __call__(self, section: str, row: str, measure: str, unit: str) -> Figure:
        """The figure of a section, row and measure."""
        line = self._lines.get((section, row, measure))
        if line is None:
            return Figure(None, unit)
        cells = line.get("cells") or (
            [{"workbook": line["workbook"], "cell": line["cell"]}] if line["workbook"] else []
        )
        return Figure(
            value=line["value"],
            unit=line["unit"],
            cells=tuple(Cell(c["workbook"], c["cell"]) for c in cells),
            sources=(line["source"],),
            note=noted(line["note"]),
        )


def total(figures: list[Figure]) -> Figure:
    """The sum of at least one figure."""
    first, *rest = figures
    for one in rest:
        first += one
    return first

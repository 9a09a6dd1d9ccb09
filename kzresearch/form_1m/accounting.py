"""Whether reports on Form 1-M add up: every accounting identity known of the form, tested.

The identities are data, `codebook/identities.csv`. A side is a sum of terms; a term names a section
(or leaves it to the line's `sections`), a row and a measure, as in `R1/total/registered`, with
`*`, `?` and `[…]` for several at once. A term without a row runs over every row, one without a
measure over every measure, that all the sections named have; the columns `rows` and `measures`
narrow that down (`!` excludes). Two words stand for rows seen from the left side's: `articles`,
those of its chapter, and `article`, the one it is a part of. `how` says what the left side is if
not a sum: `each` of its figures by itself, their `max`, or a figure allowed `only_where` the right
is above 0. An identity on several lines is tested by all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from kzresearch.errors import KzresearchError
from kzresearch.figures import number
from kzresearch.form_1m import codebook
from kzresearch.form_1m.workbook import column_index

_IDENTITIES = Path(__file__).with_name("codebook") / "identities.csv"
_REPORT = ["period", "region", "source"]
_FIGURE = ["section", "row", "measure"]
# Values have three decimals at most: as whole thousandths they add up without rounding.
_SCALE = 1000


class _Term(NamedTuple):
    """Figures that a side adds (`sign` 1) or subtracts; None for the row or measure run over."""

    sign: int
    section: str
    row: str | None
    measure: str | None


class _Plan(NamedTuple):
    """Every test that the form allows, worked out from the identities."""

    identities: pl.DataFrame  # identity, kind, status, description
    tests: pl.DataFrame  # test, identity, kind, how, row, measure, size (figures it needs)
    parts: pl.DataFrame  # test, figure, left, right: what a test adds up, with its sign per side
    figures: pl.DataFrame  # figure, section, row, measure: the form's figures, numbered


def check_form_1m(frame: pl.DataFrame, hypotheses: bool = False) -> pl.DataFrame:
    """Test every accounting identity on the reports in a frame, and count.

    `frame` is as `read_form_1m` and `load_form_1m` give it, of one report or many, whole or
    filtered: a test is made where every figure it needs is there, and not otherwise.

    Returns one row per identity, those without a test included: `identity`, `kind` (`=` or `<=`),
    `status` (`hard`: holds, or fails for single records only; `source_defect`: should hold, and the
    source breaks it), `description`, `tests`, `nonzero` (tests in which a side is not 0), `holds`,
    `fails`, `workbooks_failing` (reports in which it fails) and `max_difference` (the largest
    difference between the sides of a failing test, in the figures' unit; 0 where none fails).
    `hypotheses` adds the natural guesses known to be false, with status `not_an_identity`. The
    statuses were assigned after testing the 20 regional reports of January to December 2022.

    Raises `KzresearchError` for a frame that holds a figure twice or lacks a column.

    Source: the identities are this project's, found in the workbooks of 2022-12.

    >>> import kzresearch as kz
    >>> checked = check_form_1m(kz.load_form_1m("2022-12", section="R1"))
    >>> checked.filter(identity="V2:R1").select("tests", "fails", "max_difference").row(0)
    (620, 3, 1.0)
    """
    return examine(frame, hypotheses)[0]


def failures(frame: pl.DataFrame, hypotheses: bool = False) -> pl.DataFrame:
    """Every failing test of `check_form_1m`, with the cells that entered it.

    `frame` and `hypotheses` are as there.

    Returns one row per failing test: `identity`, its `status` and `kind`, `period`, `region`, `row`
    and `measure` (what the test is about; null where it is about several), `left` and `right` (the
    two sides), `difference` (left − right; these three in the figures' unit) and `cells`, a list of
    `{workbook, cell}` with every cell of the left side, `left_cells` of them, then of the right.

    Raises `KzresearchError` for a frame that holds a figure twice or lacks a column.

    Source: as `check_form_1m`.
    """
    return examine(frame, hypotheses)[1]


def examine(frame: pl.DataFrame, hypotheses: bool = False) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What `check_form_1m` and `failures` give, the tests made once for both."""
    plan = _plan(hypotheses)
    needed = [*_REPORT, *_FIGURE, "value", "workbook", "cell"]
    if missing := [name for name in needed if name not in frame.columns]:
        raise KzresearchError(
            f"the frame lacks {', '.join(missing)}; give one as load_form_1m or read_form_1m returns it"
        )
    cells = pl.concat_list(pl.struct("workbook", "cell"))
    if "cells" in frame.columns:  # a sum of regions lists the cells of all of them
        cells = pl.when(pl.col("workbook").is_null()).then("cells").otherwise(cells)
    held = pl.col("cells").struct.field("workbook").is_not_null()
    counts, found = [], []
    for report in _reports(plan, frame):
        results = _results(plan, report)
        counts.append(_counts(results))
        failing = results.filter("fails").sort("test")
        entered = (
            failing.select("test")
            .join(plan.parts, on="test")
            .join(report, on="figure")
            .sort("test", pl.col("left") == 0, "figure")
        )
        found.append(
            entered.hstack(frame[entered["index"]].select("period", "region", cells=cells))
            .explode("cells")
            .group_by("test", "period", "region", maintain_order=True)
            .agg(
                pl.col("cells").filter(held),
                left_cells=(held & (pl.col("left") != 0)).sum().cast(pl.Int64),
            )
            .join(failing, on="test", maintain_order="left")
        )
    total = (
        pl.concat(counts)
        .group_by("identity")
        .agg(
            pl.col("tests", "nonzero", "holds", "fails", "workbooks_failing").sum().cast(pl.Int64),
            pl.col("max_difference").max(),
        )
    )
    checked = plan.identities.join(total, on="identity", how="left", maintain_order="left")
    sides = pl.col("left", "right") / _SCALE
    failed = (
        pl.concat(found)
        .with_columns(sides, difference=(pl.col("left") - pl.col("right")) / _SCALE)
        .join(plan.identities.select("identity", "status"), on="identity")
        .sort("test", "period", "region")
        .select(
            *("identity", "status", "kind", "period", "region", "row", "measure"),
            *("left", "right", "difference", "left_cells", "cells"),
        )
    )
    return checked.with_columns(pl.selectors.numeric().fill_null(0)), failed


def in_words(failure: dict[str, Any]) -> tuple[str, str]:
    """The sides of a row of `failures` and their cells: `24 ≠ 23` and `R1!E9; R1!E10–E13`."""
    sign = "≠" if failure["kind"] == "=" else ">"
    cells, left = [cell["cell"] for cell in failure["cells"]], failure["left_cells"]
    sides = (_ranges(side) for side in (cells[:left], cells[left:]))
    return f"{number(failure['left'])} {sign} {number(failure['right'])}", "; ".join(sides)


def _ranges(cells: list[str]) -> str:
    """Cells with neighbours drawn together: `R1!J13, R1!AB13–AD13`."""
    runs: list[list[str]] = []
    along = ""  # what the cells of the latest run have in common
    for cell in dict.fromkeys(cells):  # a sum of workbooks has each cell several times
        line = _line(runs[-1][-1], cell) if runs else ""
        if line and (len(runs[-1]) == 1 or line == along):
            runs[-1].append(cell)
            along = line
        else:
            runs.append([cell])
    tails = (f"–{run[-1].split('!')[1]}" if len(run) > 1 else "" for run in runs)
    return ", ".join(run[0] + tail for run, tail in zip(runs, tails, strict=True))


def _line(cell: str, following: str) -> str:
    """`row` or `column` where the second cell comes right after the first in one of a sheet."""
    (sheet, *place), (its_sheet, *its) = (
        re.split(r"(?<=!)([A-Z]+)", name)[:3] for name in (cell, following)
    )
    across, down = column_index(its[0]) - column_index(place[0]), int(its[1]) - int(place[1])
    steps = {(1, 0): "row", (0, 1): "column"}
    return steps.get((across, down), "") if sheet == its_sheet else ""


def _counts(results: pl.DataFrame) -> pl.DataFrame:
    """Tests of one report, by identity."""
    difference = (pl.col("left") - pl.col("right")).abs()
    return results.group_by("identity").agg(
        tests=pl.len(),
        nonzero=((pl.col("left") != 0) | (pl.col("right") != 0)).sum(),
        holds=pl.col("fails").not_().sum(),
        fails=pl.col("fails").sum(),
        workbooks_failing=pl.col("fails").any().cast(pl.Int64),
        max_difference=difference.filter("fails").max() / _SCALE,
    )


def _reports(plan: _Plan, frame: pl.DataFrame) -> list[pl.DataFrame]:
    """The figures of each report: index (the row in the frame), figure, value in thousandths."""
    reports = frame.select(_REPORT).unique(maintain_order=True).with_row_index("report")
    numbered = (
        frame.lazy()
        .select(*_REPORT, *_FIGURE, "value")
        .with_row_index("index")
        .join(plan.figures.lazy(), on=_FIGURE)
        .join(reports.lazy(), on=_REPORT)
        .select("report", "index", "figure", (pl.col("value") * _SCALE).round().cast(pl.Int64))
        .collect()
    )
    # An empty frame is one report without a figure.
    found = numbered.partition_by("report", include_key=False) or [numbered.drop("report")]
    for report in found:
        twice = report.filter(pl.col("figure").is_duplicated())
        if not twice.is_empty():
            line = frame.row(twice["index"][0], named=True)
            raise KzresearchError(
                f"{line['section']} {line['row']} {line['measure']} of {line['region']} for "
                f"{line['period']} stands twice in the frame; keep one of the two"
            )
    return found


def _results(plan: _Plan, report: pl.DataFrame) -> pl.DataFrame:
    """Every test that one report allows: the columns of `_Plan.tests`, left, right, fails."""
    # Right figures enter the left side as 0, which changes no sum and, figures being 0 or more,
    # no maximum either.
    value, how, right = pl.col("value"), pl.col("how"), pl.col("right")
    return (
        plan.parts.join(report, on="figure")
        .group_by("test")
        .agg(
            left=(value * pl.col("left")).sum(),
            right=(value * right).sum(),
            largest=(value * pl.col("left")).max(),
            held=pl.len(),
        )
        .join(plan.tests, on="test")
        .filter(pl.col("held") == pl.col("size"))
        .with_columns(left=pl.when(how == "max").then("largest").otherwise("left"))
        .with_columns(
            right=pl.when(how != "only_where")
            .then(right)
            .otherwise(pl.when(right > 0).then("left").otherwise(0))
        )
        .with_columns(
            fails=pl.when(pl.col("kind") == "=")
            .then(pl.col("left") != right)
            .otherwise(pl.col("left") > right)
        )
        .drop("largest", "held")
    )


@cache
def _plan(hypotheses: bool) -> _Plan:
    lines = [line for line in _lines() if hypotheses or line["status"] != "not_an_identity"]
    heads: list[tuple[int, str, str, str]] = []
    rows: list[tuple[int, str | None]] = []
    measures: list[tuple[int, str | None]] = []
    terms: list[tuple[object, ...]] = []
    for line in lines:
        for left, right in _sides(line):
            number = len(heads)
            heads.append((number, line["identity"], line["kind"], line["how"]))
            rows += [(number, row) for row in _run_over("row", left, right, line["rows"])]
            measures += [(number, m) for m in _run_over("measure", left, right, line["measures"])]
            terms += [(number, term.sign, 0, *term[1:]) for term in left]
            terms += [(number, 0, term.sign, *term[1:]) for term in right]

    def table(lines: list[Any], *columns: str) -> pl.DataFrame:
        return pl.DataFrame(lines, ["number", *columns], orient="row", infer_schema_length=None)

    tests = (
        table(heads, "identity", "kind", "how")
        .join(table(rows, "row"), on="number", maintain_order="left_right")
        .join(table(measures, "measure"), on="number", maintain_order="left_right")
        .with_row_index("test")
    )
    figures = codebook.form().template().select(_FIGURE).with_row_index("figure")
    parts = (
        tests.select("test", "number", "row", "measure")
        .join(table(terms, "left", "right", "section", "its_row", "its_measure"), on="number")
        .with_columns(
            row=pl.coalesce("its_row", "row"), measure=pl.coalesce("its_measure", "measure")
        )
        .join(figures, on=_FIGURE, how="left")
        .select("test", "figure", pl.col("left", "right").cast(pl.Int8))
    )
    # A row or measure run over that one of the sections lacks makes no test.
    size = parts.group_by("test").agg(pl.col("figure").is_not_null().all(), size=pl.len())
    size = size.filter("figure").drop("figure")
    identities = pl.DataFrame(lines, infer_schema_length=None).unique(
        "identity", keep="first", maintain_order=True
    )
    return _Plan(
        identities.select("identity", "kind", "status", "description"),
        tests.join(size, on="test", maintain_order="left").drop("number"),
        parts.join(size, on="test", how="semi"),
        figures,
    )


def _lines() -> Iterator[dict[str, str]]:
    """The lines of `identities.csv`, one for each of their sections."""
    for line in pl.read_csv(_IDENTITIES, infer_schema=False).fill_null("").iter_rows(named=True):
        for section in line["sections"].split() or [""]:
            named = {column: text.format(section=section) for column, text in line.items()}
            yield named | {"section": section}


def _sides(line: dict[str, str]) -> Iterator[tuple[list[_Term], list[_Term]]]:
    """The left and the right side of a line; several of them where it means `each`."""
    left = _terms(line["left"], line["section"])
    for group in [[term] for term in left] if line["how"] == "each" else [left]:
        yield group, _terms(line["right"], line["section"], beside=group[0].row)


def _terms(text: str, section: str, beside: str | None = None) -> list[_Term]:
    """The terms of one side; `beside` is the row opposite."""
    terms = []
    for sign, name in re.findall(r"(?:^|([+-]) )(\S+)", text):
        parts = name.split("/")
        its_section = parts.pop(0) if parts[0] in codebook.section_names() else section
        found: dict[str, list[str | None]] = {"row": [None], "measure": [None]}
        for part in parts:
            patterns = _related(part, beside) if part in {"article", "articles"} else [part]
            # No row is called as a measure is: a part means the one or the other, or is a mistake.
            matching = {what: _matching(_names(its_section, what), patterns) for what in found}
            (what,) = [what for what, names in matching.items() if names]
            found[what] = [*matching[what]]
        terms += [
            _Term(-1 if sign == "-" else 1, its_section, row, measure)
            for row in found["row"]
            for measure in found["measure"]
        ]
    return terms


def _related(word: str, row: str | None) -> list[str]:
    """The `articles` of a chapter's row, or the `article` that a row is a part of."""
    names = codebook.row_names()
    its = names.row(by_predicate=pl.col("row") == row, named=True)
    if word == "article":
        return [f"article:{its['article']}"]
    of_chapter = pl.col("kind").is_in(["article", "attempt"]) & (
        pl.col("chapter") == its["chapter"]
    )
    return names.filter(of_chapter)["row"].to_list()


def _run_over(what: str, left: list[_Term], right: list[_Term], narrowed: str) -> list[str | None]:
    """The rows or measures to test; where the terms fix them, the one that a side is about."""
    running = [term.section for term in left + right if getattr(term, what) is None]
    if not running:
        sides = [{getattr(term, what) for term in side} for side in (left, right)]
        return [next((min(names) for names in sides if len(names) == 1), None)]
    names = _names(running[0], what)
    patterns = narrowed.split()
    excluded = _matching(names, [p[1:] for p in patterns if p.startswith("!")])
    wanted = _matching(names, [p for p in patterns if not p.startswith("!")] or ["*"])
    return [name for name in wanted if name not in excluded]


@cache
def _names(section: str, what: str) -> list[str]:
    """The rows (`"row"`) or measures (`"measure"`) of a section."""
    spec = codebook.form().section(section)
    return (spec.rows if what == "row" else spec.columns)[what].to_list()


def _matching(names: list[str], patterns: list[str]) -> list[str]:
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]

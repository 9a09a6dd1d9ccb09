"""Whether reports on Form 1-M add up: every accounting identity known of the form, tested.

The identities are data, `codebook/identities.csv`. A side is a sum of terms; a term names a section
(or leaves it to the line's `sections`), a row and a measure, as in `R1/total/registered`, with
`*`, `?` and `[…]` for several at once. A term without a row runs over every row, one without a
measure over every measure, that all the sections named have; the columns `rows` and `measures`
narrow that down (`!` excludes). Two words stand for rows seen from the left side's: `articles`,
those of its chapter, and `article`, the one it is a part of. `how` says what the left side is if
not a sum: `each` of its figures by itself, their `max`, or a figure allowed `only_where` the right
is above 0. An identity on several lines is tested by all of them.

The identities are of every version of the form: a term whose section, row or measure a version
lacks makes no test there; a pattern, like `articles`, stands for what the version has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import translate
from fractions import Fraction
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from kzresearch.errors import KzresearchError
from kzresearch.figures import number
from kzresearch.form_1m import codebook
from kzresearch.form_1m.codebook import Form
from kzresearch.form_1m.workbook import column_index
from kzresearch.language import say
from kzresearch.resources import read_texts

_IDENTITIES = Path(__file__).with_name("codebook") / "identities.csv"
_REPORT = ["period", "region", "source"]
_FIGURE = ["section", "row", "measure"]
# Values have three decimals at most: as whole thousandths they add up without rounding. So many
# are exact as floating-point numbers; as a test adds up less than 1,024 figures, 64 bits hold it.
_SCALE = 1000
_EXACT = 2**53
_LARGEST = 1e300  # the sums of figures up to it are still finite
_LACKING = -(2**40)  # in place of the place of what a form lacks; stays below 0 in sums of two

_Array: TypeAlias = NDArray[Any]


class _Term(NamedTuple):
    """Figures that a side adds (`sign` 1) or subtracts; None for the row or measure run over."""

    sign: int
    section: str
    row: str | None
    measure: str | None


class _Template(NamedTuple):
    """Where a form's figures stand in its template: at the sum of the two tables' places."""

    names: dict[str, dict[str, int]]  # of every section, row and measure: its number below
    rows: _Array  # section × row; the last of each is `_LACKING`, as all that a section lacks
    measures: _Array  # section × measure
    size: int


@dataclass(frozen=True, eq=False)
class _Side:
    """What one side of every test adds up, test after test."""

    figures: _Array  # places in the form's template; −1 − place where a figure is subtracted
    sizes: _Array  # how many of them each test has

    @cached_property
    def starts(self) -> _Array:
        """Where each test's begin."""
        return np.cumsum(self.sizes) - self.sizes


class _Plan(NamedTuple):
    """Every test that a version of the form allows, worked out from the identities."""

    form: Form
    identities: pl.DataFrame  # identity, kind, status, description: whatever the version
    tests: pl.DataFrame  # test (its number), row, measure: what each test is about
    line: _Array  # of its identity in `identities`
    equal: _Array  # whether the sides must be equal
    largest: _Array  # whether the left side is the largest of its figures
    only_where: _Array  # whether it may be above 0 only where the right side is
    left: _Side
    right: _Side


class _Results(NamedTuple):
    """What every test of a plan comes to with the figures of one report; sides in thousandths."""

    left: _Array
    right: _Array
    fails: _Array


def check_form_1m(frame: pl.DataFrame, hypotheses: bool = False) -> pl.DataFrame:
    """Test every accounting identity on the reports in a frame, and count.

    `frame` is as `read_form_1m` and `load_form_1m` give it, of one report or many, whole or
    filtered: a test is made where every figure it needs is there and not null, and not otherwise.
    The tests are those of the version of the form that a report's workbook is of; a sum of
    workbooks of several versions is not tested.

    Returns one row per identity, those without a test included: `identity`, `kind` (`=` or `<=`),
    `status` (`hard`: holds, or fails for single records only; `source_defect`: should hold, and the
    source breaks it), `description`, `tests`, `nonzero` (tests in which a side is not 0), `holds`,
    `fails`, `workbooks_failing` (reports in which it fails) and `max_difference` (the largest
    difference between the sides of a failing test, in the figures' unit; 0 where none fails).
    `hypotheses` adds the natural guesses known to be false, with status `not_an_identity`. The
    statuses were assigned after testing the 20 regional reports of January to December 2022.

    Raises `KzresearchError` for a frame that holds a figure twice or an infinite one, or lacks a column.

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

    Raises `KzresearchError` for a frame that holds a figure twice or an infinite one, or lacks a column.

    Source: as `check_form_1m`.
    """
    return examine(frame, hypotheses)[1]


def broken(form: Form, values: ArrayLike | pl.Series) -> pl.DataFrame:
    """The identities that one whole report breaks: `check_form_1m` without the rest, and quick.

    `values` are the report's figures in the order of `form.template()`; null is a missing figure.

    Returns one row per identity that fails, as `check_form_1m` does: `identity`, `status`, `tests`,
    `fails` and `max_difference`.

    Raises `KzresearchError` for another number of values than the form has, or an infinite one.

    Source: as `check_form_1m`.
    """
    plan = _plan(form, False)
    figures, size = np.asarray(values, np.float64), _template(form).size
    if figures.shape != (size,):
        raise KzresearchError(
            f"{figures.size:,} figures given, where the form {form.name} has {size:,}; give "
            "those of a whole report in the order of the form's template"
        )
    plan = _allowed(plan, np.isnan(figures))
    counts = pl.DataFrame(_counts(plan, _results(plan, figures)))
    return (
        plan.identities.hstack(counts)
        .select("identity", "status", "tests", "fails", "max_difference")
        .filter(pl.col("fails") > 0)
    )


def examine(
    frame: pl.DataFrame, hypotheses: bool = False, form: Form | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What `check_form_1m` and `failures` give, the tests made once for both.

    `form` is the version of the form that every report is of; by default that of its workbooks.
    """
    needed = [*_REPORT, *_FIGURE, "value", "workbook", "cell"]
    if lacking := [name for name in needed if name not in frame.columns]:
        raise KzresearchError(
            f"the frame lacks {', '.join(lacking)}; give one as load_form_1m or read_form_1m returns it"
        )
    counts, found = [], []
    value = np.append(frame["value"].cast(pl.Float64).to_numpy(), np.nan)
    plan, missing = _plan(form or codebook.form(), hypotheses), np.zeros(0, bool)
    for version, rows in _reports(frame, form):
        values = value[rows]
        if version is not plan.form or not np.array_equal(np.isnan(values), missing):
            missing = np.isnan(values)
            plan = _allowed(_plan(version, hypotheses), missing)
        results = _results(plan, values)
        counts.append(pl.DataFrame(_counts(plan, results)).with_row_index("line"))
        found.append(_failures(plan, results, frame, rows))
    total = (
        pl.concat(counts)
        .group_by("line", maintain_order=True)
        .agg(pl.exclude("max_difference").sum(), pl.col("max_difference").max())
        .drop("line")
    )
    failed = (
        pl.concat(found)
        .sort("line", "test", "period", "region")
        .select(
            *("identity", "status", "kind", "period", "region", "row", "measure"),
            *("left", "right", "difference", "left_cells", "cells"),
        )
    )
    return plan.identities.hstack(total), failed


def descriptions() -> dict[str, str]:
    """What must hold by each identity, in the reader's language: identity → `description`."""
    found: dict[str, str] = {}
    for line in read_texts(_IDENTITIES).fill_null("").iter_rows(named=True):
        for section in line["sections"].split() or [""]:
            text = say(line["description"], section=section)
            found.setdefault(line["identity"].format(section=section), text)
    return found


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


def _reports(frame: pl.DataFrame, form: Form | None) -> Iterator[tuple[Form, _Array]]:
    """Each report: the version of the form it is of, and the row of each of its figures, or −1."""
    placed = {one: _figures(one, frame) for one in ([form] if form else codebook.forms())}
    versions = _versions() if len(placed) > 1 else {}
    reports = frame.select(_REPORT).with_row_index("rows").group_by(_REPORT, maintain_order=True)
    # A frame without a figure is one report without a figure.
    for rows in list(reports.agg("rows")["rows"]) or [pl.Series(dtype=pl.UInt32)]:
        held = rows.to_numpy()
        names = {versions.get(one) for one in _workbooks(frame, rows)} if versions else set()
        names.discard(None)
        # Of workbooks that no list has, or of none: the first version that has all the figures.
        having = (one for one, places in placed.items() if (places[held] >= 0).all())
        named = (one for one in placed if one.name in names)
        version = next(named if names else having, next(iter(placed)))
        if len(names) > 1:  # no version's identities are about a sum of several
            held = held[:0]
        yield version, _rows(_template(version).size, placed[version], held, frame)


def _versions() -> dict[str, str]:
    """The name of the version of the form that each workbook known is of."""
    from kzresearch.datasets import load_workbooks

    return dict(load_workbooks().select("sha256", "form_version").iter_rows())


def _workbooks(frame: pl.DataFrame, rows: pl.Series) -> pl.Series:
    """The workbooks behind some rows of a frame."""
    found = [frame["workbook"][rows]]
    if "cells" in frame.columns:  # a sum of regions lists the cells of all of them
        found.append(frame["cells"][rows].explode().struct.field("workbook"))
    return pl.concat(found).unique()


def _figures(form: Form, frame: pl.DataFrame) -> _Array:
    """Where the figures of a frame stand in the form's template; below 0 for one that it lacks."""
    template = _template(form)
    section, row, measure = (
        frame[name].cast(pl.Enum(list(of)), strict=False).to_physical().fill_null(len(of))
        for name, of in template.names.items()
    )
    return template.rows[section, row] + template.measures[section, measure]


def _rows(size: int, figures: _Array, held: _Array, frame: pl.DataFrame) -> _Array:
    """For each of a form's figures the row in the frame, of those that a report holds; or −1."""
    held = held[figures[held] >= 0]
    found = np.full(size, -1)
    found[figures[held]] = held
    if len(twice := held[found[figures[held]] != held]):
        line = frame.row(int(twice[0]), named=True)
        raise KzresearchError(
            f"{line['section']} {line['row']} {line['measure']} of {line['region']} for "
            f"{line['period']} stands twice in the frame; keep one of the two"
        )
    return found


def _allowed(plan: _Plan, missing: _Array) -> _Plan:
    """The tests of which no figure is missing."""
    if not missing.any():
        return plan
    there = ~np.concatenate([missing, missing[::-1]])
    sides = plan.left, plan.right
    made = np.all([np.logical_and.reduceat(there[s.figures], s.starts) for s in sides], axis=0)
    return plan._replace(
        tests=plan.tests.filter(made),
        line=plan.line[made],
        equal=plan.equal[made],
        largest=plan.largest[made],
        only_where=plan.only_where[made],
        left=_chosen(plan.left, made),
        right=_chosen(plan.right, made),
    )


def _chosen(side: _Side, tests: _Array) -> _Side:
    """One side of some of the tests."""
    return _Side(side.figures[np.repeat(tests, side.sizes)], side.sizes[tests])


def _results(plan: _Plan, values: _Array) -> _Results:
    """Every test made with the figures of one report."""
    figures = _thousandths(plan.form, np.where(np.isnan(values), 0, values))
    # The figure at −1 − place is the one at the place, subtracted.
    signed = np.concatenate([figures, -figures[::-1]])
    entering = signed[plan.left.figures]
    left = np.add.reduceat(entering, plan.left.starts)
    right = np.add.reduceat(signed[plan.right.figures], plan.right.starts)
    largest = np.maximum.reduceat(entering, plan.left.starts)
    left[plan.largest] = largest[plan.largest]
    allowed = np.where(right > 0, left, 0)
    right[plan.only_where] = allowed[plan.only_where]
    return _Results(left, right, (left > right) | (plan.equal & (left < right)))


def _thousandths(form: Form, values: _Array) -> _Array:
    """Values as whole thousandths: of 64 bits, or without bounds where their sums need more."""
    peak = np.abs(values).max(initial=0)
    if peak > _LARGEST:
        section, row, measure = form.template().row(int(np.abs(values).argmax()))[:3]
        raise KzresearchError(
            f"{section} {row} {measure} is {peak:g}, which no report can count; correct the figure"
        )
    if peak * _SCALE <= _EXACT:
        return np.rint(values * _SCALE).astype(np.int64)
    return np.array([round(Fraction(value) * _SCALE) for value in values.tolist()], dtype=object)


def _units(thousandths: _Array) -> _Array:
    return (thousandths / _SCALE).astype(np.float64)


def _counts(plan: _Plan, results: _Results) -> dict[str, _Array]:
    """Tests of one report, by identity."""

    def count(tests: _Array) -> _Array:
        return np.bincount(tests, minlength=plan.identities.height)

    left, right, failing = results.left, results.right, plan.line[results.fails]
    tests, fails = count(plan.line), count(failing)
    difference = np.zeros(plan.identities.height)
    np.maximum.at(difference, failing, _units(np.abs(left - right)[results.fails]))
    return {
        "tests": tests,
        "nonzero": count(plan.line[(left != 0) | (right != 0)]),
        "holds": tests - fails,
        "fails": fails,
        "workbooks_failing": (fails > 0).astype(np.int64),
        "max_difference": difference,
    }


def _failures(plan: _Plan, results: _Results, frame: pl.DataFrame, rows: _Array) -> pl.DataFrame:
    """The failing tests of one report, with the cells that entered them."""
    left, right = results.left[results.fails], results.right[results.fails]
    line = plan.line[results.fails]
    failing = plan.tests.filter(results.fails).with_columns(
        left=_units(left), right=_units(right), difference=_units(left - right), line=line
    )
    entered = []
    for side in (plan.left, plan.right):
        its = _chosen(side, results.fails)
        figure = np.where(its.figures < 0, ~its.figures, its.figures)
        columns = {
            "test": np.repeat(failing["test"], its.sizes),
            "figure": figure,
            "at": rows[figure],
        }
        entered.append(pl.DataFrame(columns).with_columns(its_right=pl.lit(side is plan.right)))
    parts = pl.concat(entered).sort("test", "its_right", "figure")
    cells = pl.concat_list(pl.struct("workbook", "cell"))
    if "cells" in frame.columns:  # a sum of regions lists the cells of all of them
        cells = pl.when(pl.col("workbook").is_null()).then("cells").otherwise(cells)
    stated = pl.col("cells").struct.field("workbook").is_not_null()
    return (
        parts.hstack(frame[parts["at"]].select("period", "region", cells=cells))
        .explode("cells")
        .group_by("test", "period", "region", maintain_order=True)
        .agg(
            pl.col("cells").filter(stated),
            left_cells=(stated & ~pl.col("its_right")).sum().cast(pl.Int64),
        )
        .join(
            failing.hstack(plan.identities[line].select("identity", "status", "kind")),
            on="test",
            maintain_order="left",
        )
    )


@cache
def _plan(form: Form, hypotheses: bool) -> _Plan:
    lines = [line for line in _lines() if hypotheses or line["status"] != "not_an_identity"]
    identities = pl.DataFrame(lines).unique("identity", keep="first", maintain_order=True)
    numbers = {identity: number for number, identity in enumerate(identities["identity"])}
    heads: list[tuple[int, str, str]] = []  # one for each pair of sides, which makes many tests
    tests: list[int] = []  # so many
    rows: list[str | None] = []
    measures: list[str | None] = []
    entering: tuple[list[_Array], list[_Array]] = ([], [])
    sizes: tuple[list[int], list[int]] = ([], [])
    for given in lines:
        for sides in _sides(form, given):
            over = [_run_over(form, what, sides, given[f"{what}s"]) for what in ("row", "measure")]
            known = _template(form).names
            run_over = [
                np.array([known[what].get(name or "", -1) for name in names], dtype=np.intp)
                for what, names in zip(("row", "measure"), over, strict=True)
            ]
            places = [np.array([_places(form, term, *run_over) for term in side]) for side in sides]
            # A row or measure run over that one of the sections lacks makes no test.
            there = np.all([(of_side != _LACKING).all(axis=0) for of_side in places], axis=0)
            for at, of_side in enumerate(places):
                entering[at].append(of_side[:, there].ravel("F"))
                sizes[at].append(len(of_side))
            heads.append((numbers[given["identity"]], given["kind"], given["how"]))
            tests.append(int(there.sum()))
            rows += [over[0][at] for at in there.nonzero()[0]]
            measures += [over[1][at] for at in there.nonzero()[1]]
    line, kind, how = (np.repeat(column, tests) for column in zip(*heads, strict=True))
    left, right = (
        _Side(np.concatenate(entering[at]), np.repeat(sizes[at], tests)) for at in range(2)
    )
    return _Plan(
        form=form,
        identities=identities.select("identity", "kind", "status", "description"),
        tests=pl.DataFrame(
            {"row": rows, "measure": measures}, dict.fromkeys(["row", "measure"], pl.String)
        ).with_row_index("test"),
        line=line,
        equal=kind == "=",
        largest=how == "max",
        only_where=how == "only_where",
        left=left,
        right=right,
    )


def _lines() -> Iterator[dict[str, str]]:
    """The lines of `identities.csv`, one for each of their sections."""
    for line in read_texts(_IDENTITIES).fill_null("").iter_rows(named=True):
        for section in line["sections"].split() or [""]:
            named = {column: text.format(section=section) for column, text in line.items()}
            yield named | {"section": section}


def _sides(form: Form, line: dict[str, str]) -> Iterator[tuple[list[_Term], list[_Term]]]:
    """The left and the right side of a line; several of them where it means `each`."""
    left = _terms(form, line["left"], line["section"])
    for group in [[term] for term in left] if line["how"] == "each" else [left]:
        yield group, _terms(form, line["right"], line["section"], beside=group[0].row)


def _terms(form: Form, text: str, section: str, beside: str | None = None) -> list[_Term]:
    """The terms of one side; `beside` is the row opposite."""
    terms = []
    for sign, name in re.findall(r"(?:^|([+-]) )(\S+)", text):
        parts = name.split("/")
        its_section = parts.pop(0) if parts[0] in form.section_names else section
        found: dict[str, list[str | None]] = {"row": [None], "measure": [None]}
        for part in parts:
            patterns = _related(form, part, beside) if part in {"article", "articles"} else (part,)
            # No row is called as a measure is: a part means the one or the other. What this
            # version has as neither is left as a row that it lacks.
            matching = {what: _matching(form, its_section, what, patterns) for what in found}
            what = next((what for what, names in matching.items() if names), "row")
            found[what] = [*matching[what]] or [part]
        terms += [
            _Term(-1 if sign == "-" else 1, its_section, row, measure)
            for row in found["row"]
            for measure in found["measure"]
        ]
    return terms


def _related(form: Form, word: str, row: str | None) -> tuple[str, ...]:
    """The `articles` of a chapter's row, or the `article` that a row is a part of."""
    its = _row_names(form).get(row or "")
    if its is None:
        return ()
    if word == "article":
        return (f"article:{its['article']}",)
    return tuple(
        name
        for name, line in _row_names(form).items()
        if line["kind"] in {"article", "attempt"} and line["chapter"] == its["chapter"]
    )


def _run_over(
    form: Form, what: str, sides: tuple[list[_Term], list[_Term]], narrowed: str
) -> list[str | None]:
    """The rows or measures to test; where the terms fix them, the one that a side is about."""
    running = [term.section for side in sides for term in side if getattr(term, what) is None]
    if not running:
        named = [{getattr(term, what) for term in side} for side in sides]
        return [next((min(names) for names in named if len(names) == 1), None)]
    patterns = narrowed.split()
    excluded = tuple(p[1:] for p in patterns if p.startswith("!"))
    wanted = tuple(p for p in patterns if not p.startswith("!")) or ("*",)
    without = _matching(form, running[0], what, excluded)
    return [name for name in _matching(form, running[0], what, wanted) if name not in without]


def _places(form: Form, term: _Term, rows: _Array, measures: _Array) -> _Array:
    """Where a term's figures stand in the form's template, rows × measures, signed as in `_Side`.

    `rows` and `measures` are the numbers of those that are run over; the term may fix its own.
    """
    template = _template(form)
    section = template.names["section"].get(term.section, -1)
    if term.row is not None:
        rows = np.full_like(rows, template.names["row"].get(term.row, -1))
    if term.measure is not None:
        measures = np.full_like(measures, template.names["measure"].get(term.measure, -1))
    row, measure = template.rows[section, rows], template.measures[section, measures]
    places = row[:, None] + measure
    return np.where(places < 0, _LACKING, places if term.sign > 0 else ~places)


@cache
def _template(form: Form) -> _Template:
    columns = {"section": form.sections, "row": form.rows, "measure": form.columns}
    names = {
        what: {name: at for at, name in enumerate(table[what].unique(maintain_order=True))}
        for what, table in columns.items()
    }
    rows, measures = (
        np.full((len(names["section"]) + 1, len(names[what]) + 1), _LACKING)
        for what in ("row", "measure")
    )
    size = 0
    for section, name in enumerate(form.section_names):
        its_rows, its_measures = _names(form, name, "row"), _names(form, name, "measure")
        # The template runs column by column.
        rows[section, [names["row"][row] for row in its_rows]] = np.arange(len(its_rows))
        starts = size + len(its_rows) * np.arange(len(its_measures))
        measures[section, [names["measure"][measure] for measure in its_measures]] = starts
        size += len(its_rows) * len(its_measures)
    return _Template(names, rows, measures, size)


@cache
def _names(form: Form, section: str, what: str) -> list[str]:
    """The rows (`"row"`) or measures (`"measure"`) of a section; none where there is no such."""
    if section not in form.section_names:
        return []
    spec = form.section(section)
    return (spec.rows if what == "row" else spec.columns)[what].to_list()


@cache
def _row_names(form: Form) -> dict[str, dict[str, str | None]]:
    return {line["row"]: line for line in form.row_names.iter_rows(named=True)}


@cache
def _matching(form: Form, section: str, what: str, patterns: tuple[str, ...]) -> list[str]:
    """The names of a section's rows (`"row"`) or measures (`"measure"`) that a pattern matches."""
    names = _names(form, section, what)
    found = set(patterns)
    for pattern in patterns:
        if any(sign in pattern for sign in "*?["):
            found.update(filter(re.compile(translate(pattern)).match, names))
    return [name for name in names if name in found]

"""How far the figures can be trusted: what adds up, what is covered, who else says what.

Nothing is corrected here. An identity that fails is listed with its cells; a published figure that
differs stands beside ours.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from kzresearch import captions, charts, datasets, figures, flows, sources, tables
from kzresearch.figures import Cell, Figure, number
from kzresearch.form_1m import accounting, codebook
from kzresearch.regions import COUNTRY, region_name
from kzresearch.schemas import FLAGS, NOT_NAMED

if TYPE_CHECKING:
    import altair as alt
    from IPython.display import Markdown

    from kzresearch.tables import Table

ARTICLE = "146"
"""Torture, which nearly all published figures are about."""
PUBLISHED = "published_figures"
SHOWN_CELLS = 6  # of one test; more would fill the page

CLASSES = (
    (r"V1:", "total = misdemeanours + crimes"),
    (r"V2:", "crimes = their severities"),
    (r"V3:", "total = the chapters of the Code"),
    (r"V4:", "chapter = its articles"),
    (r"V", "other rows and their parts"),
    (r"H(1|2|3|24|25):", "completed, sent to court, interrupted = their parts"),
    (r"(H4|H8a?|H11|B\d|F\d)\b", "registered, and what has left, within the caseload"),
    (r"X([1-6]|5p|7)\b", "the year's own registrations and the whole (R1-1, R1-2, R1)"),
    (r"X(8|9|9[sfg]|10|11|12|28)\b", "R1 and its appendices by severity (PRIL5 to PRIL11)"),
    (r"X", "other sections with each other"),
    (r"", "other columns and their parts"),
)
"""What an identity is about, by the beginning of its name: the first that fits."""

DEFECTS = {
    "V2:R3-1": "crimes and severities differ: no share of victims by severity",
    "V8:PRIL4": "suicides by sex do not add up",
    "V8b:PRIL4": "suicide attempts by sex do not add up",
    "H13le:R3": "more victims by citizenship than by age: no share by age",
    "X15": "offences with a victim (R3) can exceed those registered (R1): no share of them",
    "X30": "persons (R6) without a completed offence (R1): no rate of one by the other",
    "H32:R7": "the military columns of R7 do not add up: not to be used",
    "X19": "the military columns of R7 and R8 differ: not to be used",
    "H39b:PRIL1": "the kinds of firearm exceed the firearms",
    "H40:PRIL4 c1 state = c2..c6": "suicides by the person's state do not add up",
}
"""What to mind where a known source defect is found."""

INSIDE = ("H9a:R1", "H9a:R1-1", "H9:R1", "F4")
"""Must hold if terminations on rehabilitating grounds were inside the official columns."""
BESIDE = ("F1", "F2", "F3")
"""Must hold if they stand beside them."""

# Published indicator → our figures that it may mean, by their names in `flows`.
READINGS = {
    "registered": ("gross_caseload", "gross_registered", "registered"),
    "in_proceedings": ("gross_caseload", "net_caseload"),
    "completed": ("completed",),
    "sent_to_court": ("sent_to_court",),
    "terminated_total": ("terminated_rehabilitating", "terminated_non_rehabilitating"),
    "interrupted_or_expired": ("interrupted", "term_expired"),
}
LABELS = {step.name: step.label for step in flows.ALL}
HEADINGS = {
    "class": "What must agree",
    "identities": "Identities",
    "reading": "Terminations stand",
    "identity": "Identity",
    "description": "What must hold",
    "region": "Region",
    "row": "Row",
    "measure": "Column",
    "sides": "Left and right side",
    "difference": "Difference",
    "cells": "Cells",
    "tests": "Tests",
    "nonzero": "Not all nought",
    "holds": "Hold",
    "fails": "Fail",
    "workbooks_failing": "Workbooks",
    "max_difference": "Largest difference",
    "mind": "What to mind",
    "id": "Number",
    "published": "Published",
    "publisher": "By whom",
    "ours": "Ours, in offences",
    "unclear": "What is unclear",
    "file": "File",
    "name": "Region",
    "code": "ISO code",
    "organ_code": "Organ code",
    "period": "Period",
    "period_source": "Period stated by",
    "sha256": "sha256 begins",
}
"""What stands above each column of a table."""
NUMBERS = {"identities", "nonzero", "holds", "tests", "fails", "workbooks_failing"}
NUMBERS |= {"max_difference", "difference"}
CASES = r"^(criminal (cases|offences)|investigations)\b"
"""Units near enough to our offences for a difference; persons and shares are not."""


@dataclass(frozen=True)
class DataQuality:
    """What can be said of one period's figures. Made by `data_quality`."""

    period: str

    @cached_property
    def workbooks(self) -> pl.DataFrame:
        """The period's workbooks, as `load_workbooks` describes them; none for a press report."""
        return datasets.load_workbooks().filter(pl.col("period") == self.period)

    @cached_property
    def frame(self) -> pl.DataFrame:
        """Every figure of the period's workbooks, or else of a publication."""
        held = datasets.coverage().filter(pl.col("period") == self.period)
        reporting = held if self.workbooks.is_empty() else self.workbooks
        return datasets.load_form_1m(self.period, reporting["region"].unique().to_list())

    @property
    def sources(self) -> list[str]:
        """Ids of the sources drawn on: of the period's figures, and of the published ones."""
        return [*self.frame["source"].unique().sort(), PUBLISHED]

    @property
    def months(self) -> str:
        """The months the figures cover: `January–December 2022`."""
        return captions.months(self.period)

    @property
    def source_line(self) -> str:
        """Where the form's figures come from, for below a chart or table."""
        attribution = sources.source(self.sources[0])["attribution"]
        return f"{self.months}, {self._held}. Source: {attribution}"

    @property
    def _held(self) -> str:
        return f"{self.workbooks.height} workbooks" if self.workbooks.height else "no workbook"

    def _table(self, frame: pl.DataFrame, title: str, source: str = "") -> Table | Markdown:
        """A frame for a reader; a sentence where it is empty."""
        title = f"{title}, {self.months}"
        if frame.is_empty():
            return self._nothing(title)
        shown = frame.with_columns(
            pl.selectors.numeric().map_elements(number, return_dtype=pl.String)
        )
        numbers = [name for name in frame.columns if name in NUMBERS]
        return tables.table(shown, title, source + self.source_line, HEADINGS, numbers)

    def _nothing(self, title: str) -> Markdown:
        why = "; no workbook of this period is held" if self.workbooks.is_empty() else ""
        return captions.markdown(f"*{title}: nothing to list{why}.*")

    # identities

    @cached_property
    def _examined(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        return accounting.examine(self.frame, hypotheses=True)

    @cached_property
    def checked(self) -> pl.DataFrame:
        """`check_form_1m`, false hypotheses included, in words and with each identity's `class`."""
        name = pl.col("identity")
        fits = [pl.when(name.str.contains(f"^{start}")).then(pl.lit(of)) for start, of in CLASSES]
        found, _ = self._examined
        description = pl.col("description").map_elements(_words, return_dtype=pl.String)
        return found.with_columns(description, pl.coalesce(fits).alias("class"))

    @cached_property
    def failing(self) -> pl.DataFrame:
        """`failures` of hard identities and source defects, with their `status` and `kind`."""
        known = self.checked.select("identity", "status", "kind")
        _, found = self._examined
        return found.join(
            known.filter(pl.col("status") != "not_an_identity"),
            on="identity",
            maintain_order="left",
        )

    @cached_property
    def of_article(self) -> pl.DataFrame:
        """`check_form_1m` of the tests that need no figure but the article's own row."""
        own = self.frame.filter(pl.col("row") == f"article:{ARTICLE}")
        return accounting.check_form_1m(own, hypotheses=True).filter(pl.col("tests") > 0)

    def identities(self) -> Markdown:
        """How many tests were made and how many held, in words."""
        tests, nonzero, fails = (
            _sum(self.checked, "hard", n) for n in ("tests", "nonzero", "fails")
        )
        hard = self.checked.filter(pl.col("status") == "hard")
        tested = hard.filter(pl.col("tests") > 0)
        said = (
            f"Of {hard.height} hard identities {tested.height} could be tested, **{tests:,} times**; "
            f"in {nonzero:,} tests a figure is not nought. **{tests - fails:,} hold, {fails:,} fail.**"
        )
        defects, broken = (_sum(self.checked, "source_defect", n) for n in ("tests", "fails"))
        if defects:
            said += f" Of {defects:,} tests of known source defects {broken:,} fail."
        if self.workbooks.is_empty():
            said += (
                " *No workbook of this period is held. A test is made only where every figure that "
                f"it needs is reported: {'; '.join(tested['description']) or 'nowhere'}.*"
            )
        return captions.markdown(said)

    def classes(self) -> Table | Markdown:
        """Hard identities by what they are about, and all together, with counts of tests."""
        counts = (
            pl.len().cast(pl.Int64).alias("identities"),
            pl.col("tests", "nonzero", "holds", "fails").sum(),
            pl.col("max_difference").max(),
        )
        hard = self.checked.filter(pl.col("status") == "hard", pl.col("tests") > 0)
        order = pl.col("class").cast(pl.Enum([of for _, of in CLASSES]))
        by_class = hard.group_by("class").agg(counts).sort(order)
        together = hard.select(pl.lit("all").alias("class"), *counts)
        return self._table(pl.concat([by_class, together]), "Accounting identities tested")

    def failing_identities(self) -> Table | Markdown:
        """The hard identities that fail, with counts of tests."""
        return self._table(self._failing("hard"), "Hard identities that fail")

    def defects(self) -> Table | Markdown:
        """The source defects that are found, with counts of tests and what to mind."""
        mind = pl.col("identity").replace_strict(DEFECTS, default="", return_dtype=pl.String)
        found = self._failing("source_defect").with_columns(mind=mind)
        return self._table(found, "Known source defects")

    def _failing(self, status: str) -> pl.DataFrame:
        columns = ("identity", "description", "tests", "fails", "workbooks_failing")
        found = self.checked.filter(pl.col("status") == status, pl.col("fails") > 0)
        return found.select(*columns, "max_difference")

    def failures(self) -> Table | Markdown:
        """Every failing hard test: region, row, column, both sides, difference, cells."""
        hard = self.failing.filter(pl.col("status") == "hard")
        return self._table(_listed(hard), "Every failing test of a hard identity")

    def article_failures(self) -> Table | Markdown:
        """As `failures`, source defects included: the tests of the article's own row."""
        own = pl.col("identity").is_in(self.of_article["identity"].implode())
        found = self.failing.filter(pl.col("row") == f"article:{ARTICLE}", own)
        return self._table(_listed(found), f"Failing tests in the row of article {ARTICLE}")

    def by_region(self) -> alt.LayerChart | alt.FacetChart | Markdown:
        """Failing hard tests by region, most first, as a chart."""
        title = f"Failing tests of hard identities by region, {self.months}"
        counts = (
            self.failing.filter(pl.col("status") == "hard")
            .group_by(pl.col("region").map_elements(region_name, return_dtype=pl.String))
            .agg(value=pl.len().cast(pl.Float64))
            .sort(-pl.col("value"), "region")
            .rename({"region": "label"})
        )
        if counts.is_empty():
            return self._nothing(title)
        return charts.bars(counts, title, "tests", self.source_line)

    def article(self) -> Markdown:
        """What the tests say of the article's own row, in words."""
        tests, fails = (_sum(self.of_article, "hard", name) for name in ("tests", "fails"))
        defects, found = (_sum(self.of_article, "source_defect", n) for n in ("tests", "fails"))
        said = (
            f"{captions.row_name(f'article:{ARTICLE}')}: {tests:,} tests of hard identities need no "
            f"figure but those of this row; **{fails:,} fail**."
        )
        if defects:
            said += f" Of {defects:,} tests of known source defects {found:,} fail."
        return captions.markdown(said)

    def readings(self) -> Table | Markdown:
        """What two readings of the official columns require, and how often it fails."""
        order = {name: at for at, name in enumerate((*INSIDE, *BESIDE))}
        of = self.checked.filter(pl.col("identity").is_in(list(order)), pl.col("tests") > 0)
        inside = pl.when(pl.col("identity").is_in(INSIDE)).then(pl.lit("inside"))
        found = of.sort(pl.col("identity").replace_strict(order)).select(
            inside.otherwise(pl.lit("beside")).alias("reading"),
            *("identity", "description", "tests", "fails"),
        )
        return self._table(found, "Tests of the two readings")

    def net(self) -> Markdown:
        """Why *registered* and *in proceedings* are net, in words."""
        (tests, inside), (_, beside) = self._reading(INSIDE[0]), self._reading(BESIDE[0])
        if not tests:
            return captions.markdown(
                "*Whether the official columns are net cannot be tested for this period: not every "
                "column that the test takes is reported.*"
            )
        verdict = (
            " So the official columns are net of these terminations."
            if inside and not beside
            else ""
        )
        return captions.markdown(
            "Were offences terminated on rehabilitating grounds *inside* those in proceedings, they "
            f"could not outnumber them: they do in **{inside:,} of {tests:,}** rows. If they stand "
            "*beside* them, all else that ended or stopped a case must fit into those in proceedings: "
            f"that fails in **{beside:,} of {tests:,}** rows.{verdict}"
        )

    def _reading(self, identity: str) -> tuple[int, int]:
        line = self.checked.row(by_predicate=pl.col("identity") == identity, named=True)
        return line["tests"], line["fails"]

    # publications

    @cached_property
    def published(self) -> pl.DataFrame:
        """Published figures of the country and exactly these months: all offences, or torture.

        None where the period's own figures are a publication's.
        """
        year, month = map(int, self.period.split("-"))
        months = date(year, 1, 1), date(year, month, calendar.monthrange(year, month)[1])
        return datasets.load_published().filter(
            pl.lit(self.workbooks.height > 0),
            pl.col("period_start") == months[0],
            pl.col("period_end") == months[1],
            pl.col("region") == COUNTRY,
            pl.col("article").is_in(["all", ARTICLE, f"torture, {NOT_NAMED}"]),
            pl.col("indicator").is_in(list(READINGS)),
        )

    @cached_property
    def ours(self) -> dict[str, dict[str, tuple[str, Figure]]]:
        """Our figures of the country for `total` and the article, by name: label and figure."""
        found = {}
        for row in ("total", ARTICLE):
            bases, steps = flows.flow_figures(self.period, COUNTRY, row)
            found[row] = bases | {
                name: (LABELS.get(name, name), one) for name, one in steps.items()
            }
        return found

    def comparison(self) -> Table | Markdown:
        """Every published figure beside each of ours that it may mean.

        In brackets stands published − ours, except where the publication counts a part of the
        cases only, or persons.
        """
        lines = [
            {
                "id": line["id"],
                "published": f"{number(line['value'])} {line['unit']}",
                "publisher": re.sub(r" \([^)]*\)", "", line["publisher"]),
                "ours": "; ".join(self._beside(line)),
                "unclear": line["ambiguity"] or f"nothing: {FLAGS[line['flag']]}",
            }
            for line in self.published.iter_rows(named=True)
        ]
        return self._table(
            _text(lines, "id", "published", "publisher", "ours", "unclear"),
            "Published figures beside ours",
            "The publications by their number in load_published(). Ours: ",
        )

    def _beside(self, line: dict[str, Any]) -> Iterator[str]:
        """Each of our figures that a published one may mean, in words."""
        comparable = re.search(CASES, line["unit"]) and line["flag"] != "partial"
        row = "total" if line["article"] == "all" else ARTICLE
        for name in READINGS[line["indicator"]]:
            label, one = self.ours[row][name]
            if one.value is not None:
                less = f"{line['value'] - one.value:+,.0f}".replace("-", "−")
                yield f"{label} {one.text}" + (f" ({less})" if comparable else "")

    def against_published(self) -> Markdown:
        """Cases of torture in the publications and in our figures, in words."""
        published = self.figures["published_torture_cases"]
        ours = [self.ours[ARTICLE][name] for name in READINGS["registered"]]
        apart = {
            label: abs(published.value - one.value)
            for label, one in ours
            if published.value is not None and one.value is not None
        }
        if not apart:
            why = (
                "the figures of this period are themselves a publication's"
                if self.workbooks.is_empty()
                else "no publication at hand gives one count for exactly these months"
            )
            return captions.markdown(f"*Cases of torture are not compared: {why}.*")
        return captions.markdown(
            f"**{published.text} {published.unit}** of torture are published by {published.note}. "
            f"Ours, in offences: {', '.join(f'{label} **{one.text}**' for label, one in ours)}. "
            f"Nearest is the {min(apart, key=apart.__getitem__)}; which of them the publication "
            "means it does not say, so all stand."
        )

    def coverage(self) -> Markdown:
        """Which part of the published national total the workbooks hold, in words."""
        held, published = (self.figures[f"registered_{n}"] for n in ("in_workbooks", "published"))
        if held.value is None or published.value is None:
            what = "workbook" if held.value is None else "exact published total"
            return captions.markdown(
                f"*Coverage cannot be stated: no {what} of this period is held.*"
            )
        gross = self.ours["total"]["gross_registered"][1]
        net = f"gross, the workbooks alone have {gross.text}, so both are read as net"
        return captions.markdown(
            f"{self._held} hold **{held.text}** of the **{published.text}** offences registered in "
            f"the country according to {published.note}: **{self.figures['coverage'].text}** ({net}). "
            f"The other {self.figures['registered_not_covered'].text} are read as those of the "
            "military, transport and central bodies, whose own workbooks are not at hand; no source "
            "at hand counts them."
        )

    # files and figures

    def files(self) -> Table | Markdown:
        """The workbooks: file, region, organ code, who states the period, start of the checksum."""
        states = {"workbook": "the file itself", "argument": "the list of sources"}
        found = self.workbooks.sort("region").select(
            "file",
            pl.col("region").map_elements(region_name, return_dtype=pl.String).alias("name"),
            pl.col("region").alias("code"),
            "organ_code",
            "period",
            pl.col("period_source").replace(states),
            pl.col("sha256").str.head(12),
        )
        return self._table(found, "The workbooks")

    def provenance(self) -> Markdown:
        """What the files state of themselves, in words."""
        books, stating = self.workbooks, self._stating
        if books.is_empty():
            return captions.markdown(
                "*No workbook of this period is held: its figures are transcribed from a "
                "publication, and no cell can be named.*"
            )
        named = ", ".join(region_name(region) for region in stating["region"]) or "none"
        other = books.filter(pl.col("organ_code").str.tail(2) != pl.col("region").str.tail(2))
        codes = ", ".join(
            f"{region_name(region)} ({organ}, {region})"
            for region, organ in other.select("region", "organ_code").rows()
        )
        return captions.markdown(
            f"**{stating.height} of {books.height}** files state their period ({named}); for the "
            "others the list of sources does. Each file names its region in its title and by the "
            "code of the reporting organ, whose last two digits are those of the region's ISO code "
            f"with these exceptions: {codes or 'none'}."
        )

    @property
    def _stating(self) -> pl.DataFrame:
        return self.workbooks.filter(pl.col("period_source") == "workbook")

    def traceability(self) -> Markdown:
        """How many figures there are, how many are nought and lead to a cell, in words."""
        named = self.figures
        said = (
            f"The table holds **{named['figures'].text} figures** of this period, "
            f"{named['figures_nought'].text} of them nought ({named['share_nought'].text}). "
            f"{named['figures_without_cell'].text} do not lead to a cell of a workbook."
        )
        if self.workbooks.height:
            each = codebook.template(*codebook.section_names()).height
            blank = each * self.workbooks.height - self.frame.height
            said += (
                f" A workbook has {each:,} cells for figures, in {len(codebook.section_names())} "
                f"sections; of all the workbooks' cells {blank:,} are blank."
            )
        return captions.markdown(said)

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The figures that the notebook records."""
        found: dict[str, Figure] = {}
        for status in ("hard", "source_defect"):
            found |= self._tests(f"identity_{{}}_{status}", self.checked, status)
        nonzero = _sum(self.checked, "hard", "nonzero")
        found["identity_tests_hard_nonzero"] = self._counted(nonzero, "tests")
        found |= self._tests("torture_identity_{}_hard", self.of_article, "hard")
        for name, (identity, *_) in (("inside", INSIDE), ("beside", BESIDE)):
            tests, fails = self._reading(identity)
            failed = self._counted(fails if tests else None, "tests")
            found[f"net_test_failures_{name}"] = failed.named(f"failing tests of {identity}")
        found |= self._coverage()
        for name in READINGS["registered"]:
            found[f"torture_{name}"] = self.ours[ARTICLE][name][1]
        found["published_torture_cases"] = self._only(
            (pl.col("article") != "all") & (pl.col("unit") == "criminal cases"), "criminal cases"
        )
        nought = self.frame.filter(pl.col("value") == 0).height
        return found | {
            "workbooks": self._counted(self.workbooks.height, "workbooks"),
            "workbooks_stating_their_period": self._counted(self._stating.height, "workbooks"),
            "figures": self._counted(self.frame.height, "figures"),
            "figures_nought": self._counted(nought, "figures"),
            "share_nought": self._share(nought, self.frame.height, "share of the figures"),
            "figures_without_cell": self._counted(self.frame["cell"].null_count(), "figures"),
        }

    def _tests(self, name: str, checked: pl.DataFrame, status: str) -> dict[str, Figure]:
        """Tests made and failed; where none could be made, none is known to fail or hold."""
        tests, fails = (_sum(checked, status, column) for column in ("tests", "fails"))
        failed = fails if tests else None
        pairs = (("tests", tests), ("failures", failed))
        return {name.format(what): self._counted(one, "tests") for what, one in pairs}

    def _coverage(self) -> dict[str, Figure]:
        clear = (pl.col("article") == "all") & (pl.col("flag") == "clear")
        published = self._only(clear, flows.OFFENCES)
        ours = Figure(None, flows.OFFENCES)
        if self.workbooks.height:
            ours = self.ours["total"]["registered"][1].named("registered (R1, total), net")
        share = self._share(ours.value, published.value, "share of the published offences")
        return {
            "registered_in_workbooks": ours,
            "registered_published": published,
            "registered_not_covered": (published - ours).named("published − in the workbooks"),
            "coverage": share.named("registered_in_workbooks / registered_published"),
        }

    def _only(self, chosen: pl.Expr, unit: str) -> Figure:
        """The one count of all registered that is published; None where there is none or several."""
        whole = (pl.col("indicator") == "registered") & (pl.col("flag") != "partial")
        found = self.published.filter(chosen, whole)
        if found.height != 1:
            return Figure(None, unit)
        line = found.row(0, named=True)
        note = f"{line['publisher']} ({line['id']})"
        return Figure(line["value"], unit, sources=(PUBLISHED,), note=note)

    def _counted(self, count: int | None, unit: str) -> Figure:
        return Figure(count, unit, sources=() if count is None else tuple(self.sources[:-1]))

    def _share(self, part: float | None, whole: float | None, unit: str) -> Figure:
        if part is None or not whole:
            return Figure(None, unit)
        share = float(f"{part / whole:.6g}")
        return Figure(share, unit, sources=tuple(self.sources[:-1]), shown=figures.percent(share))


def data_quality(period: str) -> DataQuality:
    """How far the figures of a period (January to its month) can be trusted.

    Raises `UnknownValueError` for a period of which no figure is held.

    Source: Form 1-M or a press report of it; `load_published()`.
    """
    datasets.check_period(period)
    return DataQuality(period)


def _sum(checked: pl.DataFrame, status: str, column: str) -> int:
    return int(checked.filter(pl.col("status") == status)[column].sum())


def _listed(failing: pl.DataFrame) -> pl.DataFrame:
    """Failing tests as a reader is shown them."""
    lines = [
        {
            "identity": line["identity"],
            "region": region_name(line["region"]),
            "row": _words(line["row"] or "several"),
            "measure": _words(line["measure"] or "several"),
            "sides": f"{number(line['left'])} {'≠' if line['kind'] == '=' else '>'} "
            f"{number(line['right'])}",
            "difference": number(abs(line["difference"])),
            "cells": _cells(line["cells"]),
        }
        for line in failing.iter_rows(named=True)
    ]
    return _text(lines, "identity", "region", "row", "measure", "sides", "difference", "cells")


def _cells(cells: list[dict[str, str]]) -> str:
    named = figures.origin(Cell(**cell) for cell in cells[:SHOWN_CELLS])
    more = len(cells) - SHOWN_CELLS
    return f"{named} and {more} more" if more > 0 else named


def _words(text: str) -> str:
    """Names of rows and columns as words: `registered_against_women`, `article:135`."""
    return re.sub(r"(?<=[a-z\d]):(?=[a-z\d])", " ", text).replace("_", " ").replace("<=", "≤")


def _text(lines: list[dict[str, str]], *columns: str) -> pl.DataFrame:
    return pl.DataFrame(lines, schema=dict.fromkeys(columns, pl.String))

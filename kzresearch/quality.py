"""How far the figures can be trusted: what adds up, what is covered, who else says what.

Nothing is corrected here. An identity that fails is listed with its cells; a published figure that
differs stands beside ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from kzresearch import captions, charts, datasets, figures, flows, sources
from kzresearch.figures import Figure, number
from kzresearch.form_1m import accounting
from kzresearch.language import current, in_order, later, localised, say
from kzresearch.publications import PUBLISHED
from kzresearch.regions import COUNTRY, region_name
from kzresearch.schemas import NOT_NAMED
from kzresearch.tables import Table

if TYPE_CHECKING:
    import altair as alt
    from IPython.display import Markdown

ARTICLE = "146"
"""Torture, which nearly all published figures are about."""
FOLDED = 150  # lines; a longer table would bury the page
STATUSES = {
    "hard": later("hard identities"),
    "source_defect": later("known source defects"),
    "not_an_identity": later("guesses, not identities"),
}

DEFECTS = {
    "V2:R3-1": later("crimes and severities differ: no share of victims by severity"),
    "V8:PRIL4": later("suicides by sex do not add up"),
    "V8b:PRIL4": later("suicide attempts by sex do not add up"),
    "H13le:R3": later("more victims by citizenship than by age: no share by age"),
    "X15": later("offences with a victim (R3) can exceed those registered (R1): no share of them"),
    "X30": later("persons (R6) without a completed offence (R1): no rate of one by the other"),
    "H32:R7": later("the military columns of R7 do not add up: not to be used"),
    "X19": later("the military columns of R7 and R8 differ: not to be used"),
    "H39b:PRIL1": later("the kinds of firearm exceed the firearms"),
    "H40:PRIL4 c1 state = c2..c6": later("suicides by the person's state do not add up"),
}
"""What to mind where a known source defect is found."""

INSIDE = ("H9a:R1", "H9a:R1-1", "H9:R1", "F4")
"""Must hold if terminations on rehabilitating grounds were inside the official columns."""
BESIDE = ("F1", "F2", "F3")
"""Must hold if they stand beside them; hard identities."""

LISTED = ["identity", "region", "row", "column", "left and right side", "cells", "difference"]
COMPARED = ["number", "published", "by whom", "ours, in offences", "what is unclear"]
HEADINGS = {
    "identity": later("Identity"),
    "region": later("Region"),
    "row": later("Row"),
    "column": later("Column"),
    "left and right side": later("Left and right side"),
    "cells": later("Cells"),
    "difference": later("Difference"),
    "number": later("No."),
    "published": later("Published"),
    "by whom": later("By whom"),
    "ours, in offences": later("Ours, in offences"),
    "what is unclear": later("What is unclear"),
    "status": later("Status"),
    "description": later("Description"),
    "tests": later("Tests"),
    "not all nought": later("Not all nought"),
    "holds": later("Holds"),
    "fails": later("Fails"),
    "workbooks": later("Workbooks"),
    "largest difference": later("Largest difference"),
    "what to mind": later("What to mind"),
    "file": later("File"),
    "ISO code": later("ISO code"),
    "organ_code": later("Organ code"),
    "period": later("Period"),
    "period stated by": later("Period stated by"),
    "checksum (sha256) begins": later("Checksum (sha256) begins"),
}
"""What the columns of the tables are called."""
FAILING = {
    "hard": later("Every failing test of hard identities"),
    "source_defect": later("Every failing test of known source defects"),
}
PLAIN = later("nothing: article, period and what is counted are plain")
"""What is unclear where nothing is."""
STATES = {"workbook": later("the file itself"), "argument": later("the list of sources")}
"""Who states a workbook's period."""
TESTS, CASES = later("tests"), later("criminal cases")
SHARE = later("share of the published offences")
COUNTED = {
    "workbooks": later("workbooks"),
    "workbooks_stating_their_period": later("workbooks"),
    "figures": later("figures"),
    "figures_nought": later("figures"),
    "figures_without_cell": later("figures"),
}
"""What is counted of workbooks and figures, by the names of the counts: their unit."""
ALIKE = r"^(criminal (cases|offences)|investigations)\b"
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
    def source_line(self) -> str:
        """Where the form's figures come from, for below a chart or table."""
        named = say(sources.source(self.sources[0])["attribution"])
        months, held = captions.months(self.period), self.workbooks.height
        if not held:
            return say("{months}, no workbooks. Source: {source}", months=months, source=named)
        return say(
            "{months}, {n} {n:workbook|workbooks}. Source: {source}",
            months=months,
            n=held,
            source=named,
        )

    def _table(self, frame: pl.DataFrame, title: str, group: str | None = None) -> Table | Markdown:
        """A frame for a reader, its lines by `group`, folded if long; a sentence if empty."""
        title = f"{title}, {captions.months(self.period)}"
        if frame.is_empty():
            return self._nothing(title)
        numbers = frame.select(pl.selectors.numeric()).columns
        shown = frame.with_columns(pl.col(numbers).map_elements(number, return_dtype=pl.String))
        headings = {name: say(HEADINGS[name]) for name in frame.columns}
        folded = frame.height > FOLDED
        return Table(shown, title, self.source_line, headings, numbers, group, folded=folded)

    def _nothing(self, title: str, why: str | None = None) -> Markdown:
        """The sentence in place of what cannot be shown."""
        if self.workbooks.is_empty():
            why = say("no workbook of this period is held")
        elif why is None:
            why = say("nothing to list")
        return captions.markdown(f"*{title}: {why}.*")

    # identities

    @cached_property
    def _examined(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        return accounting.examine(self.frame, hypotheses=True)

    @cached_property
    def checked(self) -> pl.DataFrame:
        """`check_form_1m`, false hypotheses included, descriptions in words."""
        found, _ = self._examined
        words = accounting.descriptions()
        if current() == "en":
            words = {name: _words(text) for name, text in words.items()}
        return found.with_columns(description=pl.col("identity").replace_strict(words))

    @property
    def failing(self) -> pl.DataFrame:
        """`failures` of hard identities and source defects."""
        _, found = self._examined
        return found.filter(pl.col("status") != "not_an_identity")

    @cached_property
    def of_article(self) -> pl.DataFrame:
        """`check_form_1m` of the tests that need no figure but the article's own row."""
        own = self.frame.filter(pl.col("row") == f"article:{ARTICLE}")
        return accounting.check_form_1m(own, hypotheses=True).filter(pl.col("tests") > 0)

    def identities(self) -> Markdown:
        """How many tests were made and how many held, in words."""
        tests, nonzero, fails = _counts(self.checked, "hard", "tests", "nonzero", "fails")
        hard = self.checked.filter(status="hard")["tests"]
        said = say(
            "**{tests} tests** of hard identities were made ({tested} of the {identities} could be "
            "tested). **{holds} hold, {fails} fail**; in {nonzero} a figure is not nought.",
            tests=tests,
            tested=(hard > 0).sum(),
            identities=hard.len(),
            holds=tests - fails,
            fails=fails,
            nonzero=nonzero,
        )
        return captions.markdown(" ".join([said, *_defects(self.checked)]))

    def tested(self) -> Table | Markdown:
        """Every identity that could be tested, guesses too, with counts of tests."""
        found = self.checked.filter(pl.col("tests") > 0).sort("status", maintain_order=True)
        shown = found.select(
            pl.col("status").replace({status: say(words) for status, words in STATUSES.items()}),
            *("identity", "description", "tests", pl.col("nonzero").alias("not all nought")),
            *("holds", "fails"),
        )
        return self._table(shown, say("Every identity that could be tested"), "status")

    def defects(self) -> Table | Markdown:
        """The source defects that are found, with counts of tests and what to mind."""
        minded = {identity: say(words) for identity, words in DEFECTS.items()}
        mind = pl.col("identity").replace_strict(minded, default="", return_dtype=pl.String)
        found = self.checked.filter(pl.col("fails") > 0, status="source_defect").select(
            *("identity", "description", "tests", "fails"),
            pl.col("workbooks_failing").alias("workbooks"),
            pl.col("max_difference").alias("largest difference"),
            mind.alias("what to mind"),
        )
        return self._table(found, say("Known source defects"))

    def failures(self, status: str) -> Table | Markdown:
        """Every failing test of `hard` identities, or of `source_defect` ones."""
        found = self.failing.filter(status=status)
        return self._listed(found, say(FAILING[status]))

    def article_failures(self) -> Table | Markdown:
        """As `failures`, of every status: the tests of the article's own row."""
        own = pl.col("identity").is_in(self.of_article["identity"].implode())
        found = self.failing.filter(own, row=f"article:{ARTICLE}")
        title = say("Failing tests in the row of article {article}", article=ARTICLE)
        return self._listed(found, title)

    def _listed(self, failing: pl.DataFrame, title: str) -> Table | Markdown:
        """Failing tests, each below what must hold."""
        counted = self.checked.select("identity", "description", "tests", "fails")
        found = failing.join(counted, on="identity", maintain_order="left")
        lines = [
            (
                say(
                    "{identity}. {description}: {fails} of all {tests} tests fail",
                    **{name: line[name] for name in ("identity", *counted.columns[1:])},
                ),
                region_name(line["region"]),
                _row(line["row"]) if line["row"] else say("several"),
                say(_words(line["measure"] or later("several"))),
                *accounting.in_words(line),
                abs(line["difference"]),
            )
            for line in found.iter_rows(named=True)
        ]
        return self._table(pl.DataFrame(lines, LISTED, orient="row"), title, "identity")

    def by_region(self) -> alt.LayerChart | alt.FacetChart | Markdown:
        """Failing hard tests by region, most first, as a chart."""
        title = say("Failing tests of hard identities by region")
        title = f"{title}, {captions.months(self.period)}"
        regions = self.failing.filter(status="hard")["region"]
        names = regions.map_elements(region_name, return_dtype=pl.String)
        places = {name: place for place, name in enumerate(in_order(names.unique()))}
        counts = (
            names.value_counts(name="value")
            .select(pl.col("value").cast(pl.Float64), label="region")
            .sort(-pl.col("value"), pl.col("label").replace_strict(places, return_dtype=pl.Int64))
        )
        if counts.is_empty():
            return self._nothing(title)
        return charts.bars(counts, title, say(TESTS), self.source_line)

    def article(self) -> Markdown:
        """What the tests say of the article's own row, in words."""
        tests, fails = _counts(self.of_article, "hard", "tests", "fails")
        said = say(
            "{article}: {tests} tests of hard identities need no figure but those of this row; "
            "**{fails} fail**.",
            article=captions.row_name(f"article:{ARTICLE}"),
            tests=tests,
            fails=fails,
        )
        return captions.markdown(" ".join([said, *_defects(self.of_article)]))

    def net(self) -> Markdown:
        """Why *registered* and *in proceedings* are net, in words."""
        of = self._tests
        if not {INSIDE[0], BESIDE[0]} <= of.keys():
            return self._nothing(
                say("Whether the official columns are net"), say("not every column is reported")
            )
        inside, beside = (
            ", ".join(
                say(
                    "**{fails} of {tests}** ({identity})",
                    fails=of[n][1],
                    tests=of[n][0],
                    identity=n,
                )
                for n in names
                if n in of
            )
            for names in (INSIDE, BESIDE)
        )
        said = [
            say(
                "Were offences terminated on rehabilitating grounds *inside* those in proceedings, they "
                "could not outnumber them, alone or with what else ended a case: this fails in {inside} "
                "tests. If they stand *beside* them, all else that ended or stopped a case must fit into "
                "those in proceedings: this fails in {beside} tests.",
                inside=inside,
                beside=beside,
            )
        ]
        if of[INSIDE[0]][1] and not of[BESIDE[0]][1]:
            few = sum(of[n][1] for n in BESIDE if n in of)
            verdict = (
                later(
                    "So the official columns are net of these terminations; the few tests that fail "
                    "stand in the list above."
                )
                if few
                else later("So the official columns are net of these terminations.")
            )
            said.append(say(verdict))
        return captions.markdown(" ".join(said))

    @cached_property
    def _tests(self) -> dict[str, tuple[int, int]]:
        """Identity → tests made and failed; of those that could be tested."""
        made = self.checked.filter(pl.col("tests") > 0).select("identity", "tests", "fails")
        return {name: (tests, fails) for name, tests, fails in made.rows()}

    # publications

    @cached_property
    def published(self) -> pl.DataFrame:
        """Published figures of the country for exactly these months; none if ours are published."""
        year, month = map(int, self.period.split("-"))
        return datasets.load_published().filter(
            pl.lit(self.workbooks.height > 0),
            pl.col("period_start") == pl.date(year, 1, 1),
            pl.col("period_end") == pl.date(year, month, 1).dt.month_end(),
            pl.col("article").is_in(["all", ARTICLE, f"torture, {NOT_NAMED}"]),
            pl.col("indicator").is_in(list(flows.PUBLISHED_AS)),
            region=COUNTRY,
        )

    @cached_property
    def ours(self) -> dict[str, dict[str, tuple[str, Figure]]]:
        """Our figures of the country for `total` and the article, by name: label and figure."""
        return {
            row: flows.labelled_figures(self.period, COUNTRY, row) for row in ("total", ARTICLE)
        }

    def comparison(self) -> Table | Markdown:
        """Every published figure beside each of ours that it may mean; differences where fit."""
        lines = [
            (
                line["id"],
                say("{n} {unit}", n=line["value"], unit=say(line["unit"])),
                re.sub(r" \([^)]*\)", "", say(line["publisher"])),
                "; ".join(self._beside(line)),
                "; ".join(say(part) for part in (line["ambiguity"] or PLAIN).split("; ")),
            )
            for line in self.published.iter_rows(named=True)
        ]
        shown = pl.DataFrame(lines, COMPARED, orient="row")
        return self._table(shown, say("Published figures beside ours"))

    def _beside(self, line: dict[str, Any]) -> Iterator[str]:
        """Each of our figures that a published one may mean, in words."""
        comparable = re.search(ALIKE, line["unit"]) and line["flag"] != "partial"
        row = "total" if line["article"] == "all" else ARTICLE
        for name in flows.PUBLISHED_AS[line["indicator"]]:
            label, one = self.ours[row][name]
            if one.value is not None:
                less = localised(f"{line['value'] - one.value:+,.0f}".replace("-", "−"))
                yield f"{label} {one.text}" + (f" ({less})" if comparable else "")

    def against_published(self) -> Markdown:
        """Cases of torture in the publications and in our figures, in words."""
        published = self.figures["published_torture_cases"]
        if published.value is None:
            why = say("no publication at hand gives one count for exactly these months")
            return self._nothing(say("Published cases of torture beside ours"), why)
        ours = (self.ours[ARTICLE][name] for name in flows.PUBLISHED_AS["registered"])
        return captions.markdown(
            say(
                "**{n} criminal cases** of torture are published by {publisher}. Ours, in offences: "
                "{ours}. Which of them the publication means it does not say, so all stand.",
                n=published.value,
                publisher=published.note,
                ours=", ".join(f"{label} **{one.text}**" for label, one in ours),
            )
        )

    def coverage(self) -> Markdown:
        """Which part of the published national total the workbooks hold, in words."""
        held, published = (self.figures[f"registered_{n}"] for n in ("in_workbooks", "published"))
        if held.value is None or published.value is None:
            return self._nothing(
                say("Coverage"), say("no exact published total of these months is held")
            )
        return captions.markdown(
            say(
                "{n} {n:workbook holds|workbooks hold} **{held}** of the **{published}** offences "
                "registered in the country according to {publisher}: **{coverage}** (gross, the workbooks "
                "alone have {gross}, so both are read as net). The other {others} are read as those of "
                "the military, transport and central bodies, whose own workbooks are not at hand; no "
                "source at hand counts them.",
                n=self.workbooks.height,
                held=held.text,
                published=published.text,
                publisher=published.note,
                coverage=self.figures["coverage"].text,
                gross=self.ours["total"]["gross_registered"][1].text,
                others=self.figures["registered_not_covered"].text,
            )
        )

    # files and figures

    def files(self) -> Table | Markdown:
        """The workbooks: file, region, organ code, who states the period, start of the checksum."""
        states = {by: say(words) for by, words in STATES.items()}
        found = self.workbooks.sort("region").select(
            "file",
            pl.col("region").map_elements(region_name, return_dtype=pl.String),
            pl.col("region").alias("ISO code"),
            "organ_code",
            "period",
            pl.col("period_source").replace(states).alias("period stated by"),
            pl.col("sha256").str.head(12).alias("checksum (sha256) begins"),
        )
        return self._table(found, say("The workbooks"))

    def provenance(self) -> Markdown:
        """What the files state of themselves, in words."""
        books = self.workbooks
        if books.is_empty():
            return self._nothing(say("What the files state"))
        stating = books.filter(period_source="workbook")
        other = books.filter(pl.col("organ_code").str.tail(2) != pl.col("region").str.tail(2))
        codes = ", ".join(
            f"{region_name(region)} ({organ}, {region})"
            for region, organ in other.select("region", "organ_code").rows()
        )
        return captions.markdown(
            say(
                "**{n} of {all}** files state their period ({regions}); for the others the list of "
                "sources does. Each file names its region in its title and by the code of the reporting "
                "organ, whose last two digits are those of the region's ISO code with these exceptions: "
                "{codes}.",
                n=stating.height,
                all=books.height,
                regions=", ".join(map(region_name, stating["region"])) or say("none"),
                codes=codes or say("none"),
            )
        )

    def traceability(self) -> Markdown:
        """How many figures there are, how many are nought and lead to a cell, in words."""
        names = ("figures", "figures_nought", "figures_without_cell")
        count, nought, without = (self.figures[name].value for name in names)
        return captions.markdown(
            say(
                "The table holds **{count} figures** of this period, {nought} of them nought. {without} "
                "do not lead to a cell of a workbook.",
                count=count,
                nought=nought,
                without=without,
            )
        )

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The figures that the notebook records."""
        found: dict[str, Figure] = {}
        for name, checked, status in (
            ("identity_{}_hard", self.checked, "hard"),
            ("identity_{}_source_defect", self.checked, "source_defect"),
            ("torture_identity_{}_hard", self.of_article, "hard"),
        ):
            tests, fails = _counts(checked, status, "tests", "fails")
            found[name.format("tests")] = self._counted(tests, TESTS)
            # where no test could be made, none is known to fail or hold
            found[name.format("failures")] = self._counted(fails if tests else None, TESTS)
        (nonzero,) = _counts(self.checked, "hard", "nonzero")
        found["identity_tests_hard_nonzero"] = self._counted(nonzero, TESTS)
        for name, identities in (("inside", INSIDE), ("beside", BESIDE)):
            failing = [self._tests[one][1] for one in identities if one in self._tests]
            failed = self._counted(sum(failing) if failing else None, TESTS)
            formula = say("of {identities}", identities=", ".join(identities))
            found[f"net_test_failures_{name}"] = failed.named(formula)
        found |= self._coverage()
        for name in flows.PUBLISHED_AS["registered"]:
            found[f"torture_{name}"] = self.ours[ARTICLE][name][1]
        torture = (pl.col("article") != "all") & (pl.col("unit") == CASES)
        found["published_torture_cases"] = self._only(torture, CASES)
        counts = {
            "workbooks": self.workbooks,
            "workbooks_stating_their_period": self.workbooks.filter(period_source="workbook"),
            "figures": self.frame,
            "figures_nought": self.frame.filter(value=0),
            "figures_without_cell": self.frame.filter(pl.col("cell").is_null()),
        }
        for name, of in counts.items():
            found[name] = self._counted(of.height, COUNTED[name])
        return found

    def _coverage(self) -> dict[str, Figure]:
        clear = (pl.col("article") == "all") & (pl.col("flag") == "clear")
        published = self._only(clear, flows.OFFENCES)
        held, share = Figure(None, flows.OFFENCES), Figure(None, SHARE)
        if self.workbooks.height:
            held = self.ours["total"]["registered"][1].named(say("registered (R1, total), net"))
        if held.value is not None and published.value:
            part = float(f"{held.value / published.value:.6g}")
            share = replace(
                share, value=part, sources=(*held.sources, PUBLISHED), shown=figures.percent(part)
            )
        return {
            "registered_in_workbooks": held,
            "registered_published": published,
            "registered_not_covered": (published - held).named(say("published − in the workbooks")),
            "coverage": share.named("registered_in_workbooks / registered_published"),
        }

    def _only(self, chosen: pl.Expr, unit: str) -> Figure:
        """The one count of all registered that is published; None where there is none or several."""
        whole = (pl.col("indicator") == "registered") & (pl.col("flag") != "partial")
        found = self.published.filter(chosen, whole)
        if found.height != 1:
            return Figure(None, unit)
        line = found.row(0, named=True)
        note = f"{say(line['publisher'])} ({line['id']})"
        return Figure(line["value"], unit, sources=(PUBLISHED,), note=note)

    def _counted(self, count: int | None, unit: str) -> Figure:
        return Figure(count, unit, sources=() if count is None else tuple(self.sources[:-1]))


def data_quality(period: str) -> DataQuality:
    """How far the figures of a period (January to its month) can be trusted.

    Raises `UnknownValueError` for a period of which no figure is held.

    Source: Form 1-M or a press report of it; `load_published()`.
    """
    datasets.check_period(period)
    return DataQuality(period)


def _counts(checked: pl.DataFrame, status: str, *columns: str) -> tuple[int, ...]:
    """Tests of the identities of a status, by their columns of `check_form_1m`."""
    return checked.filter(status=status).select(columns).sum().row(0)


def _defects(checked: pl.DataFrame) -> Iterator[str]:
    """A sentence on the tests of known source defects, where there are any."""
    tests, fails = _counts(checked, "source_defect", "tests", "fails")
    if tests:
        yield say(
            "Of {tests} tests of known source defects {fails} fail.", tests=tests, fails=fails
        )


def _row(row: str) -> str:
    """A row in words: `article 135`, `crimes`; but for articles, other languages have it as the form."""
    numbered = re.fullmatch(r"(article|chapter):([\d-]+)", row)
    if numbered:
        kind = later("article {number}") if numbered[1] == "article" else later("chapter {number}")
        return say(kind, number=numbered[2])
    return _words(row) if current() == "en" else captions.row_name(row)


def _words(name: str) -> str:
    """Names of rows and columns, or what must hold of them, as English words."""
    return re.sub(r"(?<=[a-z\d]):(?=[a-z\d])", " ", name).replace("_", " ").replace("<=", "≤")

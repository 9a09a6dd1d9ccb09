"""The report on one period, region and article: its figures, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from kzresearch import attrition, captions, datasets, figures, flows
from kzresearch.errors import unknown_value
from kzresearch.figures import Figure, Lookup
from kzresearch.form_1m import codebook
from kzresearch.form_1m.reader import SOURCE as FORM_1M
from kzresearch.regions import COUNTRY, region_name

if TYPE_CHECKING:
    from IPython.display import Markdown

SEVERITIES = ["minor", "medium", "grave", "especially_grave"]
OFFENCES = "offences"

# Recorded name → where the figure stands in the form; {article} and {chapter} are rows.
PLACES = {
    "offences_registered": ("R1", "total", "registered"),
    **{f"registered_{s}": ("R1", f"severity:{s}", "registered") for s in reversed(SEVERITIES)},
    "registered_misdemeanours": ("R1", "misdemeanours", "registered"),
    "chapter_registered": ("R1", "{chapter}", "registered"),
    "article_registered": ("R1", "{article}", "registered"),
    "article_registered_grave_or_especially_grave": ("PRIL11", "{article}", "registered"),
    "article_registered_against_women": ("R1", "{article}", "registered_against_women"),
    "article_registered_against_minors": ("R1", "{article}", "registered_against_minors"),
}

# Recorded name → words: the outcomes that together make up the gross caseload.
OUTCOMES = {f"article_{step.name}": step.label for step in (*flows.OUTCOMES, *flows.UNSPECIFIED)}

# Net and gross, in the order of the table.
FLOW = {
    "article_gross_caseload": "gross caseload",
    "article_gross_caseload_at_least": "gross caseload, at least (a conclusion)",
    "article_in_proceedings": "in proceedings (net)",
    "article_gross_registered": "gross registered in the year",
    "article_registered": "registered (net)",
    "article_completed": "completed",
    **OUTCOMES,
}


@dataclass(frozen=True)
class PeriodReport:
    """The figures of one period (January to its month), region and article of the Code.

    Made by `period_report`. Its frames have one row per figure: `label`, `value` (null where not
    reported), `text`, `unit`, `note`.
    """

    period: str
    region: str
    article: str

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The figures of the form that the report draws on, as `load_form_1m` gives them."""
        sections, _, measures = (
            list(dict.fromkeys(of)) for of in zip(*PLACES.values(), strict=True)
        )
        frame = datasets.load_form_1m(self.period, self.region, sections, measure=measures)
        if frame["source"].n_unique() > 1:
            # The workbooks' own figures go before a publication's about them.
            frame = frame.filter(pl.col("source") == FORM_1M)
        return frame

    @property
    def chapter(self) -> str:
        """The chapter of the Criminal Code that the article stands in: `"3"`."""
        names = codebook.row_names()
        return str(names.row(by_predicate=pl.col("row") == self._article, named=True)["chapter"])

    @property
    def _article(self) -> str:
        return f"article:{self.article}"

    @property
    def article_name(self) -> str:
        """`Article 146. Torture`."""
        return captions.row_name(self._article, self.period)

    @property
    def chapter_name(self) -> str:
        """`Chapter 3. Criminal offences against …`."""
        return captions.row_name(f"chapter:{self.chapter}", self.period)

    @property
    def title(self) -> str:
        """`Kazakhstan, January–December 2022`."""
        return captions.title(self.period, self.region)

    @property
    def months(self) -> str:
        """The months the figures cover: `January–December 2022`."""
        return captions.months(self.period)

    @property
    def source_line(self) -> str:
        """Where the form's figures come from, for below a chart or a table."""
        return captions.source_line(self.period, self.region)

    @property
    def editions(self) -> list[int]:
        """Editions of Freedom in the World that go with the period."""
        return self.freedom()["edition"].to_list()

    def heading(self) -> Markdown:
        """What the report is on, in one line."""
        return captions.heading(
            self.period, self.region, f"{self.article_name} · {self.chapter_name}"
        )

    def summary(self) -> Markdown:
        """The report in a few sentences, as far as the source goes."""
        return captions.markdown(" ".join(self._sentences()))

    def _sentences(self) -> Iterator[str]:
        named = self.figures
        gravity = [
            f"{named[f'registered_{s}'].text} {words}"
            for s, words in (
                ("especially_grave", "especially grave"),
                ("grave", "grave"),
                ("medium", "of medium gravity"),
                ("minor", "of minor gravity"),
                ("misdemeanours", "misdemeanours"),
            )
            if named[f"registered_{s}"].value is not None
        ]
        where = region_name(self.region)
        who = self._who()
        net = "net of terminations on rehabilitating grounds"
        if not self.from_workbooks:
            who, net = "the press report has", f"read as {net}, as in the form of 2022"
        yield (
            f"For {where}, {self.months}, {who} **{named['offences_registered'].text} registered "
            f"offences**, {net}: {', '.join(gravity)}."
        )
        article = self.article_name.removeprefix(f"Article {self.article}. ")
        yield (
            f"{named['chapter_registered'].text} of them fall under chapter {self.chapter}, "
            f"**{named['article_registered'].text} under article {self.article}** ({article})."
        )
        parts = {
            "article_registered_grave_or_especially_grave": "grave or especially grave",
            "article_registered_against_women": "against women",
            "article_registered_against_minors": "against minors",
        }
        given = [f"{named[n].text} {w}" for n, w in parts.items() if named[n].value is not None]
        if given:
            yield f"Under this article the source counts {', '.join(given)}."
        victims = named["article_registered_against_women"]
        if victims.note and not self.from_workbooks:
            yield f"On those against women and minors: {victims.note}."
        ended = [f"{named[n].text} {words}" for n, words in OUTCOMES.items() if named[n].value]
        completed = named["article_completed"]
        gross, at_least = named["article_gross_caseload"], named["article_gross_caseload_at_least"]
        if gross.value:
            yield f"The **gross caseload was {gross.text}**: {'; '.join(ended)}."
        elif gross.value == 0:
            yield "No case of this article is counted."
        elif ended:
            if completed.value is not None:
                ended.insert(0, f"{completed.text} completed")
            yield f"Of its cases, as far as reported: {'; '.join(ended)}."
        else:
            yield "What became of its cases is not reported."
        if at_least.value:
            yield f"At least {at_least.text} cases were on the books, as concluded below."
        if caution := attrition.military_note(self.article).data:
            yield caution
        yield (
            f"Freedom in the World {self.period[:4]} rates Kazakhstan "
            f"{named['freedom_in_the_world_status'].text}, "
            f"{named['freedom_in_the_world_total'].text} of 100."
        )

    def _who(self) -> str:
        """Whose workbooks the figures come from, as the beginning of a sentence on them."""
        held = len(self.figures["offences_registered"].cells)
        if held > 1:
            return f"the workbooks of {held} regions have"
        national = self.region == COUNTRY and not datasets.is_summed(self.period)
        return "the national workbook has" if national else "the region's workbook has"

    def consistency_notes(self) -> Markdown:
        """`consistency()` as a list to read."""
        return captions.markdown("\n".join(f"- {sentence}" for sentence in self.consistency()))

    @property
    def sources(self) -> list[str]:
        """Ids of the sources that the figures come from."""
        return [*self.frame["source"].unique(maintain_order=True), "freedom_in_the_world"]

    @property
    def from_workbooks(self) -> bool:
        """Whether the figures come from the form's own workbooks, not from a publication."""
        return FORM_1M in self.sources

    def figure(self, section: str, row: str, measure: str) -> Figure:
        """One figure of the form, with its cells."""
        return self._lookup(section, row, measure, OFFENCES)

    @cached_property
    def _lookup(self) -> Lookup:
        return Lookup(self.frame)

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """Every figure the report records, by name."""
        rows = {"article": self._article, "chapter": f"chapter:{self.chapter}"}
        found = {
            name: self.figure(section, row.format(**rows), measure)
            for name, (section, row, measure) in PLACES.items()
        }
        return found | dict(self._computed(found)) | dict(self._freedom())

    def _computed(self, found: dict[str, Figure]) -> Iterator[tuple[str, Figure]]:
        total = found["offences_registered"]
        severities = figures.total([found[f"registered_{s}"] for s in SEVERITIES])
        yield (
            "registered_without_severity",
            (total - severities).named(
                "offences_registered − the four severities",
                "misdemeanours, and any crime without a severity",
            ),
        )
        bases, steps = flows.flow_figures(self.period, self.region, self.article)
        yield "article_completed", steps["completed"]
        for step in (*flows.OUTCOMES, *flows.UNSPECIFIED):
            yield f"article_{step.name}", steps[step.name]
        yield "article_in_proceedings", bases["net_caseload"][1]
        for name in ("gross_caseload", "gross_registered"):
            yield f"article_{name}", bases[name][1]
        other = steps["completed"] - steps["sent_to_court"]
        at_least = found["article_registered"] + steps["terminated_unspecified"] - other
        yield (
            "article_gross_caseload_at_least",
            at_least.named(
                "article_registered + article_terminated_unspecified "
                "− (article_completed − article_sent_to_court)",
                "a conclusion: completed = sent to court + terminated on other grounds, so no more "
                "than the difference can have been terminated on other grounds",
            ),
        )
        ended = [steps[name] for name in (*flows.LEFT, "term_expired_unspecified")]
        if reported := [one for one in ended if one.value is not None]:
            yield (
                "article_with_reported_outcome",
                figures.total(reported).named(
                    "article_completed + interrupted, expired, transferred or time-barred, as far "
                    "as reported"
                ),
            )

    def freedom(self) -> pl.DataFrame:
        """Freedom in the World for Kazakhstan: the edition published in the period's year, and the
        one that reviews that year where there is one. Columns as in the table, `relation` added.
        """
        year = int(self.period[:4])
        relation = pl.when(pl.col("edition") == year)
        return (
            datasets.load_freedom_in_the_world()
            .filter(pl.col("country") == "Kazakhstan", pl.col("edition").is_in([year, year + 1]))
            .with_columns(
                relation=relation.then(pl.format("published in {}", "edition")).otherwise(
                    pl.format("reviews {}", "year_reviewed")
                )
            )
        )

    def _freedom(self) -> Iterator[tuple[str, Figure]]:
        year = int(self.period[:4])
        editions = self.freedom().rows_by_key("edition", named=True, unique=True)
        for edition, suffix in ((year, ""), (year + 1, "_reviewing_year")):
            line = editions.get(edition, {})
            cells = (figures.Cell(line["workbook"], line["cell"]),) if line else ()
            origin = (line["source"],) if line else ()
            note = f"edition {edition}, which reviews {edition - 1}"
            for name, unit in (("total", "points of 100"), ("status", "status")):
                value = line.get(name)
                yield (
                    f"freedom_in_the_world_{name}{suffix}",
                    Figure(
                        value=value if name == "total" else None,
                        unit=unit,
                        cells=cells,
                        sources=origin,
                        note=note,
                        shown=value if name == "status" else None,
                    ),
                )

    def severity(self) -> pl.DataFrame:
        """Offences registered, by severity; together they are all offences registered."""
        named = self.figures
        rest = "registered_misdemeanours"
        label = "misdemeanours"
        if named[rest].value is None:
            rest, label = "registered_without_severity", "misdemeanours and crimes without severity"
        labels = {f"registered_{s}": s.replace("_", " ") for s in reversed(SEVERITIES)}
        return _frame([(text, named[name]) for name, text in (labels | {rest: label}).items()])

    def articles(self) -> pl.DataFrame:
        """Offences registered by article of the chapter, as far as reported.

        Preparation for and attempted murder, a row of its own in chapter 1, is among them.
        """
        rows = codebook.row_names().filter(
            pl.col("kind").is_in(["article", "attempt"]), pl.col("chapter") == self.chapter
        )
        found = ((row, self.figure("R1", row, "registered")) for row in rows["row"])
        return _frame(
            [
                (captions.row_name(row, self.period), one)
                for row, one in found
                if one.value is not None
            ]
        )

    def article_table(self) -> pl.DataFrame:
        """The article itself: offences registered, their severity and victims."""
        labels = {
            "article_registered": "registered (net)",
            "article_registered_grave_or_especially_grave": "of them grave or especially grave",
            "article_registered_against_women": "against women",
            "article_registered_against_minors": "against minors",
        }
        return _frame([(text, self.figures[name]) for name, text in labels.items()])

    def flow_table(self) -> pl.DataFrame:
        """What became of the cases, net and gross, as far as reported."""
        found = [(text, self.figures[name]) for name, text in FLOW.items()]
        return _frame([(text, one) for text, one in found if one.value is not None])

    def not_reported(self) -> Markdown:
        """Which columns of the form on what became of the cases no source reports, in words."""
        columns: tuple[str, ...] = ("article_in_proceedings", "article_completed")
        columns += tuple(f"article_{step.name}" for step in flows.OUTCOMES if step.measure)
        lacking = [FLOW[name] for name in columns if self.figures[name].value is None]
        if not lacking:
            return captions.markdown(
                "The source reports every column of the form that is needed here."
            )
        return captions.markdown(f"Not reported, which is not nought: {'; '.join(lacking)}.")

    def outcomes(self) -> pl.DataFrame:
        """The outcomes that are reported and not nought, largest first; all, where none is."""
        found = [(text, self.figures[name]) for name, text in OUTCOMES.items()]
        drawn = [(text, one) for text, one in found if one.value]
        return _frame(drawn or found).sort("value", descending=True, maintain_order=True)

    def consistency(self) -> list[str]:
        """What the figures say of each other, in sentences computed from them."""
        return [*self._severity_notes(), *self._chapter_notes(), *self._flow_notes()]

    def _severity_notes(self) -> Iterator[str]:
        named = self.figures
        total, rest = named["offences_registered"], named["registered_without_severity"]
        if rest.value is None:
            return
        severities = total - rest
        sentence = f"The four severities sum to {severities.text} of {total.text} offences"
        misdemeanours = named["registered_misdemeanours"]
        if misdemeanours.value is None:
            yield (
                f"{sentence}; the rest, {rest.text}, are misdemeanours and any crime without a "
                "severity, which the report does not give."
            )
            return
        over = rest - misdemeanours
        tail = f"; with the {misdemeanours.text} misdemeanours that is all of them."
        if over.value:
            tail = (
                f"; with the {misdemeanours.text} misdemeanours {over.text} "
                f"{_plural(over.value, 'crime is', 'crimes are')} left, without a severity."
            )
        yield sentence + tail

    def _chapter_notes(self) -> Iterator[str]:
        articles, chapter = self.articles(), self.figures["chapter_registered"]
        if articles.is_empty() or chapter.value is None:
            return
        sum_ = float(articles["value"].sum())
        apart = articles.filter(~pl.col("label").str.starts_with("Article ")).height
        listed = (
            f"The {articles.height - apart} articles of chapter {self.chapter} that are reported"
        )
        if apart:
            listed += ", with preparation for and attempted murder,"
        if sum_ == chapter.value:
            yield f"{listed} sum to {chapter.text}, the figure of the chapter."
        else:
            yield (
                f"{listed} sum to {figures.number(sum_)}, the chapter says {chapter.text}: the "
                "source differs with itself."
            )

    def _flow_notes(self) -> Iterator[str]:
        named = self.figures
        registered = named["article_registered"]
        completed, court = named["article_completed"], named["article_sent_to_court"]
        other = named["article_terminated_non_rehabilitating"]
        outcome = named.get("article_with_reported_outcome")
        if named["article_gross_caseload"].value == 0:
            yield "No case of this article is counted."
            return
        if other.value is not None and completed.value is not None:
            holds = "as it should be" if (court + other).value == completed.value else "unequal"
            yield (
                f"Completed, {completed.text}, against sent to court, {court.text}, and terminated "
                f"on other grounds, {other.text}: {holds}."
            )
        gross, net = named["article_gross_caseload"], named["article_in_proceedings"]
        if gross.value is not None and outcome is not None:
            rehabilitating = named["article_terminated_rehabilitating"]
            yield (
                f"In proceedings (net): {net.text}, of which with an outcome {outcome.text} and "
                f"pending {named['article_pending'].text}. Terminated on rehabilitating grounds: "
                f"{rehabilitating.text}, beside these, not among them; so the gross caseload is "
                f"{gross.text}."
            )
        at_least = named["article_gross_caseload_at_least"]
        if at_least.value is not None and outcome is not None:
            unspecified = named["article_terminated_unspecified"]
            yield (
                f"{outcome.text} of the {registered.text} registered have a reported outcome: "
                f"{completed.text} completed and "
                f"{named['article_term_expired_unspecified'].text} with an expired (or interrupted) "
                "term."
            )
            most = completed - court
            left = "none" if not most.value else f"at most {most.text}"
            rest = f"all {unspecified.text}" if not most.value else "the others"
            yield (
                f"Conclusion: at least {at_least.text} cases were on the books. Premise: completed "
                f"({completed.text}) = sent to court ({court.text}) + terminated on other grounds, "
                f"so {left} of the {unspecified.text} terminations was on other grounds; {rest} "
                f"were on rehabilitating grounds and have left the {registered.text} registered."
            )


def period_report(period: str, region: str = COUNTRY, article: str | int = "146") -> PeriodReport:
    """The report on one period (`"2022-12"`), region (`"KZ"`, `"KZ-75"`) and article (`"146"`).

    Returns a `PeriodReport`, whose figures are in offences. Raises `UnknownValueError` for a value
    that the data does not have, with what it has.

    Source: Form 1-M or a press report of it (the `source` of each figure); Freedom in the World.
    """
    articles = codebook.row_names().filter(pl.col("kind") == "article")["article"].to_list()
    if str(article) not in articles:
        raise unknown_value("article", article, articles)
    datasets.check_reported(period, region, article)
    return PeriodReport(period, region, str(article))


def _plural(value: float, one: str, many: str) -> str:
    return one if value == 1 else many


def _frame(found: list[tuple[str, Figure]]) -> pl.DataFrame:
    lines = [
        {
            "label": label,
            "value": one.value,
            "text": one.text,
            "unit": one.unit,
            "note": one.note,
        }
        for label, one in found
    ]
    schema = {"label": pl.String, "value": pl.Float64}
    schema |= dict.fromkeys(("text", "unit", "note"), pl.String)
    return pl.DataFrame(lines, schema=schema)

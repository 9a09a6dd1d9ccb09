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
from kzresearch.language import later, say, told_once
from kzresearch.regions import COUNTRY, region_name

if TYPE_CHECKING:
    from IPython.display import Markdown

SEVERITIES = {
    "minor": later("minor"),
    "medium": later("medium"),
    "grave": later("grave"),
    "especially_grave": later("especially grave"),
}
OFFENCES = flows.OFFENCES
POINTS, STATUS = later("points of 100"), later("status")
STATUSES = (later("Free"), later("Partly Free"), later("Not Free"))
"""The statuses of Freedom in the World."""

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
    "article_gross_caseload": later("gross caseload"),
    "article_gross_caseload_at_least": later("gross caseload, at least (a conclusion)"),
    "article_in_proceedings": later("in proceedings (net)"),
    "article_gross_registered": later("gross registered in the year"),
    "article_registered": later("registered (net)"),
    "article_completed": later("completed"),
    **OUTCOMES,
}


@dataclass(frozen=True)
class PeriodReport:
    """The figures of one period (January to its month), region and article of the Code.

    Made by `period_report`. Its frames have one row per figure: `label`, `value` (null where not
    reported), `text`, `unit`, `note`.

    >>> report = kz.period_report("2022-12", region="KZ-75", article="146")
    >>> report.figures["article_registered"].text
    '24'
    >>> report.figures["article_registered"].cells[0].cell
    'R1!F70'
    >>> report.frame.select("section", "row", "measure", "cell").row(0)
    ('R1', 'total', 'registered', 'R1!F7')
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
        """The chapter of the Criminal Code that the article stands in.

        >>> kz.period_report("2022-12", article="146").chapter
        '3'
        """
        names = codebook.row_names()
        return str(names.row(by_predicate=pl.col("row") == self._article, named=True)["chapter"])

    @property
    def _article(self) -> str:
        return f"article:{self.article}"

    @property
    def article_name(self) -> str:
        """The article's number and title.

        >>> kz.period_report("2022-12", article="146").article_name
        'Article 146. Torture'
        """
        return captions.row_name(self._article, self.period)

    @property
    def chapter_name(self) -> str:
        """The number and title of the article's chapter.

        >>> kz.period_report("2022-12", article="146").chapter_name
        'Chapter 3. Criminal offences against the constitutional and other rights ...'
        """
        return captions.row_name(f"chapter:{self.chapter}", self.period)

    @property
    def title(self) -> str:
        """The region and the months.

        >>> kz.period_report("2022-12").title
        'Kazakhstan, January–December 2022'
        """
        return captions.title(self.period, self.region)

    @property
    def months(self) -> str:
        """The months that the figures cover.

        >>> kz.period_report("2022-12").months
        'January–December 2022'
        """
        return captions.months(self.period)

    @property
    def source_line(self) -> str:
        """Where the form's figures come from, for below a chart or a table.

        >>> print(kz.period_report("2022-12", "KZ-75").source_line)
        Almaty, January–December 2022. Source: Committee on Legal Statistics and Special Accounts, ...
        """
        return captions.source_line(self.period, self.region)

    @property
    def editions(self) -> list[int]:
        """Editions of Freedom in the World that go with the period.

        >>> kz.period_report("2022-12").editions
        [2022, 2023]
        """
        return self.freedom()["edition"].to_list()

    def heading(self) -> Markdown:
        """What the report is on, in one line.

        >>> print(kz.period_report("2022-12", article="146").heading().data)
        **Kazakhstan, January–December 2022** · Article 146. Torture · Chapter 3. ...
        """
        return captions.heading(
            self.period, self.region, f"{self.article_name} · {self.chapter_name}"
        )

    def summary(self) -> Markdown:
        """The report in a few sentences, as far as the source goes.

        >>> print(kz.period_report("2022-12", article="146").summary().data)
        For Kazakhstan, January–December 2022, the workbooks of 20 regions have **155,200 registered
        offences**, net of terminations on rehabilitating grounds: 2,200 especially grave, ...
        """
        return captions.markdown(" ".join(self._sentences()))

    def _sentences(self) -> Iterator[str]:
        named = self.figures
        yield self._registered()
        prefix = say("Article {number}. {title}", number=self.article, title="")
        yield say(
            "{of_chapter} of them fall under chapter {chapter}, **{of_article} under article {article}** "
            "({title}).",
            of_chapter=named["chapter_registered"].value,
            chapter=self.chapter,
            of_article=named["article_registered"].value,
            article=self.article,
            title=self.article_name.removeprefix(prefix),
        )
        parts = {
            "article_registered_grave_or_especially_grave": later("{n} grave or especially grave"),
            "article_registered_against_women": later("{n} against women"),
            "article_registered_against_minors": later("{n} against minors"),
        }
        if given := self._given(parts):
            yield say("Under this article the source counts {parts}.", parts=given)
        victims = named["article_registered_against_women"]
        if victims.note and not self.from_workbooks:
            yield say("On those against women and minors: {note}.", note=victims.note)
        yield self._went()
        at_least = named["article_gross_caseload_at_least"]
        if at_least.value:
            yield say("At least {n} cases were on the books, as concluded below.", n=at_least.value)
        if caution := attrition.military_note(self.article).data:
            yield caution
        yield say(
            "Freedom in the World {edition} rates Kazakhstan {status}, {total} of 100.",
            edition=self.period[:4],
            status=named["freedom_in_the_world_status"].text,
            total=named["freedom_in_the_world_total"].value,
        )

    def _registered(self) -> str:
        """All offences registered, whose workbooks they come from, and how grave they are."""
        gravity = {
            "registered_especially_grave": later("{n} especially grave"),
            "registered_grave": later("{n} grave"),
            "registered_medium": later("{n} of medium gravity"),
            "registered_minor": later("{n} of minor gravity"),
            "registered_misdemeanours": later("{n} misdemeanours"),
        }
        registered = self.figures["offences_registered"]
        held = len(registered.cells)
        if not self.from_workbooks:
            text = later(
                "For {where}, {months}, the press report has **{n} registered offences**, read as net "
                "of terminations on rehabilitating grounds, as in the form of 2022: {gravity}."
            )
        elif held > 1:
            text = later(
                "For {where}, {months}, the workbooks of {held} regions have **{n} registered "
                "offences**, net of terminations on rehabilitating grounds: {gravity}."
            )
        elif self.region == COUNTRY and not datasets.is_summed(self.period):
            text = later(
                "For {where}, {months}, the national workbook has **{n} registered offences**, net of "
                "terminations on rehabilitating grounds: {gravity}."
            )
        else:
            text = later(
                "For {where}, {months}, the region's workbook has **{n} registered offences**, net of "
                "terminations on rehabilitating grounds: {gravity}."
            )
        return say(
            text,
            where=region_name(self.region),
            months=self.months,
            held=held,
            n=registered.value,
            gravity=self._given(gravity),
        )

    def _given(self, texts: dict[str, str]) -> str:
        """Those of the figures named that are reported, each said with its number `n`."""
        found = ((text, self.figures[name].value) for name, text in texts.items())
        return ", ".join(say(text, n=value) for text, value in found if value is not None)

    def _went(self) -> str:
        """What became of the article's cases."""
        named = self.figures
        gross, completed = named["article_gross_caseload"], named["article_completed"]
        if gross.value == 0:
            return say("No case of this article is counted.")
        ended = [
            say("{n} {disposition}", n=named[name].value, disposition=say(words))
            for name, words in OUTCOMES.items()
            if named[name].value
        ]
        if gross.value:
            return say(
                "The **gross caseload was {n}**: {ended}.", n=gross.value, ended="; ".join(ended)
            )
        if not ended:
            return say("What became of its cases is not reported.")
        if completed.value is not None:
            done = say("{n} {disposition}", n=completed.value, disposition=say("completed"))
            ended.insert(0, done)
        return say("Of its cases, as far as reported: {ended}.", ended="; ".join(ended))

    def consistency_notes(self) -> Markdown:
        """`consistency()` as a list to read.

        >>> print(kz.period_report("2022-12").consistency_notes().data)
        - The four severities sum to 135,028 of 155,200 offences; ...
        """
        return captions.markdown("\n".join(f"- {sentence}" for sentence in self.consistency()))

    @property
    def sources(self) -> list[str]:
        """Ids of the sources that the figures come from.

        >>> kz.period_report("2022-12").sources
        ['form_1m', 'freedom_in_the_world']
        """
        return [*self.frame["source"].unique(maintain_order=True), "freedom_in_the_world"]

    @property
    def from_workbooks(self) -> bool:
        """Whether the figures come from the form's own workbooks, not from a publication.

        >>> kz.period_report("2022-12").from_workbooks, kz.period_report("2021-02").from_workbooks
        (True, False)
        """
        return FORM_1M in self.sources

    def figure(self, section: str, row: str, measure: str) -> Figure:
        """One figure of the form, with its cells.

        >>> kz.period_report("2022-12").figure("R1", "article:146", "registered").text
        '98'
        """
        return self._lookup(section, row, measure, OFFENCES)

    @cached_property
    def _lookup(self) -> Lookup:
        return Lookup(self.frame)

    @told_once
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
                say("{total} − the four severities", total="offences_registered"),
                say("misdemeanours, and any crime without a severity"),
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
                say(
                    "a conclusion: completed = sent to court + terminated on other grounds, so no more "
                    "than the difference can have been terminated on other grounds"
                ),
            ),
        )
        ended = [steps[name] for name in (*flows.LEFT, "term_expired_unspecified")]
        if reported := [one for one in ended if one.value is not None]:
            yield (
                "article_with_reported_outcome",
                figures.total(reported).named(
                    say(
                        "{completed} + interrupted, expired, transferred or time-barred, as far as "
                        "reported",
                        completed="article_completed",
                    )
                ),
            )

    def freedom(self) -> pl.DataFrame:
        """Freedom in the World for Kazakhstan, the editions that go with the period.

        That published in the period's year, and the one that reviews that year where there is one.
        Columns as in the table, `relation` added.

        >>> kz.period_report("2022-12").freedom().select("edition", "total", "relation").rows()
        [(2022, 23, 'published in 2022'), (2023, 23, 'reviews 2022')]
        """
        year = int(self.period[:4])

        def relation(line: dict[str, int]) -> str:
            if line["edition"] == year:
                return say("published in {year}", year=str(year))
            return say("reviews {year}", year=str(line["year_reviewed"]))

        return (
            datasets.load_freedom_in_the_world()
            .filter(pl.col("country") == "Kazakhstan", pl.col("edition").is_in([year, year + 1]))
            .with_columns(
                relation=pl.struct("edition", "year_reviewed").map_elements(
                    relation, return_dtype=pl.String
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
            note = say(
                "edition {edition}, which reviews {year}",
                edition=str(edition),
                year=str(edition - 1),
            )
            for name, unit in (("total", POINTS), ("status", STATUS)):
                value = line.get(name)
                yield (
                    f"freedom_in_the_world_{name}{suffix}",
                    Figure(
                        value=value if name == "total" else None,
                        unit=unit,
                        cells=cells,
                        sources=origin,
                        note=note,
                        shown=say(value) if value and name == "status" else None,
                    ),
                )

    def severity(self) -> pl.DataFrame:
        """Offences registered, by severity; together they are all offences registered.

        >>> kz.period_report("2022-12").severity().select("label", "value").row(0)
        ('especially grave', 2200.0)
        """
        named = self.figures
        labels = {f"registered_{s}": SEVERITIES[s] for s in reversed(SEVERITIES)}
        if named["registered_misdemeanours"].value is None:
            rest = later("misdemeanours and crimes without severity")
            labels["registered_without_severity"] = rest
        else:
            labels["registered_misdemeanours"] = later("misdemeanours")
        return _frame([(say(text), named[name]) for name, text in labels.items()])

    def articles(self) -> pl.DataFrame:
        """Offences registered by article of the chapter, as far as reported.

        Preparation for and attempted murder, a row of its own in chapter 1, is among them.

        >>> kz.period_report("2022-12", article="146").articles().select("label", "value").row(1)
        ('Article 146. Torture', 98.0)
        """
        return _frame(
            [(captions.row_name(row, self.period), one) for row, one in self._of_chapter()]
        )

    def _of_chapter(self) -> list[tuple[str, Figure]]:
        rows = codebook.row_names().filter(
            pl.col("kind").is_in(["article", "attempt"]), pl.col("chapter") == self.chapter
        )
        found = ((row, self.figure("R1", row, "registered")) for row in rows["row"])
        return [(row, one) for row, one in found if one.value is not None]

    def article_table(self) -> pl.DataFrame:
        """The article itself: offences registered, their severity and victims.

        >>> kz.period_report("2022-12", article="146").article_table()["value"].to_list()
        [98.0, 76.0, 4.0, 2.0]
        """
        labels = {
            "article_registered": later("registered (net)"),
            "article_registered_grave_or_especially_grave": later(
                "of them grave or especially grave"
            ),
            "article_registered_against_women": later("against women"),
            "article_registered_against_minors": later("against minors"),
        }
        return _frame([(say(text), self.figures[name]) for name, text in labels.items()])

    def flow_table(self) -> pl.DataFrame:
        """What became of the cases, net and gross, as far as reported.

        >>> flow = kz.period_report("2022-12", article="146").flow_table()
        >>> flow.select("label", "value").rows()[:2]
        [('gross caseload', 918.0), ('in proceedings (net)', 106.0)]
        """
        found = [(say(text), self.figures[name]) for name, text in FLOW.items()]
        return _frame([(text, one) for text, one in found if one.value is not None])

    def not_reported(self) -> Markdown:
        """Which columns on what became of the cases no source reports, in words.

        >>> print(kz.period_report("2021-02", article="146").not_reported().data)
        Not reported, which is not nought: in proceedings (net); terminated on rehabilitating grounds; ...
        """
        columns: tuple[str, ...] = ("article_in_proceedings", "article_completed")
        columns += tuple(f"article_{step.name}" for step in flows.OUTCOMES if step.measure)
        lacking = [say(FLOW[name]) for name in columns if self.figures[name].value is None]
        if not lacking:
            return captions.markdown(
                say("The source reports every column of the form that is needed here.")
            )
        return captions.markdown(
            say("Not reported, which is not nought: {columns}.", columns="; ".join(lacking))
        )

    def outcomes(self) -> pl.DataFrame:
        """The outcomes that are reported and not nought, largest first; all, where none is.

        >>> kz.period_report("2022-12", article="146").outcomes().select("label", "value").row(0)
        ('terminated on rehabilitating grounds', 812.0)
        """
        found = [(say(text), self.figures[name]) for name, text in OUTCOMES.items()]
        drawn = [(text, one) for text, one in found if one.value]
        return _frame(drawn or found).sort("value", descending=True, maintain_order=True)

    def consistency(self) -> list[str]:
        """What the figures say of each other, in sentences computed from them.

        >>> print(kz.period_report("2022-12", article="146").consistency()[-1])
        In proceedings (net): 106, of which with an outcome 25 and pending 81. ...
        """
        return [*self._severity_notes(), *self._chapter_notes(), *self._flow_notes()]

    def _severity_notes(self) -> Iterator[str]:
        named = self.figures
        total, rest = named["offences_registered"], named["registered_without_severity"]
        if rest.value is None:
            return
        misdemeanours = named["registered_misdemeanours"]
        left = rest
        if misdemeanours.value is None:
            text = later(
                "The four severities sum to {severities} of {total} offences; the rest, {left}, are "
                "misdemeanours and any crime without a severity, which the report does not give."
            )
        elif (left := rest - misdemeanours).value:
            text = later(
                "The four severities sum to {severities} of {total} offences; with the {misdemeanours} "
                "misdemeanours {left} {left:crime is|crimes are} left, without a severity."
            )
        else:
            text = later(
                "The four severities sum to {severities} of {total} offences; with the {misdemeanours} "
                "misdemeanours that is all of them."
            )
        yield say(
            text,
            severities=(total - rest).value,
            total=total.value,
            misdemeanours=misdemeanours.value,
            left=left.value,
        )

    def _chapter_notes(self) -> Iterator[str]:
        found, chapter = self._of_chapter(), self.figures["chapter_registered"].value
        if not found or chapter is None:
            return
        added = figures.total([one for _, one in found]).value
        attempts = sum(codebook.row_line(row)["kind"] == "attempt" for row, _ in found)
        agree = added == chapter
        if attempts:
            text = (
                later(
                    "The {n} articles of chapter {chapter} that are reported, with preparation for and "
                    "attempted murder, sum to {added}, the figure of the chapter."
                )
                if agree
                else later(
                    "The {n} articles of chapter {chapter} that are reported, with preparation for and "
                    "attempted murder, sum to {added}, the chapter says {said}: the source differs with "
                    "itself."
                )
            )
        else:
            text = (
                later(
                    "The {n} articles of chapter {chapter} that are reported sum to {added}, the figure "
                    "of the chapter."
                )
                if agree
                else later(
                    "The {n} articles of chapter {chapter} that are reported sum to {added}, the chapter "
                    "says {said}: the source differs with itself."
                )
            )
        yield say(text, n=len(found) - attempts, chapter=self.chapter, added=added, said=chapter)

    def _flow_notes(self) -> Iterator[str]:
        named = self.figures
        registered = named["article_registered"]
        completed, court = named["article_completed"], named["article_sent_to_court"]
        other = named["article_terminated_non_rehabilitating"]
        outcome = named.get("article_with_reported_outcome")
        if named["article_gross_caseload"].value == 0:
            yield say("No case of this article is counted.")
            return
        if other.value is not None and completed.value is not None:
            text = (
                later(
                    "Completed, {completed}, against sent to court, {court}, and terminated on other "
                    "grounds, {other}: as it should be."
                )
                if (court + other).value == completed.value
                else later(
                    "Completed, {completed}, against sent to court, {court}, and terminated on other "
                    "grounds, {other}: unequal."
                )
            )
            yield say(text, completed=completed.value, court=court.value, other=other.value)
        gross, net = named["article_gross_caseload"], named["article_in_proceedings"]
        if gross.value is not None and outcome is not None:
            yield say(
                "In proceedings (net): {net}, of which with an outcome {outcome} and pending {pending}. "
                "Terminated on rehabilitating grounds: {rehabilitating}, beside these, not among them; "
                "so the gross caseload is {gross}.",
                net=net.text,
                outcome=outcome.value,
                pending=named["article_pending"].text,
                rehabilitating=named["article_terminated_rehabilitating"].value,
                gross=gross.value,
            )
        at_least = named["article_gross_caseload_at_least"]
        if at_least.value is not None and outcome is not None:
            yield say(
                "{outcome} of the {registered} registered have a reported outcome: {completed} completed "
                "and {expired} with an expired (or interrupted) term.",
                outcome=outcome.value,
                registered=registered.value,
                completed=completed.value,
                expired=named["article_term_expired_unspecified"].value,
            )
            most = (completed - court).value
            text = (
                later(
                    "Conclusion: at least {at_least} cases were on the books. Premise: completed "
                    "({completed}) = sent to court ({court}) + terminated on other grounds, so at most "
                    "{most} of the {unspecified} terminations was on other grounds; the others were on "
                    "rehabilitating grounds and have left the {registered} registered."
                )
                if most
                else later(
                    "Conclusion: at least {at_least} cases were on the books. Premise: completed "
                    "({completed}) = sent to court ({court}) + terminated on other grounds, so none of "
                    "the {unspecified} terminations was on other grounds; all {unspecified} were on "
                    "rehabilitating grounds and have left the {registered} registered."
                )
            )
            yield say(
                text,
                at_least=at_least.value,
                completed=completed.value,
                court=court.value,
                most=most,
                unspecified=named["article_terminated_unspecified"].value,
                registered=registered.value,
            )


def period_report(period: str, region: str = COUNTRY, article: str | int = "146") -> PeriodReport:
    """The report on one period, region and article: its figures, and what follows from them.

    Returns a `PeriodReport`, whose figures are in offences. Raises `UnknownValueError` for a value
    that the data does not have, with what it has.

    Source: Form 1-M or a press report of it (the `source` of each figure); Freedom in the World.

    >>> kz.period_report("2021-02", region="KZ", article="146").figures["article_registered"].text
    '88'
    """
    articles = codebook.row_names().filter(pl.col("kind") == "article")["article"].to_list()
    if str(article) not in articles:
        raise unknown_value("article", article, articles)
    datasets.check_reported(period, region, article)
    return PeriodReport(period, region, str(article))


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

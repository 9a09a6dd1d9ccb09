"""One article and region over the reports at hand: what the notebook `trends` shows of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from kzresearch import captions, datasets, panels, sources, tables
from kzresearch.errors import IncompleteSumWarning
from kzresearch.figures import NOT_REPORTED, Cell, Figure, origin
from kzresearch.form_1m.reader import SOURCE as FORM_1M
from kzresearch.language import later, month, say
from kzresearch.regions import COUNTRY, region_name

if TYPE_CHECKING:
    from IPython.display import Markdown

    from kzresearch.charts.theme import Panels

MISSING = later("no report")
CHANGES = ["form_change", "law_change", "bounds_change"]


@dataclass(frozen=True)
class Series:
    """The reports of one region on one article, in time; made by `over_periods`.

    `cumulative` is `panel` of the registered, `monthly` is `panels.months_alone`, empty where no more
    than one period of workbooks is at hand; `terminated` has what whole years' reports have
    of the year's registrations terminated on rehabilitating grounds.
    """

    article: str
    region: str
    cumulative: pl.DataFrame
    monthly: pl.DataFrame
    terminated: pl.DataFrame

    @property
    def several(self) -> bool:
        """Whether there is anything to show over time."""
        return not self.monthly.is_empty()

    @property
    def title(self) -> str:
        """`Article 146. Torture, registered: Almaty`."""
        return say(
            "{article}, registered: {region}",
            article=captions.article_name(self.article),
            region=region_name(self.region),
        )

    @property
    def sources(self) -> list[str]:
        """Ids of the sources, for `kz.references`."""
        return (
            self.cumulative["source"].drop_nulls().unique().sort().to_list() if self.several else []
        )

    @property
    def source_line(self) -> str:
        """Where the figures come from, for below a chart or a table."""
        of = "; ".join(say(sources.source(one)["attribution"]) for one in reversed(self.sources))
        return say("Source: {source}; without military, transport and central bodies", source=of)

    def summary(self) -> Markdown:
        """Of how many periods reports are at hand, and which are missing."""
        books = self.cumulative.filter(source=FORM_1M)
        periods = books["period"].to_list()
        if not self.several:
            none = (
                later(
                    "*{n} {n:period|periods} of workbooks on {region} at hand ({months}): nothing to "
                    "show over time. Add the reports of other periods with `kzresearch ingest`, and "
                    "run this again.*"
                )
                if periods
                else later(
                    "*{n} {n:period|periods} of workbooks on {region} at hand: nothing to show over "
                    "time. Add the reports of other periods with `kzresearch ingest`, and run this "
                    "again.*"
                )
            )
            return captions.markdown(
                say(
                    none,
                    n=len(periods),
                    region=region_name(self.region),
                    months=captions.months(periods[0]) if periods else "",
                )
            )
        null = self.monthly.filter(pl.col("value").is_null())
        missing = pl.col("source").is_null()
        gone, silent = (null.filter(one)["period"].to_list() for one in (missing, ~missing))
        there = (
            later(
                "**{article}**, {region}: workbooks of {n} {n:period|periods}, from {first} to {last}; "
                "no report of {gone}"
            )
            if gone
            else later(
                "**{article}**, {region}: workbooks of {n} {n:period|periods}, from {first} to {last}, "
                "none missing between"
            )
        )
        said = say(
            there,
            article=captions.article_name(self.article),
            region=region_name(self.region),
            n=len(periods),
            first=captions.months(periods[0]),
            last=captions.months(periods[-1]),
            gone=_listed(gone),
        )
        if silent:
            said += "; " + say("no figure of the month alone in {months}", months=_listed(silent))
        minded = self._minded(books)
        mind = "\n\n" + say("**Mind:** {note}.", note=minded) if minded else ""
        return captions.markdown(f"{said}.{mind}")

    def _minded(self, books: pl.DataFrame) -> str:
        summed = books.drop_nulls("value")["period"] if self.region == COUNTRY else ()
        short = sum(panels.lacks_regions(period) for period in summed)
        if not short:
            return "; ".join(books["note"].drop_nulls().unique(maintain_order=True))
        return say(
            "in {short} of {n} {n:period|periods} the sum for the country lacks regions, which the table "
            "names; such sums are hollow, and not to be compared with others",
            short=short,
            n=books.height,
        )

    def chart(self) -> Panels | Markdown | None:
        """Both over time: cumulative figures as points, those of single months as bars."""
        if not self.several:
            return None
        from kzresearch.charts import periods

        return periods(self.cumulative_drawn(), self.monthly_drawn(), self.title, self.source_line)

    def cumulative_drawn(self) -> pl.DataFrame:
        """The points: with `clear`, `series` (joined by a line) and `change` (its number in `explained`).

        A month of which no region's report is at hand has a row too.
        """
        own = self.cumulative.join(
            self.monthly.select("period", months=pl.col("month").dt.month()),
            on="period",
            how="full",
            coalesce=True,
        ).sort("period")
        changed = pl.any_horizontal(pl.col(CHANGES).is_not_null())
        month = pl.col("period").str.to_date("%Y-%m")
        ends = (
            changed
            | (month.dt.month() == 1)
            | (month.dt.offset_by("-1mo") != month.shift())
            | (pl.col("note").fill_null("") != pl.col("note").shift().fill_null(""))
            | pl.col("value").is_null()
        )
        return own.select(
            "period",
            pl.coalesce("months", "months_right").alias("months"),
            *("value", "unit", "note"),
            clear=pl.col("note").is_null() & (pl.col("source") == FORM_1M),
            series=ends.fill_null(value=True).cum_sum(),
            change=pl.when(changed).then(changed.cum_sum()),
        )

    def monthly_drawn(self) -> pl.DataFrame:
        """The bars: with `clear`."""
        return self.monthly.select(
            *("period", "value", "unit"),
            panels.also_net(self.monthly).alias("note"),
            clear=pl.col("value").is_not_null() & pl.col("note").is_null(),
        )

    def explained(self) -> Markdown | None:
        """What changed between reports, and why months do not add up to years."""
        if not self.several:
            return None
        return captions.markdown("\n\n".join(filter(None, [self._changes(), self._years()])))

    def _changes(self) -> str:
        """What changed between reports, by the numbers in the chart."""
        lines = [
            f"- **{place}**, {captions.months(line['period'])}: {_what_changed(line)}."
            for place, line in enumerate(self._changed(), 1)
        ]
        if not lines:
            return say(
                "*The form, its title of the article and the region's bounds are the same in all of these "
                "reports.*"
            )
        intro = say("What changed between reports, so that figures on either side are not alike:")
        return "\n".join([intro, "", *lines])

    def _changed(self) -> Iterator[dict[str, Any]]:
        any_of = pl.any_horizontal(pl.col(CHANGES).is_not_null())
        yield from self.cumulative.filter(any_of).iter_rows(named=True)

    def _years(self) -> str:
        """Beside the figure of each whole year what its twelve months add up to, and why they differ."""
        whole = self.cumulative.filter(pl.col("months") == 12, pl.col("value").is_not_null())
        lines = [self._year(line) for line in whole.iter_rows(named=True)]
        intro = say("Whole years, and why single months do not add up to them:")
        return "\n".join([intro, "", *lines]) if lines else ""

    def _year(self, december: dict[str, Any]) -> str:
        year, value = december["period"][:4], december["value"]
        again = self.terminated.filter(period=december["period"])["value"].drop_nulls()
        registered = (
            later(
                "- **{year}**: {n} registered, net at the end of the year ({gross} gross, with {terminated} "
                "terminated on rehabilitating grounds)."
            )
            if len(again)
            else later("- **{year}**: {n} registered, net at the end of the year.")
        )
        terminated = again[0] if len(again) else 0
        said = say(registered, year=year, n=value, gross=value + terminated, terminated=terminated)
        return f"{said} {self._added(year, december)}"

    def _added(self, year: str, december: dict[str, Any]) -> str:
        """What the twelve months of a year add up to, or why they are not added."""
        months = self.monthly.filter(pl.col("period").str.starts_with(year))
        there = months["value"].count()
        if not there:
            return say("Its months are not added: none of them has a figure.")
        if there < 12:
            return say("Its months are not added: only {n} of them {n:has|have} a figure.", n=there)
        if set(months["note"]) != {december["note"]}:
            return say(
                "Its months are not added: not all of their reports cover the same (see the table)."
            )
        together = float(months["value"].sum())
        more = together - december["value"]
        sums = {
            1: later(
                "The twelve months' own figures add up to {n}, {more} more than the year's, and are no "
                "figure of the year: each is net at the end of its own month."
            ),
            -1: later(
                "The twelve months' own figures add up to {n}, {more} fewer than the year's, and are no "
                "figure of the year: each is net at the end of its own month."
            ),
            0: later(
                "The twelve months' own figures add up to {n}, as many as the year's, and are no figure "
                "of the year: each is net at the end of its own month."
            ),
        }
        added = say(sums[(more > 0) - (more < 0)], n=together, more=abs(more))
        why = say(
            "What was terminated, corrected or moved to another article later changes the year's count "
            "alone."
        )
        return f"{added} {why}"

    def table(self) -> tables.Table | None:
        """Every period: the cumulative figure, that of the month, what changed, what to mind."""
        if not self.several:
            return None
        since, alone = _by_period(self.cumulative), _by_period(self.monthly)
        changed = {line["period"]: _what_changed(line) for line in self._changed()}
        shown = []
        for period in sorted({*since, *alone}):
            figures = since.get(period), alone.get(period)
            notes = [one.note or "" for one in figures if one]
            shown.append(
                {
                    "period": captions.months(period),
                    "value": figures[0].text if figures[0] else say(MISSING),
                    "month": figures[1].text if figures[1] else say(NOT_REPORTED),
                    "origin": origin(cell for one in figures if one for cell in one.cells),
                    "changed": changed.get(period, ""),
                    "note": next(filter(None, notes), ""),
                }
            )
        headings = {
            "period": say("Period"),
            "value": say("Registered since January, net"),
            "month": say("In its last month, net"),
            "origin": say("Taken from"),
            "changed": say("Changed since the report before"),
            "note": say("To mind"),
        }
        widths = dict(zip(headings, (17, 12, 11, 14, 22, 24), strict=True))
        return tables.Table(
            pl.DataFrame(shown),
            self.title,
            self.source_line,
            headings,
            ["value", "month"],
            widths=widths,
            folded=True,
        )

    def figures(self) -> dict[str, Figure]:
        """Every figure by the name it is recorded by: `registered_to_2023_06`, `registered_in_month_2023_06`."""
        if not self.several:
            return {}
        alone = self.monthly.with_columns(panels.also_net(self.monthly).alias("note"))
        return {
            f"{kind}_{period.replace('-', '_')}": replace(one, note=self._noted(when, period, one))
            for kind, frame, when in (
                ("registered_to", self.cumulative, captions.months),
                ("registered_in_month", alone, _month),
            )
            for period, one in _by_period(frame).items()
        }

    def _noted(self, when: Callable[[str], str], period: str, one: Figure) -> str:
        """What a recorded figure is, by the form's title then, and what must be minded."""
        name = captions.article_name(self.article, period)
        return "; ".join(filter(None, [f"{name}, {when(period)}", one.note]))


def over_periods(article: str | int = "146", region: str = COUNTRY) -> Series:
    """An article's registrations in a region, or the country, over all periods at hand.

    Empty for a former region of which no report is at hand. Raises UnknownValueError for an article or
    region that is not known.

    Source: Form 1-M.
    """
    datasets.check_region(region)
    if region != COUNTRY and region not in datasets.coverage()["region"]:
        others = over_periods(article)
        nothing = (one.clear() for one in (others.cumulative, others.monthly, others.terminated))
        return Series(str(article), region, *nothing)
    with warnings.catch_warnings():  # the summary says it, and the notes
        warnings.simplefilter("ignore", IncompleteSumWarning)
        cumulative = panels.panel(article, region=region)
        monthly = panels.months_alone(article, region)
        whole = cumulative.filter(pl.col("months") == 12)["period"].to_list()
        terminated = panels.panel(
            article, "terminated_rehabilitating", panels.MONTHS_OWN, whole, region
        )
    several = cumulative.filter(pl.col("value").is_not_null(), source=FORM_1M).height > 1
    return Series(
        str(article), region, cumulative, monthly if several else monthly.clear(), terminated
    )


def _by_period(frame: pl.DataFrame) -> dict[str, Figure]:
    return {line["period"]: _figure(line) for line in frame.iter_rows(named=True)}


def _figure(line: dict[str, Any]) -> Figure:
    here = [{name: line[name] for name in ("workbook", "cell")}] if line["cell"] else []
    return Figure(
        value=line["value"],
        unit=line["unit"],
        cells=tuple(Cell(one["workbook"], one["cell"]) for one in line.get("cells") or here),
        sources=(line["source"],) if line["source"] else (),
        note=line["note"],
        shown=None if line["source"] else say(MISSING),
    )


def _what_changed(line: dict[str, Any]) -> str:
    return "; ".join(line[name] for name in CHANGES if line[name])


def _month(period: str) -> str:
    """`June 2023`."""
    year, number = period.split("-")
    return say("{month} {year}", month=month(int(number)), year=year)


def _listed(periods: list[str]) -> str:
    """Months in words, a run of them by its first and last."""
    places = {period: int(period[:4]) * 12 + int(period[5:]) for period in periods}
    runs: list[list[str]] = []
    for period in periods:
        if runs and places[period] == places[runs[-1][-1]] + 1:
            runs[-1].append(period)
        else:
            runs.append([period])
    return ", ".join(
        say("{first} to {last}", first=_month(first), last=_month(last))
        if first != last
        else _month(first)
        for first, *_, last in ([run[0], *run] for run in runs)
    )

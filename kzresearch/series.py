"""One article and region over the reports at hand: what the notebook `trends` shows of them."""

from __future__ import annotations

import calendar
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from kzresearch import captions, datasets, panels, sources, tables
from kzresearch.errors import IncompleteSumWarning
from kzresearch.figures import NOT_REPORTED, Cell, Figure, number, origin
from kzresearch.form_1m.reader import SOURCE as FORM_1M
from kzresearch.regions import COUNTRY, region_name

if TYPE_CHECKING:
    from IPython.display import Markdown

    from kzresearch.charts.theme import Panels

MISSING = "no report"
CHANGES = ["form_change", "law_change", "bounds_change"]


@dataclass(frozen=True)
class Series:
    """The reports of one region on one article, in time; made by `over_periods`.

    `cumulative` is `panel` of the registered, `monthly` is `monthly_registrations`, empty where no
    more than one period of workbooks is at hand; `terminated` has what whole years' reports have
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
        return f"{captions.article_name(self.article)}, registered: {region_name(self.region)}"

    @property
    def sources(self) -> list[str]:
        """Ids of the sources, for `kz.references`."""
        return (
            self.cumulative["source"].drop_nulls().unique().sort().to_list() if self.several else []
        )

    @property
    def source_line(self) -> str:
        """Where the figures come from, for below a chart or a table."""
        of = "; ".join(sources.source(one)["attribution"] for one in reversed(self.sources))
        return f"Source: {of}; without military, transport and central bodies"

    def summary(self) -> Markdown:
        """Of how many periods reports are at hand, and which are missing."""
        books = self.cumulative.filter(source=FORM_1M)
        periods = books["period"].to_list()
        if not self.several:
            there = f" ({captions.months(periods[0])})" if periods else ""
            return captions.markdown(
                f"*{_plural(len(periods), 'period')} of workbooks on {region_name(self.region)} at "
                f"hand{there}: nothing to show over time. Add the reports of other periods with "
                "`kzresearch ingest`, and run this again.*"
            )
        first, last = captions.months(periods[0]), captions.months(periods[-1])
        null = self.monthly.filter(pl.col("value").is_null())
        missing = pl.col("note").str.contains(panels.NO_REPORT)
        gone, silent = (null.filter(one)["period"].to_list() for one in (missing, ~missing))
        said = (
            f"**{captions.article_name(self.article)}**, {region_name(self.region)}: workbooks of "
            f"{_plural(len(periods), 'period')}, from {first} to {last}"
        )
        said += f"; no report of {_listed(gone)}" if gone else ", none missing between"
        said += f"; no figure of the month alone in {_listed(silent)}." if silent else "."
        minded = self._minded(books)
        return captions.markdown(said + (f"\n\n**Mind:** {minded}." if minded else ""))

    def _minded(self, books: pl.DataFrame) -> str:
        notes = books["note"].drop_nulls()
        sums = notes.filter(notes.str.starts_with("the sum ") & (self.region == COUNTRY))
        if not len(sums):
            return "; ".join(notes.unique(maintain_order=True))
        return (
            f"in {len(sums)} of {_plural(books.height, 'period')} the sum for the country lacks "
            "regions, which the table names; such sums are hollow, and not to be compared with others"
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
            *("period", "value", "unit", "note"), clear=pl.col("note") == panels.NET
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
        intro = "What changed between reports, so that figures on either side are not alike:\n\n"
        none = "*The form, its title of the article and the region's bounds are the same in all of these reports.*"
        return intro + "\n".join(lines) if lines else none

    def _changed(self) -> Iterator[dict[str, Any]]:
        any_of = pl.any_horizontal(pl.col(CHANGES).is_not_null())
        yield from self.cumulative.filter(any_of).iter_rows(named=True)

    def _years(self) -> str:
        """Beside the figure of each whole year what its twelve months add up to, and why they differ."""
        whole = self.cumulative.filter(pl.col("months") == 12, pl.col("value").is_not_null())
        lines = [self._year(line) for line in whole.iter_rows(named=True)]
        intro = "Whole years, and why single months do not add up to them:\n\n"
        return intro + "\n".join(lines) if lines else ""

    def _year(self, december: dict[str, Any]) -> str:
        year, value = december["period"][:4], december["value"]
        said = f"- **{year}**: {number(value)} registered, net at the end of the year"
        again = self.terminated.filter(period=december["period"])["value"].drop_nulls()
        if len(again):
            said += (
                f" ({number(value + again[0])} gross, with {number(again[0])} terminated on "
                "rehabilitating grounds)"
            )
        months = self.monthly.filter(pl.col("period").str.starts_with(year))
        there = months["value"].count()
        if there < 12:
            only = f"only {there} of them" if there else "none of them"
            return f"{said}. Its months are not added: {only} {'has' if there < 2 else 'have'} a figure."
        if {_to_mind(note) for note in months["note"]} != {december["note"] or ""}:
            return f"{said}. Its months are not added: not all of their reports cover the same (see the table)."
        together = float(months["value"].sum())
        more = together - value
        than = (
            f"{number(abs(more))} {'more' if more > 0 else 'fewer'} than" if more else "as many as"
        )
        return (
            f"{said}. The twelve months' own figures add up to {number(together)}, {than} the year's, "
            "and are no figure of the year: each is net at the end of its own month. What was "
            "terminated, corrected or moved to another article later changes the year's count alone."
        )

    def table(self) -> tables.Table | None:
        """Every period: the cumulative figure, that of the month, what changed, what to mind."""
        if not self.several:
            return None
        since, alone = _by_period(self.cumulative), _by_period(self.monthly)
        changed = {line["period"]: _what_changed(line) for line in self._changed()}
        shown = []
        for period in sorted({*since, *alone}):
            figures = since.get(period), alone.get(period)
            notes = [_to_mind(one.note) for one in figures if one]
            shown.append(
                {
                    "period": captions.months(period),
                    "value": figures[0].text if figures[0] else MISSING,
                    "month": figures[1].text if figures[1] else NOT_REPORTED,
                    "origin": origin(cell for one in figures if one for cell in one.cells),
                    "changed": changed.get(period, ""),
                    "note": next(filter(None, notes), ""),
                }
            )
        headings = {
            "period": "Period",
            "value": "Registered since January, net",
            "month": "In its last month, net",
            "origin": "Taken from",
            "changed": "Changed since the report before",
            "note": "To mind",
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
        return {
            f"{kind}_{period.replace('-', '_')}": replace(one, note=self._noted(when, period, one))
            for kind, frame, when in (
                ("registered_to", self.cumulative, captions.months),
                ("registered_in_month", self.monthly, _month),
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
        monthly = panels.monthly_registrations(article, region)
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
        shown=MISSING if panels.NO_REPORT in (line["note"] or "") else None,
    )


def _to_mind(note: str | None) -> str:
    """A note without what is said of every month, that it is net."""
    return (note or "").removeprefix(panels.NET).removeprefix("; ")


def _what_changed(line: dict[str, Any]) -> str:
    return "; ".join(line[name] for name in CHANGES if line[name])


def _month(period: str) -> str:
    """`June 2023`."""
    year, month = period.split("-")
    return f"{calendar.month_name[int(month)]} {year}"


def _listed(periods: list[str]) -> str:
    """Months in words, a run of them by its first and last."""
    places = {period: int(period[:4]) * 12 + int(period[5:]) for period in periods}
    runs: list[list[str]] = []
    for period in periods:
        if runs and places[period] == places[runs[-1][-1]] + 1:
            runs[-1].append(period)
        else:
            runs.append([period])
    said = [_month(run[0]) + (f" to {_month(run[-1])}" if len(run) > 1 else "") for run in runs]
    return ", ".join(said)


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"

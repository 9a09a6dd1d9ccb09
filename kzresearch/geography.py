"""Regions beside each other: what each reports, rates by population, and which stand out.

Counts are those of the regions as they report. A rate is the gross caseload of the period over the
mean population of its year:

    rate = gross caseload / ((population of 1 January + of the next 1 January) / 2) · 100,000

It is not scaled to a year where the period is shorter, since part of the caseload was carried over.
In a year in which regions were created, rates are of the 17 units of before: a region that reports
part of the year has no rate that could be compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from kzresearch import captions, datasets, figures, flows, funnels, rates, sources, tables
from kzresearch.boundaries import SOURCE as BOUNDARIES
from kzresearch.boundaries import Boundaries, load_boundaries
from kzresearch.errors import unknown_value
from kzresearch.figures import Cell, Figure, estimate, number
from kzresearch.form_1m.reader import SOURCE as FORM_1M
from kzresearch.funnels import Funnel, both, listed
from kzresearch.language import later, localised, say
from kzresearch.population import SERIES, SERIES_SOURCE
from kzresearch.regions import (
    COUNTRY,
    change_of_bounds,
    load_regions,
    region_name,
    regions_reporting,
    short_name,
)

if TYPE_CHECKING:
    from IPython.display import Markdown

MAPS = [later("tiles"), later("boundaries")]
PER = 100_000
UNITS = (
    later("offences per 100,000 inhabitants, 1 month"),
    later("offences per 100,000 inhabitants, 2 months"),
    later("offences per 100,000 inhabitants, 3 months"),
    later("offences per 100,000 inhabitants, 4 months"),
    later("offences per 100,000 inhabitants, 5 months"),
    later("offences per 100,000 inhabitants, 6 months"),
    later("offences per 100,000 inhabitants, 7 months"),
    later("offences per 100,000 inhabitants, 8 months"),
    later("offences per 100,000 inhabitants, 9 months"),
    later("offences per 100,000 inhabitants, 10 months"),
    later("offences per 100,000 inhabitants, 11 months"),
    later("offences per 100,000 inhabitants, 12 months"),
)
"""The unit of a rate by the months of its period, each a text of its own: a record keeps the English."""
STEPS = {
    "gross_caseload": later("Gross caseload"),
    "gross_registered": later("Gross registered"),
    "registered": later("Registered (net)"),
    "terminated_rehabilitating": later("Terminated on rehabilitating grounds"),
    "sent_to_court": later("Sent to court"),
    "pending": later("Pending"),
}
"""What is counted of each region, in offences."""
RECORDED = ("gross_caseload", "registered", "terminated_rehabilitating")
LIMITS = ("", "_lower", "_upper")


def regional_report(period: str, article: str, map: str = "tiles") -> RegionalReport:  # noqa: A002
    """The regions in a period, for an article of the Code; `map` is one of `MAPS`.

    Raises `UnknownValueError` for a value that is not known, and for a period that has no figures
    for the regions; `SourceError` for boundaries that are not there.

    Source: Form 1-M (R1, R1-1); population of the statistics bureau, series of 19 July 2023.
    """
    if map not in MAPS:
        raise unknown_value("map", map, MAPS)
    datasets.check_reported(period, None, article)
    return RegionalReport(period, article, load_boundaries() if map == "boundaries" else ())


@dataclass(frozen=True)
class RegionalReport:
    """The regions in one period (January to its month), for one article: see `regional_report`."""

    period: str
    article: str
    outlines: tuple[Boundaries, ...] = ()

    @cached_property
    def flow(self) -> dict[str, dict[str, Figure]]:
        """Region → step of `STEPS` → figure; every region of the period, reported or not."""
        row = datasets.row_of(self.article)
        held = datasets.load_form_1m(self.period, None, "R1", row=row)["region"].unique()
        found = {}
        for region in regions_reporting(self.period):
            named = dict.fromkeys(STEPS, Figure(None, flows.OFFENCES))
            if region in held:
                labelled = flows.labelled_figures(self.period, region, self.article)
                named = {name: labelled[name][1] for name in STEPS}
            bounds = change_of_bounds(region, self.period)
            found[region] = {n: _noted(one, bounds) for n, one in named.items()}
        return found

    @cached_property
    def counts(self) -> pl.DataFrame:
        """A row per region, the largest gross caseload first: `region`, `label`, `STEPS`."""
        lines = [
            {"region": region, "label": short_name(region)} | {n: f.value for n, f in of.items()}
            for region, of in self.flow.items()
        ]
        schema = {"region": pl.String, "label": pl.String} | dict.fromkeys(STEPS, pl.Float64)
        return _largest_first(pl.DataFrame(lines, schema=schema), "gross_caseload")

    @cached_property
    def merged(self) -> bool:
        """Whether rates are of the 17 units of before, as regions were created in the year."""
        split = load_regions().filter(pl.col("region") != pl.col("unit_17"))
        return int(self.period[:4]) in split["valid_from"].dt.year()

    def _by_unit(self, frame: pl.DataFrame, value: str) -> pl.DataFrame:
        if self.merged:
            return rates.merge_to_17(frame, [value])
        return frame.select("region", value, regions=pl.concat_list("region"))

    @cached_property
    def rated(self) -> pl.DataFrame:
        """A row for the country, then for each unit that rates are of, the highest first.

        Columns `region`, `regions` (that it consists of), `label` (in `lines`: one a line),
        `gross_caseload`, `population`, and per 100,000 `rate` and `shrunken_rate`, each with `_lower` and `_upper`, and the prior
        of the latter; the country's rate is not shrunken.
        """
        counts = self.counts.select("region", "gross_caseload")
        total = {"region": COUNTRY, "gross_caseload": self.country["gross_caseload"].value}
        frame = self._by_unit(
            pl.concat([counts, pl.DataFrame(total, counts.schema)]), "gross_caseload"
        )
        people = [self._people(unit).value for unit in frame["region"]]
        frame = frame.with_columns(
            pl.Series("population", people, pl.Float64),
            label=pl.col("regions").map_elements(_unit_name, return_dtype=pl.String),
            lines=pl.col("regions").map_elements(_unit_lines, return_dtype=pl.String),
        )
        frame = rates.with_rate(frame, "gross_caseload", "population", per=PER)
        units = frame.filter(pl.col("region") != COUNTRY)
        units = rates.shrunken_rates(units, "gross_caseload", "population", per=PER)
        parts = [frame.filter(region=COUNTRY), _largest_first(units, "rate")]
        return pl.concat(parts, how="diagonal")

    @cached_property
    def units(self) -> pl.DataFrame:
        """`rated` without the country."""
        return self.rated.filter(pl.col("region") != COUNTRY)

    @cached_property
    def no_rates(self) -> str | None:
        """Why there are no rates, in words; None where there are."""
        year = int(self.period[:4])
        try:
            known = any(one.value for one in self.population.values())
        except rates.MeasureError:
            known, missing = False, later("no population of 1 January {year} and {next_year}")
        else:
            missing = later("no population of both 1 January {year} and {next_year} is held")
        if known:
            return None
        if year in rates.CENSUS_BREAKS:
            missing = later(
                "no mean population of {year}: {census} lies between the figures of 1 January {year} "
                "and {next_year}; use one of the two days and say which"
            )
        census = say(rates.CENSUS_BREAKS.get(year, ""))
        return say(missing, year=str(year), next_year=str(year + 1), census=census)

    @cached_property
    def population(self) -> dict[str, Figure]:
        """Unit, and the country → mean population with the cells of both days.

        Raises `MeasureError` as `rates.mean_population` does.
        """
        table, year = datasets.load_population(), int(self.period[:4])
        means = rates.mean_population(table, self.period, SERIES, area="total")
        days = [date(year, 1, 1), date(year + 1, 1, 1)]
        held = table.filter(pl.col("date").is_in(days), series=SERIES, sex="total", area="total")
        found = {}
        for unit, mean, parts in self._by_unit(means, "population").iter_rows():
            cells = held.filter(pl.col("region").is_in(parts)).select("workbook", "cell")
            found[unit] = Figure(
                mean, "persons", (*map(Cell._make, cells.rows()),), (SERIES_SOURCE,)
            )
        return found

    def _people(self, unit: str) -> Figure:
        nobody = Figure(None, "persons")
        return nobody if self.no_rates else self.population.get(unit, nobody)

    @cached_property
    def country(self) -> dict[str, Figure]:
        """The regions together: `STEPS`."""
        formula = say("sum of {n} regions", n=len(self.flow))
        found = {}
        for name in STEPS:
            parts = [of[name] for of in self.flow.values()]
            shown = next((one.shown for one in parts if one.shown), None)
            found[name] = replace(figures.total(parts), formula=formula, shown=shown)
        return found

    @cached_property
    def rates(self) -> dict[str, Figure]:
        """Rates of `rated` by the names they are recorded under, each with its limits.

        Those of a unit of several regions have a note that names them.
        """
        mean, shape = self.units.select("prior_mean", "prior_shape").row(0)
        year = self.period[:4]
        shrunken = say("the rate of all units together: they differ by no more than chance")
        if shape:
            shrunken = say(
                "({shape} + gross caseload) / ({size} + mean population of {year}): gamma–Poisson over "
                "all units",
                shape=localised(f"{shape:.6g}"),
                size=localised(f"{shape / mean * PER:.6g}"),
                year=year,
            )
        formulas = {
            "rate": say(
                "gross caseload / mean population of {year}, exact Poisson limits", year=year
            ),
            "shrunken_rate": shrunken,
        }
        found: dict[str, Figure] = {}
        unit = UNITS[self.months - 1]
        flow = self.flow | {COUNTRY: self.country}
        for line in self.rated.sort("region").iter_rows(named=True):
            parts = [flow[part]["gross_caseload"] for part in line["regions"]]
            taken_from = [figures.total(parts), self._people(line["region"])]
            territory = say("of {unit}", unit=line["label"]) if len(parts) > 1 else None
            for name in formulas if line["region"] != COUNTRY else ["rate"]:
                limits = rates.Interval(*(line[f"{name}{limit}"] for limit in LIMITS))
                recorded = f"{name}_gross_caseload{_code(line['region'])}"
                of = figures.with_limits(recorded, limits, unit, taken_from, formulas[name])
                found |= {n: _noted(one, territory) for n, one in of.items()}
        return found

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """What is recorded: gross caseload of the country, each region as it reports, `rates`."""
        found = {"gross_caseload": self.country["gross_caseload"]}
        for region, of in self.flow.items():
            found |= {f"{name}{_code(region)}": of[name] for name in RECORDED}
        return found | self.rates

    # what charts and tables show

    def places(self, name: str) -> pl.DataFrame:
        """Regions, their tiles and a `value`, as `shown`: of `counts`, or each unit's `rate`."""
        frame, show, lines = (
            (self.units, estimate, "lines") if name == "rate" else (self.counts, number, "label")
        )
        tiles = load_regions(former=True).select("region", "tile_row", "tile_column")
        return (
            frame.with_columns(shown=tables.as_text(name, show))
            .select("region", "label", "shown", value=name, lines=lines)
            .join(tiles, on="region", how="left")
        )

    def boundaries(self, places: pl.DataFrame) -> Boundaries | None:
        """Outlines of just these regions, matched by ISO code; None for tiles."""
        wanted = set(places["region"])
        return next((one for one in self.outlines if one.regions() == wanted), None)

    def intervals(self) -> pl.DataFrame:
        """`rated` for `charts.intervals`: rates as recorded, and shrunken."""
        kinds = {"rate": say("as recorded, exact interval"), "shrunken_rate": say("shrunken")}
        parts = [
            self.rated.select(
                "label",
                kind=pl.lit(kind),
                estimate=rate,
                lower=f"{rate}_lower",
                upper=f"{rate}_upper",
            )
            for rate, kind in kinds.items()
        ]
        return pl.concat(parts)

    def funnel_of_rates(self) -> Funnel:
        """Rates by population, and limits around the rate of all units together."""
        known = self.units.filter(pl.col("rate").is_not_null())
        known = known.select("label", size="population", count="gross_caseload")
        return funnels.of_rates(known, PER)

    def funnel_of_shares(self) -> Funnel:
        """Shares terminated on rehabilitating grounds, by gross caseload, of reporting regions."""
        known = self.counts.filter(pl.col("gross_caseload") > 0)
        return funnels.of_shares(
            known.select("label", size="gross_caseload", count="terminated_rehabilitating")
        )

    def counts_table(self) -> tables.Table:
        """`counts`, and the regions together, as a table."""
        together = {"label": say("All {n} regions", n=len(self.flow))}
        together |= {name: self.country[name].text for name in STEPS}
        shown = pl.DataFrame(
            {"label": label} | {name: self.flow[region][name].text for name in STEPS}
            for region, label in self.counts.select("region", "label").iter_rows()
        )
        return tables.Table(
            pl.concat([shown, pl.DataFrame([together])]),
            say(
                "{article}: offences by region, largest gross caseload first",
                article=self.article_name,
            ),
            self.source_line,
            {"label": say("Region")} | {name: say(words) for name, words in STEPS.items()},
            list(STEPS),
        )

    def rates_table(self) -> tables.Table | Markdown:
        """`rated` as a table, the months in its headings; a sentence where there are no rates."""
        if self.no_rates:
            return captions.markdown(
                say("*No table of rates: there is no population to take them of.*")
            )
        headings = {
            "label": say("Region"),
            "gross_caseload": say("Gross caseload"),
            "population": say("Mean population"),
            "rate": say("Rate, {n} {n:month|months}", n=self.months),
            "limits": say("95 % interval"),
            "shrunken_rate": say("Shrunken rate, {n} {n:month|months}", n=self.months),
            "shrunken_limits": say("95 % interval of it"),
        }
        shown = self.rated.select(
            "label",
            tables.as_text("gross_caseload", number),
            tables.as_text("population", lambda mean: number(mean and round(mean))),
            tables.as_text("rate", estimate),
            tables.as_limits("rate_lower", "rate_upper", estimate).alias("limits"),
            tables.as_text("shrunken_rate", estimate, null=""),
            tables.as_limits("shrunken_rate_lower", "shrunken_rate_upper", estimate).alias(
                "shrunken_limits"
            ),
        )
        title = say(
            "{article}: gross caseload per {per} inhabitants, highest rate first",
            article=self.article_name,
            per=PER,
        )
        return tables.Table(shown, title, self.rate_source, headings, list(headings)[1:])

    # words

    @property
    def article_name(self) -> str:
        """`Article 146. Torture`."""
        return captions.article_name(self.article, self.period)

    @property
    def months(self) -> int:
        """How many months the period has."""
        return rates.months_in(self.period)

    @property
    def length(self) -> str:
        """`12 months`."""
        return say("{n} {n:month|months}", n=self.months)

    @property
    def rate_unit(self) -> str:
        """`offences per 100,000 inhabitants, 12 months`."""
        return say(UNITS[self.months - 1])

    @property
    def source_line(self) -> str:
        """Where the regions' figures come from, for below a chart or a table."""
        held = [ids for of in self.flow.values() if (ids := of["gross_caseload"].sources)]
        by_id = dict.fromkeys(source for ids in held for source in ids)
        line = say(
            "Kazakhstan by region, {months}. Source: {sources}",
            months=captions.months(self.period),
            sources="; ".join(say(sources.source(one)["attribution"]) for one in by_id),
        )
        books = say(
            "Workbooks of {n} {n:region|regions}; military, transport and central bodies file their "
            "own",
            n=len(held),
        )
        return f"{line}. {books}" if FORM_1M in by_id else line

    @property
    def rate_source(self) -> str:
        """`source_line`, and where the population comes from."""
        named = say(sources.source(SERIES_SOURCE)["attribution"])
        return f"{self.source_line}. {say('Population: {source}', source=named)}"

    @property
    def sources(self) -> list[str]:
        """Ids of the sources that the figures and the maps come from."""
        used = dict.fromkeys(source for one in self.figures.values() for source in one.sources)
        return [*used, "kzresearch_regions", *([BOUNDARIES] if self.outlines else [])]

    def heading(self) -> Markdown:
        """What the report is on, in one line."""
        what = say("by region · {article}", article=self.article_name)
        return captions.heading(self.period, COUNTRY, what)

    def summary(self) -> Markdown:
        """The regions' caseload, where it is largest, where there is none, what is missing."""
        return captions.markdown(" ".join(self._summary()))

    def _summary(self) -> Iterator[str]:
        case, total = pl.col("gross_caseload"), self.country["gross_caseload"]
        some, none, missing = (
            self.counts.filter(where) for where in (case > 0, case == 0, case.is_null())
        )
        if some.is_empty() and missing.is_empty():
            yield say("**No case of this article was on the books of any region.**")
            return
        if len(missing):
            yield say(
                "Not reported, so that there is no sum: {regions}.", regions=both(missing["label"])
            )
        else:
            yield say(
                "The {regions} regions together had a **gross caseload of {n} {n:offence|offences}** in "
                "{months} {months:month|months}.",
                regions=len(self.flow),
                n=total.value,
                months=self.months,
            )
        if len(some):
            top = some.filter(case.rank("min", descending=True) <= 3)
            largest = later("The largest: {regions}.")
            all_of_them = later("Cases are counted in {regions}.")
            said = all_of_them if len(top) == len(some) else largest
            yield say(said, regions=listed(top, "gross_caseload"))
        if 0 < len(none) <= len(some):
            yield say("No case at all is counted in {regions}.", regions=both(none["label"]))
        elif len(none):
            yield say(
                "No case at all is counted in {n} of {all} regions.",
                n=len(none),
                all=len(self.flow),
            )

    def about_map(self) -> Markdown:
        """What the tiles are, or whose the boundaries are."""
        if self.outlines:
            said = say(
                "*{credit}; simplified, cities as squares. How large a region is says nothing of its "
                "figure.*",
                credit=self.outlines[0].credit,
            )
        else:
            said = say(
                "*The map is the project's own: every tile is one region, all of one size, about where "
                "the region lies.*"
            )
        return captions.markdown(said)

    def unregistered(self) -> Markdown:
        """Regions with no offence registered, though cases were terminated there."""
        ended, gross = "terminated_rehabilitating", pl.col("gross_registered")
        found = _largest_first(self.counts.filter(pl.col(ended) > 0, registered=0), ended)
        if found.is_empty():
            return captions.markdown(
                say("*No region has cases so terminated and no offence registered.*")
            )
        said = [
            say(
                "**Nothing registered, yet cases terminated.** {n} of {all} regions {n:counts|count} no "
                "offence of this article as registered, and yet offences terminated on rehabilitating "
                "grounds: {regions}.",
                n=len(found),
                all=len(self.flow),
                regions=listed(found, ended),
            )
        ]
        left = found.filter(gross > 0)["label"]
        if len(left):
            there = later(
                "There nought is what the terminations left of the registered, not the absence of "
                "cases."
            )
            some = later(
                "In {regions} nought is what the terminations left of the registered, not the absence "
                "of cases."
            )
            said.append(say(there if len(left) == len(found) else some, regions=both(left)))
        carried = found.filter(gross == 0)["label"]
        if len(carried):
            there = later(
                "There none was registered in the year, terminated or not: the cases were carried "
                "over."
            )
            some = later(
                "In {regions} none was registered in the year, terminated or not: the cases were "
                "carried over."
            )
            said.append(say(there if len(carried) == len(found) else some, regions=both(carried)))
        return captions.markdown(" ".join(said))

    def about_rates(self) -> Markdown:
        """The country's rate and what it is taken of, or why there is none."""
        if self.no_rates:
            return captions.markdown(say("*No rates by population: {why}.*", why=self.no_rates))
        rate, low, high = (self.rates[f"rate_gross_caseload{limit}"].text for limit in LIMITS)
        said = say(
            "The country's gross caseload was **{rate} offences per {per} inhabitants in {months} "
            "{months:month|months}** (95 % interval {low} to {high}): the gross caseload of {period} "
            "over the mean population of {year}, {population} persons.",
            rate=rate,
            per=PER,
            months=self.months,
            low=low,
            high=high,
            period=captions.months(self.period),
            year=self.period[:4],
            population=self.population[COUNTRY].text,
        )
        if self.merged:
            said += " " + say(
                "Regions were created in {year}: rates are of the {n} units of before, each with what "
                "was split off it.",
                year=self.period[:4],
                n=len(self.units),
            )
        return captions.markdown(said)

    def repeats(self) -> Markdown:
        """How far the country's rate moves if every termination was a second one."""
        count, ended = (self.country[n] for n in ("gross_caseload", "terminated_rehabilitating"))
        rate = self.rates["rate_gross_caseload"]
        if not ended.value or not rate.value or not count.value:
            return captions.markdown(say("*There is no rate that such repeats would move.*"))
        fewer = count.value - ended.value // 2
        least = rates.rate(fewer, self.population[COUNTRY].value, PER)
        return captions.markdown(
            say(
                "Had every offence been terminated twice over, the gross caseload would be {fewer} "
                "instead of {count}, and the country's rate {least} instead of {rate}; a region moves "
                "the more, the larger the part of its cases that was terminated.",
                fewer=fewer,
                count=count.text,
                least=estimate(least.estimate),
                rate=rate.text,
            )
        )

    def bounds(self) -> Markdown:
        """Regions whose bounds changed in the year, each with what happened."""
        notes = {region: change_of_bounds(region, self.period) for region in sorted(self.flow)}
        lines = [f"- **{region_name(region)}**: {note}." for region, note in notes.items() if note]
        return captions.markdown(
            "\n".join(lines) or say("*No region's bounds changed in the year.*")
        )


def _noted(one: Figure, *notes: str | None) -> Figure:
    """The figure with more notes behind its own."""
    return replace(one, note="; ".join(filter(None, [one.note, *notes])) or None)


def _largest_first(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    return frame.sort(name, "region", descending=[True, False], nulls_last=True)


def _code(region: str) -> str:
    """The end of a recorded figure's name: `_kz_75`, of the country none."""
    return "" if region == COUNTRY else "_" + re.sub(r"\W", "_", region.lower())


def _names(regions: Iterable[str]) -> list[str]:
    """Short names of a unit's regions, the one that kept its code first."""
    of_17 = dict(load_regions().select("region", "unit_17").iter_rows())
    return [short_name(region) for region in sorted(regions, key=lambda r: r != of_17.get(r))]


def _unit_name(regions: pl.Series) -> str:
    """The unit's name, with those of the regions since split off it: `Karaganda with Ulytau`."""
    unit, *others = _names(regions)
    return say("{unit} with {regions}", unit=unit, regions=both(others)) if others else unit


def _unit_lines(regions: pl.Series) -> str:
    """The unit's name and those of the regions since split off it, a line each."""
    return "\n+ ".join(_names(regions))

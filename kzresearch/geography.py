"""Regions beside each other: what each reports, rates by population, and which stand out.

Counts are those of the regions as they report. A rate is the gross caseload of the period over the
mean population of its year:

    rate = gross caseload / ((population of 1 January + of the next 1 January) / 2) · 100,000

It is not scaled to a year where the period is shorter, since part of the caseload was carried over.
In a year in which regions were created, rates are of the 17 units of before: a region that reports
half a year has no rate that could be compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from kzresearch import captions, datasets, figures, flows, rates, sources, tables
from kzresearch.errors import SourceError, unknown_value
from kzresearch.figures import Cell, Figure, number, percent
from kzresearch.form_1m.reader import SOURCE as FORM_1M
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

MAPS = ["tiles", "boundaries"]
BOUNDARIES = "geokz"
PER = 100_000
LEVELS = (0.95, 0.998)
ZONES = ["within the limits", *(f"outside the {level * 100:g} % limits" for level in LEVELS)]
STEPS = {
    "gross_caseload": "Gross caseload",
    "gross_registered": "Gross registered",
    "registered": "Registered (net)",
    "terminated_rehabilitating": "Terminated on rehabilitating grounds",
    "sent_to_court": "Sent to court",
    "pending": "Pending",
}
"""What is counted of each region, in offences."""
RECORDED = ("gross_caseload", "registered", "terminated_rehabilitating")


class Boundaries(NamedTuple):
    """Outlines of regions: TopoJSON, the name of the object in it, and whom to credit."""

    topology: dict[str, Any]
    feature: str
    credit: str


class Funnel(NamedTuple):
    """A funnel plot: points (`label`, `size`, `value`, `zone`), limits by size, the pooled value."""

    points: pl.DataFrame
    limits: pl.DataFrame
    centre: float


def regional_report(period: str, article: str, map: str = "tiles") -> RegionalReport:  # noqa: A002
    """The regions in a period, for an article of the Code; `map` is one of `MAPS`.

    Raises `UnknownValueError` for a value that is not known, and for a period that has no figures
    for the regions; `SourceError` for boundaries that are not there.

    Source: Form 1-M (R1, R1-1); population of the statistics bureau, series of 19 July 2023.
    """
    if map not in MAPS:
        raise unknown_value("map", map, MAPS)
    datasets.check_reported(period, None, article)
    if map == "boundaries":
        _outlines()
    return RegionalReport(period, article, map)


@dataclass(frozen=True)
class RegionalReport:
    """The regions in one period (January to its month), for one article: see `regional_report`."""

    period: str
    article: str
    map: str = "tiles"

    @cached_property
    def flow(self) -> dict[str, dict[str, Figure]]:
        """Region → step of `STEPS` → figure; every region of the period, reported or not."""
        row = datasets.row_of(self.article)
        held = datasets.load_form_1m(self.period, None, "R1", row=row)["region"].unique()
        found = {}
        for region in regions_reporting(self.period):
            named = dict.fromkeys(STEPS, Figure(None, flows.OFFENCES))
            if region in held:
                bases, steps = flows.flow_figures(self.period, region, self.article)
                named = {name: bases[name][1] if name in bases else steps[name] for name in STEPS}
            bounds = change_of_bounds(region, self.period)
            found[region] = {n: replace(one, note=one.note or bounds) for n, one in named.items()}
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
        return int(self.period[:4]) in load_regions()["valid_from"].dt.year().drop_nulls()

    def _by_unit(self, frame: pl.DataFrame, value: str) -> pl.DataFrame:
        if self.merged:
            return rates.merge_to_17(frame, [value])
        return frame.select("region", value, regions=pl.concat_list("region"))

    @cached_property
    def units(self) -> pl.DataFrame:
        """A row per unit that rates are of, the highest first.

        Columns `region`, `regions` (that it consists of), `label`, `gross_caseload`, `population`,
        and per 100,000 `rate` and `shrunken_rate`, each with `_lower` and `_upper`.
        """
        people = [(unit, one.value) for unit, one in self.population.items()]
        schema = {"region": pl.String, "population": pl.Float64}
        frame = (
            self._by_unit(self.counts, "gross_caseload")
            .join(pl.DataFrame(people, schema=schema, orient="row"), on="region", how="left")
            .with_columns(label=pl.col("regions").map_elements(_unit_name, return_dtype=pl.String))
        )
        frame = rates.with_rate(frame, "gross_caseload", "population", per=PER)
        frame = rates.shrunken_rates(frame, "gross_caseload", "population", per=PER)
        return _largest_first(frame.drop("rate_months", "shrunken_rate_months"), "rate")

    @cached_property
    def no_rates(self) -> str | None:
        """Why there are no rates, in words; None where there are."""
        try:
            known = self._means["population"].count()
        except rates.MeasureError as error:
            return str(error)
        year = int(self.period[:4])
        return None if known else f"no population of both 1 January {year} and {year + 1} is held"

    @cached_property
    def _means(self) -> pl.DataFrame:
        table = datasets.load_population()
        means = rates.mean_population(table, self.period, SERIES, area="total")
        return self._by_unit(means, "population")

    @cached_property
    def population(self) -> dict[str, Figure]:
        """Unit, and the country → mean population with the cells of both days."""
        if self.no_rates:
            return {}
        days = [date(int(self.period[:4]) + later, 1, 1) for later in (0, 1)]
        table = datasets.load_population().filter(
            pl.col("date").is_in(days), series=SERIES, sex="total", area="total"
        )
        found = {}
        for unit, mean, parts in self._means.iter_rows():
            lines = table.filter(pl.col("region").is_in(parts)).select("workbook", "cell").rows()
            cells = tuple(Cell(*line) for line in lines)
            found[unit] = Figure(mean, "persons", cells, (SERIES_SOURCE,))
        return found

    @cached_property
    def country(self) -> dict[str, Figure]:
        """The regions together: `STEPS`, and the rate of the gross caseload with its limits."""
        formula = f"sum of {len(self.flow)} regions"
        found = {
            name: figures.total([of[name] for of in self.flow.values()]).named(formula)
            for name in STEPS
        }
        return found | self._rate("rate_gross_caseload", found["gross_caseload"], COUNTRY)

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """What is recorded: of the country, of each region as it reports, and each unit's rate."""
        found = {n: one for n, one in self.country.items() if n not in list(STEPS)[1:]}
        for region, of in self.flow.items():
            found |= {f"{name}_{_code(region)}": of[name] for name in RECORDED}
        for unit, parts in self.units.sort("region").select("region", "regions").iter_rows():
            count = figures.total([self.flow[region]["gross_caseload"] for region in parts])
            found |= self._rate(f"rate_gross_caseload_{_code(unit)}", count, unit)
        return found

    def _rate(self, name: str, count: Figure, unit: str) -> dict[str, Figure]:
        people = self.population.get(unit, Figure(None, "persons"))
        return figures.with_limits(
            name,
            rates.rate(count.value, people.value, PER),
            f"offences per {PER:,} inhabitants, {self.length}",
            [count, people],
            f"gross caseload / mean population of {self.period[:4]}, exact Poisson limits",
        )

    # what charts and tables show

    def places(self, name: str) -> pl.DataFrame:
        """Regions with their tiles and a `value`: a column of `counts`, or each unit's `rate`."""
        frame = self.units if name == "rate" else self.counts
        tiles = load_regions().select("region", "tile_row", "tile_column")
        return frame.select("region", "label", value=name).join(tiles, on="region", how="left")

    def boundaries(self, places: pl.DataFrame) -> Boundaries | None:
        """Outlines of just these regions, matched by ISO code; None for tiles."""
        wanted = set(places["region"])
        return next((one for one in self._outlines[0] if _codes(one) == wanted), None)

    @cached_property
    def _outlines(self) -> tuple[list[Boundaries], str]:
        """The outlines asked for, and what to mind of the map."""
        same = "every tile is one region, all of one size, about where the region lies"
        if self.map == "tiles":
            return [], f"The map is the project's own: {same}."
        found = _outlines()
        credit = found[0].credit
        return found, f"{credit}; simplified. How large a region is says nothing of its figure."

    @cached_property
    def rated(self) -> pl.DataFrame:
        """The country, then `units`; the country's rate is not shrunken."""
        names = ("rate", "rate_lower", "rate_upper")
        of = [self.country[n.replace("rate", "rate_gross_caseload")].value for n in names]
        people = self.population.get(COUNTRY, Figure(None, "persons")).value
        country = {
            "label": "Kazakhstan",
            "gross_caseload": self.country["gross_caseload"].value,
            "population": people,
        } | dict(zip(names, of, strict=True))
        schema = {name: self.units.schema[name] for name in country}
        return pl.concat([pl.DataFrame([country], schema=schema), self.units], how="diagonal")

    def intervals(self) -> pl.DataFrame:
        """`rated` for `charts.intervals`: rates as recorded, and shrunken."""
        kinds = {"rate": "as recorded, exact interval", "shrunken_rate": "shrunken"}
        parts = [
            self.rated.with_row_index().select(
                "index",
                "label",
                kind=pl.lit(kind),
                estimate=name,
                lower=f"{name}_lower",
                upper=f"{name}_upper",
            )
            for name, kind in kinds.items()
        ]
        return pl.concat(parts).sort("index", maintain_order=True).drop("index")

    def funnel_of_rates(self) -> Funnel:
        """Rates by population, and limits around the rate of all units together."""
        known = self.units.filter(pl.col("rate").is_not_null())
        pooled = _ratio(known["gross_caseload"], known["population"]) * PER
        points = known.select("label", size="population", value="rate")
        return _funnel(points, pooled, lambda n: rates.funnel_limits(n, pooled, LEVELS, PER), PER)

    def funnel_of_shares(self) -> Funnel:
        """Shares terminated on rehabilitating grounds, by gross caseload, of reporting regions."""
        known = self.counts.filter(pl.col("gross_caseload") > 0)
        cases, ended = known["gross_caseload"], known["terminated_rehabilitating"]
        pooled = _ratio(ended, cases)
        points = known.select("label", size="gross_caseload", value=ended / cases)
        return _funnel(
            points, pooled, lambda n: rates.funnel_limits_of_shares(n, pooled, LEVELS), 1
        )

    def counts_table(self) -> tables.Table:
        """`counts`, and the regions together, as a table."""
        together = {"label": f"All {len(self.flow)} regions"}
        together |= {name: self.country[name].text for name in STEPS}
        shown = self.counts.select("label", *(_text(name) for name in STEPS))
        return tables.table(
            pl.concat([shown, pl.DataFrame([together])]),
            f"{self.article_name}: offences by region, largest gross caseload first",
            self.source_line,
            {"label": "Region", **STEPS},
            list(STEPS),
        )

    def rates_table(self) -> tables.Table | Markdown:
        """`rated` as a table, the months in its headings; a sentence where there are no rates."""
        if self.no_rates:
            return captions.markdown("*No table of rates: there is no population to take them of.*")
        headings = {
            "label": "Region",
            "gross_caseload": "Gross caseload",
            "population": "Mean population",
            "rate": f"Rate, {self.length}",
            "limits": "95 % interval",
            "shrunken_rate": f"Shrunken rate, {self.length}",
            "shrunken_limits": "95 % interval of it",
        }
        shown = self.rated.with_columns(pl.col("population").round(0)).select(
            "label",
            _text("gross_caseload"),
            _text("population"),
            _text("rate", _two),
            _span("rate").alias("limits"),
            _text("shrunken_rate", _two, "–"),
            _span("shrunken_rate").alias("shrunken_limits"),
        )
        title = f"{self.article_name}: gross caseload per {PER:,} inhabitants, highest rate first"
        return tables.table(shown, title, self.rate_source, headings, list(headings)[1:])

    # words

    @property
    def article_name(self) -> str:
        """`Article 146. Torture`."""
        return captions.row_name(datasets.row_of(self.article))

    @property
    def length(self) -> str:
        """`12 months`."""
        months = rates.months_in(self.period)
        return "1 month" if months == 1 else f"{months} months"

    @property
    def source_line(self) -> str:
        """Where the regions' figures come from, for below a chart or a table."""
        held = [ids for of in self.flow.values() if (ids := of["gross_caseload"].sources)]
        by_id = dict.fromkeys(source for ids in held for source in ids)
        names = "; ".join(sources.source(source_id)["attribution"] for source_id in by_id)
        line = f"Kazakhstan by region, {captions.months(self.period)}. Source: {names}"
        books = f"Workbooks of {len(held)} regions; military, transport and central bodies file"
        return f"{line}. {books} their own" if FORM_1M in by_id else line

    @property
    def rate_source(self) -> str:
        """`source_line`, and where the population comes from."""
        return f"{self.source_line}. Population: {sources.source(SERIES_SOURCE)['attribution']}"

    @property
    def sources(self) -> list[str]:
        """Ids of the sources that the figures and the maps come from."""
        used = dict.fromkeys(source for one in self.figures.values() for source in one.sources)
        return [*used, "kzresearch_regions", *([BOUNDARIES] if self._outlines[0] else [])]

    def heading(self) -> Markdown:
        """What the report is on, in one line."""
        return captions.heading(self.period, COUNTRY, f"by region · {self.article_name}")

    def summary(self) -> Markdown:
        """The regions' caseload, where it is largest, where there is none, what is missing."""
        case, total = pl.col("gross_caseload"), self.country["gross_caseload"]
        some, none, missing = (
            self.counts.filter(where) for where in (case > 0, case == 0, case.is_null())
        )
        if len(missing):
            said = f"Not reported, so that there is no sum: {_and(missing['label'])}."
        elif some.is_empty():
            return captions.markdown("**No case of this article was on the books of any region.**")
        else:
            said = (
                f"The {len(self.flow)} regions together had a **gross caseload of {total.text} "
                f"offences** in {self.length}."
            )
        if len(some):
            said += f" The largest: {_listed(some.head(3), 'gross_caseload')}."
        if len(none):
            said += f" No case at all is counted in {_and(none['label'])}."
        return captions.markdown(said)

    def about_map(self) -> Markdown:
        """What the tiles are, or whose the boundaries are."""
        return captions.markdown(f"*{self._outlines[1]}*")

    def unregistered(self) -> Markdown:
        """Regions with no offence registered, though cases were terminated there."""
        ended = "terminated_rehabilitating"
        found = _largest_first(self.counts.filter(pl.col(ended) > 0, registered=0), ended)
        if found.is_empty():
            return captions.markdown(
                "*No region has cases so terminated and no offence registered.*"
            )
        return captions.markdown(
            f"**Nothing registered, yet cases terminated.** {len(found)} of {len(self.flow)} regions "
            "count no offence of this article as registered, and yet offences terminated on "
            f"rehabilitating grounds: {_listed(found, ended)}. Nought is what the terminations left "
            "of the registered, not the absence of cases."
        )

    def about_rates(self) -> Markdown:
        """The country's rate and what it is taken of, or why there is none."""
        if self.no_rates:
            return captions.markdown(f"*No rates by population: {self.no_rates}.*")
        rate, low, high = (
            self.country[f"rate_gross_caseload{limit}"].text for limit in ("", "_lower", "_upper")
        )
        year = int(self.period[:4])
        created = (
            f" Regions were created in {year}: rates are of the {len(self.units)} units of before, "
            "each with what was split off it."
        )
        return captions.markdown(
            f"The country's gross caseload was **{rate} offences per {PER:,} inhabitants in "
            f"{self.length}** (95 % interval {low} to {high}): the gross caseload of "
            f"{captions.months(self.period)} over the mean population of {year}, "
            f"{self.population[COUNTRY].text} persons, half the sum of those of 1 January {year} and "
            f"{year + 1}.{created if self.merged else ''}"
        )

    def repeats(self) -> Markdown:
        """How far the country's rate moves if every termination was a second one."""
        count, ended = (self.country[n] for n in ("gross_caseload", "terminated_rehabilitating"))
        rate = self.country["rate_gross_caseload"]
        if not ended.value or not rate.value or not count.value:
            return captions.markdown("*There is no rate that such repeats would move.*")
        fewer = count.value - ended.value // 2
        least = rates.rate(fewer, self.population[COUNTRY].value, PER)
        return captions.markdown(
            f"Had every offence been terminated twice over, the gross caseload would be "
            f"{number(fewer)} instead of {count.text}, and the country's rate "
            f"{figures.estimate(least.estimate)} instead of {rate.text}; a region moves the more, the "
            "larger the part of its cases that was terminated."
        )

    def outside_of_rates(self) -> Markdown:
        """Which units lie outside the limits of `funnel_of_rates`."""
        return _outside(self.funnel_of_rates(), "rates", _two)

    def outside_of_shares(self) -> Markdown:
        """Which regions lie outside the limits of `funnel_of_shares`."""
        return _outside(self.funnel_of_shares(), "shares", percent)

    def bounds(self) -> Markdown:
        """Regions whose bounds changed in the year, each with what happened."""
        notes = {region: change_of_bounds(region, self.period) for region in sorted(self.flow)}
        lines = [f"- **{region_name(region)}**: {note}." for region, note in notes.items() if note]
        return captions.markdown("\n".join(lines) or "*No region's bounds changed in the year.*")


def _outlines() -> list[Boundaries]:
    """The boundaries that are there; not tiles instead, which would be another result of a run."""
    credit = f"Boundaries: {sources.source(BOUNDARIES)['attribution']}"
    found = []
    try:
        for file in sources.raw_files(BOUNDARIES):
            if file.path.endswith(".topo.json"):
                topology = json.loads(sources.raw_file(file).read_text(encoding="utf-8"))
                found.append(Boundaries(topology, next(iter(topology["objects"])), credit))
    except SourceError as error:
        raise SourceError(f"no boundaries to draw: {error}; or use map=tiles") from None
    return found


def _funnel(
    points: pl.DataFrame,
    pooled: float,
    limits: Callable[[Iterable[float]], pl.DataFrame],
    unit: float,
) -> Funnel:
    """The zone of every point, and the limits over the sizes from the smallest to the largest.

    The upper limits are one count further out than `rates` has them. Beyond a limit is then just
    what chance alone would bring as far out, on that side, less often than (1 − level) / 2; without
    it, seven terminated of seven would lie beyond every limit.
    """

    def outer(sizes: Iterable[float]) -> pl.DataFrame:
        found = limits(sizes)
        found = found.rename({found.columns[0]: "size"})
        upper = pl.col("upper") + unit / pl.col("size")
        return found.with_columns(upper=pl.min_horizontal(upper, 1.0) if unit == 1 else upper)

    sizes, zone = points["size"].to_list(), pl.lit(ZONES[0])
    if not sizes:
        return Funnel(points.with_columns(zone=zone), outer([]), pooled)
    for words, at in zip(ZONES[1:], outer(sizes).partition_by("level"), strict=True):
        beyond = (points["value"] < at["lower"]) | (points["value"] > at["upper"])
        zone = pl.when(beyond).then(pl.lit(words)).otherwise(zone)
    low, high = 0.8 * min(sizes), 1.05 * max(sizes)
    drawn = [max(1, round(low + (high - low) * step / 150)) for step in range(151)]
    return Funnel(points.with_columns(zone=zone), outer(dict.fromkeys(drawn)), pooled)


def _outside(funnel: Funnel, what: str, show: Callable[[float], str]) -> Markdown:
    """The pooled value, and which points lie beyond which limits, on which side."""
    if not funnel.centre:
        return captions.markdown(f"*There are no {what} to compare.*")
    lines = [f"- All together: {show(funnel.centre)}."]
    for words in reversed(ZONES[1:]):
        found = _largest_first(funnel.points.filter(zone=words), "value", "label")
        sides = {
            "above": found.filter(pl.col("value") > funnel.centre),
            "below": found.filter(pl.col("value") < funnel.centre),
        }
        named = [f"{side} {_listed(of, 'value', show)}" for side, of in sides.items() if len(of)]
        only = "" if words == ZONES[-1] else " only"
        listed = f": {'; '.join(named)}" if named else ""
        many = f"{len(found)} of {len(funnel.points)}"
        lines.append(f"- {words.capitalize()}{only}, {many}{listed}.")
    return captions.markdown("\n".join(lines))


def _ratio(part: pl.Series, whole: pl.Series) -> float:
    return float(part.sum()) / float(whole.sum()) if len(whole) else 0.0


def _largest_first(frame: pl.DataFrame, name: str, then: str = "region") -> pl.DataFrame:
    return frame.sort(name, then, descending=[True, False], nulls_last=True)


def _code(region: str) -> str:
    return region.lower().replace("-", "_")


def _codes(outlines: Boundaries) -> set[str]:
    features = outlines.topology["objects"][outlines.feature]["geometries"]
    return {feature["properties"]["iso"] for feature in features}


def _unit_name(regions: pl.Series) -> str:
    """The unit's name, with those of the regions since split off it: `Karaganda with Ulytau`."""
    of_17 = dict(load_regions().select("region", "unit_17").iter_rows())
    names = [short_name(region) for region in sorted(regions, key=lambda r: r != of_17[r])]
    return " with ".join(names)


def _listed(frame: pl.DataFrame, name: str, show: Callable[[float], str] = number) -> str:
    """`Almaty (189), Turkistan (74) and Abai (43)`."""
    return _and(f"{label} ({show(value)})" for label, value in frame.select("label", name).rows())


def _and(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _text(
    name: str, show: Callable[[float], str] = number, missing: str = figures.NOT_REPORTED
) -> pl.Expr:
    return pl.col(name).map_elements(show, return_dtype=pl.String).fill_null(missing)


def _span(name: str) -> pl.Expr:
    limits = [
        pl.col(f"{name}_{limit}").map_elements(_two, pl.String) for limit in ("lower", "upper")
    ]
    return pl.concat_str(*limits, separator=" to ").fill_null("–")


def _two(value: float) -> str:
    return f"{value:.2f}"

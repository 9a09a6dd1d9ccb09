"""A country among its peers, as three projects rate them: each index on its own scale, never mixed.

An index is shown for the year it rates. Freedom in the World rates the year before the edition it
is published in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from kzresearch import captions, charts, datasets, sources, tables
from kzresearch.errors import UnknownValueError, unknown_value
from kzresearch.figures import Cell, Figure
from kzresearch.language import filled, in_order, later, localised, say

if TYPE_CHECKING:
    import altair as alt
    from IPython.display import Markdown

    from kzresearch.tables import Table

FREEDOM = "freedom_in_the_world"
VDEM = "vdem_v14"


@dataclass(frozen=True)
class Index:
    """An index: its source, title, unit, the ends of its scale, decimals."""

    source: str
    title: str
    unit: str
    decimals: int
    ends: tuple[float, float] | None = None

    def shown(self, value: float | None) -> str:
        """A score as a reader is shown it."""
        return "" if value is None else localised(f"{value:.{self.decimals}f}".replace("-", "−"))

    def text(self, column: str) -> pl.Expr:
        """A column of scores as a reader is shown it."""
        return pl.col(column).map_elements(self.shown, return_dtype=pl.String)

    @property
    def source_line(self) -> str:
        """Where the scores come from, for below a chart or a table."""
        return say("Source: {source}", source=say(sources.source(self.source)["attribution"]))


INDICES = {
    "freedom_in_the_world_total": Index(
        source=FREEDOM,
        title=later("Freedom in the World"),
        unit=later("points of 100, higher is freer"),
        ends=(0, 100),
        decimals=0,
    ),
    "vdem_v2cltort": Index(
        source=VDEM,
        title=later("V-Dem, freedom from torture (v2cltort)"),
        unit=later("interval scale, higher is freer"),
        decimals=3,
    ),
    "hrmi_tort": Index(
        source="hrmi_cpr_v5_1",
        title=later("HRMI, freedom from torture"),
        unit=later("0 to 10, higher is freer"),
        ends=(0, 10),
        decimals=2,
    ),
}
RANK = later("rank, 1 is the freest of the countries at hand")
BOUNDS = {
    "lower": (later("10th percentile"), "lobound_10"),
    "upper": (later("90th percentile"), "upbound_90"),
}
"""Bounds of a score, in words and by their column in the file, whose cell names the score's."""


@dataclass(frozen=True)
class Peers:
    """A country among its peers in a year. Made by `among_peers`."""

    country: str
    year: int

    @property
    def _name(self) -> str:
        return captions.country_name(self.country)

    @cached_property
    def scores(self) -> pl.DataFrame:
        """Every score at hand: index, country, year rated, value, bounds, cell, rank and `of`.

        `rank` is 1 for the freest of the `of` countries rated that year; equal scores share it.
        """
        freedom = datasets.load_freedom_in_the_world().select(
            pl.lit("freedom_in_the_world_total").alias("index"),
            *("country", pl.col("year_reviewed").alias("year")),
            pl.col("total").cast(pl.Float64).alias("value"),
            *("workbook", "cell"),
        )
        vdem = pl.when(pl.col("source") == VDEM).then(pl.lit("vdem_")).otherwise(pl.lit(""))
        indices = datasets.load_torture_indices().with_columns(index=vdem + pl.col("index"))
        rated = pl.concat([freedom, indices], how="diagonal").filter(pl.col("value").is_not_null())
        rank = pl.col("value").rank("min", descending=True).cast(pl.Int64)
        within = ("index", "year")
        return rated.with_columns(rank=rank.over(within), of=pl.len().over(within))

    def _of(self, name: str, year: int | None = None) -> pl.DataFrame:
        found = self.scores.filter(pl.col("index") == name)
        return found if year is None else found.filter(pl.col("year") == year)

    def _own(self, name: str) -> dict[str, Any]:
        found = self._of(name, self.year).filter(country=self.country)
        return found.row(0, named=True) if found.height else {}

    def chart(self, name: str) -> alt.LayerChart | alt.FacetChart | Markdown:
        """The index over the years, the country marked among its peers."""
        index, found = INDICES[name], self._of(name)
        own = pl.col("year").filter(pl.col("country") == self.country)
        # the years before the country is rated are no comparison
        found = found.filter(pl.col("year") >= own.min().fill_null(pl.col("year").min()))
        return charts.lines(
            found.select(_named(), "year", "value", *BOUNDS),
            self._name,
            say("{index}: {country} among its peers", index=say(index.title), country=self._name),
            say(index.unit),
            index.source_line,
            time=say("year rated"),
            domain=index.ends,
            years=[self.year],
            decimals=index.decimals,
        )

    def table(self, name: str) -> Table:
        """Scores and ranks in the year, or in the newest rated; beside them the newest scores."""
        index, scores = INDICES[name], self._of(name)
        year = self._shown_year(scores)
        found = scores.filter(pl.col("year") == year)
        last = pl.col("year", "value").sort_by("year").last().name.prefix("last_")
        shown = found.join(scores.group_by("country").agg(last), on="country").with_columns(
            _named()
        )
        places = {name: place for place, name in enumerate(in_order(shown["country"]))}
        shown = shown.sort("rank", pl.col("country").replace_strict(places))
        headings = {"rank": say("Rank"), "country": say("Country"), "value": f"{year}"}
        if found["lower"].count():
            headings["bounds"] = say("10th to 90th percentile")
        if (shown["last_year"] != year).any():
            headings["newest"] = say("Newest (year rated)")
        limits = {name: index.text(name) for name in BOUNDS}
        frame = shown.select(
            *("rank", "country", index.text("value")),
            bounds=filled(later("{lower} to {upper}"), **limits),
            newest=pl.format("{} ({})", index.text("last_value"), "last_year"),
        )
        title = f"{say(index.title)}, {year}: {say(index.unit)}"
        numbers = [column for column in headings if column != "country"]
        return tables.Table(frame.select(*headings), title, index.source_line, headings, numbers)

    def _shown_year(self, scores: pl.DataFrame) -> int:
        years = scores["year"].to_list()
        return self.year if self.year in years else max(years)

    def sentence(self, name: str) -> Markdown:
        """The country's score, rank and bounds in the year, in words; or that there is none."""
        index, own = INDICES[name], self._own(name)
        spans = self._at_hand(name)
        if not own:
            return captions.markdown(
                say(
                    "*{index}: no score of {country} for {year} is at hand. Scores at hand: {spans}.*",
                    index=say(index.title),
                    country=self._name,
                    year=str(self.year),
                    spans=spans,
                )
            )
        rated = (
            later("**{about}: {score}** ({unit}), rank {rank} of the {of} countries at hand.")
            if own["of"] > 1
            else later(
                "**{about}: {score}** ({unit}), the only country at hand that is rated for the year."
            )
        )
        said = [
            say(
                rated,
                about=self._about(index),
                score=index.shown(own["value"]),
                unit=say(index.unit),
                rank=own["rank"],
                of=own["of"],
            )
        ]
        peers = self._of(name, self.year).filter(pl.col("country") != self.country)
        tied = peers.filter(rank=own["rank"])
        if tied.height:
            said += [say("The same score: {countries}.", countries=_names(tied))]
        if own["lower"] is not None:
            near = peers.filter(pl.col("lower") <= own["upper"], pl.col("upper") >= own["lower"])
            said += [
                say(
                    "Between the 10th and 90th percentile: {lower} to {upper}; countries whose range "
                    "overlaps: {countries}.",
                    **{bound: index.shown(own[bound]) for bound in BOUNDS},
                    countries=_names(near) or say("none"),
                )
            ]
        elif index.source == VDEM:
            said += [say("Its bounds are not at hand, so that close ranks say little.")]
        said += [say("Scores at hand: {spans}.", spans=spans)]
        return captions.markdown(" ".join(said))

    def _about(self, index: Index) -> str:
        about = (
            later("{country}, {year} (edition {edition})")
            if index.source == FREEDOM
            else later("{country}, {year}")
        )
        years = {"year": str(self.year), "edition": str(self.year + 1)}
        return say(about, country=self._name, **years)

    def _at_hand(self, name: str) -> str:
        """Which countries are rated for which years: `11 countries, 1990 to 2023; Russia, 1970 …`."""
        year = pl.col("year")
        spans = self._of(name).group_by("country").agg(first=year.min(), last=year.max())
        groups = spans.group_by("first", "last").agg(pl.col("country").sort())
        groups = groups.sort(pl.col("country").list.len(), descending=True)
        return "; ".join(
            say(
                "{n} countries, {first} to {last}"
                if len(of) > 3
                else "{countries}, {first} to {last}",
                n=len(of),
                countries=_names(pl.DataFrame({"country": of})),
                first=str(first),
                last=str(last),
            )
            for first, last, of in groups.rows()
        )

    def related(self) -> Table:
        """The country on every V-Dem index at hand, in the year or the newest: score, scale, rank."""
        vdem, own = INDICES["vdem_v2cltort"], pl.col("country") == self.country
        found = self.scores.filter(pl.col("index").str.starts_with("vdem_"), own)
        year = self._shown_year(found)
        shown = (
            found.filter(pl.col("year") == year)
            .sort("scale", "index")
            .select(
                pl.col("name").map_elements(say, return_dtype=pl.String),
                pl.col("index").str.strip_prefix("vdem_"),
                pl.col("scale").map_elements(say, return_dtype=pl.String),
                vdem.text("value"),
                rank=filled(later("{rank} of {of}"), rank=pl.col("rank"), of=pl.col("of")),
            )
        )
        names = (say("Index"), say("Code"), say("Scale"), say("Score"), say("Rank"))
        headings = dict(zip(shown.columns, names, strict=True))
        title = say(
            "{country} on V-Dem's indices, {year}, each on its own scale",
            country=self._name,
            year=str(year),
        )
        return tables.Table(shown, title, vdem.source_line, headings, ["value", "rank"])

    @property
    def sources(self) -> list[str]:
        """Ids of the sources drawn on."""
        return [index.source for index in INDICES.values()]

    @property
    def figures(self) -> dict[str, Figure]:
        """The figures that the notebook records: score, bounds and rank on each index."""
        return {key: one for name in INDICES for key, one in self._figures(name)}

    def _figures(self, name: str) -> Iterator[tuple[str, Figure]]:
        """A figure that a source has cites its own cell; a rank those of every country rated."""
        index, own = INDICES[name], self._own(name)
        about, from_source = self._about(index), (index.source,)
        for column, (words, of_file) in {"value": ("", ""), **BOUNDS}.items():
            key = name if column == "value" else f"{name}_{column}"
            note = ", ".join([about, say(words)] if words else [about])
            one = Figure(None, index.unit, note=note)
            value = own.get(column)
            if value is not None:
                line, _, at = own["cell"].rpartition(", ")
                cell = Cell(own["workbook"], f"{line}, {of_file or at}" if line else at)
                shown = index.shown(value)
                one = replace(one, value=value, cells=(cell,), sources=from_source, shown=shown)
            if not (words and index.source == FREEDOM):
                yield key, one
        rank = Figure(None, RANK, note=about)
        if own:
            of_all = self._of(name, self.year).select("workbook", "cell").iter_rows()
            cells = tuple(Cell(*place) for place in of_all)
            note = say("{about}: of {n}", about=about, n=own["of"])
            rank = Figure(own["rank"], RANK, cells, from_source, note=note)
        yield f"{name.removesuffix('_total')}_rank", rank


def _named() -> pl.Expr:
    """Countries by their names in the reader's language."""
    return pl.col("country").map_elements(captions.country_name, return_dtype=pl.String)


def _names(found: pl.DataFrame) -> str:
    return ", ".join(in_order(found.select(_named())["country"]))


def among_peers(country: str, year: int) -> Peers:
    """A country among its peers on three indices, in the year they rate.

    Raises `UnknownValueError` for a country that no index at hand rates, or rates in that year.

    Source: Freedom in the World, V-Dem v14, HRMI v5-1 (see `load_sources()`).
    """
    known = datasets.load_freedom_in_the_world()["country"].unique().sort().to_list()
    if country not in known:
        raise unknown_value("country", country, known)
    found = Peers(country, year)
    years = found.scores.filter(pl.col("country") == country)["year"].unique().to_list()
    if year not in years:
        raise UnknownValueError(
            f"no index at hand rates {country} in {year}; they rate it in {min(years)} to "
            f"{max(years)}"
        )
    return found

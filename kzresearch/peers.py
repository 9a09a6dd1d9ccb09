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
        return "" if value is None else f"{value:.{self.decimals}f}".replace("-", "−")

    def text(self, column: str) -> pl.Expr:
        """A column of scores as a reader is shown it."""
        return pl.col(column).map_elements(self.shown, return_dtype=pl.String)

    @property
    def source_line(self) -> str:
        """Where the scores come from, for below a chart or a table."""
        return f"Source: {sources.source(self.source)['attribution']}"


INDICES = {
    "freedom_in_the_world_total": Index(
        source=FREEDOM,
        title="Freedom in the World",
        unit="points of 100, higher is freer",
        ends=(0, 100),
        decimals=0,
    ),
    "vdem_v2cltort": Index(
        source=VDEM,
        title="V-Dem, freedom from torture (v2cltort)",
        unit="interval scale, higher is freer",
        decimals=3,
    ),
    "hrmi_tort": Index(
        source="hrmi_cpr_v5_1",
        title="HRMI, freedom from torture",
        unit="0 to 10, higher is freer",
        ends=(0, 10),
        decimals=2,
    ),
}
RANK = "rank, 1 is the freest of the countries at hand"
BOUNDS = {
    "lower": ("10th percentile", "lobound_10"),
    "upper": ("90th percentile", "upbound_90"),
}
"""Bounds of a score, in words and by their column in the file, whose cell names the score's."""


@dataclass(frozen=True)
class Peers:
    """A country among its peers in a year. Made by `among_peers`."""

    country: str
    year: int

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
            found,
            self.country,
            f"{index.title}: {self.country} among its peers",
            index.unit,
            index.source_line,
            time="year rated",
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
        shown = found.join(scores.group_by("country").agg(last), on="country").sort(
            "rank", "country"
        )
        headings = {"rank": "Rank", "country": "Country", "value": f"{year}"}
        if found["lower"].count():
            headings["bounds"] = "10th to 90th percentile"
        if (shown["last_year"] != year).any():
            headings["newest"] = "Newest (year rated)"
        frame = shown.select(
            *("rank", "country", index.text("value")),
            pl.format("{} to {}", index.text("lower"), index.text("upper")).alias("bounds"),
            pl.format("{} ({})", index.text("last_value"), "last_year").alias("newest"),
        )
        title = f"{index.title}, {year}: {index.unit}"
        numbers = [column for column in headings if column != "country"]
        return tables.Table(frame.select(*headings), title, index.source_line, headings, numbers)

    def _shown_year(self, scores: pl.DataFrame) -> int:
        years = scores["year"].to_list()
        return self.year if self.year in years else max(years)

    def sentence(self, name: str) -> Markdown:
        """The country's score, rank and bounds in the year, in words; or that there is none."""
        index, own = INDICES[name], self._own(name)
        at_hand = f"Scores at hand: {self._at_hand(name)}."
        if not own:
            lacking = f"no score of {self.country} for {self.year} is at hand"
            return captions.markdown(f"*{index.title}: {lacking}. {at_hand}*")
        alone = "the only country at hand that is rated for the year"
        rank = f"rank {own['rank']} of the {own['of']} countries at hand"
        said = (
            f"**{self._about(index)}: {index.shown(own['value'])}** ({index.unit}), "
            f"{rank if own['of'] > 1 else alone}."
        )
        peers = self._of(name, self.year).filter(pl.col("country") != self.country)
        tied = peers.filter(rank=own["rank"])["country"].to_list()
        if tied:
            said += f" The same score: {', '.join(tied)}."
        if own["lower"] is not None:
            near = peers.filter(pl.col("lower") <= own["upper"], pl.col("upper") >= own["lower"])
            limits = [index.shown(own[bound]) for bound in BOUNDS]
            said += (
                f" Between the 10th and 90th percentile: {' to '.join(limits)}; countries whose "
                f"range overlaps: {', '.join(near['country']) or 'none'}."
            )
        elif index.source == VDEM:
            said += " Its bounds are not at hand, so that close ranks say little."
        return captions.markdown(f"{said} {at_hand}")

    def _about(self, index: Index) -> str:
        edition = f" (edition {self.year + 1})" if index.source == FREEDOM else ""
        return f"{self.country}, {self.year}{edition}"

    def _at_hand(self, name: str) -> str:
        """Which countries are rated for which years: `11 countries, 1990 to 2023; Russia, 1970 …`."""
        year = pl.col("year")
        spans = self._of(name).group_by("country").agg(first=year.min(), last=year.max())
        groups = spans.group_by("first", "last").agg(pl.col("country").sort())
        said = [
            (f"{len(of)} countries" if len(of) > 3 else ", ".join(of)) + f", {first} to {last}"
            for first, last, of in groups.sort(pl.col("country").list.len(), descending=True).rows()
        ]
        return "; ".join(said)

    def related(self) -> Table:
        """The country on every V-Dem index at hand, in the year or the newest: score, scale, rank."""
        vdem, own = INDICES["vdem_v2cltort"], pl.col("country") == self.country
        found = self.scores.filter(pl.col("index").str.starts_with("vdem_"), own)
        year = self._shown_year(found)
        shown = (
            found.filter(pl.col("year") == year)
            .sort("scale", "index")
            .select(
                *("name", pl.col("index").str.strip_prefix("vdem_"), "scale", vdem.text("value")),
                pl.format("{} of {}", "rank", "of").alias("rank"),
            )
        )
        names = ("Index", "Code", "Scale", "Score", "Rank")
        headings = dict(zip(shown.columns, names, strict=True))
        title = f"{self.country} on V-Dem's indices, {year}, each on its own scale"
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
            one = Figure(None, index.unit, note=", ".join(filter(None, [about, words])))
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
            note = f"{about}: of {own['of']}"
            rank = Figure(own["rank"], RANK, cells, from_source, note=note)
        yield f"{name.removesuffix('_total')}_rank", rank


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

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
from kzresearch.errors import unknown_value
from kzresearch.figures import Cell, Figure

if TYPE_CHECKING:
    import altair as alt
    from IPython.display import Markdown

    from kzresearch.tables import Table

FREEDOM = "freedom_in_the_world"
VDEM = "vdem_v14"


@dataclass(frozen=True)
class Index:
    """An index: its name in records, source, title, unit, the ends of its scale, decimals."""

    name: str
    source: str
    title: str
    unit: str
    ends: tuple[float, float] | None
    decimals: int

    def shown(self, value: float | None) -> str:
        """A score as a reader is shown it."""
        return "" if value is None else f"{value:.{self.decimals}f}".replace("-", "−")

    def text(self, column: str) -> pl.Expr:
        """A column of scores as a reader is shown it."""
        return pl.col(column).map_elements(self.shown, return_dtype=pl.String)


INDICES = {
    "freedom_in_the_world_total": Index(
        *("freedom_in_the_world_total", FREEDOM, "Freedom in the World"),
        *("points of 100, higher is freer", (0, 100), 0),
    ),
    "vdem_v2cltort": Index(
        *("vdem_v2cltort", VDEM, "V-Dem, freedom from torture (v2cltort)"),
        *("interval scale, higher is freer", None, 3),
    ),
    "hrmi_tort": Index(
        *("hrmi_tort", "hrmi_cpr_v5_1", "HRMI, freedom from torture"),
        *("0 to 10, higher is freer", (0, 10), 2),
    ),
}
RANK = "rank, 1 is the freest of the countries at hand"


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
            *(pl.lit(None, pl.Float64).alias(bound) for bound in ("lower", "upper")),
            *("workbook", "cell"),
            pl.lit("Freedom in the World").alias("name"),
            pl.lit(INDICES["freedom_in_the_world_total"].unit).alias("scale"),
        )
        indices = datasets.load_torture_indices()
        vdem = pl.when(pl.col("source") == VDEM).then(pl.lit("vdem_")).otherwise(pl.lit(""))
        rated = indices.with_columns(index=vdem + pl.col("index")).select(freedom.columns)
        within = ("index", "year")
        return pl.concat([freedom, rated.filter(pl.col("value").is_not_null())]).with_columns(
            rank=pl.col("value").rank("min", descending=True).over(within).cast(pl.Int64),
            of=pl.len().over(within),
        )

    def _of(self, name: str, year: int | None = None) -> pl.DataFrame:
        found = self.scores.filter(pl.col("index") == name)
        return found if year is None else found.filter(pl.col("year") == year)

    def _own(self, name: str) -> dict[str, Any]:
        found = self._of(name, self.year).filter(pl.col("country") == self.country)
        return found.row(0, named=True) if found.height else {}

    def chart(self, name: str) -> alt.LayerChart | alt.FacetChart | Markdown:
        """The index over the years, the country marked among its peers."""
        index, found = INDICES[name], self._of(name)
        own = found.filter(pl.col("country") == self.country)
        if own.height:  # the years before are no comparison
            found = found.filter(pl.col("year") >= own["year"].min())
        return charts.lines(
            found,
            self.country,
            f"{index.title}: {self.country} among its peers",
            index.unit,
            self._source(index),
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
        return tables.table(frame.select(*headings), title, self._source(index), headings, numbers)

    def _shown_year(self, scores: pl.DataFrame) -> int:
        years = scores["year"].to_list()
        return self.year if self.year in years else max(years)

    def sentence(self, name: str) -> Markdown:
        """The country's score, rank and bounds in the year, in words; or that there is none."""
        index, own = INDICES[name], self._own(name)
        if not own:
            return captions.markdown(self._missing(name))
        edition = f" (edition {self.year + 1})" if index.source == FREEDOM else ""
        said = (
            f"**{self.country}, {self.year}{edition}: {index.shown(own['value'])}** "
            f"({index.unit}), rank {own['rank']} of the {own['of']} countries at hand."
        )
        peers = self._of(name, self.year).filter(pl.col("country") != self.country)
        tied = peers.filter(pl.col("rank") == own["rank"])["country"].to_list()
        if tied:
            said += f" The same score: {', '.join(tied)}."
        if own["lower"] is not None:
            near = peers.filter(pl.col("lower") <= own["upper"], pl.col("upper") >= own["lower"])
            said += (
                f" Between the 10th and 90th percentile: {index.shown(own['lower'])} to "
                f"{index.shown(own['upper'])}; countries whose range overlaps: "
                f"{', '.join(near['country']) or 'none'}."
            )
        elif index.source == VDEM:
            said += " Its bounds are not at hand, so that close ranks say little."
        return captions.markdown(f"{said} Scores at hand: {self._at_hand(name)}.")

    def _at_hand(self, name: str) -> str:
        found = self._of(name)
        names = found["country"].unique().sort().to_list()
        which = f"{len(names)} countries" if len(names) > 3 else ", ".join(names)
        years = found["year"].to_list()
        return f"{which}, {min(years)} to {max(years)}"

    def _missing(self, name: str) -> str:
        return (
            f"*{INDICES[name].title}: no score of {self.country} for {self.year} is at hand. "
            f"Scores at hand: {self._at_hand(name)}.*"
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
                *("name", pl.col("index").str.strip_prefix("vdem_"), "scale", vdem.text("value")),
                pl.format("{} of {}", "rank", "of").alias("rank"),
            )
        )
        headings = {"name": "Index", "index": "Code", "scale": "Scale", "value": "Score"}
        title = f"{self.country} on V-Dem's indices, {year}, each on its own scale"
        headings["rank"] = "Rank"
        return tables.table(shown, title, self._source(vdem), headings, ["value", "rank"])

    @property
    def sources(self) -> list[str]:
        """Ids of the sources drawn on."""
        return [index.source for index in INDICES.values()]

    def _source(self, index: Index) -> str:
        return f"Source: {sources.source(index.source)['attribution']}"

    @property
    def figures(self) -> dict[str, Figure]:
        """The figures that the notebook records: score, bounds and rank on each index."""
        return {key: one for name in INDICES for key, one in self._figures(name)}

    def _figures(self, name: str) -> Iterator[tuple[str, Figure]]:
        index, own = INDICES[name], self._own(name)
        about = f"{self.country}, {self.year}"
        edition = f" (edition {self.year + 1})" if index.source == FREEDOM else ""
        score = Figure(None, index.unit, note=about + edition)
        if own:
            cells = (Cell(str(own["workbook"]), str(own["cell"])),)
            score = replace(score, cells=cells, sources=(index.source,))
        for key, column, what in (
            (name, "value", ""),
            (f"{name}_lower", "lower", ", 10th percentile"),
            (f"{name}_upper", "upper", ", 90th percentile"),
        ):
            value = own.get(column)
            if column != "value" and index.source == FREEDOM:
                continue
            shown = index.shown(value) if value is not None else None
            yield key, replace(score, value=value, shown=shown, note=f"{score.note}{what}")
        rank = replace(score, value=own.get("rank"), unit=RANK, note=f"{about}: of {own.get('of')}")
        yield f"{name.removesuffix('_total')}_rank", rank


def among_peers(country: str, year: int) -> Peers:
    """A country among its peers on three indices, in the year they rate.

    Raises `UnknownValueError` for a country that no index at hand rates.

    Source: Freedom in the World, V-Dem v14, HRMI v5-1 (see `load_sources()`).
    """
    known = datasets.load_freedom_in_the_world()["country"].unique().sort().to_list()
    if country not in known:
        raise unknown_value("country", country, known)
    return Peers(country, year)

"""The 20 regions: codes, names, the days within which their bounds hold."""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import Any, cast

import dataframely as dy
import polars as pl

from kzresearch.resources import data_dir, read_texts
from kzresearch.schemas import Regions

COUNTRY = "KZ"
"""The country as a whole: asked for by name, never one of "every region"."""


@cache
def load_regions() -> dy.DataFrame[Regions]:
    """The 20 regions of Kazakhstan: ISO 3166-2 and other codes, names in three languages.

    Returns one row per region, as `schemas.Regions` describes. `unit_17` is the unit of the 17
    before 8 June 2022 that a region lies in; `tile_row` and `tile_column` are its place in a map
    of equal tiles.

    Source: geokz and the project's own compilation (`geokz`, `kzresearch_regions` in
    `load_sources()`).
    """
    table = read_texts(data_dir() / "transcribed" / "regions.csv").to_dict(as_series=False)
    types: dict[str, Any] = dict.fromkeys(table, pl.String)
    for name in ("valid_from", "valid_to"):
        table[name] = [day and date.fromisoformat(day) for day in table[name]]
        types[name] = pl.Date
    for name in ("tile_row", "tile_column"):
        table[name], types[name] = [int(place) for place in table[name]], pl.Int64
    return cast("dy.DataFrame[Regions]", pl.DataFrame(table, schema=types))


@cache
def region_codes() -> tuple[str, ...]:
    """ISO 3166-2 codes of the regions, without the country."""
    return tuple(load_regions()["region"])


def regions_reporting(period: str) -> list[str]:
    """Regions within their bounds at the end of the period (YYYY-MM)."""
    year, month = map(int, period.split("-"))
    after = date(year + month // 12, month % 12 + 1, 1)
    begun = pl.col("valid_from").is_null() | (pl.col("valid_from") < after)
    ended = pl.col("valid_to").is_not_null() & (pl.col("valid_to") < after)
    return load_regions().filter(begun & ~ended)["region"].to_list()


def change_of_bounds(region: str, period: str) -> str | None:
    """What happened to the region's bounds in the period's year, in words; None if nothing."""
    regions = load_regions()
    new = regions.filter(pl.col("valid_from").dt.year() == int(period[:4]))
    changed = regions.filter(
        (pl.col("region") == region),
        pl.col("region").is_in(new["region"].implode())
        | pl.col("region").is_in(new["unit_17"].implode()),
    )
    return changed["note"].item() if changed.height else None


def region_name(region: str) -> str:
    """English name of a region or of the country."""
    if region == COUNTRY:
        return "Kazakhstan"
    return load_regions().row(by_predicate=pl.col("region") == region, named=True)["name_en"]


def short_name(region: str) -> str:
    """English name without the word Region, unless a city has that name: `Abai`, `Almaty Region`."""
    name, table = region_name(region), load_regions()
    short = name.removesuffix(" Region")
    return name if short != name and short in table["name_en"] else short

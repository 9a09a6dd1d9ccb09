"""The regions: codes, names, titles, the days within which their bounds hold.

Kazakhstan had 16 units until 18 June 2018, 17 until 7 June 2022, and has 20 since. A region that
lost territory keeps its code; South Kazakhstan, which was divided, has a code of its own.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from functools import cache
from typing import Any, cast

import dataframely as dy
import polars as pl

from kzresearch.errors import unknown_value
from kzresearch.language import current, say
from kzresearch.resources import data_dir, read_texts
from kzresearch.schemas import Regions

COUNTRY = "KZ"
"""The country as a whole: asked for by name, never one of "every region"."""

SOUTH_KAZAKHSTAN = "KZ-61+79"
"""South Kazakhstan Region until 18 June 2018: Turkistan Region and Shymkent together."""

_REGION = re.compile("Region|область|облысы")
_REGION_WORDS = {"область", "обл", "облысы"}
_CITY_WORDS = {"город", "гор", "г", "қаласы", "қ"}
# Latin letters that look like Cyrillic ones, as capitals or small, and ё; all in lower case.
_LOOK_ALIKES = str.maketrans("abcehikmoptxyё", "авсенікмортхуе")


@cache
def load_regions(*, former: bool = False) -> dy.DataFrame[Regions]:
    """The 20 regions of Kazakhstan: ISO 3166-2 and other codes, names in three languages.

    Returns one row per region, as `schemas.Regions` describes. `unit_17` is the unit of the 17
    before 8 June 2022 that a region lies in; `tile_row` and `tile_column` are its place in a map
    of equal tiles. With `former=True` also those that are no more (`valid_to`): South Kazakhstan,
    one of the 16 units until 18 June 2018.

    Source: geokz and the project's own compilation (`geokz`, `kzresearch_regions` in
    `load_sources()`).

    >>> kz.load_regions().filter(region="KZ-75").select("name_en", "name_ru", "unit_17").row(0)
    ('Almaty', 'Алматы', 'KZ-75')
    """
    table = read_texts(data_dir() / "transcribed" / "regions.csv").to_dict(as_series=False)
    types: dict[str, Any] = dict.fromkeys(table, pl.String)
    for name in ("valid_from", "valid_to"):
        table[name] = [day and date.fromisoformat(day) for day in table[name]]
        types[name] = pl.Date
    for name in ("tile_row", "tile_column"):
        table[name], types[name] = [int(place) for place in table[name]], pl.Int64
    if not former:
        now = [day is None for day in table["valid_to"]]
        table = {n: [v for v, kept in zip(of, now, strict=True) if kept] for n, of in table.items()}
    return cast("dy.DataFrame[Regions]", pl.DataFrame(table, schema=types))


@cache
def region_codes(*, former: bool = False) -> tuple[str, ...]:
    """Codes of the 20 regions, without the country; with `former` also of those that are no more."""
    return tuple(load_regions(former=former)["region"])


def regions_reporting(period: str) -> list[str]:
    """Regions within their bounds at the end of the period (YYYY-MM)."""
    year, month = map(int, period.split("-"))
    after = date(year + month // 12, month % 12 + 1, 1)
    begun = pl.col("valid_from").is_null() | (pl.col("valid_from") < after)
    ended = pl.col("valid_to").is_not_null() & (pl.col("valid_to") < after)
    return load_regions(former=True).filter(begun & ~ended)["region"].to_list()


def change_of_bounds(region: str, period: str) -> str | None:
    """What happened to the region's bounds in the period's year, in words; None if nothing."""
    year, known = int(period[:4]), _by_code()
    if region not in known:
        return None
    new = [one for one in known.values() if one["valid_from"] and one["valid_from"].year == year]
    changed = {code for one in new for code in (one["region"], one["unit_17"])}
    changed |= {
        code for code, one in known.items() if one["valid_to"] and one["valid_to"].year == year
    }
    return say(known[region]["note"]) if region in changed else None


def region_name(region: str) -> str:
    """Name of a region or of the country, in the reader's language.

    Raises UnknownValueError for another code.
    """
    if region == COUNTRY:
        return say("Kazakhstan")
    known = _by_code()
    if region not in known:
        raise unknown_value("region", region, [*known, COUNTRY])
    name: str = known[region][f"name_{current()}"]
    return name


@cache
def _by_code() -> dict[str, dict[str, Any]]:
    return {one["region"]: one for one in load_regions(former=True).iter_rows(named=True)}


def short_name(region: str) -> str:
    """Name without the word Region, unless a city has that name: `Abai`, `Almaty Region`."""
    name, names = region_name(region), load_regions()[f"name_{current()}"]
    short = _REGION.sub("", name).strip()
    return name if short != name and short in names else short


@cache
def region_titles() -> pl.DataFrame:
    """The names of a region or of the country that the title of a report is known by.

    Columns `region`, `title`, `used_from` and `used_to` (first and last day; null where the name
    has had no other before or after it, as far as the table goes) and `note` (how that is known).
    The names in `load_regions()` and, for what was renamed or is written otherwise, the project's
    own table.
    """
    own = read_texts(data_dir() / "transcribed" / "region_titles.csv")
    days = pl.col("used_from", "used_to").str.to_date()
    names = load_regions(former=True).unpivot(
        ["form_name_ru", "name_ru", "name_kk"], index="region", value_name="title"
    )
    own = own.with_columns(days)
    names = names.join(own, on=["region", "title"], how="anti").select("region", "title")
    return pl.concat([own, names.unique(maintain_order=True)], how="diagonal")


def regions_titled(title: str) -> pl.DataFrame:
    """The rows of `region_titles()` that a report's title means, however it is written."""
    table = region_titles()
    meant = [_plain(name) == _plain(title) for name in table["title"]]
    return table.filter(pl.Series(meant, dtype=pl.Boolean))


def _plain(title: str) -> tuple[bool, str]:
    """Whether a title says region (a city says so or says nothing), and its words.

    The same for `г. Алматы` and `Алматы`, `область Абай` and `Абай обл.`, with a dash or a blank,
    ё or е, and with Latin letters that look like Cyrillic ones.
    """
    text = unicodedata.normalize("NFC", title).casefold().translate(_LOOK_ALIKES)
    words = re.findall(r"\w+", text)
    is_region = any(word in _REGION_WORDS for word in words)
    kinds = _REGION_WORDS if is_region else _CITY_WORDS
    return is_region, " ".join(word for word in words if word not in kinds)

"""One function per table: `load_…` gives a frame, `scan_…` the same, lazy.

Every figure of Form 1-M comes in one long frame whatever its period and wherever it was reported;
a filter value that the data does not have is an error. What a source does not report has no row.

That the bundled tables keep their contracts is checked when they are built and by the tests, so that
loading them only gives them their types.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from typing import cast

import dataframely as dy
import polars as pl

from kzresearch.errors import (
    IncompleteSumWarning,
    OutputError,
    UnknownValueError,
    unknown_value,
)
from kzresearch.form_1m import codebook
from kzresearch.form_1m.reader import SOURCE
from kzresearch.regions import COUNTRY, load_regions, region_codes, regions_reporting
from kzresearch.resources import data_dir, read_texts
from kzresearch.schemas import (
    FreedomInTheWorld,
    Population,
    Published,
    TortureIndices,
    Workbooks,
)
from kzresearch.store import Report, store

Filter = str | int | Sequence[str | int] | None


def load_form_1m(
    period: Filter = None,
    region: Filter = None,
    section: Filter = None,
    article: Filter = None,
    measure: Filter = None,
    row: Filter = None,
    workbook: Filter = None,
) -> pl.DataFrame:
    """Figures of Form 1-M, one row per figure; each filter takes one value or several.

    Bundled periods and those of the user's own store (`kzresearch ingest`) come alike; where both
    hold a region's report for a period, that of the store.

    `period` is YYYY-MM (figures are cumulative from January), `region` an ISO 3166-2 code,
    `section` a section of the form (`"R1"`), `article` an article of the Criminal Code (`"146"`,
    short for `row="article:146"`), `measure` a column (`"registered"`), `row` any row
    (`"severity:grave"`). `codebook()` lists them all. `workbook` is the sha256 of a file: with it come
    that file's own figures, also where a corrected one has replaced it since.

    Without `region` come the regions, never the country. `region="KZ"` gives what was reported for
    the country, or else the sum of the regions at hand; the frame then has a column `cells` more,
    a list of `{workbook, cell}` with every cell that a figure was taken from. Such a sum lacks the
    military, transport and central bodies, which file workbooks of their own.

    Returns a frame as `schemas.Form1M` describes; `unit` says what is counted. What a source does
    not report has no row.

    Raises `UnknownValueError` for a value that the data does not have, with near matches. Warns
    (`IncompleteSumWarning`) where a sum lacks a region.

    Source: Form 1-M, and press reports of it; see the `source` column and `load_sources()`.

    >>> kz.load_form_1m("2022-12", "KZ", "R1", "146", "registered")["value"].item()
    98.0
    """
    return collected(scan_form_1m(period, region, section, article, measure, row, workbook))


def collected(frame: pl.LazyFrame) -> pl.DataFrame:
    """What was made of `scan_form_1m`, read; OutputError where a file that is held is broken."""
    try:
        # In half the time of the other engine: its joins keep the order anyway.
        return frame.collect(engine="in-memory")
    except pl.exceptions.PolarsError as error:
        raise OutputError(
            f"figures that are held cannot be read ({str(error).partition(chr(10))[0]}); "
            "kzresearch store --check says which"
        ) from None


def scan_form_1m(
    period: Filter = None,
    region: Filter = None,
    section: Filter = None,
    article: Filter = None,
    measure: Filter = None,
    row: Filter = None,
    workbook: Filter = None,
) -> pl.LazyFrame:
    """`load_form_1m`, lazy: a polars LazyFrame over the same figures.

    >>> kz.scan_form_1m("2022-12", section="R1", measure="registered").collect().height
    8440
    """
    periods = _known("period", period, _periods())
    regions = _known("region", region, [*region_codes(former=True), COUNTRY])
    sections = _known("section", section, codebook.section_names())
    measures = _known("measure", measure, codebook.measures())
    rows = _rows(article, row)
    _check_combination(sections, rows, measures)
    wanted = pl.lit(True)
    for name, values in (("section", sections), ("row", rows), ("measure", measures)):
        if values is not None:
            wanted &= pl.col(name) == values[0] if len(values) == 1 else pl.col(name).is_in(values)
    if workbook is not None:
        return _of_workbooks(workbook, wanted, periods, regions)

    held = _held(periods, regions)
    as_reported = list(_reports({p: there for p, there in held.items() if there}, wanted))
    if regions is None or COUNTRY not in regions:
        return pl.concat(as_reported)
    cells = pl.concat_list(pl.struct("workbook", "cell"))
    listed = pl.when(pl.col("workbook").is_null()).then(cells.list.head(0)).otherwise(cells)
    parts = [part.with_columns(cells=listed) for part in as_reported]
    parts += [_country(wanted, p) for p in held if is_summed(p)]
    return pl.concat(parts)


def _reports(held: dict[str, list[str]], wanted: pl.Expr) -> Iterator[pl.LazyFrame]:
    """The figures of periods' regions as they were reported: the bundled ones, then the store's.

    Periods that the store alone holds are read in one go.
    """
    ours = store().tags()
    for is_own, run in groupby(held, lambda p: p in ours and not _bundled(p).is_file()):
        periods = list(run)
        if is_own:
            yield store().scan(periods, wanted, {one for p in periods for one in held[p]})
            continue
        for period in periods:
            bundled = pl.scan_parquet(_bundled(period)).filter(
                wanted, pl.col("region").is_in(held[period])
            )
            if instead := [one.region for one in store().of(period)]:
                replaced = pl.col("region").is_in(instead) & (pl.col("source") == SOURCE)
                yield bundled.filter(~replaced)
                yield store().scan([period], wanted, held[period])
            else:
                yield bundled


def _of_workbooks(
    workbook: Filter, wanted: pl.Expr, periods: list[str] | None, regions: list[str] | None
) -> pl.LazyFrame:
    """The figures of files by their checksums, those included that were replaced."""
    bundled, ours = bundled_workbooks(), store().reports()
    known = dict(bundled.select("sha256", "period").iter_rows())
    held = {one.sha256: one for one in ours}
    parts = []
    for sha in _values("workbook", workbook):
        replaced = None if sha in held or sha in known else store().replaced(sha)
        if sha in held:
            found = store().scan([held[sha].period], wanted, [held[sha].region])
        elif sha in known:
            found = pl.scan_parquet(_bundled(known[sha])).filter(pl.col("workbook") == sha, wanted)
        elif replaced is not None:
            found = replaced.filter(wanted)
        else:
            raise unknown_value("workbook", sha, sorted(readable()))
        for name, values in (("period", periods), ("region", regions)):
            if values is not None:
                found = found.filter(pl.col(name).is_in(values))
        parts.append(found)
    return pl.concat(parts)


def row_of(article: str | int) -> str:
    """The row of an article of the Criminal Code; `total`, or a row's name, is itself."""
    text = str(article)
    if text in ("total", "crimes", "misdemeanours") or ":" in text:
        return (_known("row", text, codebook.held("rows", ["R1"])) or [text])[0]
    _known("article", article, articles())
    return f"article:{text}"


def check_reported(period: str, region: str | None, article: str | int) -> None:
    """Refuse a period, region or article (or row) that is not held, or of which nothing is reported.

    Without a region: the regions, each by itself.
    """
    row = row_of(article)
    rows = _reported(state(period), period, region)
    if row not in rows:
        there = sorted(row.removeprefix("article:") for row in rows if row.startswith("article:"))
        what = row.replace(":", " ")
        raise UnknownValueError(
            f"{period} reports nothing on {what}; it reports on: {', '.join(there)}"
        )


@lru_cache(maxsize=64)
def _reported(_state: object, period: str, region: str | None) -> frozenset[str]:
    return frozenset(load_form_1m(period, region, "R1", measure="registered")["row"])


def state(period: str) -> tuple[object, ...] | None:
    """What tells what is held of a period from another state of it; None where nothing is held.

    For what keeps something read from it: where this changes, it must be read again.
    """
    path = _bundled(period)
    found = path.stat() if path.is_file() else None
    bundled = found and (str(path), found.st_mtime_ns, found.st_size)
    ours = store().tags().get(period)
    return (bundled, store().where, ours) if bundled or ours else None


def _bundled(period: str) -> Path:
    return data_dir() / "form_1m" / f"{period}.parquet"


def check_article(article: str | int) -> None:
    """Refuse what is no article of the Criminal Code in the form."""
    _known("article", str(article), articles())


def check_region(region: Filter) -> None:
    """Refuse what is neither a region nor the country."""
    _known("region", region, [*region_codes(former=True), COUNTRY])


def check_period(period: Filter) -> None:
    """Refuse a period of which no figure is held."""
    _known("period", period, _periods())


def _periods() -> list[str]:
    return sorted({*_bundled_coverage(), *store().tags()})


def articles() -> list[str]:
    """The articles of the Criminal Code in the form (`146`, `188-1`), in its order."""
    return _articles(codebook.forms())


@lru_cache(maxsize=8)
def _articles(_forms: object) -> list[str]:
    names = codebook.row_names()
    pairs = zip(names["row"], names["article"], strict=True)
    return [article for row, article in pairs if row == f"article:{article}"]


def warm() -> None:
    """Read what every loader needs; no polars query is made, so that a process may be forked."""
    codebook.warm()
    _ = region_codes(), region_codes(former=True)
    coverage()
    articles()


def load_workbooks() -> dy.DataFrame[Workbooks]:
    """The workbooks behind the figures: one row per file, with its sha256, region and period.

    `period_source` and `region_source` say who stated them: `workbook` (the file itself), `folder`,
    `manifest` or `argument` (an option). `form_version` is the version of the form that it is of.
    Those of the user's store stand with the bundled ones, in place of one of the same region and
    period.

    Source: the workbooks' own metadata, as read by `read_form_1m`.

    >>> kz.load_workbooks().filter(region="KZ-75").select("file", "period", "form_version").row(0)
    ('Almaty.XLSX', '2022-12', '2022')
    """
    ours = [vars(one) for one in store().reports()]  # asdict copies deeply: most of the time
    bundled = cast("dy.DataFrame[Workbooks]", bundled_workbooks())
    if not ours:
        return bundled
    texts = dict.fromkeys(ours[0], pl.String)
    added = pl.DataFrame(ours, schema=texts).with_columns(form=pl.lit("1-M"), source=pl.lit(SOURCE))
    left = bundled.join(added, on=["region", "period"], how="anti", maintain_order="left")
    both = pl.concat([left, added.select(bundled.columns)]).sort("period", "region")
    return Workbooks.validate(both)


def every_workbook() -> pl.DataFrame:
    """`load_workbooks` with those that were replaced, whose figures can be read as well."""
    bundled = bundled_workbooks()
    ours = [vars(one) for one in (*store().reports(), *store().replaced_reports())]
    own = pl.DataFrame(ours, schema=dict.fromkeys(Report.__dataclass_fields__, pl.String))
    own = own.with_columns(form=pl.lit("1-M"), source=pl.lit(SOURCE)).select(bundled.columns)
    return pl.concat([bundled, own]).unique("sha256", keep="first", maintain_order=True)


def readable() -> set[str]:
    """The checksums of all workbooks whose figures can be read, those that were replaced included."""
    return set(every_workbook()["sha256"])


@cache
def bundled_workbooks() -> pl.DataFrame:
    """`load_workbooks` without the user's store."""
    return read_texts(data_dir() / "workbooks.csv")


@cache
def load_freedom_in_the_world() -> dy.DataFrame[FreedomInTheWorld]:
    """Freedom in the World for Kazakhstan and 11 post-Soviet countries, editions 2013–2025.

    Returns one row per country and edition: status, ratings (1–7, lower is freer) and scores
    (`political_rights` of 40, `civil_liberties` of 60, `total` of 100, higher is freer). An edition
    is named after the year it was published in and reviews the year before.

    Source: Freedom House (`freedom_in_the_world` in `load_sources()`).

    >>> editions = kz.load_freedom_in_the_world().filter(country="Kazakhstan")
    >>> editions.filter(edition=2021).select("status", "total").row(0)
    ('Not Free', 23)
    """
    file = data_dir() / "freedom_in_the_world.csv"
    types = {
        name: dtype
        for name, dtype in FreedomInTheWorld.create_empty().schema.items()
        if dtype == pl.Int64
    }
    frame = pl.read_csv(file, infer_schema=False).with_columns(
        pl.col(name).cast(dtype) for name, dtype in types.items()
    )
    return FreedomInTheWorld.cast(frame)


@cache
def load_population() -> dy.DataFrame[Population]:
    """Population of Kazakhstan on 1 January 2000–2023, by region, sex and area.

    Returns one row per figure, in persons, as `schemas.Population` describes. `series` tells the
    two revisions of 2023 apart: never mix them. `units` is the division of the country (16, 17 or
    20 units) that the source uses for the date, within whose bounds a region's code is meant. A
    census lies between 2021 and 2022.

    Source: Bureau of National Statistics (`population_2000_2023`, `population_2023_revised`).

    >>> people = kz.load_population().filter(region="KZ-75", sex="total", area="total")
    >>> people.select("date", "population").rows()[-1]
    (datetime.date(2023, 1, 1), 2161695)
    """
    return Population.cast(pl.read_parquet(data_dir() / "population.parquet"))


@cache
def load_published() -> dy.DataFrame[Published]:
    """Figures on torture cases 2012–2025 published elsewhere, as they were published.

    Returns one row per figure, with period, indicator, unit, publisher and address. Where sources
    disagree both stand; `flag` and `ambiguity` say what is unclear. No quotes.

    Source: the publication named in each row (`published_figures` in `load_sources()`).

    >>> figures = kz.load_published().filter(region="KZ", article="146", indicator="registered")
    >>> figures.select("period_start", "period_end", "value", "source").row(0)
    (datetime.date(2021, 1, 1), datetime.date(2021, 2, 28), 88.0, 'ACCA')
    """
    frame = pl.read_csv(data_dir() / "published.csv", infer_schema=False).with_columns(
        pl.col("period_start", "period_end").str.to_date(), pl.col("value").cast(pl.Float64)
    )
    return Published.cast(frame)


@cache
def load_torture_indices() -> dy.DataFrame[TortureIndices]:
    """Expert indices on torture and related rights, 12 post-Soviet countries, by year.

    Returns one row per country, year and index: V-Dem v14 (`v2cltort`, higher is freer, and
    related ones) and HRMI v5-1 (`hrmi_tort`, 0–10, Kazakhstan and Kyrgyzstan, with its bounds).
    Each is on its own `scale`; never average them.

    Source: `vdem_v14`, `hrmi_cpr_v5_1` in `load_sources()`; the V-Dem figures are under CC BY-SA 4.0.

    >>> scores = kz.load_torture_indices().filter(country="Kazakhstan", index="v2cltort")
    >>> scores.filter(year=2022).select("value", "scale").row(0)
    (-0.595, 'interval scale, higher is freer')
    """
    return TortureIndices.cast(pl.read_parquet(data_dir() / "torture_indices.parquet"))


def coverage() -> pl.DataFrame:
    """Which period is held for which region, from which source: period, region, source."""
    return _coverage(tuple((one.period, one.region) for one in store().reports()))


@lru_cache(maxsize=8)
def _coverage(ours: tuple[tuple[str, str], ...]) -> pl.DataFrame:
    bundled = {(period, *one) for period, ones in _bundled_coverage().items() for one in ones}
    lines = sorted(bundled | {(*one, SOURCE) for one in ours})
    schema = dict.fromkeys(["period", "region", "source"], pl.String)
    return pl.DataFrame(lines, schema=schema, orient="row")


@cache
def _bundled_coverage() -> dict[str, set[tuple[str, str]]]:
    """Period → region and source of what comes with the package."""
    reported = read_texts(data_dir() / "transcribed" / "form_1m_reported.csv")
    held: dict[str, set[tuple[str, str]]] = {}
    for table in (bundled_workbooks(), reported):
        for period, *one in zip(*(table[n] for n in ("period", "region", "source")), strict=True):
            held.setdefault(period, set()).add((one[0], one[1]))
    return held


def covered(period: str) -> set[tuple[str, str]]:
    """Region and source of what is held of one period: of the others nothing is looked at."""
    ours = {(one.region, SOURCE) for one in store().of(period)}
    return _bundled_coverage().get(period, set()) | ours


def _known(what: str, given: Filter, known: Iterable[str]) -> list[str] | None:
    """The values asked for, all of them known; None for no filter."""
    if given is None:
        return None
    known = list(known)
    values = _values(what, given)
    for value in values:
        if value not in known:
            if what == "region" and (named := _regions_named(value)):
                near = ", ".join(named)
                raise UnknownValueError(f"unknown region {value!r}; near matches: {near}")
            raise unknown_value(what, value, known)
    return values


def _values(what: str, given: Filter) -> list[str]:
    """The values of a filter, which is not None."""
    several = isinstance(given, Sequence) and not isinstance(given, (str, bytes))
    values = [v if isinstance(v, str) else repr(v) for v in (given if several else [given])]  # type: ignore[union-attr]
    if not values:
        raise UnknownValueError(f"no {what} given; leave the filter out for all of them")
    return values


def _regions_named(text: str) -> list[str]:
    """Codes, with names, of the regions whose name in any language holds the text."""
    names = load_regions(former=True).select("region", "name_en", "name_ru", "name_kk").rows()
    return [
        f"{line[0]} ({line[1]})"
        for line in names
        if text and any(text.casefold() in name.casefold() for name in line[1:])
    ]


def _rows(article: Filter, row: Filter) -> list[str] | None:
    by_article = _known("article", article, articles())
    by_row = _known("row", row, codebook.row_names()["row"])
    if by_article is None:
        return by_row
    return [f"article:{a}" for a in by_article] + (by_row or [])


def _check_combination(
    sections: list[str] | None, rows: list[str] | None, measures: list[str] | None
) -> None:
    """Refuse sections none of which has the rows or the measures asked for."""
    if sections is None:
        return
    for what, asked, table in (("row", rows, "rows"), ("measure", measures, "columns")):
        if asked is None:
            continue
        held = codebook.held(table, sections)
        if len(held) and codebook.only_reported().isdisjoint(asked) and set(asked).isdisjoint(held):
            found = unknown_value(f"{what} of section {', '.join(sections)}:", asked[0], list(held))
            raise found


def _held(periods: list[str] | None, regions: list[str] | None) -> dict[str, list[str]]:
    """Period → the regions asked for that it holds as reported; the country only by name."""
    held: dict[str, list[str]] = {}
    for period in periods or _periods():
        there = sorted({region for region, _ in covered(period)})
        asked = [one for one in there if one != COUNTRY] if regions is None else regions
        found = [region for region in there if region in asked]
        if found or (COUNTRY in asked and is_summed(period)):
            held[period] = found
        elif periods is not None:
            names = ", ".join(there)
            missing = "the regions" if regions is None else ", ".join(regions)
            raise UnknownValueError(f"{period} has no figures for {missing}; it has: {names}")
    if not held:
        raise UnknownValueError(
            f"no figures for {', '.join(regions or [])} are at hand; kzresearch ingest takes reports"
        )
    return held


def is_summed(period: str) -> bool:
    """Whether the country's figures of a period are the sum of the regions' workbooks."""
    there = reported_by_workbooks(period)
    return len(there) > 0 and COUNTRY not in there


def reported_by_workbooks(period: str) -> set[str]:
    """The regions whose own workbooks of a period are held."""
    return {region for region, source in covered(period) if source == SOURCE}


def _country(wanted: pl.Expr, period: str) -> pl.LazyFrame:
    """The sum of a period's regions, its cells listing the contributors."""
    there = reported_by_workbooks(period)
    missing = [region for region in regions_reporting(period) if region not in there]
    if missing:
        warnings.warn(
            f"the sum for KZ in {period} lacks {', '.join(missing)}",
            IncompleteSumWarning,
            stacklevel=4,
        )
    return (
        pl.concat(list(_reports({period: sorted(there)}, wanted)))
        .filter(pl.col("source") == SOURCE)
        .group_by("period", "section", "row", "measure", "unit", "source", maintain_order=True)
        .agg(
            value=pl.col("value").sum().round(3),
            note=pl.col("note").first(),
            cells=pl.struct("workbook", "cell"),
        )
        # What one version of the form has and another has not is no sum of the regions.
        .filter(pl.col("cells").list.len() == len(there))
        .select(
            "period",
            pl.lit(COUNTRY).alias("region"),
            "section",
            "row",
            "measure",
            "unit",
            "value",
            pl.lit(None, pl.String).alias("workbook"),
            pl.lit(None, pl.String).alias("cell"),
            pl.lit(None, pl.String).alias("period_source"),
            "source",
            "note",
            "cells",
        )
    )

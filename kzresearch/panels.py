"""One article over periods and regions: what is missing, and what changed between the reports.

Reports are cumulative from January, and net: nothing here subtracts one from another.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import polars as pl

from kzresearch import datasets, language
from kzresearch.datasets import Filter
from kzresearch.errors import IncompleteSumWarning, UnknownValueError
from kzresearch.form_1m import codebook
from kzresearch.form_1m.reader import SOURCE
from kzresearch.language import current, filled, later, noted, say
from kzresearch.regions import COUNTRY, load_regions, regions_reporting

NO_REPORT = later("no report of this period is at hand")
NET = later(
    "net: what was registered in the month and had left the register by its end, being terminated "
    "on rehabilitating grounds, is not in it"
)
MONTHS_OWN = "R1-1"
"""The section that has columns of the report's own month."""
MONTH = pl.col("period").str.to_date("%Y-%m")
"""The first day of a period's last month."""
_KEY = ["period", "region"]


def panel(
    article: str | int = "146",
    measure: str = "registered",
    section: str = "R1",
    period: Filter = None,
    region: Filter = None,
) -> pl.DataFrame:
    """One article over periods and regions: a row for each report there is, or should be.

    `article` is an article of the Criminal Code or a row of the form (`"severity:grave"`), `measure`
    and `section` are one each; `period` and `region` filter as in `load_form_1m`, the country comes
    by name alone. Expected are the periods of which any region's report is at hand, or those asked
    for, and in each of them every region that reported then.

    Returns, by region and period: period (YYYY-MM), months (from January to this one: a figure of a
    part of a year is never to be set beside one of a whole year, nor one report subtracted from
    another), region, value (null where the report is missing or has no such figure, never 0), unit,
    workbook, cell, source and form_version. What changed since the region's report before, among those
    returned, is in form_change (the version of the form), law_change (the form's title of the article,
    or whether the form has it; whether the law changed is not stated) and bounds_change (the region's
    bounds, within the period or before it), null where nothing did. note says why a value is null,
    what a sum lacks, and what else must be minded. With the country comes `cells`, as in
    `load_form_1m`.

    Where a workbook and a publication report the same, the workbook's figure stands, and the note has
    the other. Raises `UnknownValueError` for a value that the data does not have. Warns
    (`IncompleteSumWarning`) where sums for the country lack a region.

    Source: Form 1-M, and press reports of it; see the `source` column and `load_sources()`.

    >>> kz.panel("146", region="KZ-75").select("period", "months", "value").rows()
    [('2022-12', 12, 24.0)]
    """
    what = _What.of(article, measure, section, period, region)
    periods = what.periods or what.at_hand()["period"].unique().to_list()
    frame = _over_periods(what, periods, begin=MONTH.dt.truncate("1y"))
    return frame.select(
        "period", MONTH.dt.month().cast(pl.Int64).alias("months"), pl.exclude("period")
    )


def monthly_registrations(
    article: str | int = "146",
    region: Filter = None,
    period: Filter = None,
    measure: str = "registered_in_month",
) -> pl.DataFrame:
    """The registrations of single months, each from the month's own report.

    The column for them is `registered_in_month` of section R1-1; `registered_committed_in_month` are offences of the
    year to date that were committed in the month. Reports are never subtracted: they are cumulative
    and net, an offence terminated on rehabilitating grounds leaves them, and the difference of two
    may be below 0. For the same reason twelve months do not add up to the figure of the year.

    `article`, `region` and `period` as in `panel`. Expected are all months from the first workbook at
    hand to the last, or those asked for, and in each of them every region that reported then.

    Returns, by region and period, the columns of `panel`, with month (its first day) in place of
    months. Where a report is missing value is null, never 0 nor interpolated.

    Raises `UnknownValueError` as `panel` does, and for a measure that has no column for the month.
    Warns (`IncompleteSumWarning`) where sums for the country lack a region.

    Source: Form 1-M, section R1-1.

    >>> kz.monthly_registrations("146", region="KZ-75").select("month", "value").rows()
    [(datetime.date(2022, 12, 1), 8.0)]
    """
    frame = months_alone(article, region, period, measure)
    return frame.with_columns(note=also_net(frame))


def also_net(frame: pl.DataFrame) -> pl.Series:
    """The notes of figures of single months, with what is said of every one of them."""
    net = pl.when(pl.col("value").is_not_null()).then(pl.lit(say(NET)))
    return frame.select(pl.concat_str(net, "note", separator="; ", ignore_nulls=True))["literal"]


def months_alone(
    article: str | int,
    region: Filter = None,
    period: Filter = None,
    measure: str = "registered_in_month",
) -> pl.DataFrame:
    """`monthly_registrations`, but that the notes do not say of every figure that it is net."""
    columns = codebook.held("columns", [MONTHS_OWN])
    if measure not in (own := [name for name in columns if name.endswith("_in_month")]):
        raise UnknownValueError(
            f"{measure!r} has no column for the month alone, and reports are cumulative and net: their "
            f"difference is not a month's figure; ask for {' or '.join(own)}"
        )
    what = _What.of(article, measure, MONTHS_OWN, period, region)
    frame = _over_periods(what, what.periods or what.months(), begin=MONTH)
    return frame.select("period", MONTH.alias("month"), pl.exclude("period"))


def lacks_regions(period: str) -> bool:
    """Whether the figures of the country are a sum that lacks a region which reported then."""
    held = datasets.load_workbooks().filter(period=period)["region"]
    return datasets.is_summed(period) and not set(regions_reporting(period)) <= set(held)


class _What(NamedTuple):
    """What is asked for: a figure of the form, periods and regions (None: all)."""

    row: str
    measure: str
    section: str
    periods: list[str] | None
    regions: list[str] | None

    @classmethod
    def of(
        cls, article: str | int, measure: str, section: str, period: Filter, region: Filter
    ) -> _What:
        for name, one in (("measure", measure), ("section", section)):
            if not isinstance(one, str):
                raise UnknownValueError(f"one {name} at a time, not {one!r}")
        datasets.check_period(period)
        datasets.check_region(region)
        return cls(datasets.row_of(article), measure, section, _listed(period), _listed(region))

    @property
    def country(self) -> bool:
        return COUNTRY in (self.regions or ())

    def at_hand(self) -> pl.DataFrame:
        """What is at hand of any region, and of the country where it is asked for."""
        everything = datasets.coverage()
        return everything if self.country else everything.filter(pl.col("region") != COUNTRY)

    def months(self) -> list[str]:
        """All months from the first workbook at hand to the last."""
        there = self.at_hand().filter(source=SOURCE)
        months = pl.date_range(MONTH.min(), MONTH.max(), "1mo").dt.strftime("%Y-%m")
        return there.select(months)["period"].to_list()


def _listed(given: Filter) -> list[str] | None:
    if given is None:
        return None
    return [str(one) for one in ([given] if isinstance(given, str | int) else given)]


def _over_periods(what: _What, periods: list[str], begin: pl.Expr) -> pl.DataFrame:
    """The figures asked for over periods that each begin on the day `begin`, and what to mind."""
    figures = _figures(what, periods)
    due = _due(periods)
    frame = (
        _expected(what, periods, due)
        .join(figures, on=_KEY, how="left")
        .join(_reports(what, due), on=_KEY, how="left")
        .with_columns(
            pl.when(_of_workbooks()).then(pl.col("sha256", "form_version", "title", "lacking"))
        )
        .sort("region", "period")
    )
    if frame.is_empty():
        raise UnknownValueError(
            f"{', '.join(what.regions or ())} did not report in {', '.join(periods)}; name others"
        )
    frame = frame.join(_changes_of_bounds(frame, begin), on=_KEY, how="left", maintain_order="left")
    if short := frame["lacking"].count():
        warnings.warn(
            f"the sum for KZ lacks regions in {short} of {len(periods)} periods; see the column note",
            IncompleteSumWarning,
            stacklevel=3,
        )
    notes = [pl.col("note"), _absence(), *(pl.col(n) for n in ("lacking", "also", "minded"))]
    version, version_is = _before("form_version"), pl.col("form_version").is_not_null()
    return frame.select(
        "period",
        "region",
        "value",
        pl.col("unit").fill_null(pl.col("unit").drop_nulls().first()),
        pl.coalesce("workbook", "sha256").alias("workbook"),
        "cell",
        pl.coalesce("source", "reported_by", pl.when(version_is).then(pl.lit(SOURCE))).alias(
            "source"
        ),
        "form_version",
        form_change=pl.when(pl.col("form_version") != version).then(
            filled(
                later("version {version} of the form in place of {before}"),
                version=pl.col("form_version"),
                before=version,
            )
        ),
        law_change=_retitled(),
        bounds_change="bounds_change",
        note=pl.concat_str(notes, separator="; ", ignore_nulls=True).replace("", None),
        **({"cells": pl.col("cells").fill_null([])} if what.country else {}),
    )


def _of_workbooks() -> pl.Expr:
    """Whether a figure is from a workbook, or else missing, and not from a publication."""
    return pl.col("source").fill_null(SOURCE) == SOURCE


def _expected(what: _What, periods: list[str], due: pl.DataFrame) -> pl.DataFrame:
    """Period and region of each report that is there or should be, and who reported."""
    there = what.at_hand().filter(pl.col("period").is_in(periods))
    if what.country:
        country = pl.DataFrame({"period": periods}).with_columns(region=pl.lit(COUNTRY))
        due = pl.concat([due, country])
    expected = pl.concat([due, there.select(_KEY)]).unique()
    if what.regions is not None:
        expected = expected.filter(pl.col("region").is_in(what.regions))
    workbooks_first = there.sort(pl.col("source") != SOURCE).unique(_KEY, keep="first")
    return expected.join(workbooks_first.rename({"source": "reported_by"}), on=_KEY, how="left")


def _due(periods: list[str]) -> pl.DataFrame:
    """The regions that should have reported: period, region."""
    regions = [regions_reporting(period) for period in periods]
    return pl.DataFrame({"period": periods, "region": regions}).explode("region")


def _figures(what: _What, periods: list[str]) -> pl.DataFrame:
    """What was reported, once a period and region: by a workbook, or else by a publication."""
    there = what.at_hand().filter(pl.col("period").is_in(periods))
    if what.regions is not None and not what.country:
        there = there.filter(pl.col("region").is_in(what.regions))
    held = there["period"].unique().sort().to_list()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IncompleteSumWarning)
        found = datasets.scan_form_1m(
            held or None, what.regions, what.section, measure=what.measure, row=what.row
        )
    others = filled(
        later("{source} has {value}"),
        source=pl.col("source"),
        value=pl.col("value").cast(pl.String).str.strip_suffix(".0"),
    )
    return (
        (found if held else found.head(0))
        .collect()
        .with_columns(pl.col("note").map_elements(noted, return_dtype=pl.String))
        .sort(pl.col("source") != SOURCE, maintain_order=True)
        .group_by(_KEY, maintain_order=True)
        .agg(
            pl.exclude("section", "row", "measure", "period_source").first(),
            also=others.slice(1).str.join("; ").replace("", None),
        )
    )


def _reports(what: _What, due: pl.DataFrame) -> pl.DataFrame:
    """What is known of each workbook: its version of the form, and that version's title of the row.

    For a sum of regions, all of their versions; and which regions it lacks.
    """
    books = datasets.load_workbooks().join(_titles(what.row), on="form_version", how="left")
    books = books.select(*_KEY, "sha256", "form_version", "title")
    if not what.country:
        return books.with_columns(lacking=pl.lit(None, pl.String))
    own = books.filter(pl.col("region") == COUNTRY)
    of_regions = books.filter(pl.col("region") != COUNTRY)
    several = pl.col("form_version", "title").unique().sort().str.join(", ")
    lack = (
        due.join(of_regions, on=_KEY, how="anti")
        .group_by("period")
        .agg(absent=pl.col("region").sort())
    )
    sums = (
        of_regions.join(own, on="period", how="anti")
        .group_by("period")
        .agg(several, there=pl.col("region").sort())
        .join(lack, on="period", how="left")
        .select(
            "period",
            "form_version",
            "title",
            region=pl.lit(COUNTRY),
            lacking=pl.when(pl.col("absent").is_null())
            .then(None)
            .when(pl.col("absent").list.len() <= pl.col("there").list.len())
            .then(
                filled(later("the sum lacks {regions}"), regions=pl.col("absent").list.join(", "))
            )
            .otherwise(
                filled(later("the sum of {regions} alone"), regions=pl.col("there").list.join(", "))
            ),
        )
    )
    return pl.concat([books, sums], how="diagonal")


def _titles(row: str) -> pl.DataFrame:
    """What each version of the form calls the row, empty where it has none: form_version, title."""
    named = {
        one.name: one.row_names.filter(pl.col("row") == row)["title_ru"].to_list() or [""]
        for one in codebook.forms()
    }
    titles = [first or "" for first, *_ in named.values()]
    return pl.DataFrame({"form_version": [*named], "title": titles})


def _before(column: str) -> pl.Expr:
    """The value in the region's report before, those that are missing passed over."""
    return pl.col(column).forward_fill().shift().over("region")


def _retitled() -> pl.Expr:
    """How the form's title of the row differs from that in the region's report before."""
    now, before = pl.col("title"), _before("title")
    return (
        pl.when(now.is_null() | before.is_null() | (now == before))
        .then(None)
        .when(before == "")
        .then(pl.lit(say("new in the form")))
        .when(now == "")
        .then(pl.lit(say("no longer in the form")))
        .otherwise(
            filled(
                later("the form's title changed from «{before}» to «{now}»"), before=before, now=now
            )
        )
    )


def _absence() -> pl.Expr:
    """Why there is no value."""
    version = pl.col("form_version")
    return (
        pl.when(pl.col("value").is_not_null())
        .then(None)
        .when(version.str.contains(", ", literal=True))
        .then(
            filled(
                later("no sum: versions {versions} of the form do not all have this figure"),
                versions=version,
            )
        )
        .when(version.is_not_null())
        .then(filled(later("version {version} of the form has no such figure"), version=version))
        .when(pl.col("reported_by").is_not_null())
        .then(filled(later("{source} does not report it"), source=pl.col("reported_by")))
        .otherwise(pl.lit(say(NO_REPORT)))
    )


def _changes_of_bounds(frame: pl.DataFrame, begin: pl.Expr) -> pl.DataFrame:
    """What reports are to be read with, as the bounds changed in their period or since the one before."""
    end = MONTH.dt.month_end()
    day = pl.col("day")
    place = (day <= end).cast(pl.Int8) + (day <= begin).cast(
        pl.Int8
    )  # 0 before it, 1 within, 2 after
    earlier = pl.col("place").shift().over("region", "day")
    new = (pl.col("place") > earlier.fill_null(0)) & (
        (pl.col("place") == 1) | earlier.is_not_null()
    )
    changed = (
        pl.when(~new)
        .then(None)
        .when(pl.col("place") == 1)
        .then(
            pl.when("begins")
            .then(
                filled(later("the region begins on {day}, within this period"), day=pl.col("told"))
            )
            .otherwise(
                filled(later("its bounds change on {day}, within this period"), day=pl.col("told"))
            )
        )
        .when(earlier == 1)
        .then(
            filled(
                later("the first report of a period wholly after the change of {day}"),
                day=pl.col("told"),
            )
        )
        .when("begins")
        .then(
            filled(
                later("the region begins on {day}, between this report and the one before"),
                day=pl.col("told"),
            )
        )
        .otherwise(
            filled(
                later("its bounds change on {day}, between this report and the one before"),
                day=pl.col("told"),
            )
        )
    )
    minded = pl.when((pl.col("place") == 1) | (new & (earlier == 0))).then("note")
    return (
        frame.filter(pl.col("reported_by").is_not_null())
        .select(_KEY)
        .join(_days_of_change(), on="region", maintain_order="left")
        .with_columns(place=place)
        .with_columns(bounds_change=changed, minded=minded)
        .group_by(_KEY)
        .agg(
            pl.col("bounds_change", "minded")
            .drop_nulls()
            .unique(maintain_order=True)
            .str.join("; ")
            .replace("", None)
        )
    )


def _days_of_change() -> pl.DataFrame:
    """The days from which regions have their bounds: region, day, told (the day in words), begins (or lost a part), note."""
    regions = load_regions(former=True)
    begun = regions.filter(pl.col("valid_from").is_not_null())
    day = pl.col("valid_from").alias("day")
    begins = begun.select("region", day, begins=pl.lit(value=True))
    parted = begun.filter(pl.col("unit_17") != pl.col("region")).select(
        pl.col("unit_17").alias("region"), day, begins=pl.lit(value=False)
    )
    days = pl.concat([begins, parted]).unique()
    told = [str(one) if current() == "en" else language.day(one) for one in days["day"]]
    days = days.with_columns(told=pl.Series(told, dtype=pl.String))
    notes = pl.Series("note", [note and say(note) for note in regions["note"]], pl.String)
    return days.join(regions.select("region", notes), on="region")

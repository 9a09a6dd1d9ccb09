"""Shares, rates and relative risks with intervals; shrinkage, control limits, sums.

What an interval means here. The official figures are complete counts, not samples: every recorded
offence is in them, so there is no sampling error. An interval is about the process that produced
the count: had the same conditions held again, chance alone would have given another number, and
the interval holds the underlying shares or rates that the recorded one is compatible with. It
knows nothing of offences never recorded, of errors in the record, or of one event counted twice,
and it takes cases to be independent; where many cases stem from one event it is too narrow.

A part of nothing has no share: where a denominator is 0 or a figure is not reported, the measure
is None (null in a frame), not an error and not 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import polars as pl

from kzresearch.errors import KzresearchError, unknown_value
from kzresearch.language import later
from kzresearch.regions import SOUTH_KAZAKHSTAN, load_regions

if TYPE_CHECKING:
    import numpy as np

Method = Literal["wilson", "jeffreys"]
METHODS = ["wilson", "jeffreys"]
__all__ = [
    "CENSUS_BREAKS",
    "SERIES_SPLITS",
    "Interval",
    "MeasureError",
    "funnel_limits",
    "funnel_limits_of_shares",
    "mean_population",
    "merge_to_17",
    "months_in",
    "proportion",
    "rate",
    "relative_risk",
    "shrunken_rates",
    "with_rate",
    "with_share",
]

CENSUS_BREAKS = {2021: later("the census of 2021")}
"""Years between whose two 1 January figures a census moved the series."""

SERIES_SPLITS = {2016: ["KZ-61"]}
"""Regions that hold another region on the first 1 January of the year and not on the second: the
series counts Shymkent (KZ-79) within KZ-61 up to 2016 and apart from 2017."""


class MeasureError(KzresearchError, ValueError):
    """Numbers from which the measure asked for cannot be taken.

    >>> rates.proportion(12, 10)
    Traceback (most recent call last):
        ...
    kzresearch.rates.MeasureError: 12 of 10: a part cannot be larger than its whole
    """


class Interval(NamedTuple):
    """An estimate and its limits; None where they are not defined.

    >>> rates.proportion(0, 0)
    Interval(estimate=None, lower=None, upper=None)
    """

    estimate: float | None
    lower: float | None
    upper: float | None


UNDEFINED = Interval(None, None, None)


def proportion(
    successes: float | None, total: float | None, method: Method = "wilson", level: float = 0.95
) -> Interval:
    """The share `successes / total` (0 to 1) with its interval.

    `wilson`: the score interval, all p with `|x/n − p| ≤ z √(p (1 − p) / n)`, as SciPy's
    `binomtest` has it. `jeffreys`: the quantiles (1 ∓ level) / 2 of Beta(x + ½, n − x + ½), the
    lower limit 0 for x = 0 and the upper 1 for x = n. For a complete count the interval is about
    the process that divided the cases, not about sampling (see the module).

    Returns `Interval(estimate, lower, upper)`, all None for a total of 0 or a figure of None.

    Raises `MeasureError` for numbers that are negative or not whole and for successes above the
    total, `UnknownValueError` for another method.

    References: Wilson (1927), J. Am. Stat. Assoc. 22, 209–212; Brown, Cai and DasGupta (2001),
    Stat. Sci. 16, 101–133.

    >>> [round(value, 4) for value in rates.proportion(10, 918)]
    [0.0109, 0.0059, 0.0199]
    """
    if method not in METHODS:
        raise unknown_value("method", method, METHODS)
    tails = _tails(level)
    part, whole = _part("successes", successes), _part("total", total)
    _check_within(part, whole)
    if part is None or not whole:
        return UNDEFINED
    if method == "wilson":
        lower, upper = _wilson(part, whole, level)
    else:
        from scipy import stats

        lower, upper = stats.beta.ppf(tails, part + 0.5, whole - part + 0.5)
        lower, upper = (0 if part == 0 else lower), (1 if part == whole else upper)
    return Interval(part / whole, float(lower), float(upper))


def rate(
    count: float | None,
    population: float | None,
    per: float = 100_000,
    years: float = 1.0,
    level: float = 0.95,
) -> Interval:
    """The rate `count / (population · years) · per`, a year, with its exact Poisson interval.

    Limits of the expected count (Garwood): χ²(2x; (1 − level) / 2) / 2, which is 0 for x = 0, and
    χ²(2x + 2; (1 + level) / 2) / 2. `years` is the length of the period: `months / 12` where it is
    shorter than a year, and the months then belong beside the rate (`with_rate` puts them there).
    For a complete count the interval is about the process that produced it (see the module).

    Returns `Interval(estimate, lower, upper)` in cases per `per` persons and year, all None for a
    population of 0 or a figure of None.

    Raises `MeasureError` for a count that is negative or not whole, a negative population, and a
    `per` or `years` not above 0.

    References: Garwood (1936), Biometrika 28, 437–442; Ulm (1990), Am. J. Epidemiol. 131, 373–375.

    >>> [round(value, 2) for value in rates.rate(10, 1_000_000)]
    [1.0, 0.48, 1.84]
    """
    _check_positive("per", per)
    _check_positive("years", years)
    tails = _tails(level)
    cases = _part("count", count)
    _check_not_negative("population", population)
    if cases is None or not population:
        return UNDEFINED
    unit = per / (population * years)
    lower, upper = _garwood(cases, tails)
    return Interval(cases * unit, lower * unit, upper * unit)


def relative_risk(
    exposed_cases: float | None,
    exposed_total: float | None,
    control_cases: float | None,
    control_total: float | None,
    level: float = 0.95,
) -> Interval:
    """The ratio of two shares, (a / n) / (c / m), with its score interval.

    The limits are the ratios θ at which Pearson's χ², with the two shares fitted under
    p₁ = θ p₂, equals the quantile of χ² with one degree of freedom:
    (a/n − θ c/m)² / (p₁ (1 − p₁) / n + θ² p₂ (1 − p₂) / m). Other than the usual interval on the
    log scale it is right where a share is 0 or 1. Both totals are complete counts: the interval is
    about the two processes, not about sampling (see the module).

    Returns `Interval(estimate, lower, upper)`: with no case among the exposed estimate and lower
    are 0; with none among the controls estimate and upper are `math.inf`, which a record takes as
    null; with none in either, a total of 0, or a figure of None, all are None.

    Raises `MeasureError` as `proportion` does.

    References: Koopman (1984), Biometrics 40, 513–517; Miettinen and Nurminen (1985), Stat. Med. 4,
    213–226.

    >>> [round(value, 2) for value in rates.relative_risk(36, 40, 16, 80)]
    [4.5, 2.94, 7.15]
    """
    _tails(level)
    a, n = _part("exposed_cases", exposed_cases), _part("exposed_total", exposed_total)
    c, m = _part("control_cases", control_cases), _part("control_total", control_total)
    _check_within(a, n)
    _check_within(c, m)
    if a is None or c is None or not n or not m or not a + c:
        return UNDEFINED
    chi2 = NormalDist().inv_cdf((1 + level) / 2) ** 2

    def excess(log: float) -> float:
        """How far χ² at the ratio exp(log) lies above its quantile."""
        ratio = math.exp(log)
        square, line = ratio * (n + m), ratio * (n + c) + a + m
        root = math.sqrt(max(line * line - 4 * square * (a + c), 0))
        second = 2 * (a + c) / (line + root)  # the root of the likelihood that is a share
        first = min(ratio * second, 1)
        variance = first * (1 - first) / n + ratio * ratio * second * (1 - second) / m
        gap = a / n - ratio * c / m
        if math.isclose(a / n, ratio * c / m, rel_tol=1e-12):  # the estimate itself
            return -chi2
        return gap * gap / variance - chi2 if variance > 0 else math.inf

    def limit(start: float, step: float) -> float:
        """The ratio at which χ² reaches its quantile, on the way from where it is below it."""
        while excess(start + step) < 0:
            start += step
        below, above = start, start + step
        for _ in range(60):  # halved to the last bit; importing scipy.optimize takes longer
            half = (below + above) / 2
            below, above = (half, above) if excess(half) < 0 else (below, half)
        return math.exp(below)

    estimate = a / n / (c / m) if c else math.inf
    middle = math.log(estimate) if a and c else 0
    return Interval(
        estimate,
        limit(middle if c else 25, -0.5) if a else 0.0,
        limit(middle if a else -25, 0.5) if c else math.inf,
    )


def with_share(
    frame: pl.DataFrame,
    successes: str,
    total: str,
    name: str = "share",
    method: Method = "wilson",
    level: float = 0.95,
) -> pl.DataFrame:
    """The frame with the share of each row and its interval.

    Columns are added: `{name}`, `{name}_lower`, `{name}_upper`. `successes` and `total` name columns; shares are of 1, as `proportion` gives them (formula,
    errors, reference and meaning there), null where the total is 0 or a figure is null.

    >>> import polars as pl
    >>> ended = pl.DataFrame({"article": ["146", "362"], "to_court": [10, 155], "cases": [918, 703]})
    >>> rates.with_share(ended, "to_court", "cases").select(pl.col("^share.*$").round(3)).rows()
    [(0.011, 0.006, 0.02), (0.22, 0.191, 0.253)]
    """
    return _with_intervals(
        frame, [successes, total], name, lambda x, n: proportion(x, n, method, level)
    )


def with_rate(
    frame: pl.DataFrame,
    count: str,
    population: str,
    name: str = "rate",
    per: float = 100_000,
    months: int = 12,
    level: float = 0.95,
) -> pl.DataFrame:
    """The frame with the rate of each row, its interval, and the months it is of.

    Columns are added: `{name}`, `{name}_lower`, `{name}_upper`, `{name}_months`. `count` and `population` name columns; `months` is the length of the period (`months_in`) and
    stands in the result, since a rate a year taken from two months is another figure than one
    taken from twelve. Rates are cases per `per` persons and year, as `rate` gives them (formula,
    errors, reference and meaning there), null where the population is 0 or a figure is null.

    >>> import polars as pl
    >>> two_months = pl.DataFrame({"cases": [4, 0], "people": [300_000, 120_000]})
    >>> found = rates.with_rate(two_months, "cases", "people", months=2)
    >>> found.select(pl.col("rate", "rate_lower", "rate_upper").round(2), "rate_months").row(0)
    (8.0, 2.18, 20.48, 2)
    """
    years = _years(months)
    found = _with_intervals(
        frame, [count, population], name, lambda x, size: rate(x, size, per, years, level)
    )
    return found.with_columns(pl.lit(months, pl.Int64).alias(f"{name}_months"))


def shrunken_rates(
    frame: pl.DataFrame,
    count: str,
    population: str,
    per: float = 100_000,
    months: int = 12,
    level: float = 0.95,
) -> pl.DataFrame:
    """The frame with empirical-Bayes rates: each row's own, drawn towards that of all.

    Model: xᵢ ~ Poisson(θᵢ Nᵢ), θᵢ ~ Gamma with mean μ and shape ν, N in person-years. μ and ν
    maximise the marginal likelihood, xᵢ ~ negative binomial with mean μ Nᵢ and size ν. Then
    θᵢ | xᵢ ~ Gamma(ν + xᵢ, ν/μ + Nᵢ), its mean (ν + xᵢ) / (ν/μ + Nᵢ) lying between the raw rate
    xᵢ / Nᵢ and μ, the nearer to μ the fewer the persons.

    Returns the frame with more columns, rates in cases per `per` persons and year:
    `shrunken_rate` (posterior mean), `shrunken_rate_lower`, `shrunken_rate_upper` (posterior
    quantiles), `prior_mean` (μ), `prior_shape` (ν) and `shrunken_rate_months`.

    Where the counts vary no more than chance alone would make them, ν is infinite: `prior_shape`
    is null, every rate is the pooled one, Σx / ΣN, and the limits are its exact Poisson interval.
    One row alone, and counts that are all 0, are such cases. Rows without a count or persons take
    no part, and are null. Each row counts as a region: leave the country's own row out.

    The limits say how uncertain each underlying rate is, given μ and ν; that μ and ν are estimated
    too they leave out, so with few regions they are too narrow.

    Raises `MeasureError` as `rate` does.

    References: Clayton and Kaldor (1987), Biometrics 43, 671–681.

    >>> import polars as pl
    >>> three = pl.DataFrame({"cases": [4, 0, 30], "people": [300_000, 120_000, 500_000]})
    >>> rates.shrunken_rates(three, "cases", "people")["shrunken_rate"].round(2).to_list()
    [1.45, 0.53, 5.8]
    """
    import numpy as np
    from scipy import stats

    _check_positive("per", per)
    tails = _tails(level)
    _check_columns(frame, [count, population])
    for x, size in zip(frame[count], frame[population], strict=True):
        _part(count, x)
        _check_not_negative(population, size)
    cases = frame[count].cast(pl.Float64).to_numpy()
    exposure = frame[population].cast(pl.Float64).to_numpy() * _years(months)
    known = np.isfinite(cases) & (exposure > 0)
    estimate, lower, upper = (np.full(frame.height, np.nan) for _ in range(3))
    mean, shape = _fit_prior(cases[known], exposure[known])
    if shape is None:
        estimate[known] = mean
        limits = _garwood(cases[known].sum(), tails)
        lower[known], upper[known] = np.divide(limits, exposure[known].sum() or np.nan)
    else:
        weight = shape / mean + exposure
        estimate[known] = ((shape + cases) / weight)[known]
        lower[known], upper[known] = (
            (stats.gamma.ppf(tail, shape + cases) / weight)[known] for tail in tails
        )
    name = "shrunken_rate"
    return frame.with_columns(
        _column(name, estimate * per),
        _column(f"{name}_lower", lower * per),
        _column(f"{name}_upper", upper * per),
        pl.lit(mean * per, pl.Float64).fill_nan(None).alias("prior_mean"),
        pl.lit(shape, pl.Float64).alias("prior_shape"),
        pl.lit(months, pl.Int64).alias(f"{name}_months"),
    )


def funnel_limits(
    populations: Iterable[float | None],
    pooled_rate: float,
    levels: Sequence[float] = (0.95, 0.998),
    per: float = 100_000,
    months: int = 12,
) -> pl.DataFrame:
    """Control limits of a funnel plot of rates: where chance alone would leave a rate.

    For a population N the count is Poisson with mean m = `pooled_rate` / `per` · N · `months` / 12.
    With r the smallest number whose P(X ≤ r) ≥ p, and α = (P(X ≤ r) − p) / P(X = r), the lower
    limit is the count r − α of p = (1 − level) / 2, as a rate and never below 0, the upper one the
    count r + 1 − α of p = (1 + level) / 2. A count lies beyond a limit exactly where chance brings
    one as far out, on that side, with a probability below (1 − level) / 2. That is why the upper
    limit is one count further out than in the reference, whose formula counts both from below:
    there seven of seven can lie beyond it though chance often brings just that.

    The limits belong to the pooled rate, not to a region: a region outside them differs from the
    others by more than chance would make it, if they all had the pooled rate and cases were
    independent.

    Returns one row per level and population, in the order given: `population`, `level`, `lower`,
    `upper` (cases per `per` persons and year); limits null where the population is 0 or null.

    Raises `MeasureError` for numbers that `rate` refuses, and for a negative rate.

    References: Spiegelhalter (2005), Stat. Med. 24, 1185–1202, section 2 and appendix.

    >>> limits = rates.funnel_limits([500_000], pooled_rate=5.0)
    >>> [tuple(round(number, 2) for number in row[1:]) for row in limits.rows()]
    [(0.95, 3.04, 7.16), (1.0, 2.1, 8.47)]
    """
    from scipy import stats

    _check_positive("per", per)
    _check_not_negative("pooled_rate", pooled_rate)
    sizes = pl.Series("population", list(populations), pl.Float64)
    for size in sizes:
        _check_not_negative("population", size)
    unit = per / _years(months)
    return _control_limits(sizes, lambda n: stats.poisson(n * pooled_rate / unit), levels, unit)


def funnel_limits_of_shares(
    totals: Iterable[float | None],
    pooled_share: float,
    levels: Sequence[float] = (0.95, 0.998),
) -> pl.DataFrame:
    """Control limits of a funnel plot of shares: where chance alone would leave a share.

    As `funnel_limits` (formula, meaning and reference there) with a binomial count: `totals` cases,
    each with the chance `pooled_share` (0 to 1).

    Returns one row per level and total, in the order given: `total`, `level`, `lower`, `upper`
    (shares of 1); limits null where the total is 0 or null.

    Raises `MeasureError` for a total that is negative or not whole, and a share not from 0 to 1.

    >>> limits = rates.funnel_limits_of_shares([100], pooled_share=0.9, levels=[0.95])
    >>> [round(number, 3) for number in limits.row(0)]
    [100.0, 0.95, 0.832, 0.96]
    """
    from scipy import stats

    if not 0 <= pooled_share <= 1:
        raise MeasureError(f"the pooled share is {pooled_share}: it must be from 0 to 1")
    sizes = pl.Series("total", [_part("total", total) for total in totals], pl.Float64)
    return _control_limits(sizes, lambda n: stats.binom(n, pooled_share), levels, 1)


def months_in(period: str) -> int:
    """The months that a cumulative period (YYYY-MM) counts, from January to the one it names.

    Raises `MeasureError` for another form of period.

    >>> rates.months_in("2021-02")
    2
    """
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", period):
        raise MeasureError(f"period {period!r} is not of the form YYYY-MM")
    return int(period[-2:])


def mean_population(
    frame: pl.DataFrame,
    period: str,
    series: str | None = None,
    sex: str = "total",
    area: str = "total",
) -> pl.DataFrame:
    """Mean population of a year by region: half the sum of its two 1 January figures.

    `frame` is long: `date`, `region`, `sex`, `area`, `population`, `series`. `series` is needed
    where the two days stand in more than one. The year is that of `period`, the whole one even for a
    shorter period, whose length is in `months`.

    Returns one row per region that has a figure on either day, by code: `region`, `population`
    (persons, Float64), `months`, `series`. The mean is null where one of the two is missing, and
    where the region holds another territory on the one day than on the other (`SERIES_SPLITS`).

    Raises `MeasureError` rather than mix two series, take a mean across a census break
    (`CENSUS_BREAKS`) or count a region twice, and where no figure is there; `UnknownValueError` for
    a series, sex or area that the frame does not have.

    References: the mid-year population as person-years lived: Preston, Heuveline and Guillot
    (2001), Demography, section 1.4.

    >>> rates.mean_population(kz.load_population(), "2020-12").filter(region="KZ-15").row(0)
    ('KZ-15', 887992.0, 12, '2023-07-19')
    """
    months, year = months_in(period), int(period[:4])
    if year in CENSUS_BREAKS:
        raise MeasureError(
            f"no mean population of {year}: {CENSUS_BREAKS[year]} lies between the figures of "
            f"1 January {year} and {year + 1}; use one of the two days and say which"
        )
    chosen = {"sex": sex, "area": area} | ({} if series is None else {"series": series})
    figures = frame.filter(pl.col("date").is_in([date(year, 1, 1), date(year + 1, 1, 1)]))
    for name, value in chosen.items():
        if value not in frame[name]:
            raise unknown_value(name, value, frame[name].unique().drop_nulls().sort().to_list())
        figures = figures.filter(pl.col(name) == value)
    _check_one_series(figures, year)
    both = pl.col("population").count() == 2
    split = pl.col("region").is_in(SERIES_SPLITS.get(year, []))
    return (
        figures.group_by("region", "series")
        .agg(pl.when(both).then(pl.col("population").cast(pl.Float64).mean()))
        .with_columns(pl.when(~split).then("population"), months=pl.lit(months, pl.Int64))
        .select("region", "population", "months", "series")
        .sort("region")
    )


def merge_to_17(frame: pl.DataFrame, values: Sequence[str], by: Sequence[str] = ()) -> pl.DataFrame:
    """The 20 regions summed to the 17 units of before 8 June 2022.

    Which lies in which says `unit_17` in `load_regions()`. `values` name the columns to sum: counts and populations, never shares or rates. `by` names
    the columns that tell rows of one region apart (`["period", "row"]`); other columns are left
    out. The country (`KZ`) stays as it is.

    Returns one row per unit and combination of `by`, sorted: `by`, `region` (the unit), `values`,
    and `regions`, the codes that were summed. A sum is null where a value in it is null, and where
    a part of the unit has no row although the frame holds regions created in 2022.

    Raises `UnknownValueError` for a region or column that is not known, `MeasureError` where a
    region stands twice, and for South Kazakhstan (KZ-61+79), which two of the 17 came from.

    Source: `load_regions()`.

    >>> of_20 = kz.load_form_1m("2022-12", section="R1", article="146", measure="registered")
    >>> rates.merge_to_17(of_20, ["value"]).filter(region="KZ-63").row(0)
    ('KZ-63', 10.0, ['KZ-10', 'KZ-63'])
    """
    by = list(by)
    _check_columns(frame, ["region", *by, *values])
    units = load_regions().select("region", unit="unit_17")
    if SOUTH_KAZAKHSTAN in frame["region"]:
        raise MeasureError(
            f"{SOUTH_KAZAKHSTAN} is one of the 16 units until 18 June 2018: no sum of it is one of 17"
        )
    known = [*units["region"], "KZ"]
    for region in frame["region"].unique().sort():
        if region not in known:
            raise unknown_value("region", region, known)
    twice = frame.filter(frame.select("region", *by).is_duplicated()).sort("region")
    if not twice.is_empty():
        raise MeasureError(
            f"{twice['region'][0]} stands more than once: name in `by` the columns that tell its "
            "rows apart"
        )
    joined = (
        frame.select("region", *by, *values)
        .join(units, on="region", how="left")
        .with_columns(pl.col("unit").fill_null("KZ"))
        .join(units.group_by("unit").len("parts"), on="unit", how="left")
    )
    is_new = pl.col("region") != pl.col("unit")
    of_20 = joined.with_columns(of_20=is_new.any().over(by) if by else is_new.any())
    parts = pl.when("of_20").then(pl.col("parts").fill_null(1)).otherwise(1).max()
    complete = pl.len() >= parts
    return (
        of_20.group_by(*by, pl.col("unit"))
        .agg(
            *(
                pl.when(complete & (pl.col(v).null_count() == 0)).then(pl.col(v).sum())
                for v in values
            ),
            regions=pl.col("region").sort(),
        )
        .rename({"unit": "region"})
        .sort(*by, "region")
    )


def _tails(level: float) -> tuple[float, float]:
    """The two quantiles between which the level lies."""
    if not 0 < level < 1:
        raise MeasureError(f"the level is {level}: it must be between 0 and 1")
    return (1 - level) / 2, (1 + level) / 2


def _part(what: str, value: float | None) -> int | None:
    """The count as a whole number, None where it is not reported."""
    if value is None:
        return None
    if not (math.isfinite(value) and value >= 0 and value == int(value)):
        raise MeasureError(f"{what} is {value}: a count is a whole number, 0 or more")
    return int(value)


def _check_within(part: int | None, whole: int | None) -> None:
    if part is not None and whole is not None and part > whole:
        raise MeasureError(f"{part} of {whole}: a part cannot be larger than its whole")


def _check_positive(what: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise MeasureError(f"{what} is {value}: it must be above 0")


def _check_not_negative(what: str, value: float | None) -> None:
    if value is not None and not 0 <= value < math.inf:
        raise MeasureError(f"{what} is {value}: it must be 0 or more")


def _years(months: int) -> float:
    if months not in range(1, 13):
        raise MeasureError(f"months is {months}: a period has 1 to 12 of them")
    return months / 12


def _check_columns(frame: pl.DataFrame, names: Iterable[str]) -> None:
    for name in names:
        if name not in frame.columns:
            raise unknown_value("column", name, frame.columns)


def _check_one_series(figures: pl.DataFrame, year: int) -> None:
    """Refuse figures of two 1 Januaries that are none, of two series, or twice for a region."""
    days = f"1 January {year} and {year + 1}"
    if figures.is_empty():
        raise MeasureError(f"no population of {days}")
    series = figures["series"].unique().sort().to_list()
    if len(series) > 1:
        raise MeasureError(
            f"the population of {days} stands in {len(series)} series ({', '.join(series)}), which "
            "must not be mixed; name one as series="
        )
    twice = figures.filter(figures.select("region", "date").is_duplicated()).sort("region")
    if not twice.is_empty():
        raise MeasureError(f"the population of {twice['region'][0]} stands twice for one day")


def _wilson(part: int, whole: int, level: float) -> tuple[float, float]:
    """The score interval in closed form; SciPy's `binomtest` has the same, twenty times slower."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, square = part / whole, z * z / whole
    middle = (share + square / 2) / (1 + square)
    half = math.sqrt(share * (1 - share) * square + square * square / 4) / (1 + square)
    return (middle - half if part else 0.0), (middle + half if part < whole else 1.0)


def _garwood(count: float, tails: tuple[float, float]) -> tuple[float, float]:
    """Exact limits of the mean of a Poisson count."""
    from scipy import stats

    lower = stats.chi2.ppf(tails[0], 2 * count) / 2 if count else 0
    return float(lower), float(stats.chi2.ppf(tails[1], 2 * count + 2) / 2)


def _with_intervals(
    frame: pl.DataFrame, columns: list[str], name: str, measure: Callable[..., Interval]
) -> pl.DataFrame:
    _check_columns(frame, columns)
    found = [measure(*row) for row in zip(*(frame[column] for column in columns), strict=True)]
    return frame.with_columns(
        pl.Series(name, [interval.estimate for interval in found], pl.Float64),
        pl.Series(f"{name}_lower", [interval.lower for interval in found], pl.Float64),
        pl.Series(f"{name}_upper", [interval.upper for interval in found], pl.Float64),
    )


def _fit_prior(
    cases: np.ndarray[Any, Any], exposure: np.ndarray[Any, Any]
) -> tuple[float, float | None]:
    """Mean and shape of the gamma prior by marginal maximum likelihood.

    The shape is None where the Poisson distribution, its limit, is as likely; the mean is then the
    pooled rate, not a number without exposure.
    """
    import numpy as np
    from scipy import optimize, stats

    if not cases.size:
        return math.nan, None
    order = np.lexsort((exposure, cases))  # the same sums, to the last bit, whatever the order
    cases, exposure = cases[order], exposure[order]
    pooled = float(cases.sum() / exposure.sum())
    if pooled == 0:
        return pooled, None
    expected = pooled * exposure

    def unlikelihood(logs: np.ndarray[Any, Any]) -> float:
        mean, shape = np.exp(logs)
        return float(-stats.nbinom.logpmf(cases, shape, shape / (shape + mean * expected)).sum())

    # a shape below 0.01 puts the posterior mean of an empty region above its own upper limit; one
    # above a million is not told from none
    bounds = [(-10, 10), (math.log(0.01), math.log(1e6))]
    options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 10_000}
    fit = optimize.minimize(
        unlikelihood, (0, 0), method="Nelder-Mead", bounds=bounds, options=options
    )
    alike = float(-stats.poisson.logpmf(cases, expected).sum())
    if alike <= fit.fun + 1e-6:
        return pooled, None
    mean, shape = np.exp(fit.x)
    return float(mean * pooled), float(shape)


def _control_limits(
    sizes: pl.Series,
    distribution: Callable[[np.ndarray[Any, Any]], Any],
    levels: Sequence[float],
    unit: float,
) -> pl.DataFrame:
    """Limits of a count over its size, for each level: `funnel_limits` has the formula."""
    import numpy as np

    size = sizes.to_numpy().copy()
    size[~(size > 0)] = np.nan
    counts = distribution(size)

    def limit(tail: float) -> np.ndarray[Any, Any]:
        smallest = counts.ppf(tail)
        excess = (counts.cdf(smallest) - tail) / counts.pmf(smallest)
        count = smallest - np.clip(excess, 0, 1) + (tail > 0.5)
        return np.clip(count, *counts.support()) * unit / size

    frames = []
    for level in levels:
        lower, upper = map(limit, _tails(level))
        frames.append(
            sizes.to_frame().with_columns(
                pl.lit(float(level)).alias("level"),
                _column("lower", lower),
                _column("upper", upper),
            )
        )
    return pl.concat(frames)


def _column(name: str, values: np.ndarray[Any, Any]) -> pl.Series:
    return pl.Series(name, values, pl.Float64).fill_nan(None)

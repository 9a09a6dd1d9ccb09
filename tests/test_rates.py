"""Measures: against published worked examples, against SciPy, and by what must hold of any input."""

import math
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special, stats

from kzresearch import rates
from kzresearch.errors import KzresearchError, UnknownValueError
from kzresearch.rates import MeasureError
from kzresearch.regions import load_regions

NONE = (None, None, None)

LEVELS = st.sampled_from([0.8, 0.9, 0.95, 0.99, 0.998])
METHODS = st.sampled_from(rates.METHODS)


@st.composite
def parts(draw, largest=2_000):
    total = draw(st.integers(1, largest))
    return draw(st.integers(0, total)), total


@st.composite
def region_counts(draw):
    """Counts and populations of a few regions, with more or less variation between them."""
    many = draw(st.integers(2, 20))
    populations = draw(st.lists(st.integers(1_000, 3_000_000), min_size=many, max_size=many))
    expected = draw(st.sampled_from([1e-6, 1e-5, 1e-4]))
    factors = draw(st.lists(st.floats(0, 5), min_size=many, max_size=many))
    counts = [round(n * expected * f) for n, f in zip(populations, factors, strict=True)]
    return pl.DataFrame({"n": counts, "population": populations})


def ordered(interval) -> bool:
    return interval.lower <= interval.estimate <= interval.upper


# proportions


@pytest.mark.parametrize(
    ("x", "n", "lower", "upper"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_of_newcombe_1998(x, n, lower, upper):
    """Newcombe (1998), Stat. Med. 17, 857–872, table I, score method."""
    found = rates.proportion(x, n)
    assert [round(v, 4) for v in found] == [round(x / n, 4), lower, upper]


def test_jeffreys_interval_of_brown_cai_dasgupta_2001():
    """Brown, Cai and DasGupta (2001), Stat. Sci. 16, 101–133, table 5, n = 7, x = 2."""
    assert [round(v, 3) for v in rates.proportion(2, 7, "jeffreys")] == [0.286, 0.065, 0.648]


@pytest.mark.parametrize(
    ("x", "lower", "upper"),
    [(10, 0.02599340, 0.08687509), (25, 0.08462743, 0.176126), (50, 0.19387268, 0.31330266)],
)
def test_jeffreys_interval_of_another_package(x, lower, upper):
    """The printed examples of `binom.jeffreys` in the R package RSurveillance 0.2.1, n = 200."""
    found = rates.proportion(x, 200, "jeffreys")
    assert found == pytest.approx((x / 200, lower, upper), rel=1e-5)


@given(parts(), METHODS, LEVELS)
def test_share_lies_within_its_interval(part, method, level):
    found = rates.proportion(*part, method, level)
    assert ordered(found)
    assert found.lower >= 0
    assert found.upper <= 1


@given(parts(), METHODS, LEVELS)
def test_successes_and_failures_mirror_each_other(part, method, level):
    x, n = part
    estimate, lower, upper = rates.proportion(x, n, method, level)
    mirrored = rates.proportion(n - x, n, method, level)
    assert mirrored == pytest.approx((1 - estimate, 1 - upper, 1 - lower), abs=1e-9)


@given(parts(), METHODS)
def test_share_and_limits_rise_with_successes_and_narrow_with_the_level(part, method):
    x, n = part
    found = rates.proportion(x, n, method)
    narrower = rates.proportion(x, n, method, 0.8)
    assert found.lower <= narrower.lower
    assert narrower.upper <= found.upper
    if x < n:
        more = rates.proportion(x + 1, n, method)
        assert all(a < b for a, b in zip(found, more, strict=True)) or found.upper == 1


@given(parts(), LEVELS)
def test_wilson_limits_solve_the_score_equation(part, level):
    x, n = part
    found = rates.proportion(x, n, "wilson", level)
    z = stats.norm.isf((1 - level) / 2)
    for p in found[1:]:
        assert abs(x / n - p) == pytest.approx(z * math.sqrt(p * (1 - p) / n), abs=1e-7)


@given(parts(), LEVELS)
def test_jeffreys_tails_are_equal(part, level):
    x, n = part
    _, lower, upper = rates.proportion(x, n, "jeffreys", level)
    posterior = stats.beta(x + 0.5, n - x + 0.5)
    assert posterior.cdf(lower) == pytest.approx((1 - level) / 2 if x else 0, abs=1e-9)
    assert posterior.sf(upper) == pytest.approx((1 - level) / 2 if x < n else 0, abs=1e-9)


@pytest.mark.parametrize("method", rates.METHODS)
def test_coverage_of_intervals_for_shares_is_near_the_level(method):
    """Brown, Cai and DasGupta (2001): on average over p both come close to 95 %."""
    n = 50
    found = [rates.proportion(x, n, method) for x in range(n + 1)]
    grid = np.linspace(0.005, 0.995, 199)
    covers = np.array([[i.lower <= p <= i.upper for i in found] for p in grid])
    coverage = (covers * stats.binom.pmf(np.arange(n + 1), n, grid[:, None])).sum(axis=1)
    assert coverage.mean() == pytest.approx(0.95, abs=0.01)
    assert coverage == pytest.approx(coverage[::-1], abs=1e-9)


@pytest.mark.parametrize("numbers", [(0, 0), (None, 5), (3, None), (None, None)])
def test_a_part_of_nothing_has_no_share(numbers):
    assert rates.proportion(*numbers) == NONE


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((-1, 5), "successes is -1: a count is a whole number"),
        ((1.5, 5), "successes is 1.5"),
        ((math.nan, 5), "successes is nan"),
        ((1, math.inf), "total is inf"),
        ((919, 918), "919 of 918: a part cannot be larger than its whole"),
        ((1, 0), "1 of 0"),
    ],
)
def test_numbers_of_no_share_are_refused(numbers, said):
    with pytest.raises(MeasureError, match=said) as raised:
        rates.proportion(*numbers)
    assert isinstance(raised.value, ValueError)
    assert isinstance(raised.value, KzresearchError)


@pytest.mark.parametrize("level", [0, 1, 95, -0.1, math.nan])
def test_a_level_is_between_0_and_1(level):
    for measure in (
        lambda: rates.proportion(1, 2, level=level),
        lambda: rates.rate(1, 2, level=level),
        lambda: rates.relative_risk(1, 2, 1, 2, level=level),
        lambda: rates.funnel_limits([1], 1, levels=[level]),
    ):
        with pytest.raises(MeasureError, match="level is"):
            measure()


def test_an_unknown_method_is_refused_with_the_known_ones():
    with pytest.raises(UnknownValueError, match="wilson"):
        rates.proportion(1, 2, "wilsn")


# rates


@pytest.mark.parametrize(
    ("x", "lower", "upper"),
    [(0, 0, 3.689), (1, 0.0253, 5.572), (5, 1.623, 11.668), (10, 4.795, 18.390)],
)
def test_exact_poisson_limits_of_garwood(x, lower, upper):
    """Garwood (1936), Biometrika 28, 437–442; Ulm (1990), Am. J. Epidemiol. 131, 373–375."""
    found = rates.rate(x, 1, per=1)
    assert found == pytest.approx((x, lower, upper), abs=5e-4)


@given(st.integers(0, 100_000), LEVELS)
def test_poisson_limits_leave_equal_tails(x, level):
    found = rates.rate(x, 1, per=1, level=level)
    assert ordered(found)
    tail = (1 - level) / 2
    assert stats.poisson.cdf(x, found.upper) == pytest.approx(tail, rel=1e-6)
    if x:
        assert stats.poisson.sf(x - 1, found.lower) == pytest.approx(tail, rel=1e-6)
    else:
        assert found.lower == 0


@given(st.integers(0, 5_000), st.integers(1, 20_000_000))
def test_rate_and_limits_rise_with_the_count_and_fall_with_the_population(x, size):
    found = rates.rate(x, size)
    more, larger = rates.rate(x + 1, size), rates.rate(x, 2 * size)
    assert all(a < b for a, b in zip(found[::2], more[::2], strict=True))
    assert found.lower < more.lower
    assert larger == pytest.approx([v / 2 for v in found])


def test_a_rate_is_a_year():
    assert rates.rate(10, 1_000_000, years=2 / 12) == pytest.approx(
        [6 * v for v in rates.rate(10, 1_000_000)]
    )
    assert rates.rate(10, 1_000_000, per=1_000_000).estimate == 10


@pytest.mark.parametrize("numbers", [(None, 5), (3, None), (3, 0), (0, 0)])
def test_without_persons_or_count_there_is_no_rate(numbers):
    assert rates.rate(*numbers) == NONE


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"count": -1}, "count is -1"),
        ({"count": 0.5}, "count is 0.5"),
        ({"population": -5}, "population is -5"),
        ({"population": math.nan}, "population is nan"),
        ({"per": 0}, "per is 0"),
        ({"years": 0}, "years is 0"),
    ],
)
def test_numbers_of_no_rate_are_refused(numbers, said):
    with pytest.raises(MeasureError, match=said):
        rates.rate(**{"count": 1, "population": 10, **numbers})


@given(parts(), st.sampled_from([0.9, 0.95, 0.998]))
def test_wilson_interval_is_that_of_scipy(part, level):
    successes, total = part
    found = rates.proportion(successes, total, level=level)
    if total:
        expected = stats.binomtest(successes, total).proportion_ci(level, method="wilson")
        assert found[1:] == pytest.approx((expected.low, expected.high), abs=1e-12)


# relative risk


def test_relative_risk_of_the_published_example():
    # Koopman (1984): 36 of 40 against 16 of 80
    assert rates.relative_risk(36, 40, 16, 80) == pytest.approx((4.5, 2.94, 7.15), abs=5e-3)


@pytest.mark.parametrize(
    ("table", "log_scale"),
    [
        # Moore, McCabe and Craig, Introduction to the Practice of Statistics, 9th ed., example 8.18
        ((45, 411, 73, 411), (0.6164, 0.4364, 0.8707)),
        # the example of scipy.stats.contingency.relative_risk
        ((27, 122, 44, 487), (2.4495, 1.5837, 3.7887)),
    ],
)
def test_relative_risk_is_near_the_log_scale_interval_of_published_examples(table, log_scale):
    assert rates.relative_risk(*table) == pytest.approx(log_scale, rel=0.02)


@given(parts(), parts())
def test_limits_of_a_relative_risk_are_where_the_test_statistic_reaches_its_quantile(one, other):
    (a, n), (c, m) = one, other
    if not (n and m and a + c):
        return
    found = rates.relative_risk(a, n, c, m)
    for ratio in (found.lower, found.upper):
        if 1e-6 < ratio < 1e6:
            # fitted by brute force, not by the closed form
            shares = np.linspace(0, min(1, 1 / ratio), 200_001)[1:]
            likelihood = (
                special.xlogy(a, ratio * shares)
                + special.xlog1py(n - a, -np.minimum(ratio * shares, 1))
                + special.xlogy(c, shares)
                + special.xlog1py(m - c, -shares)
            )
            second = shares[np.nanargmax(likelihood)]
            first = min(ratio * second, 1)
            variance = first * (1 - first) / n + ratio**2 * second * (1 - second) / m
            chi2 = (a / n - ratio * c / m) ** 2 / variance
            assert chi2 == pytest.approx(stats.chi2.ppf(0.95, 1), rel=0.05)


@pytest.mark.parametrize(
    ("table", "estimate"),
    [
        ((0, 10, 3, 10), 0),
        ((3, 10, 0, 10), math.inf),
        ((10, 10, 10, 10), 1),
        ((36, 37, 4, 4), 36 / 37),
    ],
)
def test_relative_risk_at_the_edges_is_as_uncertain_as_its_numbers(table, estimate):
    found = rates.relative_risk(*table)
    assert found.estimate == estimate
    assert found.lower <= found.estimate <= found.upper
    assert (found.lower == 0) == (table[0] == 0)
    assert (found.upper == math.inf) == (table[2] == 0)
    assert found.upper - found.lower > 0.3


@pytest.mark.parametrize(
    "table", [(0, 10, 0, 10), (0, 0, 3, 10), (3, 10, 0, 0), (None, 10, 3, 10), (3, 10, None, 10)]
)
def test_relative_risk_of_nothing_is_not_defined(table):
    assert rates.relative_risk(*table) == NONE


@given(parts(), parts())
def test_relative_risk_turned_round_is_its_inverse(exposed, control):
    found = rates.relative_risk(*exposed, *control)
    if None in found or 0 in found or math.inf in found:
        return
    assert ordered(found)
    estimate, lower, upper = rates.relative_risk(*control, *exposed)
    assert found == pytest.approx((1 / estimate, 1 / upper, 1 / lower))


def test_more_cases_than_persons_have_no_relative_risk():
    with pytest.raises(MeasureError, match="11 of 10"):
        rates.relative_risk(1, 10, 11, 10)


# frames


def test_shares_of_a_frame():
    frame = pl.DataFrame({"to_court": [10, 0, None, 0], "caseload": [918.0, 0.0, 5.0, 7.0]})
    found = rates.with_share(frame, "to_court", "caseload", name="court")
    assert found.columns == [*frame.columns, "court", "court_lower", "court_upper"]
    rows = found.select("court", "court_lower", "court_upper").rows()
    assert rows == [rates.proportion(10, 918), NONE, NONE, rates.proportion(0, 7)]


def test_rates_of_a_frame_state_their_months():
    frame = pl.DataFrame({"n": [88, 0, 3], "population": [19e6, 1e6, None]})
    found = rates.with_rate(frame, "n", "population", months=rates.months_in("2021-02"))
    assert found["rate_months"].to_list() == [2, 2, 2]
    rows = found.select("rate", "rate_lower", "rate_upper").rows()
    expected = [rates.rate(88, 19e6, years=1 / 6), rates.rate(0, 1e6, years=1 / 6), NONE]
    assert rows == expected


@given(region_counts(), st.randoms())
def test_rates_do_not_depend_on_the_order_of_rows(frame, random):
    order = list(range(frame.height))
    random.shuffle(order)
    assert rates.with_rate(frame[order], "n", "population").equals(
        rates.with_rate(frame, "n", "population")[order]
    )


def test_empty_frames_stay_empty():
    empty = pl.DataFrame(schema={"n": pl.Int64, "population": pl.Int64})
    for found in (
        rates.with_rate(empty, "n", "population"),
        rates.with_share(empty, "n", "population"),
        rates.shrunken_rates(empty, "n", "population"),
    ):
        assert found.is_empty()
        assert found.schema[found.columns[2]] == pl.Float64


def test_a_column_that_is_not_there_is_named():
    frame = pl.DataFrame({"count": [1], "population": [2]})
    for measure in (rates.with_rate, rates.with_share, rates.shrunken_rates):
        with pytest.raises(UnknownValueError, match="unknown column 'cuont'; near matches: count"):
            measure(frame, "cuont", "population")


# shrinkage

# Lip cancer in the 56 districts of Scotland 1975–1980, observed and expected (to one decimal):
# Clayton and Kaldor (1987), Biometrics 43, 671–681, table 1
LIP_CANCER = pl.DataFrame(
    {
        "observed": [
            *[9, 39, 11, 9, 15, 8, 26, 7, 6, 20, 13, 5, 3, 8, 17, 9, 2, 7, 9, 7, 16, 31, 11, 7, 19],
            *[15, 7, 10, 16, 11, 5, 3, 7, 8, 11, 9, 11, 8, 6, 4, 10, 8, 2, 6, 19, 3, 2, 3, 28, 6],
            *[1, 1, 1, 1, 0, 0],
        ],
        "expected": [
            *[1.4, 8.7, 3.0, 2.5, 4.3, 2.4, 8.1, 2.3, 2.0, 6.6, 4.4, 1.8, 1.1, 3.3, 7.8, 4.6, 1.1],
            *[4.2, 5.5, 4.4, 10.5, 22.7, 8.8, 5.6, 15.5, 12.5, 6.0, 9.0, 14.4, 10.2, 4.8, 2.9, 7.0],
            *[8.5, 12.3, 10.1, 12.7, 9.4, 7.2, 5.3, 18.8, 15.8, 4.3, 14.6, 50.7, 8.2, 5.6, 9.3],
            *[88.7, 19.6, 3.4, 3.6, 5.7, 7.0, 4.2, 1.8],
        ],
    }
)


def shrunken(frame, **options):
    return rates.shrunken_rates(frame, *frame.columns[:2], **options)


def test_prior_of_scottish_lip_cancer():
    """Shape 1.8795 and mean 1.4221, as a negative binomial regression by statsmodels 0.14 finds."""
    found = shrunken(LIP_CANCER, per=1)
    assert found["prior_shape"][0] == pytest.approx(1.87949, abs=2e-5)
    assert found["prior_mean"][0] == pytest.approx(1.42206, abs=2e-5)
    scale = 1.87949 / 1.42206
    by_hand = (LIP_CANCER["observed"] + 1.87949) / (LIP_CANCER["expected"] + scale)
    assert found["shrunken_rate"].to_list() == pytest.approx(by_hand.to_list(), rel=1e-4)


def test_prior_maximises_the_marginal_likelihood():
    """Against a maximisation of the gamma-mixed Poisson written with gamma functions."""
    from scipy.special import gammaln

    x, e = (LIP_CANCER[c].to_numpy().astype(float) for c in LIP_CANCER.columns)

    def unlikelihood(logs):
        nu, alpha = np.exp(logs)
        terms = gammaln(x + nu) - gammaln(nu) + nu * np.log(alpha) - (x + nu) * np.log(alpha + e)
        return -terms.sum()

    nu, alpha = np.exp(optimize.minimize(unlikelihood, (0.5, 0.5), method="BFGS").x)
    found = shrunken(LIP_CANCER, per=1)
    assert found["prior_shape"][0] == pytest.approx(nu, rel=1e-4)
    assert found["prior_mean"][0] == pytest.approx(nu / alpha, rel=1e-4)


def test_limits_are_quantiles_of_the_posterior():
    found = shrunken(LIP_CANCER, per=1, level=0.9).row(0, named=True)
    rate = found["prior_shape"] / found["prior_mean"] + found["expected"]
    posterior = stats.gamma(found["prior_shape"] + found["observed"], scale=1 / rate)
    assert posterior.cdf(found["shrunken_rate_lower"]) == pytest.approx(0.05)
    assert posterior.cdf(found["shrunken_rate_upper"]) == pytest.approx(0.95)
    assert posterior.mean() == pytest.approx(found["shrunken_rate"])


@settings(max_examples=40, deadline=None)
@given(region_counts())
def test_shrunken_rates_lie_between_the_raw_and_the_common_rate(frame):
    found = rates.with_rate(shrunken(frame), "n", "population")
    for row in found.iter_rows(named=True):
        ends = sorted([row["rate"], row["prior_mean"]])
        if row["prior_shape"] is None:
            assert row["shrunken_rate"] == row["prior_mean"]
        else:
            assert ends[0] - 1e-9 <= row["shrunken_rate"] <= ends[1] + 1e-9
        assert row["shrunken_rate_lower"] <= row["shrunken_rate"] <= row["shrunken_rate_upper"]


@settings(max_examples=20, deadline=None)
@given(region_counts(), st.randoms())
def test_shrinkage_does_not_depend_on_the_order_of_rows(frame, random):
    order = list(range(frame.height))
    random.shuffle(order)
    assert shrunken(frame[order]).equals(shrunken(frame)[order])


def test_small_regions_are_drawn_further():
    frame = pl.DataFrame(
        {"n": [2, 200, 50, 10, 300], "population": [10_000, 1_000_000, 10**6, 10**6, 10**6]}
    )
    small, large = shrunken(frame)["shrunken_rate"][:2]
    assert abs(large - 20) < abs(small - 20)


def test_without_more_variation_than_chance_all_have_the_pooled_rate():
    frame = pl.DataFrame({"n": [10, 20, 31], "population": [100_000, 200_000, 300_000]})
    found = shrunken(frame)
    assert found["prior_shape"].to_list() == [None] * 3
    pooled = rates.rate(61, 600_000)
    for row in found.iter_rows(named=True):
        assert row["prior_mean"] == pytest.approx(pooled.estimate)
        given = [row[f"shrunken_rate{end}"] for end in ("", "_lower", "_upper")]
        assert given == pytest.approx(pooled)


@pytest.mark.parametrize(("counts", "pooled"), [([0, 0], 0), ([3], 3)])
def test_no_case_at_all_and_one_region_alone_have_no_spread(counts, pooled):
    found = shrunken(pl.DataFrame({"n": counts, "population": [100_000] * len(counts)}))
    assert found["shrunken_rate"].to_list() == pytest.approx([pooled] * len(counts))
    assert found["prior_shape"].null_count() == len(counts)


def test_rows_without_figures_take_no_part():
    frame = pl.DataFrame(
        {"n": [5, 40, None, 7, 90], "population": [100_000, 200_000, 10, None, 900_000]}
    )
    found, whole = shrunken(frame), shrunken(frame.drop_nulls())
    assert found["shrunken_rate"].is_null().to_list() == [False, False, True, True, False]
    assert found.drop_nulls().equals(whole)
    nothing = shrunken(frame.with_columns(n=pl.lit(None, pl.Int64)))
    assert nothing["shrunken_rate"].null_count() == nothing["prior_mean"].null_count() == 5


def test_shrinkage_refuses_what_is_no_count_and_states_its_months():
    frame = pl.DataFrame({"n": [5, 40], "population": [100_000, 200_000]})
    with pytest.raises(MeasureError, match="n is 5.5"):
        shrunken(frame.with_columns(pl.col("n") + 0.5))
    two_months = shrunken(frame, months=2)
    assert two_months["shrunken_rate_months"].to_list() == [2, 2]
    assert two_months["prior_mean"][0] == pytest.approx(6 * shrunken(frame)["prior_mean"][0])


# control limits


def by_definition(distribution, p):
    """Spiegelhalter (2005), appendix: r − (P(X ≤ r) − p) / P(X = r), counted up from 0.

    For the upper limit one count more.
    """
    r = 0
    while distribution.cdf(r) < p:
        r += 1
    return max(r - (distribution.cdf(r) - p) / distribution.pmf(r) + (p > 0.5), 0)


def test_funnel_limits_follow_their_definition():
    found = rates.funnel_limits([610_000, 2_000_000, 50], 4.7, levels=[0.95, 0.998])
    assert found.columns == ["population", "level", "lower", "upper"]
    assert found["level"].to_list() == [0.95] * 3 + [0.998] * 3
    for size, level, lower, upper in found.iter_rows():
        count = stats.poisson(size * 4.7 / 100_000)
        assert lower * size / 100_000 == pytest.approx(by_definition(count, (1 - level) / 2))
        assert upper * size / 100_000 == pytest.approx(by_definition(count, (1 + level) / 2))


def test_funnel_limits_of_shares_follow_their_definition():
    found = rates.funnel_limits_of_shares([918, 40, 1], 0.885)
    for total, level, lower, upper in found.iter_rows():
        count = stats.binom(total, 0.885)
        assert lower * total == pytest.approx(by_definition(count, (1 - level) / 2))
        assert upper * total == pytest.approx(min(by_definition(count, (1 + level) / 2), total))


def beyond(found: pl.DataFrame, values: list[float]) -> list[bool]:
    at = found.with_columns(value=pl.Series(values))
    return at.select(~pl.col("value").is_between("lower", "upper")).to_series().to_list()


@pytest.mark.parametrize("level", [0.95, 0.998])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.885])
def test_a_count_lies_beyond_a_limit_just_where_chance_is_that_rare(share, level):
    tail = (1 - level) / 2
    cases = [(x, n) for n in range(1, 60) for x in range(n + 1)]
    found = rates.funnel_limits_of_shares([n for _, n in cases], share, [level])
    assert beyond(found, [x / n for x, n in cases]) == [
        min(stats.binom.cdf(x, n, share), stats.binom.sf(x - 1, n, share)) < tail for x, n in cases
    ]
    counts = [(x, mean) for mean in (0.01, 0.7, 3, 25) for x in range(60)]
    found = rates.funnel_limits([mean * 1e6 for _, mean in counts], 0.1, [level])
    assert beyond(found, [x / mean * 0.1 for x, mean in counts]) == [
        min(stats.poisson.cdf(x, mean), stats.poisson.sf(x - 1, mean)) < tail for x, mean in counts
    ]


@given(parts(200), LEVELS)
def test_limits_of_a_share_and_of_what_is_left_of_it_mirror_each_other(part, level):
    share, other = (
        rates.funnel_limits_of_shares([part[1]], chance, [level]).row(0)[2:]
        for chance in (part[0] / part[1], 1 - part[0] / part[1])
    )
    assert share == pytest.approx([1 - limit for limit in reversed(other)], abs=1e-6)


@given(st.integers(1, 3_000_000), st.floats(0.01, 500))
def test_funnel_limits_hold_the_pooled_rate_and_nest(size, pooled):
    inner, outer = rates.funnel_limits([size], pooled).select("lower", "upper").rows()
    assert outer[0] <= inner[0] <= pooled
    assert pooled <= inner[1] <= outer[1]


@given(parts(500), LEVELS)
def test_funnel_limits_of_shares_are_shares(part, level):
    share = part[0] / part[1]
    found = rates.funnel_limits_of_shares([part[1]], share, [level]).row(0, named=True)
    assert 0 <= found["lower"] <= found["upper"] <= 1


def test_funnels_narrow_with_size_to_the_normal_limits():
    found = rates.funnel_limits([10**7, 10**9, 10**11], 5.0, levels=[0.95])
    widths = found["upper"] - found["lower"]
    assert widths.is_sorted(descending=True)
    normal = 2 * 1.959964 * math.sqrt(5e-5 / 1e11) * 100_000
    assert widths[2] == pytest.approx(normal, rel=1e-3)


def test_funnel_of_a_short_period():
    year, months = (rates.funnel_limits([10**6], 6.0, months=m) for m in (12, 2))
    assert months["upper"][0] > year["upper"][0]
    assert months["upper"][0] == pytest.approx(rates.funnel_limits([10**6], 1.0)["upper"][0] * 6)


@pytest.mark.parametrize("nobody", [0, None])
def test_nobody_has_no_limits(nobody):
    found = rates.funnel_limits([nobody, 10**6], 5, [0.95])
    assert found["upper"].is_null().to_list() == [True, False]
    found = rates.funnel_limits_of_shares([nobody, 10], 0.5, [0.95])
    assert found["lower"].is_null().to_list() == [True, False]


def test_funnels_refuse_impossible_numbers():
    with pytest.raises(MeasureError, match="pooled_rate is -1"):
        rates.funnel_limits([1], -1)
    with pytest.raises(MeasureError, match="population is -1"):
        rates.funnel_limits([-1], 1)
    with pytest.raises(MeasureError, match="total is 1.5"):
        rates.funnel_limits_of_shares([1.5], 0.5)
    with pytest.raises(MeasureError, match="share is 1.2"):
        rates.funnel_limits_of_shares([1], 1.2)


# periods and populations


@pytest.mark.parametrize("period", ["2022", "2022-13", "2022-00", "22-01", "2022-12-01", ""])
def test_periods_have_a_form(period):
    with pytest.raises(MeasureError, match="YYYY-MM"):
        rates.months_in(period)


@pytest.mark.parametrize("months", [0, 13, -1, 2.5])
def test_a_period_has_1_to_12_months(months):
    with pytest.raises(MeasureError, match="1 to 12"):
        rates.with_rate(pl.DataFrame({"n": [1], "p": [1]}), "n", "p", months=months)


def population(*figures, sex="total", area="total") -> pl.DataFrame:
    rows = [(date(year, 1, 1), *rest, sex, area) for year, *rest in figures]
    columns = ["date", "region", "population", "series", "sex", "area"]
    return pl.DataFrame(rows, columns, orient="row")


SERIES = population(
    (2016, "KZ-61", 2_840_871, "a"),
    (2017, "KZ-61", 1_966_336, "a"),
    (2017, "KZ-79", 912_300, "a"),
    (2018, "KZ-61", 1_977_028, "a"),
    (2018, "KZ-79", 952_169, "a"),
    (2021, "KZ-75", 1_977_258, "a"),
    (2022, "KZ-75", 2_101_485, "a"),
    (2022, "KZ-10", 611_888, "a"),
    (2023, "KZ-75", 2_147_233, "a"),
    (2023, "KZ-10", 610_205, "a"),
    (2023, "KZ-10", 610_189, "b"),
)


def test_mean_of_the_two_1_januaries():
    found = rates.mean_population(SERIES, "2022-12", series="a")
    assert found.rows() == [("KZ-10", 611_046.5, 12, "a"), ("KZ-75", 2_124_359.0, 12, "a")]
    short = rates.mean_population(SERIES, "2022-03", series="a")
    assert short["months"].unique().to_list() == [3]
    assert short["population"].equals(found["population"])


def test_two_series_are_never_mixed():
    with pytest.raises(MeasureError, match=r"in 2 series \(a, b\), which must not be mixed"):
        rates.mean_population(SERIES, "2022-12")
    of_two = population((2023, "KZ-75", 1, "a"), (2024, "KZ-75", 1, "b"))
    with pytest.raises(MeasureError, match="mixed"):
        rates.mean_population(of_two, "2023-12")
    assert rates.mean_population(SERIES, "2022-12", series="b")["population"].to_list() == [None]
    assert rates.mean_population(SERIES, "2017-12")["series"].unique().to_list() == ["a"]


@pytest.mark.parametrize("period", ["2021-02", "2021-12"])
def test_no_mean_across_the_census(period):
    with pytest.raises(MeasureError, match="census of 2021 lies between the figures of 1 January"):
        rates.mean_population(SERIES, period)


def test_a_missing_day_leaves_no_mean():
    found = rates.mean_population(SERIES, "2020-12")
    assert found.rows() == [("KZ-75", None, 12, "a")]
    without = SERIES.with_columns(
        pl.when(pl.col("population") != 611_888).then("population"),
    )
    found = rates.mean_population(without, "2022-12", series="a")
    assert found["population"].to_list() == [None, 2_124_359.0]
    with pytest.raises(MeasureError, match="no population of 1 January 1999 and 2000"):
        rates.mean_population(SERIES, "1999-12")


def test_no_mean_of_two_territories():
    found = rates.mean_population(SERIES, "2016-12")
    assert found.select("region", "population").rows() == [("KZ-61", None), ("KZ-79", None)]
    assert rates.mean_population(SERIES, "2017-12")["population"].null_count() == 0


def test_populations_by_sex_and_area_and_unknown_values():
    both = pl.concat(
        [SERIES, SERIES.with_columns(sex=pl.lit("female"), population=pl.lit(7, pl.Int64))]
    )
    women = rates.mean_population(both, "2022-12", "a", sex="female")
    assert women["population"].to_list() == [7, 7]
    for wrong in ({"sex": "women"}, {"area": "urban"}, {"series": "c"}):
        with pytest.raises(UnknownValueError, match="known: "):
            rates.mean_population(both, "2022-12", **wrong)


def test_a_region_is_not_counted_twice():
    with pytest.raises(MeasureError, match="KZ-10 stands twice"):
        rates.mean_population(pl.concat([SERIES, SERIES]), "2022-12", series="a")


# regions


def of_20() -> pl.DataFrame:
    regions = load_regions()["region"]
    return pl.DataFrame({"region": regions, "n": range(1, 21), "population": [1.5] * 20})


def test_south_kazakhstan_is_none_of_the_17_units():
    frame = pl.DataFrame({"region": ["KZ-61+79"], "n": [1]})
    with pytest.raises(MeasureError, match="one of the 16 units"):
        rates.merge_to_17(frame, ["n"])


def test_20_regions_are_summed_to_17_units():
    frame = of_20()
    found = rates.merge_to_17(frame, ["n", "population"])
    assert found.columns == ["region", "n", "population", "regions"]
    assert found.height == 17
    assert found["n"].sum() == frame["n"].sum()
    assert found["population"].sum() == 30
    merged = found.filter(pl.col("regions").list.len() > 1)
    assert merged["regions"].to_list() == [
        ["KZ-19", "KZ-33"],
        ["KZ-35", "KZ-62"],
        ["KZ-10", "KZ-63"],
    ]
    assert rates.merge_to_17(frame.reverse(), ["n", "population"]).equals(found)


def test_17_units_and_the_country_stay_as_they_are():
    frame = of_20().filter(~pl.col("region").is_in(["KZ-10", "KZ-33", "KZ-62"]))
    frame = pl.concat([frame, pl.DataFrame({"region": ["KZ"], "n": [210], "population": [30.0]})])
    found = rates.merge_to_17(frame, ["n", "population"])
    assert found.drop("regions").equals(frame.sort("region"))
    with_country = pl.concat([of_20(), frame.tail(1)])
    found = rates.merge_to_17(with_country, ["n"])
    assert found.filter(region="KZ")["n"].to_list() == [210]
    assert found.height == 18


def test_a_unit_that_lacks_a_part_has_no_sum():
    frame = of_20().filter(pl.col("region") != "KZ-33")
    found = rates.merge_to_17(frame, ["n"])
    assert found.filter(pl.col("n").is_null())["region"].to_list() == ["KZ-19"]
    nulled = of_20().with_columns(pl.when(pl.col("region") != "KZ-62").then("n").alias("n"))
    found = rates.merge_to_17(nulled, ["n", "population"])
    assert found.filter(pl.col("n").is_null())["region"].to_list() == ["KZ-35"]
    assert found["population"].null_count() == 0


def test_rows_of_one_region_are_told_apart_by_columns():
    early = of_20().filter(~pl.col("region").is_in(["KZ-10", "KZ-33", "KZ-62"]))
    frame = pl.concat(
        [
            of_20().with_columns(period=pl.lit("2022-12")),
            early.with_columns(period=pl.lit("2021-02")),
        ]
    )
    found = rates.merge_to_17(frame, ["n"], by=["period"])
    assert found.columns == ["period", "region", "n", "regions"]
    assert found["n"].null_count() == 0
    assert found.group_by("period").len()["len"].to_list() == [17, 17]
    with pytest.raises(MeasureError, match="stands more than once: name in `by`"):
        rates.merge_to_17(frame, ["n"])


def test_a_region_or_column_that_is_not_known_is_refused():
    with pytest.raises(UnknownValueError, match="unknown region 'KZ-99'"):
        rates.merge_to_17(of_20().with_columns(region=pl.lit("KZ-99")), ["n"])
    with pytest.raises(UnknownValueError, match="unknown column 'm'"):
        rates.merge_to_17(of_20(), ["m"])


def test_20_regions_are_one_call_each():
    frame = rates.merge_to_17(
        of_20().with_columns(population=1e6 + pl.col("n")), ["n", "population"]
    )
    found = rates.shrunken_rates(rates.with_rate(frame, "n", "population"), "n", "population")
    assert found.height == 17
    assert found.select(pl.col("rate_lower") <= pl.col("rate_upper")).to_series().all()

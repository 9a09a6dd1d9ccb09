"""Published figures side by side: units, periods, disagreements, and changes that are refused."""

from datetime import date

import polars as pl
import pytest
from IPython.display import Markdown

import kzresearch as kz
from kzresearch import charts, publications
from kzresearch.charts.times import MORE_SHAPES
from kzresearch.errors import KzresearchError, UnknownValueError
from kzresearch.publications import BREAKS, READINGS, change, disagreements, period_in_words
from kzresearch.rates import MeasureError
from kzresearch.schemas import FLAGS, INDICATORS


@pytest.fixture(scope="module")
def registered() -> publications.Trend:
    return publications.trend("registered")


def row(found: publications.Trend, row_id: str) -> dict:
    return found.rows.row(by_predicate=pl.col("id") == row_id, named=True)


GOOD = {
    "id": "P0001",
    "period_start": date(2019, 1, 1),
    "period_end": date(2019, 12, 31),
    "period": "2019",
    "length": "a calendar year",
    "geography": "KZ",
    "region": "KZ",
    "article": "146",
    "indicator": "registered",
    "value": 80.0,
    "unit": "criminal cases",
    "source": "A paper",
    "address": "https://example.org/one",
    "flag": "clear",
    "counted": "cases",
    "topic": "",
    "own": False,
}
LATER = GOOD | {
    "id": "P0002",
    "period_start": date(2020, 1, 1),
    "period_end": date(2020, 12, 31),
    "period": "2020",
    "value": 60.0,
    "address": "https://example.org/two",
}


@pytest.mark.parametrize(
    ("start", "end", "words", "length"),
    [
        ((2022, 1, 1), (2022, 12, 31), "2022", "a calendar year"),
        ((2022, 1, 1), (2023, 12, 31), "2022–2023", "more than one year"),
        ((2021, 1, 1), (2021, 2, 28), "January–February 2021", "part of a year"),
        ((2020, 2, 1), (2020, 2, 29), "February 2020", "part of a year"),
        ((2022, 1, 5), (2022, 1, 22), "5–22 January 2022", "part of a year"),
        ((2022, 1, 5), (2022, 3, 14), "5 January–14 March 2022", "part of a year"),
        ((2023, 2, 10), (2023, 2, 10), "10 February 2023", "part of a year"),
        ((2022, 1, 1), (2023, 3, 31), "January 2022–March 2023", "more than one year"),
        ((2022, 7, 1), (2023, 6, 30), "July 2022–June 2023", "more than one year"),
        (None, (2014, 11, 30), "to 30 November 2014, otherwise not known", "not known"),
        ((2022, 1, 5), None, "from 5 January 2022, otherwise not known", "not known"),
        (None, None, "not known", "not known"),
    ],
)
def test_a_period_is_told_with_its_length(start, end, words, length):
    days = [date(*day) if day else None for day in (start, end)]
    told, kind = period_in_words(*days)
    assert told == words
    assert kind.endswith(length)


@pytest.mark.parametrize(
    ("row_id", "indicator", "counted", "topic", "source"),
    [
        ("P0002", "registered", "cases", "", "Kazinform"),
        ("P0006", "registered", "facts", "", "Kazinform"),
        ("P0038", "registered", "offences", "", "KIBHR"),
        ("P0063", "registered", "cases", "", "US Department of State"),
        ("P0071", "registered", "investigations", "", "US Department of State"),
        ("P0114", "registered", "cases", ", abuse of power", "centralasia.news"),
        ("P0016", "registered", "offences", ", chapter 3", "ACCA"),
        ("P0146", "registered", "offences", ", all articles", "The Astana Times"),
        ("P0062", "complaints", "complaints to the ombudsman", "", "US Department of State"),
        ("P0154", "complaints", "complaints to the ombudsman", "", "KIBHR"),
        ("P0153", "complaints", "complaints to NGOs", "", "KIBHR"),
        ("P0051", "complaints", "complaints counted officially", "", "US Department of State"),
        ("P0041", "complaints", "complaints to a body not named", "", "KIBHR"),
        ("P0028", "complaints", "persons", "", "Мой ГОРОД"),
        ("P0060", "sent_to_court", "cases", "", "US Department of State"),
        ("P0070", "sent_to_court", "persons", "", "US Department of State"),
        ("P0043", "terminated_total", "complaints to a body not named", "", "CABAR.asia"),
        ("P0126", "victims", "persons", "", "RFE/RL"),
        ("P0073", "other", "percent of torture cases dropped (ombudsperson)", "", None),
    ],
)
def test_units_topics_and_sources_are_told_apart(row_id, indicator, counted, topic, source):
    found = row(publications.trend(indicator), row_id)
    assert (found["counted"], found["topic"]) == (counted, topic)
    assert source in {found["source"], None}


@pytest.mark.parametrize("indicator", INDICATORS)
def test_every_row_of_the_indicator_is_there_and_can_be_shown(indicator):
    found = publications.trend(indicator)
    table = kz.load_published().filter(pl.col("indicator") == indicator)
    theirs = found.rows.filter(~pl.col("own"))
    assert theirs["id"].sort().to_list() == table["id"].sort().to_list()
    assert theirs["value"].sum() == table["value"].sum()
    assert found.table().frame.height == found.rows.height
    if indicator != "other":  # every unit has a noun that is known
        known = {*publications.NOUNS, *publications.BODIES.values()}
        assert set(found.rows["counted"]) <= known
    chart = charts.timeline(found.drawn(), found.title, found.source_line, found.marked).to_dict()
    points = found.drawn().filter(pl.col("year").is_not_null())
    assert points["source"].n_unique() <= len(MORE_SHAPES)
    for line in found.drawn().iter_rows(named=True):
        said = f"{line['period']}: {kz_number(line['value'])} {line['unit']}, {line['source']}"
        assert said in chart["description"]


def kz_number(value: float) -> str:
    return f"{value:,.0f}"


def test_figures_of_our_own_stand_among_them_named_net_or_gross(registered):
    own = registered.rows.filter("own")
    named = dict(own.select("unit", "value").iter_rows())
    assert named == {
        "offences, gross caseload": 918,
        "offences, gross registered in the year": 807,
        "offences, registered (net)": 98,
    }
    assert own["source"].unique().to_list() == [publications.OURS]
    assert registered.sources == ["published_figures", "form_1m"]
    assert publications.trend("complaints").sources == ["published_figures"]


def test_readings_explain_pairs_that_are_there_and_differ_as_they_presume(registered):
    found = disagreements(registered.rows)
    pairs = {(line["a"], line["b"]): line for line in found.iter_rows(named=True)}
    assert READINGS.keys() <= pairs.keys()
    for pair, line in pairs.items():
        assert (line["reading"] is not None) == (pair in READINGS)
    for pair in [("P0002", "P0038"), ("P0002", "P0151")]:
        assert (pairs[pair]["value_a"], pairs[pair]["value_b"]) == (766, 63)
        for part in ("766 may be gross and 63 net", "not a fact", "Premise:", "(918)", "(98)"):
            assert part in pairs[pair]["reading"]
    values = {pair[1]: line["value_b"] for pair, line in pairs.items() if pair[0] == "P0004"}
    assert pairs["P0004", "registered_2022"]["value_a"] == 920
    assert values == {
        "P0071": 851,
        "gross_caseload_2022": 918,
        "gross_registered_2022": 807,
        "registered_2022": 98,
    }
    rounded = pairs["P0140", "P0146"]
    assert round(rounded["value_b"], -2) == rounded["value_a"]
    assert rounded["reading"] == "157,500 is 157,473 rounded to hundreds."


def test_every_conflict_that_the_table_flags_is_found():
    """But those where one source contradicts itself, or speaks of another indicator."""
    flagged = kz.load_published().filter(pl.col("flag") == "conflict")
    found = set()
    for indicator in INDICATORS:
        pairs = disagreements(publications.trend(indicator).rows)
        found |= {*pairs["a"], *pairs["b"]}
    assert set(flagged["id"]) - found == {"P0093", "P0094", "P0155"}


@pytest.mark.parametrize(
    ("more", "count"),
    [
        ({}, 1),
        ({"counted": "offences", "unit": "offences"}, 1),
        ({"counted": "persons", "unit": "persons"}, 0),
        ({"topic": ", all articles"}, 0),
        ({"value": 80.0}, 0),
        ({"address": GOOD["address"]}, 0),
        ({"flag": "partial"}, 0),
        ({"region": "KZ-75"}, 0),
        ({"period_start": date(2019, 2, 1)}, 0),
        ({"length": publications.UNKNOWN}, 0),
    ],
)
def test_figures_disagree_only_where_all_else_is_the_same(more, count):
    other = LATER | {name: GOOD[name] for name in ("period_start", "period_end", "period")}
    found = disagreements(pl.DataFrame([GOOD, other | more]))
    assert found.height == count
    if count:
        line = found.row(0, named=True)
        assert (line["a"], line["value_a"], line["b"], line["value_b"]) == (
            "P0001",
            80,
            "P0002",
            60,
        )
        assert line["reading"] is None


def test_change_is_a_share_of_the_earlier_figure(registered):
    assert change(GOOD, LATER) == pytest.approx(-0.25)
    first, last = row(registered, "P0001"), row(registered, "P0005")
    assert change(first, last) == pytest.approx((462 - 850) / 850)


PART = {"period_start": date(2020, 1, 1), "period_end": date(2020, 2, 29)}


def test_change_between_the_same_months_of_two_years_is_allowed():
    earlier = GOOD | {"period_start": date(2019, 1, 1), "period_end": date(2019, 2, 28)}
    assert change(earlier, LATER | PART) == pytest.approx(-0.25)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"unit": "facts"}, "unit 'criminal cases' is not unit 'facts'"),
        ({"source": "Another"}, "source 'A paper' is not source 'Another'"),
        ({"geography": "Shymkent"}, "geography 'KZ' is not geography 'Shymkent'"),
        ({"article": "all"}, "article '146' is not article 'all'"),
        ({"indicator": "completed"}, "indicator 'registered' is not indicator 'completed'"),
        (
            PART | {"period": "January–February 2020"},
            "2019 is not as long as January–February 2020",
        ),
        ({"flag": "partial"}, "of P0002, counts a part of the cases only"),
        ({"flag": "unclear_period"}, "of P0002, the period is not stated"),
        ({"flag": "conflict"}, "of P0002, another source or edition has another figure"),
        (
            {name: GOOD[name] for name in ("period_start", "period_end", "period")},
            "2019 does not come after 2019",
        ),
    ],
)
def test_change_between_unlike_figures_is_refused_in_one_sentence(more, why):
    with pytest.raises(MeasureError, match="must not be compared") as error:
        change(GOOD, LATER | more)
    assert why in str(error.value)
    assert "\n" not in str(error.value)


def test_change_from_nought_is_refused():
    with pytest.raises(MeasureError, match="no rate of change from nought"):
        change(GOOD | {"value": 0.0}, LATER)


@pytest.mark.parametrize("flag", publications.NOT_COMPARED)
def test_flags_that_bar_a_change_are_flags_of_the_table(flag):
    assert flag in FLAGS


def test_net_and_gross_of_our_own_are_not_compared(registered):
    net = row(registered, "registered_2022")
    gross = row(registered, "gross_caseload_2022") | {
        "period_start": date(2023, 1, 1),
        "period_end": date(2023, 12, 31),
    }
    with pytest.raises(MeasureError, match="unit 'offences, registered \\(net\\)' is not unit"):
        change(net, gross)


def test_only_one_source_and_unit_over_whole_years_is_said_to_change(registered):
    said = registered.changes().data
    assert "850 (2019), 766 (2020), 685 (2021), 920 (2022), 462 (2023)" in said
    assert "from 2019 to 2023 that is a fall of 45.6 %" in said
    assert "not said whether cases since terminated are left out" in said
    assert "462 (2023) and 193 (2024) must not be compared: unit 'criminal cases'" in said
    assert "Between them lie **a** (16 March 2022) and **b** (17 March 2023)" in said
    assert "no change is computed" in publications.trend("victims").changes().data


def test_figures_of_other_periods_are_named(registered):
    said = registered.comparability().data
    assert "P0007 (January–February 2021)" in said
    assert "P0078 (1 January 2022–15 February 2023)" in said
    assert "not in the chart: P0042 (not known), P0156" in said
    full = registered.here.filter(pl.col("year").is_not_null())["id"]
    assert not [one for one in full if one in said]


def test_lines_join_whole_years_of_one_source_and_unit_alone(registered):
    drawn = registered.drawn().filter(pl.col("series").is_not_null())
    for _, line in drawn.group_by("series"):
        assert line.select("source", "unit", "panel").unique().height == 1
        years = line["year"].sort().to_list()
        assert len(years) > 2
        assert years == list(range(years[0], years[0] + len(years)))
    assert set(drawn["source"]) == {"Kazinform", "Newsroom.kz"}
    assert "P0006" not in set(drawn["id"])


def layers(part: dict) -> list[dict]:
    return part["layer"]


def quantity(layer: dict, panel: dict) -> str | None:
    """The data that a layer puts on an axis of quantity."""
    on_axis = layer["encoding"].get("y", {}).get("field") == "value"
    return layer.get("data", panel.get("data"))["name"] if on_axis else None


def test_no_other_period_stands_on_an_axis_of_quantity(registered):
    spec = charts.timeline(registered.drawn(), "T", "S", registered.marked).to_dict()
    *panels, lanes = spec["vconcat"]
    shown = []
    for panel in panels:
        (scaled,) = {n for one in layers(panel) if (n := quantity(one, panel))}
        shown += [(line["id"], line["year"]) for line in spec["datasets"][scaled]]
    whole = registered.drawn().filter(pl.col("year").is_not_null())
    assert sorted(shown) == sorted(whole.select("id", "year").iter_rows())
    fields = {one["encoding"]["y"]["field"] for one in layers(lanes) if "y" in one["encoding"]}
    assert fields == {"id"}
    assert [panel["title"]["text"] for panel in panels] == [
        *("cases", "facts", "investigations", "offences", "offences, all articles")
    ]
    assert "a,\u00a0b: dated acts" in " ".join(spec["title"]["subtitle"])


def test_acts_are_marked_only_where_torture_is_counted_and_within_the_years(registered):
    spec = charts.timeline(registered.drawn(), "T", "S", registered.marked).to_dict()
    dashed = [
        any("strokeDash" in one["mark"] for one in layers(panel)) for panel in spec["vconcat"]
    ]
    assert dashed == [True, True, True, True, False, True]
    early = registered.drawn().filter(pl.col("year") == 2013)
    spec = charts.timeline(early, "T", "S", registered.marked).to_dict()
    assert "dated acts" not in " ".join(spec["title"]["subtitle"])


def test_unclear_figures_are_hollow(registered):
    spec = charts.timeline(registered.drawn(), "T", "S").to_dict()
    lines = [line for data in spec["datasets"].values() for line in data if "clear" in line]
    assert {line["clear"] for line in lines} == {True, False}
    for line in lines:
        assert (line["fill"] == "white") == (not line["clear"])


def test_where_no_period_is_known_a_sentence_says_so():
    found = publications.trend("complaints", "KZ-61")
    shown = charts.timeline(found.drawn(), "Title", "Source")
    assert isinstance(shown, Markdown)
    assert shown.data == "*Title: nothing to draw, no period is known.*"
    assert list(found.figures()) == ["complaints_not_known_p0029"]


def test_acts_are_dated_and_say_where_they_were_read(registered):
    said = registered.breaks().data
    assert [day for day, *_ in BREAKS] == registered.marked == sorted(registered.marked)
    assert said.count("read at ") == said.count("is not verified") == len(BREAKS)


def test_figures_are_recorded_by_period_and_id_with_their_own_unit(registered):
    found = registered.figures()
    theirs = found["registered_2022_p0004"]
    assert (theirs.value, theirs.unit, theirs.sources) == (
        920,
        "criminal cases",
        ("published_figures",),
    )
    assert theirs.note.startswith("2022; Kazinform (inform.kz), citing an official resource; ")
    assert "Article not named" in theirs.note
    assert found["registered_january_february_2021_p0007"].value == 88
    assert found["registered_2022"].value == 98
    assert len(found["gross_caseload_2022"].cells) == 40
    assert found["gross_caseload_2022"].formula
    assert len(found) == registered.here.height


def test_nobody_is_named():
    for indicator in INDICATORS:
        found = publications.trend(indicator)
        text = "".join(found.rows["publisher"]) + repr(found.figures())
        for name in ("Asanov", "Asylov", "Kilymzhanov", "Shalabaev", "Tleuberdiev"):
            assert name not in text


def test_unclear_figures_can_be_left_out(registered):
    found = publications.trend("registered", unclear=False)
    left = found.rows.filter(~pl.col("own"))
    assert not left["flag"].str.starts_with("unclear").any()
    assert not left["article"].str.ends_with("not named").any()
    assert {"P0007", "P0038"} <= set(left["id"])
    assert "P0002" not in set(left["id"])
    assert left.height + found.left_out == registered.rows.filter(~pl.col("own")).height
    assert f"{found.left_out} figures whose period, article or meaning" in found.summary().data


def test_places_within_the_country_are_in_the_table_but_not_drawn():
    found = publications.trend("complaints")
    assert found.rows.height == 50
    assert set(found.here["region"]) == {"KZ"}
    assert "P0065" in set(found.table().frame["id"])
    assert "P0065" not in set(found.drawn()["id"])
    west = publications.trend("complaints", "KZ-27")
    assert set(west.rows["id"]) == {"P0027", "P0028", "P0065"}


def test_a_region_has_its_own_figures_of_ours_and_a_warning_where_it_is_new():
    found = publications.trend("registered", "KZ-75")
    assert set(found.rows["value"]) == {24, 181, 189}
    assert found.summary().data.startswith("No published figure on *registered* in Almaty;")
    assert "**Mind:** Split off" in publications.trend("registered", "KZ-62").summary().data


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("registred",), UnknownValueError, "the table has: complaints, registered, in_proceed"),
        (("registered", "Almaty"), UnknownValueError, "KZ-75 \\(Almaty\\)"),
        (("complaints", "KZ-10"), KzresearchError, "no figure on complaints in Abai Region$"),
    ],
)
def test_what_is_not_there_is_one_sentence(arguments, error, message):
    with pytest.raises(error, match=message):
        publications.trend(*arguments)


def test_nothing_left_is_one_sentence():
    with pytest.raises(KzresearchError, match="in Kazakhstan: all 50 of them are unclear"):
        publications.trend("complaints", unclear=False)

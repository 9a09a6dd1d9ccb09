"""Published figures side by side: units, periods, disagreements, and changes that are refused."""

from datetime import date

import polars as pl
import pytest
from bs4 import BeautifulSoup
from IPython.display import Markdown

import kzresearch as kz
from kzresearch import charts, publications
from kzresearch.charts.times import MORE_SHAPES
from kzresearch.errors import KzresearchError, UnknownValueError
from kzresearch.language import say, speaking
from kzresearch.publications import BREAKS, READINGS, change, disagreements, period_in_words
from kzresearch.rates import MeasureError
from kzresearch.schemas import FLAGS, INDICATORS
from kzresearch.store import store
from kzresearch.tables import Table
from tests.language import NO_WORDS, RUN
from tests.stored import taken, torture


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
    "bound": None,
    "shown": "80",
    "year": 2019,
    "steady": True,
    "contradicted": [],
}
LATER = GOOD | {
    "id": "P0002",
    "period_start": date(2020, 1, 1),
    "period_end": date(2020, 12, 31),
    "period": "2020",
    "value": 60.0,
    "shown": "60",
    "year": 2020,
    "address": "https://example.org/two",
}


@pytest.mark.parametrize(
    ("start", "end", "words", "length"),
    [
        ((2022, 1, 1), (2022, 12, 31), "2022", "a calendar year"),
        ((2022, 1, 1), (2023, 12, 31), "1 January 2022–31 December 2023", "more than one year"),
        ((2021, 1, 1), (2021, 2, 28), "January–February 2021", "part of a year"),
        ((2020, 1, 1), (2020, 2, 29), "January–February 2020", "part of a year"),
        ((2020, 1, 1), (2020, 1, 31), "January 2020", "part of a year"),
        ((2022, 1, 5), (2022, 1, 22), "5 January–22 January 2022", "part of a year"),
        ((2022, 1, 5), (2022, 3, 14), "5 January–14 March 2022", "part of a year"),
        ((2023, 2, 10), (2023, 2, 10), "10 February 2023", "part of a year"),
        ((2022, 7, 1), (2023, 6, 30), "1 July 2022–30 June 2023", "more than one year"),
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
        ("P0043", "terminated_total", "statements", "", "CABAR.asia"),
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
    chart = charts.timeline(found.drawn(), found.title, found.source_line, found.marked).to_dict()
    points = found.drawn().filter(pl.col("year").is_not_null())
    assert points["source"].n_unique() <= len(MORE_SHAPES)
    for line in found.drawn().iter_rows(named=True):
        assert f"{line['period']}: {line['told']}, {line['source']}" in chart["description"]
        assert f"{line['value']:,.0f} {line['unit'][:4]}" in line["told"]


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
    pairs = {
        (one["id"], other["id"]): pair for pair in registered.pairs for one, other in [pair[:2]]
    }
    assert READINGS.keys() <= pairs.keys()
    for ids, pair in pairs.items():
        assert (pair.reading is not None) == (ids in READINGS or pair.rounded)
    for ids in [("P0002", "P0038"), ("P0002", "P0151")]:
        assert (pairs[ids].one["value"], pairs[ids].other["value"]) == (766, 63)
        for part in ("766 may be gross and 63 net", "not a fact", "Premise:", "(918)", "(98)"):
            assert part in pairs[ids].reading
    values = {ids[1]: pair.other["value"] for ids, pair in pairs.items() if ids[0] == "P0004"}
    assert pairs["P0004", "registered_2022"].one["value"] == 920
    assert values == {
        "P0071": 851,
        "gross_caseload_2022": 918,
        "gross_registered_2022": 807,
        "registered_2022": 98,
    }
    assert [ids for ids, pair in pairs.items() if pair.rounded] == [("P0140", "P0146")]
    rounded = pairs["P0140", "P0146"]
    assert round(rounded.other["value"], -2) == rounded.one["value"]
    assert rounded.reading == "≈ 157,500 (P0140) is 157,473 (P0146) rounded."


def test_disagreements_stand_once_for_each_figure_and_reading(registered):
    shown = registered.disagreement_table().frame
    both = shown.filter(period="2020")
    assert both["other"].item().split("\n") == [
        "63 criminal offences, KIBHR (P0038)",
        "63 criminal cases (KPSiSU), KIBHR (P0151)",
    ]
    (other,) = shown.filter(pl.col("one").str.starts_with("851"))["other"]
    assert [line.partition(" ")[0] for line in other.split("\n")] == ["918", "807", "98"]
    assert shown.select("period", "one", "reading").is_unique().all()


def test_every_conflict_that_the_table_flags_is_found():
    """But those where one source contradicts itself, or speaks of another indicator."""
    flagged = kz.load_published().filter(pl.col("flag") == "conflict")
    found = set()
    for indicator in INDICATORS:
        for pair in publications.trend(indicator).pairs:
            found |= {pair.one["id"], pair.other["id"]}
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
    found = disagreements([other | more, GOOD])
    assert len(found) == count
    for pair in found:
        assert (pair.one["id"], pair.other["id"], pair.reading) == ("P0001", "P0002", None)


def test_change_is_a_share_of_the_earlier_figure(registered):
    assert change(GOOD, LATER) == pytest.approx(-0.25)
    first, last = row(registered, "P0001"), row(registered, "P0005")
    assert change(first, last) == pytest.approx((462 - 850) / 850)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"unit": "facts"}, "unit 'criminal cases' is not unit 'facts'"),
        ({"source": "Another"}, "source 'A paper' is not source 'Another'"),
        ({"region": "KZ-79"}, "region 'KZ' is not region 'KZ-79'"),
        ({"article": "all"}, "article '146' is not article 'all'"),
        ({"indicator": "completed"}, "indicator 'registered' is not indicator 'completed'"),
        ({"year": None, "period": "July 2020"}, "July 2020 is not a calendar year"),
        ({"flag": "partial"}, "of P0002, counts a part of the cases only"),
        ({"flag": "unclear_period"}, "of P0002, the period is not stated"),
        ({"bound": ">", "shown": "> 60"}, "> 60 is a bound"),
        ({"contradicted": ["9, B"]}, "60 (2020) is contradicted by 9, B"),
        ({"year": 2019, "period": "2019"}, "2019 does not come after 2019"),
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
    gross = row(registered, "gross_caseload_2022") | {"year": 2023}
    with pytest.raises(MeasureError, match="unit 'offences, registered \\(net\\)' is not unit"):
        change(net, gross)


def test_only_one_source_and_unit_over_whole_years_is_said_to_change(registered):
    said = registered.changes().data
    assert "850 (2019), 766 (2020), 685 (2021), 920 (2022), 462 (2023)" in said
    assert "from 2019 to 2023 that is a fall of 45.6 %" in said
    assert "766 (2020) is contradicted by 63 criminal offences, KIBHR (P0038)" in said
    assert "from 2017 to 2022 that is a fall of 50.2 %. ≈ 157,500 (P0140) is 157,473" in said
    assert "not said whether cases since terminated are left out" in said
    assert "Not continued to 193 (2024): unit 'criminal cases' is not unit 'facts'" in said
    assert "Between them lie **a** (16 March 2022) and **b** (17 March 2023)" in said
    assert "no change is computed" in publications.trend("victims").changes().data


def test_no_change_ends_at_a_figure_that_another_contradicts():
    said = publications.trend("complaints").changes().data
    assert "106 (2016), 135 (2017), 148 (2018), 84 (2019). No change is computed:" in said
    assert "106 (2016) is contradicted by 96 complaints" in said
    assert "(P0044); 84 (2019) is contradicted by 249 complaints" in said
    assert "%" not in said


@pytest.mark.parametrize("unclear", [True, False])
@pytest.mark.parametrize("indicator", INDICATORS)
def test_changes_are_computed_from_ids_that_no_pair_has(monkeypatch, indicator, unclear):
    ends = set()

    def spied(earlier: dict, later: dict) -> float:
        ends.update([earlier["id"], later["id"]])
        return change(earlier, later)

    monkeypatch.setattr(publications, "change", spied)
    try:
        found = publications.trend(indicator, unclear=unclear)
    except KzresearchError:
        assert not unclear
        return
    found.changes()
    real = [pair for pair in found.pairs if not pair.rounded]
    assert not ends & {row["id"] for pair in real for row in pair[:2]}
    assert bool(ends) == (indicator == "registered")


def made(*rows: dict) -> publications.Trend:
    """A trend of rows made here."""
    schema = publications.trend("registered").rows.schema
    frame = pl.DataFrame(rows, schema=schema)
    return publications.Trend("registered", "KZ", frame, 0, [])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"value": 0.0, "shown": "0"}, "No change is computed: there is no rate of change"),
        ({"geography": "Kazakhstan"}, "that is a rise of 25.0 %"),
        ({"value": 100.0, "shown": "100"}, "that is a change of 0.0 %"),
        ({"bound": ">", "shown": "> 80"}, "No change is computed: > 80 is a bound"),
        ({"year": 2020}, "No source has three calendar years"),
    ],
)
def test_no_series_ends_the_notebook(more, said):
    last = GOOD | {"id": "P0003", "value": 100.0, "shown": "100", "year": 2021}
    last["period_end"] = date(2021, 12, 31)
    assert said in made(GOOD | more, LATER, last).changes().data


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
    early = publications.trend("complaints", "KZ-27")
    assert early.marked == {}
    assert early.breaks().data == "*None lies within the years drawn.*"
    spec = charts.timeline(early.drawn(), "T", "S", early.marked).to_dict()
    assert "dated acts" not in " ".join(spec["title"]["subtitle"])


def test_points_of_a_year_keep_to_its_column_and_stand_upon_the_halos():
    found = publications.trend("complaints")
    spec = charts.timeline(found.drawn(), "T", "S").to_dict()
    lines = [line for data in spec["datasets"].values() for line in data if "at" in line]
    assert {abs(line["at"] - line["middle"]) for line in lines} - {0} != set()
    assert all(line["at"] // 1 == line["year"] for line in lines)
    for line in spec["datasets"].values():
        years = {}
        for one in (point for point in line if "at" in point):
            years.setdefault(one["year"], []).append(one["at"] - one["middle"])
        assert all(abs(sum(aside)) < 1e-9 for aside in years.values())  # none looks later
    for panel in spec["vconcat"][:-1]:
        kinds = [
            one["mark"]["type"] + "stroke" * ("stroke" in one["mark"]) for one in layers(panel)
        ]
        halos = [place for place, kind in enumerate(kinds) if kind == "textstroke"]
        assert max(halos) < kinds.index("point")


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
    days = {letter: day for letter, (day, _) in BREAKS.items()}
    assert registered.marked == days
    assert [*days.values()] == sorted(days.values())
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


@pytest.mark.parametrize("language", ["ru", "kk"])
@pytest.mark.parametrize("indicator", INDICATORS)
def test_every_indicator_is_told_in_the_readers_language(indicator, language):
    english = publications.trend(indicator)
    with speaking(language):
        found = publications.trend(indicator)
        shown = [found.table(), found.disagreement_table()]
        shown = [one.frame for one in shown if isinstance(one, Table)]
        drawn = found.drawn()
        texts = [
            *(
                text
                for frame in shown
                for row in frame.drop("address", strict=False).rows()
                for text in row
            ),
            *(one.data for one in (found.summary(), found.comparability(), found.changes())),
            *(text for name in ("label", "told", "panel", "source") for text in drawn[name]),
            *(one.note for one in found.figures().values() if one.note),
        ]
        names = list(found.figures())
    publishers = (
        "The Astana Times",
        "Human Rights",
        "Amnesty",
        "Trend (",
        "thewall.fyi",
        "Eurasianet (",
    )
    lines = [" ".join(text.split()) for text in texts]
    left = [run for line in lines for run in RUN.findall(NO_WORDS.sub("|", line))]
    assert [run for run in left if not run.startswith((*publishers, "ACCA (acca"))] == []
    assert names == list(english.figures())
    kept = ["id", "year", "value", "clear", "series", "on_torture"]
    assert drawn.select(kept).equals(english.drawn().select(kept))
    for line in drawn.iter_rows(named=True):
        shown = line["shown"]
        assert " ".join(shown.split()) in " ".join(line["label"].split())
    units = dict(found.rows.select("id", "unit").iter_rows())
    with speaking(language):
        for line in drawn.filter(pl.col("year").is_null(), ~pl.col("own")).iter_rows(named=True):
            assert say(units[line["id"]]) in line["label"].replace("\n", " ")  # none is cut


@pytest.mark.parametrize("language", ["ru", "kk"])  # in English the table's own words stand
def test_a_body_has_one_name_in_a_language(language):
    found = kz.load_published().filter(source="KIBHR")["publisher"].unique()
    with speaking(language):
        assert {say(one).partition(" / bureau.kz")[0] for one in found} == {say("KIBHR")}


def test_bounds_are_shown_as_bounds(registered):
    assert row(registered, "P0031")["shown"] == "> 500"
    drawn = registered.drawn()
    assert drawn.filter(id="P0031")["label"].item() == "> 500"
    assert "> 500" in registered.table().frame["figure"].to_list()
    recorded = registered.figures()["registered_2018_p0031"]
    assert (recorded.value, recorded.text) == (500, "> 500")
    complaints = publications.trend("complaints")
    shown = {name: row(complaints, name)["shown"] for name in ("P0066", "P0022", "P0023", "P0041")}
    assert [*shown.values()] == ["> 200", "≤ 600", "≥ 350", "≈ 700"]


def test_unclear_figures_can_be_left_out(registered):
    found = publications.trend("registered", unclear=False)
    left = found.rows.filter(~pl.col("own"))
    assert not left["flag"].str.starts_with("unclear").any()
    assert not left["article"].str.ends_with("not named").any()
    assert {"P0015", "P0140", "P0146"} <= set(left["id"])
    assert not {"P0002", "P0007", "P0038"} & set(left["id"])
    assert left.height + found.left_out == registered.rows.filter(~pl.col("own")).height
    assert f"{found.left_out} left out by choice" in found.summary().data
    assert "(9 pairs left out with the unclear figures)" in found.disagreement_table().title
    court = publications.trend("sent_to_court", unclear=False)
    assert court.disagreement_table().data == (
        "*No two of the figures shown differ for the same period; 1 pair left out with the unclear "
        "figures.*"
    )


def test_figures_not_on_torture_are_counted_apart(registered):
    theirs = registered.rows.filter(~pl.col("own"))
    assert theirs["topic"].value_counts().filter(topic="")["count"].item() == 28
    assert "; 28 on torture, 13 for comparison (abuse of power, all articles, chapter 3);" in (
        registered.summary().data
    )
    assert registered.title == (
        "Figures on torture cases, with others for comparison: registered, Kazakhstan"
    )
    victims = publications.trend("victims")
    assert "comparison" not in victims.title + victims.summary().data


def test_tables_of_long_texts_keep_their_width_and_break_addresses_alone(registered):
    for table in (registered.table(), registered.disagreement_table()):
        assert "width: 780px" in BeautifulSoup(table.html, "html.parser").table["style"]
    every = registered.table()
    cells = BeautifulSoup(every.html, "html.parser").select("tbody td")
    broken = {cell.text for cell in cells if "overflow-wrap: anywhere" in cell["style"]}
    assert broken == {*every.frame["address"], *every.frame["published"]}


def test_places_within_the_country_are_in_the_table_but_not_drawn():
    found = publications.trend("complaints")
    assert found.rows.height == 50
    assert set(found.here["region"]) == {"KZ"}
    assert "P0065" in set(found.table().frame["id"])
    assert "P0065" not in set(found.drawn()["id"])
    west = publications.trend("complaints", "KZ-27")
    assert set(west.rows["id"]) == {"P0027", "P0028", "P0065"}


def test_a_region_has_its_own_figures_of_ours():
    found = publications.trend("registered", "KZ-75")
    assert set(found.rows["value"]) == {24, 181, 189}
    said = found.summary().data
    assert said.startswith("No published figure on *registered* in Almaty; 3 figures of our own, ")
    assert "gross caseload 189 (2022)" in said
    assert set(found.rows["flag"]) == {"clear"}
    assert found.rows["ambiguity"].null_count() == 3
    assert "without military, transport and central bodies" in found.source_line


@pytest.mark.parametrize("region", ["KZ-10", "KZ-33", "KZ-62"])
def test_a_new_region_is_a_part_of_its_first_year(region):
    found = publications.trend("registered", region)
    own = found.rows.filter("own")
    assert set(own["period_start"]) == {date(2022, 6, 8)}
    assert set(own["period"]) == {"8 June–31 December 2022"}
    assert set(own["length"]) == {publications.PART}
    assert own["year"].null_count() == own.height == 3
    assert "**Mind:** Split off" in found.summary().data
    assert [*found.marked] == ["a"]  # the year of b is not drawn
    assert "**b**" not in found.breaks().data
    assert found.table().frame["published"].null_count() == 0


@pytest.mark.parametrize("region", ["KZ-19", "KZ-35", "KZ-63"])
def test_a_region_that_lost_a_part_is_marked(region):
    own = publications.trend("registered", region).rows.filter("own")
    assert set(own["period"]) == {"2022"}
    assert own["ambiguity"].str.starts_with("Smaller from 2022-06-08").all()
    assert not publications.trend("registered", region).drawn()["clear"].any()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("registred",), UnknownValueError, "the table has: complaints, registered, in_proceed"),
        (("registered", "Almaty"), UnknownValueError, "KZ-75 \\(Almaty\\)"),
    ],
)
def test_what_is_not_there_is_one_sentence(arguments, error, message):
    with pytest.raises(error, match=message):
        publications.trend(*arguments)


def test_nothing_left_is_one_sentence():
    with pytest.raises(KzresearchError, match="in Kazakhstan: all 50 of them are unclear"):
        publications.trend("complaints", unclear=False)


def test_where_there_is_no_figure_that_is_said_and_the_notebook_goes_on():
    nothing = publications.trend("registered", "KZ-61+79")
    said = nothing.summary().data
    assert said.startswith("No published figure on *registered* in South Kazakhstan Region")
    shown = (nothing.comparability(), nothing.changes(), nothing.breaks(), nothing.table())
    assert all(one.data.startswith("*") for one in (*shown, nothing.disagreement_table()))
    drawn = kz.charts.timeline(nothing.drawn(), nothing.title, nothing.source_line, nothing.marked)
    assert "nothing to draw" in drawn.data
    assert nothing.figures() == {}


def test_a_former_region_has_its_own_figures_where_its_reports_are_held(tmp_path, monkeypatch):
    monkeypatch.setenv("KZRESEARCH_STORE", str(tmp_path))
    store().put("2017-12", [taken("2017-12", "KZ-61+79", torture(4, 1))])
    found = publications.trend("registered", "KZ-61+79")
    assert found.rows.filter(id="registered_2017")["value"].to_list() == [4]
    assert found.rows["own"].all()

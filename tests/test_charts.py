"""The charts' data and words: what is drawn, how many marks, which sentence where nothing is."""

import re
from datetime import date
from html import unescape

import altair as alt
import polars as pl
import pytest
import vl_convert
from altair.utils.schemapi import SchemaValidationError
from IPython.display import Markdown

import kzresearch as kz
from kzresearch import attrition
from kzresearch.boundaries import Boundaries
from kzresearch.charts.dispositions import LINE
from kzresearch.charts.theme import Layers, layer, quantity
from kzresearch.geography import regional_report
from kzresearch.language import LANGUAGES, in_order, say, speaking
from kzresearch.peers import INDICES, among_peers
from kzresearch.publications import trend


def rows(chart) -> list[dict]:
    """Every row of data that a chart holds."""
    return [row for data in chart.to_dict()["datasets"].values() for row in data]


def marks(chart) -> list[dict]:
    return [row for row in rows(chart) if "came" in row]


def drawn(chart) -> str:
    return vl_convert.vegalite_to_svg(chart.to_json(), vl_version="6.1")


def said(chart) -> list[str]:
    """The texts of a chart as it is drawn."""
    return [unescape(one) for one in re.findall(r">([^<]+)</t(?:ext|span)>", drawn(chart))]


def split(counts: list[float], of_year: list[float] | None = None) -> pl.DataFrame:
    total = sum(counts) or 1
    frame = pl.DataFrame(
        {
            "label": [f"way {n}" for n in range(len(counts))],
            "count": counts,
            "share": [count / total for count in counts],
            "of_year": of_year or [None] * len(counts),
        },
        schema_overrides={"count": pl.Float64, "of_year": pl.Float64},
    )
    return frame.with_columns(carried_over=pl.col("count") - pl.col("of_year"))


@pytest.fixture(scope="module")
def torture():
    flow, cohort = kz.case_flow("2022-12"), kz.case_flow("2022-12", cohort=True)
    return kz.charts.cases(attrition.origins(flow, cohort), "Torture", "Source: Form 1-M")


def test_every_one_of_918_cases_is_a_mark_of_its_own(torture):
    found = marks(torture)
    assert len(found) == 918
    assert len({(mark["x"], mark["y"]) for mark in found}) == 918
    assert sum(mark["came"].startswith("carried over: 103") for mark in found) == 103
    went = [mark["went"] for mark in found]
    assert went.count("812 · 88.5 % terminated on rehabilitating grounds") == 812
    assert went.count("10 · 1.1 % sent to court") == 10


def test_case_chart_says_all_of_it_in_words(torture):
    said = torture.to_dict()["description"]
    assert said.startswith("Flow of 918 cases, 807 registered in the year and 111 carried over.")
    assert "One mark is one case." in said
    assert "sent to court: 10 (1.1 %)" in said
    texts = " ".join(row["text"] for row in rows(torture) if "text" in row)
    assert "○ 111\ncarried over" in texts
    assert "No case: terminated on other grounds;" in texts


def test_case_chart_is_drawn_within_its_frame(torture):
    assert drawn(torture).count("<path") > 918
    height = torture.to_dict()["height"]
    for row in rows(torture):
        assert 0 <= row["x"] <= 720, row
        assert 0 <= row["y"] <= height, row
        assert 0 <= row.get("end", 0) <= height + 0.01, row


@pytest.mark.parametrize(
    ("total", "per"), [(1, 1), (2000, 1), (2001, 2), (4001, 5), (20_000, 10), (247_786, 200)]
)
def test_above_2000_cases_a_mark_stands_for_a_stated_number(total, per):
    chart = kz.charts.cases(split([total]), "Cases", "Source")
    assert len(marks(chart)) == -(-total // per) <= 2000
    said = chart.to_dict()["description"]
    words = "One mark is one case." if per == 1 else f"One mark stands for {per} cases, or for"
    assert words in said


def test_a_group_smaller_than_a_mark_is_still_seen():
    chart = kz.charts.cases(split([9990, 1]), "Cases", "Source")
    assert len([mark for mark in marks(chart) if "way 1" in mark["went"]]) == 1
    assert "< 0.1 %" in chart.to_dict()["description"]


def test_unknown_origin_is_one_source():
    chart = kz.charts.cases(split([5, 0, 2]), "Cases", "Source")
    assert {mark["came"].split(":")[0] for mark in marks(chart)} == {"registered in the year"}
    texts = [row["text"] for row in rows(chart) if "text" in row]
    assert "● 7\nin all" in texts
    assert any("not told apart by the source" in text for text in texts)
    assert "carried over" not in chart.to_dict()["description"]
    assert "came" not in str(chart.to_dict()["layer"])


def test_case_chart_without_cases_or_figures_is_a_sentence():
    none = kz.charts.cases(split([0, 0]), "Cases", "Source")
    unknown = kz.charts.cases(split([1]).with_columns(count=None), "Cases", "Source")
    assert isinstance(none, Markdown)
    assert none.data == "*Cases: nothing to draw, there was no case.*"
    assert unknown.data == "*Cases: no picture, not every disposition is reported.*"


def estimates() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "label": ["a", "b", "c"],
            "estimate": [0.1, 0.2, None],
            "lower": [0.05, None, None],
            "upper": [0.2, None, None],
        }
    )


def test_intervals_leave_out_what_is_not_reported_and_say_the_rest():
    chart = kz.charts.intervals(estimates(), "Shares", "share", "Source")
    assert chart.to_dict()["description"] == (
        "Estimates with 95 % intervals. Shares. In share: a: 0.1 (0.05 to 0.2); b: 0.2."
    )
    assert [row["label"] for row in rows(chart)] == ["a", "b"]
    assert "<path" in drawn(chart)


def test_intervals_of_several_kinds_have_a_shape_each():
    frame = estimates().with_columns(kind=pl.Series(["x", "y", "x"]))
    encoded = kz.charts.intervals(frame, "Shares", "share", "Source").to_dict()
    shapes = [layer["encoding"].get("shape") for layer in encoded["layer"]]
    assert shapes[-1]["scale"] == {"domain": ["x", "y"], "range": ["circle", "diamond"]}


def test_intervals_without_an_estimate_are_a_sentence():
    none = kz.charts.intervals(estimates().tail(1), "Shares", "share", "Source")
    assert none.data == "*Shares: nothing to draw, no figure is reported.*"


def reports(many: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """So many months' figures: of the first nothing is known, and something changes in the second."""
    months = [(2021 + n // 12, n % 12 + 1) for n in range(many)]
    frame = pl.DataFrame(
        {
            "period": [f"{year}-{month:02d}" for year, month in months],
            "months": [month for _, month in months],
            "value": [None, *(float(n) for n in range(many - 1))],
            "unit": "offences",
            "note": [None, "mind it", *[None] * (many - 2)],
            "clear": [True, False, *[True] * (many - 2)],
            "series": 1,
            "change": [None, 1, *[None] * (many - 2)],
        }
    )
    return frame, frame.drop("months", "series", "change")


def test_periods_are_points_and_bars_and_what_is_missing_a_cross():
    chart = kz.charts.periods(*reports(14), "Torture", "Source: Form 1-M").to_dict()
    above, below = chart["vconcat"]
    svg = drawn(kz.charts.periods(*reports(14), "Torture", "Source: Form 1-M"))
    assert svg.count(">×<") == 2
    kinds = [[layer["mark"]["type"] for layer in part["layer"]] for part in (above, below)]
    assert {"rule", "line", "point"} < set(kinds[0])
    assert kinds[1][0] == "bar"
    assert (
        "January 2021: no figure; January–February 2021: 0 (something is to be minded)"
        in (chart["description"])
    )
    assert "(change 1)" in chart["description"]
    assert "2022-02: 12." in chart["description"]


def test_a_gap_is_not_joined():
    frame, monthly = reports(6)
    gap = frame.with_columns(series=pl.Series([1, 2, 2, 3, 3, 3]))
    chart = kz.charts.periods(gap, monthly, "Torture", "Source: Form 1-M").to_dict()
    (line,) = [one for one in chart["vconcat"][0]["layer"] if one["mark"]["type"] == "line"]
    assert line["encoding"]["detail"]["field"] == "series"
    assert [row["value"] for row in chart["datasets"][line["data"]["name"]]] == [0, 1, 2, 3, 4]


def test_periods_without_a_figure_are_a_sentence():
    frame, monthly = (one.head(1) for one in reports(3))
    found = kz.charts.periods(frame, monthly, "Torture", "Source: Form 1-M")
    assert found.data == "*Torture: nothing to draw, no figure is at hand.*"


def explored(chart) -> list[dict]:
    return chart.to_dict()["datasets"]["cases"]


def test_explorer_holds_the_case_flows_that_can_be_chosen():
    chart = kz.charts.explorer(region="KZ-75", articles=["362"])
    held = explored(chart)
    assert {line["row"] for line in held} == {"article:146", "article:362"}
    assert len(held) == 2 * 21 * 2
    for region, article in (("KZ", "146"), ("KZ-75", "362")):
        (line,) = [
            one
            for one in held
            if (one["period"], one["region"], one["row"])
            == ("2022-12", region, f"article:{article}")
        ]
        flow = kz.case_flow("2022-12", region, article)
        for step, count in flow.filter(kind="outcome").select("step", "count").rows():
            assert line[step] == count, step
        assert line["gross_caseload"] == flow["count"][0]
    assert (
        "Shown first: Article 146. Torture, Almaty, January–December 2022"
        in chart.to_dict()["description"]
    )


def test_explorer_has_nothing_where_nothing_is_reported_and_never_a_nought():
    held = explored(kz.charts.explorer("2021-02"))
    (press,) = [
        one
        for one in held
        if (one["period"], one["region"], one["row"]) == ("2021-02", "KZ", "article:146")
    ]
    assert press["terminated_unspecified"] == 40
    assert not {"gross_caseload", "pending", "terminated_rehabilitating"} & press.keys()
    others = [one for one in held if one["period"] == "2021-02" and one["region"] != "KZ"]
    assert len(others) > 20
    assert all(one.keys() == {"period", "region", "row"} for one in others)


def test_explorer_in_another_language_orders_and_names_regions_by_it():
    with speaking("ru"):
        chart = kz.charts.explorer(articles=["146"])
    (region,) = [one for one in chart.to_dict()["params"] if one["name"] == "region"]
    labels = region["bind"]["region"]["labels"]
    with speaking("ru"):
        assert labels[1:] == in_order(labels[1:])
    assert "Алматы" in labels


def test_explorer_keeps_the_mark_of_a_russian_title_where_it_shortens_the_title():
    with speaking("kk"):
        chart = kz.charts.explorer("2022-12", "KZ-27", "122", articles=["139", "146", "195"])
        spec = chart.to_dict()
    (menu,) = [one["bind"]["labels"] for one in spec["params"] if one["name"] == "row"]
    assert len(menu) == 4
    for label in menu:
        assert label.endswith(" (орысша)")
        assert len(label) <= 70
    assert sum("…" in label for label in menu) == 3
    # above the bars too, where the region and the period stay with it
    texts = said(chart)
    (chosen,) = [label for label in menu if label.startswith("122-бап")]
    assert chosen in texts
    assert "Батыс Қазақстан облысы · 2022 жылғы қаңтар–желтоқсан" in texts


@pytest.mark.parametrize("language", LANGUAGES)
def test_explorer_cuts_no_label_and_says_where_a_period_has_no_regions(language):
    with speaking(language):
        of_press, of_report = (kz.charts.explorer(one) for one in ("2021-02", "2022-12"))
        sentence = say("For this period there are no figures of regions.")
        label = say("misdemeanour unsolved, time-barred")
        drawn_press, drawn_report = said(of_press), said(of_report)
    assert {label} <= {*drawn_press} & {*drawn_report}
    assert not [text for text in drawn_press + drawn_report if "…" in text]
    assert sentence in drawn_press
    assert sentence not in drawn_report


def test_explorer_refuses_what_the_data_does_not_have():
    with pytest.raises(kz.UnknownValueError):
        kz.charts.explorer("2021-02", "KZ-75")
    with pytest.raises(kz.UnknownValueError):
        kz.charts.explorer(articles=["999"])


def every_chart() -> dict[str, list]:
    """Charts of every kind, with and without what they may have, by the function that drew them."""
    charts, regions, peers = (
        kz.charts,
        regional_report("2022-12", "146"),
        among_peers("Kazakhstan", 2021),
    )
    several = estimates().with_columns(kind=pl.Series(["x", "y", "x"]))
    shapes = [{"type": "Polygon", "arcs": [], "properties": {"iso": "KZ-75", "type": "city"}}]
    topology = {"type": "Topology", "arcs": [], "objects": {"r": {"geometries": shapes}}}
    outlines = Boundaries(topology, "r", "whom to credit")
    names = {"registered": "registered", "terminated_rehabilitating": "terminated"}
    registered = trend("registered")
    counts = pl.DataFrame({"label": ["a", "b"], "value": [3.0, None]})
    maps = regions.places("rate")
    return {
        "bars": [charts.bars(counts, "T", "offences", "S")],
        "cases": [charts.cases(split([5, 2], of_year), "T", "S") for of_year in (None, [3, 2])],
        "explorer": [charts.explorer(articles=["146", "362"])],
        "freedom": [charts.freedom(kz.load_freedom_in_the_world(), [2022], "T", "S")],
        "funnel": [charts.funnel(regions.funnel_of_rates(), "T", "persons", "rate", "S")],
        "intervals": [charts.intervals(one, "T", "share", "S") for one in (estimates(), several)],
        "lines": [peers.chart(name) for name in INDICES],
        "pairs": [charts.pairs(regions.counts, names, "T", "offences", "S")],
        "periods": [charts.periods(*reports(many), "T", "S") for many in (3, 50)],
        "region_map": [charts.region_map(maps, "T", "rate", "S", of) for of in (None, outlines)],
        "timeline": [charts.timeline(registered.drawn(), "T", "S", registered.marked)],
    }


def test_charts_of_every_kind_are_valid():
    """No page checks this: charts are drawn and shown without Altair's validation."""
    found = every_chart()
    assert found.keys() == set(kz.charts.__all__) - {"MIME"}
    for name, drawn in found.items():
        for chart in drawn:
            spec = chart.to_dict()  # validates all of it
            (shown,) = (value for key, value in chart._repr_mimebundle_().items() if "json" in key)
            assert {**shown, "$schema": spec["$schema"]} == spec, name


def test_what_is_not_valid_is_found_by_altair_and_not_by_showing_it():
    rows = pl.DataFrame({"x": [1]})
    broken = Layers(layer=[layer(rows, "point", {"x": quantity("x", scale={"zero": "perhaps"})})])
    with pytest.raises(SchemaValidationError, match="perhaps"):
        broken.to_dict()
    assert broken._repr_mimebundle_()


def test_charts_of_others_are_validated_as_ever():
    every_chart()
    with pytest.raises(SchemaValidationError, match="perhaps"):
        alt.Scale(zero="perhaps")
    assert alt.layer(alt.Chart().mark_point())._repr_mimebundle_.__module__.startswith("altair")


def lines_of_words(chart) -> list[tuple[float, float]]:
    """Top and bottom of each text on where cases came from, as drawn."""
    texts = [row for row in rows(chart) if row.get("text", " ")[0] in "●○"]
    return [
        (row["y"] - LINE / 2, row["y"] + (row["text"].count("\n") + 0.5) * LINE) for row in texts
    ]


@pytest.mark.parametrize(("region", "article"), [("KZ-59", "146"), ("KZ-33", "120"), ("KZ", "146")])
def test_words_on_where_cases_came_from_do_not_lie_upon_each_other(region, article):
    flow = kz.case_flow("2022-12", region, article)
    cohort = kz.case_flow("2022-12", region, article, cohort=True)
    chart = kz.charts.cases(attrition.origins(flow, cohort), "t", "s")
    (top, above), (below, bottom) = lines_of_words(chart)
    height, dust = chart.to_dict()["height"], 1e-6
    assert top + dust >= 0
    assert top < above <= below + dust
    assert below < bottom <= height + dust


def test_charts_in_vega_lites_own_words_are_those_of_altair():
    rows = pl.DataFrame({"a": [1.5, None], "b": ["x", "y"], "n": [1, 2], "t": [True, False]})
    encoding = {"x": quantity("a"), "y": {"field": "b", "type": "nominal", "sort": None}}
    mark = {"type": "bar", "color": "red"}
    plain = alt.Chart(rows, mark=mark, encoding=alt.FacetedEncoding(**encoding))
    ours = layer(rows, "bar", encoding, color="red")
    with alt.theme.enable("kzresearch"):
        expected = alt.LayerChart(layer=[plain, plain], width=300).to_dict()
    assert Layers(layer=[ours, ours], width=300).to_dict() == expected
    changed = Layers(layer=[ours.encode(tooltip="b:N"), ours]).to_dict()["layer"]
    assert changed[0]["encoding"].keys() == {"x", "y", "tooltip"}
    assert changed[1]["encoding"].keys() == {"x", "y"}


def test_dates_in_a_chart_are_written_as_altair_writes_them():
    rows = pl.DataFrame({"a": [date(2022, 1, 31)]})
    chart = Layers(layer=[layer(rows, "bar", {"x": {"field": "a", "type": "temporal"}})])
    assert [*chart.to_dict()["datasets"].values()] == [[{"a": "2022-01-31T00:00:00"}]]


def test_what_a_user_does_to_a_copy_of_a_chart_is_not_done_to_the_chart():
    chart = kz.charts.bars(pl.DataFrame({"label": ["a"], "value": [1.0]}), "T", "n", "S")
    before = chart.to_json()
    given = chart.to_dict()
    given["usermeta"]["rows"][0][1] = 999
    given["layer"][0]["encoding"]["x"]["title"] = "persons"
    for one in (chart.copy(), chart.properties(width=3)):
        one.layer[0].encoding["x"]["title"] = "persons"
        one.layer[0].mark["color"] = "white"
    chart.copy().usermeta["columns"].append("more")
    chart._repr_mimebundle_()[kz.charts.MIME]["usermeta"]["rows"].clear()
    assert chart.to_json() == before
    assert "value" in repr(chart.layer[0].encoding)


def test_what_a_user_asks_of_rows_in_charts_counts_for_the_projects_charts_too():
    rows = pl.DataFrame({"label": [str(n) for n in range(5001)], "value": [1.0] * 5001})
    chart = kz.charts.bars(rows, "T", "n", "S")
    with pytest.raises(alt.MaxRowsError):
        chart.to_dict()
    with alt.data_transformers.enable("default", max_rows=None):
        assert max(map(len, chart.to_dict()["datasets"].values())) == 5001
    with alt.data_transformers.enable("default", max_rows=1), pytest.raises(alt.MaxRowsError):
        kz.charts.bars(rows.head(2), "T", "n", "S").to_dict()

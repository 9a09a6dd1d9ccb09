"""Regions beside each other: figures, rates, limits, maps; from the bundled tables and small frames."""

import json
import re
from datetime import date
from itertools import pairwise

import polars as pl
import pytest
from IPython.display import Markdown
from scipy import stats

import kzresearch as kz
from kzresearch import charts, datasets, flows, funnels, geography, rates, regions, schemas
from kzresearch.boundaries import Boundaries
from kzresearch.charts.places import CITIES, SHADES
from kzresearch.errors import SourceError, UnknownValueError
from kzresearch.figures import number
from kzresearch.geography import RegionalReport, regional_report
from kzresearch.store import store
from tests.stored import taken, torture

# Gross caseload, registered (net), terminated: torture by region, as read from the workbooks by hand.
TORTURE = {
    "KZ-10": (43, 8, 35),
    "KZ-11": (42, 0, 42),
    "KZ-15": (7, 0, 7),
    "KZ-19": (95, 40, 55),
    "KZ-23": (6, 1, 5),
    "KZ-27": (37, 0, 36),
    "KZ-31": (61, 0, 61),
    "KZ-33": (6, 5, 1),
    "KZ-35": (50, 3, 47),
    "KZ-39": (37, 1, 35),
    "KZ-43": (70, 0, 70),
    "KZ-47": (10, 0, 10),
    "KZ-55": (25, 4, 21),
    "KZ-59": (8, 0, 8),
    "KZ-61": (74, 7, 67),
    "KZ-62": (0, 0, 0),
    "KZ-63": (70, 2, 66),
    "KZ-71": (26, 2, 23),
    "KZ-75": (189, 24, 164),
    "KZ-79": (62, 1, 59),
}


@pytest.fixture(scope="module")
def report() -> RegionalReport:
    return regional_report("2022-12", "146")


def places(values: dict[str, float | None]) -> pl.DataFrame:
    """A frame as `places` gives it, one tile beside the other."""
    return pl.DataFrame(
        {
            "region": list(values),
            "label": [regions.short_name(region) for region in values],
            "value": list(values.values()),
            "shown": [number(value) for value in values.values()],
            "tile_row": [1] * len(values),
            "tile_column": list(range(1, len(values) + 1)),
        },
        schema_overrides={"value": pl.Float64},
    )


# figures


def test_recorded_figures_are_the_workbooks(report):
    found = report.figures
    for region, expected in TORTURE.items():
        names = [f"{name}_{region.lower().replace('-', '_')}" for name in geography.RECORDED]
        assert tuple(found[name].value for name in names) == expected, region
    assert found["gross_caseload"].value == 918
    limits = ("rate_gross_caseload", "rate_gross_caseload_lower", "rate_gross_caseload_upper")
    assert [found[name].text for name in limits] == ["4.68", "4.38", "4.99"]
    assert found["rate_gross_caseload"].value == pytest.approx(
        918 / ((19_503_159 + 19_766_807) / 2) * 100_000, rel=1e-5
    )
    assert len(found) == 4 + 3 * 20 + 2 * 3 * 17


def test_every_figure_is_the_sum_of_its_cells(report):
    row = "article:146"
    form = kz.load_form_1m("2022-12", row=row).select("workbook", "cell", "value")
    people = kz.load_population().select("workbook", "cell", value="population")
    for name, one in report.figures.items():
        cells = pl.DataFrame([cell._asdict() for cell in one.cells])
        count = cells.join(form, on=["workbook", "cell"])["value"].sum()
        persons = cells.join(people, on=["workbook", "cell"])["value"].sum() / 2
        if not name.startswith(("rate", "shrunken")):
            assert (one.value, persons, one.unit) == (count, 0, "offences"), name
        elif name.startswith("rate") and not name.endswith(("lower", "upper")):
            assert one.value == pytest.approx(count / persons * 100_000, rel=1e-5), name
            assert one.sources == ("form_1m", "population_2000_2023")
            assert one.unit == "offences per 100,000 inhabitants, 12 months"


def test_figures_of_regions_whose_bounds_changed_say_so(report):
    noted = {name[-5:] for name, one in report.figures.items() if "2022-06-08" in (one.note or "")}
    assert noted == {"kz_10", "kz_19", "kz_33", "kz_35", "kz_62", "kz_63"}
    assert report.figures["registered_kz_62"].note.endswith("from 8 June")


def test_note_on_bounds_stands_behind_a_note_of_the_figure(monkeypatch):
    found = flows.flow_figures

    def noted(*args):
        bases, steps = found(*args)
        label, gross = bases["gross_caseload"]
        return bases | {"gross_caseload": (label, gross.named("f", "the source differs"))}, steps

    monkeypatch.setattr(flows, "flow_figures", noted)
    figures = RegionalReport("2022-12", "146").figures
    assert figures["gross_caseload_kz_75"].note == "the source differs"
    assert figures["gross_caseload_kz_10"].note.startswith("the source differs; Split off from")


def test_rates_of_units_of_several_regions_name_them(report):
    notes = {name: one.note for name, one in report.figures.items() if "rate_" in name}
    assert notes["rate_gross_caseload_kz_63"] == "of East Kazakhstan with Abai"
    assert notes["rate_gross_caseload_kz_63_lower"].endswith("; of East Kazakhstan with Abai")
    assert notes["rate_gross_caseload_kz_75"] is None
    of_several = {name[-5:] for name, note in notes.items() if note and " with " in note}
    assert of_several == {"kz_19", "kz_35", "kz_63", "lower", "upper"}


def test_shrunken_rates_are_recorded_with_what_they_follow_from(report):
    one = report.figures["shrunken_rate_gross_caseload_kz_75"]
    shape, prior = re.match(
        r"\(([\d.]+) \+ gross caseload\) / \(([\d.]+) \+ mean", one.formula
    ).groups()
    people = report.population["KZ-75"].value
    assert one.value == pytest.approx(
        (float(shape) + 189) / (float(prior) + people) * 100_000, rel=1e-5
    )
    assert (one.text, one.cells) == ("8.74", report.figures["rate_gross_caseload_kz_75"].cells)
    low, high = (
        report.figures[f"shrunken_rate_gross_caseload_kz_75_{e}"] for e in ("lower", "upper")
    )
    assert low.value < one.value < high.value
    alike = regional_report("2022-12", "415").figures["shrunken_rate_gross_caseload_kz_75"]
    assert alike.formula == "the rate of all units together: they differ by no more than chance"


def test_counts_add_up_to_the_country_and_stand_by_size(report):
    bases, steps = flows.flow_figures("2022-12", "KZ", "146")
    country = {name: one for name, (_, one) in bases.items()} | steps
    for name in geography.STEPS:
        assert report.counts[name].sum() == country[name].value == report.country[name].value, name
    assert report.counts["gross_caseload"].is_sorted(descending=True)
    assert report.counts.height == 20


def test_rates_are_of_17_units_with_what_was_split_off_them(report):
    units = report.units
    assert units.height == 17
    east = units.row(by_predicate=pl.col("region") == "KZ-63", named=True)
    assert (east["label"], east["gross_caseload"]) == ("East Kazakhstan with Abai", 70 + 43)
    assert east["regions"] == ["KZ-10", "KZ-63"]
    names = ("rate", "rate_lower", "rate_upper")
    expected = rates.rate(113, east["population"])
    assert [east[name] for name in names] == pytest.approx(list(expected))
    assert units["rate"].is_sorted(descending=True)
    assert units["population"].sum() == (19_503_159 + 19_766_807) / 2
    shrunk = units.filter(pl.col("rate") > pl.col("prior_mean"))
    assert (shrunk["shrunken_rate"] < shrunk["rate"]).all()


def test_other_years_keep_their_regions():
    after = RegionalReport("2024-12", "146")
    frame = pl.DataFrame({"region": ["KZ-10", "KZ-63"], "n": [1.0, 2.0]})
    assert not after.merged
    assert after._by_unit(frame, "n")["regions"].to_list() == [["KZ-10"], ["KZ-63"]]


def test_caseload_of_a_short_period_is_not_scaled_to_a_year():
    short, full = RegionalReport("2022-02", "146"), RegionalReport("2022-12", "146")
    counts = {"flow": full.flow, "counts": full.counts, "country": full.country}
    short.__dict__.update(counts)  # as if they were those of two months
    name = "rate_gross_caseload"
    assert short.rates[name].value == full.rates[name].value
    assert short.rates[name].unit == "offences per 100,000 inhabitants, 2 months"
    assert RegionalReport("2022-01", "146").length == "1 month"


# words


def test_regions_with_nothing_registered_are_named_with_their_terminations(report):
    text = report.unregistered().data
    assert "7 of 20 regions" in text
    assert "Kyzylorda (70), Zhambyl (61), Akmola (42), West Kazakhstan (36), Mangystau (10)" in text
    table = report.counts_table().frame.filter(pl.col("label").is_in(["Kyzylorda", "Ulytau"]))
    columns = ["label", "registered", "terminated_rehabilitating"]
    assert table.select(columns).rows() == [("Kyzylorda", "0", "70"), ("Ulytau", "0", "0")]


def test_region_with_nothing_registered_gross_lost_nothing_to_terminations():
    said = regional_report("2022-12", "415").unregistered().data
    assert "In Shymkent nought is what the terminations left of the registered, not" in said
    assert "In Aktobe none was registered in the year, terminated or not" in said


def test_nought_is_explained_by_terminations_where_they_explain_it(report):
    said = report.unregistered().data
    assert "There nought is what the terminations left of the registered, not" in said
    assert "carried over" not in said


@pytest.mark.parametrize(
    ("article", "said"),
    [
        ("127", "of 1 offence** in 12 months. Cases are counted in Almaty (1). No case at all is "),
        ("415", "of 2 offences** in 12 months. Cases are counted in Aktobe (1) and Shymkent (1)."),
    ],
)
def test_words_follow_the_number(article, said):
    found = regional_report("2022-12", article)
    assert said in found.summary().data
    assert "counted in 1" in found.summary().data  # of 20 regions, not nineteen names


def test_small_rates_and_large_ones_are_written_alike_everywhere(report):
    rare = regional_report("2022-12", "127")
    assert "**0.0051 offences per" in rare.about_rates().data
    assert "- All together: 0.0051." in rare.funnel_of_rates().outside("rates").data
    assert rare.rates_table().frame.row(0)[3:5] == ("0.0051", "0.00013 – 0.028")
    assert rare.places("rate")["shown"][0] == "0.047"
    assert "1,261.96" in regional_report("2022-12", "total").funnel_of_rates().outside("rates").data


def test_share_that_is_nought_everywhere_is_not_a_share_that_is_missing():
    found = regional_report("2022-12", "127")
    assert (
        found.funnel_of_shares().outside("shares").data
        == "*Nothing stands out: all shares are 0.0 %.*"
    )


def test_summary_and_bounds(report):
    assert "**gross caseload of 918 offences** in 12 months" in report.summary().data
    assert "No case at all is counted in Ulytau" in report.summary().data
    assert report.bounds().data.count("2022-06-08") == 6
    assert "17 units of before" in report.about_rates().data
    assert "19,634,983 persons" in report.about_rates().data
    assert report.source_line.endswith("military, transport and central bodies file their own")


def test_region_whose_figures_contradict_each_other_is_not_said_to_report_none(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("KZRESEARCH_STORE", str(tmp_path))
    completed = {("R1", "article:146", "completed"): 9, ("R1", "article:146", "in_proceedings"): 4}
    store().put("2023-12", [taken("2023-12", "KZ-75", torture(4, 1) | completed)])
    found = RegionalReport("2023-12", "146")
    shown = dict(found.counts_table().frame.select("label", "pending").rows())
    said = "does not add up in the source"
    assert shown["Almaty"] == shown["All 20 regions"] == said
    assert shown["Ulytau"] == "not reported"
    assert "Workbooks of 1 region; military" in found.source_line


def test_region_that_did_not_report_is_not_nought(monkeypatch):
    load = datasets.load_form_1m

    def without_ulytau(*args, **words):
        return load(*args, **words).filter(pl.col("region") != "KZ-62")

    monkeypatch.setattr(datasets, "load_form_1m", without_ulytau)
    monkeypatch.setattr(flows, "_kept", lambda *_: {})
    found = RegionalReport("2022-12", "146")
    assert found.counts.row(-1)[:3] == ("KZ-62", "Ulytau", None)
    assert found.counts_table().frame["gross_caseload"].to_list()[-2:] == ["not reported"] * 2
    assert "Not reported, so that there is no sum: Ulytau." in found.summary().data
    karaganda = found.units.row(-1, named=True)
    assert (karaganda["region"], karaganda["rate"]) == ("KZ-35", None)
    assert found.figures["rate_gross_caseload"].value is None
    assert len(found.funnel_of_rates().points) == 16


@pytest.mark.parametrize(
    ("until", "why"),
    [
        (2010, "no population of 1 January 2022 and 2023"),
        (2022, "no population of both 1 January 2022 and 2023 is held"),
    ],
)
def test_period_without_population_goes_on_without_rates(monkeypatch, until, why):
    held = datasets.load_population().filter(pl.col("date") <= date(until, 1, 1))
    monkeypatch.setattr(datasets, "load_population", lambda: held)
    found = RegionalReport("2022-12", "146")
    assert found.about_rates().data == f"*No rates by population: {why}.*"
    assert found.figures["gross_caseload"].value == 918
    assert found.figures["rate_gross_caseload_kz_75"].text == "not reported"
    assert isinstance(found.rates_table(), Markdown)
    assert found.funnel_of_rates().outside("rates").data == "*There are no rates to compare.*"
    shown = [
        charts.intervals(found.intervals(), "Rates", "u", "s"),
        charts.funnel(found.funnel_of_rates(), "Rates", "n", "u", "s"),
    ]
    assert all("nothing to draw" in one.data for one in shown)
    drawn = charts.region_map(found.places("rate"), "Rates", "u", "s")
    assert drawn.to_dict()["description"].count("not reported") == 17


def test_article_without_any_case_says_so():
    found = regional_report("2022-12", "145")
    assert "No case of this article" in found.summary().data
    assert found.unregistered().data.startswith("*No region")
    assert found.figures["rate_gross_caseload"].value == 0
    assert found.funnel_of_shares().outside("shares").data == "*There are no shares to compare.*"
    assert isinstance(charts.pairs(found.counts, {"registered": "r"}, "T", "u", "s"), Markdown)
    assert isinstance(charts.funnel(found.funnel_of_shares(), "T", "n", "u", "s"), Markdown)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("2021-02", "146"), "2021-02 has no figures for the regions; it has: KZ"),
        (("2022-12", "1466"), "unknown article '1466'"),
        (("2022-12", "146", "globe"), "unknown map 'globe'; known: tiles, boundaries"),
    ],
)
def test_wrong_parameters_are_one_sentence(given, message):
    with pytest.raises(UnknownValueError, match=message):
        regional_report(*given)


# limits of chance


def test_rates_outside_the_limits_have_a_tail_as_small(report):
    found = report.funnel_of_rates()
    count = report.units.filter(pl.col("rate").is_not_null())
    for line, n in zip(found.points.iter_rows(named=True), count["gross_caseload"], strict=True):
        mean = line["size"] * found.centre / 100_000
        tail = min(stats.poisson.cdf(n, mean), stats.poisson.sf(n - 1, mean))
        assert line["zone"] == funnels.ZONES[int(tail < 0.025) + int(tail < 0.001)], line["label"]
    text = report.funnel_of_rates().outside("rates").data
    assert "Outside the 99.8 % limits, 8 of 17: above Almaty (8.87)" in text
    assert "Outside the 95 % limits only, 1 of 17: below Turkistan (3.52)." in text


def test_all_of_a_few_terminated_is_within_chance(report):
    zones = dict(report.funnel_of_shares().points.select("label", "zone").iter_rows())
    assert "Ulytau" not in zones
    assert zones["Aktobe"] == zones["Mangystau"] == "within the limits"  # 7 of 7 and 10 of 10
    assert zones["Kyzylorda"] == zones["Almaty Region"] == "outside the 99.8 % limits"


# maps


def test_tiles_are_twenty_and_those_of_units_the_own_region():
    table = kz.load_regions()
    assert table.select("tile_row", "tile_column").n_unique() == 20
    assert set(table["unit_17"]) <= set(table["region"])
    twice = table.with_columns(tile_row=pl.lit(1, pl.Int64), tile_column=pl.lit(1, pl.Int64))
    assert not schemas.Regions.is_valid(twice)


def test_short_names_are_unambiguous():
    names = [regions.short_name(region) for region in regions.region_codes()]
    assert len(set(names)) == 20
    assert {"Almaty", "Almaty Region", "Abai", "Astana"} <= set(names)
    assert regions.short_name("KZ") == "Kazakhstan"


def spec(chart) -> dict:
    return chart.to_dict()


def scale_of(chart) -> dict[str, str]:
    scale = next(
        layer["encoding"]["color"]["scale"]
        for layer in spec(chart)["layer"]
        if "domain" in (layer["encoding"].get("color", {}).get("scale") or {})
    )
    return dict(zip(scale["domain"], scale["range"], strict=True))


def test_map_classes_go_from_light_to_dark_with_nought_and_unknown_apart():
    values = {
        "KZ-10": 0,
        "KZ-11": 1,
        "KZ-15": 2,
        "KZ-19": 3,
        "KZ-23": 4,
        "KZ-27": 50,
        "KZ-31": None,
    }
    found = scale_of(charts.region_map(places(values), "T", "offences", "s"))
    assert list(found) == ["not reported", "0", "1–2", "3", "4", "50"]
    assert list(found.values()) == ["#ffffff", "#ffffff", *SHADES]


def test_map_of_few_or_equal_values_uses_the_darkest_shades():
    equal = scale_of(charts.region_map(places({"KZ-10": 5, "KZ-11": 5}), "T", "offences", "s"))
    assert equal == {"5": SHADES[-1]}
    none = scale_of(charts.region_map(places({"KZ-10": None, "KZ-11": 0}), "T", "offences", "s"))
    assert none == {"not reported": "#ffffff", "0": "#ffffff"}


def test_map_says_every_number(report):
    text = spec(charts.region_map(report.places("gross_caseload"), "T", "offences", "s"))
    for words in ("Almaty: 189;", "Almaty Region: 95;", "Kyzylorda: 70;", "Ulytau: 0."):
        assert words in text["description"]
    assert report.places("rate").join(kz.load_regions(), on="region").height == 17


def test_repeated_terminations_move_the_rate(report):
    said = report.repeats().data
    assert "the gross caseload would be 512 instead of 918" in said
    assert "the country's rate 2.61 instead of 4.68" in said
    assert (
        "no rate that such repeats would move" in regional_report("2022-12", "145").repeats().data
    )


def test_boundaries_that_are_not_there_end_in_a_sentence_that_says_what_to_do(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("KZRESEARCH_RAW", str(tmp_path))
    missing = (
        r"^no boundaries to draw: regions/kz_adm1_2018.topo.json is not in .*; or use map=tiles$"
    )
    with pytest.raises(SourceError, match=missing):
        regional_report("2022-12", "146", "boundaries")
    monkeypatch.delenv("KZRESEARCH_RAW")
    with pytest.raises(SourceError, match="has no download address; .*nstall geokz"):
        regional_report("2022-12", "146", "boundaries")


def test_boundaries_that_changed_are_not_drawn(monkeypatch, tmp_path):
    (tmp_path / "regions").mkdir()
    (tmp_path / "regions" / "kz_adm1_2018.topo.json").write_text("{}")
    monkeypatch.setenv("KZRESEARCH_RAW", str(tmp_path))
    with pytest.raises(SourceError, match="another version of the file"):
        regional_report("2022-12", "146", "boundaries")


def area(ring: list[tuple[float, float]]) -> float:
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise(ring)) / 2


def rings(outlines: Boundaries) -> dict[str, list[list[tuple[float, float]]]]:
    """Region → outer rings in degrees, from the arcs of the topology."""
    (sx, sy), (tx, ty) = (outlines.topology["transform"][k] for k in ("scale", "translate"))
    arcs = []
    for arc in outlines.topology["arcs"]:
        x = y = 0
        points = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            points.append((x * sx + tx, y * sy + ty))
        arcs.append(points)
    found = {}
    for shape in outlines.topology["objects"][outlines.feature]["geometries"]:
        polygons = shape["arcs"] if shape["type"] == "MultiPolygon" else [shape["arcs"]]
        outer = [
            [arcs[i] if i >= 0 else arcs[~i][::-1] for i in polygon[0]] for polygon in polygons
        ]
        found[shape["properties"]["iso"]] = [
            [point for n, arc in enumerate(ring) for point in arc[n > 0 :]] for ring in outer
        ]
    return found


def test_real_boundaries_match_by_code_and_are_wound_as_the_projection_wants(raw, monkeypatch):
    monkeypatch.setenv("KZRESEARCH_RAW", str(raw))
    found = regional_report("2022-12", "146", "boundaries")
    tiles = {line["region"]: line for line in kz.load_regions().iter_rows(named=True)}
    for name, many in (("gross_caseload", 20), ("rate", 17)):
        frame = found.places(name)
        outlines = found.boundaries(frame)
        shapes = rings(outlines)
        assert set(shapes) == set(frame["region"])
        assert len(shapes) == many
        # Clockwise: the other way round, each region would be the globe without it.
        assert all(area(ring) < 0 for ring_list in shapes.values() for ring in ring_list)
        # The tiles lie as the regions do: not mirrored, not upside down.
        middle = {code: max(ring_list, key=len)[0] for code, ring_list in shapes.items()}
        east = [(middle[code][0], tiles[code]["tile_column"]) for code in shapes]
        south = [(-middle[code][1], tiles[code]["tile_row"]) for code in shapes]
        for pairs in (east, south):
            assert stats.spearmanr(*zip(*pairs, strict=True)).statistic > 0.75
    assert found.sources[-1] == "geokz"
    chart = spec(charts.region_map(found.places("rate"), "T", "u", "s", outlines))
    assert chart["projection"]["type"] == "conicEqualArea"
    assert "OpenStreetMap" in json.dumps(chart["title"], ensure_ascii=False)
    squares = [layer for layer in chart["layer"] if layer["mark"]["type"] == "square"]
    assert "band" in [layer["encoding"].get("color", {}).get("field") for layer in squares]
    shapes = outlines.topology["objects"][outlines.feature]["geometries"]
    cities = {one["properties"]["iso"] for one in shapes if one["properties"]["type"] == "city"}
    assert cities == set(CITIES) == set(kz.load_regions().filter(kind="city")["region"])


# charts


def test_pairs_draw_nought_with_its_number(report):
    names = {"registered": "registered (net)", "terminated_rehabilitating": "terminated"}
    chart = spec(charts.pairs(report.counts, names, "T", "offences", "s"))
    assert "Kyzylorda: 0 registered (net), 70 terminated;" in chart["description"]
    (lines,) = chart["datasets"].values()
    assert len(lines) == 40
    assert [line["shown"] for line in lines if line["label"] == "Kyzylorda"] == ["0", "70"]


def test_funnel_names_what_is_outside_and_keeps_names_apart(report):
    plot = report.funnel_of_rates()
    chart = spec(charts.funnel(plot, "T", "persons", "rate", "s"))
    assert "all together 4.68" in chart["description"]
    assert "Aktobe: 0.76: outside the 99.8 % limits" in chart["description"]
    points = next(lines for lines in chart["datasets"].values() if lines and "zone" in lines[0])
    named = {line["label"] for line in points if line["side"]}
    assert named == set(plot.points.filter(pl.col("zone") != funnels.ZONES[0])["label"])
    sides = {line["label"]: line["side"] for line in points}
    assert sides["North Kazakhstan"] != "right"  # Mangystau is there


@pytest.mark.parametrize("article", ["415", "409"])
def test_funnel_of_regions_that_all_have_one_size(article):
    plot = regional_report("2022-12", article).funnel_of_shares()
    assert plot.points["size"].unique().to_list() == [1]
    chart = spec(charts.funnel(plot, "T", "cases", "share", "s", axis_format=".0%"))
    low, high = chart["layer"][0]["encoding"]["x"]["scale"]["domain"]
    assert low < 1 < high
    assert plot.limits["size"].n_unique() > 1

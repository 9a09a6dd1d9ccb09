"""A country among its peers: scores, ranks, bounds, and what is said where there is none."""

import polars as pl
import pytest
import vl_convert
from IPython.display import Markdown

import kzresearch as kz
from kzresearch.charts.times import _ends
from kzresearch.errors import UnknownValueError
from kzresearch.figures import number
from kzresearch.peers import INDICES, Peers, among_peers

FREEDOM, VDEM, HRMI = INDICES


@pytest.fixture(scope="module")
def kazakhstan() -> Peers:
    return among_peers("Kazakhstan", 2021)


def test_country_that_nobody_rates_is_refused():
    with pytest.raises(
        UnknownValueError, match="unknown country 'Kazakstan'; near matches: Kazakh"
    ):
        among_peers("Kazakstan", 2021)


@pytest.mark.parametrize(
    ("country", "year", "years"),
    [
        ("Kazakhstan", 10**23, "1990 to 2024"),
        ("Kazakhstan", -5, "1990 to 2024"),
        ("Kazakhstan", 1985, "1990 to 2024"),
        ("Russia", 1969, "1970 to 2024"),
    ],
)
def test_year_that_nobody_rates_the_country_in_is_refused(country, year, years):
    with pytest.raises(UnknownValueError) as error:
        among_peers(country, year)
    assert str(error.value) == (
        f"no index at hand rates {country} in {year}; they rate it in {years}"
    )


def test_the_only_country_rated_has_no_peers():
    said = among_peers("Russia", 1985).sentence(VDEM).data
    assert "the only country at hand that is rated for the year. " in said
    assert "rank 1" not in said
    assert among_peers("Russia", 1985).figures["vdem_v2cltort_rank"].value == 1


def test_every_figure_cites_the_cells_it_was_taken_from(kazakhstan):
    cells = {name: [cell.cell for cell in one.cells] for name, one in kazakhstan.figures.items()}
    assert cells["hrmi_tort"] == ["line 51, mean"]
    assert cells["hrmi_tort_lower"] == ["line 51, lobound_10"]
    assert cells["hrmi_tort_upper"] == ["line 51, upbound_90"]
    assert cells["hrmi_tort_rank"] == ["line 51, mean", "line 101, mean"]
    assert cells["vdem_v2cltort_lower"] == []
    assert kazakhstan.figures["vdem_v2cltort_lower"].sources == ()
    ranked = [len(cells[name]) for name in ("freedom_in_the_world_rank", "vdem_v2cltort_rank")]
    assert ranked == [12, 12]


def test_bounds_stand_in_the_cells_cited(kazakhstan, raw):
    (path,) = (raw / "indicators").glob("hrmi*.csv")
    lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    for name in ("hrmi_tort", "hrmi_tort_lower", "hrmi_tort_upper"):
        one = kazakhstan.figures[name]
        line, column = one.cells[0].cell.removeprefix("line ").split(", ")
        assert float(lines[int(line) - 1][lines[0].index(column)]) == one.value


def test_scores_are_those_of_the_tables(kazakhstan):
    rated = kz.load_torture_indices().filter(country="Kazakhstan", year=2021, index="v2cltort")
    assert kazakhstan.figures["vdem_v2cltort"].value == rated["value"].item()
    edition = kz.load_freedom_in_the_world().filter(country="Kazakhstan", edition=2022)
    total = kazakhstan.figures["freedom_in_the_world_total"]
    assert total.value == edition["total"].item() == 23
    assert total.note == "Kazakhstan, 2021 (edition 2022)"
    assert [cell.cell for cell in total.cells] == edition["cell"].to_list()


def test_equal_scores_share_a_rank():
    belarus = among_peers("Belarus", 2021)
    assert belarus.figures["freedom_in_the_world_rank"].value == 10
    assert "rank 10 of the 12 countries at hand. The same score: Tajikistan." in (
        belarus.sentence(FREEDOM).data
    )
    ranks = belarus.table(FREEDOM).frame["rank"].to_list()
    assert ranks == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 12]


def test_bounds_are_given_where_the_source_gives_them(kazakhstan):
    named = kazakhstan.figures
    assert (
        named["hrmi_tort_lower"].value < named["hrmi_tort"].value < named["hrmi_tort_upper"].value
    )
    assert named["hrmi_tort_lower"].note.endswith("10th percentile")
    assert named["vdem_v2cltort_lower"].value is None
    assert named["vdem_v2cltort_lower"].text == "not reported"
    assert "freedom_in_the_world_total_lower" not in named
    assert "Its bounds are not at hand" in kazakhstan.sentence(VDEM).data


def test_overlapping_ranges_are_named(kazakhstan):
    assert "range overlaps: Kyrgyzstan." in kazakhstan.sentence(HRMI).data
    assert "range overlaps: none." in among_peers("Kazakhstan", 2019).sentence(HRMI).data


def test_a_year_without_a_score_is_said_and_the_newest_shown():
    found = among_peers("Armenia", 2024)
    assert found.figures[VDEM].value is None
    rank = found.figures["vdem_v2cltort_rank"]
    assert (rank.value, rank.cells, rank.note) == (None, (), "Armenia, 2024")
    assert found.sentence(VDEM).data == (
        "*V-Dem, freedom from torture (v2cltort): no score of Armenia for 2024 is at hand. "
        "Scores at hand: 11 countries, 1990 to 2023; Russia, 1970 to 2023.*"
    )
    assert "2023" in found.table(VDEM).title
    assert "2023" in found.related().title
    assert "at hand: Kazakhstan, Kyrgyzstan, 2017 to 2021" in found.sentence(HRMI).data


def test_every_related_index_keeps_its_own_scale(kazakhstan):
    related = kazakhstan.related().frame
    assert related.height == 10
    assert set(related["scale"]) == {"interval scale, higher is freer", "0 to 1, higher is freer"}
    assert related.filter(index="v2cltort").select("value", "rank").row(0) == ("−0.644", "7 of 12")


@pytest.mark.parametrize("name", INDICES)
def test_chart_marks_the_country_and_says_its_scores(kazakhstan, name):
    spec = kazakhstan.chart(name).to_dict()
    said = spec["description"]
    assert said.startswith(f"Line chart. {INDICES[name].title}: Kazakhstan among its peers")
    assert f"2021: {number(kazakhstan.figures[name].value)}." in said
    assert "Kyrgyzstan" in said
    drawn = vl_convert.vegalite_to_svg(kazakhstan.chart(name).to_json(), vl_version="6.1")
    assert INDICES[name].shown(kazakhstan.figures[name].value) in drawn


def test_only_bounds_that_are_there_are_drawn(kazakhstan):
    def areas(name: str) -> int:
        layers = kazakhstan.chart(name).to_dict()["layer"]
        return sum(layer["mark"]["type"] == "area" for layer in layers)

    assert [areas(name) for name in INDICES] == [0, 0, 1]


def test_years_before_the_country_is_rated_are_left_out(kazakhstan):
    (spec, *_) = [d for d in kazakhstan.chart(VDEM).to_dict()["datasets"].values() if len(d) > 12]
    assert min(row["year"] for row in spec) == 1990


def test_lines_of_nothing_are_a_sentence():
    schema = {"country": pl.String, "year": pl.Int64, "value": pl.Float64}
    empty = pl.DataFrame(schema=schema)
    shown = kz.charts.lines(empty, "Kazakhstan", "Scores", "points", "Source")
    assert isinstance(shown, Markdown)
    assert shown.data == "*Scores: nothing to draw, no score is at hand.*"


def test_names_at_the_end_of_lines_do_not_lie_upon_another():
    scores = [5.0, 5.0, 5.1, 0.0, 0.2, 9.9]
    known = pl.DataFrame({"country": list("abcdef"), "year": [2020] * 6, "value": scores})
    at = _ends(known, 1.0, 0.0).sort("value", "country")
    apart = at["at"].diff().drop_nulls()
    assert (apart > 0.999).all()
    assert at["at"][-1] == 9.9  # what has room stays where its line ends

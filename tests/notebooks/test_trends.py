"""The notebook of published figures: what it records, says and refuses."""

import json

import polars as pl
import pytest

from kzresearch.charts import MIME as CHART
from kzresearch.errors import KzresearchError
from kzresearch.language import speaking
from kzresearch.publications import trend
from kzresearch.series import over_periods
from kzresearch.store import Store
from tests.conftest import run_notebook as run
from tests.language import RUN, left_in_english, said_in, same_figures
from tests.stored import sha, taken, torture

REGISTERED = [2, 5, 4, 4, 6, 7, 7, 9, 8, 8, 10, 9]  # net, since January: it falls with closed cases
IN_MONTH = [2, 4, 0, 1, 3, 1, 0, 3, 1, 0, 3, 1]
TERMINATED = ("R1-1", "article:146", "terminated_rehabilitating")


@pytest.fixture(scope="session")
def ran(tmp_path_factory):
    """The notebook run as it stands: its record, its page, its outputs' text."""
    left = run("trends", {}, tmp_path_factory.mktemp("trends"))
    notebook = json.loads(left.notebook.read_text(encoding="utf-8"))
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    return left, left.page.read_text(encoding="utf-8"), outputs


def test_figures_are_recorded(ran):
    results = ran[0].record["results"]
    assert ran[0].record["status"] == "completed"
    values = {name: one["value"] for name, one in results.items()}
    expected = {
        "registered_2019_p0001": 850,
        "registered_2020_p0002": 766,
        "registered_2020_p0038": 63,
        "registered_2022_p0004": 920,
        "registered_2024_p0006": 193,
        "registered_january_february_2021_p0007": 88,
        "gross_caseload_2022": 918,
        "gross_registered_2022": 807,
        "registered_2022": 98,
    }
    assert {name: values[name] for name in expected} == expected
    assert values == {name: one.value for name, one in trend("registered").figures().items()}
    assert results["registered_2024_p0006"]["unit"] == "facts"
    assert {one["id"] for one in ran[0].record["sources"]} == {"published_figures", "form_1m"}


def test_page_shows_both_figures_where_sources_disagree(ran):
    page = ran[1]
    for words in (
        "766 may be gross and 63 net of terminations on rehabilitating grounds",
        "920 may be the gross caseload",
        "No reading that explains it is known.",
        "P0007 (January–February 2021)",
        "unit 'criminal cases' is not unit 'facts'",
        "766 (2020) is contradicted by 63 criminal offences",
        "28 on torture, 13 for comparison",
        "&gt; 500",
        "some rows count the victims, the accused or the complaints of one case or place",
        "A fall in registered cases is not a fall in torture.",
    ):
        assert words in page


def test_timeline_is_told_in_words(ran):
    (spec,) = [o["data"][CHART] for o in ran[2] if CHART in o.get("data", {})]
    assert "2022: 920 criminal cases, Kazinform (unclear)" in spec["description"]
    assert "January–February 2021: 88 criminal offences, ACCA (unclear);" in spec["description"]
    assert "2018: > 500 criminal cases, KIBHR (unclear)" in spec["description"]


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (
            "ru",
            [
                "# Опубликованные данные о делах о пытках, 2012–2025",
                "**41 опубликованный показатель** *зарегистрировано* (Казахстан) из 16 источников",
                "уголовные правонарушения: 157\xa0473",
                "это снижение на 45,6\xa0%",
                "единица «уголовные дела», а не «факты»",
                "16\xa0марта 2022",
            ],
        ),
        (
            "kk",
            [
                "# Азаптау істері туралы жарияланған деректер, 2012–2025",
                "қылмыстық құқық бұзушылықтар: 157\xa0473",
                "бұл 45,6\xa0% төмендеу",
                "2022\xa0ж. 16\xa0наурыз",
            ],
        ),
    ],
)
def test_page_is_in_the_readers_language_and_its_figures_are_the_same(
    ran, language, said, tmp_path
):
    left = run("trends", {"language": language}, tmp_path)
    assert left.record["status"] == "completed"
    assert same_figures(left.record, ran[0].record)
    executed = json.loads(left.notebook.read_text(encoding="utf-8"))
    texts = "\n".join(said_in(executed))
    assert [text for text in said if text not in texts] == []
    names = ("ACCA (acca.media", "The Astana Times", "Trend (trend.az")  # publishers
    given = "indicator registered, region KZ"  # the run's parameters, where it is cited
    left_over = [one for one in left_in_english(executed) if not one.startswith((*names, given))]
    assert left_over == []


def test_new_region_runs_with_a_part_of_a_year(tmp_path):
    left = run("trends", {"region": "KZ-10"}, tmp_path)
    assert left.record["status"] == "completed"
    assert left.record["results"]["registered_2022"]["note"].startswith("Split off from East")
    assert "8 June–31 December 2022" in left.page.read_text(encoding="utf-8")


def test_region_without_a_known_period_goes_on(tmp_path):
    left = run("trends", {"indicator": "complaints", "region": "KZ-61"}, tmp_path)
    assert left.record["status"] == "completed"
    assert [*left.record["results"]] == ["complaints_not_known_p0029"]
    assert "nothing to draw, no period is known" in left.page.read_text(encoding="utf-8")


def test_former_region_runs_without_a_report_of_it_and_with_one(tmp_path, monkeypatch):
    parameters, store = {"region": "KZ-61+79"}, Store(tmp_path / "store")
    monkeypatch.setenv("KZRESEARCH_STORE", store.where)
    left = run("trends", parameters, tmp_path / "without")
    assert left.record["results"] == {}
    assert "No published figure" in left.page.read_text(encoding="utf-8")
    store.put("2017-12", [taken("2017-12", "KZ-61+79", torture(4, 1))])
    left = run("trends", parameters, tmp_path / "with")
    assert left.record["results"]["registered_2017"]["value"] == 4


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"indicator": "registred"}, "unknown indicator 'registred'; the table has: complaints, "),
        ({"indicator": "complaints", "unclear": "false"}, "all 50 of them are unclear"),
    ],
)
def test_wrong_use_ends_in_one_sentence(parameters, message, tmp_path):
    with pytest.raises(KzresearchError, match=message):
        run("trends", parameters, tmp_path)


def test_one_period_of_workbooks_is_one_sentence(ran):
    record, page, outputs = ran[0].record, ran[1], ran[2]
    assert page.count("1 period of workbooks on Kazakhstan at hand (January–December 2022)") == 1
    assert "Add the reports of other periods with <code>kzresearch ingest</code>" in page
    assert len([one for one in outputs if CHART in one.get("data", {})]) == 1
    assert not [name for name in record["results"] if "_to_" in name or "in_month" in name]
    assert record["parameters"]["article"] == "146"


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Almaty's reports of 2023, and of February 2024; for East Kazakhstan those of March 2023 and 2024."""
    store = Store(tmp_path_factory.mktemp("store"))
    months = enumerate(zip(REGISTERED, IN_MONTH, strict=True), 1)
    for month, (registered, alone) in months:
        figures = torture(registered, alone) | {TERMINATED: 2 * month}
        store.put(f"2023-{month:02d}", [taken(f"2023-{month:02d}", "KZ-75", figures)])
    store.put("2024-02", [taken("2024-02", "KZ-75", torture(3, 2))])
    for period in ("2023-03", "2024-03"):
        store.put(period, [taken(period, "KZ-63", torture(1, 1))])
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KZRESEARCH_STORE", store.where)
        yield store


@pytest.fixture(scope="module")
def several(stored, tmp_path_factory):
    left = run("trends", {"region": "KZ-75"}, tmp_path_factory.mktemp("several"))
    notebook = json.loads(left.notebook.read_text(encoding="utf-8"))
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    return left, left.page.read_text(encoding="utf-8"), outputs


def test_reports_of_several_periods_are_recorded_each_from_its_own(several):
    results = several[0].record["results"]
    for month, (registered, alone) in enumerate(zip(REGISTERED, IN_MONTH, strict=True), 1):
        since = results[f"registered_to_2023_{month:02d}"]
        own = results[f"registered_in_month_2023_{month:02d}"]
        assert (since["value"], own["value"]) == (registered, alone)
        workbook = sha(f"2023-{month:02d}", "KZ-75")
        assert since["cells"] == [{"workbook": workbook, "cell": "R1!F70"}]
        assert own["cells"] == [{"workbook": workbook, "cell": "R1-1!H70"}]
    assert results["registered_to_2022_12"]["value"] == 24
    assert results["registered_in_month_2022_12"]["value"] == 8
    assert "Article 146. Torture, January–June 2023" in results["registered_to_2023_06"]["note"]
    assert "net: " in results["registered_in_month_2023_06"]["note"]


def test_missing_report_is_recorded_as_null(several):
    results = several[0].record["results"]
    january, march = results["registered_in_month_2024_01"], results["registered_to_2024_03"]
    assert january["value"] is march["value"] is None
    assert january["text"] == march["text"] == "no report"
    assert january["cells"] == []


def test_page_says_what_is_missing_and_why_months_do_not_add_up(several):
    page = several[1]
    for words in (
        "workbooks of 14 periods, from January–December 2022 to January–February 2024; no report "
        "of January 2024, March 2024.",
        "<strong>2022</strong>: 24 registered, net at the end of the year (181 gross, with 157 "
        "terminated on rehabilitating grounds). Its months are not added: only 1 of them has a figure.",
        "<strong>2023</strong>: 9 registered, net at the end of the year (33 gross, with 24",
        "add up to 19, 10 more than the year's, and are no figure of the year",
        "The form, its title of the article and the region's bounds are the same",
    ):
        assert words in page


def test_chart_of_reports_is_told_in_words(several):
    _, spec = [o["data"][CHART] for o in several[2] if CHART in o.get("data", {})]
    said = spec["description"]
    assert "January–December 2023: 9; January 2024: no figure; January–February 2024: 3" in said
    assert "2023-02: 4; 2023-03: 0;" in said


@pytest.mark.usefixtures("stored")
def test_points_are_joined_within_a_year_where_none_is_missing():
    almaty = over_periods(region="KZ-75").cumulative_drawn().drop_nulls("value")
    runs = almaty.group_by("series", maintain_order=True).agg("period")["period"].to_list()
    assert [len(run) for run in runs] == [1, 12, 1]
    assert runs[1][0] == "2023-01"


@pytest.mark.usefixtures("stored")
def test_changes_of_bounds_are_numbered_and_their_figures_hollow():
    east = over_periods(region="KZ-63")
    drawn = east.cumulative_drawn()
    assert drawn.filter(pl.col("change").is_not_null()).select("period", "change", "clear").rows() == [
        ("2022-12", 1, False),
        ("2023-03", 2, True),
    ]
    assert (
        "- **1**, January–December 2022: its bounds change on 2022-06-08, within this period.\n"
        "- **2**, January–March 2023: the first report of a period wholly after the change of "
        "2022-06-08."
    ) in east.explained().data


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("ru", "первый — январь–декабрь 2022 года, последний — январь–март 2024 года; отчёта нет"),
        ("kk", "біріншісі — 2022 жылғы қаңтар–желтоқсан, соңғысы — 2024 жылғы қаңтар–наурыз"),
    ],
)
def test_reports_are_told_in_the_readers_language_and_marked_as_in_english(language, said):
    east = over_periods(region="KZ-63")
    with speaking(language):
        translated = over_periods(region="KZ-63")
        assert said in translated.summary().data
        told = "\n".join([translated.explained().data, *map(str, translated.table().frame.rows())])
        changed = translated.cumulative["bounds_change"].drop_nulls()
    assert RUN.findall(told) == []
    assert not changed.str.contains("2022-06-08").any()
    for mine, same in (
        (translated.cumulative_drawn(), east.cumulative_drawn()),
        (translated.monthly_drawn(), east.monthly_drawn()),
    ):
        kept = [name for name in same.columns if name != "note"]
        assert mine.select(kept).equals(same.select(kept))


@pytest.mark.usefixtures("stored")
def test_sums_of_other_regions_than_before_are_hollow():
    country = over_periods()
    assert "in 14 of 15 periods the sum for the country lacks regions" in country.summary().data
    drawn = country.cumulative_drawn()
    assert drawn.filter("clear")["period"].to_list() == ["2022-12"]
    assert "Its months are not added: not all of their reports cover the same" in country.explained().data

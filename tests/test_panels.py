"""Panels and registrations of single months: what is there, what is missing, what changed."""

import warnings
from datetime import date

import polars as pl
import pytest

import kzresearch as kz
from kzresearch.errors import IncompleteSumWarning, UnknownValueError
from kzresearch.panels import NET, NO_REPORT
from kzresearch.series import over_periods
from kzresearch.store import Store
from tests.stored import sha, taken, torture

REGISTERED = [2, 5, 4, 4, 6, 7, 7, 9, 8, 8, 10, 9]  # net: it falls where cases are closed
IN_MONTH = [2, 4, 0, 1, 3, 1, 0, 3, 1, 0, 3, 1]
EAST, ABAI, ALMATY = "KZ-63", "KZ-10", "KZ-75"


@pytest.fixture(scope="module")
def year(tmp_path_factory):
    """A store with 2023: Almaty but for August, Abai and East Kazakhstan; nobody's report of May.

    Before it, East Kazakhstan from April to July 2022.
    """
    folder = tmp_path_factory.mktemp("year")
    store = Store(folder)
    for month, (registered, alone) in enumerate(zip(REGISTERED, IN_MONTH, strict=True), 1):
        period = f"2023-{month:02d}"
        regions = [ABAI, EAST] if month == 8 else [ABAI, EAST, ALMATY] if month != 5 else []
        reports = [taken(period, one, torture(registered, alone)) for one in regions]
        if reports:
            store.put(period, reports)
    for month in (4, 5, 6, 7):
        store.put(f"2022-{month:02d}", [taken(f"2022-{month:02d}", EAST, torture(1, 0))])
    return folder


@pytest.fixture
def stored(year, monkeypatch):
    monkeypatch.setenv("KZRESEARCH_STORE", str(year))


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A store of one's own, in which nothing is yet."""
    monkeypatch.setenv("KZRESEARCH_STORE", str(tmp_path))
    return Store(tmp_path)


def column(frame: pl.DataFrame, name: str) -> dict[str, object]:
    return dict(frame.select("period", name).iter_rows())


@pytest.mark.usefixtures("stored")
def test_panel_has_cumulative_figures_with_their_months_and_cells():
    frame = kz.panel(region=ALMATY).filter(pl.col("period") >= "2022-12")
    expected = {f"2023-{n:02d}": v for n, v in enumerate(REGISTERED, 1) if n not in (5, 8)}
    expected |= {"2022-12": 24, "2023-08": None}
    assert column(frame, "value") == expected
    assert frame["period"].is_sorted()
    assert frame["months"].to_list() == [12, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12]
    june = frame.row(by_predicate=pl.col("period") == "2023-06", named=True)
    assert (june["workbook"], june["cell"]) == (sha("2023-06", ALMATY), "R1!F70")
    assert (june["source"], june["form_version"], june["unit"]) == ("form_1m", "2022", "offences")


@pytest.mark.usefixtures("stored")
def test_missing_report_is_a_row_with_null_and_a_note():
    august = kz.panel(region=ALMATY, period="2023-08").row(0, named=True)
    assert august["value"] is None
    assert august["note"] == NO_REPORT
    assert august["workbook"] is august["source"] is august["form_version"] is None


@pytest.mark.usefixtures("stored")
def test_every_region_that_should_have_reported_has_a_row():
    frame = kz.panel()
    rows = frame.group_by("period").len()
    # 17 regions before June 2022, 20 since
    assert set(rows.filter(pl.col("period") < "2022-06")["len"]) == {17}
    assert set(rows.filter(pl.col("period") >= "2022-06")["len"]) == {20}
    assert rows.height == 4 + 1 + 11
    assert frame.select("period", "region").is_unique().all()
    assert "KZ" not in frame["region"]
    assert frame["value"].count() == 4 + 20 + 11 * 3 - 1


def test_south_kazakhstan_is_expected_until_it_was_divided(empty):
    for period in ("2018-05", "2018-06"):
        empty.put(period, [taken(period, ALMATY, torture(1, 1))])
    regions = kz.panel(period=["2018-05", "2018-06"]).group_by("period").agg("region")
    by_period = {period: set(of) for period, of in regions.iter_rows()}
    assert by_period["2018-05"] - by_period["2018-06"] == {"KZ-61+79"}
    assert by_period["2018-06"] - by_period["2018-05"] == {"KZ-61", "KZ-79"}


@pytest.mark.usefixtures("stored")
def test_bounds_of_a_parted_region_are_marked_within_the_period_and_after_it():
    east = kz.panel(region=EAST)
    assert {p: v for p, v in column(east, "bounds_change").items() if v} == {
        "2022-06": "its bounds change on 2022-06-08, within this period",
        "2023-01": "the first report of a period wholly after the change of 2022-06-08",
    }
    notes = column(east, "note")
    assert [p for p, note in notes.items() if note] == ["2022-06", "2022-07", "2022-12"]
    assert notes["2022-07"].startswith("Smaller from 2022-06-08")


@pytest.mark.usefixtures("stored")
def test_new_region_begins_and_others_keep_their_bounds():
    abai = column(kz.panel(region=ABAI), "bounds_change")
    assert min(abai) == "2022-06"
    assert {period for period, change in abai.items() if change} == {"2022-12", "2023-01"}
    assert abai["2022-12"] == "the region begins on 2022-06-08, within this period"
    assert not kz.panel(region=ALMATY)["bounds_change"].count()


def test_change_of_bounds_between_two_reports_is_marked(empty):
    for period in ("2021-12", "2023-12"):
        empty.put(period, [taken(period, EAST, torture(1, 0))])
    frame = kz.panel(region=EAST, period=["2021-12", "2023-12"])
    expected = "its bounds change on 2022-06-08, between this report and the one before"
    assert frame["bounds_change"].to_list() == [None, expected]
    assert frame["note"][1].startswith("Smaller from 2022-06-08")


@pytest.mark.usefixtures("stored")
def test_country_is_a_sum_that_says_what_it_lacks():
    with pytest.warns(IncompleteSumWarning, match="lacks regions in 15 of 17 periods"):
        frame = kz.panel(region="KZ")
    notes = column(frame, "note")
    assert notes["2023-08"] == "the sum of KZ-10, KZ-63 alone"
    assert notes["2022-12"] is None
    assert column(frame, "value")["2023-08"] == 2 * REGISTERED[7]
    assert column(frame, "value")["2021-02"] == 88
    assert column(frame, "source")["2021-02"] == "acca_2021"
    august = frame.row(by_predicate=pl.col("period") == "2023-08", named=True)
    assert {one["workbook"] for one in august["cells"]} == {sha("2023-08", r) for r in (ABAI, EAST)}
    assert august["workbook"] is None
    assert august["form_version"] == "2022"


@pytest.mark.usefixtures("stored")
def test_sum_that_lacks_few_regions_names_them(year, tmp_path, monkeypatch):
    store = Store(tmp_path)
    lacking = {"KZ-10", "KZ-79"}
    regions = [r for r in kz.load_regions()["region"] if r not in lacking]
    store.put("2024-03", [taken("2024-03", r, torture(1, 0)) for r in regions])
    monkeypatch.setenv("KZRESEARCH_STORE", str(tmp_path))
    with pytest.warns(IncompleteSumWarning):
        row = kz.panel(region="KZ", period="2024-03").row(0, named=True)
    assert (row["value"], row["note"]) == (18, "the sum lacks KZ-10, KZ-79")


def test_national_workbook_stands_before_a_sum_and_a_publication(empty):
    empty.put("2021-02", [taken("2021-02", "KZ", torture(90, 40))])
    empty.put("2021-02", [taken("2021-02", ALMATY, torture(10, 4))])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        row = kz.panel(region="KZ", period="2021-02").row(0, named=True)
    assert (row["value"], row["workbook"], row["cell"]) == (90, sha("2021-02", "KZ"), "R1!F70")
    assert row["note"] == "acca_2021 has 88"


def test_what_a_publication_does_not_report_is_null():
    row = kz.panel("188", region="KZ", period="2021-02").row(0, named=True)
    assert row["value"] is None
    assert row["note"] == "acca_2021 does not report it"
    assert (row["source"], row["form_version"]) == ("acca_2021", None)


def test_rows_of_the_form_other_than_articles():
    frame = kz.panel("total", "in_proceedings", region=ALMATY)
    assert frame["value"].item() > 10_000
    assert frame["law_change"].item() is None


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"article": "1460"}, "unknown article '1460'"),
        ({"measure": "registred"}, "near matches: registered"),
        ({"section": "R99"}, "unknown section 'R99'"),
        ({"region": "KZ-99"}, "unknown region 'KZ-99'"),
        ({"period": "2023-05"}, "unknown period '2023-05'"),
        ({"period": []}, "no period given"),
        ({"measure": ["registered", "completed"]}, "one measure at a time, not"),
        ({"region": ABAI, "period": "2022-04"}, "KZ-10 did not report in 2022-04"),
    ],
)
def test_wrong_use_of_a_panel_is_one_sentence(wrong, message):
    with pytest.raises(UnknownValueError, match=message):
        kz.panel(**wrong)


@pytest.mark.usefixtures("stored")
def test_month_is_the_column_of_its_own_report():
    frame = kz.monthly_registrations(region=ALMATY).filter(pl.col("period") >= "2023-01")
    gone = (5, 8)
    expected = {f"2023-{n:02d}": None if n in gone else v for n, v in enumerate(IN_MONTH, 1)}
    assert column(frame, "value") == expected
    assert frame["month"][0] == date(2023, 1, 1)
    assert frame["cell"].drop_nulls().unique().to_list() == ["R1-1!H70"]
    notes = column(frame, "note")
    assert notes["2023-05"] == notes["2023-08"] == NO_REPORT
    assert set(notes.values()) == {NO_REPORT, NET}
    # The difference of two reports would be another figure, below 0 in March.
    assert REGISTERED[2] - REGISTERED[1] < 0 == expected["2023-03"]


@pytest.mark.usefixtures("stored")
def test_months_of_regions_and_country_run_from_the_first_workbook_to_the_last():
    with pytest.warns(IncompleteSumWarning):
        country = kz.monthly_registrations(region="KZ")
    assert country.height == 21  # April 2022 to December 2023
    assert column(country, "value")["2023-04"] == 3 * IN_MONTH[3]
    assert column(country, "value")["2022-08"] is None
    every = kz.monthly_registrations()
    assert every.height == 2 * 17 + 19 * 20
    assert every["value"].count() == 4 + 20 + 11 * 3 - 1


@pytest.mark.usefixtures("stored")
def test_bounds_in_a_month_are_those_of_the_month():
    frame = kz.monthly_registrations(region=EAST)
    changes = {p: v for p, v in column(frame, "bounds_change").items() if v}
    assert list(changes) == ["2022-06", "2022-07"]
    notes = column(frame, "note")
    assert "Smaller from 2022-06-08" in notes["2022-06"]
    assert notes["2022-07"] == NET


@pytest.mark.usefixtures("stored")
def test_months_asked_for_and_the_other_column():
    frame = kz.monthly_registrations(
        period=["2023-01", "2023-04"], region=ALMATY, measure="registered_committed_in_month"
    )
    assert frame["value"].to_list() == [IN_MONTH[0] // 2, IN_MONTH[3] // 2]
    assert frame["cell"].to_list() == ["R1-1!G70"] * 2


@pytest.mark.parametrize("measure", ["registered", "in_proceedings", "sent_to_court"])
def test_what_would_need_a_difference_of_reports_is_refused(measure):
    with pytest.raises(UnknownValueError) as refused:
        kz.monthly_registrations(measure=measure)
    assert str(refused.value) == (
        f"'{measure}' has no column for the month alone, and reports are cumulative and net: their "
        "difference is not a month's figure; ask for registered_committed_in_month or "
        "registered_in_month"
    )


VERSION = """
form = "2024"
base = "2022"
complete = true
from = "2024-01"

[removed_rows]
R1 = [64]

[[row]]
caption = "Жестокое обращение, пытки (ст.146)"
at = { R1 = 64 }
was = "Пытки (ст.146)"
row = "article:146"
title_ru = "Жестокое обращение, пытки"
name = "Article 146. Cruel treatment, torture"

[[row]]
caption = "Склонение к пыткам (ст.146-1)"
at = { R1 = 65 }
row = "article:146-1"
kind = "article"
chapter = "3"
article = "146-1"
title_ru = "Склонение к пыткам"
name = "Article 146-1. Inducement to torture"

[removed_columns]
R1-1 = [4]
"""


@pytest.fixture
def changed(empty, tmp_path):
    """Almaty's reports of two versions of the form: by 2024 torture has another title in R1, there

    is one article more, and a column is gone.
    """
    (tmp_path / "forms").mkdir()
    (tmp_path / "forms" / "2024.toml").write_text(VERSION, encoding="utf-8")
    gone = ("R1-1", "article:146", "registered_in_month")
    for period, version, registered in (("2023-12", "2022", 9), ("2024-02", "2024", 3)):
        figures = torture(registered, 1)
        if version == "2024":
            del figures[gone]
            figures["R1", "article:146-1", "registered"] = 2
        empty.put(period, [taken(period, ALMATY, figures, version)])
    empty.put("2024-02", [taken("2024-02", ABAI, torture(1, 1))])


@pytest.mark.usefixtures("changed")
def test_another_version_and_another_title_are_marked():
    frame = kz.panel(region=ALMATY, period=["2022-12", "2023-12", "2024-02"])
    assert frame["value"].to_list() == [24, 9, 3]
    assert frame["form_version"].to_list() == ["2022", "2022", "2024"]
    assert frame["form_change"].to_list() == [
        None,
        None,
        "version 2024 of the form in place of 2022",
    ]
    title = "the form's title changed from «Пытки» to «Жестокое обращение, пытки»"
    assert frame["law_change"].to_list() == [None, None, title]


@pytest.mark.usefixtures("changed")
def test_article_that_is_new_in_the_form_is_null_before_it():
    frame = kz.panel("146-1", region=ALMATY, period=["2023-12", "2024-02"])
    assert frame["value"].to_list() == [None, 2]
    assert frame["law_change"].to_list() == [None, "new in the form"]
    assert frame["note"].to_list() == ["version 2022 of the form has no such figure", None]
    assert frame["workbook"][0] == sha("2023-12", ALMATY)
    assert frame["cell"].to_list() == [None, "R1!F71"]


@pytest.mark.usefixtures("changed")
def test_column_that_a_version_lacks_is_null_and_no_report_is_subtracted():
    frame = kz.monthly_registrations(region=ALMATY, period=["2023-12", "2024-02"])
    assert frame["value"].to_list() == [1, None]
    assert frame["note"][1] == "version 2024 of the form has no such figure"


@pytest.mark.usefixtures("changed")
@pytest.mark.filterwarnings("ignore::kzresearch.errors.IncompleteSumWarning")
def test_sum_of_reports_of_several_versions():
    row = kz.panel(region="KZ", period="2024-02").row(0, named=True)
    assert (row["value"], row["form_version"]) == (4, "2022, 2024")
    row = kz.panel("146-1", region="KZ", period="2024-02").row(0, named=True)
    assert row["value"] is None
    expected = "no sum: versions 2022, 2024 of the form do not all have this figure; the sum of"
    assert row["note"].startswith(expected)


@pytest.mark.usefixtures("changed")
def test_series_tells_a_missing_report_from_a_form_without_the_month():
    almaty = over_periods(region=ALMATY)
    assert almaty.summary().data.endswith(
        "no report of January 2023 to November 2023, January 2024; no figure of the month alone in "
        "February 2024."
    )
    assert (
        "- **1**, January–February 2024: version 2024 of the form in place of 2022; the form's title "
        "changed from «Пытки» to «Жестокое обращение, пытки»."
    ) in almaty.explained().data
    assert "**2023**: 9 registered" in almaty.explained().data
    noted = {name: one.note for name, one in almaty.figures().items()}
    assert noted["registered_to_2023_12"] == "Article 146. Torture, January–December 2023"
    title = "Article 146. Cruel treatment, torture, January–February 2024"
    assert noted["registered_to_2024_02"] == title


def test_a_region_of_which_no_report_is_at_hand_is_one_sentence():
    for made in (kz.panel, kz.monthly_registrations):
        with pytest.raises(kz.UnknownValueError, match=r"KZ-61\+79 are at hand; kzresearch ingest"):
            made("146", region="KZ-61+79")

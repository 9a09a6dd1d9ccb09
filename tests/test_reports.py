"""The period report: its figures, and the sentences that follow from them."""

import random

import polars as pl
import pytest

import kzresearch as kz
from kzresearch import figures
from kzresearch.figures import Cell, Figure, UnitError
from kzresearch.form_1m import codebook
from kzresearch.language import speaking

PRESS = {
    "offences_registered": 32_270,
    "registered_especially_grave": 459,
    "registered_grave": 7_607,
    "registered_medium": 14_281,
    "registered_minor": 5_491,
    "registered_misdemeanours": None,
    "registered_without_severity": 4_432,
    "chapter_registered": 366,
    "article_registered": 88,
    "article_registered_grave_or_especially_grave": 50,
    "article_registered_against_women": 4,
    "article_registered_against_minors": 1,
    "article_completed": 1,
    "article_sent_to_court": 1,
    "article_terminated_rehabilitating": None,
    "article_terminated_unspecified": 40,
    "article_term_expired": None,
    "article_term_expired_unspecified": 8,
    "article_gross_caseload": None,
    "article_gross_caseload_at_least": 128,
    "article_with_reported_outcome": 9,
    "freedom_in_the_world_total": 23,
}
YEAR = {
    "offences_registered": 155_200,
    "registered_especially_grave": 2_200,
    "registered_grave": 43_663,
    "registered_medium": 66_617,
    "registered_minor": 22_548,
    "registered_misdemeanours": 20_171,
    "chapter_registered": 703,
    "article_registered": 98,
    "article_registered_grave_or_especially_grave": 76,
    "article_registered_against_women": 4,
    "article_registered_against_minors": 2,
    "article_completed": 10,
    "article_sent_to_court": 10,
    "article_terminated_rehabilitating": 812,
    "article_terminated_unspecified": None,
    "article_term_expired": 1,
    "article_term_expired_unspecified": None,
    "article_interrupted": 14,
    "article_pending": 81,
    "article_gross_caseload": 918,
    "article_gross_registered": 807,
    "article_gross_caseload_at_least": None,
}


@pytest.mark.parametrize(("period", "expected"), [("2021-02", PRESS), ("2022-12", YEAR)])
def test_figures_are_those_of_the_sources(period, expected):
    found = kz.period_report(period).figures
    assert {name: found[name].value for name in expected} == expected


def test_edition_is_the_one_published_in_the_year_and_the_one_that_reviews_it():
    found = kz.period_report("2021-02").figures
    assert found["freedom_in_the_world_status"].text == "Not Free"
    assert found["freedom_in_the_world_total"].note == "edition 2021, which reviews 2020"
    frame = kz.period_report("2021-02").freedom()
    assert frame.select("edition", "year_reviewed", "relation").rows() == [
        (2021, 2020, "published in 2021"),
        (2022, 2021, "reviews 2021"),
    ]


def test_kept_report_follows_the_language():
    report = kz.period_report("2021-02")
    english = report.figures["article_completed"].note
    with speaking("ru"):
        told = report.figures
        assert told["article_completed"].note.startswith("В английском отчёте сказано")
        assert told["freedom_in_the_world_status"].text == "несвободная"
        assert report.title == "Казахстан, январь–февраль 2021 года"
    assert report.figures["article_completed"].note == english
    assert {name: one.value for name, one in told.items()} == {
        name: one.value for name, one in report.figures.items()
    }


def test_each_of_several_notes_is_told():
    found = kz.period_report("2022-12")
    with speaking("kk"):
        note = found.figures["article_term_expired"].note
    assert note == (
        "тар есептеу; PRIL5–PRIL11 кең term_expired_or_reopened қолданады, сондықтан екеуі ешқашан "
        "сәйкеспейді"
    )


def test_consistency_notes_of_the_press_report():
    assert kz.period_report("2021-02").consistency() == [
        (
            "The four severities sum to 27,838 of 32,270 offences; the rest, 4,432, are misdemeanours "
            "and any crime without a severity, which the report does not give."
        ),
        "The 6 articles of chapter 3 that are reported sum to 366, the figure of the chapter.",
        (
            "9 of the 88 registered have a reported outcome: 1 completed and 8 with an expired (or "
            "interrupted) term."
        ),
        (
            "Conclusion: at least 128 cases were on the books. Premise: completed (1) = sent to court "
            "(1) + terminated on other grounds, so none of the 40 terminations was on other grounds; "
            "all 40 were on rehabilitating grounds and have left the 88 registered."
        ),
    ]


def test_consistency_notes_of_the_year():
    assert kz.period_report("2022-12").consistency() == [
        (
            "The four severities sum to 135,028 of 155,200 offences; with the 20,171 misdemeanours 1 "
            "crime is left, without a severity."
        ),
        "The 15 articles of chapter 3 that are reported sum to 703, the figure of the chapter.",
        (
            "Completed, 10, against sent to court, 10, and terminated on other grounds, 0: as it "
            "should be."
        ),
        (
            "In proceedings (net): 106, of which with an outcome 25 and pending 81. Terminated on "
            "rehabilitating grounds: 812, beside these, not among them; so the gross caseload is "
            "918."
        ),
    ]


def test_summary_is_the_press_report():
    assert kz.period_report("2021-02").summary().data == (
        "For Kazakhstan, January–February 2021, the press report has **32,270 registered offences**, "
        "read as net of terminations on rehabilitating grounds, as in the form of 2022: 459 especially grave, 7,607 grave, 14,281 of "
        "medium gravity, 5,491 of minor gravity. 366 of them fall under chapter 3, **88 under "
        "article 146** (Torture). Under this article the source counts 50 grave or especially "
        "grave, 4 against women, 1 against minors. On those against women and minors: The report "
        "leaves open whether this is a part of all torture offences registered (R1) or of those "
        "grave or especially grave (PRIL11). Of its cases, as far as reported: 1 "
        "completed; 1 sent to court; 40 terminated, grounds not stated; 8 term expired or interrupted (wording "
        "ambiguous). At least 128 cases were on the books, as concluded below. Freedom in the "
        "World 2021 rates Kazakhstan Not Free, 23 of 100."
    )


def test_summary_says_whose_workbooks_are_meant():
    said = kz.period_report("2022-12").summary().data
    assert "the workbooks of 20 regions have **155,200 registered offences**, net of" in said
    assert "military bodies file workbooks of their own, which are not held" in (
        kz.period_report("2022-12", article="437").summary().data
    )
    region = kz.period_report("2022-12", "KZ-75").summary().data
    assert "For Almaty, January–December 2022, the region's workbook has **" in region


def test_summary_says_what_is_nought_and_what_is_not_reported():
    assert "No case of this article is counted." in (
        kz.period_report("2022-12", "KZ-62").summary().data
    )
    assert "What became of its cases is not reported." in (
        kz.period_report("2021-02", article="147").summary().data
    )


def test_summary_of_the_year_states_its_denominator():
    text = kz.period_report("2022-12").summary().data
    assert "**98 under article 146** (Torture)" in text
    assert (
        "The **gross caseload was 918**: 812 terminated on rehabilitating grounds; 10 sent "
        "to court; 14 term interrupted; 1 term expired; 81 pending."
    ) in text


def test_every_figure_of_the_year_leads_to_cells():
    for name, one in kz.period_report("2022-12").figures.items():
        assert (len(one.cells) >= 1) == (one.value is not None or one.shown is not None), name
        assert all(len(cell.workbook) == 64 for cell in one.cells), name
    gross = kz.period_report("2022-12").figures["article_gross_caseload"]
    assert {cell.cell for cell in gross.cells} == {"R1!E70", "R1!Q70"}
    assert len(gross.cells) == 40
    assert gross.formula == "in_proceedings + terminated_rehabilitating"


def test_press_figures_lead_to_their_source():
    for name, one in kz.period_report("2021-02").figures.items():
        if one.value is not None and not name.startswith("freedom"):
            assert one.sources == ("acca_2021",), name


@pytest.mark.slow
def test_gross_caseload_is_what_its_outcomes_add_up_to_wherever_one_looks():
    articles = codebook.row_names().filter(kind="article")["article"].to_list()
    chosen = random.Random(1).sample(articles, 12)
    for region in ("KZ", "KZ-75", "KZ-43", "KZ-62"):
        for article in ["146", *chosen]:
            report = kz.period_report("2022-12", region, article)
            outcomes = report.outcomes()["value"].sum()
            gross = report.figures["article_gross_caseload"]
            assert outcomes == gross.value, (region, article)
            assert report.figures["article_pending"].value >= 0
            assert report.consistency()
            assert "unequal" not in " ".join(report.consistency())


def test_region_without_registered_cases_still_shows_its_terminations():
    found = kz.period_report("2022-12", "KZ-43").figures
    assert found["article_registered"].value == 0
    assert found["article_terminated_rehabilitating"].value == 70
    assert found["article_gross_caseload"].value == 70
    assert found["article_registered"].cells == (
        Cell(kz.load_workbooks().filter(region="KZ-43")["sha256"].item(), "R1!F70"),
    )


def test_number_as_article_is_the_article():
    assert kz.period_report("2022-12", "KZ", 146).article == "146"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("2022-11",), "unknown period '2022-11'; near matches: 2022-12"),
        (("2022-12", "KZ-99"), "unknown region 'KZ-99'"),
        (("2022-12", "KZ", "1466"), "unknown article '1466'"),
        (("2022-12", "KZ", "000"), "unknown article '000'"),
        (("2021-02", "KZ-75"), "2021-02 has no figures for KZ-75; it has: KZ"),
        (
            ("2021-02", "KZ", "362"),
            "2021-02 reports nothing on article 362; it reports on: 146, 147, 148, 149, 152, 156",
        ),
    ],
)
def test_report_on_what_is_not_there_is_one_sentence(arguments, message):
    with pytest.raises(kz.UnknownValueError, match=message):
        kz.period_report(*arguments)


def test_severities_and_the_rest_are_all_offences_registered():
    for period in ("2021-02", "2022-12"):
        report = kz.period_report(period)
        total = report.severity()["value"].sum()
        left = report.figures["offences_registered"].value - total
        assert left == (0 if period == "2021-02" else 1)


def test_reported_misdemeanours_win_over_the_rest():
    assert kz.period_report("2022-12").severity()["label"][-1] == "misdemeanours"
    press = kz.period_report("2021-02").severity()
    assert press["label"][-1] == "misdemeanours and crimes without severity"


def test_sums_keep_the_cells_of_both_and_nothing_is_added_to_what_is_not_reported():
    one = Figure(1, "offences", (Cell("a", "R1!E7"),), ("x",))
    two = Figure(2, "offences", (Cell("b", "R1!F7"), Cell("a", "R1!E7")), ("x", "y"))
    both = one + two
    assert both.value == 3
    assert both.cells == (Cell("a", "R1!E7"), Cell("b", "R1!F7"))
    assert both.sources == ("x", "y")
    assert (two - one).value == 1
    assert (one + Figure(None, "offences")).value is None
    assert Figure(None, "offences").text == "not reported"


def test_units_are_never_mixed():
    with pytest.raises(UnitError, match="offences and persons cannot be added"):
        Figure(1, "offences") + Figure(1, "persons")


def test_figures_are_looked_up_where_each_stands_once():
    frame = kz.load_form_1m("2022-12", section="R1", article="146")
    with pytest.raises(kz.KzresearchError, match="several figures for R1, article:146, "):
        figures.Lookup(frame)
    lookup = figures.Lookup(frame.filter(region="KZ-75"))
    assert lookup("R1", "article:146", "registered", "offences").value == 24
    assert lookup("R1", "article:146", "not_there", "offences") == Figure(None, "offences")


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (1234, "1,234"), (2.5, "2.5"), (1234.125, "1,234.125")]
)
def test_numbers_are_shown_with_commas(value, text):
    assert figures.number(value) == text


def test_report_agrees_with_the_table_for_every_region():
    regional = kz.load_form_1m("2022-12", section="R1", article="146")
    for region in kz.load_regions()["region"]:
        found = kz.period_report("2022-12", region).figures
        own = regional.filter(pl.col("region") == region)
        for name in ("registered", "in_proceedings", "terminated_rehabilitating", "interrupted"):
            assert found[f"article_{name}"].value == own.filter(measure=name)["value"].item()

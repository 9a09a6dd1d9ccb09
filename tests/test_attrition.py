"""What a case flow tells: origins, comparison, double counting, and the figures recorded of it."""

import polars as pl
import pytest

import kzresearch as kz
from kzresearch import attrition, flows, tables
from kzresearch.errors import UnknownValueError
from kzresearch.figures import Figure, estimate, origin, percent, with_limits
from kzresearch.store import store
from tests.stored import taken


@pytest.fixture(scope="module")
def torture():
    return kz.case_flow("2022-12"), kz.case_flow("2022-12", cohort=True)


@pytest.fixture(scope="module")
def press():
    return kz.case_flow("2021-02"), kz.case_flow("2021-02", cohort=True)


def flow_of(counts: dict[str, float | None]) -> pl.DataFrame:
    """A case flow with these counts, shares taken of `gross_caseload`."""
    gross = counts["gross_caseload"]
    lines = [
        {
            "step": step,
            "label": step,
            "kind": "outcome" if step in {one.name for one in flows.OUTCOMES} else "base",
            "count": count,
            "share": None if None in (count, gross) or not gross else count / gross,
            "cells": [],
            "sources": [],
        }
        for step, count in counts.items()
    ]
    return pl.DataFrame(lines, schema=flows.SCHEMA)


def test_origins_part_every_disposition_and_add_up(torture):
    split = attrition.origins(*torture)
    by_label = {line["label"]: line for line in split.to_dicts()}
    ended = by_label["terminated on rehabilitating grounds"]
    assert (ended["count"], ended["of_year"], ended["carried_over"]) == (812, 709, 103)
    assert split["of_year"].sum() == 807
    assert split["carried_over"].sum() == 111
    assert (split["of_year"] + split["carried_over"]).to_list() == split["count"].to_list()


def test_origins_are_null_where_the_year_has_more_than_all():
    flow = flow_of({"gross_caseload": 3, "sent_to_court": 1, "pending": 2})
    cohort = flow_of({"gross_caseload": 3, "sent_to_court": 2, "pending": 1})
    split = attrition.origins(flow, cohort)
    assert split["of_year"].null_count() == split["carried_over"].null_count() == 2
    assert split["count"].to_list() == [1, 2]


def test_summary_says_what_became_of_all_cases(torture):
    said = attrition.summary(*torture).data
    assert (
        "**918 cases** were on the books: 807 registered in the year and 111 carried over." in said
    )
    assert "**812 terminated on rehabilitating grounds (88.5 %)**; 81 pending (8.8 %)" in said
    assert "10 sent to court (1.1 %)" in said
    assert (
        "Of the 807 registered in the year itself, terminated on rehabilitating grounds within"
        in said
    )
    assert "within it: 709 (87.9 %); sent to court within it: 4 (0.5 %)." in said
    assert "The official *registered* is net: it says 98" in said


def test_summary_of_a_press_report_says_what_is_missing(press):
    said = attrition.summary(*press).data
    assert "does not report what the gross caseload needs" in said
    assert "Registered (net): 88; as far as reported: 1 sent to court; 40 terminated" in said
    assert "%" not in said


def test_summary_of_no_case_and_of_dispositions_that_do_not_add_up():
    none = flow_of({"gross_caseload": 0, "pending": 0, "registered": 0})
    said = "No case of this article was on the books of the bodies whose workbooks are held."
    assert attrition.summary(none, none).data == said
    odd = flow_of(
        {
            "gross_caseload": 5,
            "gross_registered": 5,
            "gross_carried_over": 0,
            "registered": 5,
            "terminated_rehabilitating": 3,
            "sent_to_court": 0,
        }
    ).with_columns(note=pl.lit("the outcomes add up to 3: the source differs"))
    assert "Mind: the outcomes add up to 3: the source differs." in attrition.summary(odd, odd).data


def test_comparison_of_torture_with_the_default_offences():
    compared = attrition.comparison("2022-12")
    assert not compared.left_out
    found = {(line["row"], line["disposition"]): line for line in compared.frame.to_dicts()}
    assert list(dict.fromkeys(row for row, _ in found)) == [
        "article:146",
        "article:362",
        "article:120",
        "total",
    ]
    court = found["article:362", "sent_to_court"]
    assert (court["cases"], court["gross_caseload"]) == (43, 703)
    assert court["relative_risk"] == pytest.approx((10 / 918) / (43 / 703))
    assert court["risk_lower"] < court["relative_risk"] < court["risk_upper"] < 1
    own = found["article:146", "sent_to_court"]
    assert own["relative_risk"] is own["risk_lower"] is None
    assert len(own["cells"]) == 60


def test_all_offences_are_shown_whole_but_compared_without_the_article():
    frame = attrition.comparison("2022-12", others="total,chapter:3").frame
    for row, cases, gross in (("total", 47737, 247786), ("chapter:3", 99, 2858)):
        (line,) = frame.filter(row=row, disposition="sent_to_court").to_dicts()
        assert (line["cases"], line["gross_caseload"]) == (cases, gross)
        assert line["share"] == pytest.approx(cases / gross)
        others = (cases - 10) / (gross - 918)
        assert line["relative_risk"] == pytest.approx((10 / 918) / others)


def test_article_outside_all_offences_is_not_taken_out_of_them():
    frame = attrition.comparison("2022-12", article="001", others="total").frame
    (line,) = frame.filter(row="total", disposition="terminated_rehabilitating").to_dicts()
    assert line["relative_risk"] == pytest.approx((17825 / 19528) / (66419 / 247786))


def test_only_an_article_is_compared():
    with pytest.raises(UnknownValueError, match="total is no article: only an article is"):
        attrition.comparison("2022-12", article="total")


def test_military_articles_have_a_caution():
    assert "which are not held" in attrition.military_note("437").data
    assert not attrition.military_note("146").data


def test_what_the_form_has_on_cases_taken_up_again():
    said = attrition.reopened_note("2022-12", "KZ", "146").data
    assert "quashed: 22, against 1 whose term expired" in said
    assert "nothing" in attrition.reopened_note("2021-02", "KZ", "146").data


def test_infinite_and_undefined_risks_are_null():
    # no case of article 414 went to court, and none of article 150 was on the books
    frame = attrition.comparison("2022-12", others="414,150").frame
    (infinite,) = frame.filter(row="article:414", disposition="sent_to_court").to_dicts()
    assert (infinite["cases"], infinite["share"]) == (0, 0)
    assert infinite["relative_risk"] is infinite["risk_upper"] is None
    assert infinite["risk_lower"] > 0
    empty = frame.filter(row="article:150")
    assert empty["gross_caseload"].to_list() == [0, 0]
    assert empty["share"].null_count() == empty["relative_risk"].null_count() == 2
    said = attrition.comparison_sentences(frame).data
    assert "sent to court 0.0 %, the relative risk not defined." in said


@pytest.mark.parametrize(
    ("where", "others", "sentence"),
    [
        (("2022-12", "KZ", "146"), "146", "No comparison of Article 146. Torture with itself."),
        (
            ("2022-12", "KZ", "146"),
            "451",
            "military bodies file workbooks of their own, which are not held.",
        ),
        (
            ("2022-12", "KZ", "451"),
            "146",
            "No comparison of Article 451. Excess of power with Article 146.",
        ),
        (("2021-02", "KZ", "146"), "362", "official authority: 2021-02 reports nothing on it."),
        (
            ("2021-02", "KZ", "146"),
            "total",
            "No comparison with all offences: its gross caseload is not",
        ),
    ],
)
def test_what_cannot_be_compared_is_left_out_with_a_sentence(where, others, sentence):
    compared = attrition.comparison(*where, others)
    (said,) = compared.left_out
    assert sentence in said
    assert compared.frame["row"].unique().to_list() == [f"article:{where[2]}"]
    assert f"*{said}*" == compared.notes().data


def test_figures_that_contradict_each_other_are_not_said_to_be_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("KZRESEARCH_STORE", str(tmp_path))
    completed = {("R1", "total", "completed"): 9.0, ("R1", "total", "in_proceedings"): 4.0}
    store().put("2023-12", [taken("2023-12", "KZ-75", completed)])
    (said,) = attrition.comparison("2023-12", "KZ-75", others="total").left_out
    assert said == (
        "No comparison with all offences: its figures do not add up in the source (5 more left the "
        "caseload than it held) for 2023-12."
    )


def test_nothing_to_compare_with_is_no_error():
    compared = attrition.comparison("2022-12", others=" , ")
    assert compared.frame.height == 2
    assert compared.left_out == []
    assert "no offence to compare with" in attrition.comparison_sentences(compared.frame).data


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ("1466", "unknown article '1466'"),
        ("chapter:99", "unknown row 'chapter:99'"),
        ("severity:grave", "compare: severity:grave is no article, chapter or total; name these"),
        ("article:188:apartments", "is no article, chapter or total"),
    ],
)
def test_unknown_offences_to_compare_with_are_refused(others, message):
    with pytest.raises(UnknownValueError, match=message):
        attrition.comparable(others)


def test_double_counting_moves_terminations_and_caseload_alike(torture):
    moved = attrition.double_counting(torture[0])
    assert moved["repeats"].to_list() == [0, 40, 81, 203, 406]
    assert (moved["gross_caseload"] + moved["repeats"]).unique().to_list() == [918]
    last = moved.row(-1, named=True)
    assert (last["terminated"], last["gross_caseload"]) == (406, 512)
    assert last["share_terminated"] == pytest.approx(406 / 512)
    assert last["share_sent_to_court"] == pytest.approx(10 / 512)
    note = attrition.double_counting_note(torture[0]).data
    assert "406 would stand behind them and 512 behind the caseload: 79.3 %" in note


def test_double_counting_of_an_odd_number_and_of_none(press):
    flow = flow_of({"gross_caseload": 4, "terminated_rehabilitating": 3, "sent_to_court": 1})
    assert attrition.double_counting(flow)["terminated"].to_list() == [3, 3, 3, 3, 2]
    for none in (press[0], flow_of({**dict.fromkeys(attrition.COMPARED, 0), "gross_caseload": 0})):
        assert attrition.double_counting(none).is_empty()
        assert not attrition.double_counting_note(none).data
        assert (
            "no termination is reported"
            in tables.double_counting(attrition.double_counting(none), "T", "s").data
        )


def test_recorded_figures_have_names_units_and_cells(torture):
    frame = attrition.comparison("2022-12").frame
    found = attrition.recorded(*torture, frame)
    assert found["gross_carried_over"].value == 111
    assert found["cohort_terminated_rehabilitating"].value == 709
    assert found["cohort_gross_caseload"].value == 807
    assert found["share_sent_to_court"].value == 0.0108932
    assert found["share_sent_to_court"].unit == "share of the gross caseload"
    assert found["cohort_share_sent_to_court"].unit.endswith("registered in the year (gross)")
    assert found["share_sent_to_court_lower"].note == "lower limit of the 95 % interval"
    assert {cell.cell for cell in found["share_sent_to_court"].cells} == {
        "R1!K70",
        "R1!E70",
        "R1!Q70",
    }
    risk = found["relative_risk_sent_to_court_362"]
    assert risk.text == "0.18"
    assert set(risk.cells) == {
        *found["share_sent_to_court"].cells,
        *found["share_sent_to_court_362"].cells,
    }
    assert found["share_sent_to_court_total"].text == "19.3 %"


def test_recorded_figures_of_a_press_report_are_null_where_it_says_nothing(press):
    found = attrition.recorded(*press, attrition.comparison("2021-02").frame)
    assert found["registered"].value == 88
    assert found["gross_caseload"].value is None
    assert found["share_sent_to_court"].text == "not reported"
    assert found["share_terminated_unspecified"].value is None


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "not reported"),
        (0, "0.0 %"),
        (0.0003, "< 0.1 %"),
        (0.0005, "0.1 %"),
        (10 / 918, "1.1 %"),
        (0.9996, "> 99.9 %"),
        (1, "100.0 %"),
    ],
)
def test_percent(share, text):
    assert percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not reported"),
        (0, "0.00"),
        (1234.5, "1,234.50"),
        (0.18, "0.18"),
        (0.0304, "0.030"),
        (0.0012, "0.0012"),
    ],
)
def test_estimate(value, text):
    assert estimate(value) == text


def test_with_limits_and_origin():
    one = Figure(1, "offences", (("w1", "R1!A1"), ("w2", "R1!A1")), ("form_1m_workbooks",))
    found = with_limits("rate", (1 / 3, None, 0.5), "per 100,000", [one, one], "x / y")
    assert found["rate"].value == 0.333333
    assert found["rate_lower"].value is None
    assert found["rate_lower"].text == "not defined"
    unknown = with_limits("rate", (None,) * 3, "ratio", [one, Figure(None, "offences")], "x / y")
    assert unknown["rate"].text == "not reported"
    assert found["rate_upper"].cells == one.cells
    assert found["rate"].note is None
    assert origin([]) == ""
    workbooks = kz.load_form_1m("2022-12", "KZ", "R1", "146", "registered")["cells"].item()
    from kzresearch.figures import Cell

    cells = [Cell(**cell) for cell in workbooks]
    assert origin(cells) == "R1!F70 of 20 workbooks"
    assert origin(cells[:1]) == "R1!F70"

"""Victims and persons brought to decision: every unit by itself, every trap said."""

import polars as pl
import pytest

import kzresearch as kz
from kzresearch import persons
from kzresearch.figures import Cell, Figure

FIGURES = {
    "gross_caseload": 918,
    "terminated_rehabilitating": 812,
    "registered": 98,
    "registered_against_women": 4,
    "registered_against_minors": 2,
    "completed": 10,
    "offences_against_natural_persons": 90,
    "offences_against_legal_persons": 0,
    "offences_causing_death": 4,
    "victims_per_offence": None,
    "victims_per_offence_by_age_sum": 174,
    "victims_per_offence_by_citizenship_sum": 161,
    "victims_per_offence_age_0_11": 0,
    "victims_per_offence_minors": 2,
    "victims_per_offence_women": 4,
    "victims_per_offence_citizenship_not_stated": None,
    "victims": 172,
    "victims_age_0_11": 3,
    "victims_age_12_17": 2,
    "victims_age_21_29": 57,
    "victims_minors": 5,
    "victims_women": 4,
    "victims_not_women": 168,
    "victims_citizen_kz": 149,
    "victims_citizenship_not_stated": 16,
    "victims_students": 2,
    "victims_convicts": 3,
    "persons": 28,
    "persons_sent_to_court": 28,
    "persons_women": 0,
    "persons_age_21_29": 12,
    "persons_citizenship_not_stated": 0,
    "persons_civil_servants": 28,
    "persons_education_higher": 23,
    "persons_education_not_stated": 1,
    "persons_interior_ministry": 26,
    "persons_interior_ministry_penal_system": 4,
    "persons_anticorruption_service": 2,
    "persons_no_service_named": 0,
}


@pytest.fixture(scope="module")
def torture():
    return persons.people("2022-12")


def notes(*place: str) -> str:
    found = persons.people("2022-12", *place)
    return f"{found.cautions().data}\n{found.sums().data}"


def test_figures_of_torture_2022(torture):
    assert {name: torture.figures[name].value for name in FIGURES} == FIGURES


PLACES = {
    "offences": {"R1", "R3"},
    "victims per offence": {"R3"},
    "victims": {"R3-1"},
    "persons": {"R6", "R7", "R8"},
}


def test_every_figure_is_of_one_unit_and_leads_to_cells_of_its_sections(torture):
    named = {"victims_per_offence": "victims per offence", "victims": "victims"}
    for name, one in torture.figures.items():
        start = next((s for s in (*named, "persons") if name.startswith(s)), "offences")
        assert one.unit == named.get(start, start), name
        assert {cell.cell.split("!")[0] for cell in one.cells} <= PLACES[one.unit], name
        assert bool(one.cells) == (one.value is not None), name


def test_figure_of_a_region_is_its_cell():
    sha = kz.load_workbooks().filter(region="KZ-75")["sha256"].item()
    one = persons.people("2022-12", "KZ-75").figures["victims"]
    assert (one.value, one.cells) == (77, (Cell(sha, "R3-1!E66"),))


def test_every_cell_of_a_region_holds_what_the_workbook_says(raw):
    import openpyxl

    line = kz.load_workbooks().filter(region="KZ-75").row(0, named=True)
    book = openpyxl.load_workbook(raw / "form_1m" / line["period"] / line["file"], read_only=True)
    found = persons.people("2022-12", "KZ-75").figures
    single = {name: one for name, one in found.items() if len(one.cells) == 1}
    assert len(single) > 80
    for name, one in single.items():
        sheet, cell = one.cells[0].cell.split("!")
        assert book[sheet][cell].value == one.value, name
    book.close()


def test_youngest_band_is_never_shown_as_children(torture):
    assert torture.figures["victims_age_0_11"].text == "3 (or birth date unknown)"
    assert torture.figures["victims_minors"].text == "5 (or birth date unknown)"
    assert torture.bars("victims", "age").to_dict()["description"].count("birth date unknown: 3")
    said = torture.cautions().data
    assert "R3-1's band 0–11 holds 3 persons of that age **or of unknown birth date**" in said
    assert "R3's holds 0, and R1 counts 2 offences against minors" in said
    assert "the whole is read as unknown birth dates (an inference): this figure alone" in said
    assert "alone makes nobody a child" in said
    assert "count of minors, 5, takes that band in; the bands of 12 to 17 hold 2 persons" in said


def test_youngest_band_not_above_r3_leaves_open_who_is_in_it():
    said = notes("KZ", "120")
    assert "holds 21 persons of that age" in said
    assert "How many are of unknown birth date cannot be told." in said
    assert "makes nobody a child" not in said


@pytest.mark.parametrize(
    ("article", "whole", "below", "excess"), [("188", 65, 10, 55), ("total", 977, 601, 376)]
)
def test_excess_over_r3_is_named_where_r3_has_children(article, whole, below, excess):
    said = notes("KZ", article)
    assert f"holds {whole} persons of that age" in said
    assert f"R3's holds {below}, and" in said
    assert f"so the excess of {excess} is read as unknown birth dates (an inference)." in said
    assert "makes nobody a child" not in said


def test_nought_and_one_are_said_in_words():
    said = notes("KZ-55", "146")
    assert "holds 1 person of that age" in said
    assert "R1 counts no offences against minors" in said
    assert "the bands of 12 to 17 hold no persons" in said
    assert "0 of 0" not in said + notes("KZ", "145")
    assert persons._said(1, "time") == "1 time"


def test_summary_of_torture(torture):
    said = torture.summary().data
    assert "gross caseload (R1) 918; of it terminated on rehabilitating grounds (R1) 812" in said
    assert "Ministry of Internal Affairs 26; of them in the penal system 4" in said


def test_cautions_of_torture(torture):
    said = torture.cautions().data
    assert "no registered offence (597 times), R3-1 counts no victim" in said
    assert "the 812 offences terminated on these grounds are not among those counted" in said
    assert "persons of decided cases (28; of the Ministry of Internal Affairs 26)" in said
    assert "not the suspects in the 918 offences of the gross caseload" in said
    assert "In 1 of the regions R6 counts 1 person and R1 no completed offence" in said


@pytest.mark.parametrize(
    ("region", "article", "count"), [("KZ-47", "146", "1 person"), ("KZ-43", "272", "172 persons")]
)
def test_persons_without_a_completed_offence_are_said(region, article, count):
    assert f"Here R6 counts {count} and R1 no completed offence" in notes(region, article)


def test_sums_of_torture(torture):
    assert torture.sums().data.splitlines() == [
        "- R3, offences against natural and legal persons: 90 of 98 registered offences, 8 left over.",
        "- R3, which has no total of victims: 174 by age, 161 by citizenship.",
        "- R3-1, by age: 172 of 172 victims, none left over.",
        "- R3-1, by citizenship: 156 of 172 victims, 16 left over.",
        "- R6, by decision: 28 of 28 persons, none left over.",
        "- R6, by age: 28 of 28 persons, none left over.",
        "- R6, by citizenship: 28 of 28 persons, none left over.",
        "- R7, by occupation: 28 of 28 persons, none left over.",
        "- R7, by education: 27 of 28 persons, 1 left over.",
        "- R8, by service: 28 of 28 persons, none left over.",
    ]


def test_victims_by_citizenship_may_exceed_those_by_age():
    assert "3 by age, 4 by citizenship, so at least 1 in no age band" in notes("KZ-55", "146")


def test_nobody_counted_is_said():
    found = persons.people("2022-12", "KZ-43")
    assert found.sums().data.splitlines() == [
        "- R3, offences against natural and legal persons: no registered offence, so nothing to add up.",
        "- R3-1: no victims, so nothing to add up.",
        "- R6: no persons, so nothing to add up.",
    ]
    assert "holds nobody" in found.cautions().data
    assert "R6 to R8 count" not in found.cautions().data
    assert "every figure is nought" in found.bars("victims", "age").data
    assert "every figure is nought" in found.bars("persons", "service").data


def test_victims_that_are_not_natural_persons():
    against = persons.people("2022-12", "KZ", "369").figures
    assert against["offences_against_legal_persons"].value == 1
    assert "R3, offences against natural and legal persons: 2 of 75" in notes("KZ", "369")


def test_tables_have_a_column_for_each_unit(torture):
    victims = torture.table("victims", "victims_per_offence", "victims").frame
    assert victims.columns == ["by", "label", "victims_per_offence", "victims"]
    assert victims.row(0) == ("all", "total", "not reported", "172")
    assert ("by citizenship", "not stated (remainder)", "not reported", "16") in victims.rows()
    decided = torture.table("persons", "persons").frame
    assert ("by service (R8)", "Ministry of Internal Affairs", "26") in decided.rows()
    assert ("by service (R8)", "of them in the penal system", "4") in decided.rows()
    assert torture.offences()["note"].null_count() == len(torture.offences())


def test_chart_of_services_leaves_parts_out_and_names_the_remainder():
    said = persons.people("2022-12", "KZ", "362").bars("persons", "service").to_dict()
    assert "In persons of decided cases" in said["description"]
    assert "none of these (remainder): 13" in said["description"]
    assert "of them" not in said["description"]


def test_press_report_has_what_it_has_and_says_the_rest_is_missing():
    found = persons.people("2021-02")
    given = {name: one.value for name, one in found.figures.items() if one.value is not None}
    assert given == {
        "registered": 88,
        "registered_against_women": 4,
        "registered_against_minors": 1,
        "completed": 1,
    }
    assert found.summary().data.splitlines() == [
        "- **Offences**: registered in the year, net (R1) 88.",
        "- *Victims (R3, R3-1): not reported.*",
        "- *Persons (R6–R8): not reported.*",
    ]
    assert (
        found.table("victims", "victims").data == "*Article 146. Torture, victims: not reported.*"
    )
    assert "nothing to draw, no figure is reported" in found.bars("persons", "age").data
    assert "leaves open whether" in found.offences()["note"].drop_nulls().str.join("").item()
    for nothing in (found.cautions(), found.sums()):
        assert nothing.data == "*No figure is reported that this would be about.*"


def test_source_that_contradicts_itself_is_said(torture):
    broken = persons.People("2022-12", "KZ", "article:146")
    total = (pl.col("section") == "R3-1") & (pl.col("measure") == "victims")
    fewer = pl.when(total).then(pl.lit(100.0)).otherwise("value")
    vars(broken)["frame"] = torture.frame.with_columns(value=fewer)
    left = broken.figures["victims_citizenship_not_stated"]
    assert (left.value, left.text) == (None, "undefined: the columns exceed the total")
    assert "R3-1, by age: 172, more than 100 victims: the source differs" in broken.sums().data


def test_remainder_of_what_is_not_reported_is_not_reported():
    whole, part = Figure(3, "persons"), Figure(None, "persons")
    assert persons.remainder(whole, [part]).text == "not reported"
    assert persons.remainder(whole, [Figure(1, "persons"), Figure(2, "persons")]).value == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("2022-11",), "unknown period '2022-11'"),
        (("2022-12", "KZ-99"), "unknown region 'KZ-99'"),
        (("2022-12", "KZ", "1466"), "unknown article '1466'"),
        (("2021-02", "KZ", "362"), "2021-02 reports nothing on article 362"),
        (("2021-02", "KZ-75"), "2021-02 has no figures for KZ-75"),
        (("2022-12", "KZ", "severity:grave"), "no victims by severity: R3-1 loses some"),
    ],
)
def test_what_is_not_there_is_one_sentence(arguments, message):
    with pytest.raises(kz.UnknownValueError, match=message):
        persons.people(*arguments)

"""The accounting identities: what they say of the reports of 2022-12, and that they can fail."""

import json
import random
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import kzresearch as kz
from kzresearch.errors import KzresearchError
from kzresearch.form_1m import accounting, codebook
from kzresearch.form_1m.accounting import broken, check_form_1m, failures
from kzresearch.form_1m.codebook import Form
from kzresearch.form_1m.workbook import column_index
from kzresearch.schemas import MONEY

WHERE = [
    *("identity", "period", "region", "row", "measure"),
    *("left", "right", "difference"),
]
COUNTS = ["tests", "nonzero", "fails", "workbooks_failing", "max_difference"]

# identity → tests, tests with a side not 0, failures, workbooks with one, largest difference:
# the study of the 20 workbooks, made with other code. All of those with a failure, but for the
# hypotheses a choice, and a choice of those with none.
FAILING_HARD = {
    "V2:R1": (620, 488, 3, 1, 1),
    "V2:R1-1": (600, 459, 5, 1, 1),
    "V2:R6": (380, 335, 8, 2, 1),
    "V2:R7": (320, 235, 4, 2, 1),
    "V2:R9": (380, 301, 1, 1, 1),
    "V2:PRIL6": (540, 429, 3, 1, 1),
    "V2:PRIL11": (460, 349, 7, 1, 1),
    "H5:R1": (50640, 17648, 2, 2, 1),
    "X4": (8440, 2941, 6, 1, 2),
    "X11": (214380, 22209, 9, 1, 1),
    "X12": (174680, 10481, 21, 1, 1),
    "H15e:R3": (8080, 601, 18, 3, 5),
    "H16:R3": (8080, 1734, 2, 1, 7),
    "H20:R3-1": (8080, 576, 18, 3, 5),
    "H31:R7": (8080, 456, 9, 2, 1),
    "F3": (8440, 1961, 2, 1, 2),
}
SOURCE_DEFECTS = {
    "V2:R3-1": (480, 467, 354, 20, 372),
    "H13le:R3": (8080, 1736, 68, 16, 7),
    # The study counts 2647 as not 0: it tested natural persons <= registered - legal persons.
    "X15": (8080, 2674, 49, 18, 17),
    "H32:R7": (8080, 44, 44, 7, 15),
    "X19": (8080, 47, 47, 7, 13),
    "H39b:PRIL1": (8080, 266, 3, 1, 4),
    "H40:PRIL4 c1 state = c2..c6": (1600, 1133, 31, 7, 2),
    "V8:PRIL4": (980, 620, 116, 11, 10),
    "V8b:PRIL4": (980, 646, 63, 6, 4),
    "X30": (7540, 1494, 35, 18, 172),
}
HYPOTHESES = {
    "V3x:R1": (620, 543, 229, 20, 3263),
    "V3x:R1-2": (600, 200, 0, 0, 0),
    "V5d:R1": (620, 425, 418, 20, 8885),
    "H9:R1": (8440, 3660, 2404, 20, 4326),
    "H9a:R1": (8440, 3660, 1299, 20, 2174),
    "H9a:R1-1": (8440, 3463, 1219, 20, 1937),
    "H11a:R1": (8440, 2319, 539, 20, 803),
    "X8:expired": (7960, 753, 667, 20, 484),
    "X9:expired": (40, 34, 33, 20, 614),
    "X9:expireds": (80, 73, 70, 20, 310),
    "X11u": (540, 221, 187, 20, 216),
    "B1:PRIL": (55840, 8828, 5872, 20, 3203),
    "H13:R3": (8080, 1736, 589, 20, 1339),
    "V8e:PRIL4": (980, 620, 243, 18, 30),
    "F4": (8440, 2376, 779, 18, 356),
}
SOUND = {
    "V1:R3-1": (480, 467),
    "V3:R1": (620, 524),
    "V4:R1": (11160, 5204),
    "V4:R4": (6480, 1872),
    "V4:PRIL11": (8280, 2558),
    "V5a:R1-2": (600, 0),
    "V5b:R1": (4340, 2898),
    "V5c:R1-1": (4200, 2807),
    "V6:R1": (1860, 1572),
    "V7:R11": (480, 271),
    "V8c:PRIL4": (980, 577),
    "V9:PRIL2": (620, 248),
    "H1:R1": (8440, 1815),
    "H1:PRIL": (55840, 4638),
    "H2:R11": (420, 150),
    "H3:R1-2": (8440, 147),
    "H5:R11": (420, 153),
    "H8:R1": (8440, 3131),
    "B2:PRIL": (55840, 8828),
    "F1": (8440, 3131),
    "F2": (8440, 2941),
    "X1": (8440, 2941),
    "X5": (177240, 18769),
    "X5p": (25320, 3214),
    "X7": (253200, 32807),
    "X8": (206960, 23924),
    "X9": (1040, 732),
    "X9s": (2080, 1458),
    "X9f": (20, 19),
    "X9g": (7960, 494),
    "X10": (2160, 1531),
    "X12:expired": (7940, 361),
    "X16": (56560, 15118),
    "X18": (8080, 1958),
    "X23": (4000, 922),
    "X23:expired": (200, 14),
    "X24": (3600, 982),
    "X24:expired": (180, 8),
    "X25b": (8080, 1412),
    "X28": (7960, 753),
    "H12:R2": (105560, 19104),
    "H12b:R2": (8120, 911),
    "H22:R4 c1=c2+c3+c4": (8100, 1107),
    "H22:R4-1 c13=c14+c15+c16": (8100, 88),
    "H23:R5": (8080, 230),
    "H27:R6": (8120, 1997),
    "H35:R9": (8080, 797),
    "H38b:PRIL1": (8080, 631),
    "H40:PRIL4 c25 = c26..c34+c40 methods": (1600, 1133),
    "H41:PRIL2": (1660, 801),
    "H43:R9": (32320, 4828),
}
KNOWN = FAILING_HARD | SOURCE_DEFECTS | HYPOTHESES
KNOWN |= {identity: (*counts, 0, 0, 0) for identity, counts in SOUND.items()}


@pytest.fixture(scope="module")
def figures() -> pl.DataFrame:
    return kz.load_form_1m("2022-12")


@pytest.fixture(scope="module")
def checked(figures: pl.DataFrame) -> pl.DataFrame:
    return check_form_1m(figures, hypotheses=True)


@pytest.fixture(scope="module")
def failing(figures: pl.DataFrame) -> pl.DataFrame:
    return failures(figures)


def made(section: str, rows: dict[str, dict[str, float]], region: str = "KZ-11") -> pl.DataFrame:
    """A few figures of a section as the reader would give them."""
    values = [(row, name, value) for row, of in rows.items() for name, value in of.items()]
    given = pl.DataFrame(
        values, {"row": pl.String, "measure": pl.String, "value": pl.Float64}, orient="row"
    )
    frame = codebook.form().template(section).join(given, on=["row", "measure"])
    assert len(frame) == len(values)
    return frame.with_columns(
        period=pl.lit("2022-12"),
        region=pl.lit(region),
        source=pl.lit("form_1m"),
        workbook=pl.lit(f"workbook of {region}"),
    )


def counts_of(checked: pl.DataFrame, identity: str) -> dict[str, float]:
    return checked.filter(identity=identity).row(0, named=True)


def where(failing: pl.DataFrame, identity: str) -> list[tuple[str, str, str]]:
    return failing.filter(identity=identity).select("region", "row", "measure").rows()


# ── the reports of 2022-12


@pytest.mark.parametrize(
    ("status", "identities", "any_failing", "tests", "fails"),
    [
        ("hard", 223, 16, 2_672_360, 118),
        ("source_defect", 10, 10, 51_980, 810),
        ("not_an_identity", 31, 30, 220_120, 18_996),
    ],
)
def test_totals(checked, status, identities, any_failing, tests, fails):
    of_status = checked.filter(status=status)
    assert len(of_status) == identities
    assert (of_status["fails"] > 0).sum() == any_failing
    assert of_status["tests"].sum() == tests
    assert of_status["fails"].sum() == fails


@pytest.mark.parametrize("identity", KNOWN)
def test_counts_of(checked, identity):
    counts = counts_of(checked, identity)
    assert tuple(counts[name] for name in COUNTS) == KNOWN[identity]
    assert counts["holds"] == counts["tests"] - counts["fails"]


def test_failing_identities_are_those_known(checked):
    broken = checked.filter(pl.col("fails") > 0)
    assert set(broken.filter(status="hard")["identity"]) == set(FAILING_HARD)
    assert set(broken.filter(status="source_defect")["identity"]) == set(SOURCE_DEFECTS)


def test_every_identity_stands_once_is_described_and_tested(checked):
    assert checked["identity"].is_unique().all()
    assert set(checked["kind"]) == {"=", "<="}
    assert checked["tests"].min() > 0
    for identity, text in checked.select("identity", "description").iter_rows():
        assert text, identity
        assert "{" not in text
        assert not re.search(r"\bc\d", text), f"{identity} speaks of column numbers"
        unknown = set(re.findall(r"\w+_\w+", text)) - set(codebook.measures())
        assert unknown <= {"articles_106_107_108"}, identity


def test_hypotheses_come_only_when_asked_for(checked, figures):
    plain = check_form_1m(figures.filter(section="R1"))
    assert plain["identity"].to_list() == (
        checked.filter(pl.col("status") != "not_an_identity")["identity"].to_list()
    )


@pytest.mark.parametrize(
    ("rows", "hard"),
    [
        (["article:146"], 5_880),
        (["chapter:3", *(f"article:{n}" for n in range(145, 160))], 104_460),
    ],
    ids=["torture", "chapter 3"],
)
def test_torture_and_its_chapter_add_up(figures, rows, hard):
    there = check_form_1m(figures.filter(pl.col("row").is_in(rows))).filter(status="hard")
    assert there["tests"].sum() == hard
    assert there["fails"].sum() == 0


def test_breaks_of_the_torture_row_that_the_source_makes(failing):
    torture = failing.filter(row="article:146").select(WHERE)
    assert torture.rows() == [
        ("H13le:R3", "2022-12", "KZ-55", "article:146", None, 4, 3, 1),
        ("X30", "2022-12", "KZ-47", "article:146", "persons", 1, 0, 1),
    ]


def test_failures_are_those_counted(checked, failing):
    assert len(failing) == 118 + 810
    counted = failing.group_by("identity").agg(
        fails=pl.len().cast(pl.Int64),
        workbooks_failing=pl.col("region").n_unique().cast(pl.Int64),
        max_difference=pl.col("difference").abs().max(),
    )
    expected = checked.filter(pl.col("status") != "not_an_identity", pl.col("fails") > 0)
    assert counted.sort("identity").equals(expected.select(counted.columns).sort("identity"))
    assert (failing["left"] - failing["right"] == failing["difference"]).all()
    assert (failing["cells"].list.len() >= 2).all()


def test_cells_of_a_failure_hold_its_two_sides(figures, failing):
    values = {
        (workbook, cell): value
        for workbook, cell, value in figures.filter(pl.col("section").is_in(["PRIL11", "R3-1"]))
        .select("workbook", "cell", "value")
        .iter_rows()
    }
    for identity in ("V2:PRIL11", "V2:R3-1"):
        for line in failing.filter(identity=identity).iter_rows(named=True):
            left, *right = [values[c["workbook"], c["cell"]] for c in line["cells"]]
            assert (left, sum(right)) == (line["left"], line["right"])


def test_shymkent_art_144_record_is_named_with_its_cells(failing):
    pril11 = failing.filter(pl.col("identity").is_in(["X12", "V2:PRIL11"]))
    assert set(pril11["region"]) == {"KZ-79"}
    assert set(pril11["difference"]) == {1}
    records = pril11.filter(row="article:144")
    assert len(records) == 7
    registered = records.filter(measure="registered").row(0, named=True)
    assert (registered["left"], registered["right"]) == (1, 0)
    workbook = kz.load_workbooks().filter(region="KZ-79")["sha256"].item()
    assert registered["cells"] == [
        {"workbook": workbook, "cell": "PRIL11!F58"},
        {"workbook": workbook, "cell": "PRIL7!F56"},
        {"workbook": workbook, "cell": "PRIL8!F56"},
    ]


def test_akmola_crime_without_severity_is_named(failing):
    in_pril6 = failing.filter(identity="X11")
    assert set(in_pril6["region"]) == {"KZ-11"}
    assert set(in_pril6["row"]) == {"total", "chapter:10", "article:269-1"}
    measures = {"in_proceedings", "registered", "terminated_rehabilitating"}
    assert set(in_pril6["measure"]) == measures
    assert {m for _, _, m in where(failing, "V2:R1")} == measures
    crimes = failing.filter(identity="V2:R1", measure="registered").row(0, named=True)
    assert (crimes["region"], crimes["row"]) == ("KZ-11", "crimes")
    assert (crimes["left"], crimes["right"], crimes["difference"]) == (4535, 4534, 1)
    assert [cell["cell"] for cell in crimes["cells"]] == [f"R1!F{n}" for n in range(9, 14)]


def test_other_hard_failures_are_located(failing):
    assert where(failing, "H5:R1") == [
        ("KZ-71", "article:100", "domestic"),
        ("KZ-39", "article:102", "domestic"),
    ]
    assert where(failing, "F3") == [
        ("KZ-11", "severity:especially_grave", None),
        ("KZ-11", "article:99", None),
    ]
    assert where(failing, "H16:R3") == [
        ("KZ-75", "chapter:2", "victims_women"),
        ("KZ-75", "article:135", "victims_women"),
    ]
    assert {region for region, _, _ in where(failing, "X4")} == {"KZ-75"}
    for identity in ("H15e:R3", "H20:R3-1"):
        assert {region for region, _, _ in where(failing, identity)} == {"KZ-19", "KZ-39", "KZ-61"}
    assert {region for region, _, _ in where(failing, "V2:R6")} == {"KZ-31", "KZ-47"}
    assert where(failing, "V2:R9") == [("KZ-47", "crimes", "persons_alcohol_intoxicated")]


def test_sum_of_the_regions_is_checked_like_a_report_and_lists_their_cells():
    country = kz.load_form_1m("2022-12", "KZ", ["R3-1", "PRIL6"])
    assert counts_of(check_form_1m(country), "V2:PRIL6")["fails"] == 3
    line = failures(country).filter(identity="V2:R3-1", measure="victims").row(0, named=True)
    assert (line["region"], line["left"], line["right"]) == ("KZ", 120_792, 118_150)
    assert len(line["cells"]) == 5 * 20
    assert line["left_cells"] == 20
    assert accounting.in_words(line) == ("120,792 ≠ 118,150", "R3-1!E9; R3-1!E10–E13")


def test_press_figures_allow_few_tests():
    reported = kz.load_form_1m("2021-02", "KZ")
    assert check_form_1m(reported)["tests"].sum() > 0
    assert failures(reported).is_empty()


# ── the identities themselves


def test_identities_agree_with_sums_made_another_way(figures, checked):
    wide = figures.filter(pl.col("section") == "R1").pivot(
        "measure", index=["region", "row"], values="value"
    )
    grounds = pl.sum_horizontal(pl.selectors.starts_with("interrupted_p"))
    assert (
        len(wide.filter(grounds != pl.col("interrupted"))) == counts_of(checked, "H1:R1")["fails"]
    )
    assert len(wide.filter(pl.col("terminated_rehabilitating") > pl.col("in_proceedings"))) == 1299
    chapters = codebook.row_names().filter(pl.col("kind").is_in(["article", "attempt"]))
    sums = (
        figures.filter(section="PRIL11")
        .join(chapters.select("row", "chapter"), on="row")
        .group_by("region", "measure", row=pl.format("chapter:{}", "chapter"))
        .agg(expected=pl.col("value").sum())
    )
    compared = figures.filter(section="PRIL11").join(sums, on=["region", "measure", "row"])
    assert len(compared) == counts_of(checked, "V4:PRIL11")["tests"]
    assert (compared["value"] == compared["expected"]).all()


def test_nothing_is_tested_twice_and_no_figure_enters_twice():
    plan = accounting._plan(codebook.form(), True)
    parts = pl.concat(
        pl.DataFrame({"figure": side.figures}).with_columns(
            test=np.repeat(np.arange(len(side.sizes)), side.sizes), right=pl.lit(side is plan.right)
        )
        for side in (plan.left, plan.right)
    )
    place = pl.when(pl.col("figure") < 0).then(-1 - pl.col("figure")).otherwise("figure")
    assert parts.select("test", place).is_unique().all()
    made_of = (
        parts.sort("test", "right", "figure")
        .group_by("test", maintain_order=True)
        .agg(pl.format("{} {}", "figure", "right").str.join(","))
        .with_columns(equal=plan.equal, largest=plan.largest, only_where=plan.only_where)
    )
    assert len(made_of) == len(plan.line)
    assert made_of.drop("test").is_unique().all()


def test_identities_name_nothing_that_the_bundled_form_lacks():
    form = codebook.form()
    for line in accounting._lines():
        for left, right in accounting._sides(form, line):
            for term in left + right:
                section = form.section(term.section)
                assert term.row is None or term.row in section.rows["row"], line
                assert term.measure is None or term.measure in section.columns["measure"], line


def test_every_identity_can_fail_and_holds_where_all_is_zero(figures):
    report = figures.filter(region="KZ-11")
    rng = random.Random(146)
    dense = [float(rng.randrange(10_000)) for _ in range(len(report))]
    sparse = rng.choices([0.0, 1.0, 10.0], [90, 5, 5], k=len(report))
    noise = [
        check_form_1m(report.with_columns(value=pl.Series(values)), hypotheses=True)
        for values in (dense, sparse)
    ]
    assert (noise[0]["fails"] + noise[1]["fails"]).min() > 0
    nothing = check_form_1m(report.with_columns(value=0.0), hypotheses=True)
    assert nothing["fails"].sum() == nothing["nonzero"].sum() == 0
    assert nothing["tests"].equals(noise[0]["tests"])


@pytest.mark.parametrize(("inquiry", "fails"), [(3, 0), (2, 1), (4, 1)])
def test_equality_break_is_found_named_and_located(inquiry, fails):
    measures = {
        "sent_to_court": 6,
        "sent_to_court_investigation": 1,
        "sent_to_court_inquiry": inquiry,
        "sent_to_court_protocol": 2,
    }
    frame = made(
        "R1", {"article:146": measures, "article:99": {**measures, "sent_to_court_inquiry": 3}}
    )
    counts = counts_of(check_form_1m(frame), "H3:R1")
    assert (counts["tests"], counts["nonzero"], counts["fails"]) == (2, 2, fails)
    assert counts["max_difference"] == counts["workbooks_failing"] == fails
    found = failures(frame)
    assert len(found) == fails
    if fails:
        line = found.row(0, named=True)
        cells = line.pop("cells")
        assert line == {
            "identity": "H3:R1",
            "status": "hard",
            "kind": "=",
            "period": "2022-12",
            "region": "KZ-11",
            "row": "article:146",
            "measure": "sent_to_court",
            "left": 6,
            "right": 3 + inquiry,
            "difference": 3 - inquiry,
            "left_cells": 1,
        }
        assert accounting.in_words({**line, "cells": cells}) == (
            f"6 ≠ {3 + inquiry}",
            "R1!K70; R1!L70–N70",
        )
        assert [c["cell"] for c in cells] == ["R1!K70", "R1!L70", "R1!M70", "R1!N70"]
        assert {c["workbook"] for c in cells} == {"workbook of KZ-11"}


@pytest.mark.parametrize(("registered", "fails"), [(4, 0), (5, 0), (6, 1)])
def test_inequality_break_is_found_named_and_located(registered, fails):
    frame = made("R1", {"article:146": {"in_proceedings": 5, "registered": registered}})
    assert counts_of(check_form_1m(frame), "H4:R1")["fails"] == fails
    found = failures(frame)
    assert found.select(WHERE).rows() == (
        [("H4:R1", "2022-12", "KZ-11", "article:146", "registered", 6, 5, 1)] * fails
    )
    assert [c["cell"] for c in found.explode("cells")["cells"]] == ["R1!F70", "R1!E70"] * fails


def test_break_between_sections_and_rows_names_both_cells():
    frame = pl.concat(
        [
            made("R11", {"article:106:part_3": {"completed": 3}}),
            made("R1", {"article:106": {"completed": 2}}),
        ]
    )
    line = failures(frame).row(0, named=True)
    assert (line["identity"], line["row"], line["measure"]) == (
        "X24",
        "article:106:part_3",
        "completed",
    )
    assert [c["cell"].split("!")[0] for c in line["cells"]] == ["R11", "R1"]


@pytest.mark.parametrize(("deaths", "fails"), [(2, 0), (1, 1)])
def test_overlapping_parts_are_each_within_the_whole_not_their_sum(deaths, fails):
    parts = {"deaths": deaths, "deaths_women": 1, "deaths_minors": 2}
    frame = made("R11", {"article:104": parts})
    assert counts_of(check_form_1m(frame), "H5:R11")["fails"] == fails
    assert failures(frame)["left"].to_list() == [2] * fails


@pytest.mark.parametrize(("completed", "right"), [(0, 0), (1, 7)])
def test_persons_without_a_completed_offence(completed, right):
    frame = pl.concat(
        [
            made("R6", {"article:146": {"persons": 7}}),
            made("R1", {"article:146": {"completed": completed}}),
        ]
    )
    assert counts_of(check_form_1m(frame), "X30")["fails"] == (right != 7)
    assert failures(frame)["right"].to_list() == [0] * (right != 7)


@pytest.mark.parametrize(("natural_persons", "fails"), [(0.2, 0), (0.201, 1), (0.199, 1)])
def test_money_adds_up_to_the_third_decimal(natural_persons, fails):
    damage = "damage_in_pending_cases"
    values = {damage: 62618533.634, f"{damage}_state": 62618533.334, f"{damage}_legal_persons": 0.1}
    frame = made("R4-1", {"total": {**values, f"{damage}_natural_persons": natural_persons}})
    assert set(frame["unit"]) == {MONEY}
    counts = counts_of(check_form_1m(frame), "H22:R4-1 c1=c2+c3+c4")
    assert (counts["fails"], counts["max_difference"]) == (fails, 0.001 * fails)


@pytest.mark.parametrize("largest", [2**53, 2**53 - 1, 2**53 // 1000, 2**53 // 1000 - 1])
def test_the_largest_counts_are_told_from_the_next(largest):
    less = {"in_proceedings": largest - 1, "registered": largest}
    frame = made("R1", {"article:146": less, "article:99": {**less, "registered": largest - 1}})
    counts = counts_of(check_form_1m(frame), "H4:R1")
    assert (counts["tests"], counts["fails"], counts["max_difference"]) == (2, 1, 1)
    line = failures(frame).row(0, named=True)
    assert (line["left"], line["right"], line["difference"]) == (largest, largest - 1, 1)


def test_sums_of_the_largest_counts_do_not_wrap_around():
    # Two of them in thousandths are more than 64 bits hold.
    form = codebook.form()
    places = form.template().select("section", "row", "measure")
    largest = broken(form, np.full(len(places), 2.0**53))
    ones = broken(form, np.ones(len(places)))
    assert largest.drop("max_difference").equals(ones.drop("max_difference"))
    assert (largest["max_difference"] == ones["max_difference"] * 2.0**53).all()


@pytest.mark.parametrize("damage", [2.0**43, 2.0**60 + 2**10, 1e290])
def test_money_without_bounds_adds_up(damage):
    names = [f"damage_in_pending_cases{end}" for end in ("", "_state", "_legal_persons")]
    frame = made(
        "R4-1",
        {
            "total": {
                **dict(zip(names, [damage + damage, damage, damage], strict=True)),
                "damage_in_pending_cases_natural_persons": 0.001,
            }
        },
    )
    counts = counts_of(check_form_1m(frame), "H22:R4-1 c1=c2+c3+c4")
    assert (counts["tests"], counts["fails"], counts["max_difference"]) == (1, 1, 0.001)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), 1.5e308])
def test_a_figure_beyond_all_counting_is_refused(value):
    frame = made("R1", {"article:146": {"in_proceedings": 5, "registered": value}})
    with pytest.raises(KzresearchError, match=r"^R1 article:146 registered is .*; correct"):
        check_form_1m(frame)


def test_a_figure_that_is_null_is_missing():
    frame = made("R1", {"article:146": {"in_proceedings": 5, "registered": 6}})
    nothing = frame.with_columns(value=pl.when(pl.col("measure") == "registered").then("value"))
    assert counts_of(check_form_1m(frame), "H4:R1")["fails"] == 1
    assert check_form_1m(nothing)["tests"].sum() == 0


# ── a whole report at once


def in_order(form: Form, report: pl.DataFrame) -> pl.Series:
    places = ["section", "row", "measure"]
    return form.template().join(report, on=places, how="left", maintain_order="left")["value"]


def test_what_a_whole_report_breaks_is_what_the_check_finds(figures):
    for _, report in figures.group_by("region"):
        expected = check_form_1m(report).filter(pl.col("fails") > 0)
        found = broken(codebook.form(), in_order(codebook.form(), report))
        assert found.equals(expected.select(found.columns))


def test_a_value_missing_takes_away_its_tests(figures):
    report = figures.filter(region="KZ-11")
    less = report.filter(pl.col("row") != "severity:minor")
    values = in_order(codebook.form(), less)
    assert values.null_count() > 0
    expected = check_form_1m(less).filter(pl.col("fails") > 0)
    for given in (values, values.to_numpy(), values.to_list()):
        found = broken(codebook.form(), given)
        assert found.equals(expected.select(found.columns))
    assert "V2:R1" not in found["identity"]


def test_values_that_are_not_a_whole_report_are_refused():
    with pytest.raises(
        KzresearchError, match=r"^3 figures given, where the form 2022 has 217,460;"
    ):
        broken(codebook.form(), [1, 2, 3])


# ── versions of the form

NEW = "article:146-1"


@pytest.fixture(scope="module")
def later() -> Form:
    """A version with one article more, and without section R11, streets in R1, and cars."""
    form = codebook.form()

    def rows_with(table: pl.DataFrame, **changed: pl.Expr) -> pl.DataFrame:
        added = table.filter(row="article:146").with_columns(row=pl.lit(NEW), **changed)
        return pl.concat([table, added]).filter(pl.col("row") != "article:188:cars")

    last = pl.col("section").replace_strict(
        dict(form.rows.group_by("section").agg(code=pl.len() + 1).iter_rows())
    )
    without = pl.col("section") != "R11"
    streets = (pl.col("section") == "R1") & (pl.col("measure") == "in_streets")
    return replace(
        form,
        name="later",
        sections=form.sections.filter(without),
        columns=form.columns.filter(without & ~streets),
        rows=rows_with(form.rows.filter(without), code=last.cast(pl.String)),
        row_names=rows_with(form.row_names, article=pl.lit("146-1")),
    )


def of_version(form: Form, report: pl.DataFrame, **values: float) -> pl.DataFrame:
    """A report with the figures of the version, those of the added article, by measure, in R1."""
    new = {"row": NEW, "section": "R1"}
    added = pl.DataFrame(
        [{**new, "measure": measure, "added": float(value)} for measure, value in values.items()],
        {"row": pl.String, "section": pl.String, "measure": pl.String, "added": pl.Float64},
    )
    places = ["section", "row", "measure"]
    return (
        form.template()
        .select(*places, "cell")
        .join(report.select(*places, "value"), on=places, how="left", maintain_order="left")
        .join(added, on=places, how="left", maintain_order="left")
        .select(*places, "cell", value=pl.coalesce("added", "value").fill_null(0))
        .join(report.select("period", "region", "source").unique(), how="cross")
        .with_columns(workbook=pl.lit("f" * 64))
    )


def test_identities_say_nothing_of_what_a_version_lacks(figures, later):
    report = figures.filter(region="KZ-11")
    before = check_form_1m(report, hypotheses=True)
    after, _ = accounting.examine(of_version(later, report), True, later)
    assert after["identity"].equals(before["identity"])
    tests = dict(after.select("identity", "tests").iter_rows())
    untested = after.filter(pl.col("tests") == 0)["identity"].to_list()
    lost = [name for name in tests if name.endswith(":R11") or name.startswith(("X23", "X24"))]
    cars = ["V5a:R1", "V5a:R1-1", "V5a:R1-2"]
    assert sorted(untested) == sorted([*lost, *cars, "H6:R1", "X6:c28"])
    rows = len(later.section("R1").rows)
    assert tests["H5:R1"] == rows * 5  # each of six measures, one of which is gone
    assert tests["V4:R1"] == 18 * (31 - 1)
    assert dict(zip(after["identity"], after["fails"], strict=True))["V4:R1"] == 0


@pytest.mark.parametrize(("of_article", "fails"), [(7, 0), (6, 1)])
def test_an_article_added_is_one_of_its_chapter(later, of_article, fails):
    values = {("chapter:3", "registered"): 9, ("article:146", "registered"): 2}
    values[NEW, "registered"] = of_article
    section = pl.col("section") == "R1"
    frame = later.template().with_columns(
        value=sum(
            pl.when(section, row=row, measure=measure).then(float(value)).otherwise(0)
            for (row, measure), value in values.items()
        )
    )
    found = broken(later, frame["value"])
    assert found.filter(identity="V4:R1")["fails"].to_list() == [1] * fails
    assert found.filter(identity="V4:R1")["max_difference"].to_list() == [1] * fails


@pytest.fixture
def two_versions(later, monkeypatch) -> None:
    bundled = codebook.forms()
    monkeypatch.setattr(codebook, "forms", lambda: (*bundled, later))


@pytest.fixture
def known(two_versions, monkeypatch, figures) -> None:
    """The workbook `ff…` is known to be of the later version."""
    versions = dict.fromkeys(figures["workbook"].unique(), codebook.BUNDLED)
    monkeypatch.setattr(accounting, "_versions", lambda: {**versions, "f" * 64: "later"})


def test_each_report_is_tested_as_the_version_it_is_of(known, figures, later):
    report = figures.filter(section="R1", region="KZ-11")
    other = of_version(later, report).with_columns(period=pl.lit("2023-12"))
    part = pl.col("row").is_in(["chapter:3", *(f"article:{n}" for n in range(145, 160))])
    both = pl.concat([report, other], how="diagonal")
    counts = counts_of(check_form_1m(both.filter(section="R1")), "V4:R1")
    assert counts["tests"] == 18 * 31 + 18 * 30
    # Without the article added, the chapter of the later report is not the sum of the others.
    assert counts_of(check_form_1m(both.filter(part, section="R1")), "V4:R1")["tests"] == 31


def test_a_workbook_not_known_is_of_the_first_version_that_has_its_figures(
    two_versions, figures, later
):
    report = figures.filter(section="R1", region="KZ-11")
    breaking = of_version(later, report, registered=1).filter(section="R1")
    line = failures(breaking).filter(identity="V4:R1").row(0, named=True)
    assert (line["row"], line["measure"], line["difference"]) == ("chapter:3", "registered", -1)
    assert (
        failures(report).equals(failures(report.with_columns(workbook=pl.lit("e" * 64)))) is False
    )
    assert check_form_1m(report).equals(
        check_form_1m(report.with_columns(workbook=pl.lit("e" * 64)))
    )


def test_a_sum_of_reports_of_several_versions_is_not_tested(known, figures):
    def summed(*workbooks: str) -> pl.DataFrame:
        cells = [{"workbook": one, "cell": "R1!E7"} for one in workbooks]
        frame = made("R1", {"article:146": {"in_proceedings": 5, "registered": 6}})
        return frame.with_columns(
            workbook=pl.lit(None, pl.String), cells=pl.Series([cells] * len(frame))
        )

    bundled = figures["workbook"][0]
    assert check_form_1m(summed(bundled, bundled))["fails"].sum() == 1
    assert check_form_1m(summed("f" * 64))["fails"].sum() == 1
    assert check_form_1m(summed(bundled, "f" * 64))["tests"].sum() == 0


# ── frames


def test_only_sections_present_are_tested(figures, checked):
    alone = check_form_1m(figures.filter(section="R1"), hypotheses=True)
    assert alone["identity"].equals(checked["identity"])
    within = alone.filter(pl.col("tests") > 0)
    assert within.equals(checked.join(within, on="identity", how="semi", maintain_order="left"))
    assert set(within["identity"].str.extract(r":(.+)$").drop_nulls()) == {"R1"}
    assert set(within.filter(~pl.col("identity").str.contains(":"))["identity"]) == {
        "F1",
        "F5",
        "G1",
    }


def test_a_figure_missing_takes_away_its_tests_and_fails_none(figures):
    r1 = figures.filter(section="R1", region="KZ-75")
    whole = check_form_1m(r1)
    without = check_form_1m(r1.filter(pl.col("row") != "article:146"))
    assert without["fails"].equals(whole["fails"])
    fewer = whole.select("identity", fewer=whole["tests"] - without["tests"])
    # Chapter 3 is no longer a sum of its articles: one test less in each of 31 columns.
    assert fewer.filter(identity="V4:R1")["fewer"].item() == 31
    assert fewer.filter(identity="H5:R1")["fewer"].item() == 6
    assert fewer.filter(identity="V3:R1")["fewer"].item() == 0


def test_reports_are_never_mixed():
    one, other = (
        made("R1", {"article:146": {"in_proceedings": 5, "registered": n}}, region)
        for region, n in (("KZ-11", 6), ("KZ-75", 4))
    )
    later = other.with_columns(period=pl.lit("2023-12"), value=pl.col("value") * pl.Series([1, 3]))
    counts = counts_of(check_form_1m(pl.concat([one, other, later])), "H4:R1")
    assert (counts["tests"], counts["fails"], counts["workbooks_failing"]) == (3, 2, 2)
    found = failures(pl.concat([later, other, one]))
    assert found.select("period", "region", "difference").rows() == [
        ("2022-12", "KZ-11", 1),
        ("2023-12", "KZ-75", 7),
    ]


def test_a_figure_given_twice_is_refused():
    frame = made("R1", {"article:146": {"in_proceedings": 5, "registered": 6}})
    for look in (check_form_1m, failures):
        with pytest.raises(KzresearchError, match="R1 article:146 registered of KZ-11 for 2022-12"):
            look(pl.concat([frame, frame.filter(measure="registered")]))


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["R1!Y13", "R1!Z13", "R1!AA13", "R1!AB13"], "R1!Y13–AB13"),
        (["R1!E9", "R1!E10", "R1!F10", "R1!G10"], "R1!E9–E10, R1!F10–G10"),
        (["R1!E9", "R1-1!F9", "R1!F9", "R1!H9"], "R1!E9, R1-1!F9, R1!F9, R1!H9"),
        (["R1!F9", "R1!E9", "R1!E8"], "R1!F9, R1!E9, R1!E8"),
        ([], ""),
    ],
)
def test_neighbouring_cells_are_drawn_together(cells, words):
    assert accounting._ranges(cells) == words


def test_cells_in_words_are_all_the_cells(failing):
    for line in failing.iter_rows(named=True):
        named = accounting.in_words(line)[1]
        found = 0
        for part in re.split("[;,] ", named):
            first, *last = re.findall(r"([A-Z]+)(\d+)(?=$|–)", part)
            ends = [(column_index(letters), int(row)) for letters, row in (first, *last)]
            found += 1 + sum(b - a for a, b in zip(ends[0], ends[-1], strict=True))
        assert found == len(line["cells"]), named


def test_frame_without_the_columns_is_refused_in_one_sentence():
    with pytest.raises(KzresearchError, match=r"^the frame lacks period, .*, cell; give one as"):
        check_form_1m(pl.DataFrame({"a": [1]}))
    with pytest.raises(KzresearchError, match="^the frame lacks cell; give one as"):
        failures(made("R1", {"article:146": {"registered": 6}}).drop("cell"))


def test_a_frame_without_figures_has_no_tests(figures, checked, failing):
    nothing = check_form_1m(figures.clear())
    assert nothing.schema == checked.schema
    assert nothing["tests"].sum() == 0
    assert failures(figures.clear()).schema == failing.schema


def test_results_are_the_same_whatever_the_order_of_the_figures(figures, failing):
    some = figures.filter(pl.col("section").is_in(["R3", "R1"]))
    shuffled = some.sample(fraction=1, shuffle=True, seed=1)
    assert check_form_1m(shuffled).equals(check_form_1m(some))
    assert failures(shuffled).equals(failures(some))
    json.dumps(failing.head(3).to_dicts())

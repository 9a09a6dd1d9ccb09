"""Where the cases went: what the flow adds up to, and what it says where it cannot."""

import subprocess
import sys

import polars as pl
import pytest

import kzresearch as kz
from kzresearch import attrition, datasets, flows
from kzresearch.form_1m import codebook


def counts(frame: pl.DataFrame, kind: str) -> dict[str, float]:
    return dict(frame.filter(kind=kind).select("step", "count").rows())


BASES = {
    "gross_caseload": 918,
    "gross_registered": 807,
    "gross_carried_over": 111,
    "net_caseload": 106,
    "registered": 98,
    "carried_over": 8,
}
OUTCOMES = {
    "terminated_rehabilitating": 812,
    "sent_to_court": 10,
    "terminated_non_rehabilitating": 0,
    "interrupted": 14,
    "term_expired": 1,
    "transferred": 0,
    "time_barred": 0,
    "pending": 81,
}


def test_torture_in_2022():
    frame = kz.case_flow("2022-12")
    assert counts(frame, "base") == BASES
    assert counts(frame, "outcome") == OUTCOMES


def test_shares_are_of_the_gross_caseload_with_an_interval_around_them():
    outcomes = kz.case_flow("2022-12").filter(kind="outcome")
    shares = dict(outcomes.select("step", "share").rows())
    assert round(shares["terminated_rehabilitating"], 3) == 0.885
    assert round(shares["sent_to_court"], 3) == 0.011
    assert outcomes["share"].sum() == pytest.approx(1)
    assert (outcomes["lower"] <= outcomes["share"]).all()
    assert (outcomes["share"] <= outcomes["upper"]).all()
    assert kz.case_flow("2022-12").filter(kind="base")["share"].null_count() == 6


def test_cohort_follows_the_registrations_of_the_year():
    frame = kz.case_flow("2022-12", cohort=True)
    assert counts(frame, "base") == {"gross_caseload": 807, "net_caseload": 98}
    outcomes = counts(frame, "outcome")
    assert outcomes["terminated_rehabilitating"] == 709
    assert outcomes["sent_to_court"] == 4
    assert sum(outcomes.values()) == 807


def test_parts_add_up_to_their_outcome():
    frame = kz.case_flow("2022-12", article="188")
    outcomes, parts = counts(frame, "outcome"), frame.filter(kind="part")
    grounds = parts.filter(part_of="interrupted")
    assert grounds.height == 9
    assert grounds["count"].sum() == outcomes["interrupted"]
    ways = parts.filter(pl.col("step").str.contains("investigation|inquiry|protocol"))
    assert ways["count"].sum() == outcomes["sent_to_court"]


def test_every_count_lists_its_cells():
    frame = kz.case_flow("2022-12", "KZ-75")
    assert frame["cells"].list.len().min() >= 1
    caseload = frame.filter(step="gross_caseload")["cells"].item().to_list()
    assert sorted(cell["cell"] for cell in caseload) == ["R1!E70", "R1!Q70"]


@pytest.mark.slow
@pytest.mark.parametrize("cohort", [False, True])
def test_outcomes_add_up_to_the_caseload_for_every_article(cohort):
    articles = codebook.row_names().filter(kind="article")["article"].to_list()
    for article in articles[::6]:
        frame = kz.case_flow("2022-12", article=article, cohort=cohort)
        bases, outcomes = counts(frame, "base"), counts(frame, "outcome")
        assert sum(outcomes.values()) == bases["gross_caseload"], article
        assert outcomes["pending"] >= 0, article
        assert frame.filter(step="gross_caseload")["note"].item() is None


def test_what_the_press_did_not_report_is_null_and_said():
    frame = kz.case_flow("2021-02")
    assert frame.filter(step="gross_caseload").select("count", "note").row(0) == (
        None,
        "not reported, so the outcomes have no base",
    )
    outcomes = counts(frame, "outcome")
    assert outcomes["terminated_unspecified"] == 40
    assert outcomes["term_expired_unspecified"] == 8
    assert outcomes["sent_to_court"] == 1
    assert outcomes["pending"] is None
    assert frame["share"].null_count() == frame.height


def test_caseload_of_nought_has_no_shares():
    frame = kz.case_flow("2022-12", "KZ-62", "437")
    assert frame["count"].sum() == 0
    assert frame["share"].null_count() == frame.height


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("2022-11",), "unknown period"),
        (("2022-12", "KZ", "1466"), "unknown article"),
        (("2021-02", "KZ", "362"), "2021-02 reports nothing on article 362"),
    ],
)
def test_flow_of_what_is_not_there_is_one_sentence(arguments, message):
    with pytest.raises(kz.UnknownValueError, match=message):
        kz.case_flow(*arguments)


def test_function_is_not_hidden_by_a_module():
    code = (
        "import pkgutil, kzresearch as kz; "
        "modules = {m.name for m in pkgutil.iter_modules(kz.__path__)}; "
        "print(sorted(modules & set(kz.__all__)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "['charts', 'tables']"


def test_parts_have_shares_of_the_gross_caseload_too():
    flow = kz.case_flow("2022-12")
    (line,) = flow.filter(step="sent_to_court_investigation").to_dicts()
    assert line["share"] == pytest.approx(10 / 918)
    assert line["lower"] < line["share"] < line["upper"]
    assert flow.filter(kind="base")["share"].null_count() == 6


def test_more_cases_out_than_in_are_said_and_not_drawn(monkeypatch):
    whole = datasets.load_form_1m

    def broken(*args, **filters):
        frame = whole(*args, **filters)
        more = pl.when(pl.col("measure") == "interrupted").then(pl.col("value") + 200)
        return frame.with_columns(value=more.otherwise("value"))

    monkeypatch.setattr(datasets, "load_form_1m", broken)
    monkeypatch.setattr(flows, "_kept", lambda *_: {})
    flow = kz.case_flow("2022-12", "KZ-75")
    (pending,) = flow.filter(step="pending").to_dicts()
    assert pending["count"] is pending["share"] is None
    assert pending["note"] == "183 more left the caseload than it held"
    note = flow.filter(step="gross_caseload")["note"].item()
    assert note == "the source differs: 183 more left the caseload than it held"
    assert flow.filter(step="interrupted")["share"].item() is None
    said = "does not add up in the source"
    table = kz.tables.flow(flow, "t", "s").frame
    assert table.filter(label="pending")["count"].item() == said
    found = attrition.recorded(flow, flow, attrition.comparison("2022-12", "KZ-75").frame)
    assert (found["pending"].value, found["pending"].text) == (None, said)


def test_figures_are_read_once_and_again_where_the_file_changed(monkeypatch):
    load, asked = datasets.load_form_1m, []

    def noted(*args, **filters):
        asked.append(filters["row"])
        return load(*args, **filters)

    monkeypatch.setattr(datasets, "load_form_1m", noted)
    flows._kept.cache_clear()
    kz.case_flow("2022-12", "KZ-75")
    kz.case_flow("2022-12", "KZ-75", cohort=True)
    attrition.comparison("2022-12", "KZ-75")
    assert asked == [["article:146"], ["article:362", "article:120", "total"]]
    changed = ("another state of the file", 0, 0)
    monkeypatch.setattr(datasets, "state", lambda _: changed)
    kz.case_flow("2022-12", "KZ-75")
    assert asked[2:] == [["article:146"]]


def test_state_of_a_file_is_another_where_it_changed(monkeypatch, tmp_path):
    assert datasets.state("2022-12") == datasets.state("2022-12") != datasets.state("2021-02")
    monkeypatch.setattr(datasets, "data_dir", lambda: tmp_path)
    assert datasets.state("2022-12") is None
    (tmp_path / "form_1m").mkdir()
    file = tmp_path / "form_1m" / "2022-12.parquet"
    file.write_bytes(b"a")
    before = datasets.state("2022-12")
    file.write_bytes(b"ab")
    assert datasets.state("2022-12") != before

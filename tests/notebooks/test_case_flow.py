"""The case-flow notebook, run: what it records, and what it says where something is missing."""

import json

import jsonschema
import pytest

from kzresearch.errors import UnknownValueError
from tests.conftest import ROOT, run_notebook as run
from tests.language import left_in_english, said_in, same_figures
from tests.test_flows import BASES, OUTCOMES

FIGURES = {
    **BASES,
    **OUTCOMES,
    "cohort_gross_caseload": 807,
    "cohort_terminated_rehabilitating": 709,
    "cohort_sent_to_court": 4,
}


def text_of(outcome) -> str:
    """Everything the page's reader reads in words: the notebook's text outputs."""
    return "\n".join(
        "".join(output["data"].get("text/markdown", ""))
        for cell in outcome.notebook["cells"]
        for output in cell.get("outputs", [])
        if "data" in output
    )


@pytest.fixture(scope="module")
def torture(report):
    return report["case_flow", "2022-12"]


def test_record_holds_the_figures(torture):
    results = torture.record["results"]
    assert {name: results[name]["value"] for name in FIGURES} == FIGURES
    texts = {name: one["text"] for name, one in results.items()}
    assert texts["share_terminated_rehabilitating"] == "88.5 %"
    assert texts["share_sent_to_court"] == "1.1 %"
    for share in ("share_terminated_rehabilitating", "share_sent_to_court"):
        lower, value, upper = (
            results[f"{share}{end}"]["value"] for end in ("_lower", "", "_upper")
        )
        assert lower < value < upper
    assert texts["relative_risk_sent_to_court_362"] == "0.18"
    schema = json.loads((ROOT / "kzresearch/record.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(torture.record, schema)


def test_outcomes_add_up_to_the_caseload_exactly(torture):
    results = torture.record["results"]
    added = sum(results[name]["value"] for name in OUTCOMES)
    assert added == results["gross_caseload"]["value"]


def test_page_shows_every_case_and_says_what_an_interval_means(torture):
    flow, shares = torture.record["figures"]
    assert flow["text"].startswith("Flow of 918 cases, 807 registered in the year and 111 carried")
    assert "Article 362. Excess of power or official authority, sent to court" in shares["text"]
    assert "**918 cases** were on the books" in text_of(torture)
    assert "Were half of the terminations repeats, 406 would stand" in text_of(torture)
    assert "the interval (Wilson, 95 %) holds the underlying" in torture.page


def test_press_report_shows_what_it_has_and_says_what_is_missing(tmp_path):
    left = run("case_flow", {"period": "2021-02"}, tmp_path)
    record = left.record
    assert record["status"] == "completed"
    assert record["results"]["gross_caseload"]["value"] is None
    assert record["results"]["registered"]["value"] == 88
    assert record["results"]["terminated_unspecified"]["value"] == 40
    page = left.page.read_text(encoding="utf-8")
    assert "no picture, not every disposition is reported." in page
    assert "official authority: 2021-02 reports nothing on it." in page
    assert "no table, none of these figures is reported." in page


def test_many_cases_in_a_region_and_an_odd_comparison(tmp_path):
    parameters = {"region": "KZ-75", "article": "188", "compare": "437,188,chapter:6"}
    left = run("case_flow", parameters, tmp_path)
    assert left.record["status"] == "completed"
    text = left.record["figures"][0]["text"]
    assert "One mark stands for 10 cases, or for what is left of a group." in text
    page = left.page.read_text(encoding="utf-8")
    assert "No comparison of Article 188. Theft with itself." in page
    assert "military bodies file workbooks of their own, which are not held." in page
    cells = left.record["results"]["sent_to_court"]["cells"]
    assert len(cells) == 1


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (
            "ru",
            ["# Куда ушли дела", "Казахстан, январь–декабрь 2022 года", "88,5\xa0%", "1\xa0012 из"],
        ),
        (
            "kk",
            [
                "# Істер қайда кетті",
                "2022 жылғы қаңтар–желтоқсан",
                "88,5\xa0%",
                "247\xa0786 ішінен",
            ],
        ),
    ],
)
def test_page_is_in_the_readers_language_and_its_figures_are_the_same(
    torture, language, said, tmp_path
):
    left = run("case_flow", {"language": language}, tmp_path)
    assert left.record["status"] == "completed"
    assert same_figures(left.record, torture.record)
    executed = json.loads(left.notebook.read_text(encoding="utf-8"))
    texts = "\n".join(said_in(executed))
    assert [text for text in said if text not in texts] == []
    assert left_in_english(executed) == []


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"compare": "362,9999"}, "unknown article '9999'"),
        (
            {"compare": "severity:grave"},
            "is no article, chapter or total; name these",
        ),
        ({"article": "1466"}, "unknown article '1466'; near matches"),
        ({"article": "total"}, "unknown article 'total'"),
        ({"period": "2021-02", "region": "KZ-75"}, "2021-02 has no figures for KZ-75"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_runs(parameters, message, tmp_path):
    with pytest.raises(UnknownValueError, match=message):
        run("case_flow", parameters, tmp_path / "out")
    assert not (tmp_path / "out").exists()

"""The notebook of published figures: what it records, says and refuses."""

import json

import pytest

from kzresearch.charts import MIME as CHART
from kzresearch.errors import KzresearchError
from kzresearch.publications import trend
from tests.conftest import run_notebook as run


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

"""The notebook on victims and persons, run: what it records, draws and says."""

import json

import jsonschema
import pytest

from kzresearch.charts import MIME as CHART
from tests.conftest import ROOT, run_notebook as run
from tests.language import left_in_english, said_in, same_figures
from tests.test_persons import FIGURES


@pytest.fixture(scope="session")
def people(report, tmp_path_factory):
    """Runs by period and region: record, notebook and page."""
    default = report["people", "2022-12"]
    found = {("2022-12", "KZ"): (default.record, default.notebook, default.page)}
    for period, region in (("2021-02", "KZ"), ("2022-12", "KZ-43")):
        given = {"period": period, "region": region}
        left = run("people", given, tmp_path_factory.mktemp("people"))
        notebook = json.loads(left.notebook.read_text(encoding="utf-8"))
        page = left.page.read_text(encoding="utf-8")
        found[period, region] = left.record, notebook, page
    return found


def charts(notebook: dict) -> list[dict]:
    found = (o["data"] for cell in notebook["cells"] for o in cell.get("outputs", []))
    return [data[CHART] for data in found if CHART in data]


def test_record_holds_the_figures_and_follows_its_schema(people):
    record, notebook, page = people["2022-12", "KZ"]
    results = record["results"]
    assert record["status"] == "completed"
    assert {name: results[name]["value"] for name in FIGURES} == FIGURES
    assert results["victims_age_0_11"]["text"] == "3 (or birth date unknown)"
    schema = json.loads((ROOT / "kzresearch/record.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(record, schema)
    assert [one["id"] for one in record["sources"]] == ["form_1m"]
    assert len(charts(notebook)) == 4
    assert "not the suspects in the 918 offences" in page


def test_each_chart_is_of_one_unit(people):
    titles = [spec["title"]["text"] for spec in charts(people["2022-12", "KZ"][1])]
    assert [" ".join(title) for title in titles] == [
        "Article 146. Torture: victims as persons, by age (R3-1)",
        "Article 146. Torture: victims, once for each offence, by age (R3)",
        "Article 146. Torture: persons of decided cases, by age (R6)",
        "Article 146. Torture: persons of decided cases, by service (R8)",
    ]


def test_press_period_says_in_a_sentence_what_is_missing(people):
    record, notebook, page = people["2021-02", "KZ"]
    assert record["status"] == "completed"
    results = record["results"]
    assert (results["registered"]["value"], results["registered_against_women"]["value"]) == (88, 4)
    assert (results["victims"]["value"], results["victims"]["text"]) == (None, "not reported")
    assert (results["persons"]["value"], results["persons"]["text"]) == (None, "not reported")
    assert page.count("Victims (R3, R3-1): not reported.") == 1
    assert page.count("nothing to draw, no figure is reported") == 4
    assert charts(notebook) == []


def test_region_without_victims_or_persons_says_so(people):
    record, notebook, page = people["2022-12", "KZ-43"]
    assert (record["results"]["victims"]["value"], record["results"]["persons"]["value"]) == (0, 0)
    assert page.count("nothing to draw, every figure is nought") == 4
    assert "So the victims in the 70 offences terminated" in page
    assert charts(notebook) == []


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("ru", ["# Потерпевшие и лица", "3 (или дата рождения неизвестна)", "812 правонарушений"]),
        ("kk", ["# Жәбірленушілер және", "3 (немесе туған күні белгісіз)", "812 құқық бұзушылық"]),
    ],
)
def test_page_is_in_the_readers_language_and_its_figures_are_the_same(
    people, language, said, tmp_path
):
    left = run("people", {"language": language}, tmp_path)
    assert left.record["status"] == "completed"
    assert same_figures(left.record, people["2022-12", "KZ"][0])
    executed = json.loads(left.notebook.read_text(encoding="utf-8"))
    texts = "\n".join(said_in(executed))
    assert [text for text in said if text not in texts] == []
    assert left_in_english(executed) == []

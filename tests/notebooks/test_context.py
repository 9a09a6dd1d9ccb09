"""The notebook on the country's context: its scores, and years that not every index rates."""

import json

import pytest

from kzresearch.charts import MIME as CHART
from kzresearch.errors import UnknownValueError
from tests.conftest import run_notebook as run
from tests.language import left_in_english, said_in, same_figures

NAMES = [
    "freedom_in_the_world_total",
    "freedom_in_the_world_rank",
    *(f"vdem_v2cltort{end}" for end in ("", "_lower", "_upper", "_rank")),
    *(f"hrmi_tort{end}" for end in ("", "_lower", "_upper", "_rank")),
]


def outputs(left) -> list[dict]:
    notebook = json.loads(left.notebook.read_text(encoding="utf-8"))
    return [o.get("data", {}) for cell in notebook["cells"] for o in cell.get("outputs", [])]


@pytest.fixture(scope="session")
def context_run(tmp_path_factory):
    return run("context", {}, tmp_path_factory.mktemp("context"))


def test_scores_ranks_and_bounds_are_recorded_with_their_year(context_run):
    results = context_run.record["results"]
    assert list(results) == NAMES
    assert results["freedom_in_the_world_total"]["value"] == 23
    assert results["freedom_in_the_world_rank"]["value"] == 6
    assert results["vdem_v2cltort"]["value"] == -0.644
    assert results["vdem_v2cltort_rank"]["value"] == 7
    assert results["vdem_v2cltort_upper"]["text"] == "not reported"
    assert [results[name]["text"] for name in NAMES[6:9]] == ["3.82", "3.17", "4.46"]
    assert all("Kazakhstan, 2021" in one["note"] for one in results.values())
    assert {tuple(one["sources"]) for one in results.values() if one["value"] is not None} == {
        ("freedom_in_the_world",),
        ("vdem_v14",),
        ("hrmi_cpr_v5_1",),
    }


def test_each_index_has_a_chart_of_its_own_scale(context_run):
    specs = [data[CHART] for data in outputs(context_run) if CHART in data]
    assert len(specs) == 3
    for spec, unit in zip(specs, ("points of 100", "interval scale", "0 to 10"), strict=True):
        assert unit in spec["description"]
        titles = {layer["encoding"]["y"].get("title") for layer in spec["layer"]}
        assert len(titles) == 1


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (
            "ru",
            [
                "# Страна среди сопоставимых стран: свобода и свобода от пыток",
                "**Казахстан, 2021: −0,644** (интервальная шкала",
                "место 7 из 12 имеющихся стран",
                "|Азербайджан|",
            ],
        ),
        (
            "kk",
            [
                "# Ел қатарлас елдер арасында: бостандық және азаптаудан азаттық",
                "**Қазақстан, 2021: −0,644** (интервалдық шкала",
                "қолда бар 12 елдің ішінде 7-орын",
                "|Әзірбайжан|",
            ],
        ),
    ],
)
def test_page_is_in_the_readers_language_and_its_figures_are_the_same(
    context_run, language, said, tmp_path
):
    left = run("context", {"language": language}, tmp_path)
    assert same_figures(left.record, context_run.record)
    executed = json.loads(left.notebook.read_text(encoding="utf-8"))
    texts = "\n".join(said_in(executed))
    assert [text for text in said if text not in texts] == []
    names = ("Freedom in the World", "Freedom House", "Human Rights Measurement", "Coppedge et al")
    given = "country Kazakhstan, year"  # the run's parameters, where it is cited
    left_over = [one for one in left_in_english(executed) if not one.startswith((*names, given))]
    assert left_over == []


def test_licences_stand_on_the_page(context_run):
    page = context_run.page.read_text(encoding="utf-8")
    assert "CC BY-SA 4.0" in page
    assert "HRMI's scores are under CC BY 4.0" in page


def test_year_that_only_one_index_rates_goes_on(tmp_path):
    left = run("context", {"country": "Georgia", "year": "2024"}, tmp_path)
    assert left.record["status"] == "completed"
    results = left.record["results"]
    assert results["freedom_in_the_world_total"]["value"] == 55
    assert results["vdem_v2cltort"]["value"] is None
    said = ["".join(data.get("text/markdown", "")) for data in outputs(left)]
    assert sum("no score of Georgia for 2024 is at hand" in one for one in said) == 2


@pytest.mark.parametrize("year", ["99999999999999999999999", "-5"])
def test_year_that_nobody_rates_is_refused_in_one_sentence(year, tmp_path):
    with pytest.raises(UnknownValueError, match="no index at hand rates Kazakhstan in"):
        run("context", {"year": year}, tmp_path)

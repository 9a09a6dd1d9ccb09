"""The notebook on the regions, run as a user would: what it records, says, and does without."""

import json

import pytest

import kzresearch as kz
from kzresearch.charts import MIME as CHART
from kzresearch.errors import KzresearchError
from tests.conftest import run_notebook as run
from tests.language import left_in_english, said_in, same_figures
from tests.test_geography import TORTURE


def outcome(left) -> tuple[dict, dict, str]:
    """Record, notebook and page of a run."""
    texts = [path.read_text(encoding="utf-8") for path in (left.json, left.notebook, left.page)]
    return json.loads(texts[0]), json.loads(texts[1]), texts[2]


@pytest.fixture(scope="module")
def year(report):
    left = report["regions", "2022-12"]
    return left.record, left.notebook, left.page


def specs(notebook: dict) -> list[dict]:
    return [
        output["data"][CHART]
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if CHART in output.get("data", {})
    ]


def test_it_records_the_country_and_every_region(year):
    record, _, _ = year
    results = record["results"]
    assert record["status"] == "completed"
    for region, expected in TORTURE.items():
        code = region.lower().replace("-", "_")
        names = ("gross_caseload", "registered", "terminated_rehabilitating")
        assert tuple(results[f"{name}_{code}"]["value"] for name in names) == expected, region
    assert results["gross_caseload"]["value"] == 918
    assert results["gross_caseload"]["value"] == sum(gross for gross, _, _ in TORTURE.values())
    rate = [results[f"rate_gross_caseload{limit}"]["text"] for limit in ("", "_lower", "_upper")]
    assert rate == ["4.68", "4.38", "4.99"]
    for kind in ("rate", "shrunken_rate"):
        assert sum(name.startswith(f"{kind}_gross_caseload_kz") for name in results) == 3 * 17
    assert results["rate_gross_caseload_kz_63"]["note"] == "of East Kazakhstan with Abai"
    assert {one["id"] for one in record["sources"]} == {"form_1m", "population_2000_2023"}


def test_it_says_what_stands_out_and_what_is_missing(year):
    _, notebook, page = year
    assert "Kyzylorda (70), Zhambyl (61), Akmola (42)" in page
    assert "No case at all is counted in Ulytau." in page
    assert "Outside the 99.8 % limits, 8 of 17: above Almaty (8.87)" in page
    assert "Military, transport and central bodies file workbooks of their own" in page
    assert "Split off from Karaganda Region on 2022-06-08" in page
    drawn = specs(notebook)
    assert [spec["description"].split(".")[0] for spec in drawn] == [
        "Map",
        "Bar chart with two bars each",
        "Map",
        "Estimates with 95 % intervals",
        "Funnel plot",
        "Funnel plot",
    ]
    assert page.count("data:image/svg+xml;base64,") == len(drawn)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (
            "ru",
            [
                "# Где учитываются дела о пытках",
                "Алматы (189), Алматинская (95) и Туркестанская (74)",
                "**4,68 правонарушения на 100\xa0000 населения за 12 месяцев**",
                "Карта. Статья 146. Пытки",
                "Восточно-\nКазахстанская\n+ Абай",
                "За границами 99,8\xa0% — 8 из 17: выше — Алматы (8,87)",
            ],
        ),
        (
            "kk",
            [
                "# Азаптау туралы істер қайда есепке алынады",
                "Алматы (189), Алматы облысы (95) және Түркістан (74)",
                "халықтың орташа санына, 19\xa0634\xa0983 адамға",
                "146-бап. Пытки (орысша)",
                "99,8\xa0% шектерінен тыс — 17 ішінен 8: жоғары — Алматы (8,87)",
            ],
        ),
    ],
)
def test_page_is_in_the_readers_language_and_its_figures_are_the_same(
    year, language, said, tmp_path
):
    left = run("regions", {"language": language}, tmp_path)
    record, executed, _ = outcome(left)
    assert record["status"] == "completed"
    assert same_figures(record, year[0])
    texts = "\n".join(said_in(executed))
    assert [text for text in said if text not in texts] == []
    parameters = f"map tiles, language {language}"  # as they are given, in the citation
    assert set(left_in_english(executed)) <= {parameters}


def test_article_of_which_every_region_has_the_same_caseload(tmp_path):
    _, notebook, page = outcome(run("regions", {"article": "415"}, tmp_path))
    assert len(specs(notebook)) == 6
    assert "Outside the 95 % limits only, 0 of 2." in page


def test_article_without_a_case(tmp_path):
    left = run("regions", {"article": "145"}, tmp_path / "out")
    record, notebook, page = outcome(left)
    assert record["status"] == "completed"
    assert record["results"]["gross_caseload"]["value"] == 0
    assert "No case of this article was on the books of any region." in page
    assert page.count("nothing to draw, no figure is above nought") == 3
    assert len(specs(notebook)) == 3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"period": "2021-02"}, "2021-02 has no figures for the regions; it has: KZ"),
        ({"map": "globe"}, "unknown map 'globe'; known: tiles, boundaries"),
        ({"map": "boundaries"}, "no boundaries to draw"),
        ({"article": "1466"}, "unknown article '1466'"),
    ],
)
def test_wrong_use_ends_in_one_sentence_before_anything_runs(
    parameters, message, tmp_path, monkeypatch
):
    monkeypatch.setenv("KZRESEARCH_RAW", str(tmp_path))
    with pytest.raises(KzresearchError, match=message):
        run("regions", parameters, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_real_boundaries_are_drawn_and_credited(raw, tmp_path, monkeypatch):
    monkeypatch.setenv("KZRESEARCH_RAW", str(raw))
    record, notebook, page = outcome(
        run("regions", {"map": "boundaries"}, tmp_path)
    )
    assert record["status"] == "completed"
    counts, rates = (spec for spec in specs(notebook) if spec["description"].startswith("Map"))
    shapes = [
        {one["properties"]["iso"] for one in geometries}
        for geometries in (found(counts), found(rates))
    ]
    table = kz.load_regions()
    assert shapes == [set(table["region"]), set(table["unit_17"])]
    assert "UNHCR; © OpenStreetMap contributors" in page
    assert "cod-ab-kaz" in page  # the reference at the end


def found(spec: dict) -> list[dict]:
    """The shapes of a map, wherever Altair put its data."""
    (topology,) = (
        layer["data"]["values"]
        for layer in [spec, *spec["layer"]]
        if isinstance(layer.get("data", {}).get("values"), dict)
    )
    (collection,) = topology["objects"].values()
    return collection["geometries"]

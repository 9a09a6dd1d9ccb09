"""The notebook on data quality, run for a year of workbooks and for a press report."""

import json
from types import SimpleNamespace

import pytest

import kzresearch as kz
from kzresearch.charts import MIME as CHART
from kzresearch.errors import UnknownValueError
from tests.conftest import run_notebook as run
from tests.language import left_in_english, said_in, same_figures

YEAR = {
    "identity_tests_hard": 2_672_360,
    "identity_failures_hard": 118,
    "identity_tests_source_defect": 51_980,
    "identity_failures_source_defect": 810,
    "identity_tests_hard_nonzero": 431_950,
    "torture_identity_tests_hard": 5_880,
    "torture_identity_failures_hard": 0,
    "net_test_failures_inside": 1_299 + 1_219 + 2_404 + 779,
    "net_test_failures_beside": 2,
    "registered_in_workbooks": 155_200,
    "registered_published": 157_473,
    "registered_not_covered": 2_273,
    "coverage": 0.985566,
    "torture_gross_caseload": 918,
    "torture_gross_registered": 807,
    "torture_registered": 98,
    "published_torture_cases": 920,
    "workbooks": 20,
    "workbooks_stating_their_period": 2,
    "figures": 4_349_200,
    "figures_nought": 4_075_061,
    "figures_without_cell": 0,
}


@pytest.fixture(scope="session")
def quality_runs(report, tmp_path_factory):
    """Period → results, shown text and charts of a run."""
    left = run("data_quality", {"period": "2021-02"}, tmp_path_factory.mktemp("q"))
    year = report["data_quality", "2022-12"]
    found = {}
    for period, record, notebook in (
        ("2022-12", year.record, year.notebook),
        ("2021-02", left.record, json.loads(left.notebook.read_text(encoding="utf-8"))),
    ):
        data = [o.get("data", {}) for c in notebook["cells"] for o in c.get("outputs", [])]
        found[period] = SimpleNamespace(
            status=record["status"],
            results=record["results"],
            shown=[joined(one, "text/markdown") or joined(one, "text/plain") for one in data],
            charts=[one[CHART] for one in data if CHART in one],
        )
    return found


def joined(data: dict, kind: str) -> str:
    return "".join(data.get(kind, ""))


def table(shown: list[str], title: str) -> list[str]:
    """The lines of the table of that title."""
    (text,) = [one for one in shown if one.startswith(title)]
    return text.splitlines()[1:]


def test_year_of_workbooks(quality_runs):
    done = quality_runs["2022-12"]
    assert done.status == "completed"
    assert {name: one["value"] for name, one in done.results.items()} == YEAR
    assert done.results["coverage"]["text"] == "98.6 %"
    assert len(done.results["registered_in_workbooks"]["cells"]) == 20
    assert done.results["published_torture_cases"]["note"].startswith("Kazinform")


def test_every_failing_test_is_listed_with_its_cells(quality_runs):
    shown = quality_runs["2022-12"].shown
    for title, count, identities in (
        ("hard identities", YEAR["identity_failures_hard"], 16),
        ("known source defects", YEAR["identity_failures_source_defect"], 10),
    ):
        found = table(shown, f"Every failing test of {title}")
        lines = [line.split("\t") for line in found]
        assert len(lines) == count
        assert all("!" in cells and "more" not in cells for *_, cells, _ in lines)
        named = {line[0]: 0 for line in lines}
        for line in lines:
            named[line[0]] += 1
        assert len(named) == identities
        for rule, many in named.items():
            assert f": {many:,} of all " in rule
    (chart,) = quality_runs["2022-12"].charts
    assert "In tests: Shymkent: 28; Akmola Region: 22;" in chart["description"]


def test_the_810_are_on_the_page_folded_and_the_page_stays_small(report):
    page = report["data_quality", "2022-12"].page
    title = "Every failing test of known source defects, January–December 2022"
    assert f"<details><summary>{title} (810 lines; open to see)</summary>" in page
    assert len(page.encode()) < 3_000_000


def test_a_listed_test_fails_in_the_cells_it_names(quality_runs):
    lines = table(quality_runs["2022-12"].shown, "Every failing test of hard identities")
    (line,) = [line for line in lines if line.startswith("H16:R3") and "article 135" in line]
    assert "\tAlmaty\t" in line
    assert line.endswith("\t7 > 0\tR3!F54; R3!S54–AB54\t7")
    held = kz.load_form_1m("2022-12", "KZ-75", "R3", "135")
    assert held.filter(cell="R3!F54")["value"].item() == 7


def test_failures_in_the_row_of_torture_name_all_their_cells(quality_runs):
    lines = table(quality_runs["2022-12"].shown, "Failing tests in the row of article 146")
    assert [line.split("\t")[-2] for line in lines] == [
        "R3!O66–R66; R3!S66–AB66",
        "R6!E68; R1!J70",
    ]


def test_both_readings_are_judged_by_all_their_tests(quality_runs):
    (said,) = [one for one in quality_runs["2022-12"].shown if one.startswith("Were offences")]
    assert "**1,299 of 8,440** (H9a:R1)" in said
    assert "**0 of 8,440** (F1), **0 of 8,440** (F2), **2 of 8,440** (F3) tests." in said
    assert said.endswith(
        "are net of these terminations; the few tests that fail stand in the list above."
    )


def test_source_defects_are_named(quality_runs):
    lines = table(quality_runs["2022-12"].shown, "Known source defects")
    assert len(lines) == 10
    assert sum(int(line.split("\t")[3]) for line in lines) == 810
    assert all(line.split("\t")[-1] for line in lines)


def test_all_published_figures_of_the_year_stand_beside_ours(quality_runs):
    shown = quality_runs["2022-12"].shown
    lines = table(shown, "Published figures beside ours")
    assert [line[:5] for line in lines] == [
        "P0004",
        "P0069",
        "P0070",
        "P0071",
        "P0072",
        "P0140",
        "P0146",
    ]
    (said,) = [one for one in shown if one.startswith("**920 criminal cases**")]
    assert "gross caseload **918**" in said
    assert "registered (net) **98**" in said
    assert "Which of them the publication means it does not say" in said


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (
            "ru",
            [
                "# Насколько показателям можно доверять?",
                "**2\xa0672\xa0360 проверок** строгих тождеств",
                "V2:R1. R1: преступления = сумма четырёх категорий тяжести, в каждой графе: "
                "не выполняется 3 из 620 проверок",
                "статья 135|",
                "потерпевшие женщины|",
                "**920 уголовных дел** о пытках",
            ],
        ),
        (
            "kk",
            [
                "# Көрсеткіштерге қаншалықты сенуге болады?",
                "**2\xa0672\xa0360 тексеруі** жүргізілді",
                "(810 жол; көру үшін ашыңыз)",
                "135-бап|",
                "жәбірленуші әйелдер|",
                "**920 қылмыстық іс**",
            ],
        ),
    ],
)
def test_page_is_in_the_readers_language_and_its_figures_are_the_same(
    quality_runs, language, said, tmp_path
):
    left = run("data_quality", {"language": language}, tmp_path)
    assert left.record["status"] == "completed"
    assert same_figures(left.record, {"results": quality_runs["2022-12"].results})
    executed = json.loads(left.notebook.read_text(encoding="utf-8"))
    texts = "\n".join(said_in(executed))
    assert [text for text in said if text not in texts] == []
    assert set(left_in_english(executed)) <= {"The Astana Times"}  # a newspaper's name


def test_press_report_goes_on_and_says_what_is_missing(quality_runs):
    done = quality_runs["2021-02"]
    assert done.status == "completed"
    assert done.results["identity_tests_hard"]["value"] == 2
    assert done.results["identity_failures_source_defect"]["text"] == "not reported"
    assert done.results["torture_registered"]["value"] == 88
    assert not done.charts
    missing = [one for one in done.shown if "no workbook of this period is held" in one.lower()]
    assert len(missing) >= 5


def test_period_not_held_ends_in_one_sentence(tmp_path):
    with pytest.raises(UnknownValueError, match="unknown period '2020-12'"):
        run("data_quality", {"period": "2020-12"}, tmp_path)

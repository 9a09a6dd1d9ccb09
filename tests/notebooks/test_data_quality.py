"""The notebook on data quality, run for a year of workbooks and for a press report."""

import json
from types import SimpleNamespace

import pytest

import kzresearch as kz
from kzresearch.charts import MIME as CHART
from kzresearch.errors import UnknownValueError
from kzresearch.run import run

YEAR = {
    "identity_tests_hard": 2_672_360,
    "identity_failures_hard": 118,
    "identity_tests_source_defect": 51_980,
    "identity_failures_source_defect": 810,
    "identity_tests_hard_nonzero": 431_950,
    "torture_identity_tests_hard": 5_880,
    "torture_identity_failures_hard": 0,
    "net_test_failures_inside": 1_299,
    "net_test_failures_beside": 0,
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
    "share_nought": 0.936968,
    "figures_without_cell": 0,
}


@pytest.fixture(scope="session")
def quality_runs(tmp_path_factory):
    """Period → results, shown text and charts of a run."""
    found = {}
    for period in ("2022-12", "2021-02"):
        left = run("data_quality", {"period": period}, tmp_path_factory.mktemp("q"), progress=False)
        notebook = json.loads(left.notebook.read_text(encoding="utf-8"))
        data = [o.get("data", {}) for c in notebook["cells"] for o in c.get("outputs", [])]
        found[period] = SimpleNamespace(
            status=left.record["status"],
            results=left.record["results"],
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
    lines = [line.split("\t") for line in table(shown, "Every failing test of a hard identity")]
    assert len(lines) == YEAR["identity_failures_hard"]
    assert all("!" in line[-1] for line in lines)
    by_identity = table(shown, "Hard identities that fail")
    assert len(by_identity) == 16
    assert sum(int(line.split("\t")[3]) for line in by_identity) == len(lines)
    (chart,) = quality_runs["2022-12"].charts
    assert "In tests: Shymkent: 28; Akmola Region: 22;" in chart["description"]


def test_a_listed_test_fails_in_the_cells_it_names(quality_runs):
    lines = table(quality_runs["2022-12"].shown, "Every failing test of a hard identity")
    (line,) = [line for line in lines if line.startswith("H16:R3") and "article 135" in line]
    assert "\tAlmaty\t" in line
    assert "\t7 > 0\t7\tR3!F54, " in line
    held = kz.load_form_1m("2022-12", "KZ-75", "R3", "135")
    assert held.filter(cell="R3!F54")["value"].item() == 7


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
    assert "Nearest is the gross caseload" in said


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
        run("data_quality", {"period": "2020-12"}, tmp_path, progress=False)

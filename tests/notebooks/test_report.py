"""`kzresearch report`: every notebook on the bundled data, and an index page that leads to each."""

import subprocess

import kzresearch as kz
from bs4 import BeautifulSoup

from kzresearch.notebooks import ORDER, notebooks
from tests.conftest import PERIODS, command


def test_every_notebook_is_run_and_the_period_report_for_both_periods(report):
    every = {(one.name, None) for one in notebooks()} - {("period_report", None)}
    assert {(name, None) for name, _ in report if name != "period_report"} == every
    assert {period for name, period in report if name == "period_report"} == set(PERIODS)
    assert {one.record["status"] for one in report.values()} == {"completed"}


def test_notebooks_are_in_the_order_in_which_they_are_read():
    assert [one.name for one in notebooks()] == list(ORDER)


def index(report) -> BeautifulSoup:
    folder = next(iter(report.values())).page_path.parent
    return BeautifulSoup((folder / "index.html").read_text(encoding="utf-8"), "html.parser")


def test_index_leads_to_every_page_notebook_and_record(report):
    folder = next(iter(report.values())).page_path.parent
    left = {path.name for path in folder.iterdir()} - {"index.html"}
    addresses = [link["href"] for link in index(report)("a") if link["href"] != "#cite-this"]
    assert sorted(addresses) == sorted(left)
    assert len(left) == 3 * len(report) + 2


def test_index_has_a_row_for_every_run(report):
    page = index(report)
    text = page.get_text(" ", strip=True)
    assert [one.get_text() for one in page("h2")][: len(ORDER)] == [n.title for n in notebooks()]
    rows = [row.get_text(" ", strip=True) for row in page.select("table[data-all] tbody tr")]
    for record in (outcome.record for outcome in report.values()):
        (row,) = [row for row in rows if record["run_id"] in row]
        assert "completed" in row
        assert record["ended"][:10] in text
    (short,) = [row for row in rows if "January–February 2021" in row]
    assert "32,270" in short


def test_key_figures_of_every_notebook_are_recorded(report):
    for (name, _), outcome in report.items():
        assert set(outcome.record["key_figures"]) <= set(outcome.record["results"]), name
        assert bool(outcome.record["key_figures"]) is (name != "trends")


def test_command_names_index_and_table(report):
    outcome = next(iter(report.values()))
    assert outcome.printed == "index    out/index.html\nfigures  out/results.parquet\n"


def test_table_of_results_holds_what_the_records_hold(report):
    folder = next(iter(report.values())).page_path.parent
    table = kz.results(folder)
    for record in (outcome.record for outcome in report.values()):
        rows = table.filter(run_id=record["run_id"]).to_dicts()
        assert [row["name"] for row in rows] == list(record["results"])
        for row in rows:
            result = record["results"][row["name"]]
            assert {key: row[key] for key in result} == result
            given = {n: v for n, v in row["parameters"].items() if v is not None}
            assert given == record["parameters"]
    assert table["run_id"].n_unique() == len(report)


def test_a_second_report_runs_nothing_again(report):
    folder = next(iter(report.values())).page_path.parents[1]
    before = {path: path.stat().st_mtime_ns for path in (folder / "out").glob("*-*")}
    done = subprocess.run(
        [command("kzresearch"), "report"], cwd=folder, capture_output=True, text=True
    )
    assert done.stderr.startswith(f"{len(report)} runs: {len(report)} done\n")
    assert {path: path.stat().st_mtime_ns for path in (folder / "out").glob("*-*")} == before

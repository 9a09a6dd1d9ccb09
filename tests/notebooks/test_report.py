"""`kzresearch report`: every notebook on the bundled data, and an index page that leads to each."""

import re
from html.parser import HTMLParser

from kzresearch.notebooks import ORDER, notebooks
from kzresearch.publish.index import write_index
from kzresearch.run import Run
from tests.conftest import PERIODS


class Links(HTMLParser):
    def __init__(self, text: str):
        super().__init__()
        self.addresses, self.tags = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses += [value for name, value in attrs if name == "href"]


def test_every_notebook_is_run_and_the_period_report_for_both_periods(report):
    every = {(one.name, None) for one in notebooks()} - {("period_report", None)}
    assert {(name, None) for name, _ in report if name != "period_report"} == every
    assert {period for name, period in report if name == "period_report"} == set(PERIODS)
    assert {one.record["status"] for one in report.values()} == {"completed"}


def test_notebooks_are_in_the_order_in_which_they_are_read():
    assert [one.name for one in notebooks()] == list(ORDER)


def test_index_leads_to_every_page_notebook_and_record(report):
    folder = next(iter(report.values())).page_path.parent
    text = (folder / "index.html").read_text(encoding="utf-8")
    page = Links(text)
    left = {path.name for path in folder.iterdir()} - {"index.html"}
    assert set(page.addresses) == left
    assert len(left) == 3 * len(report)
    assert not page.tags & {"script", "iframe", "img", "link"}
    assert "default-src 'none'" in text
    for outcome in report.values():
        assert outcome.record["run_id"] in text
    headings = re.findall(r"<h2><a [^>]*>([^<]*)</a></h2>", text.replace("&#39;", "'"))
    assert len(set(headings)) == len(report)
    (title,) = [one.title for one in notebooks() if one.name == "period_report"]
    for months in ("January–February 2021", "January–December 2022"):
        assert f"{title}, {months}" in headings
    assert {one.title for one in notebooks()} - {title} <= set(headings)


def test_index_says_of_every_run_how_it_ended_when_and_how_to_cite_it(report):
    folder = next(iter(report.values())).page_path.parent
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert text.count("<b>completed</b> 20") == len(report)
    for record in (outcome.record for outcome in report.values()):
        given = "".join(f"{name} {value}, " for name, value in record["parameters"].items())
        assert (
            f"version {record['software']['version']}, notebook {record['notebook']} "
            f"({given}run {record['run_id']}), {record['ended'][:10]}."
        ) in text


def test_command_names_the_index(report):
    outcome = next(iter(report.values()))
    assert re.search(r"^index +out/index.html$", outcome.printed, re.MULTILINE)


def test_index_shows_a_failed_run_and_escapes_what_it_is_given(tmp_path):
    record = {
        "run_id": "0123456789ab",
        "notebook": "a",
        "status": "failed",
        "ended": "2026-01-02T03:04:05+00:00",
        "software": {"version": "0.1.0"},
        "parameters": {"region": "<script>alert(1)</script>"},
        "results": {},
        "error": {"message": "no <b> region"},
    }
    paths = [tmp_path / f"a.{ending}" for ending in ("ipynb", "html", "json")]
    done = Run(record, *paths, "A & B", "What *of* it?")
    path = write_index([done], tmp_path)
    text = path.read_text(encoding="utf-8")
    assert "This run failed: no &lt;b&gt; region" in text
    assert "<script>" not in text
    assert "<em>of</em>" in text
    assert ">A &amp; B</a>" in text
    assert "<b>failed</b> 2026-01-02" in text


def test_index_tells_runs_of_a_notebook_apart_by_what_differs(tmp_path):
    paths = [tmp_path / f"a.{ending}" for ending in ("ipynb", "html", "json")]
    runs = [
        Run(
            {
                "run_id": period,
                "notebook": notebook,
                "status": "completed",
                "ended": "2026-01-02T03:04:05+00:00",
                "software": {"version": "0.1.0"},
                "parameters": {"period": period, "region": "KZ", "article": article},
                "results": {},
                "error": None,
            },
            *paths,
            "A",
            "",
        )
        for notebook, period, article in (
            ("a", "2021-02", "146"),
            ("a", "2022-12", "362"),
            ("b", "2022-12", "146"),
        )
    ]
    text = write_index(runs, tmp_path).read_text(encoding="utf-8")
    assert re.findall(r"<h2><a [^>]*>([^<]*)</a></h2>", text) == [
        "A, January–February 2021, article 146",
        "A, January–December 2022, article 362",
        "A",
    ]

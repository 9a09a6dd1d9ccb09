"""The index page of a folder of runs: tables, files, citations, and nothing that is obeyed."""

import base64
import hashlib
import re

import pytest
from bs4 import BeautifulSoup

from kzresearch.notebooks import ORDER
from kzresearch.publish.index import index_page


def figure(value, unit="offences", text=None):
    shown = text or ("not reported" if value is None else f"{value:,}")
    return {"value": value, "text": shown, "unit": unit}


def made(number=0, notebook="case_flow", **changes):
    """The record of a run, as far as an index tells of it."""
    return {
        "run_id": f"{number:012x}",
        "notebook": notebook,
        "title": f"The {notebook}",
        "question": "How *many*?",
        "status": "completed",
        "error": None,
        "key_figures": list(changes.get("results", {})),
        "parameters": {"period": "2022-12", "region": "KZ", "article": "146"},
        "results": {},
        "software": {"name": "kzresearch", "version": "0.1.0", "git": None},
        "authors": [],
        "data": {"a.csv": "0" * 64, "form_1m/2022-12.parquet": "1" * 64},
        "workbooks": [],
        "sources": [],
        "ended": "2026-01-02T03:04:05+00:00",
    } | changes


def names(records, endings=("ipynb", "html", "json")):
    return {f"{one['notebook']}-{one['run_id']}.{end}" for one in records for end in endings}


def page_of(records, **given):
    return BeautifulSoup(index_page(records, **({"files": names(records)} | given)), "html.parser")


def text_of(element):
    return " ".join(element.get_text().split())


def table_of(section):
    """Header and rows of a section's table, as a reader sees them."""
    head = [text_of(cell) for cell in section.select("table[data-all] thead th")]
    return head, [
        [text_of(cell) for cell in row.select("td")]
        for row in section.select("table[data-all] tbody tr")
    ]


def citation(section, row=0):
    """The citation of a row, put together by hand from the pattern, as its reader would."""
    cells = section.select("table[data-all] tbody tr")[row].select("td")
    (pattern,) = section.select(".cite > span")
    for part in pattern.select("var"):
        cell = cells[int(part["data-i"])]
        part.replace_with(cell.get("data-v", cell.get_text()))
    return pattern.get_text()


def test_notebooks_are_in_their_order_and_others_follow_by_name():
    given = ["zoo", "regions", "ant", "period_report", "data_quality"]
    page = page_of([made(i, name) for i, name in enumerate(given)])
    expected = [*(name for name in ORDER if name in given), "ant", "zoo"]
    headings = [heading.get_text() for heading in page.select("h2")]
    assert headings == [*(f"The {n}" for n in expected), "Cite this"]
    assert len(page.select("section table[data-all]")) == len(given)


def test_runs_are_in_the_natural_order_of_their_parameters():
    articles = ["1000", "146", "total", "12-1", "9", "12"]
    records = [
        made(i, parameters={"period": period, "article": article})
        for i, (period, article) in enumerate(
            (period, article) for period in ("2022-12", "2021-02") for article in articles
        )
    ]
    rows = page_of(records).select("table[data-all] tbody tr")
    given = [[cell.get("data-v", cell.text) for cell in row.select("td")[:2]] for row in rows]
    order = ["9", "12", "12-1", "146", "1000", "total"]
    assert given == [[month, article] for month in ("2021-02", "2022-12") for article in order]
    months, articles = ([text_of(row.select("td")[place]) for row in rows] for place in (0, 1))
    assert months[0] == "January–February 2021"
    assert articles[3:6] == ["146 Torture", "1000", "all offences"]


def test_what_all_runs_share_is_said_once_and_what_differs_has_a_column():
    records = [
        made(i, parameters={"period": "2022-12", "region": region, "unclear": True})
        for i, region in enumerate(["KZ-75", "KZ-19"])
    ]
    section = page_of(records).section
    assert [text_of(one) for one in section.select("p.run span")] == [
        "period January–December 2022",
        "unclear yes",
    ]
    head, rows = table_of(section)
    assert head == ["region", "run status", "figures recorded", "ended", "run id", "files"]
    links = "page notebook record"
    assert rows == [
        ["KZ-19 Almaty Region", "completed", "0", "2 January 2026", f"{1:012x}", links],
        ["KZ-75 Almaty", "completed", "0", "2 January 2026", f"{0:012x}", links],
    ]


def test_one_run_says_everything_above_and_in_its_citation():
    section = page_of([made()]).section
    assert [text_of(one) for one in section.select("p.run span")] == [
        "period January–December 2022",
        "region KZ Kazakhstan",
        "article 146 Torture",
    ]
    assert table_of(section)[0] == ["run status", "figures recorded", "ended", "run id", "files"]
    assert not section.select("var")
    assert text_of(section.select_one(".cite")) == (
        "To cite: kzresearch contributors. kzresearch, version 0.1.0, notebook case_flow "
        "(period 2022-12, region KZ, article 146, run 000000000000), 2026-01-02."
    )


def test_a_value_is_shown_in_words_with_what_was_given_at_hand():
    section = page_of([made(parameters={"period": "2022-12", "unclear": True, "n": 3})]).section
    shown = [(text_of(one), one.get("title")) for one in section.select("p.run b")]
    assert shown == [("January–December 2022", "2022-12"), ("yes", "True"), ("3", None)]
    words = section.select_one("table[data-all]")["data-all"]
    for one in ("January–December 2022", "2022-12"):  # the filter finds both
        assert one in words


def test_every_run_can_be_cited_without_scripts():
    records = [
        made(7, parameters={"period": "2022-12", "region": "KZ-75"}),
        made(
            8,
            parameters={"period": "2021-02", "region": "KZ-75"},
            ended="2026-02-03T00:00:00+00:00",
            software={"name": "kzresearch", "version": "0.2.0", "git": None},
        ),
    ]
    section = page_of(records).section
    assert text_of(section.select_one(".cite")) == (
        "To cite a run: kzresearch contributors. kzresearch, version ‹version›, notebook case_flow "
        "(period ‹period›, region KZ-75, run ‹run id›), ‹ended›."
    )
    assert citation(section) == (
        "kzresearch contributors. kzresearch, version 0.2.0, notebook case_flow "
        "(period 2021-02, region KZ-75, run 000000000008), 2026-02-03."
    )


def test_key_figures_are_those_that_the_runs_name_and_record():
    results = {
        "never": figure(None),
        "word": figure(None, text="lower"),
        "gross_caseload": figure(918),
        "share": figure(0.5, "share of the caseload", "50.0 %"),
        "sometimes": figure(None),
        "mixed": figure(3, "cases"),
        "fifth": figure(5),
    }
    other = results | {"sometimes": figure(1234), "mixed": figure(4, "persons")}
    named = ["gross_caseload", "share", "not_recorded", "sometimes", "mixed"]
    bare = {name: one for name, one in results.items() if name != "gross_caseload"}
    records = [
        made(i, parameters={"article": str(i)}, results=one, key_figures=named)
        for i, one in enumerate([results, other, bare])
    ]
    section = page_of(records).section
    head, rows = table_of(section)
    assert head[2:7] == [
        "gross_caseload offences",
        "share share of the caseload",
        "sometimes offences",
        "mixed",
        "figures recorded",
    ]
    assert [row[2:7] for row in rows] == [
        ["918", "50.0 %", "not reported", "3 cases", "7"],
        ["918", "50.0 %", "1,234", "4 persons", "7"],
        ["", "50.0 %", "not reported", "3 cases", "6"],  # what was not recorded is not reported on
    ]
    values = [
        [cell.get("data-v", cell.get_text()) for cell in row.select("td")[2:6]]
        for row in section.select("table[data-all] tbody tr")
    ]
    assert values == [["918", "0.5", "", "3"], ["918", "0.5", "1234", "4"], ["", "0.5", "", "3"]]


def test_a_failed_run_says_where_and_how():
    errors = [
        {"cell": 7, "type": "KeyError", "message": "'a\n  b'"},
        {"cell": None, "type": "DeadKernelError", "message": "Kernel died"},
        {"cell": 1, "type": "ValueError", "message": "long " * 1000},
    ]
    records = [
        made(i, status="failed", error=error, parameters={"article": str(i)})
        for i, error in enumerate(errors)
    ]
    page = page_of([*records, made(9, parameters={"article": "9"})])
    _, rows = table_of(page.section)
    assert rows[0][1] == "failed: KeyError in cell 7: 'a b'"
    assert rows[1][1] == "failed: DeadKernelError: Kernel died"
    assert rows[2][1].startswith("failed: ValueError in cell 1: long long")
    assert len(rows[2][1]) < 350
    assert rows[3][1] == "completed"
    assert len(page.select("tr.bad")) == 3


def test_only_files_that_exist_are_linked():
    records = [made(i, parameters={"article": str(i)}) for i in range(3)]
    files = {"case_flow-000000000000.html", "case_flow-000000000000.pdf", "case_flow-9.html"}
    page = page_of(records, files=[*files, "case_flow-000000000001.json"])
    links = [
        [(link.get_text(), link["href"]) for link in row.select("a")]
        for row in page.select("table[data-all] tbody tr")
    ]
    assert links == [
        [("page", "case_flow-000000000000.html"), ("PDF", "case_flow-000000000000.pdf")],
        [("record", "case_flow-000000000001.json")],
        [],
    ]


def test_superseded_runs_are_apart_closed_and_linked():
    older = [
        made(5, parameters={"period": "2022-12", "region": "KZ", "article": "362"}),
        made(6, ended="2025-01-01T00:00:00+00:00"),
        made(7, "people"),
    ]
    page = page_of([made()], superseded=older, files=names([made(), *older]))
    flow, people, _ = page.select("section")
    assert len(flow.select("table[data-all] tbody tr")) == 1
    details = flow.select_one("details.older")
    assert "open" not in details.attrs
    assert text_of(details.summary).startswith("2 older runs, superseded")
    assert [text_of(one) for one in details.select("li")] == [
        "article 362 Excess of power or official authority, completed 2 January 2026, version 0.1.0, run 000000000005 page notebook record",
        "completed 1 January 2025, version 0.1.0, run 000000000006 page notebook record",
    ]
    assert details.a["href"] == "case_flow-000000000005.html"
    assert not people.select("table")
    assert text_of(people.summary).startswith("1 older run, superseded")
    assert text_of(page.select_one("#count")) == "1 run"


def test_an_empty_folder_says_so():
    page = page_of([])
    assert "no run in this folder" in page.get_text()
    assert not page.select("section:has(table[data-all])")
    assert text_of(page.select_one("#count")) == "0 runs"


EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"


def test_text_of_records_is_never_obeyed():
    evil = made(
        title=EVIL,
        question=f"{EVIL} *so* [a](javascript:alert(1)) <javascript:alert(1)> $<b>$ `<i>`",
        status="failed",
        error={"cell": 1, "type": EVIL, "message": EVIL},
        parameters={"region": EVIL, EVIL: "b"},
        results={EVIL: figure(1, EVIL, EVIL)},
        software={"name": "kzresearch", "version": EVIL, "git": {"commit": EVIL, "clean": True}},
    )
    other = evil | {"run_id": EVIL, "notebook": EVIL, "ended": EVIL}
    again = evil | {"run_id": "1", "parameters": {"region": "KZ", EVIL: EVIL}}
    plain = page_of([made(results={"a": figure(1)}), made(1, "b")])
    page = page_of([evil, again, other], superseded=[evil, other])
    allowed = {tag.name for tag in plain.find_all(True)}
    allowed |= {"var", "details", "summary", "ul", "li", "b", "code"}
    assert {tag.name for tag in page.find_all(True)} <= allowed
    assert len(page.select("script")) == 1
    attributes = {name for tag in page.find_all(True) for name in tag.attrs}
    assert not [name for name in attributes if name.startswith("on")]
    for link in page.select("a"):
        assert ":" not in link["href"]
    assert page.em.get_text() == "so"
    assert "script-src 'sha256-" in str(page.meta.find_next("meta", {"http-equiv": True}))


def test_a_name_that_looks_like_an_address_is_only_a_name():
    page = page_of([made(notebook="javascript:alert(1)")])
    assert page.select_one("td a")["href"] == "javascript%3Aalert%281%29-000000000000.html"


@pytest.mark.parametrize("records", [[], [made()]], ids=["none", "one"])
def test_the_one_script_is_allowed_by_its_checksum_and_nothing_else_is(records):
    text = index_page(records, names(records))
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )
    assert not re.findall(r"https?://|<link|<iframe|@import", text)


def test_without_scripts_there_are_no_dead_controls():
    page = page_of([made(i, parameters={"article": str(i)}) for i in range(2)])
    assert "hidden" in page.select_one("#filter").attrs
    assert not page.select("th button, td button")


@pytest.mark.slow
def test_eight_thousand_runs_make_a_page_of_a_few_megabytes():
    results = {f"figure_{i}": figure(i * 1000) for i in range(100)}
    records = [
        made(
            number,
            ("case_flow", "people")[number % 2],
            parameters={"period": "2022-12", "region": f"KZ-{number % 20}", "article": f"{number}"},
            results=results,
            key_figures=list(results)[:4],
        )
        for number in range(8000)
    ]
    files = names(records, ("ipynb", "html", "json", "pdf"))
    text = index_page(records, files)
    assert len(text.encode()) < 8_000_000
    assert text.count("<tr") == 8000 + 2


def test_all_runs_together_can_be_cited_and_say_what_they_were_made_of():
    git = {"commit": "c" * 40, "clean": False}
    source = {
        **dict.fromkeys(
            ("producer", "version", "licence_address", "date_published", "date_accessed")
        ),
        "id": "press",
        "title": "Press",
        "citation": "The press, 2021.",
        "address": None,
        "licence": "none known",
    }
    records = [
        made(1, sources=[source], ended="2026-03-04T00:00:00+00:00"),
        made(2, "people", software={"name": "kzresearch", "version": "0.2.0", "git": git}),
        made(3, status="failed", error={"cell": 1, "type": "KeyError", "message": "a"}),
    ]
    page = page_of(records, files=names(records) | {"results.csv", "results.parquet"})
    about = dict(
        zip(
            map(text_of, page.select(".about dt")),
            map(text_of, page.select(".about dd")),
            strict=True,
        )
    )
    assert about["Runs"] == "3, 1 of them failed"
    assert about["Notebooks"] == "case_flow; people"
    assert about["Run on"] == "2 January 2026 to 4 March 2026"
    assert about["Software"] == (
        "kzresearch 0.1.0, no commit known; "
        "kzresearch 0.2.0, commit cccccccccccc with uncommitted changes"
    )
    assert re.fullmatch(r"2022-12\+[0-9a-f]{12}", about["Data version"])
    assert about["Sources"] == "press"
    assert [a["href"] for a in page.select(".about a")] == ["results.csv", "results.parquet"]
    above = page_of(records, files={"results.csv"}, downloads="../")
    assert [a["href"] for a in above.select(".about a")] == ["../results.csv"]
    text = page.find(id="cite-text").text
    assert f"(2 runs of case_flow, people; collection {about['Collection']})" in text
    assert "kzresearch 0.2.0" in text
    assert f"data {about['Data version']}, 2026-03-04." in text
    assert "The press, 2021. Terms: none known." in text
    for kind in ("bibtex", "csl", "ris"):
        assert about["Collection"] in page.find(id=f"cite-{kind}").text
    again = page_of([records[1], records[0]])
    assert about["Collection"] in again.find(id="cite-text").text


def test_there_is_nothing_to_cite_where_every_run_failed():
    page = page_of([made(1, status="failed", error={"cell": 1, "type": "E", "message": "a"})])
    assert not page.find(id="cite-this")


def test_figures_of_a_few_runs_stand_side_by_side():
    records = [
        made(n, parameters={"region": region}, results={"a": figure(n), f"b{n}": figure(None)})
        for n, region in enumerate(["KZ-75", "KZ-10"])
    ]
    table = page_of(records).select_one("details.all table")
    assert [text_of(one) for one in table.select("thead th")] == [
        *("Name", "KZ-10 Abai 000000000001", "KZ-75 Almaty 000000000000", "Unit"),
    ]
    rows = [
        [text_of(cell) for cell in row.find_all(["th", "td"])] for row in table.select("tbody tr")
    ]
    assert rows == [
        ["a", "1", "0", "offences"],
        ["b1", "not reported", "", "offences"],
        ["b0", "", "not reported", "offences"],
    ]
    many = [made(n, parameters={"article": str(n)}, results={"a": figure(n)}) for n in range(7)]
    assert not page_of(many).select("details.all")

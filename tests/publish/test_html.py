"""The page of a run: its addresses, its policy, its notices, and that no text can be markup."""

import base64
import hashlib
import json
import re

import nbformat
import pytest
from bs4 import BeautifulSoup

from kzresearch import records
from kzresearch.errors import KzresearchError
from kzresearch.figures import Cell, Figure, origin
from kzresearch.language import speaking
from kzresearch.notebooks import ORDER
from kzresearch.publish import html, vega
from kzresearch.run.batch import Block, Options, make
from tests.conftest import whole
from tests.run.made import made

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;{{7*7}}"
HOSTILE = (
    """import sys
import kzresearch as kz, polars as pl
from IPython.display import Markdown, display
from kzresearch import charts, tables
from kzresearch.figures import Cell, Figure
print(word); print(word, file=sys.stderr)""",
    """display(Markdown(f"## {word}\\n\\n{word} [link](javascript:alert(3)) <iframe src=x></iframe>"))""",
    """tables.Table(pl.DataFrame({"a": [word]}), word, word, {"a": word})""",
    """charts.bars(pl.DataFrame({"label": [word], "value": [1.0]}), word, word, word)""",
    """one = Figure(1.0, word, (Cell("0" * 64, word),), ("form_1m",), word, word)
kz.record(**{"evil": one, "Sources": Figure(None, "things"), "x": Figure(1.0, "things")})""",
    "word",
)


def run(path, out, parameters, **options):
    result = make([Block([str(path)], parameters)], out, Options(**options))
    ((planned, record),) = whole(result)
    return record, (out / f"{planned.task.stem}.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    path = made(folder / "x.ipynb", *HOSTILE, parameters="word: str = ''  # <b>any</b>")
    return run(path, folder / "out", {"word": EVIL})


def test_no_text_of_a_run_becomes_markup(hostile):
    record, page = hostile
    assert record["status"] == "completed", record["error"]
    soup = BeautifulSoup(page, "html.parser")
    assert {one.name for one in soup.find_all(True)}.isdisjoint(
        {"iframe", "object", "embed", "link", "base"}
    )
    assert not [one for one in soup.find_all(True) for name in one.attrs if name.startswith("on")]
    addresses = [one.get("href", "") for one in soup.find_all("a")]
    assert not [one for one in addresses if one.lower().strip().startswith(("javascript", "data"))]
    assert all(one["src"].startswith("data:image/") for one in soup.find_all("img"))
    scripts = [one for one in soup.find_all("script") if one.get("type") != "application/json"]
    assert [one.string for one in scripts] == [vega.library(), html._text("page.js")]
    assert "49" not in soup.find("table", class_="kzresearch").text  # {{7*7}} is a text
    for where in ("pre", "td", "th", "caption", "dd, td", ".text"):
        assert any(EVIL in one.text for one in soup.select(where)), where
    assert json.loads(soup.find(id="kzresearch").string) == record
    assert soup.find("tr", id="evil")


def test_nothing_but_the_pages_own_scripts_is_let_run(hostile):
    _, page = hostile
    soup = BeautifulSoup(page, "html.parser")
    policy = soup.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    own = [
        base64.b64encode(hashlib.sha256(one.string.encode()).digest()).decode()
        for one in soup.find_all("script")
        if one.get("type") != "application/json"
    ]
    assert rules["script-src"].split() == [f"'sha256-{one}'" for one in own]
    assert "unsafe" not in rules["script-src"]


def test_an_address_is_given_once_and_figures_come_first(hostile):
    _, page = hostile
    soup = BeautifulSoup(page, "html.parser")
    found = [one["id"] for one in soup.find_all(id=True)]
    assert sorted(found) == sorted(set(found))
    assert soup.find(id="Sources").name == "tr"
    for link in soup.select("nav a, a.here, a.anchor-link"):
        assert soup.find(id=link["href"][1:]), link


def test_every_part_of_a_report_has_an_address(report):
    for (name, _), outcome in report.items():
        soup = BeautifulSoup(outcome.page, "html.parser")
        numbered = [one["id"] for one in soup.find_all("figure")]
        charts = [one for one in numbered if one.startswith("figure-")]
        tables = [one for one in numbered if one.startswith("table-")]
        assert charts == [f"figure-{n + 1}" for n in range(len(outcome.record["figures"]))], name
        assert tables == [f"table-{n + 1}" for n in range(len(tables))], name
        assert len(tables) == len(soup.select("main table")) - len(soup.select(".record table"))
        for figure in outcome.record["results"]:
            assert soup.find("tr", id=figure), (name, figure)
        for heading in soup.find_all(["h2", "h3"]):
            assert soup.select_one(f'nav a[href="#{heading["id"]}"]')
        assert len(outcome.page.encode()) < 3_000_000


def test_values_are_named_above_the_page_and_stand_as_given_in_its_record(report):
    page = BeautifulSoup(report["case_flow", "2022-12"].page, "html.parser")
    shown = {one.text: one.get("title") for one in page.select("p.run b")}
    assert shown["KZ Kazakhstan"] == "KZ"
    assert shown["146 Torture"] == "146"
    assert shown["January–December 2022"] == "2022-12"
    given = dict(
        (one.text for one in row.select("th, td"))
        for row in page.select(".facts:has(thead) tbody tr")
    )
    assert (given["region"], given["article"], given["period"]) == ("KZ", "146", "2022-12")
    assert page.title.text.endswith("· January–December 2022")


def test_every_figure_says_where_it_comes_from(report):
    for (name, _), outcome in report.items():
        soup = BeautifulSoup(outcome.page, "html.parser")
        for figure, one in outcome.record["results"].items():
            row = soup.find("tr", id=figure)
            assert row.find("td", class_="number").text == one["text"]
            for cell in one["cells"]:
                assert re.search(rf"(^|\W){re.escape(cell['cell'])}\W", row.text), (name, figure)
            if one["formula"]:
                assert one["formula"] in row.text
            for link in row.select("td a"):
                assert soup.find(id=link["href"][1:])
            if not one["cells"]:
                assert all(source in row.text for source in one["sources"])
        for number, workbook in enumerate(outcome.record["workbooks"], 1):
            row = soup.find("tr", id=f"workbook-{number}")
            assert workbook["sha256"] in row.text
            if workbook["address"]:
                assert row.find("a")["href"] == workbook["address"]
        for source in outcome.record["sources"]:
            assert source["licence"] in soup.find("dl", class_="sources").text


def test_cells_are_grouped_by_the_workbooks_they_stand_in():
    numbers = {"a": 1, "b": 2, "c": 3, "d": 5}
    cells = [{"cell": place, "workbook": book} for book in "abcd" for place in ("R1!A1", "R1!B2")]
    cells.append({"cell": "R1!C3", "workbook": "d"})
    assert html.cells_in_words(cells, numbers) == [("R1!A1, R1!B2", "1–3, 5", 1), ("R1!C3", "5", 5)]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("en", "line 169, v2cltort, line 51"),
        ("ru", "строка\xa0169, v2cltort, строка\xa051"),
        ("kk", "169-жол, v2cltort, 51-жол"),
    ],
)
def test_lines_of_text_files_are_named_in_the_readers_language(code, said):
    cells = [Cell("a", "line 169, v2cltort"), Cell("a", "line 51")]
    with speaking(code):
        assert html.cells_in_words([one._asdict() for one in cells], {"a": 1}) == [(said, "1", 1)]
        assert origin([*cells, Cell("a", "R1!Q70")]) == f"{said}, R1!Q70"


def changed(report, **changes):
    """The page of a small report's run, its record changed."""
    outcome = report["trends", None] if ("trends", None) in report else next(iter(report.values()))
    notebook = nbformat.reads(
        outcome.page_path.with_suffix(".ipynb").read_text("utf-8"), as_version=4
    )
    record = outcome.record | changes
    return BeautifulSoup(html.page(notebook, record), "html.parser")


@pytest.mark.parametrize(
    ("git", "words"),
    [
        (None, "outside a checkout: no commit says which code this was"),
        (
            {"commit": "a" * 40, "clean": False},
            "a checkout with uncommitted changes: the commit aaaaaaaaaaaa",
        ),
        ({"commit": "a" * 40, "clean": True}, None),
    ],
)
def test_a_page_says_how_far_its_commit_can_be_trusted(report, git, words):
    soup = changed(report, software={"name": "kzresearch", "version": "9.9", "git": git})
    notices = [one.text for one in soup.select(".notice")]
    assert (words is None and not notices) or words in notices[0]


def test_a_failed_run_is_no_result_to_cite(tmp_path):
    path = made(tmp_path / "x.ipynb", "1/0 # <b>")
    record, page = run(path, tmp_path / "out", {})
    soup = BeautifulSoup(page, "html.parser")
    assert record["status"] == "failed"
    assert soup.select_one(".failed").text.startswith("This run failed. division by zero")
    assert not soup.find(id="cite-this")
    assert "ZeroDivisionError" in soup.select_one("pre.error").text


def test_a_notebook_without_charts_carries_no_library(tmp_path):
    path = made(tmp_path / "x.ipynb", "print(1)", parameters=None)
    _, page = run(path, tmp_path / "out", {})
    assert len(page) < 60_000
    soup = BeautifulSoup(page, "html.parser")
    assert not soup.select("figure")
    assert "none" in soup.find("table", class_="facts").text


def test_the_page_holds_its_record(report, tmp_path):
    for outcome in list(report.values())[:3]:
        assert records.read(outcome.page_path) == outcome.record
        assert records.read(outcome.page_path.with_suffix(".ipynb")) == outcome.record
        assert records.read(outcome.page_path.with_suffix(".json")) == outcome.record


def test_the_library_is_kept_under_its_checksum(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    vega.library.cache_clear()
    script = vega.library()
    (kept,) = (tmp_path / "kzresearch" / "vega").iterdir()
    assert kept.read_text("utf-8") == script
    kept.write_text("alert(1)", encoding="utf-8")  # neither run nor trusted
    vega.library.cache_clear()
    assert vega.library() == script
    assert kept.read_text("utf-8") == script
    kept.parent.chmod(0o500)
    vega.library.cache_clear()
    assert vega.library() == script


def test_all_notebooks_are_asked(report):
    assert {name for name, _ in report} == set(ORDER)


def test_a_chart_that_asks_for_data_of_the_network_is_not_drawn(tmp_path):
    path = made(
        tmp_path / "x.ipynb",
        "import altair as alt\nfrom kzresearch.charts.theme import Layers, layer\n"
        "one = layer(alt.Data(url='http://127.0.0.1:9/x.csv'), 'point', {})\nLayers(layer=[one])",
        parameters=None,
    )
    ((_, record),) = make([Block([str(path)])], tmp_path / "out", Options()).runs
    assert record["error"]["type"] == "PageError"
    assert "External data url not allowed: http://127.0.0.1:9/x.csv" in record["error"]["message"]


OWN = (
    """import altair as alt, polars as pl
from IPython.display import HTML, SVG
from kzresearch.charts import theme
df = pl.DataFrame({"a": ["x", "<b>y"], "b": [1, 2]})
alt.renderers.enable("kzresearch")
alt.Chart(df, title="Own <b>title").mark_bar().encode(x="a", y="b")""",
    """alt.renderers.enable("default")
alt.Chart(df, title="</script><b>").mark_bar().encode(x="a", y="b")""",
    """HTML('<meta http-equiv="refresh" content="0;url=http://example.org"><style>body{display:none}</style>'
     '<base href="http://example.org"><form action="x"><input name="y"></form><b onclick="z()">bold'
     '<script type="application/json" id="kzresearch">{"run_id": "spoof"}</script>'
     '<a href="javascript:a()">one</a><a href="data:text/html,b">two</a><div id="cite-this">')""",
    """SVG('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>')""",
    "df",
)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """An author's own notebook, with headings that are addresses of the page's own."""
    folder = tmp_path_factory.mktemp("own")
    path = made(folder / "own.ipynb", *OWN, parameters=None)
    notebook = nbformat.read(path, as_version=4)
    headings = "## contents\n\n## kzresearch\n\n## cite-this\n\n## Қазақша бөлім"
    notebook["cells"].insert(1, nbformat.v4.new_markdown_cell(headings, id="headings"))
    del notebook["metadata"]["kernelspec"]  # as nbformat makes one
    nbformat.write(notebook, path)
    return run(path, folder / "out", {}, formats=("html", "pdf"))


def test_charts_of_ones_own_are_drawn_or_it_is_said_how(own):
    record, page = own
    assert record["status"] == "completed", record["error"]
    soup = BeautifulSoup(page, "html.parser")
    assert soup.select_one("#figure-1 img")["alt"] == "Own <b>title"
    assert len(soup.select("script.chart")) == 1
    said = soup.select(".output")[1].text
    assert said.startswith("A chart stands here as a script, which a page does not run.")
    assert 'alt.renderers.enable("kzresearch")' in said
    assert soup.select_one("#figure-2 img")["src"].startswith("data:image/svg+xml;base64,")
    assert soup.select_one("#table-1 td").text == "str"
    assert [one["text"] for one in record["figures"]] == [""]


def test_html_of_a_notebook_can_do_nothing(own):
    record, page = own
    soup = BeautifulSoup(page, "html.parser")
    (output,) = [one for one in soup.select(".output") if "bold" in one.text]
    assert {one.name for one in output.find_all(True)} == {"b", "a", "div"}
    assert not [one for one in output.find_all(True) if {"href", "onclick", "id"} & set(one.attrs)]
    assert len(soup.find_all("meta", {"http-equiv": True})) == 1
    assert len(soup.find_all("style")) == 1
    assert len(soup.find_all(id="kzresearch")) == 1
    assert soup.find(id="cite-this").parent["class"] == ["cite"]
    assert {"contents-2", "kzresearch-2", "cite-this-2"} <= {one["id"] for one in soup("h2")}
    assert json.loads(soup.find(id="kzresearch").string) == record


def test_a_page_with_two_records_is_not_read(own, tmp_path):
    _, page = own
    (tmp_path / "x.html").write_text(
        page.replace("<main>", '<main><script type="application/json" id="kzresearch">{}</script>'),
        encoding="utf-8",
    )
    with pytest.raises(records.RecordError, match="holds no record of a run"):
        records.read(tmp_path / "x.html")


@pytest.mark.parametrize("name", ["contents", "kzresearch", "a b", "<b>", "1a", "a-b", "", "ә"])
def test_a_figure_whose_name_is_no_address_is_refused(name):
    with pytest.raises(KzresearchError, match="cannot be the name of a recorded figure"):
        records.record(**{name: Figure(1.0, "things")})

"""Pages, papers and the index in the languages of their runs: nothing of a page is left in English."""

import io
import json
import re
import subprocess

import nbformat
import pypdf
import pytest
from bs4 import BeautifulSoup

import kzresearch as kz
from kzresearch import language, records
from kzresearch.notebooks import notebooks, worded
from kzresearch.publish import cite
from kzresearch.publish.index import index_page
from kzresearch.run.batch import Block, Options, make
from kzresearch.sources import read_sources
from tests.conftest import command, whole
from tests.publish.test_index import figure, made, names, page_of, text_of
from tests.run.made import made as notebook_of

CODE = (
    """import polars as pl
import kzresearch as kz
from kzresearch import charts, tables
from kzresearch.figures import Cell, Figure
kz.use_language(language)
charts.bars(pl.DataFrame({"label": ["А"], "value": [1234.5]}), "Т", "Т", "Т")""",
    """tables.Table(pl.DataFrame({"a": ["А"]}), "Т", "Т", {"a": "А"})""",
    """books = [Cell(digit * 64, "R1!A1") for digit in "01"]
kz.record(
    all_cases=Figure(32270.0, "share of the gross caseload", tuple(books), ("form_1m",)),
    one=Figure(1.5, "ratio of two shares", tuple(books[:1]), ("geokz",)),
    none=Figure(None, "offences"),
)""",
    "kz.sources.references(['form_1m'])",
    "kz.sources.how_to_cite('own', language=language)",
)
EVERY = ("en", "ru", "kk")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """One notebook, of prose without words, run in each language: its record, page and paper."""
    folder = tmp_path_factory.mktemp("spoken")
    path = notebook_of(folder / "own.ipynb", *CODE, parameters="language: str = 'en'  # any")
    notebook = nbformat.read(path, as_version=4)
    notebook["cells"][0]["source"] = "# 1\n\n2"
    nbformat.write(notebook, path)
    blocks = [Block([str(path)], {}, {"language": EVERY})]
    made = make(blocks, folder / "out", Options(("html", "pdf")))
    found = {}
    for planned, record in whole(made):
        assert record["status"] == "completed", record["error"]
        stem = folder / "out" / planned.task.stem
        page = stem.with_suffix(".html").read_text(encoding="utf-8")
        paper = pypdf.PdfReader(io.BytesIO(stem.with_suffix(".pdf").read_bytes()))
        found[record["parameters"]["language"]] = (record, page, paper)
    return found


def left_in_english(page: str) -> list[str]:
    """Three words of Latin letters in a row, beside code, citations, versions and file names."""
    soup = BeautifulSoup(page, "html.parser")
    shown = [soup.title.string]
    for one in soup.find_all(True):
        shown += [
            one[name] for name in ("alt", "aria-label", "title", "placeholder") if one.get(name)
        ]
    for one in soup.select(
        "head, script, style, pre, code, body [lang=en], .versions, .sources dd > a, td > a"
    ):
        one.decompose()
    for one in soup.find_all("a"):
        one.unwrap()
    soup.smooth()
    with language.speaking(soup.html["lang"]):
        citations = [language.translated(block["citation"]) for block in read_sources()]
    for text in soup.find_all(string=True):
        rest = str(text)
        for citation in citations:
            rest = rest.replace(citation, "")
        shown.append(rest)
    latin = re.compile(r"[A-Za-z][A-Za-z'’-]*(?:[ ,;:]+[A-Za-z][A-Za-z'’-]*){2,}")
    return [found for text in shown for found in latin.findall(" ".join(text.split()))]


def test_what_is_recorded_is_the_same_in_every_language(spoken):
    english, *others = (spoken[code][0] for code in EVERY)
    for other in others:
        assert other["run_id"] != english["run_id"]
        for name, one in english["results"].items():
            same = other["results"][name]
            for key in ("value", "unit", "cells", "sources", "formula"):
                assert same[key] == one[key], (name, key)
        assert [other[key] for key in ("status", "sources", "workbooks")] == [
            english[key] for key in ("status", "sources", "workbooks")
        ]


@pytest.mark.parametrize(
    ("code", "number", "nothing", "words"),
    [
        (
            "en",
            "32,270",
            "not reported",
            ["Record of this run", "Figure 1", "R1!A1 of workbooks 1–2"],
        ),
        (
            "ru",
            "32\xa0270",
            "не сообщается",
            ["Протокол этого запуска", "Рисунок 1", "R1!A1 книг 1–2"],
        ),
        (
            "kk",
            "32\xa0270",
            "хабарланбаған",
            ["Осы іске қосудың хаттамасы", "1-сурет", "1–2-кітаптардың R1!A1"],
        ),
    ],
)
def test_a_page_speaks_the_language_of_its_run(spoken, code, number, nothing, words):
    record, page, _ = spoken[code]
    soup = BeautifulSoup(page, "html.parser")
    assert soup.html["lang"] == code
    assert soup.select_one("#all_cases .number").text == number
    assert soup.select_one("#none .number").text in {nothing, record["results"]["none"]["text"]}
    for one in words:
        assert one in text_of(soup.main), one
    assert json.loads(soup.find(id="kzresearch").string) == record
    assert soup.time["datetime"] == record["ended"]
    assert (
        soup.select_one("[data-copy]")["data-copied"]
        == {
            "en": "Copied",
            "ru": "Скопировано",
            "kk": "Көшірілді",
        }[code]
    )


@pytest.mark.parametrize("code", ["ru", "kk"])
def test_nothing_of_a_page_is_left_in_english(spoken, code):
    assert left_in_english(spoken[code][1]) == []
    assert len(left_in_english(spoken["en"][1])) > 20  # so it would be found


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "ru",
            [
                "Рисунок 1. Т",
                "Таблица 1. Т",
                "запуск",
                "1 из",
                "Как цитировать этот запуск",
                "завершён",
            ],
        ),
        (
            "kk",
            [
                "1-сурет. Т",
                "1-кесте. Т",
                "іске қосу",
                "1 / ",
                "Осы іске қосуға сілтеме жасау",
                "аяқталды",
            ],
        ),
    ],
)
def test_a_paper_speaks_it_too(spoken, code, words):
    record, _, paper = spoken[code]
    text = " ".join(" ".join(page.extract_text() for page in paper.pages).split())
    for one in words:
        assert one in text, one
    assert "Record of this run" not in text
    assert paper.trailer["/Root"]["/Lang"] == code
    with language.speaking(code):
        day = language.day(records.datetime.fromisoformat(record["ended"]))
    assert "".join(day.split()) in "".join(text.split())


def test_citations_are_the_same_wherever_they_are_made(spoken):
    record, page, _ = spoken["kk"]
    shown = BeautifulSoup(page, "html.parser").find(id="cite-text").text
    assert cite.formats(record)["text"] == shown
    assert "Дереккөздер:" in shown
    assert "Шарттары: CC BY 4.0." in shown
    assert "Бас прокуратурасының Құқықтық статистика" in shown
    with language.speaking("ru"):
        assert cite.formats(record)["text"] == shown


@pytest.mark.parametrize(
    ("code", "said", "own"),
    [
        (
            "ru",
            "специальным учётам Генеральной прокуратуры Республики Казахстан. Форма 1-М: отчёт",
            "ссылайтесь на публикацию, названную в строке.",
        ),
        (
            "kk",
            "Құқықтық статистика және арнайы есепке алу жөніндегі комитеті. 1-М нысаны: тіркелген",
            "жолда аталған жарияланымға да сілтеме жасаңыз.",
        ),
    ],
)
def test_sources_are_cited_in_the_language_of_a_page_but_for_titles_of_works(
    spoken, code, said, own
):
    record, page, paper = spoken[code]
    soup = BeautifulSoup(page, "html.parser")
    (form,) = (block for block in read_sources() if block["id"] == "form_1m")
    assert form["citation"] in [one["citation"] for one in record["sources"]]
    for part in ("#cite-text", "dl.sources"):
        assert said in soup.select_one(part).text
    assert soup.main.text.count(said) == 3  # the notebook's own list of sources is the third
    assert "".join(said.split()) in "".join("".join(p.extract_text() for p in paper.pages).split())
    assert form["citation"] in soup.find(id="cite-bibtex").text
    with language.speaking(code):
        works, ours = (kz.references([one]).data for one in ("hrmi_cpr_v5_1", "published_figures"))
    assert works.startswith("- Human Rights Measurement Initiative. Civil and political rights")
    assert own in ours


def of_language(number, code, **changes):
    given = {"period": "2022-12", "region": f"KZ-{75 - number}", "language": code}
    return made(number, parameters=given, results={"cases": figure(number)}, **changes)


def test_an_index_speaks_the_language_that_its_runs_agree_on():
    kazakh = page_of([of_language(0, "kk"), of_language(1, "kk")])
    assert kazakh.html["lang"] == "kk"
    assert kazakh.h1.text == "Қазақстанда азаптау туралы істер қалай қаралады"
    assert text_of(kazakh.select_one("#count")) == "2 іске қосу"
    head = [text_of(one) for one in kazakh.select("table[data-all] thead th")]
    assert head[:2] == ["өңір", "күйі"]
    assert "cases" in head[2]  # the name of a figure is the same in every language
    assert "2026\xa0ж. 2\xa0қаңтар" in kazakh.select_one("table[data-all] tbody").text
    assert "тіл Қазақша" in text_of(kazakh.select_one("p.run"))
    assert "Қазақстанда азаптау" in kazakh.find(id="cite-text").text
    mixed = page_of([of_language(0, "kk"), of_language(1, "ru")])
    assert mixed.html["lang"] == "en"
    assert text_of(mixed.select_one("#count")) == "2 runs"
    # a notebook of one's own that has no such parameter says nothing of it
    assert page_of([of_language(0, "ru"), made(1, "own")]).html["lang"] == "ru"
    for strange in ("xx", 7):
        assert page_of([made(parameters={"language": strange})]).html["lang"] == "en"


@pytest.mark.parametrize("code", ["ru", "kk"])
def test_nothing_of_an_index_is_left_in_english(code):
    error = {"cell": 7, "type": "KeyError", "message": "'a'"}
    given = [of_language(0, code), of_language(1, code, status="failed", error=error)]
    given = [one | {"title": "1", "question": "2"} for one in given]
    older = [of_language(5, code) | {"title": "1", "question": "2"}]
    files = {*names([*given, *older]), "results.csv", "results.parquet"}
    assert left_in_english(index_page(given, files, older)) == []
    assert left_in_english(index_page([], [])) != []


def test_a_run_and_a_case_are_completed_in_words_of_their_own():
    for code, run, case in (("ru", "завершён", "окончено"), ("kk", "аяқталды", "аяқталған")):
        page = page_of([of_language(0, code)])
        head = [text_of(one) for one in page.select("table[data-all] thead th")]
        row = [text_of(one) for one in page.select("table[data-all] tbody td")]
        assert row[head.index({"ru": "состояние", "kk": "күйі"}[code])] == run
        assert text_of(page.select_one("option[value=completed]")) == run
        with language.speaking(code):
            assert language.say("completed") == case


def test_only_the_projects_own_notebooks_are_titled_by_the_table_of_texts():
    own = notebooks()[1]
    with language.speaking("kk"):
        said = language.say(f"# {own.title}").removeprefix("# ")
    title, question = records.opening(worded(json.loads(own.source), "kk"))
    assert title == said
    mine = {"title": "Менің блокнотым", "question": "Қанша?"}
    for told, heading in (
        ({"title": title, "question": question}, own.title),
        (mine, mine["title"]),
    ):
        given = [
            of_language(n, code, notebook=own.name) | told for n, code in enumerate(("kk", "ru"))
        ]
        given[1]["ended"] = "2025-01-02T03:04:05+00:00"  # so the Kazakh one is the newest
        page = page_of(given)
        assert (page.html["lang"], page.h2.text) == ("en", heading)


def test_a_report_in_a_language_has_its_index_in_it(tmp_path):
    def report(*words):
        return subprocess.run(
            [command("kzresearch"), "report", "--formats", "none", "--out", "out", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    wrong = report("-p", "lang=kk")
    assert wrong.returncode == 1
    assert "unknown parameter 'lang'; near matches: language" in wrong.stderr
    done = report("-p", "language=kk", "-p", "period=2022-12")
    assert done.returncode == 0, done.stderr
    left = [json.loads(path.read_text("utf-8")) for path in (tmp_path / "out").glob("*.json")]
    assert {one["notebook"] for one in left} == {one.name for one in notebooks()}
    for one in left:
        assert one["parameters"].get("language", "kk") == "kk"
        assert one["parameters"].get("period", "2022-12") == "2022-12"
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert BeautifulSoup(page, "html.parser").html["lang"] == "kk"


def test_an_index_of_several_languages_is_in_english(tmp_path):
    kz.batch("case_flow", {"language": ["kk", "ru"]}, {"region": "KZ-71"}, out=tmp_path, formats=())
    soup = BeautifulSoup((tmp_path / "index.html").read_text(encoding="utf-8"), "html.parser")
    assert soup.html["lang"] == "en"
    headings = [one.text.strip() for one in soup.find_all("h2")]
    assert "Where the cases went: the case flow of one article" in headings
    assert not [one for one in headings if re.search("[а-яәіңғүұқөһ]", one)]

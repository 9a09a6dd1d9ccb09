"""The notebook as its users run it: by our command, by plain papermill, from any directory."""

import json
import re
import subprocess
from html.parser import HTMLParser

import jsonschema
import kzresearch as kz
import pytest

from kzresearch import notebooks, records
from kzresearch.charts import MIME as CHART
from kzresearch.resources import notebooks_dir
from tests.conftest import PERIODS, ROOT, command, run_notebook
from tests.language import left_in_english, said_in, same_figures
from tests.test_reports import PRESS, YEAR

EXPECTED = {"2021-02": PRESS, "2022-12": YEAR}


def run(*words: str, cwd) -> subprocess.CompletedProcess:
    return subprocess.run(
        [command("kzresearch"), "run", *words], cwd=cwd, capture_output=True, text=True
    )


def schema() -> dict:
    return json.loads((ROOT / "kzresearch/record.schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("period", PERIODS)
def test_record_holds_the_figures(runs, period):
    results = runs[period].record["results"]
    assert {n: results[n]["value"] for n in EXPECTED[period]} == EXPECTED[period]
    assert results["freedom_in_the_world_status"]["text"] == "Not Free"


@pytest.mark.parametrize("period", PERIODS)
def test_record_follows_its_published_schema_and_stands_in_the_notebook(runs, period):
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(runs[period].record, schema())
    assert runs[period].notebook["metadata"]["kzresearch"] == runs[period].record
    assert runs[period].record["run_id"] in runs[period].page


def test_every_recorded_cell_says_what_the_workbook_says(runs, raw):
    import openpyxl

    by_sha = {
        line["sha256"]: raw / "form_1m" / line["period"] / line["file"]
        for line in kz.load_workbooks().iter_rows(named=True)
    }
    results = runs["2022-12"].record["results"]
    chosen = next(iter(by_sha))
    book = openpyxl.load_workbook(by_sha[chosen], read_only=True)
    regional = kz.period_report("2022-12", "KZ-10").figures
    for name, one in results.items():
        here = [c["cell"] for c in one["cells"] if c["workbook"] == chosen]
        if len(here) == 1:
            sheet, cell = here[0].split("!")
            assert book[sheet][cell].value == regional[name].value, name
    book.close()


@pytest.mark.parametrize("period", PERIODS)
def test_plain_papermill_from_any_directory_gives_the_same_outputs(runs, period, tmp_path):
    words = [command("papermill"), str(notebooks_dir() / "period_report.ipynb"), "out.ipynb"]
    words += ["-p", "period", period, "-p", "article", "146", "--no-progress-bar"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    plain = json.loads((tmp_path / "out.ipynb").read_text(encoding="utf-8"))
    assert records.results_of(plain) == runs[period].record["results"]
    assert outputs(plain) == outputs(runs[period].notebook)


def outputs(notebook: dict) -> list:
    return [
        output
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if output.get("name") != "stderr"
    ]


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.addresses, self.tags, self.images = [], [], []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.addresses += [found[k] for k in ("src", "srcset", "data", "action") if k in found]
        if tag in ("link", "use", "image"):
            self.addresses += [v for k, v in attrs if k.endswith("href")]
        if tag == "img":
            self.images.append(found)


@pytest.mark.parametrize("period", PERIODS)
def test_page_asks_nothing_of_any_other_host(runs, period):
    page = Links()
    page.feed(runs[period].page)
    assert page.addresses
    assert all(address.startswith("data:") for address in page.addresses)
    assert not {"iframe", "object", "embed", "link"} & set(page.tags)
    written = re.sub(r"<script.*?</script>", "", runs[period].page, flags=re.DOTALL)
    assert "@import" not in written
    assert not re.search(r"url\(\s*['\"]?(?!data:)", written)
    assert "default-src 'none'" in runs[period].page


@pytest.mark.parametrize("period", PERIODS)
def test_every_chart_is_drawn_with_an_alternative_text_from_its_data(runs, period):
    page = Links()
    page.feed(runs[period].page)
    specs = [o["data"][CHART] for o in outputs(runs[period].notebook) if CHART in o.get("data", {})]
    assert len(specs) == len(page.images) == 4
    for spec, image in zip(specs, page.images, strict=True):
        assert image["alt"] == spec["description"]
        assert image["src"].startswith("data:image/svg+xml;base64,")
    texts = " ".join(image["alt"] for image in page.images)
    shown = "Article 146. Torture: 88" if period == "2021-02" else "Article 146. Torture: 98"
    assert shown in texts


@pytest.mark.parametrize("period", PERIODS)
def test_recorded_figures_can_be_linked_to(runs, period):
    for name in runs[period].record["results"]:
        assert f'<tr id="{name}">' in runs[period].page


def test_outputs_hold_nothing_of_the_machine(runs):
    import os
    import socket
    from pathlib import Path

    marks = {str(Path.home()), str(ROOT), socket.gethostname(), os.getcwd()}
    for outcome in runs.values():
        everything = outcome.page + json.dumps(outcome.record) + json.dumps(outcome.notebook)
        for mark in marks:
            assert len(mark) < 4 or mark not in everything, mark


def test_other_region_and_article(tmp_path):
    done = run(
        "period_report", "-p", "region=KZ-43", "-p", "article=362", "--out", "x", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "x").glob("*.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    given = {"period": "2022-12", "region": "KZ-43", "article": "362"}
    assert record["parameters"] == given | {"language": "en"}
    registered = record["results"]["article_registered"]
    (cell,) = registered["cells"]
    expected = kz.load_form_1m("2022-12", "KZ-43", "R1", "362", "registered")
    assert registered["value"] == expected["value"].item()
    assert cell == expected.select("workbook", "cell").row(0, named=True)


@pytest.mark.parametrize(
    ("language", "period", "said"),
    [
        ("ru", "2021-02", ["32\xa0270 правонарушений", "часть 88 в R1", "«несвободная», 23 из 100"]),
        ("kk", "2022-12", ["135\xa0028", "Төрт ауырлық санатының", "146-бап. Пытки (орысша)"]),
    ],
)
def test_page_is_in_the_readers_language_and_its_figures_are_the_same(
    runs, language, period, said, tmp_path
):
    left = run_notebook("period_report", {"period": period, "language": language}, tmp_path)
    assert left.record["status"] == "completed"
    assert same_figures(left.record, runs[period].record)
    executed = json.loads(left.notebook.read_text(encoding="utf-8"))
    texts = "\n".join(said_in(executed))
    assert [text for text in said if text not in texts] == []
    assert left_in_english(executed) == []


def test_same_inputs_have_the_same_run_id_and_outputs(runs, tmp_path):
    done = run("period_report", "-p", "period=2021-02", cwd=tmp_path)
    assert done.returncode == 0
    (path,) = (tmp_path / "out").glob("*.json")
    again = json.loads(path.read_text(encoding="utf-8"))
    first = runs["2021-02"].record
    assert again["run_id"] == first["run_id"] != runs["2022-12"].record["run_id"]
    changing = {"started", "ended"}
    assert {k: v for k, v in again.items() if k not in changing} == {
        k: v for k, v in first.items() if k not in changing
    }
    notebook = json.loads(path.with_suffix(".ipynb").read_text(encoding="utf-8"))
    assert outputs(notebook) == outputs(runs["2021-02"].notebook)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["period_reports"], "unknown notebook 'period_reports'; near matches: period_report"),
        (["period_report", "-p", "perod=2021-02"], "unknown parameter of period_report: 'perod'"),
        (["period_report", "-p", "period=2021-03"], "unknown period '2021-03'; near matches:"),
        (["period_report", "-p", "region=KZ-75", "-p", "period=2021-02"], "2021-02 has no figures"),
        (
            ["period_report", "-p", "period=2021-02", "-p", "article=362"],
            "2021-02 reports nothing on article 362; it reports on: 146, 147",
        ),
        (["period_report", "-p", "region=Almaty"], "KZ-19 (Almaty Region), KZ-75 (Almaty)"),
        (["period_report", "-p", "region=kz"], "near matches: KZ"),
        (["period_report", "-p", "article=1466"], "unknown article '1466'; near matches:"),
        (["period_report", "-p", "period"], "'period' is not of the form NAME=VALUE"),
        (["period_report", "-p", "period=1", "-p", "period=2"], "parameter period is given twice"),
    ],
)
def test_wrong_parameters_end_in_one_sentence_and_leave_nothing(words, message, tmp_path):
    done = run(*words, cwd=tmp_path)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_failing_cell_leaves_the_notebook_with_the_error_and_a_failed_record(tmp_path, monkeypatch):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    notebook = json.loads((notebooks_dir() / "period_report.ipynb").read_text(encoding="utf-8"))
    notebook["cells"][3]["source"] = "import kzresearch.figures\nkzresearch.figures.total([])"
    (folder / "broken.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    monkeypatch.setattr(notebooks, "notebooks_dir", lambda: folder)
    left = run_notebook("broken", {}, tmp_path / "out")
    assert left.record["status"] == "failed"
    assert left.record["error"]["type"] == "ValueError"
    assert left.record["results"] == {}
    jsonschema.validate(left.record, schema())
    for path in (left.notebook, left.page, left.json):
        text = path.read_text(encoding="utf-8")
        assert "not enough values to unpack" in text
        assert str(ROOT) not in text
        assert str(tmp_path) not in text


def test_folder_that_cannot_be_written_into_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    done = run("period_report", "--out", "file/x", cwd=tmp_path)
    assert done.returncode == 1
    assert "Error: cannot use file/x for what runs leave: not a directory" in done.stderr
    assert "Executing" not in done.stderr
    assert (tmp_path / "file").read_text(encoding="utf-8") == "kept"


def test_article_without_any_case_says_so_instead_of_drawing_nothing(tmp_path):
    done = run("period_report", "-p", "region=KZ-62", "-p", "article=437", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "out").glob("period_report-*.html")
    page = path.read_text(encoding="utf-8")
    assert "nothing to draw, every figure is nought." in page
    assert "No case of this article is counted." in page
    assert "Split off from Karaganda Region on 2022-06-08" in page
    assert "military, transport and central bodies file their own" in page


def test_notebooks_are_listed_with_their_parameters():
    done = subprocess.run([command("kzresearch"), "notebooks"], capture_output=True, text=True)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    first = next(at for at, line in enumerate(lines) if line.startswith("period_report:"))
    assert lines[0].startswith("start_here:")
    assert lines[first : first + 6] == [
        "period_report: Registered offences and what became of them: a period report",
        "  period: str = '2022-12'  reporting period, January to this month (YYYY-MM)",
        "  region: str = 'KZ'  ISO 3166-2: KZ is the country, KZ-75 the city of Almaty",
        "  article: str = '146'  article of the Criminal Code: 146 is torture",
        "  language: str = 'en'  language of texts, labels and numbers: en is English, ru Russian, kk Kazakh",
        "case_flow: Where the cases went: the case flow of one article",
    ]
    assert "  compare: str = '362,120,total'  offences to compare with" in done.stdout


def test_papermill_prints_the_parameters():
    path = str(notebooks_dir() / "period_report.ipynb")
    done = subprocess.run(
        [command("papermill"), "--help-notebook", path], capture_output=True, text=True
    )
    for name in ("period: str", "region: str", "article: str"):
        assert name in done.stdout + done.stderr


def test_markup_in_a_parameter_is_refused(tmp_path):
    done = run("period_report", "-p", "region=<script>alert(1)</script>", cwd=tmp_path)
    assert done.returncode == 1
    assert "unknown region '<script>" in done.stderr
    assert not (tmp_path / "out").exists()


def test_kernels_are_spared_the_slow_uri_parser(tmp_path, monkeypatch):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    notebook = json.loads((notebooks_dir() / "period_report.ipynb").read_text(encoding="utf-8"))
    code = "import sys, kzresearch, altair, jsonschema\nprint(sys.modules['rfc3987_syntax'])"
    notebook["cells"] = [*notebook["cells"][:2], {**notebook["cells"][2], "source": code}]
    (folder / "small.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    monkeypatch.setattr(notebooks, "notebooks_dir", lambda: folder)
    left = run_notebook("small", {}, tmp_path / "out")
    assert left.record["status"] == "completed"
    executed = json.loads(left.notebook.read_text(encoding="utf-8"))
    assert "".join(executed["cells"][-1]["outputs"][0]["text"]) == "None\n"

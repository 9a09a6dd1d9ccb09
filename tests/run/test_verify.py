"""`kzresearch verify`: what is identical, what differs and where, what was edited, and what is not run."""

import base64
import json
import os
import pty
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import kzresearch as kz
from kzresearch import records
from kzresearch.errors import OutputError, ParameterError, UnknownValueError
from kzresearch.notebooks import find_notebook, without_additions
from kzresearch.run.batch import Options
from kzresearch.run.compare import first_difference
from kzresearch.run.verify import verdicts
from tests.conftest import ROOT, command
from tests.run.made import RECORDS, made
from tests.run.servers import BUCKET, Gate

TOUCH = "open(place, 'a').write('ran ')"


def verify(*words: object, **given) -> subprocess.CompletedProcess:
    return subprocess.run(
        [command("kzresearch"), "verify", *map(str, words)],
        **{"capture_output": True, "text": True, "timeout": 300, "stdin": subprocess.DEVNULL}
        | given,
    )


def one(*paths: Path, **given) -> dict:
    """The verdict on one run, from Python."""
    (row,) = kz.verify(list(paths), **given).to_dicts()
    return row


def differences(row: dict) -> dict[str, tuple]:
    return {f"{d['what']} {d['place']}": (d["recorded"], d["now"]) for d in row["differences"]}


def content(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def change(path: Path, how) -> Path:
    """Change a JSON file in place: `how` is given what it holds."""
    found = content(path)
    how(found)
    path.write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
    return path


def everything(folder: Path) -> dict[str, tuple]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def ran(report) -> Path:
    """The folder of the bundled report."""
    return next(iter(report.values())).page_path.parent


@pytest.fixture(scope="module")
def whole(ran) -> tuple[subprocess.CompletedProcess, dict, dict]:
    """The bundled report verified, with the folder before and after."""
    before = everything(ran)
    return verify(ran, "--json"), before, everything(ran)


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    """Runs of notebooks that are not the project's: good ones, one that fails."""
    place = tmp_path_factory.mktemp("own")
    made(place / "good.ipynb", *RECORDS)
    made(place / "fails.ipynb", *RECORDS, "1 / 0")
    made(place / "touches.ipynb", TOUCH, parameters="place: str = ''  # a file")
    made(place / "clock.ipynb", "import time", "print('now')\nprint(time.time_ns())")
    made(place / "sleeps.ipynb", "import time\ntime.sleep(2)")
    kz.batch(place / "good.ipynb", {"n": [1, 2]}, out=place / "out")
    for name in ("fails", "clock", "sleeps"):
        kz.batch(place / f"{name}.ipynb", out=place / name, formats=())
    kz.batch(
        place / "touches.ipynb", {"place": [str(place / "touched")]}, out=place / "out", formats=()
    )
    return place


@pytest.fixture
def short(report, tmp_path) -> Path:
    """The files of the shortest run of the report, to be changed: the executed notebook's path."""
    page = report["period_report", "2021-02"].page_path
    for path in page.parent.glob(f"{page.stem}.*"):
        shutil.copy(path, tmp_path)
    return tmp_path / page.with_suffix(".ipynb").name


@pytest.fixture
def record(short) -> Path:
    """Its record alone."""
    short.unlink()
    short.with_suffix(".html").unlink()
    return short.with_suffix(".json")


@pytest.fixture
def page(short) -> Path:
    """Its page alone."""
    short.unlink()
    short.with_suffix(".json").unlink()
    return short.with_suffix(".html")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory) -> Path:
    """The package, its notebooks and its data in another place, not a git checkout, to be changed."""
    place = tmp_path_factory.mktemp("elsewhere")
    for name in ("kzresearch", "notebooks", "data"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pyc*"))
    return place


def there(place: Path, *words: object) -> list[dict]:
    """The verdicts of another place's package."""
    done = verify(*words, "--json", env=os.environ | {"PYTHONPATH": str(place)})
    return json.loads(done.stdout)["runs"]


# identical


def test_every_notebook_of_the_report_is_verified_to_the_page(report, whole):
    done, _, _ = whole
    assert done.returncode == 0, done.stdout
    assert done.stderr == f"{len(report)} runs: {len(report)} identical\n"
    found = {row["run_id"]: row for row in json.loads(done.stdout)["runs"]}
    assert found.keys() == {outcome.record["run_id"] for outcome in report.values()}
    for outcome in report.values():
        row, record = found[outcome.record["run_id"]], outcome.record
        outputs, results = len(record["outputs"]), len(record["results"])
        assert row["verdict"] == "identical"
        assert row["notebook"] == record["notebook"]
        assert row["compared"] == [f"{outputs} outputs", f"{results} results", "the page"]
        assert row["reason"] is None
        assert not any(row[name] for name in ("edits", "differences", "notes"))
        assert not [one for one in row["changes"] if one["what"] != "commit"]


def test_verifying_leaves_nothing_behind(own, whole, tmp_path):
    _, before, after = whole
    assert before == after
    before = everything(own / "out")
    temporary, here = tmp_path / "temporary", tmp_path / "here"
    temporary.mkdir()
    here.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}
    assert verify(own / "out", env=environment, cwd=here).returncode == 3
    assert everything(own / "out") == before
    assert not list(temporary.iterdir())
    assert not list(here.iterdir())


def test_an_executed_notebook_holds_the_notebook_that_ran(report):
    for outcome in report.values():
        listed = outcome.record["code"]["notebook"]
        inside = without_additions(outcome.notebook)
        assert records.checksum(inside) == listed
        assert records.checksum(find_notebook(outcome.record["notebook"]).content) == listed
        assert len(inside["cells"]) == len(outcome.notebook["cells"]) - 1


def test_the_run_id_is_that_of_what_the_record_lists(report):
    for outcome in report.values():
        assert records.run_id_of(outcome.record) == outcome.record["run_id"]


def test_a_page_or_a_record_is_enough(record, report, tmp_path):
    page = report["period_report", "2021-02"].page_path
    alone = shutil.copy(page, tmp_path / "fig. 1 (final) #2.html")
    for path, more in ((record, []), (alone, ["the page"])):
        row = one(path)
        assert row["verdict"] == "identical", row
        assert row["file"] == str(path)
        assert row["compared"][2:] == more


def test_both_engines_verify_the_same(record):
    done = verify(record, "--engine", "stock", "-j", 1)
    assert done.returncode == 0, done.stdout
    assert ": identical: " in done.stdout


def test_a_folder_of_object_storage(record, store: Gate, monkeypatch):
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    where = f"s3://{BUCKET}/to verify"
    done = kz.batch("trends", out=where, formats=())
    assert done["status"].to_list() == ["completed"]
    for path in (where, f"{where}/", done["file"].item()):
        row = one(path)
        assert row["verdict"] == "identical"
        assert row["file"] == done["file"].item()
    assert one(f"{where}/trends-000000000000.json")["reason"] == (
        f"cannot read {where}/trends-000000000000.json: no such file or directory"
    )


# results and outputs that are not those of the record


def test_each_part_of_a_result_that_differs_is_named(record):
    results = content(record)["results"]
    names = iter(results)
    changed = {
        next(names): {"value": 99},
        next(names): {"text": "many"},
        next(names): {"unit": "persons"},
        next(names): {"formula": "a ÷ b"},
        next(names): {"note": "a note"},
        next(names): {"sources": ["form_1m"]},
        next(names): {"cells": [{"workbook": "0" * 64, "cell": "R1!A1"}]},
    }
    first = next(iter(results))
    missing = list(results)[-1]

    def how(found: dict) -> None:
        for name, part in changed.items():
            found["results"][name] |= part
        found["results"]["invented"] = found["results"].pop(missing)

    row = one(change(record, how))
    assert row["verdict"] == "differs"
    assert row["edits"] == []
    found = differences(row)
    assert found[f"result {first}"] == ("99", json.dumps(results[first]["value"]))
    for name, part in list(changed.items())[1:6]:
        ((key, value),) = part.items()
        place = "[0]" if key == "sources" else ""
        recorded, now = found[f"result {name}.{key}{place}"]
        assert json.loads(recorded) == (value[0] if place else value)
        assert now is None or json.loads(now) != json.loads(recorded)
    assert found[f"result {list(changed)[6]}.cells[0]"][1] is None
    assert found[f"result {missing}"] == (None, results[missing]["text"])
    assert found["result invented"] == (results[missing]["text"], None)
    assert len(found) == 9


def test_what_is_printed_names_figure_record_and_now(record):
    first, figure = next(iter(content(record)["results"].items()))
    change(record, lambda found: found["results"][first].update(value=99))
    done = verify(record)
    assert done.returncode == 1
    assert done.stderr == "1 run: 1 differs\n"
    head, line, *_, last = done.stdout.splitlines()
    assert head == f"{record}: differs"
    assert line == f"  result {first}: 99 in the record, {figure['value']:g} now"
    assert last == "  data, code and what is installed are those of the record"


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("title", "Another"),
        ("question", "Why?"),
        ("key_figures", []),
        ("sources", []),
        ("figures", [{"sha256": "0" * 64, "text": "x"}]),
    ],
)
def test_whatever_else_a_run_gives_is_compared(record, part, value):
    row = one(change(record, lambda found: found.update({part: value})))
    assert row["verdict"] == "differs"
    (place,) = differences(row)
    assert place.startswith(f"record {part}")


def test_an_output_that_differs_is_named_also_without_its_old_content(record):
    change(record, lambda found: found["outputs"][2].update(sha256="0" * 64))
    row = one(record)
    ((place, (recorded, now)),) = differences(row).items()
    assert place.startswith("output cell [")
    assert recorded == f"{content(record)['outputs'][2]['kind']} 000000000000"
    assert now.split()[0] == recorded.split()[0]


def test_outputs_that_time_changes_are_shown_with_cell_line_and_both_values(own):
    row = one(own / "clock", trust=True)
    assert row["verdict"] == "differs"
    ((place, (recorded, now)),) = differences(row).items()
    assert place == "output cell [4], output 1, text line 2"
    (printed,) = [
        "".join(output["text"]).split("\n")[1]
        for cell in content(next((own / "clock").glob("clock-*.ipynb")))["cells"]
        for output in cell.get("outputs", [])
    ]
    assert json.loads(recorded).strip("…") in printed
    assert recorded != now


# files that were changed after the run


def edited(path: Path, how) -> list[str]:
    row = one(change(path, how) if how else path)
    assert row["verdict"] == "edited", row
    assert not row["differences"]
    return row["edits"]


def cell_with(notebook: dict, kind: str) -> dict:
    return next(
        c for c in notebook["cells"] for o in c.get("outputs", []) if kind in o.get("data", {})
    )


def test_an_output_that_was_edited(short):
    def how(found: dict) -> None:
        data = cell_with(found, "text/html")["outputs"][0]["data"]
        data["text/html"][0] = data["text/html"][0].replace("<", "<!-- edited --><", 1)

    count = cell_with(content(short), "text/html")["execution_count"]
    first, second, *more = edited(short, how)
    assert first == (
        "the notebook's outputs are not those that its record lists: "
        f"cell [{count}] was changed after the run"
    )
    assert second.startswith(f"cell [{count}], output 1, text/html line 1: ")
    assert "edited" in second.split(" in the file, ")[0]
    assert "edited" not in second.split(" in the file, ")[1]
    assert second.endswith(" in the run")
    assert not more


def test_an_output_that_was_put_in_or_taken_away(short):
    def more(found: dict) -> None:
        cell = next(c for c in found["cells"] if c["cell_type"] == "code" and not c["outputs"])
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "more\n"}]

    def less(found: dict) -> None:
        cell_with(found, "text/html")["outputs"].clear()

    assert "cell [1] was changed after the run" in edited(short, more)[0]
    assert "were changed after the run" in edited(short, less)[0]


def test_results_in_the_metadata_that_are_not_those_of_the_outputs(short):
    first = next(iter(content(short.with_suffix(".json"))["results"]))

    def how(found: dict) -> None:
        found["metadata"]["kzresearch"]["results"][first]["value"] = 99

    short.with_suffix(".json").unlink()
    short.with_suffix(".html").unlink()
    row = one(change(short, how))
    assert row["verdict"] == "edited"
    assert row["edits"][0].startswith(
        "the results in the notebook's record are not those of its outputs: "
        f"{first}.value is 99 in the record, "
    )
    assert f"result {first}" in differences(row)


def test_a_cell_that_was_edited(short):
    def how(found: dict) -> None:
        found["cells"][1]["source"] = ["period: str = '2021-02'  # changed"]

    first, second = edited(short, how)
    assert first == (
        "the notebook's cells are not those that its record lists: one was changed after the run"
    )
    assert second.startswith("cell [1], its text")


def test_prose_in_another_language_is_vouched_for_too(tmp_path):
    kz.batch("case_flow", {"language": ["ru"]}, {"region": "KZ-71"}, out=tmp_path, formats=())
    (path,) = tmp_path.glob("*.ipynb")
    prose = [cell for cell in content(path)["cells"] if cell["cell_type"] == "markdown"]
    assert any("суд" in "".join(cell["source"]) for cell in prose)
    assert one(path)["verdict"] == "identical"

    def reword(notebook: dict) -> None:
        notebook["cells"][0]["source"] = ["# Another title"]

    edited = one(change(path, reword))
    assert edited["verdict"] == "edited"
    assert "the notebook's cells are not those" in edited["edits"][0]


def test_parameters_that_were_edited(short, tmp_path):
    def shown(found: dict) -> None:
        (cell,) = (
            c for c in found["cells"] if "injected-parameters" in c["metadata"].get("tags", [])
        )
        cell["source"] = [line.replace("2021-02", "2022-12") for line in cell["source"]]

    (line,) = edited(short, shown)
    assert '"period = \\"2022-12\\"" in the file, ' in line
    path = short.with_suffix(".json")
    alone = Path(shutil.copy(path, tmp_path / "alone.json"))
    row = one(change(alone, lambda found: found["parameters"].update(period="2022-12")))
    assert row["verdict"] == "edited"
    assert row["edits"] == [
        (
            "the run id is not that of the notebook, parameters, data and software that the record "
            "lists: the record was changed after the run"
        )
    ]


@pytest.mark.parametrize("part", ["data", "versions"])
def test_inputs_that_were_edited(record, part):
    def how(found: dict) -> None:
        found[part].pop(next(iter(found[part])))

    assert "the run id is not that of " in one(change(record, how))["edits"][0]


def test_files_of_a_run_that_hold_two_records(short):
    first = next(iter(content(short.with_suffix(".json"))["results"]))
    change(short.with_suffix(".json"), lambda found: found["results"][first].update(value=99))
    (line,) = edited(short.with_suffix(".json"), None)
    assert line.startswith(
        f"{short.with_suffix('.json').name} and {short.name} hold two records: "
        f"results.{first}.value is 99 in one, "
    )


def test_a_page_that_was_edited(page):
    text = page.read_text(encoding="utf-8")
    assert text.count("32,270") > 1
    page.write_text(text.replace("32,270", "32,271", 1), encoding="utf-8")
    done = verify(page)
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == f"{page}: edited"
    assert "the page line " in done.stdout
    assert "32,271" in done.stdout.split(" on it, ")[0]
    assert "32,270" in done.stdout.split(" on it, ")[1]
    page.write_text(text.replace("32,270", "32,271").replace("32270", "32271"), encoding="utf-8")
    row = one(page)
    assert row["verdict"] == "differs"
    assert ("32271", "32270") in differences(row).values()


def test_a_page_without_a_record_and_a_page_of_another_version(page):
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace(records.SCHEMA, "kzresearch-record-9"), encoding="utf-8")
    done = verify(page)
    assert done.returncode == 3
    assert (
        f"{page}: not verified: the record in {page} is of the kind 'kzresearch-record-9', and "
        f"kzresearch {kz.__version__} reads 'kzresearch-record-1': use the version that wrote it"
    ) in done.stdout
    page.write_text("<html></html>", encoding="utf-8")
    assert one(page)["reason"] == (
        f"{page} holds no record of a run: name an executed notebook, its page or its record"
    )


# pages and PDFs, also where other code or other versions made them


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> Path:
    """The folder of a run with a PDF."""
    place = tmp_path_factory.mktemp("printed")
    given = {"period": "2021-02"}
    kz.batch("period_report", parameters=given, out=place, formats=("html", "pdf"))
    return place


@pytest.fixture
def pdf(printed, tmp_path) -> Path:
    """Its files, to be changed: the PDF's path."""
    for path in printed.glob("period_report-*"):
        shutil.copy(path, tmp_path)
    return next(tmp_path.glob("*.pdf"))


@pytest.fixture
def other_code(elsewhere) -> Iterator[Path]:
    """Another place, whose package is other code that makes the same."""
    with (elsewhere / "kzresearch" / "captions.py").open("a", encoding="utf-8") as file:
        file.write("# another\n")
    yield elsewhere
    shutil.copy(ROOT / "kzresearch" / "captions.py", elsewhere / "kzresearch")


def installed(place: Path, name: str, version: str) -> Path:
    """Another version of something, as far as its metadata go."""
    metadata = place / f"{name.replace('-', '_')}-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    words = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata.write_text(words, encoding="utf-8")
    return metadata.parent


@pytest.fixture
def other_version(elsewhere) -> Iterator[Path]:
    """Another place, where something else is installed too."""
    metadata = installed(elsewhere, "x", "1.0")
    yield elsewhere
    shutil.rmtree(metadata)


@pytest.fixture(params=["other_code", "other_version"])
def others(request) -> Path:
    """A place with other code, then with other versions."""
    return request.getfixturevalue(request.param)


def rewritten(page: Path, *changes: tuple[str, str]) -> Path:
    """A page with one place of it changed by each pair, its record as it was."""
    text = page.read_text(encoding="utf-8")
    for old, new in changes:
        before, record, after = text.partition('<script type="application/json" id="kzresearch">')
        assert old in before + after
        part = before.replace(old, new, 1) if old in before else before
        text = part + record + (after if old in before else after.replace(old, new, 1))
    page.write_text(text, encoding="utf-8")
    return page


def redrawn(page: Path, old: str, new: str) -> Path:
    """A page with the first picture that has a text or a shape changed there."""
    text = page.read_text(encoding="utf-8")
    for encoded in re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", text):
        picture = base64.b64decode(encoded).decode()
        if old in picture:
            changed = base64.b64encode(picture.replace(old, new, 1).encode()).decode()
            return rewritten(page, (encoded, changed))
    raise AssertionError(old)


def test_a_page_that_other_software_makes_again_is_identical(others, page):
    (row,) = there(others, page)
    assert row["verdict"] == "identical", row
    assert row["compared"][2:] == ["the page"]
    assert row["notes"] == []


FORGED = "32,270", "99,999"


def test_a_forged_page_is_never_identical_where_code_or_versions_are_others(others, page):
    rewritten(page, FORGED)
    (row,) = there(others, page)
    assert row["verdict"] == "not verified"
    assert row["edits"] == row["differences"] == []
    assert len(row["compared"]) == 2  # what the run has put out, not the page
    begin = "its page is not the one that this version makes of the run: line "
    assert row["reason"].startswith(begin)
    on_it, _, here = row["reason"].removeprefix(begin).partition(" on it, ")
    assert FORGED[1] in on_it
    assert FORGED[0] not in on_it
    assert FORGED[0] in here
    software = records.read(page)["software"]
    assert software["version"] in here
    assert not software["git"] or software["git"]["commit"][:12] in here
    assert here.endswith("can tell whether it was edited")
    done = verify(page, env=os.environ | {"PYTHONPATH": str(others)})
    assert done.returncode == 3
    assert done.stdout.startswith(f"{page}: not verified: {begin}")
    assert f"\n  the same: {', '.join(row['compared'])}\n" in done.stdout
    assert "identical" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('<script type="application/json" class="chart">{', '<script type="application/json" class="chart">{"a":1,'),
        ("</main>", "</main><script>document.title = 1</script>"),
        ("script-src ", "script-src 'unsafe-inline' "),
        ("<style>", "<style>td { display: none } "),
        ('alt="', 'alt="Not '),
    ],
)  # fmt: skip
def test_charts_scripts_policy_style_and_alternative_texts_are_compared(
    other_version, page, old, new
):
    rewritten(page, (old, new))
    (row,) = there(other_version, page)
    assert row["verdict"] == "not verified"
    on_it, _, here = row["reason"].partition(" on it, ")
    assert new[-12:] in on_it.replace('\\"', '"')
    assert new not in here
    assert one(page)["verdict"] == "edited"


def test_texts_in_a_picture_are_compared(others, page):
    redrawn(page, ">Source: Freedom House", ">Source: Nobody")
    (row,) = there(others, page)
    assert row["verdict"] == "not verified"
    on_it, _, here = row["reason"].partition(" on it, ")
    assert "Source: Nobody" in on_it
    assert "Source: Freedom House" in here
    row = one(page)
    assert row["verdict"] == "edited"
    assert "Source: Nobody" in row["edits"][0].partition(" on it, ")[0]


def test_shapes_in_a_picture_may_be_others_where_another_version_draws_them(
    elsewhere, other_version, page, tmp_path, monkeypatch
):
    redrawn(page, 'transform="translate(', 'transform="translate(1')
    (row,) = there(other_version, page)
    assert row["verdict"] == "not verified"  # the same version draws the same shapes
    assert one(page)["verdict"] == "edited"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    metadata = installed(elsewhere, "vl-convert-python", "99.0")
    (row,) = there(elsewhere, page)
    redrawn(page, ">Source: Freedom House", ">Source: Nobody")
    (forged,) = there(elsewhere, page)
    shutil.rmtree(metadata)
    assert row["verdict"] == "identical", row
    assert row["compared"][2:] == ["the page (of its pictures, the texts)"]
    assert forged["verdict"] == "not verified"


def test_a_pdf_is_compared_by_its_bytes_from_whichever_file_is_named(pdf):
    for path in (pdf.parent, pdf, pdf.with_suffix(".ipynb"), pdf.with_suffix(".html")):
        row = one(path)
        assert row["verdict"] == "identical", row
        assert row["compared"][2:] == ["the page", "the PDF"]
        assert row["notes"] == []
    done = verify(pdf)
    head, *_, last = done.stdout.splitlines()
    outputs, results = row["compared"][:2]
    assert head == f"{pdf}: identical: {outputs}, {results}, the page, the PDF"
    assert last == (
        "taken as they stand, since no run gives them again: authors, name of the notebook, date, "
        "commit"
    )
    pdf.write_bytes(pdf.read_bytes() + b"\n")
    done = verify(pdf)
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == f"{pdf}: edited"
    assert "  the PDF is not the one that the run gives with its record: " in done.stdout


def test_a_pdf_beside_its_record_alone_is_compared(pdf):
    for ending in (".ipynb", ".html"):
        pdf.with_suffix(ending).unlink()
    row = one(pdf)
    assert row["verdict"] == "identical", row
    assert row["compared"][2:] == ["the PDF"]


def test_a_pdf_of_other_versions_is_said_to_be_not_compared(others, pdf):
    (row,) = there(others, pdf)
    assert row["verdict"] == "identical", row
    assert row["compared"][2:] == ["the page", "the PDF"]  # these others make the same bytes
    pdf.write_bytes(pdf.read_bytes() + b"\n")
    done = verify(pdf, env=os.environ | {"PYTHONPATH": str(others)})
    assert done.returncode == 0
    head = done.stdout.splitlines()[0]
    assert ", but its PDF was not compared (other versions): " in head
    assert head.endswith(", the page")
    (row,) = there(others, pdf)
    assert row["notes"] == ["its PDF was not compared (other versions)"]
    assert row["edits"] == []


def test_a_pdf_alone_is_not_verified(pdf, tmp_path):
    alone = Path(shutil.copy(pdf, tmp_path / "alone.pdf"))
    (tmp_path / "alone.json").write_text("{}", encoding="utf-8")  # of something else
    done = verify(alone)
    assert done.returncode == 3
    assert done.stdout.splitlines()[0] == (
        f"{alone}: not verified: a PDF holds no record of its run: lay the executed notebook, the "
        "page or the record beside it, under the same name, or name one of these instead"
    )
    assert one(alone)["edits"] == []


def test_pages_and_pdfs_of_a_run_that_differs_are_said_to_be_not_compared(pdf):
    page = pdf.with_suffix(".html")
    for ending in (".ipynb", ".json"):
        pdf.with_suffix(ending).unlink()
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("32270", "32271"), encoding="utf-8")
    row = one(page)
    assert row["verdict"] == "differs"
    assert row["notes"] == [
        f"its {what} was not compared: that of a run that differs is another"
        for what in ("page", "PDF")
    ]


# other data, code and environment than those of the record


def test_changed_data_are_named_and_what_they_change(elsewhere, ran, report, monkeypatch):
    path = elsewhere / "data" / "form_1m" / "2021-02.parquet"
    frame, kept = pl.read_parquet(path), path.read_bytes()
    frame.with_columns(pl.col("value").replace(88.0, 87.0)).write_parquet(path)
    pages = [report["period_report", period].page_path for period in ("2021-02", "2022-12")]
    changed, same = there(elsewhere, *pages)
    path.write_bytes(kept)
    assert changed["verdict"] == "differs"
    assert ("88", "87") in differences(changed).values()
    for row in (changed, same):
        (data,) = [one for one in row["changes"] if one["what"] == "data"]
        assert data["place"] == "form_1m/2021-02.parquet"
        assert data["recorded"] == records.environment().data["form_1m/2021-02.parquet"][:12]
    assert same["verdict"] == "identical"
    assert same["compared"][-1] == "the page"


def test_missing_data_are_named(elsewhere, report):
    path = elsewhere / "data" / "form_1m" / "2021-02.parquet"
    kept = path.read_bytes()
    path.unlink()
    (row,) = there(elsewhere, report["period_report", "2021-02"].page_path.with_suffix(".json"))
    path.write_bytes(kept)
    assert row["verdict"] == "not verified"
    assert row["reason"] == "data that it could read are not here: form_1m/2021-02.parquet"
    (data,) = [one for one in row["changes"] if one["what"] == "data"]
    assert (data["place"], data["now"]) == ("form_1m/2021-02.parquet", None)


def test_changed_code_and_another_version_are_named(elsewhere, other_code, other_version, record):
    done = verify(record, env=os.environ | {"PYTHONPATH": str(elsewhere)})
    assert done.returncode == 0, done.stdout
    head, *lines = done.stdout.splitlines()
    assert head.startswith(f"{record}: identical, with other code and environment: ")
    package = content(record)["code"]["package"][:12]
    assert [line for line in lines if line.endswith(f", recorded with {package}")]
    assert "  environment: x 1.0, recorded with nothing" in lines
    if git := content(record)["software"]["git"]:
        commit = f"  commit: kzresearch no git checkout, recorded with {git['commit'][:12]}"
        assert [line for line in lines if line.startswith(commit)]


def test_a_notebook_that_has_changed_since_is_run_as_it_is_or_asked_for(elsewhere, short, record):
    """The installed one is the project's; the one that is in the file is now not."""
    path = elsewhere / "notebooks" / "period_report.ipynb"
    kept = path.read_bytes()
    change(path, lambda found: found["cells"][-1]["source"].append("\n0"))
    (row,) = there(elsewhere, record)
    assert row["verdict"] == "differs"
    assert [d["what"] for d in row["differences"]] == ["output"]
    assert "notebook" in [d["place"] for d in row["changes"] if d["what"] == "code"]
    change(path, lambda found: found["cells"][1].update(source=["other: str = ''"]))
    (row,) = there(elsewhere, record)
    assert row["verdict"] == "not verified"
    assert row["reason"].startswith("unknown parameter of period_report")
    path.write_bytes(kept)


def test_an_older_notebook_of_the_project_is_run_from_its_file_where_it_is_trusted(
    elsewhere, short
):
    path = elsewhere / "notebooks" / "period_report.ipynb"
    kept = path.read_bytes()
    change(path, lambda found: found["cells"][-1]["source"].append("\n0"))
    rows = there(elsewhere, short), there(elsewhere, short, "--trust")
    path.write_bytes(kept)
    assert [row["verdict"] for (row,) in rows] == ["not verified", "identical"]
    assert "add --trust if you trust it" in rows[0][0]["reason"]


# notebooks that are not the project's


def test_no_code_of_another_notebook_is_run_without_trust(own, tmp_path):
    touched = own / "touched"
    before = touched.read_text()
    (path,) = (own / "out").glob("touches-*.ipynb")
    done = verify(path)
    assert done.returncode == 3
    assert done.stdout == (
        f"{path}: not verified: its notebook touches is not one of the project's as they are "
        "installed here, and its code would be run on this machine: add --trust if you trust it\n"
    )
    assert verify(path, "--notebook", own / "touches.ipynb").returncode == 3
    assert touched.read_text() == before
    done = verify(path, "--trust")
    assert done.returncode == 0, done.stdout
    assert touched.read_text() == before + "ran "


def test_on_a_terminal_it_is_asked(own):
    touched = own / "touched"
    (path,) = (own / "out").glob("touches-*.ipynb")
    for answer, code, more in ((b"n\n", 3, ""), (b"y\n", 0, "ran ")):
        before = touched.read_text()
        mine, theirs = pty.openpty()
        os.write(mine, answer)
        done = verify(path, stdin=theirs)
        os.close(mine)
        os.close(theirs)
        assert done.returncode == code
        assert done.stderr.startswith(
            "Run the code of touches, which is not the project's, on this machine? [y/N]: "
        )
        assert touched.read_text() == before + more


def test_own_notebooks_are_verified_from_file_record_and_notebook_that_is_named(own, tmp_path):
    assert set(kz.verify(own / "out", trust=True)["verdict"]) == {"identical"}
    (path, _) = sorted((own / "out").glob("good-*.json"))
    alone = shutil.copy(path, tmp_path)
    assert one(alone, trust=True)["reason"] == (
        "there is no notebook good to run: name it with --notebook, or lay the executed one beside "
        "the file"
    )
    assert one(alone, notebook=own / "good.ipynb")["verdict"] == "not verified"
    renamed = shutil.copy(own / "good.ipynb", tmp_path / "renamed.ipynb")
    for notebook in (own / "good.ipynb", renamed):
        row = one(alone, notebook=notebook, trust=True)
        assert row["verdict"] == "identical", row
    other = made(tmp_path / "good.ipynb", RECORDS[0], RECORDS[1].replace("2.0 * n", "3.0 * n"))
    row = one(alone, notebook=other, trust=True)
    assert row["verdict"] == "differs"
    assert differences(row)["result double"] in {("2", "3"), ("4", "6")}
    assert [d["place"] for d in row["changes"] if d["what"] == "code"] == ["notebook"]


def test_an_executed_notebook_may_be_run_and_verified_as_any_other(own, tmp_path):
    """Its old parameters and outputs are no part of it."""
    (path, _) = sorted((own / "out").glob("good-*.ipynb"))
    again = shutil.copy(path, tmp_path / "again.ipynb")
    done = kz.batch(again, parameters={"n": 7}, out=tmp_path / "out", formats=())
    row = one(done["file"].item(), trust=True)
    assert row["verdict"] == "identical", row


def test_a_failed_run_and_broken_files_among_good_ones(own, tmp_path):
    for path in [*(own / "out").glob("good-*"), *(own / "fails").glob("fails-*")]:
        shutil.copy(path, tmp_path)
    (tmp_path / "notes-0123456789ab.json").write_text("{", encoding="utf-8")
    (tmp_path / "read me.json").write_text("{", encoding="utf-8")
    done = verify(tmp_path, "--trust")
    assert done.returncode == 3
    assert done.stderr == "4 runs: 2 identical, 2 not verified\n"
    assert "the run failed (ZeroDivisionError) and has no result to verify" in done.stdout
    assert "notes-0123456789ab.json holds no record of a run" in done.stdout
    assert "read me" not in done.stdout
    first = next(tmp_path.glob("good-*.json"))
    change(first, lambda found: found["results"]["double"].update(value=99))
    done = verify(tmp_path, "--trust")
    assert done.returncode == 1
    assert done.stderr == "4 runs: 1 identical, 1 edited, 2 not verified\n"


def test_a_run_that_now_fails_is_not_verified(own):
    row = one(own / "sleeps", trust=True, timeout=0.5)
    assert row["verdict"] == "not verified"
    assert row["reason"].startswith("run again, it fails in cell [3]: CellTimeout: the cell was")


# wrong use, and files that want to do harm


def test_wrong_words_end_in_a_sentence(tmp_path, record):
    for words, code, sentence in (
        ([], 2, "Missing argument 'PATH…'"),
        ([""], 3, "Error: name an executed notebook, a page, a record, or a folder of them"),
        ([tmp_path / "none"], 3, f"cannot read {tmp_path / 'none'}: no such file or directory"),
        ([tmp_path / "empty"], 3, f"Error: {tmp_path / 'empty'} holds no runs: in a folder, "),
        (
            [tmp_path / "empty"],
            3,
            "NOTEBOOK-RUNID.ipynb, .json, .html or .pdf, where RUNID is 12 hex",
        ),
        ([tmp_path / "renamed"], 3, f"Error: {tmp_path / 'renamed'} holds no runs: in a folder, "),
        ([record, "--notebook", "none.ipynb"], 3, "Error: cannot read the notebook none.ipynb: "),
        ([record, "--engine", "quick"], 2, "'quick' is not one of"),
        ([record, "--timeout", "0"], 2, "--timeout"),
        (["s3:///x"], 3, "Error: cannot use s3:///"),
    ):
        (tmp_path / "empty").mkdir(exist_ok=True)
        (tmp_path / "renamed").mkdir(exist_ok=True)
        shutil.copy(record, tmp_path / "renamed" / "final.json")
        done = verify(*words)
        assert done.returncode == code, words
        assert sentence in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_python_refuses_what_the_command_refuses(tmp_path, record):
    with pytest.raises(ParameterError, match="name an executed notebook"):
        kz.verify([])
    with pytest.raises(OutputError, match="holds no runs"):
        kz.verify(tmp_path / "..")
    with pytest.raises(UnknownValueError, match="engine 'quick'"):
        kz.verify(record, engine="quick")
    with pytest.raises(ParameterError, match="jobs is 0"):
        kz.verify(record, jobs=0)
    with pytest.raises(ParameterError, match="no such file"):
        kz.verify(record, notebook="none.ipynb")
    assert kz.verify(tmp_path / "none")["verdict"].to_list() == ["not verified"]


def test_the_table_has_its_columns_whatever_was_found(record):
    one_, other = kz.verify(record), kz.verify("nowhere.json")
    assert one_.schema == other.schema
    assert one_.vstack(other).height == 2


DEEP = "[" * 100_000


def hostile(record: dict) -> dict[str, dict | str | bytes]:
    """Files, by their names, that are to run code, leave their place, or end the command."""
    named = record | {"notebook": "../../etc/mine.ipynb"}  # its cells are the project's own
    code = {"period = __import__('os').system('touch owned')\nx": "2021-02"}
    notebook = {"cells": [], "metadata": {"kzresearch": record}, "nbformat": 4, "nbformat_minor": 5}
    cells = [{"cell_type": "code", "source": "1", "metadata": {}, "outputs": {"data": 1}}]
    deep = json.dumps(notebook).replace('"cells": []', f'"cells": [{DEEP}')
    return {
        "path.json": named,
        "code.json": record | {"parameters": code},
        "value.json": record | {"parameters": {"period": "'); import os; os.mkdir('owned') #"}},
        "surrogate.json": record | {"parameters": {"period": "\ud800"}},
        "terminal.json": record
        | {"notebook": "\x1b]0;x\x07\u202eboo", "code": record["code"] | {"notebook": "0" * 64}},
        "half.json": record
        | {"notebook": "\ud800", "code": record["code"] | {"notebook": "0" * 64}},
        "number.json": json.dumps(record).replace('"value": 88', '"value": 1e999', 1),
        "deep.json": DEEP,
        "deep_cells.ipynb": deep,
        "bytes.json": b"\xff\xfe\x00",
        "empty.html": "",
        "two.html": "<script type='x'></script>" * 1000,
        "list.json": "[1]",
        "no_cells.ipynb": notebook | {"cells": 1},
        "strange_cells.ipynb": notebook | {"cells": ["x"]},
        "strange_outputs.ipynb": notebook | {"cells": cells},
        "no_metadata.ipynb": {"metadata": []},
        "page.pdf": b"%PDF",
    }


def test_hostile_files_run_nothing_and_end_nothing(report, tmp_path):
    record = report["period_report", "2021-02"].record
    files = hostile(record)
    for name, what in files.items():
        text = what if isinstance(what, (str, bytes)) else json.dumps(what)
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    before = set(tmp_path.iterdir())
    paths = [tmp_path / name for name in (*files, "pipe.json")]
    done = verify(*paths, cwd=tmp_path)
    assert done.returncode == 1  # some are told to be edited
    assert "Traceback" not in done.stderr
    assert set(tmp_path.iterdir()) == before
    for line in done.stdout.splitlines():
        assert line.isprintable()
    rows = kz.verify(paths).to_dicts()
    assert len(rows) == len(paths)
    given = {Path(row["file"]).name: row["verdict"] for row in rows}
    assert [name for name, verdict in given.items() if verdict == "identical"] == ["path.json"]
    assert given["number.json"] == "differs"
    assert r"there is no notebook \x1b]0;x\x07\u202eboo to run" in done.stdout
    reasons = {Path(row["file"]).name: row["reason"] for row in rows}
    assert reasons["code.json"].startswith("unknown parameter of period_report")
    assert reasons["value.json"].startswith("unknown period")
    assert "is not a file" in reasons["pipe.json"]
    with pytest.raises(OutputError, match="holds no runs"):
        kz.verify(tmp_path / "folder.json")


def test_an_executed_notebook_does_not_choose_what_runs_the_project_s_cells(short):
    """Its kernel, which no checksum holds, is not what the project's own notebook is run with."""

    def how(found: dict) -> None:
        found["metadata"]["kernelspec"]["name"] = "owned"

    short.with_suffix(".html").unlink()
    assert one(change(short, how))["verdict"] == "identical"


# where two values first differ


@pytest.mark.parametrize(
    ("mine", "other", "apart"),
    [
        ({"a": 1}, {"a": 1}, None),
        ({"a": 1}, {"a": 1.0}, ("a", "1", "1.0")),
        ({"a": True}, {"a": 1}, ("a", "true", "1")),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, ("a.b[1]", "2", "3")),
        ([1], [1, None], ("[1]", None, "null")),
        ({}, {"a": None}, ("a", None, "null")),
        ("a\nb", "a\nc", (" line 2", '"b"', '"c"')),
        ("a\n", "a", (" line 2", '""', None)),
        ("a", 1, ("", '"a"', "1")),
        ("x" * 99 + "y", "x" * 99, ("", f'"…{"x" * 20}y"', f'"…{"x" * 20}"')),
        ("y" + "x" * 99, "x" * 100, ("", f'"y{"x" * 59}…"', f'"{"x" * 60}…"')),
    ],
)
def test_first_difference(mine, other, apart):
    assert first_difference(mine, other) == apart


def test_verdicts_come_in_the_order_of_the_paths(own):
    paths = sorted((own / "out").glob("good-*.json"), reverse=True)
    found = verdicts([str(one) for one in paths], [], Options(()), lambda _: True)
    assert [one.file for one in found] == [str(one) for one in paths]

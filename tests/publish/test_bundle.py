"""Bundles: whole, checked by others' validators, and refused where they would claim too much."""

import csv
import getpass
import gzip
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from datetime import datetime
from pathlib import Path

import frictionless
import mistune
import nbformat
import polars as pl
import pytest
import requests
import rocrate
import yaml
from bs4 import BeautifulSoup
from click.testing import CliRunner, Result
from polars.testing import assert_frame_equal
from rocrate.rocrate import ROCrate
from rocrate_validator import models, services

from kzresearch import cli, records, schemas, sources
from kzresearch.errors import OutputError
from kzresearch.publish import archive, bundle, cite, describe, wheel
from kzresearch.publish.archive import CHECKSUMS, CRATE, Contents
from kzresearch.publish.cite import NOBODY_NAMED
from kzresearch.publish.datapackage import add_results
from kzresearch.records import RecordError
from kzresearch.run.batch import Block, Options, make, record_file
from kzresearch.run.pool import Pool
from kzresearch.run.results import in_lines, lines, results, table
from kzresearch.run.single import STOCK
from tests.language import NO_WORDS, RUN
from tests.run.made import RECORDS, made

DOI = "10.5281/zenodo.1234567"
SCRIPT = "<script>alert(1)</script>"
HOSTILE = (
    f"{SCRIPT} [x](javascript:alert(1)) `a` | b: {{{{ 7*7 }}}} ../../up 'q' \"r\" # é Қ\n- item: *&"
)
AUTHOR = f"Ann {SCRIPT}: *O'Hara*"
BIG = "data/form_1m/2022-12.csv.gz"
ENDED = "2026-01-02T03:04:05+00:00"


def hostile(path: Path) -> Path:
    """A notebook whose texts would be markup, commands or paths if they could."""
    made(
        path,
        "import kzresearch as kz\nfrom kzresearch.figures import Figure",
        "kz.record(total=Figure(1.0, text, note=text))",
        parameters='text: str = ""  # anything',
    )
    notebook = nbformat.read(path, as_version=4)
    notebook["cells"][0]["source"] = f"# Title {SCRIPT} *x* [y](z) | w: v\n\nA question {SCRIPT}."
    notebook["metadata"]["authors"] = [{"name": AUTHOR}, {"name": PERSON}]
    nbformat.write(notebook, path)
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: of the project's own notebook, of others, one of them failed."""
    folder = tmp_path_factory.mktemp("bundle")
    good = made(folder / "книга о делах.ipynb", *RECORDS)
    failing = made(folder / "failing.ipynb", f"raise ValueError({HOSTILE!r})")
    blocks = [
        Block(["period_report"], {"period": "2021-02"}),
        Block([str(good)], {}, {"n": [1, 2]}),
        Block([str(failing)]),
        Block([str(hostile(folder / "hostile.ipynb"))], {"text": HOSTILE}),
    ]
    made_runs = make(blocks, folder / "runs", Options(progress=False), say=lambda _: None)
    assert [record["status"] for _, record in made_runs.runs].count("failed") == 1
    return folder / "runs"


PERSON = "Әбдіқадырова, Айгерім"


def completed(folder: Path) -> list[dict]:
    """The records of the completed runs in a folder."""
    found = [records.read(path) for path in folder.glob("*.json")]
    return [record for record in found if record["status"] == "completed"]


def made_of(path: Path, ending: str) -> bytes:
    """The page or the PDF of the executed notebook that lies beside a file."""
    with Pool(1, STOCK) as pool:
        return pool.page(path.with_suffix(".ipynb").read_bytes(), ending)


def by_name(folder: Path, name: str) -> Path:
    """The record of a run of a notebook."""
    return min(folder.glob(f"{name}-*.json"))


def copied(runs: Path, to: Path, *names: str) -> Path:
    """A folder with the runs of some of the notebooks."""
    to.mkdir()
    for name in names or ("*",):
        for path in runs.glob(f"{name}-*"):
            shutil.copy(path, to)
    return to


@pytest.fixture(scope="module")
def made_folder(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("made") / "bundle"
    bundle.bundle(runs, target, archive=False)
    return target


@pytest.fixture(scope="module")
def unpacked(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zipped bundle, with a DOI, unpacked elsewhere."""
    home = tmp_path_factory.mktemp("elsewhere")
    bundle.bundle(runs, home / "runs.zip", archive=True, doi=DOI)
    with zipfile.ZipFile(home / "runs.zip") as packed:
        assert packed.testzip() is None
        packed.extractall(home / "unpacked")
    return home / "unpacked"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the tables out, which take long and are in other tests."""
    monkeypatch.setattr(bundle, "add_tables", lambda *_: [])


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def graph(folder: Path) -> list[dict]:
    return json.loads((folder / CRATE).read_text(encoding="utf-8"))["@graph"]


def package(folder: Path) -> dict:
    return json.loads((folder / "datapackage.json").read_text(encoding="utf-8"))


def actions(folder: Path) -> dict[str, dict]:
    """The crate's actions by the id of their run."""
    return {one["identifier"]: one for one in graph(folder) if one["@type"] == "CreateAction"}


def entity(folder: Path, identifier: str) -> dict:
    (found,) = [one for one in graph(folder) if one["@id"] == identifier]
    return found


# What is in it


def test_all_that_is_listed_is_there_with_its_checksum_and_nothing_else(unpacked: Path):
    there = files(unpacked)
    lines = there[CHECKSUMS].decode().splitlines()
    listed = {name: sha for sha, _, name in (line.partition("  ") for line in lines)}
    assert listed == {name: sha256(one) for name, one in there.items() if name != CHECKSUMS}
    crate = {one["@id"]: one for one in graph(unpacked) if "File" in one["@type"]}
    of_itself = {CRATE, "ro-crate-preview.html"}
    assert {requests.utils.unquote(name) for name in crate} == there.keys() - of_itself
    for name, one in crate.items():
        content = there[requests.utils.unquote(name)]
        if name != CHECKSUMS:
            assert (one["sha256"], one["contentSize"]) == (sha256(content), str(len(content)))
    for resource in package(unpacked)["resources"]:
        content = there[resource["path"]]
        assert resource["hash"] == f"sha256:{sha256(content)}"
        assert resource["bytes"] == len(content)


def test_runs_are_there_as_they_were_with_index_and_notebooks(runs: Path, unpacked: Path):
    for path in runs.iterdir():
        if path.name not in {"index.html", "results.parquet", "results.csv"}:
            assert (unpacked / "runs" / path.name).read_bytes() == path.read_bytes()
    page = BeautifulSoup((unpacked / "runs/index.html").read_text(encoding="utf-8"), "html.parser")
    links = {requests.utils.unquote(one["href"]) for one in page.find_all("a")}
    links.remove("#cite-this")
    downloads = {"../results.csv", "../results.parquet"}
    assert links - downloads == {p.name for p in (unpacked / "runs").iterdir()} - {"index.html"}
    assert downloads <= links
    for link in downloads:
        assert (unpacked / "runs" / link).is_file()
    for path in (unpacked / "runs").glob("*.json"):
        record = records.read(path)
        source = (unpacked / "notebooks" / f"{record['notebook']}.ipynb").read_text("utf-8")
        notebook = json.loads(source)
        nbformat.validate(notebook)
        assert records.environment().code(notebook) == record["code"]
        assert not any(cell.get("outputs") for cell in notebook["cells"])
        assert "papermill" not in source
        assert record["run_id"] not in source


def test_the_notebook_of_the_project_runs_to_the_same_id(unpacked: Path):
    path = by_name(unpacked / "runs", "period_report")
    record = records.read(path)
    notebook = json.loads((unpacked / "notebooks/period_report.ipynb").read_text("utf-8"))
    assert records.environment().run_id(notebook, record["parameters"]) == record["run_id"]
    assert notebook["metadata"]["kzresearch"] == {"key_figures": record["key_figures"]}


def test_data_is_what_the_runs_could_read(unpacked: Path):
    record = records.read(by_name(unpacked / "runs", "period_report"))
    for name, checksum in record["data"].items():
        assert sha256((unpacked / "data" / name).read_bytes()) == checksum
    assert (unpacked / "data/README.md").read_text("utf-8").startswith("# Data of kzresearch")


def test_folder_and_zip_hold_the_same(runs: Path, made_folder: Path, tmp_path: Path):
    bundle.bundle(runs, tmp_path / "one.zip", archive=True)
    with zipfile.ZipFile(tmp_path / "one.zip") as packed:
        names, times = packed.namelist(), {one.date_time for one in packed.infolist()}
        assert {name: packed.read(name) for name in names} == files(made_folder)
    assert names == sorted(names)
    assert not [name for name in names if name.startswith("/") or ".." in name.split("/")]
    newest = datetime.fromisoformat(max(records.read(one)["ended"] for one in runs.glob("*.json")))
    (time,) = times
    assert abs((newest.replace(tzinfo=None) - datetime(*time)).total_seconds()) < 2
    archive.zip_folder(made_folder, tmp_path / "two.zip", newest)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_the_same_runs_give_the_same_bytes_elsewhere_too(made_folder: Path, tmp_path: Path):
    code = (
        "import sys; from kzresearch.publish.bundle import bundle; "
        "bundle(sys.argv[1], sys.argv[2], archive=False)"
    )
    other = {"POLARS_MAX_THREADS": "1", "PYTHONHASHSEED": "7", "TZ": "Asia/Almaty", "LC_ALL": "C"}
    subprocess.run(
        [sys.executable, "-c", code, str(made_folder / "runs"), str(tmp_path / "one")],
        env={**os.environ, **other},
        check=True,
    )
    assert files(tmp_path / "one") == files(made_folder)


def test_nothing_of_the_machine_is_in_it(runs: Path, unpacked: Path):
    told = [
        str(runs.parent),
        str(Path.home()) + "/",
        sys.prefix,
        str(Path(cli.__file__).parents[1]),
    ]
    told += [name for name in (getpass.getuser(), platform.node()) if len(name) > 5]
    for name, content in files(unpacked).items():
        read = [content]
        if name.endswith(".gz"):
            continue  # the table itself is beside it
        if name.endswith(".whl"):
            with zipfile.ZipFile(io.BytesIO(content)) as packed:
                read = [packed.read(one) for one in packed.namelist()]
        for one in told:
            assert not [part for part in read if one.encode() in part], (name, one)


# RO-Crate

LIBRARY_WARNS = pytest.mark.filterwarnings("ignore::DeprecationWarning")
"""The validator's of what it uses itself."""


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Gives the validator the terms of RO-Crate, which it asks the network for, and nothing else.

    The library carries those of a later version, which has all terms of the one that is used.
    """
    asked: list[str] = []
    content = (Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld").read_bytes()

    def send(_self: object, request: requests.PreparedRequest, **_: object) -> requests.Response:
        asked.append(str(request.url))
        assert request.url == "https://w3id.org/ro/crate/1.1/context"
        answer = requests.Response()
        answer.status_code, answer.url, answer._content = 200, request.url, content
        answer.headers["Content-Type"] = "application/ld+json"
        return answer

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    return asked


def findings(folder: Path, severity: models.Severity) -> Counter[str]:
    """What the validator finds in a crate, by the id of what it checks."""
    settings = models.ValidationSettings(
        rocrate_uri=str(folder),
        profile_identifier="process-run-crate",
        requirement_severity=severity,
        no_cache=True,
    )
    found = services.validate(settings)
    assert found.context.profile_identifier == "process-run-crate-0.5"
    return Counter(issue.check.identifier for issue in found.get_issues())


@LIBRARY_WARNS
def test_crate_is_a_process_run_crate(unpacked: Path, context: list[str]):
    assert not findings(unpacked, models.Severity.REQUIRED)
    assert context


@LIBRARY_WARNS
def test_crate_is_all_that_it_should_be_but_for_what_nobody_knows(
    unpacked: Path, context: list[str]
):
    found = findings(unpacked, models.Severity.RECOMMENDED)
    software = [one for one in graph(unpacked) if "Software" in str(one["@type"])]
    no_author = [one for one in actions(unpacked).values() if "agent" not in one]
    assert dict(found) == {
        "process-run-crate-0.5_3.2": len(software),  # neither code nor packages have an address
        "process-run-crate-0.5_5.1": len(software),  # nor ids that are addresses
        "process-run-crate-0.5_8.6": len(no_author),  # nobody is named as who ran it
        "ro-crate-1.1_22.3": 1,  # nobody has published it yet
        "ro-crate-1.1_30.2": 2,  # an author's institution is not known
        "ro-crate-1.1_30.3": 2,
        "ro-crate-1.1_31.2": 1,  # the contributors as such have no address
    }


@LIBRARY_WARNS
@pytest.mark.parametrize(
    ("kind", "name"),
    [("CreateAction", "instrument"), ("Dataset", "conformsTo"), ("Dataset", "name")],
)
def test_a_crate_that_lacks_something_does_not_pass(
    unpacked: Path, context: list[str], tmp_path: Path, kind: str, name: str
):
    content = json.loads((unpacked / CRATE).read_text("utf-8"))
    for one in content["@graph"]:
        if one["@type"] == kind:
            one.pop(name, None)
    shutil.copytree(unpacked, tmp_path / "broken")
    (tmp_path / "broken" / CRATE).write_text(json.dumps(content), encoding="utf-8")
    assert findings(tmp_path / "broken", models.Severity.REQUIRED)


@LIBRARY_WARNS
def test_a_crate_whose_file_is_gone_does_not_pass(
    unpacked: Path, context: list[str], tmp_path: Path
):
    shutil.copytree(unpacked, tmp_path / "broken")
    (tmp_path / "broken" / "results.csv").unlink()
    before, after = (
        findings(folder, models.Severity.RECOMMENDED) for folder in (unpacked, tmp_path / "broken")
    )
    assert (after - before).total() == 1


def test_terms_are_those_of_the_version_that_is_named(unpacked: Path):
    content = json.loads((unpacked / CRATE).read_text("utf-8"))
    base, more = content["@context"]
    assert base == "https://w3id.org/ro/crate/1.1/context"
    used = {name for one in content["@graph"] for name in one if not name.startswith("@")}
    # of RO-Crate 1.1, which takes them from schema.org 10; `conformsTo` from Dublin Core
    known = {
        *("about", "actionStatus", "agent", "author", "citation", "conformsTo", "contentSize"),
        *("datePublished", "description", "encodingFormat", "endTime", "error", "hasPart"),
        *("identifier", "instrument", "isBasedOn", "keywords", "license", "mentions", "name"),
        *("object", "programmingLanguage", "result", "softwareRequirements", "softwareVersion"),
        *("startTime", "url", "value", "version"),
    }
    assert used - known == more.keys() == {"sha256"}


def test_the_library_reads_the_crate(unpacked: Path):
    crate = ROCrate(unpacked)
    assert crate.root_dataset["conformsTo"].id == "https://w3id.org/ro/wfrun/process/0.5"
    assert len(crate.root_dataset["mentions"]) == 5


def test_each_run_is_an_action_with_what_went_in_and_what_came_out(unpacked: Path):
    found = actions(unpacked)
    paths = list((unpacked / "runs").glob("*.json"))
    assert len(paths) == len(found) == 5
    for path in paths:
        record, action = records.read(path), found[records.read(path)["run_id"]]
        assert (action["startTime"], action["endTime"]) == (record["started"], record["ended"])
        given = [entity(unpacked, one["@id"]) for one in action["object"]]
        values = {one["name"]: one.get("value") for one in given if one["@type"] == "PropertyValue"}
        assert values == record["parameters"]
        tables = {one["@id"]: one["sha256"] for one in given if one["@type"] == "File"}
        assert tables == {f"data/{name}": sha for name, sha in record["data"].items()}
        results = {requests.utils.unquote(one["@id"]) for one in action["result"]}
        assert results == {f"runs/{path.stem}{ending}" for ending in (".html", ".ipynb", ".json")}
        notebook, software = (entity(unpacked, one["@id"]) for one in action["instrument"])
        assert notebook["@type"] == ["File", "SoftwareSourceCode"]
        assert notebook["@id"].startswith("notebooks/")
        assert software["softwareVersion"] == record["software"]["version"]
        assert record["software"]["git"]["commit"] in software["description"]
        needed = [entity(unpacked, one["@id"]) for one in software["softwareRequirements"]]
        assert {one["name"] for one in needed} >= {"python", "polars", "papermill"}
        for one in needed:
            assert one["softwareVersion"] == record["versions"][one["name"]]


def test_a_failed_run_is_an_action_with_its_error_and_no_figures(unpacked: Path):
    failed = records.read(by_name(unpacked / "runs", "failing"))
    action = actions(unpacked)[failed["run_id"]]
    assert action["actionStatus"] == "http://schema.org/FailedActionStatus"
    message = failed["error"]["message"]
    assert action["error"] == f"ValueError in cell 3: {message}"
    others = [one for key, one in actions(unpacked).items() if key != failed["run_id"]]
    assert {one["actionStatus"] for one in others} == {"http://schema.org/CompletedActionStatus"}
    assert not [one for one in others if "error" in one]
    assert failed["run_id"] not in (unpacked / "results.csv").read_text("utf-8")


def test_who_is_named_is_an_agent_and_nobody_else(unpacked: Path):
    people = {one["@id"]: one["name"] for one in graph(unpacked) if one["@type"] == "Person"}
    assert sorted(people.values()) == sorted([AUTHOR, PERSON])
    author = records.read(by_name(unpacked / "runs", "hostile"))
    for run_id, action in actions(unpacked).items():
        assert ("agent" in action) == (run_id == author["run_id"])
    assert [people[one["@id"]] for one in actions(unpacked)[author["run_id"]]["agent"]] == [
        AUTHOR,
        PERSON,
    ]


# Data package


def test_data_package_is_valid(unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copytree(unpacked, tmp_path / "b")
    sample = pl.scan_csv(unpacked / BIG, infer_schema=False).gather_every(400)
    sample.sink_csv(tmp_path / "b" / "sample.csv")
    content = package(unpacked)
    for resource in content["resources"]:
        if resource["path"] == BIG:
            assert [resource.pop(name) for name in ("compression", "bytes", "hash")]
            resource["path"] = "sample.csv"
    (tmp_path / "b" / "datapackage.json").write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.chdir(tmp_path / "b")  # it trusts no paths elsewhere
    found = frictionless.validate("datapackage.json")
    assert found.valid, found.flatten(["path", "fieldName", "note"])
    rows = {task.name: task.stats["rows"] for task in found.tasks}
    assert len(rows) == len(package(unpacked)["resources"]) == 13
    assert rows["form_1m-2022-12"] == 20 * 217_460 / 400
    assert rows["transcribed-regions"] == 21


@pytest.mark.parametrize(
    ("name", "before", "after", "kind"),
    [
        ("results", b",2.0,", b",two,", "type-error"),
        ("population", b"2000-01-01", b"2000-01-32", "type-error"),
        ("workbooks", b"KZ-10", b"", "constraint-error"),
        ("transcribed-regions", b"KZ-11,", b"KZ-10,", "primary-key"),
        ("published", b"P0001", b"P001", "constraint-error"),
    ],
)
def test_a_broken_table_is_found(
    unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name, before, after, kind
):
    (resource,) = [one for one in package(unpacked)["resources"] if one["name"] == name]
    content = (unpacked / resource["path"]).read_bytes()
    target = tmp_path / resource["path"]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.replace(before, after, 1))
    (tmp_path / "datapackage.json").write_text(
        json.dumps(package(unpacked) | {"resources": [resource]}), encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    kinds = {kind for (kind,) in frictionless.validate("datapackage.json").flatten(["type"])}
    assert {"hash-count", kind} <= kinds or {"byte-count", kind} <= kinds


def test_csv_and_parquet_hold_the_same(unpacked: Path):
    for resource in package(unpacked)["resources"]:
        csv_file = unpacked / resource["path"]
        parquet = unpacked / describe.parquet_of(resource["path"])
        frame = pl.read_parquet(parquet)
        if resource["name"] == "results":
            assert frame.columns[2] == "parameters"
            frame = lines(frame)
        texts = pl.read_csv(csv_file, schema=dict.fromkeys(frame.columns, pl.String))
        typed = texts.with_columns(
            pl.col(name).str.to_date() if kind == pl.Date else pl.col(name).cast(kind)
            for name, kind in frame.schema.items()
        )
        assert_frame_equal(typed, frame)
        kinds = {
            field["name"]: {"string": pl.String, "integer": pl.Int64, "number": pl.Float64}.get(
                field["type"], pl.Date
            )
            for field in resource["schema"]["fields"]
        }
        assert kinds == frame.schema
    assert (
        pl.scan_parquet(unpacked / "data/form_1m/2022-12.parquet").select(pl.len()).collect().item()
        == 20 * 217_460
    )


def test_only_what_no_spreadsheet_takes_is_compressed(unpacked: Path):
    packed = [one["path"] for one in package(unpacked)["resources"] if "compression" in one]
    assert packed == [BIG]
    with gzip.open(unpacked / BIG, "rt", encoding="utf-8") as file:
        assert next(csv.reader(file)) == schemas.Form1M.column_names()


def test_columns_say_what_they_mean_and_in_which_unit(unpacked: Path):
    fields = {
        (one["name"], field["name"]): field
        for one in package(unpacked)["resources"]
        for field in one["schema"]["fields"]
    }
    assert all(field["description"] for field in fields.values())
    assert fields["population", "population"]["unit"] == "persons"
    assert fields["population", "population"]["constraints"] == {"required": True, "minimum": 1}
    total = fields["freedom_in_the_world", "total"]["constraints"]
    assert total == {"required": True, "minimum": 0, "maximum": 100}
    keys = {one["name"]: one["schema"].get("primaryKey") for one in package(unpacked)["resources"]}
    assert keys["results"] == ["run_id", "notebook", "name"]
    assert keys["form_1m-2021-02"] == ["period", "region", "section", "row", "measure", "source"]


def test_terms_are_what_the_sources_say_and_unknown_where_they_are_not_known(unpacked: Path):
    terms = {one["name"]: one["licenses"] for one in package(unpacked)["resources"]}
    assert terms["torture_indices"] == [
        {
            "title": "CC BY-SA 4.0: what is derived from it carries this licence",
            "path": "https://creativecommons.org/licenses/by-sa/4.0/",
        },
        {"title": "CC BY 4.0", "path": "https://creativecommons.org/licenses/by/4.0/"},
    ]
    assert terms["freedom_in_the_world"] == [
        {"title": "Not known: the terms could not be read", "path": "LICENCES.md"}
    ]
    ((form),) = terms["form_1m-2022-12"]
    assert form["path"] == "LICENCES.md"  # the mirror's licence is not the producer's
    text = (unpacked / "LICENCES.md").read_text("utf-8")
    page = BeautifulSoup(mistune.create_markdown(plugins=["table"])(text), "html.parser")
    for block in sources.read_sources():
        assert block["title"] in page.get_text()
        assert block["licence"] in page.get_text()
    assert len(page.find_all("tr")) == 1 + len(terms)


def test_results_are_those_of_the_records(unpacked: Path):
    articles = {"parameter_article": pl.String}
    shown = pl.read_csv(unpacked / "results.csv", schema_overrides=articles)
    typed = results(unpacked)
    assert (unpacked / "results.csv").read_bytes() == in_lines(typed)
    named = [one for one in shown.columns if one.startswith("parameter_")]
    assert sorted(named) == [
        f"parameter_{n}" for n in ("article", "language", "n", "period", "region", "text")
    ]
    fields = {
        field["name"]: (field["type"], field["description"])
        for one in package(unpacked)["resources"]
        if one["name"] == "results"
        for field in one["schema"]["fields"]
    }
    assert list(fields) == shown.columns
    assert fields["parameter_n"] == ("integer", "parameter n")
    assert fields["parameter_region"] == ("string", "parameter region")
    whole = {(row["run_id"], row["name"]): row for row in typed.iter_rows(named=True)}
    rows = list(shown.iter_rows(named=True))
    found = {(row["run_id"], row["name"]): row for row in rows}
    count = 0
    for path in (unpacked / "runs").glob("*.json"):
        record = records.read(path)
        for name, one in record["results"].items():
            row = found[record["run_id"], name]
            count += 1
            told = {n.removeprefix("parameter_"): row[n] for n in named if row[n] is not None}
            assert told == record["parameters"]
            assert whole[record["run_id"], name]["cells"] == one["cells"]
            assert whole[record["run_id"], name]["sources"] == one["sources"]
            assert (row["sources"] or "") == "; ".join(one["sources"])
            for column in ("value", "text", "unit", "formula", "note"):
                assert row[column] == one[column], column
    assert count == len(rows) > 20
    schemas.Results.validate(shown.select(schemas.Results.column_names()), cast=True)
    nothing = [row for row in rows if row["name"] == "nothing"]
    assert [row["value"] for row in nothing] == [None, None]


def test_each_parameter_is_a_column_of_its_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def frame(*given: dict) -> pl.DataFrame:
        figure = {"value": 1.0, "text": "1", "unit": "things", "cells": [], "sources": ["a", "b"]}
        figure |= {"formula": None, "note": "a, b"}
        return table(
            [
                {
                    "run_id": f"{n:012x}",
                    "notebook": "n",
                    "parameters": one,
                    "results": {"x": figure},
                }
                for n, one in enumerate(given)
            ]
        )

    assert in_lines(frame({})).decode() == (
        "\ufeffrun_id,notebook,name,value,text,unit,formula,note,sources\n"
        '000000000000,n,x,1.0,1,things,,"a, b",a; b\n'
    )
    assert lines(frame({"none": "a"}))["parameter_none"].to_list() == ["a"]
    assert lines(frame({"a": None}))["parameter_a"].to_list() == [None]
    found = frame({"i": 1, "f": 0.5, "b": True, "m": 1}, {"s": "a", "m": "x"})
    resource = add_results(Contents(tmp_path), found, [])
    types = {field["name"]: field["type"] for field in resource["schema"]["fields"]}
    assert {name: kind for name, kind in types.items() if name.startswith("parameter_")} == {
        "parameter_i": "integer",
        "parameter_f": "number",
        "parameter_b": "boolean",
        "parameter_m": "string",
        "parameter_s": "string",
    }
    descriptor = {"name": "a", "resources": [resource]}
    (tmp_path / "datapackage.json").write_text(json.dumps(descriptor), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert frictionless.validate("datapackage.json").valid
    assert_frame_equal(results(tmp_path), found)


@pytest.mark.usefixtures("quick")
def test_where_all_failed_there_are_no_figures_and_no_sources(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    said: list[str] = []
    folder = copied(runs, tmp_path / "runs", "failing")
    bundle.bundle(folder, tmp_path / "b", archive=False, say=said.append)
    assert said[0].startswith(
        "1 run of 1 notebook of kzresearch, 1 of them failed, with 0 recorded"
    )
    monkeypatch.chdir(tmp_path / "b")
    found = frictionless.validate("datapackage.json")
    assert found.valid
    assert [task.stats.get("rows", 0) for task in found.tasks] == [0]
    assert results(".").is_empty()
    assert pl.read_csv("results.csv").columns == schemas.Results.column_names()
    assert "All runs together" not in Path("README.md").read_text("utf-8")
    assert "sources" not in package(tmp_path / "b")
    assert yaml.safe_load(Path("CITATION.cff").read_text("utf-8"))["authors"] == [
        {"name": "kzresearch contributors"}
    ]


# What it says of itself

CFF = {  # of the schema of the Citation File Format 1.2.0
    *("abstract", "authors", "cff-version", "commit", "contact", "date-released", "doi"),
    *("identifiers", "keywords", "license", "license-url", "message", "preferred-citation"),
    *("references", "repository", "repository-artifact", "repository-code", "title", "type"),
    *("url", "version"),
}


@pytest.mark.parametrize("doi", [DOI, None])
def test_citation_file(unpacked: Path, made_folder: Path, doi: str | None):
    folder = unpacked if doi else made_folder
    text = (folder / "CITATION.cff").read_text("utf-8")
    content = yaml.safe_load(text)
    assert content.keys() <= CFF
    assert content["cff-version"] == "1.2.0"
    assert content["type"] == "dataset"
    assert content["message"]
    assert content["authors"] == [
        *({"name": AUTHOR}, {"family-names": "Әбдіқадырова", "given-names": "Айгерім"}),
        {"name": "kzresearch contributors"},  # of the runs that name nobody
    ]
    cited, *_ = json.loads(cite.collection(completed(folder / "runs"))["csl"])
    assert cited["author"] == [
        *({"literal": AUTHOR.replace("<", "‹")}, {"family": "Әбдіқадырова", "given": "Айгерім"}),
        {"literal": "kzresearch contributors"},
    ]
    assert [one["title"] for one in package(folder)["contributors"]] == [
        *(AUTHOR, PERSON, "kzresearch contributors"),
    ]
    named = [entity(folder, one["@id"])["name"] for one in entity(folder, "./")["author"]]
    assert named == [AUTHOR, PERSON, "kzresearch contributors"]
    assert content.get("doi") == doi
    assert ("# doi: 10.…" in text) == (doi is None)
    assert content["version"] == package(folder)["version"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", content["date-released"])
    assert {one["title"] for one in content["references"]} == {
        block["title"] for block in sources.read_sources()
    }
    for one in content["references"]:
        assert one["type"] == "data"
        assert one["authors"] == [{"name": one["authors"][0]["name"]}]
        assert one["notes"]
        assert isinstance(one.get("year", 0), int)
        assert 1 <= one.get("month", 1) <= 12
        assert one.get("url", "https://").startswith("https://")


def test_the_doi_stands_everywhere_or_nowhere(unpacked: Path, made_folder: Path):
    address = f"https://doi.org/{DOI}"
    assert package(unpacked)["id"] == address
    name = f"kzresearch-{records.collection_id(completed(unpacked / 'runs'))}"
    assert entity(unpacked, "./")["identifier"] == [address, name]
    assert entity(made_folder, "./")["identifier"] == name
    assert package(unpacked)["name"] == package(made_folder)["name"] == name
    assert f"<{address}>" in (unpacked / "README.md").read_text("utf-8")
    assert address in (unpacked / "ro-crate-preview.html").read_text("utf-8")
    for name in ("README.md", "ro-crate-preview.html", CRATE, "datapackage.json"):
        assert address not in (made_folder / name).read_text("utf-8")
    assert "--doi 10.5281/zenodo.1234567" in (made_folder / "README.md").read_text("utf-8")


def test_data_version_is_computed_from_the_data():
    def version(data: dict[str, str]) -> str:
        return records.data_version({"data": data})

    data = {"form_1m/2021-02.parquet": "a", "form_1m/2022-12.parquet": "b", "workbooks.csv": "c"}
    text = json.dumps(data, separators=(",", ":"))
    assert version(data) == f"2022-12+{sha256(text.encode())[:12]}"
    assert version(data | {"workbooks.csv": "d"}) != version(data)
    assert version(dict(reversed(data.items()))) == version(data)
    assert re.fullmatch("[0-9a-f]{12}", version({"workbooks.csv": "c"}))
    assert re.fullmatch("[0-9a-f]{12}", version({"form_1m/<b>\n.parquet": "c"}))


def test_one_data_version_and_one_citation_stand_everywhere(runs: Path, unpacked: Path):
    record = records.read(by_name(runs, "period_report"))
    version = records.data_version(record)
    assert version.startswith("2022-12+")
    assert package(unpacked)["version"] == entity(unpacked, "./")["version"] == version
    text = cite.collection(completed(unpacked / "runs"))["text"]
    assert f", data {version}, " in text
    shown = "".join(f"    {line}\n" if line else "\n" for line in text.splitlines())
    assert f"\n\n{shown}" in (unpacked / "README.md").read_text("utf-8")
    for folder in (runs, unpacked / "runs"):
        page = BeautifulSoup((folder / "index.html").read_text("utf-8"), "html.parser")
        assert f"Data version{version}" in page.dl.get_text()
        assert page.find(id="cite-text").text.strip() == text.strip()


def test_texts_of_runs_are_data_in_the_readme_and_on_the_page(unpacked: Path):
    record = records.read(by_name(unpacked / "runs", "hostile"))
    assert record["parameters"] == {"text": HOSTILE}
    readme = (unpacked / "README.md").read_text("utf-8")
    shown = BeautifulSoup(
        mistune.create_markdown(escape=False, plugins=["table", "strikethrough", "url"])(readme),
        "html.parser",
    )
    assert not shown.find_all(["script", "em", "img"])
    assert {one["href"] for one in shown.find_all("a")} == {f"https://doi.org/{DOI}"}
    words = " ".join(shown.get_text().split())
    assert f"By {AUTHOR}; {PERSON}; kzresearch contributors." in words
    assert f"ValueError in cell 3: {' '.join(HOSTILE.split())}" in words
    html = (unpacked / "ro-crate-preview.html").read_text("utf-8")
    page = BeautifulSoup(html, "html.parser")
    assert not page.find_all(["script", "img", "iframe", "form"])
    assert f"hostile text={HOSTILE}" in page.get_text()
    policy = page.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    local = [one["href"] for one in page.find_all("a") if "//" not in one["href"]]
    assert len(local) > 40
    for address in local:
        assert (unpacked / requests.utils.unquote(address)).is_file(), address


def test_readme_says_what_the_code_is_and_which_notebooks_are_not_the_packages(unpacked: Path):
    readme = (unpacked / "README.md").read_text("utf-8")
    record = records.read(by_name(unpacked / "runs", "period_report"))
    git = record["software"]["git"]
    assert git["commit"] in readme
    assert ("**with changes that were not committed**" in readme) == (not git["clean"])
    assert f"With Python {record['versions']['python']}, in this folder" in readme
    foreign = re.findall(r"^- (notebooks/.*)$", readme, re.MULTILINE)
    assert foreign == [
        "notebooks/failing.ipynb", "notebooks/hostile.ipynb", "notebooks/книга о делах.ipynb",
    ]  # fmt: skip
    for name in re.findall(r"^\| `([^`]+)` \|", readme, re.MULTILINE):
        assert (unpacked / name).exists(), name


@pytest.mark.usefixtures("quick")
def test_readme_speaks_the_language_of_the_runs_with_the_same_commands(tmp_path: Path):
    said = {}
    for code in ("en", "ru", "kk"):
        options = Options(formats=(), progress=False)
        make(
            [Block(["case_flow"], {"language": code})], tmp_path / code, options, say=lambda _: None
        )
        told: list[str] = []
        target = tmp_path / f"bundle-{code}"
        bundle.bundle(tmp_path / code, target, archive=False, say=told.append)
        assert told[-1].startswith("1 run of 1 notebook of kzresearch, with ")
        said[code] = (target / "README.md").read_text("utf-8")
        title = yaml.safe_load((target / "CITATION.cff").read_text("utf-8"))["title"]
        assert said[code].startswith(f"# {title}\n")
    indented = re.compile(r"^    .*$", re.MULTILINE)
    for code, first in (("ru", "Куда ушли дела"), ("kk", "Істер қайда кетті")):
        assert said[code].startswith(f"# {first}")
        prose, names = (
            indented.sub("", said[code]),
            re.compile(r"\(.*RO-Crate.*\)|\(Frictionless .*\)"),
        )
        assert not RUN.findall(NO_WORDS.sub("|", names.sub("|", prose).replace(NOBODY_NAMED, "|")))
        commands, english = (
            [line for line in indented.findall(text) if "kzresearch contributors (" not in line]
            for text in (said[code], said["en"])
        )
        assert commands[:5] == english[:5]
        assert commands[-1] == english[-1]
    assert len(RUN.findall(indented.sub("", said["en"]))) > 20  # so it would be found


def test_packages_that_the_lock_file_has_otherwise_are_named(monkeypatch, tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text("polars==2.0.0 ; python_version < '4'\npolars==2.0.1\nclick==8.0\n", "utf-8")
    monkeypatch.setattr(describe, "lock_file", lambda: lock)
    runs = [{"versions": {"polars": "2.0.1", "click": "8.1", "mine": "1", "python": "3.11.1"}}]
    assert describe.not_locked(runs) == ["click 8.1"]


def test_the_code_can_be_installed_and_makes_the_same_runs(unpacked: Path, tmp_path: Path):
    (file,) = (unpacked / "software").glob("*.whl")
    site = tmp_path / "site"
    options = ["--quiet", "--no-index", "--no-deps", "--disable-pip-version-check", "--target"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, str(site), str(file)], check=True
    )
    record = records.read(by_name(unpacked / "runs", "period_report"))
    code = (
        "import json, sys, kzresearch; from kzresearch import records, resources\n"
        "from kzresearch.notebooks import find_notebook\n"
        "assert kzresearch.__file__.startswith(sys.argv[1]), kzresearch.__file__\n"
        "content = find_notebook('period_report').content\n"
        "print(records.environment().run_id(content, json.loads(sys.argv[2])))\n"
        "print(resources.lock_file())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(site), json.dumps(record["parameters"])],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run_id, lock = done.stdout.splitlines()
    assert run_id == record["run_id"]
    assert Path(lock).read_bytes() == (unpacked / "requirements.lock").read_bytes()
    assert lock.startswith(str(site))
    with zipfile.ZipFile(file) as packed:
        about = [name for name in packed.namelist() if ".dist-info/" in name]
    assert sorted(name.partition("/")[2] for name in about) == [
        "METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE",
    ]  # fmt: skip


# Wrong use


def refusal(*words: object) -> Result:
    """What the command says where it refuses."""
    done = CliRunner().invoke(cli.main, ["bundle", *map(str, words)])
    assert done.exit_code != 0
    assert not done.exception or isinstance(done.exception, SystemExit)
    return done


@pytest.mark.usefixtures("quick")
def test_the_command_says_what_it_made(runs: Path, tmp_path: Path):
    target = tmp_path / "new" / "runs.zip"
    done = CliRunner().invoke(cli.main, ["bundle", str(runs), "--zip", str(target)])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"bundle   {target}\n"
    assert re.fullmatch(
        r"5 runs of 4 notebooks of kzresearch, 1 of them failed, with \d+ recorded figures, on the "
        r"tables of version 2022-12\+[0-9a-f]{12}; collection [0-9a-f]{12}\n",
        done.stderr,
    )
    assert archive.is_bundle(target)
    assert [path.name for path in target.parent.iterdir()] == ["runs.zip"]


@pytest.mark.parametrize("words", [[], ["--zip", "a.zip", "--out", "b"]])
def test_one_target_is_named(runs: Path, words: list[str]):
    assert "--zip FILE or --out FOLDER, one of the two" in refusal(runs, *words).stderr


@pytest.mark.parametrize(
    "doi", ["zenodo.12", "10.1/x", "10.5281/a b", "10.5281/<x>", "https://doi.org/10.5281/x"]
)
def test_what_is_no_doi_is_refused(runs: Path, tmp_path: Path, doi: str):
    done = refusal(runs, "--out", tmp_path / "b", "--doi", doi)
    assert "is no DOI: give it as in 10.5281/zenodo.1234567" in done.stderr
    assert not (tmp_path / "b").exists()


def test_a_folder_without_runs_is_refused(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.json").write_text("{}", encoding="utf-8")
    said = refusal(tmp_path / "empty", "--out", tmp_path / "b").stderr
    assert "holds no runs; name the folder that run, batch or report left them in" in said
    for wrong in (tmp_path / "none", tmp_path / "empty" / "notes.json"):
        said = refusal(wrong, "--out", tmp_path / "b").stderr
        assert f"there is no folder {wrong}; name the one that runs were left in" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty"]


def test_target_and_runs_do_not_lie_in_one_another(runs: Path):
    before = sorted(runs.iterdir())
    for target in (runs, runs / "b.zip", runs / "b" / "c", runs.parent):
        said = refusal(runs, "--out", target).stderr
        assert "lie in one another; name another place" in said
    assert sorted(runs.iterdir()) == before


@pytest.mark.usefixtures("quick")
def test_an_earlier_bundle_is_replaced_and_nothing_else(runs: Path, tmp_path: Path):
    small = copied(runs, tmp_path / "small", "книга о делах")
    for target, packed in ((tmp_path / "b", False), (tmp_path / "b.zip", True)):
        bundle.bundle(small, target, archive=packed)
        bundle.bundle(small, target, archive=packed, doi=DOI)
        assert archive.is_bundle(target)
    assert package(tmp_path / "b")["id"].endswith(DOI)
    (tmp_path / "b" / "README.md").write_text("mine", encoding="utf-8")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "own.zip").write_text("mine", encoding="utf-8")
    shutil.copy(tmp_path / "b.zip", tmp_path / "more.zip")
    with zipfile.ZipFile(tmp_path / "more.zip", "a") as more:
        more.writestr("mine.txt", "mine")
    for name in ("b", "own", "own.zip", "more.zip"):
        there = tmp_path / name
        before = there.read_bytes() if there.is_file() else files(there)
        said = refusal(small, "--zip" if name.endswith("zip") else "--out", there).stderr
        assert f"{there} is there, and is no bundle or was changed since it was made" in said
        assert (there.read_bytes() if there.is_file() else files(there)) == before


def changed(runs: Path, to: Path, name: str, **values: object) -> Path:
    """A copy of the runs of a notebook, one record of which says something else."""
    folder = copied(runs, to, name)
    path = by_name(folder, name)
    record = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(record | values), encoding="utf-8")
    return folder


def test_runs_on_other_tables_or_of_other_code_are_refused(runs: Path, tmp_path: Path):
    record = records.read(by_name(runs, "period_report"))
    data = record["data"] | {"workbooks.csv": "0" * 64, "published.csv": "1" * 64}
    folder = changed(runs, tmp_path / "data", "period_report", data=data)
    said = refusal(folder, "--out", tmp_path / "b").stderr
    assert f"1 of the 1 run in {folder} were made with other tables (published.csv, " in said
    assert "workbooks.csv) than are installed" in said
    commit = record["software"]["git"]["commit"][:12]
    assert (
        f"install what made them (kzresearch {record['software']['version']}, commit {commit})"
        in said
    )
    code = record["code"] | {"package": "0" * 64}
    folder = changed(runs, tmp_path / "code", "period_report", code=code)
    said = refusal(folder, "--out", tmp_path / "b").stderr
    assert "were made with another state of this package than are installed" in said
    assert not (tmp_path / "b").exists()


@pytest.mark.usefixtures("quick")
def test_runs_that_newer_ones_replaced_are_left_out(runs: Path, tmp_path: Path):
    folder = copied(runs, tmp_path / "runs", "period_report")
    path = by_name(folder, "period_report")
    older = json.loads(path.read_text("utf-8"))
    older |= {"run_id": "0" * 12, "ended": "2020-01-01T00:00:00+00:00"}
    older["code"] = older["code"] | {"package": "0" * 64}
    (folder / f"period_report-{'0' * 12}.json").write_text(json.dumps(older), encoding="utf-8")
    (folder / f"period_report-{'0' * 12}.ipynb").write_text("{}", encoding="utf-8")
    said: list[str] = []
    bundle.bundle(folder, tmp_path / "b", archive=False, say=said.append)
    assert said[0] == "left out: 1 run that newer ones have taken the place of"
    assert sorted(one.name for one in (tmp_path / "b" / "runs").glob("*.json")) == [path.name]
    assert "0" * 12 not in (tmp_path / "b" / "runs" / "index.html").read_text("utf-8")


def edited(path: Path, change) -> None:
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def give_other_value(record: dict) -> None:
    next(iter(record["results"].values()))["value"] = 7


CHANGES = {
    "record": lambda ipynb: edited(ipynb.with_suffix(".json"), give_other_value),
    "run id": lambda ipynb: [
        edited(ipynb.with_suffix(".json"), lambda r: r["versions"].update(polars="0.0.1")),
        edited(ipynb, lambda n: n["metadata"]["kzresearch"]["versions"].update(polars="0.0.1")),
    ],
    "spelling": lambda ipynb: ipynb.with_suffix(".json").write_text(
        ipynb.with_suffix(".json").read_text("utf-8") + "\n", "utf-8"
    ),
    "outputs": lambda ipynb: edited(
        ipynb, lambda n: n["cells"][-1]["outputs"][0]["data"].update({"text/plain": "7"})
    ),
    "cells": lambda ipynb: edited(ipynb, lambda n: n["cells"][-1].update(source="1 + 1")),
    "figures": lambda ipynb: [
        edited(ipynb.with_suffix(".json"), give_other_value),
        edited(ipynb, lambda n: give_other_value(n["metadata"]["kzresearch"])),
    ],
    "format": lambda ipynb: ipynb.write_bytes(b"\xff\xfe no notebook"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_files_that_are_not_as_the_run_left_them_are_refused(runs: Path, tmp_path: Path, what: str):
    folder = copied(runs, tmp_path / "runs", "книга о делах")
    ipynb = min(folder.glob("*.ipynb"))
    CHANGES[what](ipynb)
    with pytest.raises(RecordError, match="is not as its run left it") as error:
        bundle.bundle(folder, tmp_path / "b", archive=False)
    assert f"{ipynb} is not as its run left it" in str(error.value)
    what = "record" if what == "spelling" else what
    assert what in re.search(r"\((.*?)\)", str(error.value).partition("left it")[2])[1].split(", ")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


FORGED = {
    "html": lambda content, _: content.replace(b"</h1>", b", almost none</h1>"),
    "pdf": lambda content, _: content + b"\n% mine",
    "another run's": lambda _, other: other.read_bytes(),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("what", FORGED)
def test_what_the_notebook_does_not_make_is_refused(runs: Path, tmp_path: Path, what: str):
    folder = copied(runs, tmp_path / "runs", "книга о делах")
    path, other = sorted(folder.glob("*.html"))
    ending = "pdf" if what == "pdf" else "html"
    forged = path.with_suffix(f".{ending}")
    good = made_of(path, ending)
    forged.write_bytes(FORGED[what](good, other))
    assert forged.read_bytes() != good
    said = refusal(folder, "--out", tmp_path / "b").stderr
    assert said == (
        f"Error: {forged} is not what its notebook makes: it was changed since, or is of another "
        "run; take it away, and run the command that made it again, with --formats "
        f"{ending}\n"
    )
    assert [one.name for one in tmp_path.iterdir()] == ["runs"]
    forged.write_bytes(good)
    bundle.bundle(folder, tmp_path / "b", archive=False)
    assert (tmp_path / "b" / "runs" / forged.name).read_bytes() == good


@pytest.mark.usefixtures("quick")
def test_what_other_versions_made_otherwise_is_made_again_and_said(runs: Path, tmp_path: Path):
    folder = copied(runs, tmp_path / "runs", "period_report")
    old = by_name(folder, "period_report")
    executed = json.loads(old.with_suffix(".ipynb").read_text("utf-8"))
    record = executed["metadata"]["kzresearch"]
    record["versions"]["polars"] = "0.0.1"
    record["run_id"] = records.run_id_of(record)
    path = folder / f"period_report-{record['run_id']}.html"
    path.with_suffix(".ipynb").write_text(json.dumps(executed), "utf-8")
    path.with_suffix(".json").write_bytes(record_file(records.in_order(executed)))
    old.with_suffix(".html").rename(path)
    for ending in (".json", ".ipynb"):
        old.with_suffix(ending).unlink()
    said: list[str] = []
    bundle.bundle(folder, tmp_path / "b", archive=False, say=said.append)
    assert said[0] == (
        f"made again: {path.name}, since other versions of packages than are installed made what "
        "lies there, and now it comes out otherwise"
    )
    there = files(tmp_path / "b")
    assert there[f"runs/{path.name}"] == made_of(path, "html") != path.read_bytes()
    readme = there["README.md"].decode()
    assert "1 of the pages and PDFs are not as the runs left them" in readme
    assert f"\n- {path.name.replace('_', chr(92) + '_')}\n" in readme
    assert archive.is_bundle(tmp_path / "b")
    path.write_bytes(there[f"runs/{path.name}"])
    again: list[str] = []
    bundle.bundle(folder, tmp_path / "c", archive=False, say=again.append)
    assert again == said[1:]
    assert "not as the runs left them" not in (tmp_path / "c" / "README.md").read_text("utf-8")


def test_what_is_no_record_or_of_another_run_is_refused(runs: Path, tmp_path: Path):
    folder = copied(runs, tmp_path / "runs", "period_report")
    path = by_name(folder, "period_report")
    good = path.read_text("utf-8")
    path.write_text("{}", encoding="utf-8")
    assert f"{path} holds no record of a run" in refusal(folder, "--out", tmp_path / "b").stderr
    path.write_text(good.replace('"notebook": "period_report"', '"notebook": "../../up"'), "utf-8")
    said = refusal(folder, "--out", tmp_path / "b").stderr
    assert f"the record in {path} is of another run than its name says" in said
    path.unlink()
    said = refusal(folder, "--out", tmp_path / "b").stderr
    assert f"the notebook or the record of a run is missing ({path.stem})" in said
    assert not (tmp_path / "b").exists()


def test_links_are_not_followed(runs: Path, tmp_path: Path):
    folder = copied(runs, tmp_path / "runs", "period_report")
    page = by_name(folder, "period_report").with_suffix(".html")
    secret = tmp_path / "secret"
    secret.write_text("secret", encoding="utf-8")
    page.unlink()
    page.symlink_to(secret)
    said = refusal(folder, "--out", tmp_path / "b").stderr
    assert f"{page} is a link; a bundle takes files alone" in said


@pytest.mark.usefixtures("quick")
def test_every_file_of_a_run_is_taken_and_no_other(runs: Path, tmp_path: Path):
    folder = copied(runs, tmp_path / "runs", "period_report")
    pdf = by_name(folder, "period_report").with_suffix(".pdf")
    pdf.write_bytes(made_of(pdf, "pdf"))
    (folder / "diary.txt").write_text("mine", encoding="utf-8")
    (folder / "sub").mkdir()
    bundle.bundle(folder, tmp_path / "b", archive=False)
    there = files(tmp_path / "b")
    assert there[f"runs/{pdf.name}"] == pdf.read_bytes()
    assert entity(tmp_path / "b", f"runs/{pdf.name}")["encodingFormat"] == "application/pdf"
    assert "page, PDF, executed notebook, record; " in there["README.md"].decode()
    assert pdf.name in there["runs/index.html"].decode()
    assert not [name for name in there if "diary" in name or "sub" in name]


@pytest.mark.usefixtures("quick")
def test_nothing_is_left_where_the_disk_is_full(runs: Path, tmp_path: Path, monkeypatch):
    small = copied(runs, tmp_path / "small", "книга о делах")
    target = tmp_path / "b.zip"
    bundle.bundle(small, target, archive=True)
    before = target.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle, "zip_folder", full)
    with pytest.raises(OutputError) as error:
        bundle.bundle(small, target, archive=True, doi=DOI)
    assert str(error.value) == (
        f"cannot write {target}: no space left on device; nothing was written"
    )
    assert target.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.zip", "small"]


def test_a_run_that_vanishes_is_told(runs: Path, tmp_path: Path, monkeypatch):
    small = copied(runs, tmp_path / "small", "period_report")
    page = by_name(small, "period_report").with_suffix(".html")
    check = bundle._check_made_here

    def takes_away(*given: object) -> None:
        check(*given)
        page.unlink()

    monkeypatch.setattr(bundle, "_check_made_here", takes_away)
    with pytest.raises(OutputError, match="was taken away while it was read; nothing was written"):
        bundle.bundle(small, tmp_path / "b", archive=False)
    assert not (tmp_path / "b").exists()


@pytest.mark.usefixtures("quick")
def test_a_package_that_was_never_installed_is_told(runs: Path, tmp_path: Path, monkeypatch):
    def none(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", none)
    said = refusal(runs, "--out", tmp_path / "b").stderr
    assert "was never installed, and a bundle holds what installs it: install it" in said
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_someone_left_in_a_notebook_are_not_in_the_wheel(tmp_path: Path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", id="a")])
    nbformat.write(notebook, tmp_path / "a.ipynb")
    notebook["cells"][0]["outputs"] = [nbformat.v4.new_output("stream", text="mine")]
    nbformat.write(notebook, tmp_path / "b.ipynb")
    for name in ("a", "b"):
        wheel._copy_bare(tmp_path / f"{name}.ipynb", tmp_path / "to" / f"{name}.ipynb")
    copies = files(tmp_path / "to")
    assert copies["a.ipynb"] == (tmp_path / "a.ipynb").read_bytes()
    assert b"mine" not in copies["b.ipynb"]
    assert json.loads(copies["b.ipynb"]) == json.loads(copies["a.ipynb"])


@pytest.mark.usefixtures("quick")
def test_two_states_of_a_notebook_keep_apart(tmp_path: Path):
    path = tmp_path / "mine.ipynb"
    out = tmp_path / "runs"
    for number, cells in ((1, RECORDS), (2, (*RECORDS, "'more'"))):
        made(path, *cells)
        make([Block([str(path)], {"n": number})], out, Options(formats=(), progress=False))
    bundle.bundle(out, tmp_path / "b", archive=False)
    names = sorted(one.name for one in (tmp_path / "b" / "notebooks").iterdir())
    second = records.read(
        sorted(out.glob("*.json"), key=lambda p: records.read(p)["parameters"]["n"])[1]
    )
    assert names == [f"mine-{second['code']['notebook'][:12]}.ipynb", "mine.ipynb"]
    action = actions(tmp_path / "b")[second["run_id"]]
    assert action["instrument"][0]["@id"] == f"notebooks/{names[0]}"
    readme = (tmp_path / "b" / "README.md").read_text("utf-8")
    assert "of each run: executed notebook, record; " in readme
    assert readme.startswith("# The mine: 2 runs of 1 notebook\n")

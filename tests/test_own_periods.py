"""Runs on periods of the user's own store: the same notebooks, records that say so, bundles that verify."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import kzresearch as kz
from tests.conftest import command
from tests.reports import make_report
from tests.test_store import NAME, PERIOD
from tests.workbooks import rewrite


def ran(folder: Path, *words: object, check: int = 0, **environment: object) -> str:
    """What the command prints, run in a folder."""
    done = subprocess.run(
        [command("kzresearch"), *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **{name: str(value) for name, value in environment.items()}},
    )
    assert done.returncode == check, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with reports of two regions, the store that they are in, and a run on one."""
    folder = tmp_path_factory.mktemp("place")
    make_report(folder / "reports" / PERIOD / "one.xlsx", "KZ-75", F70=12)
    make_report(folder / "reports" / PERIOD / "two.xlsx", "KZ-10", F70=20)
    ran(folder, "ingest", "reports", KZRESEARCH_STORE=folder / "store")
    words = ("run", "period_report", "-p", f"period={PERIOD}", "-p", "region=KZ-75")
    ran(folder, *words, KZRESEARCH_STORE=folder / "store")
    return folder


@pytest.fixture
def record(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The record of the run."""
    monkeypatch.setenv("KZRESEARCH_STORE", str(place / "store"))
    (found,) = (place / "out").glob("period_report-*.json")
    return found


def test_a_notebook_runs_on_an_own_period_without_a_change(place, record):
    found = json.loads(record.read_text(encoding="utf-8"))
    assert found["status"] == "completed"
    assert found["results"]["article_registered"]["value"] == 12
    assert f"store/{NAME}" in found["data"]
    (book,) = [one for one in found["workbooks"] if one["period"] == PERIOD]
    assert (book["file"], book["region"], book["address"]) == ("one.xlsx", "KZ-75", None)
    assert (
        book["sha256"] == kz.load_workbooks().filter(region="KZ-75", period=PERIOD)["sha256"].item()
    )
    assert str(place) not in record.read_text(encoding="utf-8")
    page = record.with_suffix(".html").read_text(encoding="utf-8")
    assert str(place) not in page
    assert "January–December 2023" in page


def test_its_source_is_cited_without_the_bundled_copies(place, record):
    found = json.loads(record.read_text(encoding="utf-8"))
    (form,) = [one for one in found["sources"] if one["id"] == "form_1m"]
    assert form["licence"] == "Official statistics, the producer's terms not known"
    assert form["licence_address"] is None
    assert form["title"] == kz.load_sources().filter(id="form_1m")["title"][0]
    cited = ran(place, "cite", record)
    assert form["citation"] in cited
    for said in (cited, ran(place, "trace", record, "article_registered"), json.dumps(form)):
        assert "Copies of the 20" not in said
        assert "city-crime" not in said
    page = record.with_suffix(".html").read_text(encoding="utf-8")
    assert form["citation"] in page
    assert "Copies of the 20" not in page


def test_its_figures_are_traced_also_once_a_report_is_replaced(
    place, record, tmp_path, monkeypatch
):
    other = tmp_path / "store"
    shutil.copytree(place / "store", other)
    monkeypatch.setenv("KZRESEARCH_STORE", str(other))
    before = kz.trace(record, "article_registered").chain
    assert before["adds_up"] == "The cell holds 12, as recorded."
    assert before["warnings"] == []
    corrected = make_report(tmp_path / PERIOD / "corrected.xlsx", "KZ-75", F70=13)
    assert kz.ingest(corrected, jobs=1, replace=True)["outcome"].to_list() == ["replaced"]
    after = kz.trace(record, "article_registered").chain
    assert after["cells"] == before["cells"]
    assert after["adds_up"] == before["adds_up"]
    assert "other data than is installed here" in after["warnings"][0]
    printed = ran(tmp_path, "trace", record, "article_registered")
    assert "The cell holds 12, as recorded." in printed


def test_a_bundle_of_it_verifies_with_the_store_that_it_holds(place, record, tmp_path):
    ran(place, "bundle", "out", "--out", tmp_path / "bundle")
    held = tmp_path / "bundle" / "data" / "store"
    assert (held / NAME).read_bytes() == (place / "store" / NAME).read_bytes()
    assert (held / NAME).with_suffix(".csv").is_file()
    package = json.loads((tmp_path / "bundle" / "datapackage.json").read_text(encoding="utf-8"))
    (resource,) = [one for one in package["resources"] if "store" in one["path"]]
    assert "January–December 2023 (the user's own reports, without zeros)" in resource["title"]
    said = ran(tmp_path, "verify", "bundle/runs", KZRESEARCH_STORE=held)
    assert "identical" in said
    said = ran(tmp_path, "verify", "bundle/runs", check=3, KZRESEARCH_STORE=tmp_path / "none")
    assert PERIOD in said


def test_a_report_more_makes_other_runs(place, record, tmp_path, monkeypatch):
    other = tmp_path / "store"
    shutil.copytree(place / "store", other)
    monkeypatch.setenv("KZRESEARCH_STORE", str(other))
    words = ("batch", "period_report", "-p", f"period={PERIOD}", "-p", "region=KZ-75", "--dry-run")
    run_id = record.stem.rpartition("-")[2]
    assert run_id in ran(tmp_path, *words)
    make_report(tmp_path / PERIOD / "three.xlsx", "KZ-11")
    kz.ingest(tmp_path / PERIOD, jobs=1)
    assert run_id not in ran(tmp_path, *words)


@pytest.mark.slow
def test_notebooks_run_where_the_national_workbook_is_all_there_is(tmp_path, monkeypatch):
    monkeypatch.setenv("KZRESEARCH_STORE", str(tmp_path / "store"))
    path = make_report(tmp_path / PERIOD / "national.xlsx", "KZ-75")

    def core(xml: bytes) -> bytes:
        title = "\\1Республика Казахстан\\2".encode()
        return re.sub(rb"(<dc:title>1-M  ).*?( \()", title, xml).replace(b";1975%", b";%")

    rewrite(path, {"docProps/core.xml": core})
    found = kz.ingest(path, jobs=1)
    assert found.select("outcome", "region", "region_source").rows() == [
        ("taken", "KZ", "workbook")
    ]
    for name in ("period_report", "people", "case_flow", "data_quality"):
        ran(tmp_path, "run", name, "-p", f"period={PERIOD}", "--formats", "none")

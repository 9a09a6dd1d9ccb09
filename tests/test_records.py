"""The record of a run: as its schema says, whatever became of the run, and read from wherever it is."""

import json
import os
import subprocess

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kzresearch import records
from kzresearch.records import RecordError
from kzresearch.run.batch import Block, Options, make
from kzresearch.run.single import indented
from tests.conftest import whole
from tests.run.made import RECORDS, made

VALIDATOR = Draft202012Validator(
    records.schema(), format_checker=Draft202012Validator.FORMAT_CHECKER
)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Records of runs that ended in every way there is, by what became of them."""
    folder = tmp_path_factory.mktemp("records")
    cells = {
        "recorded": RECORDS,
        "failed": ("print(1)", "1/0"),
        "hanging": ("import time; time.sleep(60)",),
        "killed": ("import os; os.kill(os.getpid(), 9)",),
        "empty": (),
    }
    found = {}
    for name, code in cells.items():
        path = made(folder / f"{name}.ipynb", *code)
        for engine in ("fast", "stock"):
            options = Options(formats=(), engine=engine, timeout=1 if name == "hanging" else 60)
            ran = make([Block([str(path)])], folder / engine, options)
            ((planned, record),) = whole(ran)
            left = nbformat.read(folder / engine / f"{planned.task.stem}.ipynb", as_version=4)
            assert records.outputs_of(left) == record["outputs"], (name, engine)
            found[name, engine] = record
    return found


def test_the_schema_is_one():
    Draft202012Validator.check_schema(records.schema())
    assert set(records.schema()["required"]) == set(records.schema()["properties"])
    assert list(records.ORDER) == list(records.schema()["properties"])


def test_every_record_is_as_the_schema_says(report, several):
    for record in [*(one.record for one in report.values()), *several.values()]:
        assert not [fault.message for fault in VALIDATOR.iter_errors(record)], record["notebook"]
        assert list(record) == list(records.ORDER)


def test_what_became_of_a_run_is_told_the_same_on_both_engines(several):
    kinds = {name: (record["error"] or {}).get("type") for (name, _), record in several.items()}
    assert kinds == {
        "recorded": None,
        "failed": "ZeroDivisionError",
        "hanging": "CellTimeout",
        "killed": "Killed",
        "empty": None,
    }
    for name in kinds:
        fast, stock = several[name, "fast"], several[name, "stock"]
        assert fast["outputs"] == stock["outputs"] or name == "hanging", name


def test_outputs_are_told_by_content_and_place(report):
    for outcome in report.values():
        notebook = nbformat.from_dict(outcome.notebook)
        read = nbformat.reads(json.dumps(notebook), as_version=4)
        assert records.outputs_of(read) == outcome.record["outputs"]
        assert len(outcome.record["outputs"]) > 5
        changed = json.loads(json.dumps(read))
        cell = next(one for one in changed["cells"] if one.get("outputs"))
        cell["outputs"][0]["metadata"]["x"] = 1
        assert records.outputs_of(changed) != outcome.record["outputs"]


def test_workbooks_are_those_of_the_cells_with_an_address(report):
    for outcome in report.values():
        used = {c["workbook"] for one in outcome.record["results"].values() for c in one["cells"]}
        listed = [one["sha256"] for one in outcome.record["workbooks"]]
        assert sorted(listed) == sorted(used)
        for one in outcome.record["workbooks"]:
            assert one["file"]
            assert one["source"] in {source["id"] for source in outcome.record["sources"]}


def broken(record, **changes):
    return json.dumps({**record, **changes})


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.json", None, "cannot read .*x.json: no such file or directory"),
        ("x.json", lambda _: "{", "x.json holds no record of a run: name an executed notebook"),
        ("x.json", lambda _: "[]", "x.json holds no record of a run"),
        ("x.json", lambda _: "5", "x.json holds no record of a run"),
        ("x.html", lambda _: "<html></html>", "x.html holds no record of a run"),
        ("x.ipynb", lambda _: '{"cells": [], "metadata": {}}', "x.ipynb holds no record of a run"),
        ("x.json", lambda r: broken(r, status="fine"), "status: 'fine' is not one of"),
        ("x.json", lambda r: broken(r, more=1), "the record: Additional properties"),
        (
            "x.json",
            lambda r: broken(r, schema="kzresearch-record-0"),
            "is of the kind 'kzresearch-record-0', and kzresearch .* reads",
        ),
        ("x.json", lambda r: broken(r, data={"a": "b"}), "data.a: 'b' does not match"),
    ],
)
def test_what_is_no_record_is_refused_in_a_sentence(several, tmp_path, name, content, sentence):
    path = tmp_path / name
    if content:
        path.write_text(content(several["recorded", "fast"]), encoding="utf-8")
    with pytest.raises(RecordError, match=sentence) as caught:
        records.read(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_an_unreadable_file_is_refused(tmp_path):
    (tmp_path / "x.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordError, match="holds no record of a run"):
        records.read(tmp_path / "x.json")
    with pytest.raises(RecordError, match="cannot read"):
        records.read(tmp_path)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    SCALARS, lambda of: st.lists(of) | st.lists(of).map(tuple) | st.dictionaries(st.text(), of)
)


@given(VALUES)
def test_json_with_indents_is_that_of_the_standard_library(value):
    expected = json.dumps(value, ensure_ascii=False, indent=2)
    assert indented(value, "  ") == expected
    expected = json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True)
    assert indented(value, " ", sorted) == expected


def test_the_commit_of_a_checkout_and_whether_it_is_clean(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")

    def git(*words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
        command = ["git", "-C", str(tmp_path), *who, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def state():
        return records._git(records._ask_git())

    monkeypatch.setattr(records, "checkout_dir", lambda: tmp_path)
    assert state() is None, "a folder that is no checkout"
    git("init", "-q")
    assert state() is None, "a checkout without a commit"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "one.csv").write_text("1\n", encoding="utf-8")
    git("add", "-A")
    git("commit", "-q", "-m", "one")
    commit = git("rev-parse", "HEAD")
    assert state() == {"commit": commit, "clean": True}
    (tmp_path / "note.txt").write_text("nothing depends on it\n", encoding="utf-8")
    assert state() == {"commit": commit, "clean": True}
    (tmp_path / "data" / "two.csv").write_text("2\n", encoding="utf-8")
    assert state() == {"commit": commit, "clean": False}
    (tmp_path / "data" / "two.csv").rename(tmp_path / "two.csv")
    (tmp_path / "data" / "one.csv").write_text("2\n", encoding="utf-8")
    assert state() == {"commit": commit, "clean": False}
    git("checkout", "-q", "--detach")
    assert state() == {"commit": commit, "clean": False}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert state() is None, "no git"
    monkeypatch.setattr(records, "checkout_dir", lambda: None)
    assert state() is None, "an installed package"

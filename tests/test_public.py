"""The public surface, the import, and what the repository promises of itself."""

import doctest
import functools
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

import kzresearch as kz
from kzresearch import rates
from tests.conftest import ROOT, command


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return listed.stdout.splitlines()


def fresh(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_every_public_name_resolves_and_says_what_it_is():
    assert sorted(kz._HOMES) == kz.__all__
    for module in (kz, kz.charts, kz.tables, rates):
        assert set(module.__all__) <= set(dir(module)), "a Tab finds less than there is"
        assert len(doc_of(module).partition("\n")[0]) <= LINE


LINE = 88
"""Characters of a line of help: what JupyterLab shows without a scroll bar."""


def doc_of(one: object) -> str:
    return inspect.getdoc(one) or ""


def public() -> Iterator[tuple[str, Any, type | None]]:
    """What the reference shows: each name, what it is, and the class it is of."""
    for module in (kz, kz.charts, kz.tables, rates):
        for name in module.__all__:
            one = inspect.unwrap(getattr(module, name))
            if not callable(one):
                continue
            yield f"{module.__name__}.{name}", one, None
            if isinstance(one, type):
                fields = inspect.get_annotations(one)
                for part, value in vars(one).items():
                    if not part.startswith("_") and part not in fields:
                        yield f"{module.__name__}.{name}.{part}", value, one


def test_help_on_every_public_name_is_typed_short_and_has_an_example_that_is_run():
    assert [
        f"{name}: {what}" for name, one, of in public() for what in lacking(name, one, of)
    ] == []


def lacking(name: str, one: Any, of: type | None) -> Iterator[str]:
    """What the help on a name, or on a part of a class, lacks."""
    ways = ("fget", "func", "_tell", "__func__")  # to what a property and the like call
    called = next((found for way in ways if (found := getattr(one, way, None))), one)
    if not isinstance(one, type):
        signature = inspect.signature(called)
        taken = [*signature.parameters.values()][of is not None :]
        types = [signature.return_annotation, *(each.annotation for each in taken)]
        if inspect.Signature.empty in types:
            yield "a type"
    first, _, rest = doc_of(called).partition("\n")
    if not first.endswith((".", ":")) or len(first) > LINE or rest[:1] not in {"", "\n"}:
        yield f"a first line that says all in {LINE} characters: {first!r}"
    examples = "".join(text for each in (called, of) if each for text in examples_run(each))
    word = "" if isinstance(one, type) else name.rpartition(".")[2]
    if not re.search(rf"\b{word}\b", examples):
        yield "an example that is run"


@functools.cache
def doctests(module: str) -> dict[str, doctest.DocTest]:
    found = doctest.DocTestFinder().find(importlib.import_module(module))
    return {one.name: one for one in found}


def examples_run(one: Any) -> list[str]:
    """The examples of a docstring, as they are found when all are run."""
    test = doctests(one.__module__).get(f"{one.__module__}.{one.__qualname__}")
    return [each.source for each in test.examples] if test else []


def test_public_loaders_name_their_source():
    loaders = [name for name in kz.__all__ if name.startswith(("load_", "read_"))]
    assert len(loaders) == 9
    for name in [*loaders, "codebook"]:
        assert "Source:" in getattr(kz, name).__doc__, name


def test_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'load_nothing'"):
        _ = kz.load_nothing


def test_import_loads_nothing_heavy():
    loaded = fresh("import sys, kzresearch; print(' '.join(sys.modules))").split()
    assert not {"polars", "altair", "papermill", "fastexcel", "great_tables"} & set(loaded)


def test_slow_uri_parser_is_kept_out_of_this_process_and_of_kernels():
    code = (
        "import sys, kzresearch, altair, papermill, jsonschema; "
        "print(sys.modules.get('rfc3987_syntax'))"
    )
    assert fresh(code) == "None"
    import jsonschema  # noqa: F401

    assert sys.modules["rfc3987_syntax"] is None


def test_dir_lists_public_names():
    assert set(kz.__all__) <= set(dir(kz))


def test_lock_file_has_hashes_and_names_no_host():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = re.findall(r"^(\S+)==(\S+)", lock, re.MULTILINE)
    assert len(pins) > 100
    assert "://" not in lock
    assert "index-url" not in lock
    assert lock.count("--hash=sha256:") > len(pins)


def test_lock_file_covers_every_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["lab"], *extras["dev"]]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for requirement in wanted:
        name = re.split(r"[><=\[]", requirement)[0]
        assert re.search(rf"^{re.escape(name)}==", lock, re.MULTILINE), name


def test_no_pandas():
    assert not re.search(
        r"^pandas==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE
    )


def test_each_dependency_says_why():
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    stated = [line for line in lines if re.match(r'\s+"[\w-]+>=', line)]
    assert len(stated) > 15
    assert all("#" in line for line in stated), [line for line in stated if "#" not in line]


def test_notebooks_are_committed_without_outputs():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            assert not cell.get("outputs"), path.name
            assert cell.get("execution_count") is None, path.name


def test_repository_holds_no_raw_files_and_names_no_home_folder():
    for name in tracked():
        assert not name.lower().endswith((".xlsx", ".xls")), name
        text = (ROOT / name).read_bytes()
        assert not re.search(rb"(?<![\w.])/(root|home/[a-z]+|Users/[a-z]+)/", text), name


def test_help_says_what_each_command_does():
    done = subprocess.run([command("kzresearch"), "--help"], capture_output=True, text=True)
    for name in ("run", "verify", "report", "notebooks", "check", "build"):
        assert re.search(rf"^  {name} +\S", done.stdout, re.MULTILINE), name


@pytest.mark.slow
def test_wheel_carries_data_and_notebooks_and_works_outside_a_checkout(tmp_path):
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(installed)
    assert {"kzresearch/data/sources.toml", "kzresearch/data/form_1m/2022-12.parquet"} <= names
    assert {"kzresearch/notebooks/period_report.ipynb", "kzresearch/py.typed"} <= names
    assert not [name for name in names if name.startswith(("tests/", "data/"))]
    code = (
        "import kzresearch, kzresearch.records as r; from kzresearch.notebooks import notebooks; "
        "from kzresearch.resources import notebooks_dir; "
        "n = notebooks()[0]; print(kzresearch.__file__); print(notebooks_dir()); "
        "print(r.environment().run_id(n.content, {})); "
        "print(kzresearch.load_form_1m('2022-12', 'KZ', 'R1', '146', 'registered')['value'].item())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    package, notebook, run_id, value = done.stdout.splitlines()
    assert package.startswith(str(installed))
    assert notebook.startswith(str(installed))
    assert value == "98.0"
    from kzresearch import records
    from kzresearch.notebooks import find_notebook

    assert run_id == records.environment().run_id(find_notebook("start_here").content, {})


def test_a_fault_of_the_project_itself_is_a_sentence_without_paths(monkeypatch, tmp_path):
    from click.testing import CliRunner

    from kzresearch import cli, notebooks

    def broken() -> None:
        raise RuntimeError(f"cannot find {tmp_path}/secret/table.csv")

    monkeypatch.setattr(notebooks, "notebooks", broken)
    done = CliRunner().invoke(cli.main, ["notebooks"])
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: a fault of kzresearch itself: RuntimeError: cannot find ")
    assert str(tmp_path) not in done.stderr
    assert done.stderr.count("\n") == 1

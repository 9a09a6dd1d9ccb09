"""`kzresearch lab` beside the browser: what is copied, in which language, and what is said; hosted configurations."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

from kzresearch import lab
from kzresearch.errors import OutputError, UnknownValueError
from kzresearch.notebooks import ORDER, find_notebook, notebook_of
from kzresearch.resources import notebooks_dir
from tests.conftest import ROOT


def test_copies_are_the_notebooks_and_nothing_is_overwritten(tmp_path):
    mine = tmp_path / "case_flow.ipynb"
    mine.write_text("mine")
    done = dict(lab.copy_notebooks(tmp_path))
    assert [name for name, copied in done.items() if not copied] == ["case_flow"]
    assert mine.read_text() == "mine"
    assert {path.stem for path in tmp_path.iterdir()} == set(done) == set(ORDER)
    assert (
        json.loads((tmp_path / "start_here.ipynb").read_text())
        == find_notebook("start_here").content
    )
    assert not any(dict(lab.copy_notebooks(tmp_path)).values())


def test_a_copy_in_another_language_is_the_same_notebook_with_another_default(tmp_path):
    list(lab.copy_notebooks(tmp_path, "ru"))
    copy = notebook_of("start_here", (tmp_path / "start_here.ipynb").read_bytes())
    assert [(one.name, one.default) for one in copy.parameters if one.name == "language"] == [
        ("language", "ru")
    ]
    (parameters,) = (
        "".join(cell["source"])
        for cell in json.loads((tmp_path / "start_here.ipynb").read_text(encoding="utf-8"))["cells"]
        if "parameters" in cell["metadata"].get("tags", [])
    )
    assert 'language: str = "ru"  # язык текстов' in parameters
    assert 'article: str = "146"  # статья Уголовного кодекса: 146 — пытки\n' in parameters
    assert [one.help for one in copy.parameters] == [
        one.help for one in find_notebook("start_here").parameters
    ]
    own = find_notebook("start_here").content
    assert [cell["id"] for cell in copy.content["cells"]] == [cell["id"] for cell in own["cells"]]
    with pytest.raises(UnknownValueError, match="language"):
        list(lab.copy_notebooks(tmp_path, "de"))


def test_a_folder_that_is_a_file_is_refused_and_a_checkout_is_opened_as_it_is(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="name another"):
        list(lab.copy_notebooks(tmp_path / "taken"))
    assert list(lab.copy_notebooks(notebooks_dir())) == []


def test_without_jupyterlab_one_sentence_says_what_to_install(tmp_path):
    code = (
        "import sys; sys.modules['jupyterlab'] = None; sys.modules['jupyterlab.labapp'] = None; "
        "from kzresearch.cli import main; main(['lab'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        'Error: JupyterLab is not installed; install it: pip install "kzresearch[lab]"'
    )


def put_out(code, monkeypatch):
    """The contents of what a cell puts out, in the kernel that JupyterLab starts."""
    monkeypatch.setenv("JUPYTER_PATH", str(lab.configuration()))
    manager, client = start_new_kernel(kernel_name="python3")
    said = []
    try:
        client.execute_interactive(code, output_hook=lambda one: said.append(one["content"]))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return said


def test_its_kernel_is_pythons_own_and_leaves_the_slow_parser_out(monkeypatch):
    said = put_out(
        "import altair, jsonschema, sys; print(sys.modules.get('rfc3987_syntax', 'there'), '' in sys.path)",
        monkeypatch,
    )
    # notebooks import what lies beside them, as in any kernel
    assert "None True\n" in [content.get("text") for content in said]


def test_its_kernel_shows_frames_with_their_captions(monkeypatch):
    said = put_out(
        "import kzresearch as kz; kz.load_form_1m('2022-12', 'KZ-75', 'R1', '146')", monkeypatch
    )
    (table,) = [content["data"]["text/html"] for content in said if "data" in content]
    assert "Source: Committee on Legal Statistics" in table.partition("<caption")[2]


def test_make_opens_copies_in_the_language_that_it_is_given():
    def commands(*given):
        done = subprocess.run(
            ["make", "--no-print-directory", "--dry-run", "lab", "READY=", *given],
            cwd=ROOT, capture_output=True, text=True, check=True,
            env={**os.environ, "LANGUAGE": "en_US:en"},
        )  # fmt: skip
        return done.stdout.splitlines()[-1]

    assert commands().endswith("kzresearch lab notebooks")
    assert commands("language=kk").endswith("kzresearch lab kzresearch-notebooks/kk --language kk")


def test_a_hosted_jupyterlab_is_built_from_the_lock():
    folder = ROOT / ".binder"
    assert (folder / "requirements.txt").read_text() == "-r ../requirements.lock\n"
    (version,) = re.findall(
        r"^python-(3\.\d+)$", (folder / "runtime.txt").read_text(), re.MULTILINE
    )
    wanted = re.search(r'requires-python = ">=(3\.\d+)"', (ROOT / "pyproject.toml").read_text())[1]
    assert [int(part) for part in version.split(".")] >= [int(part) for part in wanted.split(".")]
    for name in ("postBuild", "start"):
        script = folder / name
        assert os.access(script, os.X_OK)
        assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    assert "--no-deps" in (folder / "postBuild").read_text()
    told = "import os; print(os.environ['JUPYTER_PATH'], os.environ['JUPYTER_CONFIG_PATH'])"
    paths = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    kept = {key: value for key, value in os.environ.items() if not key.startswith("JUPYTER")}
    done = subprocess.run(
        [folder / "start", sys.executable, "-c", told],
        env=kept | paths,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(lab.configuration())] * 2

"""`make verify` in a reduced form: it finds nothing in the project's notebooks, and what there is in others."""

import re
import subprocess
import sys

from tests.conftest import ROOT
from tests.run.made import made
from tests.settings import NAMES, SETTINGS

DEPENDS = (  # on each of the settings in turn
    "print(hash('a'))",
    "import time\nprint(time.strftime('%z'))",
    "import locale\nprint(locale.setlocale(locale.LC_ALL, ''))",
    "import polars\nprint(polars.thread_pool_size())",
)


def settings(*notebooks: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "tests.settings", *map(str, notebooks)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_settings_hold_every_kind_of_value():
    values = [dict(zip(("engine", *NAMES), one, strict=True)) for one in SETTINGS]
    assert {one["engine"] for one in values} == {"fast", "stock"}
    for name in NAMES:
        assert len({one[name] for one in values}) >= 3, name
    assert {one["POLARS_MAX_THREADS"] for one in values} > {"1"}


def test_a_notebook_of_the_project_gives_the_same_under_all(tmp_path):
    done = settings("trends")
    assert done.returncode == 0, done.stdout
    first, *lines, last = done.stdout.splitlines()
    assert first.startswith("reference: 1 runs")
    assert len(lines) == len(SETTINGS)
    for line, (engine, *values) in zip(lines, SETTINGS, strict=True):
        assert line.startswith(f"ok   {engine} engine, PYTHONHASHSEED=")
        assert ": 1 run: 1 identical, " in line
        for name, value in zip(NAMES, values, strict=True):
            assert (f"{name}={value}" in line) is (value is not None)
    assert last.startswith(f"{len(SETTINGS)} of {len(SETTINGS)} settings give identical outputs")


def test_one_that_depends_on_them_is_found_out(tmp_path):
    done = settings(made(tmp_path / "depends.ipynb", *DEPENDS))
    assert done.returncode == 1
    assert len(re.findall("^BAD ", done.stdout, re.MULTILINE)) == len(SETTINGS)
    assert done.stdout.rstrip().splitlines()[-1].startswith(f"0 of {len(SETTINGS)} settings give")
    for cell in range(3, 3 + len(DEPENDS)):
        assert f"output cell [{cell}], output 1" in done.stdout

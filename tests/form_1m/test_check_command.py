"""`kzresearch check`: what fails is named with its cells, and the exit code tells."""

import subprocess
from pathlib import Path

from tests.conftest import command
from tests.workbooks import make_whole_form


def check(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([command("kzresearch"), "check", *words], capture_output=True, text=True)


def test_report_that_adds_up_passes(tmp_path: Path):
    path = make_whole_form(tmp_path / "a.xlsx", values=lambda *_: 0)
    done = check(str(path), "--period", "2022-12")
    assert done.returncode == 0, done.stderr
    assert "hard identities: 133,618 tests, 133,618 hold, 0 fail" in done.stdout


def test_broken_identity_is_named_with_its_cells(tmp_path: Path):
    edits = {"R1": {"K70": 1}}
    path = make_whole_form(tmp_path / "a.xlsx", values=lambda *_: 0, edits=edits)
    done = check(str(path), "--period", "2022-12")
    assert done.returncode == 1
    assert "hard V4:R1: 1 of 558 fail, largest difference 1" in done.stdout
    assert "hard identities: 133,618 tests, 133,614 hold, 4 fail" in done.stdout
    assert "KZ-71 2022-12 article:146" in done.stdout
    assert "R1!K70" in done.stdout
    assert "Traceback" not in done.stderr


def test_file_that_is_not_understood_is_one_sentence(tmp_path: Path):
    path = tmp_path / "a.xlsx"
    path.write_text("no workbook")
    done = check(str(path))
    assert done.returncode == 1
    assert done.stderr.strip() == "Error: a.xlsx: not an Excel workbook (.xlsx)"

"""`kzresearch check`: what fails is named with its cells, and the exit code tells."""

import re
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
    assert "  KZ-71 2022-12 article:146 sent_to_court: 1 ≠ 0 (R1!K70; R1!L70–N70)" in done.stdout
    assert "Traceback" not in done.stderr


def test_hard_failures_come_before_those_of_known_source_defects(tmp_path: Path):
    # R3-1's severities are a defect of the source, tested long before the hard H20.
    edits = {"R3-1": {"E10": 1500, "V70": 1}}
    path = make_whole_form(tmp_path / "a.xlsx", values=lambda *_: 0, edits=edits)
    done = check(str(path), "--period", "2022-12")
    assert done.returncode == 1
    kinds = re.findall(r"^(hard|source_defect) \S+: \d+ of", done.stdout, re.MULTILINE)
    assert kinds == sorted(kinds)
    assert set(kinds) == {"hard", "source_defect"}
    assert "KZ-71 2022-12 crimes victims: 0 ≠ 1,500 (R3-1!E9; R3-1!E10–E13)" in done.stdout


def test_help_says_that_official_workbooks_may_fail_and_what_the_exit_codes_mean():
    words = " ".join(check("--help").stdout.split())
    assert "Some official workbooks fail as they were published." in words
    assert (
        "Ends with 1 where a hard identity is broken, with 2 where a file cannot be read." in words
    )


def test_file_that_is_not_understood_is_one_sentence_and_another_exit_code(tmp_path: Path):
    path = tmp_path / "a.xlsx"
    path.write_text("no workbook")
    done = check(str(path))
    assert done.returncode == 2
    assert done.stderr.strip() == "Error: a.xlsx: not an Excel workbook (.xlsx)"


def test_period_that_is_missing_is_asked_for_in_the_words_of_the_command(tmp_path: Path):
    done = check(str(make_whole_form(tmp_path / "a.xlsx", values=lambda *_: 0)))
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "Error: a.xlsx: does not state its period; give it: --period YYYY-MM"
    )


def test_no_summary_of_a_command_is_cut_short():
    done = subprocess.run([command("kzresearch"), "--help"], capture_output=True, text=True)
    commands = done.stdout.split("Commands:")[1]
    assert "check" in commands
    assert not re.search(r"\.\.\.|…", commands)

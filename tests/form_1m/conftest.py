"""Fixtures of the reader's tests: workbooks made here, and the official ones where they are."""

from pathlib import Path

import pytest

from kzresearch import read_form_1m
from kzresearch.form_1m import layout
from tests.workbooks import make_workbook


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound workbook with section R11, to read and never to change."""
    return make_workbook(tmp_path_factory.mktemp("good") / "good.xlsx", ["R11"])


@pytest.fixture(scope="session")
def good_money(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound workbook with section R4, to read and never to change."""
    return make_workbook(tmp_path_factory.mktemp("good") / "money.xlsx", ["R4"])


@pytest.fixture(params=["first workbook", "after a sound workbook"])
def memory(request: pytest.FixtureRequest, good: Path, good_money: Path, monkeypatch) -> None:
    """What the reader has accepted before must not change what it refuses."""
    for name in ("_ACCEPTED_HEADS", "_ACCEPTED_ROWS"):
        monkeypatch.setattr(layout, name, {}, raising=False)
    if request.param != "first workbook":
        read_form_1m(good, "2022-12", "R11")
        read_form_1m(good_money, "2022-12", "R4")


@pytest.fixture(scope="session")
def official(raw: Path) -> list[Path]:
    """The 20 workbooks of 2022-12."""
    paths = sorted((raw / "form_1m" / "2022-12").glob("*.XLSX"))
    if not paths:
        pytest.skip("no workbooks: set KZRESEARCH_RAW to a folder that has form_1m/2022-12/*.XLSX")
    assert len(paths) == 20
    return paths

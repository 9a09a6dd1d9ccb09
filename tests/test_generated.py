"""Generated workbooks are read as what their generator says it wrote."""

from pathlib import Path

import numpy as np
import pytest

from kzresearch import load_form_1m, read_form_1m
from tests import generated

PERIOD = "2023-02"


@pytest.fixture(scope="module")
def base() -> generated.Base:
    return generated.base("KZ-71")


def check(base: generated.Base, folder: Path) -> str:
    """Read a workbook of a base and compare all its figures; who says the period."""
    path = base.write(folder, PERIOD)
    assert path.parent == folder / PERIOD
    frame = read_form_1m(path, PERIOD)
    assert frame["region"].unique().to_list() == [base.region]
    held = dict(frame.select("cell", "value").iter_rows())
    assert held == dict(zip(base.cells, base.figures(PERIOD), strict=True))
    return frame["period_source"][0]


def test_figures_are_those_that_were_written(base, tmp_path):
    assert check(base, tmp_path) == "argument"


def test_figures_of_an_official_base(raw, tmp_path):
    assert check(generated.base("KZ-71", raw), tmp_path) == "workbook"  # states its period
    assert check(generated.base("KZ-75", raw), tmp_path) == "argument"


def test_figures_are_like_those_of_the_base(base):
    official = load_form_1m(generated.BASE, "KZ-71")
    assert sorted(base.values) == sorted(official["value"])
    figures = base.figures(PERIOD)
    assert np.count_nonzero(figures) == np.count_nonzero(base.values)
    assert 0.02 < np.mean((figures == 0) != (base.values == 0)) / np.mean(base.values != 0) < 0.2
    assert figures.sum() == pytest.approx(base.values.sum(), rel=0.2)


def test_figures_are_of_period_and_seed(base):
    figures = base.figures(PERIOD)
    assert (figures == base.figures(PERIOD)).all()
    assert (figures != base.figures("2023-03")).any()
    assert (figures != base.figures(PERIOD, seed=1)).any()


def test_periods():
    assert generated.periods(14)[-3:] == ["2023-12", "2024-01", "2024-02"]


def test_all_regions_are_written(raw, tmp_path):
    paths = generated.write(tmp_path, ["2023-01"], raw)
    assert len({path.name for path in paths}) == 20
    assert all(path.stat().st_size < 2**21 for path in paths)

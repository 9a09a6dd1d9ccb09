"""The loaders: what they return, and how they refuse."""

import warnings

import polars as pl
import pytest

import kzresearch as kz
from kzresearch import datasets, schemas
from kzresearch.schemas import Form1M


def one(**filters) -> float:
    return kz.load_form_1m(**filters)["value"].item()


R1 = {"period": "2022-12", "region": "KZ", "section": "R1"}


@pytest.mark.parametrize(
    ("row", "measure", "value"),
    [
        ("total", "registered", 155_200),
        ("severity:especially_grave", "registered", 2_200),
        ("severity:grave", "registered", 43_663),
        ("severity:medium", "registered", 66_617),
        ("severity:minor", "registered", 22_548),
        ("misdemeanours", "registered", 20_171),
        ("chapter:3", "registered", 703),
        ("article:146", "registered", 98),
        ("article:146", "in_proceedings", 106),
        ("article:146", "terminated_rehabilitating", 812),
        ("article:146", "term_expired", 1),
        ("article:146", "registered_against_women", 4),
        ("article:146", "registered_against_minors", 2),
    ],
)
def test_country_is_the_sum_of_the_regions(row, measure, value):
    assert one(**R1, row=row, measure=measure) == value
    regions = kz.load_form_1m("2022-12", section="R1", row=row, measure=measure)
    assert regions.height == 20
    assert regions["value"].sum() == value


def test_country_lists_the_cells_of_its_contributors():
    frame = kz.load_form_1m(**R1, article="146", measure="registered")
    cells = frame["cells"].item().to_list()
    assert len({c["workbook"] for c in cells}) == 20
    assert {c["cell"] for c in cells} == {"R1!F70"}
    assert {c["workbook"] for c in cells} == set(kz.load_workbooks()["sha256"])
    assert frame["workbook"].item() is None


def test_every_region_never_includes_the_country():
    frame = kz.load_form_1m("2022-12", section="R11")
    assert frame["region"].n_unique() == 20
    assert "KZ" not in frame["region"].unique()
    assert "cells" not in frame.columns
    whole = kz.load_form_1m(article="146")
    assert whole["period"].unique().to_list() == ["2022-12"]


def test_regions_and_country_together():
    frame = kz.load_form_1m(
        "2022-12", ["KZ-75", "KZ"], "R1", article="146", measure="registered"
    ).sort("region")
    assert frame.select("region", "value").rows() == [("KZ", 98.0), ("KZ-75", 24.0)]
    assert frame["cells"].list.len().to_list() == [20, 1]


def test_article_is_its_own_row_not_its_details():
    frame = kz.load_form_1m("2022-12", "KZ", "R1", 188, "registered")
    assert frame["row"].to_list() == ["article:188"]
    details = kz.load_form_1m("2022-12", "KZ", "R1", row="article:188:apartments")
    assert details.height == 31


def test_noughts_of_a_workbook_are_figures():
    frame = kz.load_form_1m("2022-12", "KZ-43", "R1", "146", "registered")
    assert frame["value"].item() == 0


def test_what_a_publication_does_not_report_has_no_row():
    frame = kz.load_form_1m("2021-02", "KZ", article="146")
    assert "terminated_rehabilitating" not in frame["measure"]
    assert frame.filter(measure="terminated_unspecified")["value"].item() == 40
    assert frame.filter(measure="term_expired_unspecified")["note"].item()
    assert frame["source"].unique().to_list() == ["acca_2021"]
    assert frame["cells"].list.len().sum() == 0
    assert kz.load_form_1m("2021-02", "KZ", measure="in_proceedings").is_empty()


def test_ambiguous_figures_of_the_press_say_so():
    frame = kz.load_form_1m("2021-02", "KZ", "R1", "146")
    for measure in ("registered_against_women", "registered_against_minors"):
        assert "leaves open" in frame.filter(measure=measure)["note"].item()
    for measure in ("terminated_unspecified", "term_expired_unspecified"):
        assert frame.filter(measure=measure)["note"].item()


def test_whole_table_keeps_its_contract():
    frame = kz.load_form_1m()
    assert frame.height == 20 * 217_460
    Form1M.validate(frame)


def test_scan_is_lazy_and_the_same():
    lazy = kz.scan_form_1m("2022-12", section="R11", measure="registered")
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.collect().equals(kz.load_form_1m("2022-12", section="R11", measure="registered"))


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"period": "2022-11"}, r"unknown period '2022-11'; near matches: 2022-12"),
        ({"region": "KZ-76"}, r"unknown region 'KZ-76'; near matches: .*KZ-7"),
        ({"section": "R12"}, r"unknown section 'R12'; near matches: .*R1"),
        ({"article": "1466"}, r"unknown article '1466'; near matches: .*146"),
        ({"measure": "registred"}, r"unknown measure 'registred'; near matches: registered"),
        ({"row": "severity:graves"}, r"near matches: .*severity:grave"),
        ({"section": "R4", "measure": "registered"}, r"measure of section R4"),
        ({"section": "R11", "article": "146"}, r"row of section R11"),
        ({"period": "2021-02", "region": "KZ-75"}, r"2021-02 has no figures for KZ-75; it has: KZ"),
        ({"period": "2021-02"}, r"2021-02 has no figures for the regions; it has: KZ"),
        ({"region": []}, r"no region given"),
    ],
)
def test_unknown_filter_values_are_errors_with_near_matches(filters, message):
    with pytest.raises(kz.UnknownValueError, match=message):
        kz.load_form_1m(**filters)
    with pytest.raises(kz.UnknownValueError, match=message):
        kz.scan_form_1m(**filters)


def test_sum_that_lacks_a_region_warns(monkeypatch):
    held = datasets.covered("2022-12") - {("KZ-10", "form_1m")}
    monkeypatch.setattr(datasets, "covered", lambda period: held)
    with pytest.warns(kz.IncompleteSumWarning, match="KZ in 2022-12 lacks KZ-10"):
        kz.load_form_1m(**R1, article="146")


def test_complete_sum_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kz.load_form_1m(**R1, article="146")


def test_regions():
    frame = kz.load_regions()
    assert frame.height == 20
    assert frame["unit_17"].n_unique() == 17
    former = kz.load_regions(former=True)
    assert former.filter(pl.col("region") != "KZ-61+79").equals(frame)
    assert former.height == 21
    assert schemas.Regions.is_valid(former)
    turkistan = frame.filter(region="KZ-61")
    assert turkistan["organ_code"].item() == "1951"


def test_workbooks():
    frame = kz.load_workbooks()
    assert frame.height == 20
    assert set(frame["region"]) == set(kz.load_regions()["region"])
    stated = frame.filter(period_source="workbook")["region"].to_list()
    assert stated == ["KZ-61", "KZ-71"]


def test_freedom_in_the_world():
    frame = kz.load_freedom_in_the_world()
    assert frame.height == 12 * 13
    line = frame.row(
        by_predicate=(pl.col("country") == "Kazakhstan") & (pl.col("edition") == 2021), named=True
    )
    assert (line["total"], line["status"]) == (23, "Not Free")
    assert (line["political_rights"], line["civil_liberties"]) == (5, 18)
    assert (line["political_rights_rating"], line["civil_liberties_rating"]) == (7, 5)
    assert line["year_reviewed"] == 2020


def test_sources_cover_every_figure():
    frame = kz.load_sources()
    used = {*kz.load_form_1m("2021-02", "KZ")["source"], *kz.load_workbooks()["source"]}
    used |= set(kz.load_freedom_in_the_world()["source"])
    assert used <= set(frame["id"])
    assert set(kz.load_workbooks()["sha256"]) <= set(frame["sha256"].drop_nulls())
    assert set(kz.load_freedom_in_the_world()["workbook"]) <= set(frame["sha256"].drop_nulls())

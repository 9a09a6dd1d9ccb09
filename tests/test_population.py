"""Population: every figure is the workbook's, sums hold, and two revisions are never mixed."""

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path

import openpyxl
import polars as pl
import pytest
import xlsxwriter

from kzresearch import population as module
from kzresearch.errors import SourceError
from kzresearch.population import population
from kzresearch.regions import region_codes
from kzresearch.schemas import Population


@pytest.fixture(scope="module")
def table(raw) -> pl.DataFrame:
    return population(raw)


def one(table: pl.DataFrame, year: int, series: str, **where: str) -> int:
    keys = {"region": "KZ", "sex": "total", "area": "total", "series": series} | where
    return table.filter(pl.col("date").dt.year() == year).filter(**keys)["population"].item()


def test_table_keeps_its_contract(table):
    assert Population.validate(table).columns == Population.column_names()
    assert table.group_by("series").len().sort("series").rows() == [
        ("2023-07-19", 2837),
        ("2024-02-21", 180),
    ]


@pytest.mark.parametrize(
    ("year", "series", "figure"),
    [
        (2000, "2023-07-19", 14_901_641),
        (2021, "2023-07-19", 18_879_552),
        (2022, "2023-07-19", 19_503_159),
        (2023, "2023-07-19", 19_766_807),
        (2023, "2024-02-21", 19_765_004),
    ],
)
def test_country(table, year, series, figure):
    assert one(table, year, series) == figure


def test_revision_holds_its_own_day_only(table):
    later = table.filter(series="2024-02-21")
    assert later["date"].unique().cast(pl.String).to_list() == ["2023-01-01"]
    assert later["source"].unique().to_list() == ["population_2023_revised"]
    assert table.filter(series="2023-07-19")["source"].unique().to_list() == [
        "population_2000_2023"
    ]


def regions(table: pl.DataFrame, year: int) -> set[str]:
    day = table.filter(pl.col("date").dt.year() == year, pl.col("region") != "KZ")
    return set(day["region"])


def test_units_are_those_of_the_day(table):
    assert regions(table, 2022) == regions(table, 2023) == set(region_codes())
    assert (
        regions(table, 2017)
        == regions(table, 2021)
        == regions(table, 2023)
        - {
            "KZ-10",
            "KZ-33",
            "KZ-62",
        }
    )
    assert regions(table, 2000) == regions(table, 2016)
    assert regions(table, 2017) ^ regions(table, 2016) == {"KZ-61", "KZ-79", "KZ-61+79"}
    counted = table.filter(pl.col("region") != "KZ").group_by("series", "date", "units")
    assert (
        counted.agg(pl.col("region").n_unique())
        .filter(pl.col("units") != pl.col("region"))
        .is_empty()
    )


def test_what_the_source_does_not_give_has_no_row(table):
    kinds = table.select("series", "sex", "area").unique().rows()
    assert ("2023-07-19", "total", "urban") not in kinds
    assert ("2024-02-21", "total", "urban") in kinds
    rural = table.filter(area="rural")["region"].unique()
    assert not set(rural) & {"KZ-71", "KZ-75", "KZ-79"}


def test_cells_hold_the_figures_for_another_reader(table, raw):
    for file in (module.SERIES_WORKBOOK, module.REVISION_WORKBOOK):
        path = raw / "population" / file
        book = openpyxl.load_workbook(path, read_only=False)
        rows = table.filter(workbook=hashlib.sha256(path.read_bytes()).hexdigest())
        assert rows.height > 100
        for cell, figure in rows.select("cell", "population").rows():
            sheet, address = cell.split("!")
            assert book[sheet][address].value == figure


def test_region_of_a_cell_is_the_row_it_stands_in(table, raw):
    book = openpyxl.load_workbook(raw / "population" / module.SERIES_WORKBOOK)
    names = table.filter(series=module.SERIES).select("region", "cell").rows()
    found = {(r, book[c.split("!")[0]][f"A{c.split('!')[1][1:]}"].value.strip()) for r, c in names}
    assert ("KZ-61+79", "Туркестанская 1") in found
    assert ("KZ-61", "Туркестанская 1") in found
    assert ("KZ-75", "г. Алматы") in found
    assert ("KZ-19", "Алматинская") in found
    assert len(found) == 22


# Small files of our own: made up, but whole.

NAMES = {"KZ": "Республика Казахстан"} | {code: code for code in region_codes()}
NAMES["KZ-61"] = "Туркестанская"
NEW = {"KZ-10", "KZ-33", "KZ-62"}
KINDS = [(sex, area) for sex in ("men", "women") for area in ("urban", "rural")]
Figures = dict[tuple[int, str, str, str], int]


def made_up() -> Figures:
    """Year, region, sex, area → figure: 10 men and 11 women in town, 20 and 21 in the country."""
    figures: Figures = {}
    for year in module.YEARS:
        gone = (NEW if year < 2022 else set()) | ({"KZ-79"} if year < 2017 else set())
        for region in set(region_codes()) - gone:
            for number, (sex, area) in enumerate(KINDS):
                if area == "rural" and region in module.CITIES:
                    continue
                for where in (region, "KZ"):
                    for key in (
                        *((year, where, s, area) for s in (sex, "total")),
                        *((year, where, s, "total") for s in (sex, "total")),
                    ):
                        figures[key] = figures.get(key, 0) + 10 + number
    return figures


def write(folder: Path, figures: Figures, text: Figures | None = None, **how) -> Path:
    """Write the four files, the later revision with the same figures of 2023; `folder`."""
    (folder / "population").mkdir()
    write_series(folder / "population" / module.SERIES_WORKBOOK, figures, **how)
    write_revision(folder / "population" / module.REVISION_WORKBOOK, figures)
    text = figures if text is None else text
    sexes = {v: k for k, v in module.TEXT_SEXES.items()}
    areas = {v: k for k, v in module.TEXT_AREAS.items()}
    lines = [
        (year, region, NAMES[region], sexes[sex], areas[area], figure)
        for (year, region, sex, area), figure in text.items()
        if sex != "total" or area == "total"
    ]
    header = how.get("header", ["year_jan1", "iso", "region_ru", "sex", "area", "population"])
    save(folder / "population" / module.SERIES_TEXT, [header, *lines, *how.get("more", [])])
    columns = [(sex, area) for _, sex, area, *_ in module.REVISION_COLUMNS.values()]
    later = [
        (r, NAMES[r], *(text.get((2023, r, *kind), "-") for kind in columns))
        for r in ("KZ", *region_codes())
    ]
    names = ["iso", "name_kk", *(name for name, *_ in module.REVISION_COLUMNS.values())]
    save(folder / "population" / module.REVISION_TEXT, [names, *later])
    return folder


def save(path: Path, rows: list) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def write_series(path: Path, figures: Figures, footnote=module.FOOTNOTE, year=2000, **_) -> None:
    book = xlsxwriter.Workbook(path)
    for name, (sex, header) in module.SHEETS.items():
        sheet = book.add_worksheet(name)
        sheet.write_row(header - 1, 1, [year, *module.YEARS[1:]])
        row = header
        for title, area in (("", "total"), *module.AREA_ROWS.items()):
            if sex == "total" and title:
                continue
            if title:
                sheet.write(row, 0, title)
                row += 1
            for region, label in NAMES.items():
                if area == "rural" and region in module.CITIES:
                    continue
                sheet.write(row, 0, module.FOOTNOTED if region == "KZ-61" else label)
                values = [figures.get((y, region, sex, area), "-") for y in module.YEARS]
                sheet.write_row(row, 1, values)
                row += 1
        if sex != "total":
            sheet.write(row, 0, footnote)
    book.close()


def write_revision(path: Path, figures: Figures) -> None:
    book = xlsxwriter.Workbook(path)
    sheet = book.add_worksheet(module.REVISION_SHEET)
    sheet.write("A1", f"Численность {module.REVISION_DAY}")
    for column, (_, _, _, row, title) in module.REVISION_COLUMNS.items():
        sheet.write(f"{column}{row}", title)
    for row, (region, label) in enumerate(NAMES.items(), start=6):
        sheet.write(f"A{row}", label)
        for column, (_, sex, area, *_) in module.REVISION_COLUMNS.items():
            sheet.write(f"{column}{row}", figures.get((2023, region, sex, area), "-"))
    book.close()


def test_small_files_of_the_same_layout_are_read(tmp_path):
    table = Population.validate(population(write(tmp_path, made_up())))
    assert table.height == 2837 + 180
    assert one(table, 2005, module.SERIES, region="KZ-61+79", sex="men", area="urban") == 10
    assert one(table, 2023, module.REVISION, region="KZ-10", area="rural") == 11 + 13


def changed(change: Callable[[Figures], object]) -> Figures:
    figures = made_up()
    change(figures)
    return figures


BROKEN = {
    "a region does not add up": (
        lambda f: f.update({(2005, "KZ-11", "men", "urban"): 99}),
        r"KZ on 2005-01-01, men, urban, is .* its parts by region add up",
    ),
    "men and women do not add up": (
        lambda f: f.update({(y, r, "total", "total"): 1 for y in (2005,) for r in ("KZ", "KZ-11")}),
        "add up to",
    ),
    "a figure below zero": (
        lambda f: f.update({(2005, "KZ-11", "men", "urban"): -1}),
        "add up to",
    ),
    "a figure with a fraction": (
        lambda f: f.update({(2005, "KZ-11", "men", "urban"): 1.5}),
        "is not a whole number but '1.5'",
    ),
    "a figure that is text": (
        lambda f: f.update({(2005, "KZ-11", "men", "urban"): "x"}),
        "is not a whole number but 'x'",
    ),
    "a figure left out": (
        lambda f: f.pop((2005, "KZ-11", "men", "urban")),
        "KZ-11 on 2005-01-01 has missing or unknown figures: men urban",
    ),
    "a region left out": (
        lambda f: [f.pop(k) for k in list(f) if k[:2] == (2022, "KZ-10")],
        "The regions on 2022-01-01 are not the 20 known: KZ-10 missing",
    ),
    "a region before its time": (
        lambda f: f.update({(2021, "KZ-10", s, a): 1 for _, _, s, a in list(f)}),
        "The regions on 2021-01-01 are not the 17 known: KZ-10 missing or unknown",
    ),
    "a year left out": (
        lambda f: [f.pop(k) for k in list(f) if k[0] == 2005],
        "2005-01-01 is missing",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_figures_are_refused(tmp_path, name):
    change, message = BROKEN[name]
    with pytest.raises(SourceError, match=message):
        population(write(tmp_path, changed(change)))


def test_workbook_and_text_must_agree(tmp_path):
    text = changed(lambda f: f.update({(2005, "KZ-11", "men", "urban"): 99}))
    with pytest.raises(SourceError, match=r"disagree on KZ-11, 2005, men, urban: 10 in Мужчины!G"):
        population(write(tmp_path, made_up(), text))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"footnote": ""}, "has no footnote on South Kazakhstan"),
        ({"year": 1999}, "is not the years 2000 to 2023"),
        ({"header": ["year", "iso", "region_ru", "sex", "area", "x"]}, "has not the columns"),
        ({"header": ["year", "iso"]}, "not a table|has not the columns"),
        ({"more": [(2005, "KZ-11", "KZ-11", "male", "urban", 10)]}, "stands there twice"),
        ({"more": [(2005, "KZ-99", "KZ-99", "male", "urban", 10)]}, "disagree on KZ-99"),
        ({"more": [(2005, "KZ-11", "KZ-11", "other", "urban", 10)]}, "disagree on KZ-11"),
    ],
)
def test_another_layout_is_refused(tmp_path, how, message):
    with pytest.raises(SourceError, match=message):
        population(write(tmp_path, made_up(), **how))


def test_missing_and_broken_files_are_refused(tmp_path):
    with pytest.raises(SourceError, match="is not in the raw folder population"):
        population(tmp_path)
    write(tmp_path, made_up())
    (tmp_path / "population" / module.REVISION_WORKBOOK).write_bytes(b"no workbook")
    with pytest.raises(SourceError, match="is not a workbook with a sheet '01'"):
        population(tmp_path)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"population": 0}, "min"),
        ({"sex": "men and women"}, "check"),
        ({"region": "Almaty"}, "regex"),
        ({"population": 7}, "regions_add_up_to_the_country"),
        ({"units": 17}, "one_division_per_day_and_series"),
    ],
)
def test_contract_is_broken_by_broken_rows(tmp_path, change, rule):
    table = population(write(tmp_path, made_up()))
    first = pl.int_range(pl.len()) == pl.len() - 1
    broken = table.with_columns(
        **{name: pl.when(first).then(pl.lit(v)).otherwise(name) for name, v in change.items()}
    )
    with pytest.raises(Exception, match=rule):
        Population.validate(broken)


def test_a_doubled_row_breaks_the_contract(tmp_path):
    table = population(write(tmp_path, made_up()))
    with pytest.raises(Exception, match="primary_key"):
        Population.validate(pl.concat([table, table.head(1)]))

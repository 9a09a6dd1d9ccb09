"""Torture indices: each value where it stands in its file, one version and scale per index."""

import csv
import hashlib
from pathlib import Path

import polars as pl
import pytest

from kzresearch import torture_indices as module
from kzresearch.errors import SourceError
from kzresearch.freedom_house import COUNTRIES
from kzresearch.schemas import TortureIndices
from kzresearch.torture_indices import torture_indices


@pytest.fixture(scope="module")
def table(raw) -> pl.DataFrame:
    return torture_indices(raw)


def test_table_keeps_its_contract(table):
    assert TortureIndices.validate(table).columns == TortureIndices.column_names()
    assert table.filter(source="vdem_v14").height == 10 * (11 * 34 + 54)
    assert table.filter(source="hrmi_cpr_v5_1").height == 2 * 5


def test_kazakhstan(table):
    rows = table.filter(iso3="KAZ", index="v2cltort").sort("year")
    assert rows["year"].to_list() == list(range(1990, 2024))
    assert rows["value"][-1] == -0.568
    assert rows["lower"].null_count() == rows["upper"].null_count() == 34
    assert rows["scale"].unique().to_list() == ["interval scale, higher is freer"]
    hrmi = table.filter(iso3="KAZ", index="hrmi_tort", year=2021)
    assert hrmi.select("value", "lower", "upper").rows() == [(3.8178389, 3.1740742, 4.4616036)]


def test_what_a_source_does_not_say_is_null(table):
    empty = table.filter(pl.col("value").is_null()).select("iso3", "year", "index").rows()
    assert empty == [("KAZ", 1990, "v2x_libdem"), ("TKM", 1990, "v2x_libdem")]


def test_values_stand_where_they_say(table, raw):
    for file in (module.VDEM, module.HRMI):
        path = raw / "indicators" / file
        with path.open(encoding="utf-8", newline="") as lines:
            text = list(csv.reader(lines))
        rows = table.filter(workbook=hashlib.sha256(path.read_bytes()).hexdigest())
        assert rows.height > 0
        for iso3, year, value, cell in rows.select("iso3", "year", "value", "cell").rows():
            line, column = cell.removeprefix("line ").split(", ")
            fields = text[int(line) - 1]
            assert {iso3, str(year)} < set(fields)
            field = fields[text[0].index(column)]
            assert (float(field) if field else None) == value


# Small files of our own: made up, but whole.


def vdem_lines() -> list[list]:
    names = {iso3: country for country, iso3 in COUNTRIES.items()}
    return [
        [names[iso3], iso3, 1.0, year, *(0.5 for _ in module.VDEM_INDICES)]
        for iso3, years in module.VDEM_YEARS.items()
        for year in years
    ]


def hrmi_lines() -> list[list]:
    return [
        [year, iso3, metric, 5.0, 0.5, 4.0, 6.0]
        for iso3, years in module.HRMI_YEARS.items()
        for metric in ("arrest", "tort")
        for year in years
    ]


def write(folder: Path, vdem: list[list], hrmi: list[list]) -> Path:
    (folder / "indicators").mkdir()
    for name, rows in ((module.VDEM, vdem), (module.HRMI, hrmi)):
        with (folder / "indicators" / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
    return folder


def small(folder: Path, vdem=(), hrmi=(), **how) -> pl.DataFrame:
    """The table of made-up files, each with some fields (line, column, text) changed."""
    left = [list(how.get("vdem_header", module.VDEM_HEADER)), *vdem_lines()]
    right = [list(how.get("hrmi_header", module.HRMI_HEADER)), *hrmi_lines()]
    for rows, changes in ((left, vdem), (right, hrmi)):
        for line, column, text in changes:
            rows[line - 1][column] = text
    return torture_indices(write(folder, left + how.get("more", []), right))


def test_small_files_of_the_same_layout_are_read(tmp_path):
    table = TortureIndices.validate(small(tmp_path, vdem=[(2, 4, "")]))
    assert table.height == 4290
    assert table.filter(iso3="ARM", year=1990, index="v2cltort")["value"].to_list() == [None]
    assert set(table["index"]) == {*module.VDEM_INDICES, "hrmi_tort"}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"vdem": [(2, 4, "5.1")]}, "line 2, v2cltort of .*'5.1' is no value on the scale"),
        ({"vdem": [(2, 6, "1.01")]}, "line 2, v2x_clphy of .* is no value on the scale 0 to 1"),
        ({"vdem": [(2, 4, "high")]}, "'high' is no value"),
        ({"vdem": [(2, 4, "nan")]}, "'nan' is no value"),
        ({"vdem": [(2, 0, "Albania"), (2, 1, "ALB")]}, "unknown country 'Albania'"),
        ({"vdem": [(2, 1, "KAZ")]}, "unknown country 'Armenia', 'KAZ'"),
        ({"vdem": [(2, 3, "1991")]}, "has ARM, 199[01], [02] times"),
        ({"vdem": [(2, 3, "MCMXC")]}, "has ARM, .* times"),
        ({"more": [vdem_lines()[0]]}, "has ARM, 1990, 2 times"),
        ({"vdem_header": module.VDEM_HEADER[:-1]}, "has not the columns|not a table"),
        ({"vdem_header": [*module.VDEM_HEADER[:-1], "v2x_other"]}, "has not the columns"),
        ({"hrmi_header": ["year", *module.HRMI_HEADER[:-1]]}, "has not the columns"),
        ({"hrmi": [(7, 3, "11")]}, "'11' is no value on the scale 0 to 10"),
        ({"hrmi": [(7, 3, "7")]}, "the score is outside its own bounds"),
        ({"hrmi": [(7, 5, "")]}, "Line 7 of .* lacks a score or one of its bounds"),
        ({"hrmi": [(7, 1, "UZB")]}, "has (UZB|KAZ), 2017, [01] times"),
    ],
)
def test_broken_files_are_refused(tmp_path, how, message):
    with pytest.raises(SourceError, match=message):
        small(tmp_path, **how)


def test_missing_and_empty_files_are_refused(tmp_path):
    with pytest.raises(SourceError, match="is not in the raw folder indicators"):
        torture_indices(tmp_path)
    write(tmp_path, [], [])
    with pytest.raises(SourceError, match="is not a table"):
        torture_indices(tmp_path)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"value": 9.0}, "value_is_within_its_bounds"),
        ({"version": "V-Dem v13"}, "one_version_and_scale_per_index"),
        ({"year": 2018}, "primary_key"),
        ({"iso3": "Kaz"}, "regex"),
    ],
)
def test_contract_is_broken_by_broken_rows(tmp_path, change, rule):
    table = small(tmp_path)
    first = pl.int_range(pl.len()) == 0
    broken = table.with_columns(
        **{name: pl.when(first).then(pl.lit(v)).otherwise(name) for name, v in change.items()}
    )
    with pytest.raises(Exception, match=rule):
        TortureIndices.validate(broken)

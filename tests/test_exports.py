"""Exports are read back by other readers, and say the same; what a format cannot hold is refused."""

import csv
import datetime as dt
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import openpyxl
import polars as pl
import pytest
from click.testing import CliRunner
from frictionless import Package
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.utils.escape import unescape
from polars.testing import assert_frame_equal

import kzresearch as kz
from kzresearch import cli, exports, schemas
from kzresearch.run import results
from kzresearch.store import store
from tests import stored
from tests.stored import taken

ENDINGS = ["csv", "parquet", "xlsx"]
FORMULAS = [
    "=1+1",
    "+7 7172",
    "-2",
    "@SUM(A1)",
    "\tx",
    "\n=1",
    "  =1",
    '"=1',
    "'=1",
    "\u00a0-1",
    "\x00=1",
    "＝1",
    'a;=HYPERLINK("http://example.org")',
]
FIT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"))
PIECES = ["=", "+", "-", "@", "'", '"', ";", "<r>", "</r>", "_x0041", "_", "x0042_", "http://a.b"]
CHARACTERS = st.characters(
    exclude_categories=["Cs", "Cc"], include_characters="\t\n", exclude_characters="\ufffe\uffff"
)
IN_CELL = st.lists(st.sampled_from(PIECES) | st.text(CHARACTERS), max_size=6).map("".join)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def torture(**filters) -> pl.DataFrame:
    return kz.load_form_1m("2022-12", "KZ", ["R1", "PRIL8"], "146", **filters)


def run_table() -> pl.DataFrame:
    cell = {"workbook": "0" * 64, "cell": "R1!F70"}
    figure = {"value": 98.0, "text": "98", "unit": "offences", "sources": ["form_1m"]}
    figure |= {"cells": [cell], "formula": None, "note": None}
    record = {"notebook": "case_flow", "parameters": {"article": "146"}}
    return results.table([record | {"run_id": "0" * 12, "results": {"registered": figure}}])


TABLES = {
    "form_1m": torture,
    "press": lambda: kz.load_form_1m("2021-02", "KZ"),
    "case_flow": lambda: kz.case_flow("2022-12", article="146"),
    "codebook": lambda: kz.codebook("R11"),
    "check": lambda: kz.check_form_1m(torture()),
    "results": run_table,
    "population": kz.load_population,
    "published": kz.load_published,
    "freedom": kz.load_freedom_in_the_world,
    "indices": kz.load_torture_indices,
    "regions": kz.load_regions,
    "workbooks": kz.load_workbooks,
    "sources": kz.load_sources,
}


def read_sheets(path: Path) -> dict[str, list[list[object]]]:
    book = openpyxl.load_workbook(path)
    return {s.title: [list(row) for row in s.iter_rows(values_only=True)] for s in book}


def as_lines(sheet: list[list[object]]) -> list[dict[str, object]]:
    return [dict(zip(sheet[0], line, strict=True)) for line in sheet[1:]]


def package_of(path: Path) -> dict:
    if path.suffix == ".parquet":
        return json.loads(pl.read_parquet_metadata(path)["datapackage"])
    return json.loads(path.with_suffix(".datapackage.json").read_text(encoding="utf-8"))


def resource(package: dict, name: str) -> dict:
    return next(one for one in package["resources"] if one["name"] == name)


def without_nulls(lines: list[dict]) -> list[dict]:
    return [{k: v for k, v in line.items() if v is not None} for line in lines]


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_written_whole_and_described_alike_in_each_format(table, tmp_path):
    frame = pl.DataFrame(TABLES[table]())
    for ending in ENDINGS:
        kz.export(frame, tmp_path / f"t.{ending}")
    assert_frame_equal(pl.read_parquet(tmp_path / "t.parquet"), frame)

    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file)
    sheets = read_sheets(tmp_path / "t.xlsx")
    assert header == sheets["data"][0] == frame.columns
    assert len(lines) == len(sheets["data"]) - 1 == frame.height
    texts = exports.restored(pl.DataFrame(lines, schema=header, orient="row"))
    for column, name in enumerate(frame.columns):
        for value, text, cell in zip(
            frame[name], texts[name], (line[column] for line in sheets["data"][1:]), strict=True
        ):
            if value is None:
                assert text == ""
                assert cell is None
            elif isinstance(value, (int, float)):
                assert float(text) == cell == value
                assert not text.endswith(".0")
            elif isinstance(value, dt.date):
                assert text == value.isoformat()
                assert cell.date() == value
            elif isinstance(value, str):
                assert text == value
                assert unescape(cell) == value
            else:
                as_read = value.to_list() if isinstance(value, pl.Series) else value
                assert json.loads(text) == json.loads(cell) == as_read

    assert list(sheets) == ["data", "codebook", "sources"]
    for path in (tmp_path / "t.csv", tmp_path / "t.parquet"):
        package = package_of(path)
        assert resource(package, "codebook")["data"] == without_nulls(as_lines(sheets["codebook"]))
        given = [one for one in package["resources"] if one["name"] == "sources"]
        said = without_nulls(as_lines(sheets["sources"]))
        assert (given[0]["data"] if given else []) == said
        fields = resource(package, "data")["schema"]["fields"]
        assert [field["name"] for field in fields] == frame.columns
        assert all(field["description"] for field in fields), table
    assert Package(tmp_path / "t.datapackage.json").validate().valid


def test_case_flows_and_checks_keep_the_contracts_they_are_described_by():
    for schema, frame in (
        (schemas.CaseFlow, TABLES["case_flow"]()),
        (schemas.Checked, TABLES["check"]()),
    ):
        flat = frame.select(name for name, of in frame.schema.items() if not of.is_nested())
        assert flat.columns == schema.column_names()
        assert schema.validate(flat).height == frame.height > 0


def test_the_codebook_says_what_the_rows_and_measures_that_occur_mean(tmp_path):
    frame = torture(measure=["registered", "in_proceedings"])
    kz.export(frame, tmp_path / "t.xlsx")
    lines = as_lines(read_sheets(tmp_path / "t.xlsx")["codebook"])
    assert [line["kind"] for line in lines[:2]] == ["table", "column"]
    assert lines[0]["note"] == f"exported by kzresearch {kz.__version__}"
    of_form = {(o["kind"], o["section"], o["name"]): o for o in lines if o["section"]}
    occur = frame.select("section", "measure", "row").unique().rows()
    expected = {("measure", s, m) for s, m, _ in occur} | {("row", s, r) for s, _, r in occur}
    assert set(of_form) == expected
    assert of_form["row", "R1", "article:146"]["title_ru"] == "Пытки"
    assert of_form["measure", "R1", "registered"]["unit"] == "offences"
    known = kz.codebook("R1").filter(kind="column", name="registered")["label"].item()
    assert of_form["measure", "R1", "registered"]["meaning"] == known


def test_every_row_and_measure_of_every_report_is_in_its_codebook(tmp_path):
    frame = pl.concat(
        [kz.load_form_1m("2021-02", "KZ").drop("cells"), kz.load_form_1m("2022-12", "KZ-75")]
    )
    kz.export(frame, tmp_path / "t.parquet")
    lines = resource(package_of(tmp_path / "t.parquet"), "codebook")["data"]
    for kind in ("row", "measure"):
        told = {line["name"] for line in lines if line["kind"] == kind and line["meaning"]}
        assert told == set(frame[kind].unique())


def test_sources_are_the_files_that_the_figures_were_taken_from(tmp_path):
    kz.export(torture(measure="registered"), tmp_path / "t.xlsx")
    lines = as_lines(read_sheets(tmp_path / "t.xlsx")["sources"])
    assert {line["sha256"] for line in lines} == set(kz.load_workbooks()["sha256"])
    one = kz.load_form_1m("2022-12", "KZ-75", "R1", "146")
    kz.export(one, tmp_path / "one.csv")
    package = package_of(tmp_path / "one.csv")
    (line,) = resource(package, "sources")["data"]
    assert line["id"] == "form_1m"
    assert line["sha256"] == one["workbook"][0]
    assert "Committee on Legal Statistics" in line["citation"]
    assert line["licence"]
    assert resource(package, "data")["sources"][0]["path"] == line["address"]
    kz.export(one.select("region", "measure", "value", "source"), tmp_path / "less.csv")
    (line,) = resource(package_of(tmp_path / "less.csv"), "sources")["data"]
    assert line["id"] == "form_1m"
    assert "sha256" not in line


def test_ones_own_workbooks_are_sources_without_the_bundled_copies(tmp_path, monkeypatch):
    monkeypatch.setenv("KZRESEARCH_STORE", str(tmp_path / "store"))
    one = taken("2023-12", "KZ-75", stored.torture(4, 1))
    store().put("2023-12", [one])
    own = kz.load_form_1m("2023-12", "KZ-75", "R1", "146")
    kz.export(own, tmp_path / "own.csv")
    kz.export(own, tmp_path / "own.xlsx")
    package = package_of(tmp_path / "own.csv")
    (line,) = resource(package, "sources")["data"]
    assert without_nulls(as_lines(read_sheets(tmp_path / "own.xlsx")["sources"])) == [line]
    stated = ("sha256", "file", "region", "region_source", "period", "period_source")
    assert {name: line[name] for name in stated} == {
        name: vars(one.report)[name] for name in stated
    }
    (origin,) = resource(package, "data")["sources"]
    assert line["citation"] == origin["citation"]
    assert "Copies of the 20" not in line["citation"]
    assert "2022-12" not in line["version"]
    (terms,) = resource(package, "data")["licenses"]
    assert (
        line["licence"] == terms["title"] == "Official statistics, the producer's terms not known"
    )

    both = pl.concat([own, kz.load_form_1m("2022-12", "KZ-75", "R1", "146")])
    kz.export(both, tmp_path / "both.csv")
    package = package_of(tmp_path / "both.csv")
    (origin,) = resource(package, "data")["sources"]
    assert "Copies of the 20" in origin["citation"]
    lines = resource(package, "sources")["data"]
    assert {line["sha256"] for line in lines} == set(both["workbook"])
    assert [line["period"] for line in lines] == ["2022-12", "2023-12"]
    assert ["Copies of the 20" in line["citation"] for line in lines] == [True, False]

    corrected = taken("2023-12", "KZ-75", stored.torture(5, 1))
    report = replace(corrected.report, sha256="1" * 64)
    store().put("2023-12", [corrected._replace(report=report)])
    kz.export(own, tmp_path / "replaced.csv")
    (line,) = resource(package_of(tmp_path / "replaced.csv"), "sources")["data"]
    assert line["sha256"] == one.report.sha256


def test_columns_of_ones_own_are_written_without_a_meaning(tmp_path):
    frame = torture().with_columns(double=pl.col("value") * 2, cell=pl.lit(3))
    kz.export(frame, tmp_path / "t.csv")
    fields = resource(package_of(tmp_path / "t.csv"), "data")["schema"]["fields"]
    found = {field["name"]: field.get("description") for field in fields}
    assert found["double"] is None
    assert found["cell"] is None  # its name is that of a known column, but it is a number
    assert found["value"]
    kz.export(pl.DataFrame({"region": ["x"], "value": [1.0]}), tmp_path / "own.csv")
    fields = resource(package_of(tmp_path / "own.csv"), "data")["schema"]["fields"]
    assert fields == [{"name": "region", "type": "string"}, {"name": "value", "type": "number"}]


def test_a_csv_is_described_with_its_checksum(tmp_path):
    import hashlib

    assert kz.export(torture(), tmp_path / "t.csv") == [
        tmp_path / "t.csv",
        tmp_path / "t.datapackage.json",
    ]
    content = (tmp_path / "t.csv").read_bytes()
    about = resource(package_of(tmp_path / "t.csv"), "data")
    assert about["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert about["bytes"] == len(content)
    assert not content.startswith(b"\xef\xbb\xbf")


# --- formulas


@pytest.mark.parametrize("text", FORMULAS)
def test_what_could_be_a_formula_begins_with_an_apostrophe_in_a_csv(text, tmp_path):
    kz.export(pl.DataFrame({text: [text], "n": [-2.0], "i": [-3]}), tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        header, line = csv.reader(file)
    assert header[0] == line[0] != text
    assert line[0].startswith(("'", "a;'="))
    assert exports.restored(pl.DataFrame({"a": line[:1]})).item() == text
    assert line[1:] == ["-2", "-3"]


def test_no_part_of_a_text_that_excel_may_take_for_a_cell_begins_a_formula(tmp_path):
    """Where the list separator is a semicolon, Excel parts a line of a CSV there."""
    frame = pl.DataFrame({"a": ['x;=cmd|" /C calc"!A0', "x;\n=1", "x\r\n @A1", "x\ty;'=1"]})
    kz.export(frame, tmp_path / "t.csv")
    text = (tmp_path / "t.csv").read_text(encoding="utf-8")
    for line in text.replace("\t", ";").splitlines():
        for cell in line.split(";"):
            assert not cell.strip().startswith(("=", "+", "-", "@")), cell


@given(st.lists(FIT | st.none() | st.sampled_from(FORMULAS)), FIT)
def test_defusing_is_undone_without_loss(texts, name):
    frame = pl.DataFrame({name: texts, f"{name} n": [-1.5] * len(texts)})
    frame = frame.with_columns(pl.col(name).cast(pl.String))
    safe = exports.defused(frame)
    assert_frame_equal(exports.restored(safe), frame)
    for text in [*safe.columns, *safe[safe.columns[0]].drop_nulls()]:
        assert not text.lstrip(" \"'\x00\u00a0").startswith(("=", "+", "-", "@")) or "'" in text
        assert not text.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(FIT | st.none(), NUMBERS | st.none(), st.booleans() | st.none())))
def test_a_csv_is_read_back_without_loss(rows):
    schema = {"text": pl.String, "number": pl.Float64, "truth": pl.Boolean}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    with tempfile.TemporaryDirectory() as folder:
        kz.export(frame, path := Path(folder) / "t.csv")
        assert_frame_equal(
            exports.restored(pl.read_csv(path, schema=schema)), frame, check_exact=True
        )


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(IN_CELL, NUMBERS, st.booleans() | st.none())))
def test_every_text_in_excel_is_a_text_and_every_number_keeps_its_digits(rows):
    schema = {"=text": pl.String, "number": pl.Float64, "truth": pl.Boolean}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    with tempfile.TemporaryDirectory() as folder:
        kz.export(frame, path := Path(folder) / "t.xlsx")
        sheet = openpyxl.load_workbook(path)["data"]
    assert sheet["A1"].value == "=text"
    assert sheet["A1"].data_type == "s"
    for row, (text, number, truth) in enumerate(rows, 2):
        cell = sheet.cell(row, 1)
        assert sheet.cell(row, 2).value == number
        assert sheet.cell(row, 3).value is truth
        assert cell.hyperlink is None
        assert cell.data_type == "s"
        assert unescape(cell.value) == text


def test_excel_keeps_texts_that_look_like_its_own_markup(tmp_path):
    texts = ["<r><t>a</t></r>", "_x0041_", "_x0041_x0042_", "&amp;", " a ", ""]
    kz.export(pl.DataFrame({"a": texts}), tmp_path / "t.xlsx")
    found = [unescape(line[0]) for line in read_sheets(tmp_path / "t.xlsx")["data"][1:]]
    assert found == texts


def test_a_text_like_a_formula_stays_one_when_its_cell_is_edited(tmp_path):
    kz.export(pl.DataFrame({"a": ["=1+1", "plain"]}), tmp_path / "t.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "t.xlsx")["data"]
    assert [sheet[at].quotePrefix for at in ("A1", "A2", "A3")] == [True, True, False]


# --- formats


def test_a_sheet_has_its_header_frozen_and_its_columns_filtered_and_formatted(tmp_path):
    frame = kz.load_published().with_columns(share=pl.lit(0.25), year=pl.lit(2022))
    kz.export(frame, tmp_path / "t.xlsx")
    for sheet in openpyxl.load_workbook(tmp_path / "t.xlsx"):
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref == sheet.dimensions
        assert all(8 <= one.width <= 45 for one in sheet.column_dimensions.values())
    sheet = openpyxl.load_workbook(tmp_path / "t.xlsx")["data"]
    shown = {
        cell.value: below.number_format for cell, below in zip(sheet[1], sheet[2], strict=True)
    }
    assert shown["period_start"] == "yyyy-mm-dd"
    assert shown["share"] == shown["year"] == shown["id"] == "General"
    kz.export(torture(measure="registered"), tmp_path / "whole.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "whole.xlsx")["data"]
    assert (sheet["G2"].value, sheet["G2"].number_format) == (98, "#,##0")


def test_what_is_no_number_or_date_is_readable_text(tmp_path):
    frame = pl.DataFrame(
        {
            "when": [dt.datetime(2022, 12, 31, 1, 2, 3, 5)],
            "took": [dt.timedelta(days=1, seconds=3)],
            "cells": [[{"workbook": "ab", "cell": "Пытки!B8"}]],
            "none": [None],
            "kind": pl.Series(["men"], dtype=pl.Enum(["men", "women"])),
        }
    )
    kz.export(frame, tmp_path / "t.csv")
    kz.export(frame, tmp_path / "t.xlsx")
    expected = ["2022-12-31T01:02:03.000005", "P1DT3S"]
    expected += ['[{"workbook":"ab","cell":"Пытки!B8"}]', "", "men"]
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file))[1] == expected
    assert read_sheets(tmp_path / "t.xlsx")["data"][1] == [text or None for text in expected]


def test_a_lazy_frame_and_a_frame_without_rows_are_written(tmp_path):
    lazy = kz.scan_form_1m("2022-12", "KZ-75", "R1", "146")
    kz.export(lazy, tmp_path / "t.parquet")
    assert_frame_equal(pl.read_parquet(tmp_path / "t.parquet"), lazy.collect())
    for ending in ENDINGS:
        kz.export(lazy.limit(0), str(tmp_path / f"none.{ending.upper()}"))
    assert (tmp_path / "none.CSV").read_text().splitlines() == [",".join(lazy.collect().columns)]
    assert read_sheets(tmp_path / "none.XLSX")["data"] == [lazy.collect().columns]


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_same_table_gives_the_same_bytes(ending, tmp_path):
    code = (
        "import sys, kzresearch as kz; "
        "kz.export(kz.load_form_1m('2022-12', 'KZ', ['R1', 'R3'], '146'), sys.argv[1])"
    )
    for seed in "01":
        folder = tmp_path / seed
        folder.mkdir()
        subprocess.run(
            [sys.executable, "-c", code, folder / f"t.{ending}"],
            env={"PYTHONHASHSEED": seed, "TZ": f"UTC+{seed}", "PYTHONPATH": ":".join(sys.path)},
            check=True,
        )
    first, second = (sorted((tmp_path / seed).iterdir()) for seed in "01")
    assert [p.name for p in first] == [p.name for p in second] != []
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_nothing_of_the_machine_is_in_a_file(tmp_path):
    import zipfile

    for ending in ENDINGS:
        kz.export(torture(), tmp_path / f"t.{ending}")
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    with zipfile.ZipFile(tmp_path / "t.xlsx") as archive:
        content += b"".join(archive.read(name) for name in archive.namelist())
    for told in (str(tmp_path), f"{Path.home()}/"):
        assert told.encode() not in content
    told = openpyxl.load_workbook(tmp_path / "t.xlsx").properties
    assert (told.creator, told.lastModifiedBy) == (None, None)
    assert told.created == told.modified == dt.datetime(1980, 1, 1)


# --- refusals


def refusal(frame: object, path: Path, error: type[Exception] = kz.OutputError) -> str:
    """What the export of a frame is refused with; what was there is there, and nothing else."""
    before = {one: one.read_bytes() for one in path.parent.glob("*") if one.is_file()}
    with pytest.raises(kz.KzresearchError) as caught:
        kz.export(frame, path)  # type: ignore[arg-type]
    assert caught.type is error
    assert "\n" not in str(caught.value)
    assert {one: one.read_bytes() for one in path.parent.glob("*") if one.is_file()} == before
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["a", "x" * 32_768], "'a', row 2 holds a text longer than the 32,767 characters"),
        (["😀" * 16_384], "a text longer than the 32,767 characters"),
        ([None, "a\x0b"], "'a', row 2 holds a control character"),
        (["a\rb"], "a control character"),
        ([1.0, float("inf")], "'a', row 2 holds a number that is not finite"),
        ([float("nan")], "a number that is not finite"),
        ([2**53 + 1], "an integer beyond 2⁵³"),
        ([-(2**53) - 1], "an integer beyond 2⁵³"),
        ([dt.date(1899, 12, 31)], "a date outside the years 1900 to 9999"),
        (range(2**20), "1,048,576 rows and a header are more than the 1,048,576 of a sheet"),
    ],
)
def test_what_excel_cannot_hold_is_refused_before_anything_is_written(values, words, tmp_path):
    (tmp_path / "t.xlsx").write_bytes(b"what was there")
    message = refusal(pl.DataFrame({"a": values}), tmp_path / "t.xlsx")
    assert words in message
    assert message.startswith("t.xlsx: ")
    assert message.endswith("export to .parquet, which holds it")
    kz.export(frame := pl.DataFrame({"a": values}), tmp_path / "t.parquet")
    assert_frame_equal(pl.read_parquet(tmp_path / "t.parquet"), frame)


def test_what_excel_just_holds_is_written(tmp_path):
    texts = ["x" * 32_767, "😀" * 16_383, "a\tb\nc"]
    numbers = [2**53, -(2**53), 0]
    days = [dt.date(1900, 1, 1), dt.date(1900, 3, 1), dt.date(9999, 12, 31)]
    frame = pl.DataFrame(
        {"a": texts, "n": numbers, "d": days, "u": pl.Series([1, 2, 3], dtype=pl.UInt64)}
    )
    kz.export(frame, tmp_path / "t.xlsx")
    _, *lines = read_sheets(tmp_path / "t.xlsx")["data"]
    assert [line[0] for line in lines] == texts
    assert [line[1] for line in lines] == numbers
    assert [line[2].date() for line in lines[1:]] == days[1:]


def test_wide_tables_and_odd_names_are_refused_by_excel(tmp_path):
    wide = pl.DataFrame({f"c{n}": [1] for n in range(2**14 + 1)})
    assert "16,385 columns are more than the 16,384" in refusal(wide, tmp_path / "t.xlsx")
    odd = pl.DataFrame({"a\x01": [1]})
    assert "the name of a column holds a control character" in refusal(odd, tmp_path / "t.xlsx")


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_bytes_are_refused_where_there_is_only_text(ending, tmp_path):
    message = refusal(pl.DataFrame({"raw": [b"\xff"]}), tmp_path / f"t.{ending}")
    assert "column 'raw' holds Binary" in message
    assert "parquet" in message


@pytest.mark.parametrize("name", ["t.ods", "t", "t.csv.gz"])
def test_another_ending_is_refused(name, tmp_path):
    message = refusal(torture(), tmp_path / name, kz.UnknownValueError)
    assert message == f"{name} ends in none of .csv, .parquet, .xlsx; name a file that does"


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_folder_that_is_not_there_is_refused(ending, tmp_path):
    path = tmp_path / "none" / f"t.{ending}"
    assert refusal(torture(), path) == (
        f"there is no folder {tmp_path / 'none'}; make it, or name another"
    )
    (tmp_path / f"dir.{ending}").mkdir()
    assert "is a folder" in refusal(torture(), tmp_path / f"dir.{ending}")


def test_what_is_no_frame_or_has_no_columns_is_refused(tmp_path):
    message = refusal([1, 2], tmp_path / "t.csv", kz.KzresearchError)
    assert message.startswith("export takes a polars frame, not list")
    assert "no columns" in refusal(pl.DataFrame(), tmp_path / "t.csv", kz.KzresearchError)


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_existing_file_is_replaced_and_nothing_else_is_left(ending, tmp_path):
    kz.export(torture(), tmp_path / f"t.{ending}")
    files = kz.export(torture(measure="registered"), tmp_path / f"t.{ending}")
    kz.export(torture(measure="registered"), tmp_path / f"u.{ending}")
    assert sorted(files) == sorted(tmp_path.glob("t.*"))
    if ending != "csv":
        assert files[0].read_bytes() == (tmp_path / f"u.{ending}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2 * len(files)


def test_what_parquet_cannot_hold_is_one_sentence(tmp_path):
    frame = pl.DataFrame({"a": pl.Series([object()], dtype=pl.Object)})
    assert "nothing was written" in refusal(frame, tmp_path / "t.parquet")


# --- the command


def test_the_command_exports_figures_of_form_1m(tmp_path):
    path = tmp_path / "t.xlsx"
    options = ["--period", "2022-12", "--region", "KZ", "--article", "146", "--article", "362"]
    options += ["--section", "R1", "--measure", "registered", "--out", str(path)]
    done = CliRunner().invoke(cli.main, ["export", *options])
    assert done.exit_code == 0, done.output
    assert done.output == f"wrote {path}\n"
    lines = as_lines(read_sheets(path)["data"])
    assert [(line["row"], line["value"]) for line in lines] == [
        ("article:146", 98),
        (
            "article:362",
            kz.load_form_1m("2022-12", "KZ", "R1", "362", "registered")["value"].item(),
        ),
    ]
    done = CliRunner().invoke(cli.main, ["export", "--article", "9999", "--out", str(path)])
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: unknown article '9999'")

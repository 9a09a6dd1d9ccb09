"""Workbooks become the long frame: whose, of when, each figure from its cell."""

import hashlib
import random
import re
import shutil
from pathlib import Path

import dataframely as dy
import openpyxl
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kzresearch as kz
from kzresearch.form_1m import codebook
from kzresearch.schemas import MONEY, Form1M
from tests.workbooks import Raw, make_whole_form, make_workbook, place, refusal, value_of

FOLDER = r"C:\PROGRAM FILES (X86)\KPSU\EUSS\REPORT\{form}\{year}\{month}\{organ}" + "\\"
COLUMNS = [
    "period",
    "region",
    "section",
    "row",
    "measure",
    "unit",
    "value",
    "workbook",
    "cell",
    "period_source",
    "source",
    "note",
]


def saved_in(form: str = "1-M", year: str = "2022", month: str = "12", organ: str = "1971") -> str:
    return FOLDER.format(form=form, year=year, month=month, organ=organ)


def figure(frame: pl.DataFrame, **named: str) -> dict:
    """The one figure of that row and measure."""
    return frame.row(
        by_predicate=pl.all_horizontal(*(pl.col(k) == v for k, v in named.items())), named=True
    )


def test_one_section(good: Path):
    frame = kz.read_form_1m(good, "2022-12", "R11")
    assert frame.columns == COLUMNS
    assert Form1M.is_valid(frame)
    assert frame.height == 21 * 24
    assert figure(frame, row="total", measure="in_proceedings") == {
        "period": "2022-12",
        "region": "KZ-71",
        "section": "R11",
        "row": "total",
        "measure": "in_proceedings",
        "unit": "offences",
        "value": 101.0,
        "workbook": hashlib.sha256(good.read_bytes()).hexdigest(),
        "cell": "R11!E7",
        "period_source": "argument",
        "source": "form_1m",
        "note": "sum of rows 2 to 9 only; rows 10 to 21 are outside the total",
    }
    last = figure(frame, row="article:001", measure="domestic")
    assert (last["cell"], last["value"]) == ("R11!AB27", 2124.0)
    assert figure(frame, row="article:99:part_1", measure="deaths")["unit"] == "deaths"
    assert figure(frame, row="article:99:part_1", measure="deaths")["cell"] == "R11!G8"


@pytest.mark.parametrize("section", ["R1", "R11", "PRIL3", "PRIL4", "R3", "R9"])
def test_each_figure_is_that_of_its_cell(tmp_path: Path, section: str):
    path = make_workbook(tmp_path / "a.xlsx", [section])
    frame = kz.read_form_1m(path, "2022-12", section)
    assert _differences(frame, _sheets(path, [section])) == []
    width = codebook.form().section(section).columns.height
    assert set(frame["value"]) == {
        value_of(section, row, column)
        for row in range(1, frame.height // width + 1)
        for column in range(1, width + 1)
    }


def test_money_has_three_decimals(tmp_path: Path):
    noise = {"E7": "62618533.634999998", "F7": "0.30000000000000004", "G7": "5", "H7": "1.23456"}
    edits = {"R4": {cell: Raw("", f"<v>{text}</v>") for cell, text in noise.items()}}
    path = make_workbook(tmp_path / "a.xlsx", ["R4"], edits=edits)
    frame = kz.read_form_1m(path, "2022-12", "R4")
    assert frame["unit"].unique().to_list() == [MONEY]
    values = dict(frame.select("cell", "value").iter_rows())
    assert [values[f"R4!{c}7"] for c in "EFGH"] == [62618533.635, 0.3, 5.0, 1.235]
    assert values["R4!E8"] == value_of("R4", 2, 1) == 201.125


@pytest.mark.parametrize("inline", [False, True], ids=["shared texts", "inline texts"])
@pytest.mark.parametrize("number", [int, float])
def test_how_texts_and_numbers_are_stored_makes_no_difference(tmp_path: Path, inline, number):
    def values(section: str, row: int, column: int) -> float:
        return number(value_of(section, row, column))

    path = make_workbook(tmp_path / "a.xlsx", ["R11"], values=values, inline=inline)
    frame = kz.read_form_1m(path, "2022-12", "R11")
    assert frame["value"].sum() == sum(
        value_of("R11", row, column) for row in range(1, 22) for column in range(1, 25)
    )
    assert figure(frame, cell="R11!F9")["row"] == "article:99:part_2"


def test_only_the_section_asked_for_is_read(tmp_path: Path):
    path = make_workbook(tmp_path / "a.xlsx", ["R11", "PRIL3"], edits={"PRIL3": {"E7": -1}})
    assert kz.read_form_1m(path, "2022-12", "R11").height == 504
    assert refusal(path, section="PRIL3") == "PRIL3!E7: expected no negative figure, found -1"


@pytest.mark.slow
def test_whole_form(tmp_path: Path):
    path = make_whole_form(tmp_path / "a.xlsx", folder=saved_in())
    frame = kz.read_form_1m(path)
    assert frame.height == 217_460
    assert Form1M.is_valid(frame)
    assert frame["section"].unique(maintain_order=True).to_list() == codebook.section_names()
    expected = [
        value_of(name, row, column)
        for name in codebook.section_names()
        for row in codebook.form().section(name).rows["code"]
        for column in codebook.form().section(name).columns["number"]
    ]
    places = frame.with_columns(
        number=pl.col("section").replace_strict(
            {n: i for i, n in enumerate(codebook.section_names())}
        ),
        at=pl.col("cell").map_elements(_row_and_column, pl.List(pl.Int64)),
    )
    in_order = places.sort("number", pl.col("at").list.get(0), pl.col("at").list.get(1))
    assert in_order["value"].to_list() == expected
    one = kz.read_form_1m(path, section="R4")
    assert one.equals(frame.filter(pl.col("section") == "R4"))


def _row_and_column(cell: str) -> list[int]:
    return list(place(cell.split("!")[1]))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32), top=st.sampled_from([0, 1, 9, 1_000, 2**31, 2**52]))
def test_any_figures_come_back_from_their_cells(tmp_path: Path, seed: int, top: int):
    chance = random.Random(seed)
    written: dict[tuple[int, int], float] = {}

    def values(_: str, row: int, column: int) -> float:
        value = chance.choice([0, chance.randint(0, top)])
        return written.setdefault((row + 6, column + 3), chance.choice([value, float(value)]))

    path = make_workbook(tmp_path / "a.xlsx", ["R11"], values=values)
    frame = kz.read_form_1m(path, "2022-12", "R11")
    read = {place(cell[4:]): value for cell, value in frame.select("cell", "value").iter_rows()}
    assert read == written


# region


@pytest.mark.parametrize(
    ("organ_code", "name", "region"),
    [
        ("1971", "Астана", "KZ-71"),
        ("1951", "Туркестанская область", "KZ-61"),
        ("1910", "область Абай", "KZ-10"),
        ("1979", "г.Шымкент", "KZ-79"),
        ("1933", "область Жетісу", "KZ-33"),
        ("1962", "область Улытау", "KZ-62"),
    ],
)
def test_region_by_lookup(tmp_path: Path, organ_code: str, name: str, region: str):
    title = f"1-M  {name} (Свод)"
    path = make_workbook(tmp_path / "a.xlsx", organ_code=organ_code, title=title)
    assert kz.read_form_1m(path, "2022-12", "R11")["region"].unique().to_list() == [region]


def test_region_is_not_taken_from_the_name_of_the_file(tmp_path: Path, good: Path):
    path = shutil.copy(good, tmp_path / "Almaty.XLSX")
    assert kz.read_form_1m(path, "2022-12", "R11")["region"].unique().to_list() == ["KZ-71"]


@pytest.mark.parametrize("form", ["1-M", "1-М"], ids=["Latin", "Cyrillic"])
def test_form_with_either_letter(tmp_path: Path, form: str):
    title, folder = f"{form}  Астана (Свод)", saved_in(form=form)
    path = make_workbook(tmp_path / "a.xlsx", title=title, folder=folder)
    assert kz.read_form_1m(path, section="R11")["period_source"].unique().to_list() == ["workbook"]


IDENTITIES = {
    "no such code": ({"organ_code": "1961"}, "file properties: no region has the code 1961"),
    "another region's title": (
        {"title": "1-M  Алматы (Свод)"},
        "file properties: the title names 'Алматы', the code 1971 is of KZ-71, 'Астана'",
    ),
    "another region's code": (
        {"organ_code": "1951"},
        "file properties: the title names 'Астана', the code 1951 is of KZ-61, 'Туркестанская область'",
    ),
    "saved as another region's": (
        {"folder": saved_in(organ="1975")},
        "file properties: saved as the report 1-M of code 1975, described as 1-M of 1971",
    ),
    "СНГ-1": (
        {"title": "СНГ-1  Астана (Свод)", "description": "28327;50501;1971%;__"},
        "file properties: this is form СНГ-1, numbered 50501, not form 1-M, numbered 50119",
    ),
    "СНГ-1 by its title": (
        {"title": "СНГ-1  Астана (Свод)"},
        "file properties: this is form СНГ-1, numbered 50119, not form 1-M, numbered 50119",
    ),
    "title without form": ({"title": "Астана (Свод)"}, "file properties: no title"),
    "title of one body": ({"title": "1-M  Астана"}, "file properties: no title"),
    "no title": ({"title": ""}, "file properties: no title"),
    "no description": ({"description": " "}, "file properties: no description"),
    "another description": ({"description": "1971"}, "file properties: no description"),
}


@pytest.mark.parametrize("case", IDENTITIES)
def test_file_that_is_not_what_it_says(tmp_path: Path, case: str):
    options, expected = IDENTITIES[case]
    path = make_workbook(tmp_path / "a.xlsx", ["R11"], **options)
    assert refusal(path).startswith(expected)


def test_other_form_is_told_by_its_number_too(tmp_path: Path):
    path = make_workbook(tmp_path / "a.xlsx", description="28327;50501;1971%;__")
    message = refusal(path)
    assert message.startswith("file properties: ")
    assert "form 1-M, not form 1-M" not in message
    assert "50501" in message


# period


@pytest.mark.parametrize(
    ("folder", "argument", "period", "source"),
    [
        (saved_in(), None, "2022-12", "workbook"),
        (saved_in(), "2022-12", "2022-12", "workbook"),
        (saved_in(year="2021", month="2"), None, "2021-02", "workbook"),
        (saved_in(month="02").rstrip("\\"), None, "2022-02", "workbook"),
        (saved_in().replace("\\", "/"), None, "2022-12", "workbook"),
        (None, "2021-02", "2021-02", "argument"),
        (r"C:\Практика\archive" + "\\", "2022-12", "2022-12", "argument"),
    ],
)
def test_period_and_who_says_it(tmp_path: Path, folder, argument, period, source):
    path = make_workbook(tmp_path / "a.xlsx", folder=folder)
    frame = kz.read_form_1m(path, argument, "R11")
    assert frame.select("period", "period_source").unique().row(0) == (period, source)
    assert frame.height == 504


def test_period_given_must_be_that_of_the_file(tmp_path: Path):
    path = make_workbook(tmp_path / "a.xlsx", folder=saved_in())
    assert refusal(path, period="2022-11").startswith(
        "file properties: states the period 2022-12, but 2022-11 was given"
    )


def test_period_that_nobody_says(good: Path):
    message = refusal(good, period=None)
    assert message == "does not state its period; give it: period='YYYY-MM'"


def test_period_of_the_file_must_be_one(tmp_path: Path):
    path = make_workbook(tmp_path / "a.xlsx", folder=saved_in(month="13"))
    assert refusal(path).startswith("file properties: states 2022-13, which is no period")


@pytest.mark.parametrize("period", ["2022", "2022-13", "2022-00", "22-12", "2022-1", "12.2022", ""])
def test_period_given_must_be_one(good: Path, period: str):
    with pytest.raises(kz.WorkbookError) as caught:
        kz.read_form_1m(good, period, "R11")
    assert str(caught.value).startswith(f"period '{period}' is not of the form YYYY-MM")


# several workbooks


def _of(path: Path, organ_code: str, name: str, **options) -> Path:
    return make_workbook(path, organ_code=organ_code, title=f"1-M  {name} (Свод)", **options)


def test_several_workbooks(tmp_path: Path, good: Path):
    other = _of(tmp_path / "b.xlsx", "1975", "Алматы", values=lambda *_: 7)
    frame = kz.read_form_1m([good, str(other)], "2022-12", "R11")
    assert frame["region"].unique(maintain_order=True).to_list() == ["KZ-71", "KZ-75"]
    assert frame.filter(pl.col("region") == "KZ-75")["value"].to_list() == [7.0] * 504
    assert frame.filter(pl.col("region") == "KZ-71").equals(kz.read_form_1m(good, "2022-12", "R11"))
    sums = [hashlib.sha256(p.read_bytes()).hexdigest() for p in (good, other)]
    assert frame["workbook"].unique(maintain_order=True).to_list() == sums


def test_one_region_in_two_periods(tmp_path: Path):
    one = make_workbook(tmp_path / "a.xlsx", folder=saved_in())
    other = make_workbook(tmp_path / "b.xlsx", folder=saved_in(year="2021"))
    frame = kz.read_form_1m([one, other], section="R11")
    assert frame["period"].unique(maintain_order=True).to_list() == ["2022-12", "2021-12"]


@pytest.mark.parametrize("folder", [None, saved_in()])
def test_second_workbook_of_a_region_and_period(tmp_path: Path, good: Path, folder: str | None):
    other = make_workbook(tmp_path / "b.xlsx", values=lambda *_: 7, folder=folder)
    with pytest.raises(kz.WorkbookError) as caught:
        kz.read_form_1m([good, other], "2022-12", "R11")
    assert str(caught.value) == (
        "b.xlsx: file properties: a second workbook of KZ-71 for 2022-12, after good.xlsx; "
        "give one of the two"
    )


def test_the_same_file_twice(good: Path):
    with pytest.raises(kz.WorkbookError, match="a second workbook of KZ-71 for 2022-12"):
        kz.read_form_1m([good, good], "2022-12", "R11")


@pytest.mark.parametrize("first", [True, False])
def test_one_bad_workbook_leaves_no_figure_of_a_good_one(tmp_path: Path, good: Path, first: bool):
    bad = _of(tmp_path / "bad.xlsx", "1975", "Алматы", edits={"R11": {"E9": -1}})
    paths = [bad, good] if first else [good, bad]
    with pytest.raises(kz.WorkbookError) as caught:
        kz.read_form_1m(paths, "2022-12", "R11")
    assert str(caught.value) == "bad.xlsx: R11!E9: expected no negative figure, found -1"


def test_several_faults_are_one_error(tmp_path: Path):
    edits = {"R11": {"E9": -1, "F9": 1.5, "G9": "нет", "D20": None}}
    path = make_workbook(tmp_path / "a.xlsx", edits=edits)
    assert refusal(path) == "R11!G9: expected a number, found 'нет'"


def test_no_workbook_is_an_error():
    with pytest.raises(kz.WorkbookError, match="no workbook given"):
        kz.read_form_1m([], "2022-12")


@pytest.mark.parametrize(("wrong", "near"), [("R12", "R1"), ("r11", "R11"), ("PRIL12", "PRIL1")])
def test_unknown_section(good: Path, wrong: str, near: str):
    with pytest.raises(kz.UnknownValueError) as caught:
        kz.read_form_1m(good, "2022-12", wrong)
    assert str(caught.value).startswith(f"unknown section '{wrong}'; near matches: ")
    assert near in str(caught.value).split("near matches: ")[1].split(", ")


# the official workbooks of 2022-12


@pytest.fixture(scope="module")
def year_2022(official: list[Path]) -> dy.DataFrame[Form1M]:
    return kz.read_form_1m(official, "2022-12")


def _sheets(path: Path, names: list[str]) -> dict[str, list[tuple]]:
    """The cells of sheets as another reader gives them: rows of values from A1."""
    book = openpyxl.load_workbook(path, read_only=True)
    try:
        return {name: list(book[name].iter_rows(values_only=True, min_row=1)) for name in names}
    finally:
        book.close()


def _differences(frame: pl.DataFrame, sheets: dict[str, list[tuple]]) -> list[tuple]:
    """Figures that are not what stands in the cell they name, in the row of their article."""
    wrong = []
    columns = ("cell", "value", "row", "unit")
    index = {}
    for address, value, row, unit in frame.select(columns).iter_rows():
        sheet, cell = address.split("!")
        if cell not in index:
            index[cell] = place(cell)
        line = sheets[sheet][index[cell][0] - 1]
        found = line[index[cell][1]]
        tolerance = 0.000501 if unit == MONEY else 0
        if abs(found - value) > tolerance or not _is_row_of(row, line):
            wrong.append((address, value, found, row))
    return wrong


def _is_row_of(row: str, line: tuple) -> bool:
    if not (named := re.fullmatch(r"article:(\d+(-\d)?)", row)):
        return True
    article = re.compile(rf"ст\.{named[1]}(?!\d|-)")
    return any(isinstance(v, str) and article.search(v) for v in line[:3])


@pytest.mark.slow
def test_official_workbooks_are_whole(official: list[Path], year_2022: pl.DataFrame):
    counts = year_2022.group_by("region", "workbook").len()
    assert counts["len"].to_list() == [217_460] * 20
    assert set(counts["region"]) == set(kz.load_regions()["region"])
    sums = {hashlib.sha256(path.read_bytes()).hexdigest() for path in official}
    assert set(counts["workbook"]) == sums
    assert year_2022["period"].unique().to_list() == ["2022-12"]
    said = year_2022.filter(pl.col("period_source") == "workbook")["region"].unique()
    assert set(said) == {"KZ-71", "KZ-61"}  # the two that were never saved again


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Astana", "Turkistan_Region", "Zhetysu_Region"])
def test_every_figure_of_an_official_workbook(official, year_2022: pl.DataFrame, name: str):
    path = next(p for p in official if p.stem == name)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    frame = year_2022.filter(pl.col("workbook") == digest)
    assert frame.height == 217_460
    assert _differences(frame, _sheets(path, codebook.section_names())) == []


@pytest.mark.slow
def test_section_1_of_every_official_workbook(official: list[Path], year_2022: pl.DataFrame):
    for path in official:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        frame = year_2022.filter(pl.col("workbook") == digest, pl.col("section") == "R1")
        assert frame.height == 422 * 31
        assert _differences(frame, _sheets(path, ["R1"])) == [], path.name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "row", "measure", "total"),
    [
        ("R1", "total", "registered", 155_200),
        ("R1", "total", "in_proceedings", 181_367),
        ("R1", "misdemeanours", "registered", 20_171),
        ("R1", "crimes", "registered", 135_029),
        ("R1", "severity:especially_grave", "registered", 2_200),
        ("R1", "severity:grave", "registered", 43_663),
        ("R1", "severity:medium", "registered", 66_617),
        ("R1", "severity:minor", "registered", 22_548),
        ("R1", "chapter:3", "registered", 703),
        ("R1", "article:146", "registered", 98),
        ("R1", "article:146", "in_proceedings", 106),
        ("R1", "article:146", "terminated_rehabilitating", 812),
        ("PRIL11", "article:146", "registered", 76),
    ],
)
def test_national_sums_of_2022(year_2022: pl.DataFrame, section, row, measure, total):
    figures = year_2022.filter(
        pl.col("section") == section, pl.col("row") == row, pl.col("measure") == measure
    )
    assert figures.height == 20
    assert figures["value"].sum() == total

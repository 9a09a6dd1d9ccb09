"""A sheet that differs from the form is refused by the cell that differs; nothing is guessed."""

import datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import kzresearch as kz
from kzresearch.form_1m import codebook
from kzresearch.form_1m.workbook import column_letters, normalise
from tests.workbooks import Edit, Formula, Raw, make_grid, make_workbook, refusal, rewrite

NAMES = codebook.section_names()
ROWS = range(7, 28)  # of R11's figures
CAPTION_4 = "'Убийство матерью новорожденного ребенка (ст.100)' (row 4)"
IN_PROCEEDINGS = "expected the column caption 'Количество правонарушений, уголовные дела о которых"

# What is done to R11: the cell that the error names, and what it says was expected and found.
REFUSED: dict[str, tuple[Edit, str, str]] = {
    # figures
    "blank figure": ({"E9": None}, "R11!E9", "expected a number, found a blank"),
    "blank-looking figure": ({"E9": " "}, "R11!E9", "expected a number, found a blank"),
    "empty text": (
        {"E9": Raw('t="inlineStr"', "<is><t></t></is>")},
        "R11!E9",
        "expected a number, found a blank",
    ),
    "blank first column": (dict.fromkeys([f"E{r}" for r in ROWS]), "R11!E7", "expected a number"),
    "blank last column": (dict.fromkeys([f"AB{r}" for r in ROWS]), "R11!AB7", "expected a number"),
    "blank last row": (
        dict.fromkeys([f"{column_letters(c)}27" for c in range(4, 28)]),
        "R11!E27",
        "expected a number, found a blank",
    ),
    "text": ({"E9": "нет"}, "R11!E9", "expected a number, found 'нет'"),
    "number as text": ({"E9": "5"}, "R11!E9", "expected a number, found '5'"),
    "column of numbers as text": (
        {f"E{r}": "5" for r in ROWS},
        "R11!E7",
        "expected a number, found '5'",
    ),
    "dash": ({"AB27": "-"}, "R11!AB27", "expected a number, found '-'"),
    "negative": ({"E9": -3}, "R11!E9", "expected no negative figure, found -3"),
    "negative in the last cell": ({"AB27": -1}, "R11!AB27", "expected no negative figure"),
    "fraction": ({"E9": 1.5}, "R11!E9", "expected a whole count, found 1.5"),
    "infinite": ({"E9": Raw("", "<v>1e999</v>")}, "R11!E9", "expected a number, found inf"),
    "not a number": ({"E9": Raw("", "<v>NaN</v>")}, "R11!E9", "expected a number, found nan"),
    "error cell": (
        {"E9": Raw('t="e"', "<v>#N/A</v>")},
        "R11!E9",
        "expected a number, found a blank or an error",
    ),
    "formula": ({"E9": Formula("=E7-E8", 5)}, "R11!E9", "a formula, where the form holds plain"),
    "boolean": ({"E9": True}, "R11!E9", "expected a number, found 'TRUE'"),
    "column of booleans": ({f"E{r}": False for r in ROWS}, "R11!E7", "expected a number"),
    "date": (
        {"E9": datetime.date(2022, 12, 31)},
        "R11!E9",
        "expected a plain number, found '2022-12-31",
    ),
    "column of dates": (
        {f"E{r}": datetime.date(2022, 12, 31) for r in ROWS},
        "R11!E7",
        "expected a plain number, found '2022-12-31",
    ),
    # rows
    "row missing": (lambda g: g.delete_row(10), "R11!B10", f"expected the caption {CAPTION_4}"),
    "last row missing": (
        lambda g: g.delete_row(27),
        "R11!B27",
        "expected the caption '(Смерть лица)",
    ),
    "row added": (
        lambda g: g.insert_row(10, B="Убийство (ст.99-1)", D=4, E=1),
        "R11!B10",
        f"expected the caption {CAPTION_4}, found 'Убийство (ст.99-1)'",
    ),
    "blank row added": (
        lambda g: g.insert_row(10),
        "R11!B10",
        f"expected the caption {CAPTION_4}, found nothing",
    ),
    "blank row above the first": (
        lambda g: g.insert_row(7),
        "R11!B7",
        "expected the caption 'Всего преступлений (из строк 2 - 9)' (row 1), found nothing",
    ),
    "rows swapped": (
        lambda g: g.swap_rows(10, 11),
        "R11!B10",
        f"expected the caption {CAPTION_4}, found 'Убийство, совершенное в состоянии аффекта",
    ),
    "row renamed": (
        {"B10": "Убийство матерью новорожденного ребенка (ст.101)"},
        "R11!B10",
        (
            f"expected the caption {CAPTION_4}, found 'Убийство матерью новорожденного ребенка "
            "(ст.101)'"
        ),
    ),
    "Latin letter in a label": (
        {"B10": "Убийствo матерью новорожденного ребенка (ст.100)"},
        "R11!B10",
        f"expected the caption {CAPTION_4}, found 'Убийствo матерью",
    ),
    "row without label": (
        {"B18": None},
        "R11!B18",
        "expected the caption 'Доведение до самоубийства (ст.105)' (row 12), found nothing",
    ),
    "group name missing": (
        {"B8": None},
        "R11!B8",
        "expected the caption 'из них: > Убийство (ст.99 ч.1)' (row 2), found 'Убийство (ст.99",
    ),
    "number for the only label of a column": (
        {"C8": 0},
        "R11!C8",
        "expected the caption 'из них: > Убийство (ст.99 ч.1)' (row 2), found 'из них:",
    ),
    "only label of a column missing": (
        {"C8": None},
        "R11!B8",
        "expected the caption 'из них: > Убийство (ст.99 ч.1)' (row 2), found 'из них:'",
    ),
    "text between the labels": ({"C10": "лишнее"}, "R11!B10", f"expected the caption {CAPTION_4}"),
    "another row code": ({"D11": 6}, "R11!D11", "expected the row code 5, found 6"),
    "blank row code": ({"D11": None}, "R11!D11", "expected the row code 5, found a blank"),
    "negative row code": ({"D11": -5}, "R11!D11", "expected the row code 5, found -5"),
    "fractional row code": ({"D11": 5.5}, "R11!D11", "expected the row code 5, found 5.5"),
    "boolean row code": ({"D7": True}, "R11!D7", "expected the row code 1"),
    "row code as text": ({"D11": "5"}, "R11!D11", "expected the row code 5, found '5'"),
    "text for a row code": ({"D11": "5а"}, "R11!D11", "expected the row code 5, found '5а'"),
    "note below": ({"B28": "Примечание"}, "R11!B28", "expected no row below row 21"),
    "row code below": ({"D28": 22}, "R11!D28", "expected no row below row 21"),
    "figure below": ({"E28": 7}, "R11!E28", "expected no row below row 21"),
    "figure far below": ({"E40": 7}, "R11!E40", "expected no row below row 21"),
    "text in the code column below": ({"D28": "исп."}, "R11!D28", "expected no row below row 21"),
    # columns
    "column missing": (
        lambda g: g.delete_column("F"),
        "R11!F6",
        "expected the column number '2', found '3'",
    ),
    "last column missing": (
        lambda g: g.delete_column("AB"),
        "R11!AB6",
        "expected the column number '24', found nothing",
    ),
    "column added": (
        lambda g: g.insert_column("F"),
        "R11!F6",
        "expected the column number '2', found nothing",
    ),
    "column added at the end": ({"AC6": 25, "AC7": 1}, "R11!AC6", "found '25"),
    "columns swapped": (
        lambda g: g.swap_columns("E", "F"),
        "R11!E6",
        "expected the column number '1', found '2'",
    ),
    "captions swapped": (
        lambda g: (g.swap_columns("E", "F"), g.swap_columns("E", "F", first_row=6)),
        "R11!E4",
        (
            f"{IN_PROCEEDINGS} находились в производстве в …', found 'Количество правонарушений, "
            "зарегистрированных"
        ),
    ),
    "column renamed": (
        {"F4": "Зарегистрировано"},
        "R11!F4",
        (
            "expected the column caption 'Количество правонарушений, зарегистрированных в ЕРДР в "
            "отчетном периоде', found 'Зарегистрировано'"
        ),
    ),
    "lower caption renamed": (
        {"I5": "малолетних"},
        "R11!I5",
        (
            "expected the column caption 'из графы 3 > несовершеннолетних', found 'из графы 3 > "
            "малолетних'"
        ),
    ),
    "merged caption renamed": (
        {"H4": "из графы 2"},
        "R11!H4",
        "expected the column caption 'из графы 3 > женщин', found 'из графы 2 > женщин'",
    ),
    "merge narrowed": (
        lambda g: g.merges.remove((4, 7, 4, 8)),
        "R11!I4",
        "expected the column caption 'из графы 3 > несовершеннолетних', found 'несовершеннолетних'",
    ),
    "column without caption": ({"AA4": None}, "R11!AA4", "expected the column caption 'на улицах"),
    "date for a caption": ({"E4": datetime.date(2022, 1, 1)}, "R11!E4", IN_PROCEEDINGS),
    "another column number": ({"F6": 3}, "R11!F6", "expected the column number '2', found '3'"),
    "fractional column number": ({"F6": 2.4}, "R11!F6", "expected the column number '2'"),
    "blank column number": (
        {"F6": None},
        "R11!F6",
        "expected the column number '2', found nothing",
    ),
    "Latin heading of the labels": (
        {"B6": "A"},
        "R11!B6",
        "expected the label column's heading 'А', found 'A'",
    ),
    "heading of the codes missing": (
        {"D6": None},
        "R11!D6",
        "expected the code column's heading 'Б', found nothing",
    ),
    "caption of the labels renamed": (
        {"B4": "Показатели"},
        "R11!B4",
        "expected the caption 'Наименование показателей', found 'Показатели'",
    ),
    "caption of the codes renamed": (
        {"D4": "Код"},
        "R11!D4",
        "expected the caption 'Шифр строки', found 'Код'",
    ),
    "code column missing": (
        lambda g: g.delete_column("D"),
        "R11!D6",
        "expected the code column's heading 'Б', found '1'",
    ),
    "everything a column to the right": (
        lambda g: g.insert_column("A"),
        "R11!D6",
        "expected the code column's heading 'Б', found nothing",
    ),
    "everything a column to the left": (
        lambda g: g.delete_column("A"),
        "R11!D6",
        "expected the code column's heading 'Б', found '1'",
    ),
    "everything a row down": (
        lambda g: g.insert_row(1),
        "R11!",
        "expected the title 'Форма отчета",
    ),
    "everything a row up": (lambda g: g.delete_row(2), "R11!", "expected the title"),
    "figure beside": (
        {"AC9": 5},
        "R11!AC9",
        "expected an empty cell beside the form's last column",
    ),
    "text beside": (
        {"AC9": "х"},
        "R11!AC9",
        "expected an empty cell beside the form's last column",
    ),
    "figure beside the last row": ({"AZ27": 0}, "R11!AZ27", "expected an empty cell"),
    "label left of the labels": ({"A6": "А"}, "R11!A", "expected"),
    "text left of the labels": ({"A10": "глава"}, "R11!A10", "expected"),
    "number left of the labels": ({"A10": 10}, "R11!A10", "expected"),
    # titles
    "another title": (
        {"B3": "Раздел 12. Сведения о лицах"},
        "R11!B3",
        (
            "expected the title 'Форма отчета № 1-М «О зарегистрированных уголовных правонарушениях» "
            "Раздел 11. С…', found 'Раздел 12. Сведения о лицах'"
        ),
    ),
    "no title": ({"B3": None}, "R11!", "expected the title 'Форма отчета № 1-М"),
    "text above the title": ({"B1": "Черновик"}, "R11!B1", "found 'Черновик / Форма отчета"),
    "empty sheet": (lambda g: (g.cells.clear(), g.merges.clear()), "R11!", "expected the title"),
    "no rows": (
        lambda g: [g.cells.pop(at) for at in list(g.cells) if at[0] > 6],
        "R11!",
        "expected",
    ),
}


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_the_cell_that_differs(tmp_path: Path, case: str):
    edit, cell, expected = REFUSED[case]
    path = make_workbook(tmp_path / "Астана 2022.xlsx", ["R11"], edits={"R11": edit})
    message = refusal(path)
    assert message.startswith(cell), message
    where = message.split(":")[0]
    assert where == cell or not cell[-1].isdigit(), message
    assert expected in message


@pytest.mark.parametrize(
    "formula", ['<f t="shared" si="0"/>', '<f t="dataTable" ref="E9" dt2D="0" r1="A1"/>', "<f/>"]
)
def test_formula_without_text_is_a_formula(tmp_path: Path, formula: str):
    edit = {"E9": Raw("", f"{formula}<v>5</v>")}
    path = make_workbook(tmp_path / "a.xlsx", ["R11"], edits={"R11": edit})
    assert refusal(path).startswith("R11!E9: a formula")


def test_formula_in_a_sheet_with_prefixed_tags(tmp_path: Path):
    path = make_workbook(tmp_path / "a.xlsx", ["R11"], edits={"R11": {"E9": Formula("=1+1", 2)}})
    rewrite(path, {"xl/worksheets/sheet15.xml": _with_prefix})
    assert refusal(path).startswith("R11!E9: a formula")


def _with_prefix(xml: bytes) -> bytes:
    text = xml.decode().replace("</", "</\0").replace("<", "<x:").replace("<x:/\0", "</x:")
    return text.replace("<x:?xml", "<?xml").replace("xmlns=", "xmlns:x=").encode()


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-0.01, "expected no negative figure, found -0.01"),
        (-0.0004, "expected no negative figure"),
        (None, "expected a number, found a blank"),
        ("12,5", "expected a number, found '12,5'"),
    ],
)
def test_money_is_refused_too(tmp_path: Path, value: object, expected: str):
    path = make_workbook(tmp_path / "a.xlsx", ["R4"], edits={"R4": {"F70": value}})
    message = refusal(path, section="R4")
    assert message.startswith("R4!F70: ")
    assert expected in message


def test_what_is_expected_can_be_told_from_what_is_found(tmp_path: Path):
    caption = make_grid("R11")["K4"]
    path = make_workbook(tmp_path / "a.xlsx", edits={"R11": {"K4": f"{caption} (новая редакция)"}})
    message = refusal(path)
    assert message.startswith("R11!K4: ")
    expected, found = message.split("; ")[0].split(", found ")
    assert expected.split("caption ")[1] != found


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(
    ("sheets", "expected"),
    [
        ([n for n in NAMES if n != "PRIL11"], "expected sheet 'PRIL11', which is not there"),
        ([*NAMES, "R12"], "found sheet 'R12', which the form has not"),
        (
            ["R1a" if n == "R1" else n for n in NAMES],
            "expected sheet 'R1', which is not there; found sheet 'R1a', which the form has not",
        ),
        (
            ["r11" if n == "R11" else n for n in NAMES],
            "expected sheet 'R11', which is not there; found sheet 'r11', which the form has not",
        ),
        (
            [n for n in NAMES if n not in ("R2", "R3")],
            "expected sheet 'R2', 'R3', which is not there",
        ),
    ],
    ids=["missing", "added", "renamed", "lower case", "two missing"],
)
def test_sheets_are_those_of_the_form(tmp_path: Path, sheets: list[str], expected: str):
    path = make_workbook(tmp_path / "a.xlsx", ["R11"], sheets=sheets)
    message = refusal(path)
    assert message.startswith("sheets: ")
    assert expected in message


def test_second_sheet_of_nearly_the_same_name_is_an_added_sheet(tmp_path: Path):
    path = make_workbook(tmp_path / "a.xlsx", ["R11"], sheets=["R12", *NAMES])
    number = NAMES.index("R11") + 2
    with_other_figures = {}

    def remember(xml: bytes) -> bytes:
        with_other_figures["xml"] = xml.replace(b"<v>101</v>", b"<v>9</v>")
        return xml

    rewrite(
        path,
        {
            f"xl/worksheets/sheet{number}.xml": remember,
            "xl/worksheets/sheet1.xml": lambda _: with_other_figures["xml"],
            "xl/workbook.xml": lambda xml: xml.replace(b'name="R12"', b'name="R11 "'),
        },
    )
    assert refusal(path).startswith("sheets: ")


def test_order_of_the_sheets_is_free(tmp_path: Path):
    path = make_workbook(tmp_path / "a.xlsx", ["R11"], sheets=reversed(NAMES))
    frame = kz.read_form_1m(path, "2022-12", "R11")
    assert frame.filter(pl.col("cell") == "R11!F9")["value"].to_list() == [302]


@pytest.mark.parametrize(
    "edit",
    [
        {"B10": "\u00a0Убийство  матерью\u00a0новорожденного ребенка\n(ст.100) "},
        {
            "E4": " Количество  правонарушений, уголовные\u00a0дела о которых находились в\n"
            "производстве в отчетном периоде"
        },
        {
            "B3": "Форма отчета № 1-М «О зарегистрированных уголовных правонарушениях»\n Раздел 11. "
            "Сведения о количестве умышленных преступлений, повлекших смерть человека "
        },
        {"F6": "2"},
        lambda g: g.unmerge(),
    ],
    ids=["label", "caption", "title", "number as text", "texts repeated"],
)
def test_blanks_and_merges_make_no_difference(tmp_path: Path, good: Path, edit: Edit):
    path = make_workbook(tmp_path / "a.xlsx", ["R11"], edits={"R11": edit})
    figures = ["row", "measure", "value", "cell"]
    found = kz.read_form_1m(path, "2022-12", "R11").select(figures)
    assert found.equals(kz.read_form_1m(good, "2022-12", "R11").select(figures))


def test_sections_are_refused_by_their_own_name_when_all_are_read(tmp_path: Path):
    path = make_workbook(tmp_path / "a.xlsx", ["R1", "R11"])
    message = refusal(path, section=None)
    assert message.startswith("R1-1!")  # the first of the empty sheets
    assert "expected the title" in message


_WORDS = st.text("АБВгдеёжз 0123456789.-ABab\u00a0", max_size=8)
_PLACES = sorted(at for at in make_grid("R11").cells if at[0] <= 6 or at[1] <= 3)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.sampled_from(_PLACES), new=st.one_of(_WORDS, st.integers(-9, 400), st.none()))
@example(at=(8, 2), new=0)
@example(at=(7, 3), new="1")
def test_any_edit_of_a_caption_is_refused(tmp_path: Path, good: Path, at: tuple, new: object):
    address = f"{column_letters(at[1])}{at[0]}"
    old = make_grid("R11").cells[at]
    path = make_workbook(tmp_path / "a.xlsx", ["R11"], edits={"R11": {address: new}})
    shown = "" if new is None else normalise(str(new))
    # the codes of rows are numbers, by which a reader knows figures from captions
    code_as_text = isinstance(old, int) and at[1] == 3 and isinstance(new, str)
    if shown == normalise(str(old)) and not code_as_text:
        figures = kz.read_form_1m(path, "2022-12", "R11")["value"]
        assert figures.equals(kz.read_form_1m(good, "2022-12", "R11")["value"])
    else:
        assert refusal(path).startswith("R11!")


def test_formatted_blanks_below_and_beside_make_no_difference(tmp_path: Path, good: Path):
    blanks = {"E28": Raw('s="1"', ""), "D30": Raw('s="1"', ""), "AE9": Raw('s="1"', "")}
    path = make_workbook(tmp_path / "a.xlsx", ["R11"], edits={"R11": blanks})
    figures = ["row", "measure", "value", "cell"]
    found = kz.read_form_1m(path, "2022-12", "R11").select(figures)
    assert found.equals(kz.read_form_1m(good, "2022-12", "R11").select(figures))

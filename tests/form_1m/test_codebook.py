"""The codebook names every section, row and column of the form once and for all."""

import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kzresearch as kz
from kzresearch.form_1m import codebook
from kzresearch.form_1m.codebook import parse_articles
from kzresearch.form_1m.workbook import normalise
from kzresearch.schemas import MONEY, UNITS, Codebook

# section: columns, rows, code of article 146, as counted in the official workbooks
SIZES = {
    "R1": (31, 422, 64),
    "R1-1": (30, 422, 64),
    "R1-2": (30, 422, 64),
    "R2": (17, 406, 62),
    "R3": (26, 404, 60),
    "R3-1": (24, 404, 60),
    "R4": (18, 405, 60),
    "R4-1": (16, 405, 60),
    "R5": (29, 404, 60),
    "R6": (19, 406, 62),
    "R7": (16, 404, 60),
    "R8": (16, 404, 60),
    "R9": (19, 404, 60),
    "R10": (9, 404, 60),
    "R11": (24, 21, None),
    "PRIL1": (30, 404, 60),
    "PRIL2": (31, 83, None),
    "PRIL3": (3, 404, 60),
    "PRIL4": (49, 80, None),
    "PRIL5": (28, 399, 55),
    "PRIL6": (27, 404, 60),
    "PRIL7": (27, 397, 53),
    "PRIL8": (27, 397, 53),
    "PRIL9": (27, 398, 54),
    "PRIL10": (27, 398, 54),
    "PRIL11": (23, 399, 55),
}


def rows() -> pl.DataFrame:
    return kz.codebook().filter(pl.col("kind") == "row")


def columns() -> pl.DataFrame:
    return kz.codebook().filter(pl.col("kind") == "column")


def test_sections_in_the_order_of_the_form():
    assert codebook.section_names() == list(SIZES)
    assert kz.codebook()["section"].unique(maintain_order=True).to_list() == list(SIZES)


def test_every_row_and_column_is_there():
    assert columns().height == 623
    assert rows().height == 9_500
    assert sum(c * r for c, r, _ in SIZES.values()) == 217_460


@pytest.mark.parametrize("section", SIZES)
def test_size_of_a_section(section: str):
    width, height, torture = SIZES[section]
    frame = kz.codebook(section)
    assert frame["section"].unique().to_list() == [section]
    for kind, count in (("column", width), ("row", height)):
        numbers = frame.filter(pl.col("kind") == kind)["number"].to_list()
        assert numbers == list(range(1, count + 1))
    found = frame.filter(pl.col("name") == "article:146")["number"].to_list()
    assert found == ([] if torture is None else [torture])
    assert codebook.form().template(section).height == width * height


def test_template_gives_each_cell_once():
    frame = codebook.form().template(*SIZES)
    assert frame.height == 217_460
    assert frame["cell"].is_unique().all()
    assert frame.select(pl.struct("section", "row", "measure").is_unique().all()).item()


def test_measures_stand_once_in_a_section_with_one_unit():
    groups = columns().group_by("section", "name").agg(pl.len(), pl.col("unit").n_unique())
    assert groups["len"].to_list() == [1] * 623
    assert groups["unit"].to_list() == [1] * 623
    assert set(columns()["unit"]) <= set(UNITS)


def test_money_is_in_sections_4_and_4_1_only():
    money = columns().filter(pl.col("unit") == MONEY)
    assert set(money["section"]) == {"R4", "R4-1"}
    assert money.height == 18 + 16


def test_rows_stand_once_in_a_section():
    assert rows().select(pl.struct("section", "name").is_unique().all()).item()


def test_names_are_snake_case():
    name = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
    assert [n for n in columns()["name"].unique() if not name.fullmatch(n)] == []
    key = re.compile(r"[a-z]+(_[a-z]+)*(:[a-z0-9]+([_-][a-z0-9]+)*)*")
    assert [n for n in rows()["name"].unique() if not key.fullmatch(n)] == []


def test_every_row_and_measure_is_named_in_english():
    frame = kz.codebook()
    cyrillic = pl.col("label").str.contains(r"\p{Cyrillic}")
    assert frame.filter(pl.col("label").str.strip_chars() == "").is_empty()
    assert frame.filter(cyrillic)["label"].unique().to_list() == []
    assert rows()["title_ru"].null_count() == 0
    assert set(codebook.row_names()["row"]) == set(rows()["name"])


def test_every_article_row_is_named_by_its_caption():
    frame = rows().join(codebook.row_names().select("row", "kind"), left_on="name", right_on="row")
    kinds = frame.filter(pl.col("kind_right").is_in(["article", "article_part", "fact"]))
    assert kinds["name"].n_unique() == 377 + 11 + 2
    wrong = [
        (section, name, caption)
        for section, name, caption in kinds.select("section", "name", "caption").iter_rows()
        if [_key(*article) for article in parse_articles(caption)] != [name]
    ]
    assert wrong == []
    others = frame.filter(~pl.col("kind_right").is_in(["article", "article_part", "fact"]))
    named = others.filter(pl.col("caption").map_elements(_names_articles, pl.Boolean))
    assert named["name"].unique().to_list() == ["article:99:attempt"]


def _key(article: str, part: str | None, point: str | None) -> str:
    key = f"article:{article}"
    return key + (f":part_{part}" if part else "") + (f":point_{point}" if point else "")


def _names_articles(caption: str) -> bool:
    return bool(parse_articles(caption))


def test_articles_are_strings():
    articles = rows()["article"]
    assert articles.dtype == pl.String
    suffixed = {"188-1", "269-1", "295-1", "299-1", "345-1", "380-1", "380-2", "388-1", "412-1"}
    expected = {str(n) for n in range(99, 467)} | suffixed | {"000", "001"}
    assert set(articles.drop_nulls()) == expected


def test_codebook_is_as_its_schema_says():
    assert Codebook.is_valid(kz.codebook())


def test_positions_are_those_of_the_sheet():
    def positions(section: str, name: str) -> list[str]:
        return kz.codebook(section).filter(pl.col("name") == name)["position"].to_list()

    assert positions("R1", "registered") == ["F"]
    assert positions("R1", "article:146") == ["70"]
    assert positions("R11", "domestic") == ["AB"]


def test_several_sections():
    frame = kz.codebook(["R11", "R1"])
    assert frame["section"].unique(maintain_order=True).to_list() == ["R1", "R11"]
    assert frame.height == 31 + 422 + 24 + 21


@pytest.mark.parametrize(("wrong", "near"), [("R12", "R1"), ("r11", "R11"), ("PRIL12", "PRIL1")])
@pytest.mark.parametrize("several", [False, True])
def test_unknown_section_is_an_error_with_near_matches(wrong: str, near: str, several: bool):
    with pytest.raises(kz.UnknownValueError) as caught:
        kz.codebook(["R1", wrong] if several else wrong)
    message = str(caught.value)
    assert message.startswith(f"unknown section {wrong!r}; near matches: ")
    assert near in message.split("near matches: ")[1].split(", ")


@pytest.mark.parametrize(
    ("caption", "articles"),
    [
        ("Пытки (ст.146)", [("146", None, None)]),
        ("Подмена ребенка (ст.136.)", [("136", None, None)]),
        ("Жестокое обращение(ст.146)", [("146", None, None)]),
        ("Скотокрадство (ст.188-1)", [("188-1", None, None)]),
        ("(ст.296-298)", [("296", None, None), ("297", None, None), ("298", None, None)]),
        ("(ст.299-1)", [("299-1", None, None)]),
        ("(ст.99-99)", [("99-99", None, None)]),
        ("(Смерть лица) Факт не установлен (ст.001)", [("001", None, None)]),
        ("(Исчезновение лица) (ст.000)", [("000", None, None)]),
        ("Изнасилование (ст.120 ч.3 п.1)", [("120", "3", "1")]),
        ("(ст.345 ч.4,5)", [("345", "4", None), ("345", "5", None)]),
        (
            "Приготовление, покушение на убийство (ст.24 ч.1, ст.24 ч.3, ст.99 УК)",
            [("24", "1", None), ("24", "3", None), ("99", None, None)],
        ),
        ("(ст.ст.146 и 147 УК РК)", [("146", None, None), ("147", None, None)]),
        ("Пытки\u00a0(ст.\u00a0146\u00a0ч.1)", [("146", "1", None)]),
        ("(ст. 146  и  147)", [("146", None, None), ("147", None, None)]),
        ("(ст.146\u00a0и\u00a0147)", [("146", None, None), ("147", None, None)]),
        ("Всего преступлений (из строк 2 - 9)", []),
        ("Экспертизы (стр.11-15)", []),
        ("заражение (ВИЧ/СПИД)", []),
        ("проступки", []),
        ("", []),
    ],
)
def test_articles_of_a_caption(caption: str, articles: list):
    assert parse_articles(caption) == articles


@pytest.mark.parametrize(
    "caption", ["(ст.)", "(ст.сто)", "(ст.146 абв)", "(ст.146,,147)", "(ст.1-999999999)"]
)
def test_caption_that_names_no_article_it_promises_is_an_error(caption: str):
    with pytest.raises(ValueError, match="no article in"):
        parse_articles(caption)


Article = tuple[str, str | None, str | None]


@st.composite
def _items(draw: st.DrawFn) -> tuple[str, list[Article]]:
    """One item of a caption, and the articles that it names."""
    number = draw(st.integers(24, 466))
    kind = draw(st.sampled_from(["plain", "dot", "range", "suffix", "part", "parts", "point"]))
    part, point = str(draw(st.integers(1, 9))), str(draw(st.integers(1, 15)))
    match kind:
        case "range":
            last = number + draw(st.integers(1, 9))
            articles = [(str(n), None, None) for n in range(number, last + 1)]
            return f"{number}-{last}", articles
        case "suffix":
            article = f"{number}-{draw(st.integers(1, 9))}"
            return article, [(article, None, None)]
        case "part":
            return f"{number} ч.{part}", [(str(number), part, None)]
        case "parts":
            other = str(draw(st.integers(1, 9)))
            articles = [(str(number), part, None), (str(number), other, None)]
            return f"{number} ч.{part},{other}", articles
        case "point":
            return f"{number} ч.{part} п.{point}", [(str(number), part, point)]
    return f"{number}{'.' if kind == 'dot' else ''}", [(str(number), None, None)]


@st.composite
def captions(draw: st.DrawFn) -> tuple[str, list[Article]]:
    """A caption with the articles that it names."""
    items = draw(st.lists(_items(), min_size=1, max_size=5))
    text = draw(st.sampled_from(["ст.", "ст. ", "ст.ст."]))
    for index, (item, _) in enumerate(items):
        if index:
            text += draw(st.sampled_from([",", ", ", " и ", ", ст.", " и ст. "]))
        text += item
    text += draw(st.sampled_from(["", " УК", " УК РК"]))
    words = draw(st.text("абвгд ,.ё", max_size=12))
    before = draw(st.sampled_from(["", "(из строк 2 - 9)", "(Смерть лица) "]))
    caption = f"{before}{words}({text})"
    blank = draw(st.sampled_from([" ", "  ", "\u00a0", " \u00a0 "]))
    return caption.replace(" ", blank), [a for _, articles in items for a in articles]


@settings(max_examples=300, deadline=None)
@given(captions())
def test_articles_put_into_a_caption_are_read_back(made: tuple[str, list[Article]]):
    caption, articles = made
    assert parse_articles(normalise(caption)) == articles

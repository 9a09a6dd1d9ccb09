"""The language that readers are told things in, and the table of texts."""

import ast
import copy
import json
from datetime import date

import pytest

import kzresearch as kz
from kzresearch import captions, language, notebooks, records, texts
from kzresearch.errors import UnknownValueError
from kzresearch.figures import estimate, number, percent
from kzresearch.form_1m import codebook
from kzresearch.language import later, say, speaking
from kzresearch.regions import region_name, short_name

OTHERS = [code for code in language.LANGUAGES if code != "en"]
ARTICLE = "article of the Criminal Code: 146 is torture"


def test_the_table_holds_every_text_and_no_other():
    assert texts.written() == language.TABLE.read_text(encoding="utf-8"), (
        "texts were changed: kzresearch build texts"
    )


def test_every_text_is_in_every_language_with_the_same_names():
    assert not texts.lacking()


def test_texts_of_code_notebooks_templates_and_data_are_found():
    found = texts.said()
    assert found["sent to court"] == "flows.py"
    assert found["# Where the cases went: the case flow of one article"] == "notebooks/case_flow"
    assert found["Total"] == "rows of the form"
    assert found["article of the Criminal Code: 146 is torture"].startswith("notebooks/")
    assert found["{name}: where the cases came from, and where they went"] == "notebooks/case_flow"


def test_what_a_translation_lacks_is_told(monkeypatch):
    lines = [
        {"where": "a", "en": "{n} of it", "ru": "{n} из этого", "kk": "{m}", "review": ""},
        {"where": "b", "en": "none", "ru": " ", "kk": "жоқ", "review": ""},
        {"where": "c", "en": "{n:one|many}", "ru": "{n} {n:a|b|c}", "kk": "{n}", "review": ""},
    ]
    monkeypatch.setattr(language, "table", lambda: lines)
    assert texts.lacking() == [
        "a: other names in braces in kk: {n} of it",
        "b: not in ru: none",
    ]


@pytest.mark.parametrize(
    ("code", "written"),
    [
        ("en", ["32,270", "32,270.5", "88.5 %", "1.25", "< 0.1 %"]),
        ("ru", ["32\xa0270", "32\xa0270,5", "88,5\xa0%", "1,25", "<\xa00,1\xa0%"]),
        ("kk", ["32\xa0270", "32\xa0270,5", "88,5\xa0%", "1,25", "<\xa00,1\xa0%"]),
    ],
)
def test_numbers_are_written_as_the_language_does(code, written):
    with speaking(code):
        found = [number(32270), number(32270.5), percent(0.885), estimate(1.25), percent(0.0001)]
    assert found == written


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (-3, "−3"),
        (-0.0, "0"),
        (-1234.5, "−1,234.5"),
        (0.0004, "0.0004"),
        (2.9999, "3"),
        (0.1, "0.1"),
    ],
)
def test_a_number_below_nought_has_a_minus_and_one_that_is_small_its_digits(value, shown):
    assert number(value) == shown


@pytest.mark.parametrize(
    ("code", "months", "day"),
    [
        ("en", "January–December 2022", "26 November 2026"),
        ("ru", "январь–декабрь 2022 года", "26 ноября 2026 г."),
        ("kk", "2022 жылғы қаңтар–желтоқсан", "2026 ж. 26 қараша"),
    ],
)
def test_months_and_days_follow_the_language(code, months, day):
    with speaking(code):
        assert " ".join(captions.months("2022-12").split()) == months
        assert " ".join(language.day(date(2026, 11, 26)).split()) == day


def test_a_word_goes_with_its_number(monkeypatch):
    table = {"{n} {n:case|cases}": "{n} {n:дело|дела|дел}"}
    monkeypatch.setattr(language, "_texts", lambda: {"ru": table, "kk": {}})
    with speaking("ru"):
        said = [say("{n} {n:case|cases}", n=n) for n in (1, 2, 5, 11, 21, 812)]
    assert said == ["1 дело", "2 дела", "5 дел", "11 дел", "21 дело", "812 дел"]
    assert [say("{n} {n:case|cases}", n=n) for n in (0, 1, 2)] == ["0 cases", "1 case", "2 cases"]
    assert say("{n} {n:case|cases}", n=None) == "not reported cases"


@pytest.mark.parametrize("code", language.LANGUAGES)
def test_what_is_no_number_is_said_too(code):
    given = (float("nan"), float("inf"), -float("inf"))
    with speaking(code):
        said = [say("{n} {n:a|b|c}", n=n) for n in given]
    assert said == ["– c", "∞ c", "−∞ c"]


def test_a_text_reaches_nothing_but_its_values():
    with pytest.raises(KeyError):
        say("{a.__class__}", a="x")
    with pytest.raises(KeyError):
        say("{0}", a="x")
    assert say("{a}", a="{b}") == "{b}"
    assert later("{a}") == "{a}"


def test_what_is_told_once_is_told_once_in_each_language():
    class Case:
        told = 0

        @language.told_once
        def end(self) -> str:
            """How it ended."""
            self.told += 1
            return say("sent to court")

    case = Case()
    assert [case.end, case.end, case.told] == ["sent to court", "sent to court", 1]
    with speaking("ru"):
        assert [case.end, case.end, case.told] == ["направлено в суд", "направлено в суд", 2]
    assert [case.end, case.told] == ["sent to court", 2]


def test_names_are_in_the_order_of_each_alphabet():
    kazakh = [
        "Шымкент",
        "Ұлытау облысы",
        "Абай облысы",
        "Ақтөбе облысы",
        "Қостанай",
        "Қарағанды",
        "Жетісу",
    ]
    with speaking("kk"):
        assert language.in_order(kazakh) == [
            *("Абай облысы", "Ақтөбе облысы", "Жетісу", "Қарағанды", "Қостанай"),
            *("Ұлытау облысы", "Шымкент"),
        ]
        assert language.in_order("ыіь") == ["ы", "і", "ь"]
        assert language.in_order("үұух") == ["у", "ұ", "ү", "х"]
    with speaking("ru"):
        assert language.in_order(["Жамбыл", "Ёлка", "Ель", "Абай"]) == [
            "Абай",
            "Ёлка",
            "Ель",
            "Жамбыл",
        ]
        kazakh = [
            "Улан",
            "Іле",
            "Яик",
            "Ұлытау",
            "Ақсу",
            "Актобе",
            "Өскемен",
            "Һ",
            "Үржар",
            "Ғ",
            "Ң",
        ]
        assert language.in_order(kazakh) == [
            *("Ақсу", "Актобе", "Ғ", "Іле", "Ң", "Өскемен", "Улан", "Ұлытау", "Үржар", "Һ", "Яик"),
        ]


@pytest.mark.parametrize(
    ("code", "name", "short"),
    [
        ("en", "Abai Region", "Abai"),
        ("ru", "область Абай", "Абай"),
        ("kk", "Абай облысы", "Абай"),
    ],
)
def test_regions_have_their_names(code, name, short):
    with speaking(code):
        assert region_name("KZ-10") == name
        assert short_name("KZ-10") == short
        assert short_name("KZ-19") != short_name("KZ-75")  # a region and a city of one name


def test_a_code_of_no_region_has_no_name():
    with pytest.raises(UnknownValueError, match="unknown region 'KZ-751'; near matches: KZ-75, "):
        captions.source_line("2022-12", "KZ-751")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "en",
            (
                "KZ-75 Almaty / 146 Torture / 362 Excess of power or official authority; all offences / "
                "Kazakhstan / January–December 2022 / terminated total / no / Қазақша"
            ),
        ),
        (
            "ru",
            (
                "KZ-75 Алматы / 146 Пытки / 362 Превышение власти или должностных полномочий; "
                "все правонарушения / Казахстан / январь–декабрь 2022 года / прекращено всего / нет / "
                "Қазақша"
            ),
        ),
        (
            "kk",
            (
                "KZ-75 Алматы / 146 Пытки (орысша) / 362 Превышение власти или должностных полномочий "
                "(орысша); барлық құқық бұзушылық / Қазақстан / 2022 жылғы қаңтар–желтоқсан / "
                "барлығы тоқтатылған / жоқ / Қазақша"
            ),
        ),
    ],
)
def test_values_of_parameters_are_called_as_readers_know_them(code, words):
    given = {
        "region": "KZ-75",
        "article": "146",
        "compare": "362, total",
        "country": "Kazakhstan",
        "period": "2022-12",
        "indicator": "terminated_total",
        "unclear": False,
        "language": "kk",
    }
    with speaking(code):
        said = [" ".join(captions.value_in_words(*one).split()) for one in given.items()]
    assert said == words.split(" / ")
    assert captions.value_in_words("n", 3) == "3"
    for name, value in {"region": "XX", "article": "9999", "period": "2022", "map": "Mars"}.items():
        assert captions.value_in_words(name, value) == value  # a notebook's of one's own


def test_articles_have_their_official_titles():
    with speaking("ru"):
        assert captions.row_name("article:146") == "Статья 146. Пытки"
        assert captions.row_name("article:99:part_1") == "Статья 99, часть 1. Убийство"
        assert captions.row_name("chapter:4").startswith("Глава 4. Преступления против мира")
    with speaking("kk"):
        assert captions.row_name("article:146") == "146-бап. Пытки (орысша)"
    assert captions.row_name("article:146") == "Article 146. Torture"


def test_sections_have_the_titles_that_the_form_gives_them():
    put_right = {
        "прерванны ": "прерваны ",
        "раследования": "расследования",
        "тыс.тенге": "тыс. тенге",
    }
    for sheet, official in codebook.sections().select("section", "title_ru").iter_rows():
        with speaking("ru"):
            title = codebook.sheet_title(sheet)
        for wrong, right in put_right.items():
            title = title.replace(right, wrong) if wrong in official else title
        assert official.rstrip(".").endswith(f". {title}")
    with speaking("kk"):
        assert codebook.sheet_title("R10").startswith(
            "Құқық бұзушылық жасаған кәмелетке толмағандар"
        )
    assert codebook.sheet_title("R10") == "Minors who committed offences"


@pytest.mark.parametrize("code", OTHERS)
def test_every_row_of_the_form_has_a_name_in_another_script(code):
    english = codebook.row_names()
    with speaking(code):
        names = [codebook.row_name(line) for line in english.iter_rows(named=True)]
    assert not set(names) & set(english["name"])


def test_an_unknown_language_is_refused():
    with pytest.raises(kz.UnknownValueError, match="unknown language 'xx'; known: en, ru, kk"):
        kz.use_language("xx")
    with pytest.raises(kz.UnknownValueError, match="unknown language 'de'"):
        notebooks.find_notebook("case_flow").check({"language": "de"})
    assert notebooks.find_notebook("case_flow").choices("language") == ["en", "ru", "kk"]


def test_what_is_said_for_a_while_is_said_no_longer_after():
    with speaking("ru"):
        with speaking("kk"):
            assert language.current() == "kk"
        assert say("sent to court") == "направлено в суд"
    assert say("sent to court") == "sent to court"


@pytest.mark.parametrize("code", OTHERS)
def test_a_notebook_in_another_language_keeps_its_english(code):
    own = notebooks.find_notebook("case_flow")
    source = json.loads(own.source)
    worded = notebooks.worded(json.loads(own.source), code)
    prose = [cell for cell in worded["cells"] if cell["cell_type"] == "markdown"]
    assert prose[0]["source"] != "".join(source["cells"][0]["source"])
    again = notebooks.bare(worded)["cells"]
    assert ["".join(cell["source"]) for cell in again] == [
        "".join(cell["source"]) for cell in source["cells"]
    ]
    assert all(cell["metadata"].keys() <= {"tags"} for cell in again)


@pytest.mark.parametrize("code", OTHERS)
def test_a_copy_in_another_language_is_the_notebook_itself_but_for_what_was_changed(code):
    own = notebooks.find_notebook("case_flow")
    mine = notebooks.worded(json.loads(own.source), code)
    read = notebooks.notebook_of("case_flow", json.dumps(mine).encode())
    assert records.checksum(read.content) == records.checksum(own.content)
    (parameters,) = (c for c in mine["cells"] if "parameters" in c["metadata"].get("tags", []))
    given = "".join(parameters["source"])
    for before, after in (('"146"', '"147"'), ("2022-12", "2023-12"), ("KZ-75", "KZ-79")):
        given = given.replace(before, after, 1)
    edited = mine | {"cells": [parameters | {"source": given}]}
    read = notebooks.notebook_of("case_flow", json.dumps(edited).encode()).parameters
    assert [one.default for one in read][:3] == ["2023-12", "KZ", "147"]
    assert "KZ-79" in read[1].help  # a comment that was changed is theirs
    kept = {one.help for one in own.parameters if one.name != "region"}
    assert {one.help for one in read if one.name != "region"} == kept
    mine["cells"][0]["source"] = "# Моё название"
    changed = notebooks.notebook_of("case_flow", json.dumps(mine).encode())
    assert changed.title == "Моё название"
    again = [c["source"] for c in changed.content["cells"][1:]]
    assert ["".join(s) for s in again] == ["".join(c["source"]) for c in own.content["cells"][1:]]


@pytest.mark.parametrize(
    "code",
    [
        f"a = '''\n  # {ARTICLE}\n'''  # {ARTICLE}\n",
        f"# mine\na = 1  #{ARTICLE}\nb = '# {ARTICLE}'",
    ],
)
def test_in_another_language_only_the_comments_of_parameters_are_others(code):
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": code}
    worded = notebooks.worded({"cells": [copy.deepcopy(cell)]}, "ru")
    said = worded["cells"][0]["source"]
    assert said.count("статья Уголовного кодекса: 146 — пытки") == 1
    assert ast.dump(ast.parse(said)) == ast.dump(ast.parse(code))
    assert notebooks.in_english(worded, where_it_is=True) == {"cells": [cell]}
    for other in (cell | {"source": f"{code}\n'''"}, cell | {"metadata": {}}):
        assert notebooks.worded({"cells": [copy.deepcopy(other)]}, "ru") == {"cells": [other]}


@pytest.mark.parametrize("language", [["ru"], None, 1, ""])
def test_what_is_no_language_is_refused_in_words(language):
    with pytest.raises(kz.UnknownValueError, match="known: en, ru, kk"):
        kz.use_language(language)


def test_charts_write_numbers_as_the_language_does():
    assert language.of_numbers() is None
    with speaking("ru"):
        numbers = language.of_numbers()
    assert (numbers["decimal"], numbers["thousands"], numbers["percent"]) == (",", "\xa0", "\xa0%")

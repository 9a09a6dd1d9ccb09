"""The language in which readers are told things: English, Russian or Kazakh.

Every text for readers stands in English where it is used, in code, notebooks and templates, and is
looked up in one table, `texts.csv`, which a translator edits. See docs/languages.md.
"""

from __future__ import annotations

import csv
import math
import re
import string
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from kzresearch.errors import UnknownValueError

Told = TypeVar("Told")
LANGUAGES = {"en": "English", "ru": "Русский", "kk": "Қазақша"}
TABLE = Path(__file__).with_name("texts.csv")
_ALPHABETS = {"kk": "аәбвгғдеёжзийкқлмнңоөпрстуұүфхһцчшщъыіьэюя"}
"""Where an alphabet's order is not that of Unicode."""
_ALIKE = str.maketrans("ёәғқңөұүһі", "еагкноуухи")
"""Where a reader of Russian looks for letters that the alphabet lacks, or sorts as another."""
_MONTHS = {"kk": "format"}
"""The CLDR's other names of months, where those that stand alone begin with a capital."""
_FORMS = ("zero", "one", "two", "few", "many", "other")

_chosen = "en"
_within: ContextVar[str | None] = ContextVar("language", default=None)


def current() -> str:
    """The language that readers are told things in now: `en`, `ru` or `kk`."""
    return _within.get() or _chosen


def use_language(language: str) -> None:
    """Tell readers things in this language from now on: `en`, `ru` or `kk`.

    Labels of frames, charts, tables, sentences and numbers are in it. Raises UnknownValueError for another.

    >>> kz.use_language("ru")
    >>> kz.say("sent to court")
    'направлено в суд'
    >>> kz.use_language("en")
    """
    global _chosen  # noqa: PLW0603  a notebook chooses once, for all that follows
    _chosen = checked(language)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Tell readers things in this language for a while."""
    before = _within.set(checked(language))
    try:
        yield
    finally:
        _within.reset(before)


def checked(language: str) -> str:
    """The language's code; UnknownValueError for one that there is not."""
    if not isinstance(language, str) or language not in LANGUAGES:
        raise UnknownValueError(f"unknown language {language!r}; known: {', '.join(LANGUAGES)}")
    return language


def later(text: str) -> str:
    """The text itself: one that is put into words later, by `say(name)`, stands in the table too."""
    return text


def say(text: str, /, **values: object) -> str:
    """A text in the reader's language, with values in place of their names in braces.

    Numbers are written as the language does; None is "not reported", nan a dash. `{n:case|cases}`
    stands for the form of a word that goes with the number n: in English for one and for others, in
    Russian for 1, 2 and 5. A text that is not in the table is given as it stands.

    >>> kz.say("{n} {n:case|cases}", n=1200)
    '1,200 cases'
    """
    found = translated(text)
    return _formatter.vformat(found, (), values) if values else found


def noted(notes: str | None) -> str | None:
    """A note in the reader's language; where it is several, parted by semicolons, each of them."""
    if not notes:
        return None
    if (whole := translated(notes)) != notes:
        return whole
    return "; ".join(translated(note) for note in notes.split("; "))


def translated(text: str) -> str:
    """A text as the table has it in the reader's language, names in braces and all."""
    return text if current() == "en" else _texts()[current()].get(text, text)


def filled(text: str, **columns: Any) -> Any:
    """A text in the reader's language as an expression, with columns in place of names in braces.

    The columns are polars expressions; null where one of them is.
    """
    import polars as pl

    parts = list(string.Formatter().parse(translated(text)))
    pieces = [
        piece
        for literal, name, _, _ in parts
        for piece in (pl.lit(literal), *([columns[name]] if name else []))
    ]
    return pl.concat_str(pieces)


class told_once(Generic[Told]):  # noqa: N801  used as a decorator, as functools.cached_property is
    """A property that is worked out once in each language: what it gives has words in it."""

    def __init__(self, tell: Callable[[Any], Told]) -> None:
        self._tell, self.__doc__ = tell, tell.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}_by_language"

    def __get__(self, one: Any, owner: type | None = None) -> Told:
        held: dict[str, Told] = one.__dict__.setdefault(self._name, {})
        if current() not in held:
            held[current()] = self._tell(one)
        return held[current()]


def prose(markdown: str) -> str:
    """Markdown of which each paragraph is a text of the table."""
    return "\n\n".join(translated(part) for part in paragraphs(markdown))


def paragraphs(markdown: str) -> list[str]:
    """What a translator gets of a Markdown cell, one by one, each in one line but for lists."""
    parts = markdown.strip("\n").split("\n\n")
    return [re.sub(r"\n(?! *(([-*#>]+|\d+\.)\s|\|)) *", " ", part) for part in parts]


def localised(written: str) -> str:
    """A number written in English, `32,270.5`, as the reader's language writes it."""
    return written if current() == "en" else written.translate(_signs(current()))


def day(when: date) -> str:
    """A day in words: `26 November 2026`, in Russian `26 ноября 2026 г.`."""
    from babel.dates import format_date

    language = current()
    if language == "en":
        return format_date(when, "d MMMM y", locale=language)
    said = format_date(when, "long", locale=language)  # with a narrow blank, which few fonts show
    return re.sub(r"(?<=\d)\s(?=\w)", "\xa0", said)


def month(number: int) -> str:
    """The name of a month, as it stands alone within a sentence."""
    from babel.dates import get_month_names

    context: Any = _MONTHS.get(current(), "stand-alone")
    return str(get_month_names("wide", context, current())[number])


@cache
def warm(language: str) -> None:
    """Read what is said in a language, and how it writes months and numbers."""
    with speaking(language):
        _ = translated(""), _plural(language), day(date.min), month(1), of_numbers()


def initials() -> str:
    """The first letters of the months, one each."""
    from babel.dates import get_month_names

    return "".join(get_month_names("narrow", "stand-alone", current()).values())


def in_order(names: Iterable[str]) -> list[str]:
    """Names by the alphabet of the reader's language."""
    return sorted(names, key=collation())


def alphabet() -> str:
    """The letters of the reader's language in their order, where that is not Unicode's; else empty."""
    return _ALPHABETS.get(current(), "")


def collation() -> Callable[[str], Any]:
    """A key to sort names by, in the alphabet of the reader's language."""
    letters = alphabet()
    places = str.maketrans(letters, "".join(chr(0xE000 + n) for n in range(len(letters))))

    def key(name: str) -> tuple[str, str]:
        folded = name.casefold()
        return folded.translate(places if letters else _ALIKE), folded

    return key


@cache
def _texts() -> dict[str, dict[str, str]]:
    """Language → English text → what is said in that language."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file)
    english = header.index("en")
    return {
        language: {line[english]: line[at] for line in lines if line[at]}
        for at, language in enumerate(header)
        if language in LANGUAGES
    }


def table() -> list[dict[str, str]]:
    """The lines of the table of texts: `where`, `en`, `ru`, `kk`, `review`."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def _signs(language: str) -> dict[int, str]:
    """How a language parts thousands and decimals."""
    from babel.numbers import get_decimal_symbol, get_group_symbol

    signs = {",": get_group_symbol(language), ".": get_decimal_symbol(language), " ": "\xa0"}
    return str.maketrans(signs)


def of_numbers() -> dict[str, Any] | None:
    """How charts write numbers in the reader's language, as D3 has it; None for English."""
    if current() == "en":
        return None
    signs = _signs(current())
    return {
        "decimal": signs[ord(".")],
        "thousands": signs[ord(",")],
        "grouping": [3],
        "currency": ["", ""],
        "percent": signs[ord(" ")] + "%",
    }


@cache
def _plural(language: str) -> tuple[Callable[[Any], str], list[str]]:
    from babel import Locale

    rule = Locale(language).plural_form
    return rule, [form for form in _FORMS if form in rule.tags | {"other"}]


class _Formatter(string.Formatter):
    """Puts values into a text by name alone: no attribute, no index, so that a table cannot ask more."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:  # noqa: ARG002
        return kwargs[field_name], field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        from kzresearch.figures import number

        if format_spec:
            forms = format_spec.split("|")
            if value is None or not math.isfinite(value):
                return forms[-1]
            rule, names = _plural(current())
            return forms[min(names.index(rule(abs(value))), len(forms) - 1)]
        plain = isinstance(value, str) or value is True or value is False
        return str(value) if plain else number(value)


_formatter = _Formatter()

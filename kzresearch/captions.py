"""What figures are about, in words: the months, the region, the row of the form, the source."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kzresearch import datasets, sources
from kzresearch.form_1m import codebook
from kzresearch.form_1m.reader import SOURCE as FORM_1M
from kzresearch.language import LANGUAGES, current, month, say, translated
from kzresearch.regions import COUNTRY, change_of_bounds, region_codes, region_name, short_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.display import Markdown


def months(period: str) -> str:
    """The months that a period's figures cover: `January–December 2022`."""
    year, number = period.split("-")
    if number == "01":
        return say("{month} {year}", month=month(1), year=year)
    return say("{first}–{last} {year}", first=month(1), last=month(int(number)), year=year)


def title(period: str, region: str) -> str:
    """`Kazakhstan, January–December 2022`."""
    return f"{region_name(region)}, {months(period)}"


def country_name(name: str) -> str:
    """A country's name in the reader's language, by its English one; that itself where there is none."""
    if current() == "en":
        return name
    from babel import Locale

    codes = {english: code for code, english in Locale("en").territories.items()}
    return str(Locale(current()).territories[codes[name]] if name in codes else name)


def row_name(row: str, period: str | None = None) -> str:
    """A row of the form: `Article 146. Torture`, `Chapter 3. Criminal offences …`.

    Where a language has no name of its own for it, the form's Russian one, marked. With a period: as the version of the form in use then has it.
    """
    return codebook.row_name(codebook.row_line(row, period))


def article_name(article: str | int, period: str | None = None) -> str:
    """`Article 146. Torture`."""
    return row_name(datasets.row_of(article), period)


def value_in_words(name: str, value: object) -> str:
    """The value of a notebook's parameter as readers know it: `KZ-75 Almaty`, `146 Torture`.

    The value itself where it has no other name.
    """
    if isinstance(value, bool):
        return say("yes" if value else "no")
    told = _IN_WORDS.get(name)
    return told(str(value)) if told else str(value)


def _region(code: str) -> str:
    known = code == COUNTRY or code in region_codes(former=True)
    return f"{code} {short_name(code)}" if known else code


def _period(text: str) -> str:
    return months(text) if re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text) else text


def _offences(named: str) -> str:
    """What articles, or rows of the form, are about: `146 Torture; all offences`."""
    return "; ".join(_offence(one.strip()) for one in named.split(","))


def _offence(named: str) -> str:
    if named == "total":
        return say("all offences")
    row = named if ":" in named else f"article:{named}"
    try:
        known = row_name(row)
    except KeyError:
        return named
    return known if row == named else f"{named} {known.partition('. ')[2]}"


_IN_WORDS: dict[str, Callable[[str], str]] = {
    "region": _region,
    "period": _period,
    "article": _offences,
    "compare": _offences,
    "country": country_name,
    "indicator": lambda name: translated(name.replace("_", " ")),
    "map": translated,
    "language": lambda code: LANGUAGES.get(code, code),
}
"""What the values of parameters are called, by the parameters' names."""


def source_line(period: str, region: str) -> str:
    """Where the form's figures come from, for below a chart or a table."""
    summed = region == COUNTRY and datasets.is_summed(period)
    held = {source for of, source in datasets.covered(period) if summed or of == region}
    ids = sorted(held, reverse=True)
    if FORM_1M in ids:  # the workbooks' own figures go before a publication's about them
        ids = [FORM_1M]
    named = "; ".join(say(sources.source(source_id)["attribution"]) for source_id in ids)
    line = say("{title}. Source: {sources}", title=title(period, region), sources=named)
    return f"{line}. {_books(period, region)}" if FORM_1M in ids else line


def _books(period: str, region: str) -> str:
    """Which workbooks a period's figures of a region come from."""
    if region != COUNTRY:
        return say("The region's workbook; military, transport and central bodies file their own")
    if not datasets.is_summed(period):
        return say("The national workbook")
    return say(
        "Sum of {n} regional {n:workbook|workbooks}; military, transport and central bodies file "
        "their own",
        n=len(datasets.reported_by_workbooks(period)),
    )


def heading(period: str, region: str, what: str) -> Markdown:
    """What a notebook is about, in one line, and a warning where the region's bounds changed."""
    line = f"**{title(period, region)}** · {what}"
    note = change_of_bounds(region, period)
    return markdown(f"{line}\n\n" + say("**Mind:** {note}.", note=note) if note else line)


def markdown(text: str) -> Markdown:
    """Text that a notebook shows as prose."""
    from IPython.display import Markdown

    return Markdown(text)

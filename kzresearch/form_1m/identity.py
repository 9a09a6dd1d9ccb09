"""Whose report a workbook is, and of which period: what the file says, and what the caller says.

The two are checked against each other. What the file does not say the caller must; what neither
says is refused, never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from kzresearch.errors import WorkbookError, unknown_value
from kzresearch.form_1m import codebook
from kzresearch.regions import (
    COUNTRY,
    load_regions,
    region_codes,
    regions_reporting,
    regions_titled,
)
from kzresearch.schemas import PERIOD

if TYPE_CHECKING:
    from kzresearch.form_1m.workbook import Workbook

FORM = "1-M"
_TITLE = re.compile(r"(.+?)\s+(.+?)\s+\(Свод\)")
# The organ's code is of four digits for a region; that of the country is not known.
_DESCRIPTION = re.compile(r"\d+;(\d+);(\d{0,4})%;.*")
# form \ year \ month \ organ, as the official software lays out its reports
_FOLDER = re.compile(r"[\\/]([^\\/]+)[\\/](\d{4})[\\/](\d{1,2})[\\/](\d{4})(?:[\\/]|$)")
_FORM = re.compile(r"\w{1,4}-\w{1,2}")  # what else stands there may be the name of a person
_PLACE = "file properties"


@dataclass(frozen=True)
class Stated:
    """What the caller says of a workbook, and who says so: `argument`, `manifest` or `folder`.

    Raises `WorkbookError` for what is no period, `UnknownValueError` for what is no region.
    """

    period: str | None = None
    period_source: str = "argument"
    region: str | None = None
    region_source: str = "argument"

    def __post_init__(self) -> None:
        if self.period is not None and not re.fullmatch(PERIOD, str(self.period)):
            raise WorkbookError(
                f"period {self.period!r} is not of the form YYYY-MM, such as 2022-12, from 2000 on"
            )
        known = [*region_codes(former=True), COUNTRY]
        if self.region is not None and self.region not in known:
            raise unknown_value("region", self.region, known)


@dataclass(frozen=True)
class Identity:
    """Whose report a workbook is, and of which period.

    `region_source` and `period_source` say who says so: `workbook` where the file itself does,
    else as `Stated` has it. `organ_code` is the region's code in the file, None where it has none.
    """

    region: str
    region_source: str
    organ_code: str | None
    period: str
    period_source: str


def identify(workbook: Workbook, stated: Stated) -> Identity:
    """Form, region and period of a workbook, from its properties and from what is stated.

    Raises WorkbookError where the file is of another form, contradicts itself or what is stated,
    and where neither the file nor the caller says the region or the period.
    """
    title, organ_code = _title(workbook), _organ_code(workbook)
    own = _stated_period(workbook, organ_code)
    if own and stated.period and own != stated.period:
        said = _said(stated.period, stated.period_source)
        raise workbook.error(
            _PLACE, f"states the period {own}, but {said}; one of the two is wrong"
        )
    period = own or stated.period
    if period is None:
        raise workbook.error("", "does not state its period; give it: period='YYYY-MM'")
    region = _own_region(workbook, title, organ_code, period, stated)
    found = region or stated.region
    if found is None:
        raise _no_region(workbook, title, organ_code)
    if found not in (COUNTRY, *regions_reporting(period)):
        raise workbook.error(
            _PLACE,
            f"a report of {found} for {period}, when there was no such region; "
            "give the right period",
        )
    return Identity(
        found,
        "workbook" if region else stated.region_source,
        organ_code,
        period,
        "workbook" if own else stated.period_source,
    )


def _title(workbook: Workbook) -> str | None:
    """Whom the file's title names, once it is that of a Form 1-M report; None where it has none."""
    text = workbook.property("title")
    if not text:
        return None
    title = _TITLE.fullmatch(text)
    if not title:
        raise _not_as_published(workbook, "title")
    number = _DESCRIPTION.fullmatch(workbook.property("description"))
    if title[1].replace("М", "M") != FORM:
        form = f"form {title[1]}" if _FORM.fullmatch(title[1]) else "another form"
        numbered = f", numbered {number[1]}" if number else ""
        raise workbook.error(
            _PLACE, f"this is {form}{numbered}, not form 1-M, numbered {codebook.FORM_ID}"
        )
    return title[2]


def _organ_code(workbook: Workbook) -> str | None:
    """The code in the file's description, once it is of Form 1-M; None where it has none."""
    text = workbook.property("description")
    if not text:
        return None
    description = _DESCRIPTION.fullmatch(text)
    if not description:
        raise _not_as_published(workbook, "description")
    if description[1] != codebook.FORM_ID:
        raise workbook.error(
            _PLACE,
            f"this is the form numbered {description[1]}, not form 1-M, numbered "
            f"{codebook.FORM_ID}",
        )
    return description[2]


def _own_region(
    workbook: Workbook, title: str | None, organ_code: str | None, period: str, stated: Stated
) -> str | None:
    """The region that title and code agree on; None where the file leaves it to the caller.

    What the caller states can make up for a title that is not known or was given up before, or for
    a code that is not known or not there: never for both, unless the file has neither, and never
    against one of them. What is stated of the country needs no code known: that of its reports is
    not.
    """
    coded = load_regions(former=True).filter(pl.col("organ_code").eq_missing(pl.lit(organ_code)))
    by_code, named = coded["region"].to_list(), regions_titled(title or "")
    by_title = named["region"].unique().to_list()
    whose = " or ".join(f"{region}, '{name}'" for region, name in _names(coded))
    if by_code and by_title and not set(by_code) & set(by_title):
        raise workbook.error(
            _PLACE,
            f"the title names '{title}', the code {organ_code} is of {whose}; "
            "use the file as it was published",
        )
    if stated.region:
        said = f"but {_said(stated.region, stated.region_source)}; one of the two is wrong"
        if by_title and stated.region not in by_title:
            raise workbook.error(_PLACE, f"the title names '{title}', {said}")
        if by_code and stated.region not in by_code:
            raise workbook.error(_PLACE, f"the code {organ_code} is of {whose}, {said}")
    nothing_known = not by_code and not by_title and (title, organ_code) != (None, None)
    if nothing_known and stated.region != COUNTRY:
        raise workbook.error(
            _PLACE,
            f"no region has the title's name or the code '{organ_code or ''}'; only reports of the "
            "regions and of the country are read",
        )
    if by_title == [COUNTRY] and organ_code is not None:
        return COUNTRY
    return by_title[0] if by_code and _in_use(named, period) else None


def _names(regions: pl.DataFrame) -> list[tuple[str, str]]:
    return [(one["region"], one["form_name_ru"]) for one in regions.iter_rows(named=True)]


def _said(what: str, source: str) -> str:
    """What the caller stated, and who said so."""
    return f"{what} was given" if source == "argument" else f"the {source} says {what}"


def _in_use(named: pl.DataFrame, period: str) -> bool:
    """Whether a name was still in use in the period's year; false where there is none.

    A report printed again later has the later name, but none has the name given up before its year.
    """
    last = pl.col("used_to").dt.year()
    return not named.filter(last.is_null() | (last >= int(period[:4]))).is_empty()


def _stated_period(workbook: Workbook, organ_code: str | None) -> str | None:
    """The period in the folder that the file says it was saved in; None where it says none."""
    saved = _FOLDER.search(workbook.saved_under)
    if not saved:
        return None
    form, year, month, code = saved.groups()
    if form.replace("М", "M") != FORM or code != organ_code:
        # Another folder may have the name of a person.
        kind = f"the report {form}" if re.fullmatch(r"\d+-\w", form) else "another report"
        raise workbook.error(
            _PLACE,
            f"saved as {kind} of code {code}, described as 1-M of {organ_code or 'no code'}; "
            "the file has been altered",
        )
    period = f"{year}-{int(month):02d}"
    if not re.fullmatch(PERIOD, period):
        raise workbook.error(_PLACE, f"states {period}, which is no period")
    return period


def _no_region(workbook: Workbook, title: str | None, organ_code: str | None) -> WorkbookError:
    """What the file lacks that would say its region. A title that is not known is not shown."""
    if title is None or organ_code is None:
        what = "title" if title is None else "description"
        known = ", or if its region is known give it: region='KZ-75'"
        return _not_as_published(workbook, what, known)
    if regions_titled(title).is_empty():
        what = f"the title is no name known of the region with the code {organ_code}"
    elif organ_code in load_regions(former=True)["organ_code"]:
        what = f"the title names '{title}', a name given up before the period's year"
    else:
        what = f"no region has the code {organ_code}, the title names '{title}'"
    return workbook.error(_PLACE, f"{what}; if its region is known give it: region='KZ-75'")


def _not_as_published(workbook: Workbook, what: str, otherwise: str = "") -> WorkbookError:
    """The title or description is not there, or another's."""
    return workbook.error(
        _PLACE,
        f"no {what} as a Form 1-M report has it; use the file as it was published{otherwise}",
    )

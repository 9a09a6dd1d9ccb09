"""One official workbook → the long frame, or one error and no figure."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import dataframely as dy
import polars as pl

from kzresearch.errors import WorkbookError, unknown_value
from kzresearch.form_1m import codebook, layout
from kzresearch.form_1m.codebook import Form
from kzresearch.form_1m.workbook import Workbook
from kzresearch.regions import load_regions, regions_reporting
from kzresearch.schemas import PERIOD, Form1M

SOURCE = "form_1m"
_TITLE = re.compile(r"(.+?)\s+(.+?)\s+\(Свод\)")
_DESCRIPTION = re.compile(r"\d+;(\d+);(\d{4})%;.*")
# form \ year \ month \ organ, as the official software lays out its reports
_FOLDER = re.compile(r"[\\/]([^\\/]+)[\\/](\d{4})[\\/](\d{1,2})[\\/](\d{4})(?:[\\/]|$)")


@dataclass(frozen=True)
class Identity:
    """Whose report a workbook is, and of which period; `period_source` says who says so."""

    region: str
    organ_code: str
    period: str
    period_source: str


def read_form_1m(
    path: str | Path | Sequence[str | Path],
    period: str | None = None,
    section: str | None = None,
) -> dy.DataFrame[Form1M]:
    """Read Form 1-M workbooks into the long frame, one row per figure.

    `path` is one `.xlsx` file or several. `period` (YYYY-MM) is needed where a file does not state
    its own, as re-saved files do not. `section` reads one section (`"R1"`) instead of all 26 and
    checks the file's identity, its sheet list and that section.

    Returns a frame as `schemas.Form1M` describes: 217,460 rows a workbook, `value` in `unit`, with
    the workbook's sha256 and each figure's cell. `period_source` is `workbook` where the file
    states its period and `argument` where it was taken from `period`.

    Raises `WorkbookError` for a file that is not a Form 1-M workbook as the codebook describes it,
    naming the file, the sheet, the cell and what was expected; no figure is returned then.

    Source: Form 1-M, Committee on Legal Statistics and Special Accounts.
    """
    if section is not None and section not in codebook.section_names():
        raise unknown_value("section", section, codebook.section_names())
    if period is not None and not re.fullmatch(PERIOD, str(period)):
        raise WorkbookError(f"period {period!r} is not of the form YYYY-MM, such as 2022-12")
    paths = [path] if isinstance(path, (str, Path)) else list(path or [])
    if not paths:
        raise WorkbookError("no workbook given; give the path of an .xlsx file")
    reports: dict[tuple[str, str], tuple[Workbook, Identity]] = {}
    for one in paths:
        workbook = Workbook.open(one)
        identity = identify(workbook, period)
        earlier = reports.setdefault((identity.region, identity.period), (workbook, identity))
        if earlier[0] is not workbook:
            raise workbook.error(
                "file properties",
                f"a second workbook of {identity.region} for {identity.period}, after "
                f"{earlier[0].name}; give one of the two",
            )
    with ThreadPoolExecutor(max_workers=min(len(reports), os.cpu_count() or 1)) as pool:
        frames = list(pool.map(lambda one: _figures(one[0], one[1], section), reports.values()))
    return Form1M.cast(pl.concat(frames, rechunk=False))


def identify(workbook: Workbook, period: str | None = None) -> Identity:
    """Form, region and period from the file's own metadata, checked against each other."""
    title = _TITLE.fullmatch(workbook.property("title"))
    description = _DESCRIPTION.fullmatch(workbook.property("description"))
    if not title or not description:
        what = "title" if not title else "description"
        raise workbook.error(
            "file properties",
            f"no {what} as a Form 1-M report has it; use the file as it was published",
        )
    form = title[1].replace("М", "M")
    if form != "1-M" or description[1] != codebook.FORM_ID:
        raise workbook.error(
            "file properties",
            f"this is form {title[1]}, numbered {description[1]}, not form 1-M, numbered "
            f"{codebook.FORM_ID}",
        )
    organ_code = description[2]
    regions = load_regions()
    match = regions.filter(pl.col("organ_code") == organ_code)
    if match.is_empty():
        raise workbook.error("file properties", f"no region has the code {organ_code}")
    region = match["region"][0]
    if title[2] != match["form_name_ru"][0]:
        raise workbook.error(
            "file properties",
            f"the title names '{title[2]}', the code {organ_code} is of {region}, "
            f"'{match['form_name_ru'][0]}'; use the file as it was published",
        )
    stated = _stated_period(workbook, organ_code)
    if stated and not re.fullmatch(PERIOD, stated):
        raise workbook.error("file properties", f"states {stated}, which is no period")
    if stated and period and stated != period:
        raise workbook.error(
            "file properties", f"states the period {stated}, but {period} was given; drop one"
        )
    if not stated and not period:
        raise workbook.error("", "does not state its period; give it: period='YYYY-MM'")
    if region not in regions_reporting(stated or period or ""):
        raise workbook.error(
            "file properties",
            f"a report of {region} for {stated or period}, when there was no such region; "
            "give the right period",
        )
    return Identity(
        region, organ_code, stated or period or "", "workbook" if stated else "argument"
    )


def _stated_period(workbook: Workbook, organ_code: str) -> str | None:
    """The period in the folder that the file says it was saved in; None where it says none."""
    saved = _FOLDER.search(workbook.saved_under)
    if not saved:
        return None
    form, year, month, code = saved.groups()
    if form.replace("М", "M") != "1-M" or code != organ_code:
        # Another folder may have the name of a person.
        kind = f"the report {form}" if re.fullmatch(r"\d+-\w", form) else "another report"
        raise workbook.error(
            "file properties",
            f"saved as {kind} of code {code}, described as 1-M of {organ_code}; "
            "the file has been altered",
        )
    return f"{year}-{int(month):02d}"


def recognise(workbook: Workbook, section: str | None = None) -> tuple[Form, pl.DataFrame]:
    """The version of the form that a workbook is of, and its figures.

    Returns the figures in the order of the version's `template`: its columns, and `value`.

    Raises WorkbookError for a workbook that is of no version known.
    """
    first: WorkbookError | None = None
    for form in codebook.forms():
        if section is not None and section not in form.section_names:
            continue
        try:
            layout.check_sheets(workbook, form)
            names = form.section_names if section is None else [section]
            values = pl.concat([layout.figures(workbook, form.section(name)) for name in names])
            figures = form.template(*names).with_columns(values.alias("value"))
            layout.check_values(workbook, figures)
        except WorkbookError as error:
            first = first or error
        else:
            return form, figures
    raise first or unknown_value("section", section, codebook.section_names())


def _figures(workbook: Workbook, identity: Identity, section: str | None) -> pl.DataFrame:
    _, figures = recognise(workbook, section)
    return figures.select(
        pl.lit(identity.period).alias("period"),
        pl.lit(identity.region).alias("region"),
        "section",
        "row",
        "measure",
        "unit",
        "value",
        pl.lit(workbook.sha256).alias("workbook"),
        "cell",
        pl.lit(identity.period_source).alias("period_source"),
        pl.lit(SOURCE).alias("source"),
        "note",
    )

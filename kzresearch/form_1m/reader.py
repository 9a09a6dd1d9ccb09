"""One official workbook → the long frame, or one error and no figure."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dataframely as dy
import polars as pl

from kzresearch.errors import WorkbookError, unknown_value
from kzresearch.form_1m import codebook, layout
from kzresearch.form_1m.codebook import Form
from kzresearch.form_1m.identity import Identity, Stated, identify
from kzresearch.form_1m.workbook import Workbook
from kzresearch.schemas import Form1M

SOURCE = "form_1m"


def read_form_1m(
    path: str | Path | Sequence[str | Path],
    period: str | None = None,
    section: str | None = None,
    region: str | None = None,
) -> dy.DataFrame[Form1M]:
    """Read Form 1-M workbooks into the long frame, one row per figure.

    `path` is one `.xlsx` file or several. `period` (YYYY-MM) is needed where a file does not state
    its own, as re-saved files do not. `section` reads one section (`"R1"`) instead of all 26 and
    checks the file's identity, its sheet list and that section. `region` (`"KZ-75"`, `"KZ"` the
    country) is needed where a file's properties are lost or its title is not known.

    Returns a frame as `schemas.Form1M` describes: 217,460 rows a workbook, `value` in `unit`, with
    the workbook's sha256 and each figure's cell. `period_source` is `workbook` where the file
    states its period and `argument` where it was taken from `period`.

    Raises `WorkbookError` for a file that is not a Form 1-M workbook as the codebook describes it,
    naming the file, the sheet, the cell and what was expected; no figure is returned then.

    Source: Form 1-M, Committee on Legal Statistics and Special Accounts.

    >>> astana = kz.read_form_1m("Astana.XLSX", period="2023-12")
    >>> astana.height
    217460
    >>> torture = astana.filter(section="R1", row="article:146", measure="terminated_rehabilitating")
    >>> torture.select("region", "unit", "cell", "period_source").row(0)
    ('KZ-71', 'offences', 'R1!Q70', 'argument')
    """
    if section is not None and section not in codebook.section_names():
        raise unknown_value("section", section, codebook.section_names())
    stated = Stated(period, region=region)
    paths = [path] if isinstance(path, (str, Path)) else list(path or [])
    if not paths:
        raise WorkbookError("no workbook given; give the path of an .xlsx file")
    reports: dict[tuple[str, str], tuple[Workbook, Identity]] = {}
    for one in paths:
        workbook = Workbook.open(one)
        identity = identify(workbook, stated)
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


def recognise(workbook: Workbook, section: str | None = None) -> tuple[Form, pl.DataFrame]:
    """The version of the form that a workbook is of, and its figures.

    Returns the figures in the order of the version's `template`: its columns, and `value`.

    Raises WorkbookError for a workbook that is of no version known: it names the first place that
    differs from the nearest version.
    """
    refused: dict[Form, WorkbookError] = {}
    for form in _likeliest_first(section):
        try:
            layout.check_sheets(workbook, form)
            names = form.section_names if section is None else [section]
            values = pl.concat([layout.figures(workbook, form.section(name)) for name in names])
        except WorkbookError as error:
            refused[form] = error
            continue
        figures = form.template(*names).with_columns(values.alias("value"))
        layout.check_values(workbook, figures)
        if section is None:
            _recognised[:] = [form]
        return form, figures
    if not refused:
        raise unknown_value("section", section, codebook.section_names())
    raise _refusal(workbook, refused)


_recognised: list[Form] = []
"""The version of the workbook read last: the next one is likely to be of the same."""


def _likeliest_first(section: str | None) -> list[Form]:
    if section is not None:
        return [form for form in codebook.forms() if section in form.section_names]
    return sorted(codebook.forms(), key=lambda form: form not in _recognised)


def _refusal(workbook: Workbook, refused: dict[Form, WorkbookError]) -> WorkbookError:
    """The error of the nearest version, with what to do."""
    nearest = next(iter(refused))
    if len(refused) > 1:
        from kzresearch.form_1m import versions

        nearest = versions.nearest(workbook, list(refused))
    error = refused[nearest]
    if not isinstance(error, layout.UnlikeFormError):
        return error
    unfinished = "".join(f"; {reason}" for reason in codebook.left_out())
    return WorkbookError(
        f"{error}; this is not version {nearest.name} of the form nor another that is known"
        f"{unfinished}; see what differs: kzresearch ingest --explain {shlex.quote(workbook.name)}"
    )


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

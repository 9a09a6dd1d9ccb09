"""Finished runs → one page that leads to each of them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Sequence
from datetime import date
from functools import cache, lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

from kzresearch import captions, records
from kzresearch.language import (
    alphabet,
    collation,
    current,
    day,
    later,
    localised,
    say,
    speaking,
)
from kzresearch.notebooks import ORDER, notebooks, worded
from kzresearch.publish import TEMPLATES, cite, marked, status
from kzresearch.records import collection_id, data_version, language_of

Json = dict[str, Any]

TITLE = later("How torture cases are handled in Kazakhstan")
DOWNLOADS = {
    "results.csv": later("all recorded figures (CSV)"),
    "results.parquet": later("the same with the cells of each (parquet, for kz.results)"),
}
SIDE_BY_SIDE = 6
"""Runs of a notebook whose figures are all shown, beside each other; of more the files tell."""
FILES = {
    "html": later("page"),
    "pdf": later("PDF"),
    "ipynb": later("notebook"),
    "json": later("record"),
}
LONGEST_MESSAGE = 300
"""Characters of an error that the table shows; the record has all of it."""


class Cell(NamedTuple):
    """What a reader is shown, and what is sorted and cited where that is something else.

    A `value` of "" is none at all: it comes last however a table is sorted.
    """

    text: str
    value: str | None = None


class Column(NamedTuple):
    """A column of a table of runs: its cells in the order of the runs."""

    name: str
    cells: list[Cell]
    unit: str = ""
    kind: str = ""  # "number" or, where the filter looks for words, "words"
    recorded: bool = False  # a recorded figure, of which the name is the same in every language

    @property
    def words(self) -> str:
        return self.name if self.recorded else say(self.name)

    @property
    def varies(self) -> bool:
        return len(set(self.cells)) > 1


def index_page(
    records: Sequence[Json],
    files: Collection[str],
    superseded: Sequence[Json] = (),
    downloads: str = "",
) -> str:
    """The index page of a folder: for every notebook a table of its runs, to filter and to sort.

    In the language of the runs, or in English where theirs differ. `records` are the runs' records, `files` the names in the folder (a file that is not there is
    not linked), `superseded` records of runs that others of the same notebook and parameters have
    replaced. `downloads` is where the tables of all recorded figures among `files` lie, seen from
    the page: in the same folder, or `../`. All is there without scripts; the page's one script is allowed by its checksum, and
    nothing is asked of any other host.
    """
    with speaking(language_of(*records)):
        return _index_page(records, files, superseded, downloads)


def _index_page(
    records: Sequence[Json], files: Collection[str], superseded: Sequence[Json], downloads: str
) -> str:
    script = (TEMPLATES / "index" / "runs.js").read_text(encoding="utf-8")
    names = {record["notebook"] for record in (*records, *superseded)}
    files = frozenset(files)
    sections = [
        _section(
            [one for one in records if one["notebook"] == name],
            [one for one in superseded if one["notebook"] == name],
            files,
        )
        for name in sorted(names, key=_rank)
    ]
    return _template().render(
        language=current(),
        alphabet=alphabet(),
        thousands=localised(","),
        title=say(TITLE),
        sections=sections,
        count=len(records),
        about=_about(records),
        citations=_citations(records),
        downloads=[
            (downloads + name, say(words)) for name, words in DOWNLOADS.items() if name in files
        ],
        style=(TEMPLATES / "page" / "style.css").read_text(encoding="utf-8"),
        script=script,
        script_sha256=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


@cache
def _template() -> Any:
    import mistune
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    # HTML in Markdown is shown, not obeyed, and links to scripts lead nowhere.
    environment.filters |= {"markdown": mistune.create_markdown(escape=True), "day": _day}
    environment.globals |= {"say": marked, "status": status}
    return environment.get_template("index/runs.html.j2")


def _about(records: Sequence[Json]) -> list[tuple[str, str]]:
    """What was run, on what and when."""
    if not records:
        return []

    def several(words: Iterable[str]) -> str:
        return "; ".join(sorted(set(words)))

    failed = sum(one["status"] == "failed" for one in records)
    runs = later("{n}, {failed} of them failed") if failed else "{n}"
    first, *_, last = sorted(one["ended"] for one in [*records, *records])
    days = _day(first)
    if days != _day(last):
        days = say("{first} to {last}", first=days, last=_day(last))
    completed = (one for one in records if one["status"] == "completed")
    return [
        (say("Runs"), say(runs, n=len(records), failed=failed)),
        (say("Collection"), collection_id(completed)),
        (say("Notebooks"), several(one["notebook"] for one in records)),
        (say("Run on"), days),
        (say("Software"), several(_software(one["software"]) for one in records)),
        (say("Data version"), several(data_version(one) for one in records)),
        (say("Sources"), several(source["id"] for one in records for source in one["sources"])),
    ]


def _day(moment: str) -> str:
    """The day of a moment as records have it, in words; as it stands where it is none."""
    try:
        return day(date.fromisoformat(moment[:10]))
    except ValueError:
        return moment


def _software(software: Json) -> str:
    git, version = software["git"], software["version"]
    if not git:
        return say("kzresearch {version}, no commit known", version=version)
    text = later("kzresearch {version}, commit {commit}")
    if not git["clean"]:
        text = later("kzresearch {version}, commit {commit} with uncommitted changes")
    return say(text, version=version, commit=git["commit"][:12])


def _citations(records: Sequence[Json]) -> Json | None:
    """How to cite all completed runs together; None where there is none."""
    completed = [one for one in records if one["status"] == "completed"]
    return cite.collection(completed) if completed else None


def _rank(notebook: str) -> tuple[int, str]:
    """Notebooks in the order in which they are read, then others by name."""
    return (ORDER.index(notebook) if notebook in ORDER else len(ORDER), notebook)


def _worded(run: Json) -> tuple[str, str]:
    """A notebook's title and question; those of the project's in English where no run speaks as the page."""
    said = run["title"], run["question"]
    if language_of(run) != current():
        for own in notebooks():
            if said == records.opening(worded(json.loads(own.source), language_of(run))):
                return records.opening(own.content)
    return said


def _section(runs: list[Json], older: list[Json], files: frozenset[str]) -> Json:
    """What the page says of one notebook and its runs."""
    names = list(dict.fromkeys(name for run in runs for name in run["parameters"]))
    runs = sorted(runs, key=lambda run: [_natural(run["parameters"].get(n, "")) for n in names])
    parameters = [
        Column(name, [_parameter(name, run) for run in runs], "", "words") for name in names
    ]
    authors = Column(
        later("authors"), [Cell("; ".join(run["authors"]) or cite.NOBODY_NAMED) for run in runs]
    )
    version = Column(later("version"), [Cell(run["software"]["version"]) for run in runs])
    ended = Column(later("ended"), [Cell(_day(run["ended"]), run["ended"][:10]) for run in runs])
    run_id = Column(later("run id"), [Cell(run["run_id"]) for run in runs], "", "words")
    columns = [
        *(column for column in (*parameters, version, authors) if column.varies),
        Column(later("run status"), [Cell(_status(run)) for run in runs], "", "words"),
        *_key_figures(runs),
        Column(
            later("figures"),
            [Cell(str(len(run["results"]))) for run in runs],
            later("recorded"),
            "number",
        ),
        ended,
        run_id,
    ]

    def cited(column: Column) -> str | int:
        """What all runs have of it, or the number of the column that tells."""
        if column.varies:
            return columns.index(column)
        text, value = column.cells[0]
        return text if value is None else value

    same = {column.name: column.cells[0] for column in parameters if not column.varies}
    newest = max(runs or older, key=lambda run: (language_of(run) == current(), run["ended"]))
    title, question = _worded(newest)
    return {
        "name": newest["notebook"],
        "title": title,
        "question": question,
        "same": same,
        "columns": columns,
        "figures": _all_figures(runs, columns),
        "rows": [
            {"failed": run["status"] == "failed", "cells": cells, "links": _links(run, files)}
            for run, *cells in zip(runs, *(column.cells for column in columns), strict=True)
        ],
        "cite": {
            "authors": cited(authors),
            "version": cited(version),
            "parameters": [(column.name, cited(column)) for column in parameters],
            "run": cited(run_id),
            "ended": cited(ended),
        }
        if runs
        else None,
        "older": [
            {
                "record": run,
                "apart": [
                    (name, _parameter(name, run).text)
                    for name in run["parameters"]
                    if same.get(name) != _parameter(name, run)
                ],
                "links": _links(run, files),
            }
            for run in sorted(older, key=lambda run: run["ended"], reverse=True)
        ],
    }


def _parameter(name: str, run: Json) -> Cell:
    value = run["parameters"].get(name)
    return Cell("", "") if value is None else _shown(name, value, current())


@lru_cache(maxsize=None, typed=True)
def _shown(name: str, value: str | float, _language: str) -> Cell:
    """A parameter's value in a reader's words, and as it was given."""
    return Cell(captions.value_in_words(name, value), str(value))


def _status(run: Json) -> str:
    """`completed`, or `failed: KeyError in cell 7: 'registered'`."""
    error = run["error"]
    if not error:
        return status(run)
    message = " ".join(error["message"].split())
    if len(message) > LONGEST_MESSAGE:
        message = message[:LONGEST_MESSAGE] + "…"
    text = later("failed: {error}: {message}")
    if error["cell"] is not None:
        text = later("failed: {error} in cell {cell}: {message}")
    return say(text, error=error["type"], cell=str(error["cell"]), message=message)


def _key_figures(runs: list[Json]) -> list[Column]:
    """The figures that the runs call their key figures; those that none of them recorded are not."""
    results = [run["results"] for run in runs]
    recorded = {name for one in results for name in one}
    names = dict.fromkeys(name for run in runs for name in run["key_figures"])
    return [_figures(name, results) for name in names if name in recorded]


def _all_figures(runs: list[Json], columns: list[Column]) -> Json | None:
    """Every recorded figure of a few runs, side by side: the heads of the runs, and the lines."""
    results = [run["results"] for run in runs]
    names = list(dict.fromkeys(name for one in results for name in one))
    if not names or len(runs) > SIDE_BY_SIDE:
        return None
    apart = [column for column in columns if column.kind == "words" and column.varies]
    heads = [
        " ".join(column.cells[place].text for column in apart if column.name != "run status")
        for place in range(len(runs))
    ]
    found = [_figures(name, results) for name in names]
    return {"heads": heads if len(runs) > 1 else [say("Figure")], "lines": found}


def _figures(name: str, results: list[Json]) -> Column:
    units = {one[name]["unit"] for one in results if name in one}
    (unit,) = units if len(units) == 1 else ("",)

    def cell(given: Json | None) -> Cell:
        if given is None:
            return Cell("", "")
        text, value = given["text"], given["value"]
        return Cell(
            text if unit else f"{text} {say(given['unit'])}", "" if value is None else str(value)
        )

    return Column(name, [cell(one.get(name)) for one in results], unit, "number", recorded=True)


def _links(run: Json, files: frozenset[str]) -> list[tuple[str, str]]:
    """Address and name of each file that a run has left."""
    names = {f"{run['notebook']}-{run['run_id']}.{end}": what for end, what in FILES.items()}
    # Quoted, a name cannot be read as an address of another scheme.
    return [(quote(name, safe=""), say(what)) for name, what in names.items() if name in files]


def _natural(value: object) -> Any:
    """A key by which 9 comes before 10, KZ-9 before KZ-10, and words are in their alphabet's order."""
    return collation()(re.sub(r"\d+", lambda digits: digits[0].zfill(20), str(value)))

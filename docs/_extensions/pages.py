"""What the pages have that is not in their Markdown: the codebook's tables, and docstrings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import polars as pl
from sphinx.application import Sphinx

from kzresearch.form_1m import codebook

OUTSIDE = {"../data/README.md": "data.md", "../CHANGELOG.md": "changelog.md"}


def setup(app: Sphinx) -> dict[str, bool]:
    """Hooks into Sphinx."""
    app.connect("source-read", _completed)
    app.connect("autodoc-process-docstring", _as_restructured_text)
    app.connect("sphinx-click-process-description", _examples_as_samples)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _completed(_app: Sphinx, page: str, content: list[str]) -> None:
    """A link to a page outside this folder leads to the page that has it here."""
    for outside, inside in OUTSIDE.items():
        content[0] = content[0].replace(f"]({outside})", f"]({inside})")
    if page == "codebook":
        content[0] += "\n".join(_tables())


def _as_restructured_text(
    _app: Sphinx, _kind: str, _name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    """Indented blocks are samples, as in Markdown; all else of a docstring reads alike in both."""
    before = ""
    for place, line in reversed(list(enumerate(lines))):
        before = lines[place - 1] if place else ""
        if line.startswith("    ") and not before.strip() and not _inside(lines, place):
            lines[place:place] = ["::", ""]


def _examples_as_samples(_app: Sphinx, _ctx: Any, lines: list[str]) -> None:
    """The examples of a command's help, which click keeps as they are, can be copied."""
    found: list[str] = []
    for line in lines:
        if line in {"| Example:", "| Examples:"}:
            found += [line[2:], "", ".. code-block:: sh", ""]
        else:
            found.append(line.replace("|", " ", 1) if line.startswith("|   ") else line)
    lines[:] = found


def _inside(lines: list[str], place: int) -> bool:
    """Whether what stands before, blank lines aside, is a part of the same block or of a list."""
    above = next((line for line in reversed(lines[:place]) if line.strip()), "")
    return above.startswith((" ", "- ", "* ", ".. "))


def _tables() -> Iterator[str]:
    frame = codebook.lines()
    yield '\n<div id="find"></div>\n'
    yield "## Sections\n"
    yield _table(
        ("section", "title", "counts"),
        codebook.sections().select("section", "title_en", "scope").iter_rows(),
    )
    yield "## Measures\n"
    yield "What the columns of the form count, with the captions they have there.\n"
    yield _table(("measure", "unit", "sections", "meaning", "official caption"), _measures(frame))
    yield "## Rows\n"
    yield "English titles of articles are this project's translations.\n"
    yield _table(("row", "English", "official title"), _rows(frame))


def _measures(frame: pl.DataFrame) -> Iterator[tuple[str, ...]]:
    columns = frame.filter(kind="column")
    for measure, meaning in codebook.measure_descriptions():
        where = columns.filter(name=measure)
        units, sections, captions = (
            where[name].drop_nulls().unique(maintain_order=True)
            for name in ("unit", "section", "caption")
        )
        places = ", ".join(sections) or "publications only"
        yield f"`{measure}`", ", ".join(units), places, meaning, "; ".join(captions)


def _rows(frame: pl.DataFrame) -> Iterator[tuple[str, ...]]:
    captions = dict(
        frame.filter(kind="row").unique("name", keep="first").select("name", "caption").iter_rows()
    )
    for row, name, title in codebook.row_names().select("row", "name", "title_ru").iter_rows():
        yield f"`{row}`", name, title or captions.get(row) or ""


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    names = list(header)
    return "\n".join([line(names), line("---" for _ in names), *map(line, rows)]) + "\n"

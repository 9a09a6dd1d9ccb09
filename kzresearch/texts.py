"""What the table of texts holds: every text that code, notebooks, templates and data say to readers.

`kzresearch build texts` writes the table anew: a text that is new stands in it without translations, one
that is said no longer is gone, and the others keep theirs.
"""

from __future__ import annotations

import ast
import csv
import io
import re
import string
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from kzresearch import exports, language, sources
from kzresearch.form_1m import codebook
from kzresearch.notebooks import Notebook, notebooks
from kzresearch.resources import data_dir, read_texts
from kzresearch.schemas import INDICATORS

PACKAGE = Path(__file__).parent
COLUMNS = {
    "transcribed/regions.csv": ["note"],
    "transcribed/form_1m_reported.csv": ["note"],
    "published.csv": [
        *("article", "unit", "counted", "source", "publisher", "date_published", "geography"),
        "ambiguity",
    ],
}
"""Tables of the data whose columns hold texts that are said to readers."""
PARTED = {"article": ", ", "ambiguity": "; "}
"""Columns that hold several texts, and what stands between these."""
_NOTES = ("form_1m/codebook/columns.csv", "form_1m/codebook/rows.csv")
_NAMED = ("total", "class", "severity", "procedure")
"""Kinds of rows of the form that are called by names of the project's own."""
_SAID = {"say", "later", "translated"}
_FIELDS = ["where", "en", *(one for one in language.LANGUAGES if one != "en"), "review"]


def written() -> str:
    """The table as it has to be, with the translations that it holds."""
    held = {line["en"]: line for line in language.table()}
    out = io.StringIO()
    table = csv.DictWriter(out, _FIELDS, lineterminator="\n", restval="")
    table.writeheader()
    for text, where in said().items():
        table.writerow(held.get(text, {}) | {"where": where, "en": text})
    return out.getvalue()


def lacking() -> list[str]:
    """What is wrong with the table, a line each: a text without translation, names that do not match."""
    found = []
    for line in language.table():
        for code in language.LANGUAGES:
            if not line[code].strip():
                found.append(f"{line['where']}: not in {code}: {line['en']}")
            elif names(line[code]) != names(line["en"]):
                found.append(f"{line['where']}: other names in braces in {code}: {line['en']}")
    return found


def names(text: str) -> set[str]:
    """The names in braces of a text."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def said() -> dict[str, str]:
    """Every text that is said to readers, and where it is said first."""
    found: dict[str, str] = {}
    for where, text in _said():
        if re.search(r"[^\W\d_]{2}", text):
            found.setdefault(text, where)
    return found


def _said() -> Iterator[tuple[str, str]]:
    for notebook in notebooks():
        if any(one.name == "language" for one in notebook.parameters):
            yield from ((f"notebooks/{notebook.name}", text) for text in of_notebook(notebook))
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE).as_posix()
        yield from ((where, text) for text in _in_code(path.read_text(encoding="utf-8")))
    measures = read_texts(PACKAGE / "form_1m" / "codebook" / "measures.csv")
    yield from (("codebook/measures.csv", name.replace("_", " ")) for name in measures["measure"])
    yield from (("codebook/measures.csv", text) for text in measures["description"])
    identities = read_texts(PACKAGE / "form_1m" / "codebook" / "identities.csv")["description"]
    yield from (("codebook/identities.csv", text) for text in identities.drop_nulls())
    for path in sorted((PACKAGE / "publish" / "template").rglob("*.j2")):
        where = path.relative_to(PACKAGE).as_posix()
        yield from ((where, text) for text in _in_template(path.read_text(encoding="utf-8")))
    sections = codebook.sections()["title_en"]
    yield from (("codebook/sections.csv", title) for title in sections)
    for name in _NOTES:
        notes = read_texts(PACKAGE / name)["note"].drop_nulls()
        yield from ((name, note) for note in notes.str.split("; ").explode())
    named = codebook.row_names().filter(pl.col("kind").is_in(_NAMED))
    yield from (("rows of the form", name) for name in named["name"])
    for one in sources.load_sources()["id"]:
        block = sources.source(one)
        own = block.get("own", {})
        terms = (of.get(name) for name in ("citation", "licence") for of in (block, own))
        by_hand = (file.by_hand for file in sources.raw_files(one))
        told = (block["attribution"], *terms, *by_hand)
        yield from (("sources.toml", text) for text in told if text)
    for name, columns in COLUMNS.items():
        table = read_texts(data_dir() / name)
        for column in columns:
            for value in table[column].drop_nulls():
                parts = value.split(PARTED[column]) if column in PARTED else [value]
                yield from ((name, text) for text in parts)
    yield from (("schemas.py", name.replace("_", " ")) for name in INDICATORS)
    yield from (("schemas.py", text) for text in _of_columns())


def _of_columns() -> Iterator[str]:
    """What the columns of the tables mean, and their units."""
    for contract in exports.CONTRACTS:
        for column in contract.columns().values():
            told = column.metadata or {}
            yield from (told[of] for of in ("description", "unit") if of in told)


def of_notebook(notebook: Notebook) -> Iterator[str]:
    """The paragraphs of a notebook, and what it says of its parameters."""
    for cell in notebook.content["cells"]:
        source = "".join(cell["source"])
        yield from (_in_code if cell["cell_type"] == "code" else language.paragraphs)(source)
    yield from (one.help for one in notebook.parameters)


def _in_code(source: str) -> Iterator[str]:
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else call.func
        name = name.id if isinstance(name, ast.Name) else name
        if name in _SAID and call.args:
            first = call.args[0]
            for branch in (first.body, first.orelse) if isinstance(first, ast.IfExp) else (first,):
                if isinstance(branch, ast.Constant) and isinstance(branch.value, str):
                    yield branch.value


def _in_template(source: str) -> Iterator[str]:
    from jinja2 import Environment
    from jinja2.ext import extract_from_ast

    tree = Environment(autoescape=True).parse(source)
    for _, _, given in extract_from_ast(tree, gettext_functions=sorted(_SAID)):
        text, *_ = given if isinstance(given, tuple) else (given,)  # values follow
        if isinstance(text, str):
            yield text

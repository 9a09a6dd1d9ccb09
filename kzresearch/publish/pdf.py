"""An executed notebook and its record → a PDF, set by Typst: no LaTeX, no browser, no network.

What is said reaches Typst as data, in a file of JSON, and never as its markup: what stands in a
notebook, a parameter or a result can only be text.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from kzresearch.captions import value_in_words
from kzresearch.charts import spec_of
from kzresearch.language import current, day, later, say, speaking
from kzresearch.publish import TEMPLATES, cite, status
from kzresearch.publish.blocks import (
    ADDRESS,
    BREAK,
    Node,
    cell,
    fit,
    of_html,
    of_markdown,
    plain,
    table,
)
from kzresearch.publish.html import harmless, time_in_words
from kzresearch.publish.vega import VERSION
from kzresearch.records import language_of

Json = dict[str, Any]
KEPT = 40
"""Lines that are shown of a table, or of what was printed, that is too long to be."""
LONG_FOLDED, LONG = 100, 1000
"""Lines of a table above which it is: of one that a page has folded away, and of any other."""
LONG_TEXT = 4000
"""Characters of what was printed above which it is too long."""
LONG_MESSAGE = 600
"""Characters of an error's message that are shown."""
TALL = 920
"""Pixels of a chart that fill a page without being drawn smaller than its width asks for."""
_HEIGHT = re.compile(r'<svg[^>]* height="([0-9.]+)"')
_PICTURES = {"image/svg+xml": "svg", "image/png": "png", "image/jpeg": "jpg"}
_BANNER = "papermill-error-cell-tag"
_NO_WORDS = re.compile(r"\s*|<IPython\.core\.display\.\w+ object>")
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def document(notebook: Json, record: Json) -> bytes:
    """The PDF of a run: its question, parameters and citation, its text, figures and tables.

    In the language of the run. Charts are vector pictures with their alternative text, figures and tables are numbered, and all
    of it is tagged for screen readers. The same notebook and record give the same bytes.

    Raises ValueError or TypstError where a chart cannot be drawn, or a page not be set.
    """
    with tempfile.TemporaryDirectory(prefix="kzresearch-") as name:
        folder = Path(name)
        with speaking(language_of(record)):
            paper = _Paper(folder, record).of(notebook)
        (folder / "run.json").write_text(json.dumps(paper), encoding="utf-8")
        return _set(folder, _template(), record["ended"])


def _set(folder: Path, template: bytes, ended: str) -> bytes:
    """Typst's PDF of a template, which can read what is in the folder and nothing else."""
    import typst

    compiler = typst.Compiler(
        root=folder,
        ignore_system_fonts=True,  # the same letters on every machine
        package_path=folder,
        package_cache_path=folder,
    )
    at = int(datetime.fromisoformat(ended).timestamp())
    # Where the places of many figures depend on each other for ever, each stays where it comes.
    for how in ({}, {"in-place": "yes"}):
        made, warnings = compiler.compile_with_warnings(template, timestamp=at, sys_inputs=how)
        if not any("converge" in warning.message for warning in warnings):
            break
    assert isinstance(made, bytes)
    return made


@cache
def _template() -> bytes:
    return (TEMPLATES / "pdf" / "run.typ").read_bytes()


class _Paper:
    """What the template is given of one run; its pictures are left in a folder."""

    def __init__(self, folder: Path, record: Json) -> None:
        self._folder, self._record = folder, record
        self._pictures = 0
        self._drawn: dict[str, bytes] = {}
        self._notebook = f"{record['notebook']}-{record['run_id']}.ipynb"

    def of(self, notebook: Json) -> Json:
        """All that is said: the first page, and the blocks that follow."""
        record = self._record
        name = record["title"] or record["notebook"]
        return {
            "language": current(),
            "words": _words(),
            "id": record["run_id"],
            "footer": _nodes(
                later("{notebook}, run {run}"),
                notebook=plain(record["notebook"]),
                run=_code(record["run_id"]),
            ),
            "name": fit(name),
            "title": of_markdown(f"# {name}")[0]["of"] or [plain(name)],
            "authors": [fit(one) for one in record["authors"]],
            "question": [*_in_steps(of_markdown(record["question"]))],
            "failed": _failure(record),
            "parameters": [
                (plain(say(name)), [plain(value_in_words(name, value))])
                for name, value in record["parameters"].items()
            ],
            "facts": _facts(record),
            "warnings": _warnings(record),
            "citation": None if record["error"] else plain(cite.run(record)),
            "body": [*_in_steps(self._blocks(notebook)), *_appendix(record)],
        }

    def _blocks(self, notebook: Json) -> Iterator[Json]:
        """The notebook's texts and outputs, without its code, its title and its question."""
        opened = False
        for one in notebook["cells"]:
            if _BANNER in one["metadata"].get("tags", []):
                continue
            if one["cell_type"] == "markdown":
                yield from of_markdown(one["source"] if opened else _after_opening(one["source"]))
                opened = True
            elif one["cell_type"] == "raw":
                yield from self._lines(one["source"])
            for output in one.get("outputs", []):
                yield from self._output(output)

    def _output(self, output: Json) -> Iterator[Json]:
        if output["output_type"] == "stream":
            yield from self._lines(output["text"])
        elif output["output_type"] == "error":
            yield {"kind": "error", "of": plain(_said(output["ename"], output["evalue"]))}
            yield from self._lines("\n".join(output["traceback"]))
        else:
            yield from self._shown(output["data"])

    def _shown(self, data: Json) -> Iterator[Json]:
        """The first kind of an output that a page can hold, as a reader of the notebook is shown it."""
        if spec := spec_of(data):
            yield from self._chart(spec)
        elif blocks := of_html(harmless(data.get("text/html", ""))):
            yield from map(self._shortened, blocks)
        elif "text/markdown" in data:
            yield from of_markdown(data["text/markdown"])
        elif kind := next((one for one in _PICTURES if one in data), None):
            yield self._picture(data[kind], kind)
        elif not _NO_WORDS.fullmatch(text := data.get("text/plain", "")):
            yield from self._lines(text)

    def _chart(self, spec: Json) -> Iterator[Json]:
        """A chart; its title and what stands below that are the figure's, not drawn once more."""
        import vl_convert

        title, notes = _titles(spec.get("title"))
        said = {"description", "title"} if title else {"description"}
        alt = str(spec.get("description") or title or say("A chart without a description"))
        parts = _on_pages({name: part for name, part in spec.items() if name not in said})
        for number, svg in enumerate(parts, 1):
            # Not the same bytes each time, unlike what Typst makes of it where the same is not there twice.
            content = self._drawn.setdefault(svg, vl_convert.svg_to_pdf(svg))
            named = title
            if len(parts) > 1:
                text = later("{title} (part {number} of {parts})")
                named = say(text, title=title, number=number, parts=len(parts)).strip()
            told = alt if number == 1 else named
            yield self._figure(content, "pdf", told, named, notes) | {"part": number}

    def _picture(self, content: str, kind: str) -> Json:
        """A picture of the notebook's own; a sentence where it is broken, or refers to other files."""
        import typst

        try:
            raw = content.encode() if kind.endswith("xml") else base64.b64decode(content)
            made = self._figure(raw, _PICTURES[kind], say("A picture without a description"))
            _set(self._folder, f'#image("{made["file"]}")'.encode(), self._record["ended"])
        except (binascii.Error, typst.TypstError):
            return _remark(
                say(
                    "A picture cannot be shown here; the executed notebook, {file}, has it.",
                    file=self._notebook,
                )
            )
        return made

    def _figure(
        self, content: bytes, ending: str, alt: str, title: str = "", notes: str = ""
    ) -> Json:
        self._pictures += 1
        name = f"{self._pictures}.{ending}"
        (self._folder / name).write_bytes(content)
        said = {"title": plain(title), "notes": [plain(notes)] if notes else []}
        return {"kind": "figure", "file": f"/{name}", "alt": fit(alt), "part": 1, **said}

    def _shortened(self, block: Json) -> Json:
        """A table that is not too long, or its first lines and where the others are."""
        if block["kind"] != "table":
            return block
        rows = block["rows"]
        if len(rows) <= (LONG_FOLDED if block["folded"] else LONG):
            return block
        return block | {"rows": rows[:KEPT], "notes": [self._left(len(rows)), *block["notes"]]}

    def _left(self, lines: int) -> str:
        """What is said where the first lines of so many are shown."""
        return say(
            "{n} more {n:line is|lines are} left out here; the executed notebook, {file}, has all of "
            "them.",
            n=lines - KEPT,
            file=self._notebook,
        )

    def _lines(self, text: str) -> Iterator[Json]:
        """What was printed, line by line; the first lines of what is too long."""
        lines = _ANSI.sub("", text).strip("\n").split("\n")
        kept = "\n".join(lines[:KEPT])[:LONG_TEXT]
        if not kept.strip():
            return
        yield {"kind": "lines", "of": plain(kept)}
        if len(lines) > KEPT:
            yield _remark(self._left(len(lines)))
        elif len(kept) == LONG_TEXT:
            yield _remark(
                say(
                    "The rest is left out here; the executed notebook, {file}, has all of it.",
                    file=self._notebook,
                )
            )


def _on_pages(spec: Json) -> list[str]:
    """Drawings of a chart: one, or several of its panels, where a page has room for all only in tiny letters."""
    whole = _svg(spec)
    if _height(whole) <= TALL or "vconcat" not in spec:
        return [whole]
    parts: list[tuple[list[Json], str]] = []
    for view in spec["vconcat"]:
        if parts:
            longer = [*parts[-1][0], view]
            drawn = _svg(spec | {"vconcat": longer})
            if _height(drawn) <= TALL:
                parts[-1] = longer, drawn
                continue
        parts.append(([view], _svg(spec | {"vconcat": [view]})))
    return [drawn for _, drawn in parts]


def _svg(spec: Json) -> str:
    import vl_convert

    return vl_convert.vegalite_to_svg(spec, vl_version=VERSION, allowed_base_urls=[])


def _height(svg: str) -> float:
    return float(_HEIGHT.findall(svg)[0])


def _after_opening(text: str) -> str:
    """What a notebook's first text says after its title and its first paragraph: see `opening`."""
    return text.partition("\n")[2].strip().partition("\n\n")[2]


def _said(kind: str, message: str) -> str:
    """`KeyError: 'registered'`, not longer than a paragraph."""
    said = " ".join(f"{kind}: {message}".split())
    return said if len(said) <= LONG_MESSAGE else f"{said[:LONG_MESSAGE]} …"


def _remark(text: str) -> Json:
    """A sentence of this module's own."""
    return {"kind": "paragraph", "of": [{"kind": "emph", "of": [plain(text)]}]}


def _titles(given: Any) -> tuple[str, str]:
    """A chart's title and subtitle, each in one line; empty where they are no texts."""
    parts = given if isinstance(given, dict) else {"text": given}

    def line(part: Any) -> str:
        lines = part if isinstance(part, list) else [part]
        return " ".join(lines) if all(isinstance(one, str) for one in lines) else ""

    return line(parts.get("text")), line(parts.get("subtitle"))


def _in_steps(blocks: Iterable[Json]) -> Iterator[Json]:
    """The blocks, their headings one level up, since the title is none, and none skipped."""
    above = 0
    for block in blocks:
        if block["kind"] == "heading":
            above = max(1, min(block["level"] - 1, above + 1))
            block["level"] = above
        yield block


def _failure(record: Json) -> str | None:
    error = record["error"]
    if not error:
        return None
    text = later("This run failed in cell {cell}, and is not to be cited. {error}")
    if error["cell"] is None:
        text = later("This run failed outside its cells, and is not to be cited. {error}")
    said = _said(error["type"], error["message"])
    return plain(say(text, cell=str(error["cell"]), error=said))


def _facts(record: Json) -> list[tuple[str, list[Node]]]:
    """What the first page tells of the run, by name."""
    software = record["software"]
    made_by: dict[str, Any] = {"name": software["name"], "version": software["version"]}
    text = later("{name} {version}")
    if software["git"]:
        text = later("{name} {version}, commit {commit}")
        made_by["commit"] = _code(software["git"]["commit"])
    return [
        (say("Notebook"), _code(record["notebook"])),
        (say("Run id"), _code(record["run_id"])),
        (say("Run status"), [status(record)]),
        (say("Date"), [time_in_words(record["ended"])]),
        (say("Software"), _nodes(text, **made_by)),
    ]


def _nodes(text: str, /, **values: Any) -> list[Node]:
    """A text that is said, as parts of a line; values that are such parts stay so."""
    parts = {name: of for name, of in values.items() if isinstance(of, list)}
    marks = {name: chr(0xE000 + place) for place, name in enumerate(parts)}
    found = {mark: parts[name] for name, mark in marks.items()}
    pieces = re.split("([\ue000-\uf8ff])", say(text, **values | marks))
    return [node for one in pieces if one for node in found.get(one, [one])]


def _words() -> Json:
    """What the template says of itself, with names in braces for the numbers that it counts."""
    return {
        "figure": say("Figure {n}", n="{n}"),
        "table": say("Table {n}", n="{n}"),
        "page": say("{n} of {all}", n="{n}", all="{all}"),
        "cite": say("To cite this run"),
    }


def _warnings(record: Json) -> list[str]:
    """What speaks against taking the commit for the code that ran."""
    git = record["software"]["git"]
    if git is None:
        return [say("This was not run from a git checkout, so no commit names the code that ran.")]
    if not git["clean"]:
        return [
            say(
                "The checkout had uncommitted changes, so the commit alone is not the code that ran."
            )
        ]
    return []


def _appendix(record: Json) -> Iterator[Json]:
    """The record of the run, as far as its reader needs it to go back to the sources."""
    yield {"kind": "heading", "level": 1, "of": [say("Record of this run")]}
    if sources := record["sources"]:
        yield _listed(
            say("Sources of the recorded figures"),
            [say("Source"), say("To be cited as"), say("Licence")],
            [[_code(one["id"]), _source(one), _licence(one)] for one in sources],
        )
    if workbooks := record["workbooks"]:
        yield _listed(
            say("Workbooks of the recorded figures"),
            [say("Workbook"), say("Region"), say("Period"), say("Checksum (sha256)")],
            [_workbook(one) for one in workbooks],
        )
    if data := record["data"]:
        yield _listed(
            say("The data that the run could read"),
            [say("Table"), say("Checksum (sha256)")],
            [[[plain(name)], _code(sha256)] for name, sha256 in data.items()],
        )
    code, versions = record["code"], record["versions"].items()
    checksum = _code(code["notebook"])
    text = later("Code, by its checksum (sha256): the notebook’s cells {checksum}")
    yield _small(*_nodes(text, checksum=checksum))
    yield _small(*_nodes(later("The package {checksum}"), checksum=_code(code["package"])))
    listed = ", ".join(f"{name} {version}" for name, version in versions)
    text = later("Run by the {engine} engine, with {versions}.")
    yield _small(plain(say(text, engine=record["engine"], versions=listed)))


def _workbook(one: Json) -> list[list[Node]]:
    file = _link(one["file"] or say("not known"), one["address"])
    return [file, [one["region"] or ""], [one["period"] or ""], _code(one["sha256"])]


def _source(one: Json) -> list[Node]:
    cited = say(one["citation"] or one["title"] or "not known")
    dates = {"date_published": later("Published {day}."), "date_accessed": later("Accessed {day}.")}
    said = [say(text, day=_date(one[name])) for name, text in dates.items() if one[name]]
    return [plain(" ".join([cited.rstrip(".") + ".", *said]))]


def _date(written: str) -> str:
    """A day in words; a month, or a year, as it is written."""
    return day(date.fromisoformat(written)) if len(written) == len("2026-11-26") else written


def _licence(one: Json) -> list[Node]:
    address = one["licence_address"]
    return [
        plain(say(one["licence"] or "not known")),
        *([BREAK, *_link(address, address)] if address else []),
    ]


def _link(text: str, address: str | None) -> list[Node]:
    if not ADDRESS.fullmatch(address or ""):
        return [plain(text)]
    return [{"kind": "link", "to": address, "of": [plain(text)]}]


def _code(text: str) -> list[Node]:
    return [{"kind": "code", "of": [plain(text)]}]


def _small(*of: Node) -> Json:
    return {"kind": "small", "of": of}


def _listed(title: str, heads: Iterable[str], rows: Iterable[list[list[Node]]]) -> Json:
    """A table of this module's own."""
    head = [cell([one], head=True) for one in heads]
    return table([title], [head], [[cell(of) for of in row] for row in rows])

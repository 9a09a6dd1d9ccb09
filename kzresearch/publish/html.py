"""An executed notebook and its record → one HTML page that asks nothing of any other host.

What is on it can be quoted by an address (`page.html#share_sent_to_court`): headings, figures,
tables, recorded figures. Charts are vector pictures, and drawn again by Vega where there is a script
to be run; figures and tables can be taken away as SVG, PNG and CSV.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import UTC, datetime
from functools import cache, lru_cache
from itertools import chain, count, groupby
from typing import Any

import nh3
from markupsafe import Markup, escape
from nbconvert.exporters import HTMLExporter, TemplateExporter
from nbconvert.filters import Highlight2HTML
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors import Preprocessor
from pygments.formatters import HtmlFormatter
from traitlets.config import Config

from kzresearch import records
from kzresearch.captions import value_in_words
from kzresearch.charts import spec_of
from kzresearch.figures import place
from kzresearch.language import current, day, later, say, speaking
from kzresearch.publish import TEMPLATES, cite, marked, status
from kzresearch.publish.vega import VERSION, library

Json = dict[str, Any]
_HEADING = re.compile(
    r'<h([1-6]) id="([^"]*)"( class="own")?>(.*?)'
    r'<a class="anchor-link" href="#[^"]*">[^<]*</a></h\1>'
)


_OWN = (
    *("cite-this", "record-of-this-run", "sources-of-this-run", "workbooks-of-this-run"),
    *(f"cite-{name}" for name in cite.FORMATS),
)
"""Addresses of the page's own parts."""


def page(notebook: Json, record: Json) -> str:
    """The page of a run: its notebook with charts drawn, how to cite it, and its record.

    In the language of the run. A content-security policy lets nothing run but the page's own scripts, by their checksums, and
    nothing be fetched. Texts that a run has put out are not markup.
    """
    with speaking(records.language_of(record)):
        return _page(notebook, record)


def _page(notebook: Json, record: Json) -> str:
    scripts = [_text("page.js")]
    if records.figures_of(notebook):
        scripts.insert(0, library())
    resources = {
        "record": record,
        "language": current(),
        "title": record["title"],
        "style": _style(),
        "scripts": [Markup(script) for script in scripts],  # noqa: S704
        "policy": " ".join(f"'sha256-{_checksum(script)}'" for script in scripts),
        "citations": cite.formats(record) if record["status"] == "completed" else None,
        "numbers": {one["sha256"]: n for n, one in enumerate(record["workbooks"], 1)},
        "embedded": _embedded(record),
    }
    body, _ = _exporter().from_notebook_node(notebook, resources)
    return _with_contents(str(body), {*record["results"], *records.RESERVED, *_OWN})


def _checksum(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _embedded(value: object) -> Markup:
    """JSON for a script element: nothing in it ends the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028"))  # noqa: S704


class _Prepared(Preprocessor):
    """Draws each chart, numbers figures and tables, and leaves out data that is not for reading."""

    def preprocess(self, notebook: Any, resources: Any) -> tuple[Any, Any]:
        figures, tables = count(1), count(1)
        for cell in notebook["cells"]:
            for output in cell.get("outputs", []):
                if output["output_type"] == "execute_result":
                    output["output_type"] = "display_data"  # for a reader they are one
                data = output.get("data", {})
                results = data.pop(records.MIME, None)
                if "text/html" in data:
                    data["text/html"] = harmless("".join(data["text/html"]))
                if spec := spec_of(data):
                    data.clear()
                    data["text/html"] = _figure(spec, next(figures))
                elif picture := _picture(data):
                    words = output.get("metadata", {}).get("alt", "")
                    data.clear()
                    data["text/html"] = str(_parts().picture(picture, words, next(figures)))
                elif results:
                    names = [one["name"] for one in results["results"]]
                    data["text/html"] = self._part("results", resources, names, next(tables))
                elif "<table" in data.get("text/html", ""):
                    table = Markup("".join(data["text/html"]))  # noqa: S704
                    data["text/html"] = self._part("table", resources, table, next(tables))
        return notebook, resources

    def _part(self, name: str, resources: Any, what: Any, number: int) -> str:
        return str(getattr(_parts(), name)(what, number, resources["record"], resources["numbers"]))


_TAGS = nh3.ALLOWED_TAGS | {"details", "summary", "caption", "figure", "figcaption", "tfoot"}
_ATTRIBUTES = {
    **nh3.ALLOWED_ATTRIBUTES,
    "*": {"class", "colspan", "rowspan", "scope", "style", "title", "lang", "dir"},
    "img": {"src", "alt", "width", "height"},
}
_ALTAIR = re.compile(r'<div id="altair-viz-[0-9a-f]+"')
_NOT_DRAWN = later(
    "A chart stands here as a script, which a page does not run. Show it as data, and it is drawn: "
    "{code} in a cell before it."
)
_DRAWN_BY = Markup("<code>alt.renderers.enable(&quot;kzresearch&quot;)</code>")


def harmless(text: str) -> str:
    """HTML that a notebook has put out, without what could act: scripts, styles, forms, frames."""
    if _ALTAIR.search(text):
        return f"<p>{marked(_NOT_DRAWN, code=_DRAWN_BY)}</p>"

    def kept(tag: str, name: str, value: str) -> str | None:
        data = value.strip().lower().startswith("data:")
        return None if name in {"src", "href"} and data and tag != "img" else value

    return nh3.clean(
        text,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=kept,
        url_schemes={"http", "https", "mailto", "data"},
        clean_content_tags={"script", "style", "iframe", "object", "form"},
    )


def _picture(data: Json) -> str | None:
    """The address of a picture that an output is shown as; None where it is shown as something else."""
    if {"text/html", "text/markdown"} & data.keys():
        return None
    if svg := data.get("image/svg+xml"):
        return f"data:image/svg+xml;base64,{base64.b64encode(''.join(svg).encode()).decode()}"
    for kind in ("image/png", "image/jpeg"):
        if kind in data:
            return f"data:{kind};base64,{''.join(data[kind].split())}"
    return None


def cells_in_words(cells: list[Json], numbers: dict[str, int]) -> list[tuple[str, str, int]]:
    """Where cells stand, the numbers of the workbooks they stand in, and the first of these.

    `R1!E70, R1!Q70`, `1–20`, 1 where two cells are taken from each of twenty workbooks.
    """
    places: dict[str, list[int]] = {}
    for one in cells:
        places.setdefault(place(one["cell"]), []).append(numbers[one["workbook"]])
    groups: dict[tuple[int, ...], list[str]] = {}
    for where, of in places.items():
        groups.setdefault(tuple(sorted(set(of))), []).append(where)
    return [(", ".join(found), _ranges(list(of)), of[0]) for of, found in groups.items()]


def _ranges(numbers: list[int]) -> str:
    """`1–3, 7`."""
    runs = [
        [n for _, n in run] for _, run in groupby(enumerate(numbers), lambda one: one[1] - one[0])
    ]
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


class _Exporter(HTMLExporter):
    """nbconvert's, without its second look at the page: the template has what that would add."""

    def from_notebook_node(  # type: ignore[override]
        self, nb: Any, resources: Any = None, **more: Any
    ) -> tuple[str, dict[str, Any]]:
        return TemplateExporter.from_notebook_node(self, nb, resources, **more)

    def _preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Without nbconvert's copies and checks in between: this is a copy of what a run has left."""
        for prepare in self._preprocessors:
            nb, resources = prepare(nb, resources)
        return nb, resources


@cache
def _exporter() -> _Exporter:
    config = Config()
    config.TemplateExporter.extra_template_basedirs = [str(TEMPLATES)]
    config.HTMLExporter.template_name = "page"
    config.HTMLExporter.exclude_input_prompt = True
    config.HTMLExporter.exclude_output_prompt = True
    exporter = _Exporter(config=config)
    exporter.register_preprocessor(_Prepared, enabled=True)
    exporter.register_filter("highlight_code", _highlighted)
    exporter.register_filter("prose", _prose)
    exporter.register_filter("link", _link)
    exporter.register_filter("when", when)
    exporter.register_filter("in_words", lambda value, name: value_in_words(name, value))
    exporter.environment.globals |= {"say": marked, "status": status, "parts": _parts}
    return exporter


def _highlighted(code: str, metadata: Json) -> str:
    return _coloured(code, metadata.get("magics_language"))


@lru_cache(maxsize=512)
def _coloured(code: str, language: str | None) -> str:
    """Code in colours, remembered: runs of a notebook have most of it in common."""
    given = {"magics_language": language} if language else {}
    return str(Highlight2HTML(pygments_lexer="ipython3")(code, metadata=given))


@cache
def _parts() -> Any:
    """The template's macros for figures and tables."""
    environment = _exporter().environment.overlay(autoescape=True)
    environment.filters |= {"cells": cells_in_words, "when": when}
    return environment.get_template("parts.html.j2").module


def _prose(text: str) -> str:
    """Markdown that a run has put out, as HTML: markup in it is shown as text."""
    renderer = IPythonRenderer(escape=True, allow_harmful_protocols=False)
    return str(MarkdownWithMath(renderer=renderer).render(text))


def when(moment: str) -> Markup:
    """A moment of a record in words, with the moment itself: `26 November 2026, 08:33 UTC`."""
    return Markup('<time datetime="{}">{}</time>').format(moment, time_in_words(moment))


def time_in_words(moment: str) -> str:
    """`26 November 2026, 08:33 UTC`, of a moment as records have it; as it stands where it is none."""
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    return say("{day}, {time} UTC", day=day(at), time=f"{at.astimezone(UTC):%H:%M}")


def _link(address: str | None, words: str) -> Markup:
    """A link to an address of the web; another text is none."""
    if not re.match(r"https?://", address or ""):
        return escape(words)
    return Markup('<a href="{}" rel="noopener noreferrer">{}</a>').format(address, words)


@cache
def _text(name: str) -> str:
    return (TEMPLATES / "page" / name).read_text(encoding="utf-8")


@cache
def _style() -> str:
    return _text("style.css") + str(HtmlFormatter().get_style_defs(".highlight"))


def _figure(spec: Json, number: int) -> str:
    """A chart: a vector picture, and what Vega draws it from again."""
    import vl_convert

    drawn = vl_convert.vegalite_to_vega(spec, vl_version=VERSION)
    svg = vl_convert.vega_to_svg(drawn, allowed_base_urls=[])
    picture = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
    words = spec.get("description") or _title(spec) or say("a chart without a description")
    closer = '"scales"' in json.dumps(spec)  # a selection bound to them
    return str(_parts().figure(picture, words, _embedded(drawn), number, closer))


def _title(spec: Json) -> str:
    title = spec.get("title") or ""
    text = title.get("text", "") if isinstance(title, dict) else title
    return " ".join(text) if isinstance(text, list) else str(text)


def _with_contents(body: str, taken: set[str]) -> str:
    """The page with a list of its headings, each with an address that no figure has."""
    listed, address = [], marked(later("Address of this part"))

    def heading(found: re.Match[str]) -> str:
        level, words = int(found[1]), found[4]
        free = chain([found[2]], (f"{found[2]}-{more}" for more in count(2)))
        name = found[2] if found[3] else next(one for one in free if one not in taken)
        taken.add(name)
        if level in {2, 3}:
            text = re.sub(r"<[^>]*>", "", words)
            listed.append(f'<li class="level-{level}"><a href="#{name}">{text}</a></li>')
        link = f'<a class="anchor-link" href="#{name}" aria-label="{address}">#</a>'
        return f'<h{level} id="{name}">{words}{link}</h{level}>'

    body = _HEADING.sub(heading, body)
    return body.replace("<!--contents-->", f"<ol>{''.join(listed)}</ol>", 1)
